"""Loading: what exists is opened as it was released, or refused in words; nothing is written."""

import errno
import functools
import io
import os
import pickle
import random
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO, Callable

import pytest
import tiny
from conftest import looked_at

from dataset_assets import Dataset, load, prepare
from dataset_assets.core.canonical import canonical, digest_of
from dataset_assets.errors import (
    DatasetAssetsError,
    DecodeError,
    DigestMismatch,
    IntegrityError,
    NameNotAllowed,
    NotFound,
    NotPrepared,
    StorageError,
    StoredFileDamaged,
    UnknownSplit,
    UsageError,
)
from dataset_assets.reading.load import open_split
from dataset_assets.reading.stored_files import StoredFiles, index_of
from dataset_assets.reading.streaming import streaming_columns
from dataset_assets.reading.views import Stored
from dataset_assets.storage import LocalStorage, MemoryStorage
from dataset_assets.storage.format_numbers import NEWEST
from dataset_assets.storage.keys import index_key, version_key
from dataset_assets.storage.manifest import StoredFile
from dataset_assets.storage.stored_dataset import StoredDataset
from dataset_assets.testing.faults import counting

PLACE = Path("storage", "org", "example", "tiny")
SMALL_FILES = ["current.json", "versions/*.json", f"train/index/{'?' * 64}.json", "raw/numbers_csv/source.json"]


@pytest.fixture
def prepared(home: Path, dataset: Dataset) -> Path:
    """The folder of the prepared tiny dataset."""
    prepare(dataset)
    return home / PLACE


def the_one(place: Path, pattern: str) -> Path:
    found = [path for path in place.glob(pattern) if path.is_file()]
    assert len(found) == 1, found
    return found[0]


def put_in_place(path: Path, data: bytes) -> None:
    """Replace a file as a broken disk would: without the storage's help, but not what other names link to."""
    path.unlink()
    path.write_bytes(data)


# --- opening


def test_all_splits_or_one(prepared: Path) -> None:
    views = load(tiny.NAME)
    assert list(views) == ["test", "train"]
    assert tiny.plain({"train": load(tiny.NAME, "train"), "test": load(tiny.NAME, split="test")}) == tiny.expected()


def test_loading_writes_nothing_and_takes_no_lock(prepared: Path, home: Path) -> None:
    before = looked_at(home)
    with counting() as calls:
        load(tiny.NAME, verify="all")
    assert calls.calls == 0
    assert looked_at(home) == before


def test_a_storage_that_may_only_be_read_loads(prepared: Path, home: Path, fast_path: Path) -> None:
    class ReadOnly(LocalStorage):
        def put(self, key: str, source: Path | bytes) -> None:
            raise OSError(errno.EROFS, key)

        def swap(self, key: str, new: bytes, expected: str | None) -> bool:
            raise OSError(errno.EROFS, key)

        delete = list = put  # type: ignore[assignment]

    assert tiny.plain(load(tiny.NAME, storage=ReadOnly(home / "storage"), verify="all")) == tiny.expected()
    if os.geteuid() != 0:
        return
    mounted = fast_path / "mounted"
    mounted.mkdir()
    if subprocess.run(["mount", "--bind", home / "storage", mounted], capture_output=True).returncode:
        return
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", mounted], check=True)
        assert tiny.plain(load(tiny.NAME, storage=str(mounted), verify="all")) == tiny.expected()
    finally:
        subprocess.run(["umount", "-l", mounted], check=True)


def test_a_folder_that_was_moved_loads_unchanged(prepared: Path, home: Path, fast_path: Path) -> None:
    version = load(tiny.NAME)["train"].version
    shutil.move(home / "storage", fast_path / "moved")
    for place in (fast_path / "moved", _linked(fast_path)):
        views = load(tiny.NAME, storage=str(place), verify="all")
        assert tiny.plain(views) == tiny.expected()
        assert views["train"].version == version


def _linked(folder: Path) -> Path:
    (folder / "link").symlink_to(folder / "moved")
    return folder / "link"


def test_copied_times_do_not_matter(prepared: Path, home: Path, fast_path: Path) -> None:
    shutil.copytree(home / "storage", fast_path / "copy", copy_function=shutil.copyfile)
    assert tiny.plain(load(tiny.NAME, storage=str(fast_path / "copy"), verify="all")) == tiny.expected()


def test_a_view_that_was_pickled_opens_the_same_bytes_elsewhere(prepared: Path, home: Path) -> None:
    view = load(tiny.NAME, "train")
    code = "import pickle, sys; view = pickle.load(sys.stdin.buffer); print(view.version, len(view), view[3]['text'])"
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(view), capture_output=True, check=True)
    assert done.stdout.decode() == f"{view.version} 6 {view[3]['text']}\n"


