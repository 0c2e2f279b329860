"""Members of archives: their names, their memory, and archives that lie about them."""

import bz2
import doctest
import gzip
import io
import lzma
import re
import struct
import tarfile
import threading
import zipfile
from pathlib import Path
from typing import Any, Callable

import pytest
from memory import peak_of

from dataset_assets.decoding import compressed, csv_rows, decompressed, members, tar_file, tar_members, zip_members
from dataset_assets.decoding.streams import Slice
from dataset_assets.errors import DecodeError, Refused, UsageError

Files = list[tuple[str, bytes]]


def zipped(files: Files, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Write a zip with these names as they are, in UTF-8 without the flag; zipfile itself changes or flags some."""
    out = io.BytesIO()
    plain = [
        ("".join(c if c.isascii() and c != "\0" else "?" * len(c.encode()) for c in name), name) for name, _ in files
    ]
    with zipfile.ZipFile(out, "w", method) as made:
        for (name, _), (_, content) in zip(plain, files):
            made.writestr(zipfile.ZipInfo(name), content, method)
    data = out.getvalue()
    for name, real in plain:
        data = data.replace(name.encode(), real.encode())
    return data


def tarred(files: Files, mode: str = "w", **options: Any) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, **options) as made:
        for name, content in files:
            header = tarfile.TarInfo(name)
            header.size = len(content)
            made.addfile(header, io.BytesIO(content))
    return out.getvalue()


def read(reader: Any, data: bytes, *arguments: Any, **options: Any) -> Files:
    return [(member.name, member.read()) for member in reader(io.BytesIO(data), *arguments, **options)]


either = pytest.mark.parametrize(("reader", "pack"), [(zip_members, zipped), (tar_members, tarred)], ids=("zip", "tar"))


def changed(data: bytes, place: int, value: int, form: str = "<I", headers: tuple[bool, bool] = (True, True)) -> bytes:
    """Return a zip of one member with another value in its own header and in the directory."""
    out = bytearray(data)
    for magic, shift, wanted in ((b"PK\3\4", 0, headers[0]), (b"PK\1\2", 2, headers[1])):
        if wanted:
            struct.pack_into(form, out, data.rindex(magic) + place + shift, value)
    return bytes(out)


# A1: names that lead out of the archive are refused, all others are read


@either
@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("train\\cat\\1.png", "train/cat/1.png"), ("a//b.txt", "a/b.txt"), ("./a/./b", "a/b"), ("a/../b", "b"),
        ("12:30.png", "12:30.png"), ("a:b.txt", "a:b.txt"), ("a/..b/c..", "a/..b/c.."), ("...", "..."), ("~", "~"),
    ],
)  # fmt: skip
def test_honest_names_are_read_with_plain_slashes(reader: Any, pack: Any, name: str, path: str) -> None:
    assert read(reader, pack([(name, b"1")]), path) == [(path, b"1")]


@either
@pytest.mark.parametrize("name", ["../x", "a/../../x", "..\\x", "/x", "\\x", "//h/x", "C:\\x", "C:/x", "C:..\\x", "."])
def test_names_that_lead_out_are_refused_and_write_nothing(reader: Any, pack: Any, name: str, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        with pytest.raises(Refused, match=re.escape(f"has a member named {name!r}, which leads out")):
            read(reader, pack([("fine", b"1"), (name, b"2")]))
    assert list(tmp_path.iterdir()) == []


def test_a_name_with_a_nul_is_refused() -> None:
    with pytest.raises(Refused, match="leads out"):
        read(zip_members, zipped([("a\0b", b"1")]))


# A3: bombs stop at a limit


TABLE = b"a,b\n" + b"1234567,abcdefghij\n" * 650_000
LARGE: dict[str, tuple[Any, Callable[[], bytes]]] = {
    "tar": (tar_members, lambda: tarred([("t.csv", TABLE), ("u.csv", b"a\n1\n")])),
    "tar.gz": (tar_members, lambda: gzip.compress(tarred([("t.csv", TABLE)]), 1)),
    "zip stored": (zip_members, lambda: zipped([("t.csv", TABLE)], 0)),
    "zip deflated": (zip_members, lambda: zipped([("t.csv", TABLE)], 8)),
    "zip lzma": (zip_members, lambda: zipped([("t.csv", TABLE)], 14)),
}


@pytest.mark.parametrize("kind", LARGE)
def test_a_member_of_any_size_is_read_in_little_memory(kind: str) -> None:
    reader, made = LARGE[kind]
    file = io.BytesIO(made())

    def drained() -> None:
        member = next(reader(file, "t.csv"))
        assert sum(1 for _ in zip(range(100), csv_rows(member))) == 100
        while member.read(1 << 16):
            pass

    # LZMA keeps the last 8 MB that it unpacked.
    assert peak_of(drained) < (11 << 20 if "lzma" in kind else 8 << 20)


@pytest.mark.parametrize("method", [0, 8, 12, 14])
@pytest.mark.parametrize("said", [10, 2 << 20, 5 << 20])
def test_a_member_of_another_size_than_it_declares_is_refused_as_soon_as_more_comes(method: int, said: int) -> None:
    data = changed(zipped([("a", bytes(4 << 20))], method), 22, said)

    def drained() -> None:
        with pytest.raises(DecodeError, match="not a complete archive"):
            for member in zip_members(io.BytesIO(data)):
                while member.read(1 << 16):
                    pass

    assert peak_of(drained) < (12 << 20 if method == 14 else 9 << 20)


def test_a_size_that_is_read_exactly_is_checked_too() -> None:
    data = changed(zipped([("a", bytes(4 << 20))]), 22, 2 << 20)
    (member,) = zip_members(io.BytesIO(data))
    with pytest.raises(DecodeError, match="holds more than the 2097152 bytes"):
        for _ in range(2):
            member.read(1 << 20)


def test_members_together_stop_at_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASET_ASSETS_MAX_DECODED_BYTES", str(8 << 20))
    with pytest.raises(Refused, match="declare 10485760 bytes together.*max_decoded_bytes allows 8388608"):
        read(zip_members, zipped([(f"{k}", bytes(1 << 20)) for k in range(10)]))


# A5: what disagrees, or ends early, is refused


@pytest.mark.parametrize(
    ("place", "value", "form"),
    [(8, 0, "<H"), (14, 1, "<I"), (18, 5, "<I"), (22, 5, "<I"), (30, 98, "<B"), (6, 1, "<H")],
    ids=["method", "checksum", "packed size", "size", "name", "encryption"],
)
def test_a_header_that_differs_from_the_directory_is_refused(place: int, value: int, form: str) -> None:
    with pytest.raises(DecodeError, match="header of 'a' differs from the directory"):
        read(zip_members, changed(zipped([("a", b"content")]), place, value, form, (True, False)))


def test_sizes_that_follow_a_member_or_need_8_bytes_are_read() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

    out = Pipe()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a", b"one")
        with made.open("b", "w", force_zip64=True) as file:
            file.write(b"two")
    assert read(zip_members, out.getvalue()) == [("a", b"one"), ("b", b"two")]
    large = io.BytesIO()
    with zipfile.ZipFile(large, "w") as made, made.open("c", "w", force_zip64=True) as file:
        file.write(b"three")
    assert read(zip_members, large.getvalue()) == [("c", b"three")]


def test_a_large_member_that_is_cut_is_an_error_when_it_is_read() -> None:
    data = tarred([("a", bytes(4 << 20))])[: 3 << 20]
    member = next(tar_members(io.BytesIO(data)))
    with pytest.raises(DecodeError, match="a in the stream is truncated: it ends after 3145216 of 4194304 bytes"):
        member.read()


@pytest.mark.parametrize("way", [gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", bytes(512), b"\0\n"])
def test_padding_after_compressed_data_is_no_damage(way: Callable[[bytes], bytes], end: bytes) -> None:
    assert decompressed(io.BytesIO(way(b"a,b") + end)).read() == b"a,b"
    assert read(tar_members, way(tarred([("a", b"1")])) + end) == read(tar_members, tarred([("a", b"1")]) + end)
    with pytest.raises(DecodeError, match="damaged|truncated"):
        decompressed(io.BytesIO(way(b"a,b") + b"\nmore")).read()


def test_a_zip_may_end_in_a_line_end() -> None:
    assert read(zip_members, zipped([("a", b"1")]) + b"\n") == [("a", b"1")]


# A6: files are known by their content


UNREADABLE = {
    "lz4": "04224d18", ".Z": "1f9d90", "lzip": "4c5a495001", "lzop": "894c5a4f000d0a1a0a",
    "7z": "377abcaf271c", "rar": "526172211a07", "lzma": "5d00008000ffffffffffffffff", "snappy": "ff060000734e61507059",
}  # fmt: skip


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_compression_that_is_not_read_is_named(name: str) -> None:
    data = bytes.fromhex(UNREADABLE[name]) + bytes(range(100))
    for reader in (tar_members, csv_rows, lambda file: [decompressed(file)]):
        with pytest.raises(
            DecodeError, match=rf"compressed as {re.escape(name)}.*Decompress it with `\w+ .*use that file"
        ):
            list(reader(io.BytesIO(data)))
    with pytest.raises(DecodeError, match=rf"is a {re.escape(name)}.* file, not a zip archive"):
        read(zip_members, data)


def test_brotli_has_no_mark_but_its_name() -> None:
    file = io.BytesIO(b"\x8b\x02\x80a,b\n\x03")
    file.name = "t.csv.br"
    with pytest.raises(DecodeError, match="compressed as brotli"):
        next(csv_rows(file))


@pytest.mark.parametrize(("method", "name"), [(9, "deflate64"), (93, "zstd|unknown"), (98, "ppmd"), (95, "xz|unknown")])
def test_a_method_of_zip_that_is_not_read_is_named(method: int, name: str) -> None:
    with pytest.raises(DecodeError, match=rf"a in the stream is compressed by method {method} \(({name})\)"):
        read(zip_members, changed(zipped([("a", b"1")]), 8, method, "<H"))


@pytest.mark.parametrize(
    ("reader", "data", "kind"),
    [
        (zip_members, gzip.compress(tarred([("a", b"1")]), mtime=0), "a gzip file"),
        (zip_members, tarred([("a", b"1")]), "a tar archive"),
        (zip_members, b"", "empty"), (zip_members, b"<!DOCTYPE html><title>Login</title>", "an HTML page"),
        (tar_members, zipped([("a", b"1")]), "a zip archive"), (tar_members, b"", "empty"),
    ],
    ids=["gzip", "tar", "empty zip", "html", "zip", "empty tar"],
)  # fmt: skip
def test_another_kind_of_file_is_named(reader: Any, data: bytes, kind: str) -> None:
    with pytest.raises(DecodeError, match=rf"is {kind}, not a (zip|tar) archive"):
        read(reader, data)


@pytest.mark.parametrize("head", [b"\x1f\x8b", b"BZh9", b"\xfd7", b"\xfd7zX", b"\xfd7zXZ"])
def test_a_header_that_is_cut_is_truncated_and_no_content(head: bytes) -> None:
    with pytest.raises(DecodeError, match="truncated"):
        decompressed(io.BytesIO(head)).read()


@pytest.mark.parametrize("text", [b"BZhello,b\n1,2\n", b"BZ", b"B", b"PK", b"7z,b\n"])
def test_text_that_begins_like_a_mark_is_text(text: bytes) -> None:
    assert decompressed(io.BytesIO(text)).read() == text


# A7: names in other encodings, and names that are equal


def test_names_in_utf_8_without_the_flag_are_read_and_match() -> None:
    name = "train/été/1.png"
    apart = "train/e\u0301te\u0301/1.png"
    for written in (name, apart):
        for pattern in ("*", "train/été/*", "train/e\u0301te\u0301/*"):
            assert read(zip_members, zipped([(written, b"1")]), pattern) == [(written, b"1")]


def test_names_in_other_encodings_are_read_as_the_caller_says() -> None:
    data = zipped([("e\u00e9.txt", b"1")]).replace(b"e\xc3\xa9.txt", b"e\xe9\xe8.txt")
    assert [name for name, _ in read(zip_members, data)] == ["eΘΦ.txt"]  # cp437, as the format says
    assert [name for name, _ in read(zip_members, data, encoding="latin-1")] == ["eéè.txt"]
    with pytest.raises(DecodeError, match=r"b'e\\xe9\\xe8.txt', which is not ascii text"):
        read(zip_members, data, encoding="ascii")
    data = tarred([("é.txt", b"1")], format=tarfile.GNU_FORMAT, encoding="latin-1")
    assert read(tar_members, data, encoding="latin-1") == [("é.txt", b"1")]
    with pytest.raises(DecodeError, match=r"b'\\xe9.txt', which is not utf-8 text.*encoding='latin-1'"):
        read(tar_members, data)


@either
@pytest.mark.parametrize("other", ["./a/b", "a//b", "a\\b", "a/c/../b", "a/./b"])
def test_names_that_are_equal_are_an_error(reader: Any, pack: Any, other: str) -> None:
    with pytest.raises(DecodeError, match="two members named 'a/b'"):
        read(reader, pack([("a/b", b"1"), (other, b"2")]))


def test_names_of_the_same_letters_are_equal() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("\u00e9", "1")
        made.writestr("e\u0301", "2")
    for reader, data in ((zip_members, out.getvalue()), (tar_members, tarred([("\u00e9", b"1"), ("e\u0301", b"2")]))):
        with pytest.raises(DecodeError, match="two members"):
            read(reader, data)


@either
@pytest.mark.parametrize(
    "options",
    [{"encoding": "latin_99"}, {"encoding": 5}, {"most": -1}, {"most": "1"}, {"pattern": 5}, {"pattern": b"*"}],
)
def test_a_wrong_argument_is_a_usage_error(reader: Any, pack: Any, options: Any) -> None:
    with pytest.raises(UsageError):
        read(reader, pack([("a", b"1")]), **options)
    with pytest.raises(UsageError, match="open"):
        list(reader("a.zip"))


# Members as files


@either
@pytest.mark.parametrize("size", [10, 3 << 20])
def test_an_archive_is_read_twice_and_in_turn(reader: Any, pack: Any, size: int) -> None:
    file = io.BytesIO(pack([("a.txt", b"1" * size), ("b.png", b"2" * size), ("c.txt", b"3" * size)]))
    label = next(reader(file, "c.txt"))
    assert [member.name for member in reader(file)] == ["a.txt", "b.png", "c.txt"]
    assert [one.read(3) + two.read(3) for one, two in zip(reader(file, "*.txt"), reader(file, "[bc]*"))] == [
        b"111222", b"333333",
    ]  # fmt: skip
    assert label.read() == b"3" * size


@pytest.mark.parametrize("mode", ["w", "w:gz", "zip"])
def test_members_may_be_read_later_in_any_order_and_sought(mode: str) -> None:
    files = [(f"{k}", bytes([k]) * (2 << 20)) for k in range(3)]
    data = zipped(files) if mode == "zip" else tarred(files, mode)
    kept = list((zip_members if mode == "zip" else tar_members)(io.BytesIO(data)))
    assert [(member.name, bytes(member.getbuffer())) for member in reversed(kept)] == files[::-1]
    assert kept[1].seek(-2, io.SEEK_END) == (2 << 20) - 2 and kept[1].read() == b"\1\1"
    assert kept[1].seek(5) == 5 and kept[1].read(2) == b"\1\1" and kept[1].tell() == 7


def test_members_may_be_read_by_threads() -> None:
    files = [(f"{k}", bytes([k]) * (3 << 20)) for k in range(4)]
    wrong: list[str] = []

    def check(member: Any, content: bytes) -> None:
        if b"".join(iter(lambda: member.read(10_000), b"")) != content:
            wrong.append(member.name)

    for reader, data in ((zip_members, zipped(files, 0)), (tar_members, tarred(files))):
        threads = [
            threading.Thread(target=check, args=(member, content))
            for member, (_, content) in zip(list(reader(io.BytesIO(data))), files)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_an_archive_in_an_archive_is_read() -> None:
    inner = zipped([("a.csv", b"n\n1\n")])
    (member,) = tar_members(io.BytesIO(tarred([("in.zip", inner)], "w:gz")))
    (table,) = zip_members(member)
    assert list(csv_rows(table)) == [{"n": "1"}]
    assert read(zip_members, inner) == [
        (m.name, m.read()) for m in zip_members(decompressed(io.BytesIO(gzip.compress(inner))))
    ]


def test_a_slice_is_the_part_of_a_file() -> None:
    part = io.BufferedReader(Slice(io.BytesIO(b"0123456789"), 2, 5, "part", threading.Lock()))
    assert (part.read(2), part.seek(1, io.SEEK_CUR), part.read(), part.seek(0), part.read(1)) == (
        b"23",
        3,
        b"56",
        0,
        b"2",
    )


def test_the_examples_in_the_docstrings_run() -> None:
    assert doctest.testmod(members).attempted and not doctest.testmod(members).failed
    assert tar_file.tar_members is tar_members and compressed.decompressed is decompressed
