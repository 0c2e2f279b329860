"""Archives by their paths below a folder: one top folder left out, a sub-path, selected files, hostile members."""

import bz2
import doctest
import gzip
import io
import lzma
import tarfile
import zipfile
from typing import Callable

import pytest

import dataset_assets.decoding.archive as module
from dataset_assets.decoding import archive_members, tar_members, zip_members
from dataset_assets.decoding.archive import concatenated, extracted
from dataset_assets.errors import DecodeError, Refused, UsageError

FILES = {
    "corpus-1.0/train/a.txt": b"a",
    "corpus-1.0/train/deep/b.txt": b"b" * 2_000_000,
    "corpus-1.0/test/c[1].txt": b"c",
    "corpus-1.0/README": b"read me",
}


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files.items():
            made.writestr(zipfile.ZipInfo(name), data)
    return out.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return out.getvalue()


PACKED: dict[str, Callable[[dict[str, bytes]], bytes]] = {
    "zip": zipped,
    "tar": tarred,
    "tar.gz": lambda files: gzip.compress(tarred(files), 1),
    "tar.bz2": lambda files: bz2.compress(tarred(files), 1),
    "tar.xz": lambda files: lzma.compress(tarred(files), preset=0),
}
either = pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)


def read(data: bytes, *given, **options) -> dict[str, bytes]:  # type: ignore[no-untyped-def]
    return {member.name: member.read() for member in archive_members(io.BytesIO(data), *given, **options)}


def test_the_examples_in_the_docstrings_run():
    module.io, module.zipfile = io, zipfile  # type: ignore[attr-defined]
    found = doctest.testmod(module)
    assert found.attempted and not found.failed


@either
def test_paths_begin_behind_the_top_folder_and_the_sub_path(pack: Callable[[dict[str, bytes]], bytes]):
    data = pack(FILES)
    assert read(data) == FILES
    assert read(data, unwrap=True) == {name.partition("/")[2]: content for name, content in FILES.items()}
    train = {"a.txt": b"a", "deep/b.txt": b"b" * 2_000_000}
    assert read(data, below="train", unwrap=True) == train
    assert read(data, below="./corpus-1.0//train/") == train
    assert read(data, "deep/*", below="train", unwrap=True) == {"deep/b.txt": train["deep/b.txt"]}
    assert read(data, ["README", "test/*"], unwrap=True) == {"README": b"read me", "test/c[1].txt": b"c"}


@either
def test_what_is_not_there_is_an_error(pack: Callable[[dict[str, bytes]], bytes]):
    data = pack(FILES)
    for options in ({"below": "trai"}, {"below": "train"}, {"pattern": "*.csv"}, {"below": "corpus-1.0/README"}):
        with pytest.raises(DecodeError, match="has no member that matches"):
            read(data, **options)
    with pytest.raises(DecodeError, match="has no member that matches 'NOTICE'"):
        read(data, ["README", "NOTICE"], unwrap=True)


@either
@pytest.mark.parametrize("other", ["NOTICE", "other/x.txt"])
def test_only_one_folder_that_holds_all_is_left_out(pack: Callable[[dict[str, bytes]], bytes], other: str):
    data = pack({**FILES, other: b"x"})
    with pytest.raises(DecodeError, match="not all of its members are in one folder. Read it without unwrap"):
        read(data, unwrap=True)
    assert read(data, below="corpus-1.0", pattern="README") == {"README": b"read me"}


@pytest.mark.parametrize("pack", [tarred, zipped], ids=["tar", "zip"])
@pytest.mark.parametrize("name", ["../x.txt", "corpus-1.0/../../x.txt", "/x.txt", "C:/x.txt", "..\\x.txt"])
def test_a_member_that_leads_out_is_refused_though_its_folder_would_be_left_out(pack, name):  # type: ignore[no-untyped-def]
    for options in ({"unwrap": True}, {"below": "corpus-1.0"}, {"unwrap": True, "below": "train"}):
        with pytest.raises(Refused, match="leads out of it"):
            read(pack({name: b"x", **FILES}), **options)


@pytest.mark.parametrize("pack", [tarred, zipped], ids=["tar", "zip"])
@pytest.mark.parametrize("below", ["caf\u00e9", "cafe\u0301", "caf\u00e9/n\u0303"])
def test_a_letter_and_its_accent_may_be_one_character_or_two(pack, below):  # type: ignore[no-untyped-def]
    names = ["cafe\u0301/\u00f1/a.txt", "caf\u00e9/n\u0303/b.txt"]
    data = pack(dict.fromkeys(names, b"x"))
    depth = below.count("/") + 1
    rest = ["/".join(name.split("/")[depth:]) for name in names]
    assert [*read(data, below=below)] == rest
    assert [*read(data, unwrap=True)] == [name.partition("/")[2] for name in names]
    assert b"".join(extracted(io.BytesIO(data), "caf\u00e9/\u00f1/a.txt")) == b"x"


@pytest.mark.parametrize("name", ["PK/a.txt", "PKLot/a.txt", "PK\1\2", "PK"])
def test_the_first_member_of_a_tar_may_begin_as_a_zip_does(name: str):
    assert read(tarred({name: b"x"})) == {name: b"x"}
    with pytest.raises(DecodeError, match="no member that matches"):
        read(zipped({}))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_link_or_device_is_refused(kind: bytes):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        info = tarfile.TarInfo("corpus-1.0/train/x")
        info.type, info.linkname = kind, "/etc/passwd"
        made.addfile(info)
    with pytest.raises(Refused, match="not a plain file"):
        read(out.getvalue(), below="train", unwrap=True)


def test_two_members_of_one_path_are_refused():
    with pytest.raises(DecodeError, match="two members named 'a.txt'"):
        read(tarred({"x/a.txt": b"1", "x/./a.txt": b"2"}), unwrap=True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"below": "../x"}, "is not a folder"),
        ({"below": "/x"}, "is not a folder"),
        ({"below": None}, "is not a folder"),
        ({"below": ["x"]}, "is not a folder"),
        ({"pattern": []}, "or several"),
        ({"pattern": [1]}, "or several"),
    ],
)
def test_what_is_no_selection_is_refused(options, says):  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match=says):
        read(zipped(FILES), **options)


def test_the_decoders_of_one_kind_take_several_patterns_too():
    names = [name for name in FILES if "train" not in name]
    plain = ["corpus-1.0/test/*", "corpus-1.0/README"]
    assert [member.name for member in zip_members(io.BytesIO(zipped(FILES)), plain)] == names
    assert [member.name for member in tar_members(io.BytesIO(tarred(FILES)), plain)] == names


@either
def test_one_file_is_extracted_by_its_exact_path(pack: Callable[[dict[str, bytes]], bytes]):
    data = pack(FILES)
    assert b"".join(extracted(io.BytesIO(data), "test/c[1].txt", unwrap=True)) == b"c"
    assert b"".join(extracted(io.BytesIO(data), "corpus-1.0/train/deep/b.txt")) == b"b" * 2_000_000
    with pytest.raises(DecodeError):
        list(extracted(io.BytesIO(data), "test/*", unwrap=True))


def test_parts_are_joined_in_the_order_of_their_names():
    parts = {f"part_{i:04}": io.BytesIO(bytes([i]) * 3) for i in (10, 2, 1)}
    assert b"".join(concatenated(**parts)) == b"\1\1\1\2\2\2\n\n\n"