def test_reading_once_gives_what_was_read_back(prepared: Path) -> None:
    view = load(tiny.NAME, "train")
    assert isinstance(view, Stored)
    columns = streaming_columns(view)
    for name, column in columns.items():
        assert len(column) == len(view)
        assert tiny._plain(column[2]) == tiny._plain(view[2][name])


# --- what is not there


def test_a_dataset_that_is_not_there_names_the_command(home: Path) -> None:
    with pytest.raises(
        NotPrepared, match="org.example.tiny is not in file:///.*dataset-assets prepare org.example.tiny"
    ) as caught:
        load(tiny.NAME)
    assert isinstance(caught.value, FileNotFoundError)
    assert caught.value.exit_code == 3


def test_a_dataset_that_is_not_there_is_answered_with_the_nearest(prepared: Path) -> None:
    with pytest.raises(NotPrepared, match="Did you mean 'org.example.tiny'. Make it with: .* org.example.tinny"):
        load("org.example.tinny")


def test_an_unknown_split_is_answered_with_the_nearest(prepared: Path) -> None:
    with pytest.raises(UnknownSplit, match="has no split 'trian'. Did you mean 'train'?"):
        load(tiny.NAME, "trian")


@pytest.mark.parametrize("pin", ["0" * 64, "sha256:" + "0" * 64])
def test_a_version_that_is_not_there_is_said_so(prepared: Path, pin: str) -> None:
    with pytest.raises(NotPrepared, match="There is no version 0000"):
        load(f"{tiny.NAME}@{pin}")


@pytest.mark.parametrize("name", [f"{tiny.NAME}@", f"{tiny.NAME}@main", f"{tiny.NAME}@{'0' * 63}", "tiny", "../x", ""])
def test_names_are_checked_before_anything_is_opened(home: Path, name: str) -> None:
    with pytest.raises(NameNotAllowed):
        load(name)


def test_a_wrong_verify_is_refused(prepared: Path) -> None:
    with pytest.raises(UsageError, match="verify='every' is not known"):
        load(tiny.NAME, verify="every")  # type: ignore[call-overload]


# --- damage


def is_whole() -> bool:
    return tiny.plain(load(tiny.NAME)) == tiny.expected()


def check_damage(path: Path, damaged: bytes, dataset: Dataset, digests: dict[str, str]) -> bool:
    """See that damage gives one typed error or none, and that a plain prepare mends it; return whether it showed."""
    sound = path.read_bytes()
    put_in_place(path, damaged)
    try:
        assert is_whole()
        showed = False
    except (IntegrityError, NotFound) as error:
        assert tiny.NAME in str(error) or "tiny" in str(error)
        showed = True
    prepare(dataset)
    assert is_whole()
    name = path.name
    if name not in ("source.json",):
        assert path.read_bytes() == sound, f"{name} was not mended"
    assert digests == {split: view.origin.index for split, view in load(tiny.NAME).items()}
    return showed


@pytest.mark.parametrize("pattern", SMALL_FILES)
def test_a_small_file_that_is_cut_at_any_byte_is_noticed_and_mended(
    prepared: Path, dataset: Dataset, pattern: str
) -> None:
    path = the_one(prepared, pattern)
    digests = {split: view.origin.index for split, view in load(tiny.NAME).items()}
    data = path.read_bytes()
    # Some lengths of each, with none and all but one byte.
    for size in sorted({*range(0, len(data), 7 if len(data) < 100 else 97), len(data) - 1}):
        assert check_damage(path, data[:size], dataset, digests) == ("source.json" not in pattern), size


@pytest.mark.parametrize("pattern", SMALL_FILES)
def test_a_small_file_with_a_flipped_bit_is_noticed_and_mended(prepared: Path, dataset: Dataset, pattern: str) -> None:
    path = the_one(prepared, pattern)
    digests = {split: view.origin.index for split, view in load(tiny.NAME).items()}
    data, chance = path.read_bytes(), random.Random(7)
    # Among them the bits that make another digit of the pointer's format.
    for place in {
        *chance.sample(range(8 * len(data)), 12),
        *(8 * data.index(b'"format":') + 72 + bit for bit in range(8)),
    }:
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        assert check_damage(path, bytes(damaged), dataset, digests) == ("source.json" not in pattern), place


