"""Documents that are kept in memory: each once, for its storage, and not more than a few megabytes."""

from dataset_assets.storage import MemoryStorage
from dataset_assets.storage.documents import Documents

HERE, THERE = MemoryStorage(), MemoryStorage()


def test_a_document_is_kept_for_its_storage_until_it_is_forgotten() -> None:
    documents = Documents()
    documents.keep(HERE, "a", b"x")
    documents.keep(HERE, "a", b"x")
    assert (documents.get(HERE, "a"), documents.get(THERE, "a"), documents.get(HERE, "b")) == (b"x", None, None)
    documents.forget(HERE, "a")
    documents.forget(HERE, "a")
    assert documents.get(HERE, "a") is None and documents.bytes == 0


def test_those_that_were_kept_first_go_first() -> None:
    documents = Documents(most_bytes=100)
    for i in range(50):
        documents.keep(HERE, f"a/{i}", bytes(30))
        assert documents.bytes <= 100 and documents.get(HERE, f"a/{i}")
    assert [i for i in range(50) if documents.get(HERE, f"a/{i}")] == [47, 48, 49]
    documents.keep(HERE, "large", bytes(101))
    assert documents.get(HERE, "large") is None and documents.bytes == 0
