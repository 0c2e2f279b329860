"""Members of archives and lines of JSON: what was packed comes back, and what is hostile or damaged is refused."""

import bz2
import doctest
import errno
import gzip
import io
import json
import lzma
import stat
import tarfile
import zipfile
from contextlib import suppress
from typing import Any, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.decoding import csv_rows, decoder, json_lines, tar_members, zip_members
from dataset_assets.decoding import jsonl_file as jsonl_module
from dataset_assets.decoding import zip_file as archives_module
from dataset_assets.errors import DecodeError, Refused

FILES = {"data/b.txt": b"second", "data/a.txt": b"first", "read.me": b"", "data/long.bin": bytes(range(256)) * 50}
SEGMENT = st.text(st.characters(codec="utf-8", exclude_characters="/\\:\0", exclude_categories=("Cs",)), min_size=1)
PATHS = st.lists(SEGMENT.filter(lambda part: part not in (".", "..")), min_size=1, max_size=3).map("/".join)

Files = dict[str, bytes]


def zipped(files: Files, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", compression) as made:
        for name, data in files.items():
            made.writestr(zipfile.ZipInfo(name), data, compression)
    return archive.getvalue()


def tarred(files: Files, form: int = tarfile.PAX_FORMAT) -> bytes:
    return packed([(tarfile.TarInfo(name), data) for name, data in files.items()], form)


def packed(members: list[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.PAX_FORMAT) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=form) as made:
        for member, data in members:
            member.size = len(data)
            made.addfile(member, io.BytesIO(data))
    return archive.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def test_a_zip_member_without_a_name_is_refused() -> None:
    archive = zipped({"a": b"1"})
    directory = archive.index(b"PK\1\2")
    with pytest.raises((Refused, DecodeError)):
        read(zip_members, archive[: directory + 46] + b"\0" + archive[directory + 47 :])


def read(reader: Callable[..., Any], data: bytes, *arguments: Any, **more: Any) -> Files:
    return {member.name: member.read() for member in reader(io.BytesIO(data), *arguments, **more)}


WAYS: list[tuple[Callable[..., Any], Callable[[Files], bytes]]] = [(zip_members, zipped), (tar_members, tarred)]
either = pytest.mark.parametrize(("reader", "pack"), WAYS, ids=("zip", "tar"))


def test_the_examples_in_the_docstrings_run() -> None:
    for module in (archives_module, jsonl_module):
        found = doctest.testmod(module)
        assert found.attempted and not found.failed


@pytest.mark.parametrize("name", ["]", "BZh9", "PK", "x"])
def test_a_first_name_may_begin_as_compressed_content_does(name: str) -> None:
    for files in ({name: b""}, {name: b"a" * 600, "b": b"c"}):
        assert read(tar_members, tarred(files)) == files
        assert read(tar_members, gzip.compress(tarred(files))) == files


@either
@settings(deadline=None)
@given(files=st.dictionaries(PATHS, st.binary(max_size=2000), min_size=1, max_size=5))
def test_what_was_packed_comes_back_in_its_order(reader: Any, pack: Any, files: Files) -> None:
    assert [*read(reader, pack(files)).items()] == [*files.items()]


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_compression_of_a_zip_is_read(kind: int) -> None:
    assert read(zip_members, zipped(FILES, kind)) == FILES


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_every_form_and_compression_of_a_tar_is_read(compress: Callable[[bytes], bytes], form: int) -> None:
    files = FILES if form == tarfile.USTAR_FORMAT else {**FILES, "ä" * 120: b"a long name"}
    assert read(tar_members, compress(tarred(files, form))) == files


@either
def test_only_what_matches_is_given_and_something_must(reader: Any, pack: Any) -> None:
    assert read(reader, pack(FILES), "data/?.txt") == {"data/b.txt": b"second", "data/a.txt": b"first"}
    with pytest.raises(DecodeError, match="no member that matches 'data/c"):
        read(reader, pack(FILES), "data/c.txt")
    with pytest.raises(DecodeError, match="no member"):
        read(reader, pack({}))


@either
def test_a_path_may_begin_with_the_folder_itself(reader: Any, pack: Any) -> None:
    assert read(reader, pack({"./a/b.txt": b"x"}), "a/*") == {"a/b.txt": b"x"}


@either
def test_a_member_is_a_file_for_the_other_decoders(reader: Any, pack: Any) -> None:
    (member,) = reader(io.BytesIO(pack({"a.csv.gz": gzip.compress(b"n\n1\n2\n")})))
    assert [row["n"] for row in csv_rows(member)] == ["1", "2"]
    (member,) = reader(io.BytesIO(pack({"bad.csv": b"n,m\n1\n"})))
    with pytest.raises(DecodeError, match="bad.csv has 1 fields"):
        list(csv_rows(member))


def test_folders_are_passed_over() -> None:
    assert read(tar_members, packed([(special("data/", tarfile.DIRTYPE), b""), (tarfile.TarInfo("data/a"), b"1")])) == {
        "data/a": b"1"
    }
    assert read(zip_members, zipped({"data/": b"", "data/a": b"1"})) == {"data/a": b"1"}


# What is hostile


@either
@pytest.mark.parametrize(
    "name",
    ["../evil", "a/../../evil", "/etc/evil", "//host/evil", "\\host\\evil", "a\\..\\..\\evil", "C:\\evil", "c:/evil", 
     "C:../evil", "..", "a/..", "./../evil"],
)  # fmt: skip
def test_a_path_out_of_the_archive_is_refused(reader: Any, pack: Any, name: str) -> None:
    with pytest.raises(Refused, match="leads out"):
        read(reader, pack({"fine": b"1", name: b"2"}))


def test_the_name_of_a_gnu_archive_is_not_a_member() -> None:
    assert read(tar_members, packed([(special("volume", b"V"), b""), (tarfile.TarInfo("a"), b"1")])) == {"a": b"1"}


def test_what_zip_was_given_by_a_pipe_is_a_file() -> None:
    archive, piped = io.BytesIO(), zipfile.ZipInfo("-")
    piped.external_attr = (stat.S_IFIFO | 0o600) << 16
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr(piped, "x")
    assert read(zip_members, archive.getvalue()) == {"-": b"x"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, b"z"])