@pytest.mark.parametrize("stream", [*tiny.STREAMS])
def test_one_flipped_bit_in_a_stream_is_found_by_verifying_all(prepared: Path, stream: str) -> None:
    path = the_one(prepared, f"train/{stream}/*")
    data, chance = path.read_bytes(), random.Random(7)
    for place in [0, 8 * len(data) - 1, *chance.sample(range(8 * len(data)), 20)]:
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        put_in_place(path, bytes(damaged))
        with pytest.raises(DatasetAssetsError) as caught:
            load(tiny.NAME, verify="all")
        assert isinstance(caught.value, DigestMismatch)
        assert f"Stream {stream} of {tiny.NAME}, split train, file" in str(caught.value)
        with pytest.raises(DigestMismatch):
            load(tiny.NAME, "train", verify="sample")  # one file a stream, so each is looked at
    put_in_place(path, data)
    load(tiny.NAME, verify="all")


def test_a_stream_whose_header_was_hit_is_mended_by_a_plain_prepare(prepared: Path, dataset: Dataset) -> None:
    path = the_one(prepared, "train/image/*")
    data = path.read_bytes()
    put_in_place(path, data.replace(b"(6, 2, 3)", b"(5, 2, 3)"))
    with pytest.raises(IntegrityError):
        load(tiny.NAME)
    prepare(dataset)
    assert path.read_bytes() == data


def test_a_deleted_file_that_verify_named_is_made_again(prepared: Path, dataset: Dataset) -> None:
    path = the_one(prepared, "test/tokens/*")
    data = path.read_bytes()
    put_in_place(path, data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(DigestMismatch, match="Repair it with: dataset-assets verify --repair org.example.tiny"):
        load(tiny.NAME, verify="all")
    path.unlink()
    prepare(dataset)
    assert path.read_bytes() == data


@pytest.mark.parametrize("change", [lambda data: data + b"x", lambda data: data[:-1], lambda data: b""])
def test_a_stored_file_of_another_size_is_always_noticed(prepared: Path, change: Callable[[bytes], bytes]) -> None:
    path = the_one(prepared, "train/blob/*")
    data = path.read_bytes()
    put_in_place(path, change(data))
    with pytest.raises(
        StoredFileDamaged, match=f"Stream blob of {tiny.NAME}, split train.* not the {len(data)} it was written"
    ):
        load(tiny.NAME)
    assert len(load(tiny.NAME, "test")) == 4


def test_a_sampling_verify_finds_damage_at_its_rate(
    home: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    from dataset_assets import Array, Columns, Split

    def blocks() -> object:
        yield Columns(x=np.arange(20))

    monkeypatch.setenv("DATASET_ASSETS_FILE_BYTES", "1")
    prepare(Dataset("org.example.parts", "Parts.", {"x": Array()}, {"all": Split(blocks)}))
    view = load("org.example.parts", "all")
    assert isinstance(view, Stored)
    files = index_of(view).streams["x"].files
    assert len(files) == 20
    path = home / "storage/org/example/parts/all/x" / f"{files[13].sha256}.npy"
    data = path.read_bytes()
    put_in_place(path, data[:-1] + b"\x01")
    found = 0
    for _ in range(200):
        try:
            load("org.example.parts", "all", verify="sample")
        except DigestMismatch:
            found += 1
    assert 4 <= found <= 50  # 2 of 20 files each time: 20 expected; 1 in 10**6 leaves these bounds


# --- what a newer library wrote


def rewritten(storage: LocalStorage, prepared: Path, change: Callable[[dict[str, object]], object]) -> str:
    """Store the train split's index changed, and a version that names it; return the version's digest."""
    import json

    index = json.loads(the_one(prepared, f"train/index/{'?' * 64}.json").read_text())
    change(index)
    digest = digest_of(index)
    storage.put(index_key(tiny.NAME, "train", digest), canonical(index))
    current = load(tiny.NAME)["train"].version
    version = StoredDataset(storage, tiny.NAME).version(str(current))
    document = canonical({**json.loads(canonical(version)), "splits": {"train": digest}})
    from dataset_assets.core.canonical import sha256_hex

    storage.put(version_key(tiny.NAME, sha256_hex(document)), document)
    return f"{tiny.NAME}@{sha256_hex(document)}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda index: index.update(format=NEWEST + 1),
            f"this release reads up to {NEWEST}. Upgrade",
        ),
        (lambda index: index.update(format="1"), "its format is '1'"),
        (lambda index: index["streams"]["text"].update(format="holograms"), "No format 'holograms' is installed"),
        (lambda index: index["streams"]["text"].update(writer=99), "stream text: it was written by version 99"),
        (lambda index: index["streams"]["text"].update(parameters={"x": 1}), "does not accept the parameters {'x': 1}"),
        (lambda index: index.update(surprise=1), "surprise"),
        (lambda index: index.pop("samples"), "samples"),
        (lambda index: index.update(dataset="org.example.other"), "is of org.example.other"),
        (lambda index: index["streams"]["text"]["files"][0].update(sha256="../../x"), "is not a sha256"),
        (lambda index: index["streams"].update({"../x": index["streams"]["text"]}), "cannot be the name of a stream"),
        (lambda index: index.update(samples=7), "holds 6 samples, not 7"),
    ],
)
def test_an_index_that_is_not_ours_to_read_is_refused_in_words(
    prepared: Path, home: Path, change: Callable[[dict[str, object]], object], message: str
) -> None:
    name = rewritten(LocalStorage(home / "storage"), prepared, change)
    with pytest.raises(DatasetAssetsError, match=message.replace("'", ".").replace("{", ".").replace("}", ".")):
        load(name)


