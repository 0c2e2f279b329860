"""Random files of the field's own writers, cut or with a byte changed: the right data or an error of ours, never less.

CSV, JSON lines and tar have no checksum: a changed byte may be other data there, so they are cut only, and CSV in gzip.
What is behind the end of a text, or a cut at the end of a line, is no damage that a reader could see.
"""

import bz2
import csv
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.decoding import csv_blocks, csv_rows, decompressed, json_lines, tar_members, zip_members
from dataset_assets.errors import DatasetAssetsError, DecodeError

FILES = st.dictionaries(st.sampled_from(["a.txt", "d/b.bin", "é.csv", "c"]), st.binary(max_size=3000), min_size=1)
WORDS = st.text(st.sampled_from('ab1é ,"\n\\{}:'), max_size=8)
VALUES = st.recursive(
    WORDS | st.integers(),
    lambda some: st.lists(some, max_size=2) | st.dictionaries(WORDS, some, max_size=2),
    max_leaves=4,
)
PACK = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}


def zipped(files: dict[str, bytes], method: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        for name, content in files.items():
            made.writestr(zipfile.ZipInfo(name), content, method)
    return out.getvalue()


def tarred(files: dict[str, bytes], form: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as made:
        for name, content in files.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            made.addfile(header, io.BytesIO(content))
    return out.getvalue()


def found(read: Any, data: bytes) -> Any:
    """Return what is read, or None for an error of ours."""
    try:
        return read(io.BytesIO(data))
    except DatasetAssetsError:
        return None


def contents(reader: Any) -> Any:
    return lambda file: {member.name: member.read() for member in reader(file)}


flips = st.tuples(st.integers(0, 1 << 20), st.integers(1, 255))


def flipped(data: bytes, flip: tuple[int, int], start: int = 0) -> bytes:
    place = start + flip[0] % (len(data) - start)
    return data[:place] + bytes([data[place] ^ flip[1]]) + data[place + 1 :]


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_what_follows_a_compressed_file_is_named(compress: Any) -> None:
    with pytest.raises(DecodeError, match="has b'junk' after its .* stream, after 3 bytes"):
        decompressed(io.BytesIO(compress(b"abc") + b"junk")).read()


@settings(deadline=None, max_examples=40)
@given(files=FILES, method=st.sampled_from([0, 8, 12, 14]), flip=flips, cut=st.integers(0, 1 << 20))
def test_a_zip_gives_the_right_files_or_an_error(files: Any, method: int, flip: Any, cut: int) -> None:
    data, read = zipped(files, method), contents(zip_members)
    assert read(io.BytesIO(data)) == files
    assert found(read, data[: cut % len(data)]) is None
    assert found(read, flipped(data, flip)) in (None, files)


@settings(deadline=None, max_examples=40)
@given(files=FILES, way=st.sampled_from([*PACK]), flip=flips, cut=st.integers(0, 1 << 20),
       form=st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))  # fmt: skip
def test_a_compressed_tar_gives_the_right_files_or_an_error(
    files: Any, way: str, flip: Any, cut: int, form: int
) -> None:
    plain, read = tarred(files, form), contents(tar_members)
    data = PACK[way](plain)
    assert read(io.BytesIO(data)) == files
    assert found(read, data[: cut % len(data)]) is None
    # Changed marks are of no compression, and so of no tar.
    assert found(read, flipped(data, flip)) in (None, files)
    # A plain tar has no checksum of contents; cut before the blocks that end it, it is refused.
    assert found(read, plain[: cut % (len(plain.rstrip(b"\0")) + 1)]) is None


@settings(deadline=None, max_examples=40)
@given(table=st.lists(st.tuples(WORDS, WORDS), max_size=8), flip=flips, cut=st.integers(0, 1 << 20),
       way=st.sampled_from([*PACK]))  # fmt: skip
def test_a_compressed_csv_gives_the_right_rows_or_an_error(table: Any, flip: Any, cut: int, way: str) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([("x", "y"), *table])
    data, expected = PACK[way](out.getvalue().encode()), [dict(zip("xy", row)) for row in table]

    def by_rows(file: Any) -> Any:
        return list(csv_rows(file, quoting='"'))

    def by_blocks(file: Any) -> Any:
        return [row for block in csv_blocks(file, types=str, quoting='"') for row in block.to_pylist()]

    for read in (by_rows, by_blocks):
        assert found(read, data) == expected
        # A file of three bytes or fewer may have no mark.
        assert found(read, data[: max(cut % len(data), 4)]) is None
        # What has no mark any more is no text either: the readers refuse it. Only bare bytes would pass.
        assert found(read, flipped(data, flip, start=4)) in (None, expected)


@settings(deadline=None, max_examples=40)
@given(objects=st.lists(st.dictionaries(WORDS, VALUES, max_size=3), min_size=1, max_size=5),
       cut=st.integers(0, 1 << 20), spaced=st.booleans())  # fmt: skip
def test_json_lines_give_the_objects_before_a_cut_or_an_error(objects: Any, cut: int, spaced: bool) -> None:
    separators = (" , ", " : ") if spaced else (",", ":")
    lines = [json.dumps(one, separators=separators, ensure_ascii=False) for one in objects]
    data = "\n".join(lines).encode()
    assert list(json_lines(io.BytesIO(data))) == objects
    short = data[: cut % len(data)]
    whole = short.count(b"\n") + (short.endswith(b"}") and short.split(b"\n")[-1] == lines[short.count(b"\n")].encode())
    result = found(lambda file: list(json_lines(file)), short)
    assert result in (None, objects[:whole])


# An object that has a key twice


def deep(inner: str, depth: int) -> str:
    return '{"k": [' * depth + inner + "]}" * depth


@settings(deadline=None, max_examples=40)
@given(keys=st.lists(WORDS, min_size=1, max_size=4, unique=True), depth=st.integers(0, 3), value=WORDS,
       space=st.sampled_from(["", " ", "\t", "  "]), before=st.integers(0, 2), escaped=st.booleans())  # fmt: skip
def test_a_key_twice_in_an_object_is_an_error_and_twice_in_a_line_is_not(
    keys: Any, depth: int, value: str, space: str, before: int, escaped: bool
) -> None:
    def pairs(names: list[str]) -> str:
        return ",".join(json.dumps(name, ensure_ascii=escaped) + space + ":" + json.dumps(value) for name in names)

    once, twice = "{" + pairs(keys) + "}", "{" + pairs([*keys, keys[-1]]) + "}"
    fine = "{" + f'"p": {deep(once, depth)}, "q": {deep(once, depth)}' + "}\n"
    assert len(list(json_lines(io.BytesIO((fine * (before + 1)).encode())))) == before + 1
    for wrong in (deep(twice, depth), "{" + f'"p": {deep(once, depth)}, "p": 1' + "}"):
        with pytest.raises(DecodeError, match=f"twice on line {before + 1}. Remove one"):
            list(json_lines(io.BytesIO((fine * before + wrong).encode())))


def test_bare_bytes_are_returned_as_they_are_without_a_mark() -> None:
    data = gzip.compress(b"content")
    assert decompressed(io.BytesIO(b"\0" + data[1:])).read() == b"\0" + data[1:]