def test_what_is_no_file_in_a_tar_is_refused(kind: bytes) -> None:
    data = packed([(tarfile.TarInfo("a"), b"1"), (special("evil", kind, "/etc/passwd"), b"")])
    with pytest.raises(Refused, match="'evil'.*is not a plain file, but a link, a device"):
        read(tar_members, data)
    assert read(tar_members, data, "a") == {"a": b"1"}


def test_a_link_in_a_zip_is_refused() -> None:
    archive, link = io.BytesIO(), zipfile.ZipInfo("evil")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr(link, "/etc/passwd")
    with pytest.raises(Refused, match="link"):
        read(zip_members, archive.getvalue())


@either
def test_a_member_that_is_too_large_is_refused_before_it_is_read(reader: Any, pack: Any) -> None:
    with pytest.raises(Refused, match=r"4001 bytes; 4000 are allowed"):
        read(reader, pack({"small": b"1", "zeros": bytes(4001)}), most=4000)
    assert len(read(reader, pack({"zeros": bytes(4000)}), most=4000)["zeros"]) == 4000


def test_members_that_lie_on_each_other_are_refused() -> None:
    data = bytearray(zipped({"a": b"\0" * 100_000}))
    start = data.rindex(b"PK\x01\x02")
    entry, end = bytes(data[start : data.rindex(b"PK\x05\x06")]), bytearray(data[data.rindex(b"PK\x05\x06") :])
    entries = b"".join(entry.replace(b"a", b"%c" % (97 + k)) for k in range(20))
    end[8:10] = end[10:12] = (20).to_bytes(2, "little")
    end[12:16] = len(entries).to_bytes(4, "little")
    with pytest.raises(Refused, match="overlap"):
        read(zip_members, bytes(data[:start]) + entries + bytes(end), most=100_000)


@either
def test_two_members_of_one_path_are_refused(reader: Any, pack: Any) -> None:
    members = [(tarfile.TarInfo(name), b"1") for name in ("a", "b", "./a")]
    if reader is tar_members:
        data = packed(members)
    else:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as made:
            for member, content in members:
                made.writestr(member.name, content)
        data = archive.getvalue()
    with pytest.raises(DecodeError, match="two members named 'a'"):
        read(reader, data)


def test_an_encrypted_member_is_an_error() -> None:
    data = bytearray(zipped({"secret": b"x"}))
    for magic, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + place] |= 1
    with pytest.raises(DecodeError, match="secret in the stream is encrypted"):
        read(zip_members, bytes(data))


def test_a_header_of_a_tar_may_not_be_a_bomb_or_negative() -> None:
    long = special("././@LongLink", tarfile.GNUTYPE_LONGNAME)
    with pytest.raises(DecodeError, match="header of"):
        read(tar_members, packed([(long, b"a" * (2 << 20)), (tarfile.TarInfo("x"), b"")]))
    negative = tarfile.TarInfo("x")
    negative.size = -512
    with pytest.raises(DecodeError):
        read(tar_members, negative.tobuf(tarfile.GNU_FORMAT) + bytes(1024))


@pytest.mark.parametrize("size", [5000, 1 << 60])
def test_a_file_with_holes_is_refused(size: int) -> None:
    sparse = tarfile.TarInfo("x")
    sparse.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(size)}
    with pytest.raises(Refused, match="sparse"):
        read(tar_members, packed([(sparse, b"1\n0\n0\n" + bytes(506))]))


# What is damaged


@either
def test_an_archive_is_whole_wherever_it_was_cut(reader: Any, pack: Any) -> None:
    data = pack(FILES)
    # Behind the two blocks of zeros that end a tar there is nothing that could be missed.
    end = len(data) if reader is zip_members else len(data.rstrip(b"\0")) + 512
    for size in {*range(0, end, 97), *range(end - 30, end)} - {end}:
        with pytest.raises(DecodeError):
            read(reader, data[:size])