def test_a_file_of_a_stream_that_does_not_exist_is_not_found(prepared: Path) -> None:
    view = load(tiny.NAME, "train")
    with pytest.raises(NotFound, match="has 1 files; there is no part 5"):
        view.open("text", part=5)
    with pytest.raises(NotFound, match="has no raw file 'numbr'. Did you mean 'numbers'"):
        view.open_raw("numbr")
    with view.open_raw("numbers") as file:
        assert file.read() == tiny.NUMBERS


def test_a_raw_file_that_is_not_kept_is_said_so(prepared: Path) -> None:
    view = load(tiny.NAME, "train")
    for path in prepared.glob("raw/numbers_csv/*"):
        path.unlink()
    with pytest.raises(NotPrepared, match="raw file numbers_csv of org.example.tiny is not in"):
        view.open_raw("numbers")


def test_a_split_is_opened_by_its_index_alone(prepared: Path, home: Path) -> None:
    storage = LocalStorage(home / "storage")
    digest = load(tiny.NAME)["train"].origin.index
    view = open_split(StoredDataset(storage, tiny.NAME), "train", digest)
    assert view.version is None
    assert len(view) == 6
    index = StoredDataset(storage, tiny.NAME).index("train", digest)
    assert StoredFiles(storage, index).index == index
    assert all(isinstance(file, StoredFile) for file in index.streams["text"].files)
    with pytest.raises(DecodeError):
        MemoryStorage("damage").put(index_key(tiny.NAME, "train", digest), b"x")
        storage.put(index_key(tiny.NAME, "test", digest), canonical(index))
        StoredDataset(storage, tiny.NAME).index("test", digest)


# A storage that fails to read.


class Worn(io.RawIOBase):
    """A file that opens and cannot be read."""

    def __init__(self, size: int) -> None:
        self.size = size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return offset if whence == io.SEEK_SET else self.size

    def readinto(self, buffer: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


class WornStorage(MemoryStorage):
    """A connector of somebody else, whose files with some text in their key cannot be read."""

    worn = "nothing"

    def get(self, key: str) -> BinaryIO:
        return io.BufferedReader(Worn(self.stat(key).bytes)) if self.worn in key else super().get(key)


@pytest.mark.parametrize("worn", ["current.json", "/versions/", "/index/", "/label/", "/image/", "/text/", "/row/"])
def test_a_storage_that_fails_to_read_is_a_storage_error_that_names_the_key(
    worn: str, home: Path, dataset: Dataset
) -> None:
    storage = WornStorage()
    prepare(dataset, storage=storage)
    storage.worn = worn
    with pytest.raises(StorageError, match=f"(?s){worn}.*Input/output error"):
        load(tiny.NAME, storage=storage)["train"].to_numpy()


OUT_OF_DESCRIPTORS = """
import os, sys
from dataset_assets import load
from dataset_assets.errors import DatasetAssetsError
look = lambda: load(sys.argv[1], "train").to_numpy()
look()
for spare in range(6):
    held = []
    try:
        while True:
            held.append(open(os.devnull))
    except OSError:
        for file in held[:spare]:
            file.close()
    try:
        look()
    except DatasetAssetsError as error:
        assert "ulimit -n" in str(error), error
    for file in held:
        file.close()
look()
"""


def test_a_process_without_descriptors_is_told_so_and_reads_once_some_are_free(prepared: Path) -> None:
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_NOFILE, (64, 64))
    subprocess.run([sys.executable, "-c", OUT_OF_DESCRIPTORS, tiny.NAME], check=True, preexec_fn=limit)
