"""A file that only a person can download: its definition says how, and it is read once it lies in the home."""

from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

import pytest

from dataset_assets import Array, Dataset, RemoteFile, Split, load, prepare
from dataset_assets.decoding import csv_rows
from dataset_assets.errors import DigestMismatch, RetrievalError, UsageError
from dataset_assets.retrieval import retriever_for
from dataset_assets.retrieval.manual import path_of
from dataset_assets.sources import manual_url

NAME = "org.example.gated"
HOW = "Sign up at https://example.org/?a=b&c, accept the terms, and download birds.csv."
BYTES = b"n\n1\n2\n"


def rows(table):
    for row in csv_rows(table):
        yield {"n": int(row["n"])}


def gated(digest: str | None = None, name: str = "birds (v1).csv", how: str = HOW, keep: bool = True) -> Dataset:
    file = RemoteFile(manual_url(name, how), digest=digest, keep=keep)
    return Dataset(NAME, "Behind a form.", {"n": Array("int64")}, {"all": Split(rows, table=file)})


def test_it_says_how_until_the_file_is_there_and_reads_it_then(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for offline in ("0", "1"):
        monkeypatch.setenv("DATASET_ASSETS_OFFLINE", offline)
        with pytest.raises(RetrievalError, match="must be downloaded by hand") as refused:
            prepare(gated())
        assert HOW in str(refused.value) and str(home / "manual" / "birds (v1).csv") in str(refused.value)
    (home / "manual").mkdir(parents=True)
    (home / "manual" / "birds (v1).csv").write_bytes(BYTES)
    assert retriever_for(manual_url("birds (v1).csv", HOW)).look(manual_url("birds (v1).csv", HOW)).bytes == len(BYTES)  # type: ignore[attr-defined]
    assert [one["n"] for one in prepare(gated())["all"]] == [1, 2]
    (home / "manual" / "birds (v1).csv").unlink()
    assert len(load(NAME, "all")) == 2


def test_a_wrong_file_is_refused_and_one_that_is_written_again_is_read(home: Path) -> None:
    place = home / "manual" / "birds (v1).csv"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"another")
    with pytest.raises(DigestMismatch):
        prepare(gated(f"sha256:{sha256(BYTES).hexdigest()}"))
    place.write_bytes(BYTES)
    assert len(prepare(gated(f"sha256:{sha256(BYTES).hexdigest()}"))["all"]) == 2
    place.write_bytes(BYTES + b"3\n")
    assert len(prepare(gated())["all"]) == 3


@pytest.mark.parametrize("keep", [True, False])
def test_a_sentence_that_was_mended_makes_no_new_version(home: Path, keep: bool) -> None:
    (home / "manual").mkdir(parents=True)
    (home / "manual" / "birds (v1).csv").write_bytes(BYTES)
    first, second = (prepare(gated(how=how, keep=keep))["all"] for how in ("Sing up.", "Sign up."))
    assert first.version == second.version and "up" not in str(first.lineage(0))


def test_a_sentence_in_the_query_is_shown_as_earlier_definitions_have_it(home: Path) -> None:
    with pytest.raises(RetrievalError, match="by hand. Sign up. Put it at"):
        retriever_for("manual:///a.csv?how=Sign+up.").look("manual:///a.csv?how=Sign+up.")  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["", "a/b.csv", "..", "a\\b"])
def test_a_name_is_that_of_a_file(home: Path, name: str) -> None:
    with pytest.raises(UsageError, match="the name of a file"):
        manual_url(name, HOW)
    with pytest.raises(UsageError, match="names no file"):
        path_of(f"manual:///{quote(name)}?how=x")


def test_a_name_that_is_too_long_for_the_disk_is_not_there(home: Path) -> None:
    url = manual_url("a" * 300 + ".csv", HOW)
    with pytest.raises(RetrievalError, match="must be downloaded by hand"):
        retriever_for(url).look(url)


def test_a_file_without_a_way_to_get_it_is_refused() -> None:
    with pytest.raises(UsageError, match="how to get it"):
        manual_url("a.csv", " ")