def test_a_compressed_tar_is_whole_wherever_it_was_cut() -> None:
    data = gzip.compress(tarred(FILES))
    for size in range(len(data)):
        with pytest.raises(DecodeError):
            read(tar_members, data[:size])


def test_a_damaged_header_of_a_tar_is_no_end() -> None:
    data = bytearray(tarred(FILES))
    data[1024 + 100] ^= 0xFF
    with pytest.raises(DecodeError, match="not a complete archive"):
        read(tar_members, bytes(data))


def test_what_is_behind_a_tar_is_an_error() -> None:
    with pytest.raises(DecodeError, match="has further data after the end"):
        read(tar_members, tarred({"a": b"1"}) + tarred({"b": b"2"}))
    assert read(tar_members, tarred({"a": b"1"}) + bytes(50_000)) == {"a": b"1"}


@either
@settings(deadline=None, max_examples=300)
@given(where=st.integers(0, 10_000), change=st.integers(1, 255))
def test_damage_gives_the_truth_or_an_error_of_ours(reader: Any, pack: Any, where: int, change: int) -> None:
    data = bytearray(pack(FILES))
    data[where % len(data)] ^= change
    with suppress(DecodeError, Refused):
        found = read(reader, bytes(data))
        assert reader is tar_members or all(content in FILES.values() for content in found.values())


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_of_a_zip_is_told_whatever_its_compression(compression: int) -> None:
    whole = zipped({"a": bytes(range(256)) * 8}, compression)
    for where in range(31, whole.index(b"PK\x01\x02")):
        data = bytearray(whole)
        data[where] ^= 0x10
        with suppress(DecodeError):
            assert read(zip_members, bytes(data)) == {"a": bytes(range(256)) * 8}


class Failing(io.BytesIO):
    """A file on a disk that fails behind its first bytes."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 100_000:
            raise OSError(errno.EIO, "the disk failed")
        return super().read(size)


def test_a_disk_that_fails_is_no_damaged_archive() -> None:
    data = tarred({f"{k}": bytes(300_000) for k in range(9)})
    with pytest.raises(OSError, match="the disk failed") as caught:
        list(tar_members(Failing(data)))
    assert not isinstance(caught.value, DecodeError)


@either
@given(data=st.binary(max_size=3000))
def test_what_is_no_archive_is_an_error(reader: Any, pack: Any, data: bytes) -> None:
    with pytest.raises((DecodeError, Refused)):
        read(reader, data)


@either
def test_the_file_stays_open_for_its_owner(reader: Any, pack: Any) -> None:
    file = io.BytesIO(pack(FILES))
    assert len([*reader(file)]) == len(FILES)
    assert not file.closed


# JSON lines

VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers(), max_size=3)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=3)


@given(
    objects=st.lists(OBJECTS, max_size=5),
    end=st.sampled_from(["\n", "\r\n", "\n\n"]),
    packing=st.sampled_from([bytes, gzip.compress]),
)
def test_objects_come_back_from_lines(objects: Any, end: str, packing: Callable[[bytes], bytes]) -> None:
    text = "".join(json.dumps(one, ensure_ascii=False) + end for one in objects)
    with suppress(UnicodeEncodeError):
        assert list(json_lines(io.BytesIO(packing(text.encode())))) == objects


def test_a_byte_order_mark_is_no_text() -> None:
    assert list(json_lines(io.BytesIO(b'\xef\xbb\xbf{"a": 1}'))) == [{"a": 1}]


@pytest.mark.parametrize("wrong", [b'{"a": 1', b"{'a': 1}", b'{"a": "\xff"}', b"[" * 100_000, b'{"a": 1} {"b": 2}'])
def test_what_is_no_json_is_told_by_its_line(wrong: bytes) -> None:
    found = json_lines(io.BytesIO(b'{"a": 1}\n\n' + wrong + b"\n"))
    assert next(found) == {"a": 1}
    with pytest.raises(DecodeError, match="not JSON on line 3"):
        next(found)


@pytest.mark.parametrize("whole", [b'[\n{"a": 1}\n]\n', b'{\n "a": 1\n}\n'])
def test_one_value_on_several_lines_is_not_json_lines(whole: bytes) -> None:
    with pytest.raises(DecodeError, match="on line 1: .*read it with the module json"):
        list(json_lines(io.BytesIO(whole)))


@pytest.mark.parametrize("wrong", [b"1", b"[1]", b'"a"', b"null"])
def test_what_is_no_object_is_told_by_its_line(wrong: bytes) -> None:
    with pytest.raises(DecodeError, match="on line 1, not an object"):
        list(json_lines(io.BytesIO(wrong)))


def test_the_decoders_are_found_by_name() -> None:
    assert [decoder(name) for name in ("zip_members", "tar_members", "json_lines")] == [
        zip_members,
        tar_members,
        json_lines,
    ]
