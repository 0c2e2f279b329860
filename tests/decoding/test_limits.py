"""A file of few bytes takes no more memory and disk than settings allow, which its error names."""

import bz2
import csv
import doctest
import functools
import gzip
import io
import json
import lzma
import re
import struct
import tarfile
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from media import bomb, picture, sound
from memory import peak_of

from dataset_assets import Dataset, DerivedFile, Split
from dataset_assets.core import limits as limits_module
from dataset_assets.core.limits import limits
from dataset_assets.decoding import (
    csv_blocks,
    csv_rows,
    decompressed,
    idx,
    idx_blocks,
    json_lines,
    tar_members,
    zip_members,
)
from dataset_assets.errors import DatasetAssetsError, DecodeError, DefinitionError, Refused
from dataset_assets.formats import Array, Audio, Image
from dataset_assets.formats.decoded import Undecodable
from dataset_assets.making.steps import derive
from dataset_assets.retrieval.http_body import ungzipped

LOW = {
    "max_line_bytes": 1 << 16, "max_columns": 1000, "max_json_depth": 60, "max_value_bytes": 1 << 20,
    "max_decoded_bytes": 8 << 20,
}  # fmt: skip
MUCH = 64 << 20
Read = Callable[[Any], Any]


@pytest.fixture
def low(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in LOW.items():
        monkeypatch.setenv(f"DATASET_ASSETS_{name.upper()}", str(value))


def drained(reader: Callable[..., Any], **more: Any) -> Read:
    def read(file: Any) -> int:
        return sum(1 for _ in reader(file, **more))

    return read


def squeezed(piece: bytes, much: int = MUCH, before: bytes = b"") -> bytes:
    """Return a gzip file of a piece again and again."""
    part = piece * max(1, (1 << 20) // len(piece))
    return gzip.compress(before) + gzip.compress(part) * (much // len(part))


def idx_file(*shape: int) -> bytes:
    return bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()


def zip_of(content: bytes, kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", kind) as made:
        made.writestr("member", content)
    return out.getvalue()


def tar_of_empty(count: int) -> bytes:
    headers = b"".join(tarfile.TarInfo(f"{i}").tobuf(tarfile.USTAR_FORMAT) for i in range(count))
    return gzip.compress(headers + bytes(1024))


def nested(depth: int) -> bytes:
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}\n"


def whole(file: Any) -> bytes:
    return decompressed(file).read()


def streamed(file: Any) -> int:
    return sum(map(len, iter(functools.partial(decompressed(file).read, 1 << 16), b"")))


def members_whole(file: Any) -> int:
    return sum(len(member.read()) for member in zip_members(file))


rows, blocks, lines = drained(csv_rows), drained(csv_blocks), drained(json_lines)
names = b",".join(b"c%d" % i for i in range(5000)) + b"\n"
HOSTILE: dict[str, tuple[Read, Callable[[], bytes], str]] = {
    "one csv line": (rows, lambda: squeezed(b"a", before=b"a,b\n"), "max_line_bytes"),
    "one csv line, in blocks": (blocks, lambda: squeezed(b"a", before=b"a,b\n"), "max_line_bytes"),
    "a row of commas": (rows, lambda: squeezed(b",", before=b"a,b\n"), "max_line_bytes"),
    "a row that goes on in quotes": (rows, lambda: squeezed(b'"\n",', before=b"a,b\n"), "max_line_bytes"),
    "a csv line of NULs": (rows, lambda: squeezed(b"\0", before=b"a,b\n"), "max_line_bytes"),
    "a header without end": (rows, lambda: squeezed(b"name,"), "max_(columns|line_bytes)"),
    "too many columns": (rows, lambda: names, "max_columns"),
    "too many columns, in blocks": (blocks, lambda: names, "max_columns"),
    "one json line of zeros": (lines, lambda: squeezed(b"0"), "max_line_bytes"),
    "one json line of spaces": (lines, lambda: squeezed(b" "), "max_line_bytes"),
    "one json line of returns": (lines, lambda: squeezed(b'{"a": 1}\r'), "max_line_bytes"),
    "a json of depth 61": (lines, lambda: nested(61), "max_json_depth"),
    "a json of depth 30,000": (lines, lambda: nested(30_000), "max_json_depth"),
    "a gzip read whole": (whole, lambda: squeezed(b"a"), "max_value_bytes"),
    "a bzip2 read whole": (whole, lambda: bz2.compress(bytes(MUCH)), "max_value_bytes"),
    "an xz with a large dictionary": (
        whole,
        lambda: lzma.compress(b"a", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": MUCH}]),
        "max_value_bytes",
    ),
    "a stream without end": (streamed, lambda: squeezed(b"\n"), "max_decoded_bytes"),
    "an idx": (idx, lambda: squeezed(b"\0", before=idx_file(64, 1 << 20)), "max_value_bytes"),
    "an idx of one row": (drained(idx_blocks), lambda: squeezed(b"\0", before=idx_file(1, MUCH)), "max_value_bytes"),
    "a zip member": (drained(zip_members), lambda: zip_of(bytes(MUCH)), "max_decoded_bytes"),
    "a zip member read whole": (members_whole, lambda: zip_of(bytes(4 << 20)), "max_value_bytes"),
    "a tar of empty members": (drained(tar_members), lambda: tar_of_empty(12_000), "max_value_bytes"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_small_file_that_would_be_large_is_refused_by_a_setting_with_little_memory(what: str, low: None) -> None:
    read, made, setting = HOSTILE[what]
    file = io.BytesIO(made())
    next(csv_blocks(io.BytesIO(b"a\n1\n")))  # imports pyarrow

    def refused() -> None:
        with pytest.raises(
            (DecodeError, Refused), match=rf"The setting {setting} allows \d+\. .*export DATASET_ASSETS_"
        ) as caught:
            read(file)
        assert len(str(caught.value)) < 600

    assert peak_of(refused) < 8 << 20


def test_the_command_of_the_error_raises_the_limit(low: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for data, read in (
        (b"a\n" + b"x" * 100_000, rows),
        (nested(100), lines),
        (b",".join(names.split(b",")[:1500]), rows),
    ):
        with pytest.raises(DecodeError) as caught:
            read(io.BytesIO(data))
        name, value = re.findall(r"export (\w+)=(\w+)$", str(caught.value))[0]
        monkeypatch.setenv(name, value)
        assert read(io.BytesIO(data)) in (0, 1)


def test_the_examples_in_the_docstrings_run() -> None:
    found = doctest.testmod(limits_module)
    assert found.attempted and not found.failed


def test_the_limits_are_those_of_the_settings_at_once(low: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits()._asdict() == LOW
    monkeypatch.delenv("DATASET_ASSETS_MAX_COLUMNS")
    assert limits().max_columns == 1_000_000


# What honest files have


def test_long_lines_and_wide_tables_that_are_honest_are_read() -> None:
    long = "word, " * 3_000_000
    assert next(json_lines(io.BytesIO(json.dumps({"text": long}).encode()))) == {"text": long}
    limit = csv.field_size_limit(1 << 30)
    try:
        assert next(csv_rows(io.BytesIO(f'text\n"{long}"\n'.encode()))) == {"text": long}
    finally:
        csv.field_size_limit(limit)


def test_json_is_as_deep_as_its_lists_and_objects_and_not_as_its_strings_say() -> None:
    flat = {"boxes": [[1, 2], [3, 4]] * 1000, "text": '\\"[{' * 1000, "\\": "[" * 1000, "more": [{"a": "]"}] * 1000}
    assert next(json_lines(io.BytesIO(json.dumps(flat).encode()))) == flat
    assert lines(io.BytesIO(nested(200))) == 1
    hidden = b'{"a":' + b'["]",' * 200 + b"1" + b',"["]' * 200 + b"}\n"
    for deep in (nested(201), hidden):
        with pytest.raises(DecodeError, match="nested too deep on line 2. .*max_json_depth allows 200"):
            lines(io.BytesIO(b"{}\n" + deep))


def test_rows_wider_than_a_block_of_pyarrow_are_read_as_csv_rows_reads_them() -> None:
    data = b",".join(b"%01000d" % i for i in range(10_000)) + b"\n" + b",".join([b"7"] * 10_000) + b"\n"
    assert [block.num_rows for block in csv_blocks(io.BytesIO(data), types="uint8")] == [1]
    assert blocks(io.BytesIO(b"a\n1\n" + b"x" * (20 << 20))) == 2
    with pytest.raises(DecodeError, match="row of more than 67108864 bytes on line 3. The setting max_line_bytes"):
        blocks(io.BytesIO(b"a\n1\n" + b"x" * (80 << 20)))


def test_a_table_of_many_columns_is_read_in_a_time_that_grows_with_its_width() -> None:
    many = [f"c{i}" for i in range(60_000)]
    data = (",".join(many) + "\n" + ",".join(["1"] * len(many)) + "\n").encode()
    began = time.process_time()
    assert [len(row) for row in csv_rows(io.BytesIO(data))] == [60_000]
    assert [len(row) for row in csv_rows(io.BytesIO(data), columns=many[::-2])] == [30_000]
    with pytest.raises(DecodeError, match="2 columns named 'c59999'"):
        rows(io.BytesIO(b"c59999," + data))
    with pytest.raises(DecodeError, match="no column 'c60000'"):
        drained(csv_rows, columns=["c60000"])(io.BytesIO(data))
    assert time.process_time() - began < 4


# What lies about itself


@pytest.mark.parametrize("kind", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_member_is_unpacked_only_as_far_as_it_says(kind: int) -> None:
    data = bytearray(zip_of(bytes(MUCH), kind))
    for magic, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(magic) + place
        data[at : at + 4] = struct.pack("<I", 10)

    def refused() -> None:
        with pytest.raises(DecodeError, match="not a complete archive"):
            list(zip_members(io.BytesIO(bytes(data))))

    assert peak_of(refused) < 16 << 20


def test_a_zip_whose_directory_is_enormous_is_refused_before_it_is_read(low: None) -> None:
    member = zip_of(b"x")
    start = member.index(b"PK\x01\x02")
    end = bytearray(member[member.index(b"PK\x05\x06") :])
    entries = member[start : member.index(b"PK\x05\x06")] * 40_000
    end[12:16] = struct.pack("<I", len(entries))
    with pytest.raises(DecodeError, match=r"a directory of \d+ bytes. The setting max_value_bytes"):
        list(zip_members(io.BytesIO(member[:start] + entries + bytes(end))))


def test_headers_of_a_tar_that_follow_each_other_are_an_error_of_ours() -> None:
    header = tarfile.TarInfo("x")
    header.pax_headers = {"comment": "a"}
    alone = header.tobuf(tarfile.PAX_FORMAT)[:1024]
    with pytest.raises(DecodeError, match="not a complete archive"):
        list(tar_members(io.BytesIO(alone * 2000 + bytes(1024))))


@pytest.mark.parametrize("shape", [(0, 1 << 31, 1 << 31, 4), (0, *[2**32 - 1] * 3), (5, 0, *[2**32 - 1] * 4)])
@pytest.mark.parametrize("read", [idx, drained(idx_blocks)])
def test_an_idx_of_nothing_times_much_is_an_error_of_ours(shape: tuple[int, ...], read: Read) -> None:
    with pytest.raises(DecodeError, match="0 x "):
        read(io.BytesIO(idx_file(*shape)))


def test_empty_members_of_gzip_take_a_time_that_grows_with_their_number() -> None:
    many = gzip.compress(b"") * 50_000
    began = time.process_time()
    assert b"".join(ungzipped([many], keep=False)) == decompressed(io.BytesIO(many)).read() == b""
    assert time.process_time() - began < 2


# Pictures, sounds, derived files, answers


def test_a_picture_of_more_bytes_than_the_setting_allows_is_not_decoded(low: None) -> None:
    for data in (picture(height=600, width=600), picture("JPEG", 600, 600), bomb(1100, 1000)):
        for look in (Image().facts, Image().decode):
            with pytest.raises(Undecodable, match="bytes when decoded. The setting max_value_bytes allows 1048576"):
                look(data)
    with pytest.raises(Undecodable, match="exceeds limit"):
        Image(most_pixels=1 << 40).facts(bomb(50_000, 50_000))


def test_a_sound_that_claims_to_be_endless_is_not_decoded(low: None) -> None:
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, np.zeros(100, "f4"), 8000, "PCM_16", format="FLAC")
    flac = bytearray(out.getvalue())
    flac[21] |= 0x0F
    flac[22:26] = b"\xff" * 4
    for kind in (Audio(), Audio(most_values=1 << 40)):
        with pytest.raises(Undecodable, match="68719476735 frames .*(most_values|max_value_bytes)"):
            kind.decode(bytes(flac))
    with pytest.raises(Undecodable, match="max_value_bytes allows 1048576"):
        Audio().decode(sound(300_000))


@pytest.mark.parametrize("bad", [{"most_pixels": 0}, {"most_pixels": 1e9}, {"shape": (10**9, 10**9)}])
def test_a_definition_of_endless_pictures_is_refused(bad: Any) -> None:
    with pytest.raises(DefinitionError, match="most_pixels"):
        Image(**bad)
    with pytest.raises(DefinitionError, match="most_values"):
        Audio(most_values=0)


def test_a_derived_file_without_end_is_not_written_without_end(low: None, tmp_path: Path) -> None:
    def endless() -> Any:
        while True:
            yield bytes(1 << 20)

    def split(file: Any) -> Any:
        yield {"value": 1}

    file = DerivedFile("all.bin", endless)
    dataset = Dataset("com.example.endless", "Endless.", {"value": Array("uint8")}, {"all": Split(split, file=file)})
    with pytest.raises(DatasetAssetsError, match="more than 8388608 bytes. The setting max_decoded_bytes"):
        derive(dataset, file, tmp_path, {})
    assert sum(path.stat().st_size for path in tmp_path.rglob("*")) < 10 << 20


def test_an_answer_in_gzip_is_not_written_without_end(low: None) -> None:
    with pytest.raises(DecodeError, match="max_decoded_bytes allows 8388608"):
        for piece in ungzipped([squeezed(b"\0")], keep=False):
            assert len(piece) <= 1 << 20


def test_a_checksum_of_a_zip_member_counts() -> None:
    data = zip_of(b"content", zipfile.ZIP_STORED).replace(b"content", b"c0ntent", 1)
    assert zlib.crc32(b"content") != zlib.crc32(b"c0ntent")
    with pytest.raises(DecodeError, match="checksum"):
        list(zip_members(io.BytesIO(data)))
