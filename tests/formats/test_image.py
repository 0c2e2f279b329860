"""Pictures: stored as they came, decoded when they are read."""

import io
import struct
import subprocess
import sys
import zlib
from hashlib import sha256
from pathlib import Path
from typing import Any, Sequence

import numpy as np
import PIL.Image
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media import bomb, picture, pixels
from places import TESTS

from dataset_assets.errors import DecodeError, DefinitionError, SchemaError
from dataset_assets.formats import Format, Image
from dataset_assets.formats import image as image_module
from dataset_assets.formats.decoded import Undecodable, in_threads
from dataset_assets.testing import FormatTests
from dataset_assets.testing.formats import written, written_and_opened

RAMP = TESTS / "data" / "ramp.jpg"
OF_ALL_KINDS = [("PNG", 3), ("JPEG", 3), ("PNG", 1), ("JPEG", 1), ("PNG", 4), ("GIF", 3), ("WEBP", 3), ("BMP", 3)]
MIXED = [picture(kind, 9 + k, 7 + k, channels, k) for k, (kind, channels) in enumerate(OF_ALL_KINDS)]


def by_pillow(data: bytes, mode: str) -> Any:
    with PIL.Image.open(io.BytesIO(data)) as image:
        image.draft(mode, image.size)
        array = np.asarray(image.convert(mode))
    return array.reshape(*array.shape[:2], -1)


def digest(array: Any) -> str:
    return sha256(f"{array.dtype}{array.shape}".encode() + array.tobytes()).hexdigest()[:16]


def refused(format: Image, values: list[Any], folder: Path) -> str:
    with pytest.raises(SchemaError) as caught:
        written(format, [values], folder)
    return str(caught.value)


class PictureTests(FormatTests):
    """What is written is a file, what is read its pixels: they are held against those that Pillow finds."""

    mode: str | None = None

    def same(self, read: Any, written: Any) -> bool:
        if isinstance(read, bytes):
            return read == written
        mode = self.mode or {1: "L", 3: "RGB", 4: "RGBA"}[read.shape[2]]
        return read.dtype == np.uint8 and np.array_equal(read, by_pillow(written, mode))

    def read_elsewhere(self, path: Path) -> Sequence[Any]:
        with pyarrow.OSFile(str(path)) as file:
            found: list[bytes] = pyarrow.ipc.open_file(file).read_all().column("value").to_pylist()
        return found


class TestPicturesOfAllKinds(PictureTests):
    @pytest.fixture
    def format(self) -> Format:
        return Image()

    @pytest.fixture
    def values(self) -> list[Any]:
        return MIXED


class TestPicturesOfOneShape(PictureTests):
    mode = "RGB"

    @pytest.fixture
    def format(self) -> Format:
        return Image("RGB", (24, 32))

    @pytest.fixture
    def values(self) -> list[Any]:
        return [picture(kind, 24, 32, seed=k) for k, kind in enumerate(("JPEG", "PNG", "JPEG", "JPEG", "PNG"))]


class TestGreyPictures(PictureTests):
    mode = "L"

    @pytest.fixture
    def format(self) -> Format:
        return Image("L", check="header", most_pixels=10_000)

    @pytest.fixture
    def values(self) -> list[Any]:
        return MIXED[:5]


def test_a_picture_is_bytes_of_height_width_and_channels(tmp_path: Path) -> None:
    column = written_and_opened(Image(), [MIXED], tmp_path)
    assert [column[i].shape[2] for i in range(5)] == [3, 3, 1, 1, 4]
    assert {column[i].dtype for i in range(5)} == {np.dtype(np.uint8)}
    np.testing.assert_array_equal(column[0], pixels(9, 7, 3, 0))


def test_pictures_of_one_shape_are_one_array_and_others_a_list(tmp_path: Path) -> None:
    equal_ones = written_and_opened(Image(), [[picture(seed=k) for k in range(5)]], tmp_path / "equal")
    block = equal_ones.take(np.array([4, 0]))
    assert block.shape == (2, 12, 16, 3) and block.flags.owndata and block.flags.writeable
    assert equal_ones.slice(0, 0).shape == (0, 12, 16, 3)
    unequal = written_and_opened(Image(), [MIXED], tmp_path / "unequal")
    assert isinstance(unequal.slice(0, 3), list)
    assert unequal.take(np.array([1, 1])).shape == (2, 10, 8, 3)


def test_the_mode_and_the_shape_that_all_have_are_kept_with_the_stream(tmp_path: Path) -> None:
    _, one = written(Image(), [[picture(), picture("JPEG")]], tmp_path / "one")
    _, other = written(Image(), [[picture(), picture(height=5)]], tmp_path / "other")
    _, none = written(Image(), [MIXED], tmp_path / "none")
    assert (one, other, none) == ({"mode": "RGB", "shape": [12, 16]}, {"mode": "RGB"}, {})


def test_pixels_are_golden(tmp_path: Path) -> None:
    # The file is kept, because the next version of an encoder may write another one.
    values = [RAMP.read_bytes(), picture("PNG", 3, 5), picture("BMP", 3, 5, 1)]
    column = written_and_opened(Image(), [values], tmp_path)
    assert [digest(column[i]) for i in range(3)] == ["464226f87162f5b0", "0c849b2d854c47b6", "ce561c64e9b28091"]


def test_both_decoders_of_jpeg_find_the_same_pixels() -> None:
    for channels in (1, 3):
        for more in ({}, {"progressive": True}, {"quality": 30}):
            data = picture("JPEG", 33, 47, channels, **more)
            for mode in ("L", "RGB", "RGBA", None):
                format = Image(mode)
                np.testing.assert_array_equal(format.decode(data), format._by_pillow(data, None))


def test_a_jpeg_in_cmyk_becomes_rgb() -> None:
    out = io.BytesIO()
    PIL.Image.fromarray(pixels(channels=4), "CMYK").save(out, "JPEG")
    assert Image().facts(out.getvalue()).mode == "RGB" and Image().decode(out.getvalue()).shape == (12, 16, 3)


def test_an_orientation_is_not_applied_by_either_decoder() -> None:
    turned = PIL.Image.Exif()
    turned[0x0112] = 6
    data = picture("JPEG", 12, 16, exif=turned)
    assert Image().decode(data).shape == Image()._by_pillow(data, None).shape == (12, 16, 3)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"", "0 bytes that are not a picture"),
        (b"<html>Sign in</html>", "20 bytes that are not a picture"),
        (picture("JPEG")[:-40], "damaged"),
        (picture("PNG")[:-30], "damaged"),
        (picture("PNG")[:30], "not a picture"),
        (bomb(9000, 9000), "9000 x 9000 pixels, more than"),
        (bomb(60_000, 60_000), "exceeds limit"),
        ("text", "a value is a str"),
    ],
    ids=["empty", "html", "cut jpeg", "cut png", "cut head", "bomb", "great bomb", "text"],
)
def test_what_is_no_picture_is_an_error_when_it_is_written(value: Any, why: str, tmp_path: Path) -> None:
    said = refused(Image(), [picture(), picture(), value], tmp_path)
    assert "sample 2" in said and why in said


def test_a_picture_of_another_shape_is_an_error_when_it_is_written(tmp_path: Path) -> None:
    said = refused(Image(shape=(12, 16)), [picture(), picture(height=11)], tmp_path)
    assert "sample 1: a picture of height and width (11, 16), expected (12, 16)" in said


def test_values_of_more_than_8_bits_are_refused(tmp_path: Path) -> None:
    out = io.BytesIO()
    PIL.Image.fromarray(np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000).save(out, "PNG")
    assert "do not have 8 bits" in refused(Image(), [out.getvalue()], tmp_path)


def png(values: Any, mode: str | None = None) -> bytes:
    out = io.BytesIO()
    image = PIL.Image.fromarray(values)
    if mode == "P":
        image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0] + [0] * 253 * 3)
    image.save(out, "PNG")
    return out.getvalue()


IDS = np.array([[0, 1, 2], [255, 7, 7]], np.uint8)
DEEP = np.array([[0, 1, 255], [256, 40000, 65535]], np.uint16)


@pytest.mark.parametrize(("mode", "values"), [("P", IDS), ("I;16", DEEP)])
def test_numbers_of_masks_and_grey_values_of_16_bits_are_read_as_they_are(
    mode: str, values: Any, tmp_path: Path
) -> None:
    parts, parameters = written(Image(mode), [[png(values, mode)] * 3], tmp_path)
    column = Image(**parameters).open([part.path.open("rb") for part in parts])
    assert parameters == {"mode": mode, "shape": [2, 3]}
    for block in (column[1][None], column.slice(0, 3), column.take(np.array([2, 0]))):
        assert block.dtype == values.dtype and (block == values[None, :, :, None]).all()


@pytest.mark.parametrize(
    ("mode", "value", "message"),
    [
        ("P", picture(), "a picture of mode RGB, which cannot be read as mode='P'"),
        ("P", picture("JPEG"), "mode RGB, which cannot"),
        ("P", png(IDS), "mode L, which cannot"),
        ("I;16", png(IDS), "cannot be read as mode='I;16'"),
        (None, png(DEEP), r'do not have 8 bits; declare Image\("I;16"\)'),
    ],
)
def test_a_mode_that_converts_nothing_takes_pictures_of_this_mode_only(
    mode: Any, value: bytes, message: str, tmp_path: Path
) -> None:
    with pytest.raises(SchemaError, match=message):
        written(Image(mode), [[value]], tmp_path)


def deep_colours(values: Any) -> bytes:
    """Return a PNG with colours of 16 bits, which Pillow does not write."""
    height, width, _ = values.shape
    lines = b"".join(b"\0" + line.tobytes() for line in values)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def test_16_bit_colours_are_cut_only_where_that_is_declared(tmp_path: Path) -> None:
    deep = deep_colours(np.arange(12, dtype=">u2").reshape(2, 2, 3) * 5000)
    assert "a PNG of 16 bits, of which 8 would be cut" in refused(Image(), [deep], tmp_path / "none")
    assert written_and_opened(Image("RGB"), [[deep]], tmp_path / "declared")[0].dtype == np.uint8


def test_it_says_so_if_the_numbers_of_a_palette_are_read_as_colours(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    written(Image(), [[png(IDS, "P")] * 3], tmp_path / "colours")
    assert [record.message for record in caplog.records] == [image_module._PALETTE]
    caplog.clear()
    written(Image("P"), [[png(IDS, "P")]], tmp_path / "numbers")
    written(Image(), [[picture(), png(IDS)]], tmp_path / "others")
    assert caplog.records == []


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_it_says_so_if_only_the_first_picture_of_an_animation_is_read(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, film = PIL.Image.new("RGB", (4, 3)), PIL.Image.new("RGB", (4, 3), "red"), io.BytesIO()
    first.save(film, kind, save_all=True, append_images=[second])
    written(Image(), [[film.getvalue()] * 2], tmp_path / "film")
    assert [record.message for record in caplog.records] == [image_module._ANIMATION]
    caplog.clear()
    written(Image(), [[picture(kind)]], tmp_path / "still")
    assert caplog.records == []


def test_without_a_check_whatever_comes_is_kept_and_an_error_when_it_is_read(tmp_path: Path) -> None:
    values = [picture(), b"no picture", bomb(9000, 9000)]
    column = written_and_opened(Image(check="nothing"), [values], tmp_path)
    assert [column.encoded[i] for i in range(3)] == values  # type: ignore[attr-defined]
    for row, why in ((1, "row 1: 10 bytes that are not a picture"), (2, "row 2: a picture of 9000 x 9000 pixels")):
        with pytest.raises(DecodeError, match=why):
            column[row]
    with pytest.raises(DecodeError, match="row 1"):
        column.slice(0, 3)


def test_the_head_alone_does_not_show_that_a_picture_is_cut(tmp_path: Path) -> None:
    cut = picture("JPEG", 60, 60)[:-200]
    column = written_and_opened(Image(check="header"), [[cut]], tmp_path)
    assert column.facts(0) == ("JPEG", "RGB", 60, 60)  # type: ignore[attr-defined]
    with pytest.raises(DecodeError, match="damaged"):
        column[0]


@pytest.mark.parametrize("bad", [{"mode": "rgb"}, {"shape": (3,)}, {"shape": (0, 3)}, {"check": "all"}])
def test_a_definition_that_cannot_be_is_refused(bad: Any) -> None:
    with pytest.raises(DefinitionError):
        Image(**bad)


def test_a_block_is_decoded_in_several_threads_and_in_order() -> None:
    import threading

    names: set[str] = set()

    def job(k: int) -> int:
        names.add(threading.current_thread().name)
        return k

    assert in_threads(job, 1000, 1 << 20) == list(range(1000))
    assert in_threads(lambda k: threading.current_thread().name, 5, 10) == ["MainThread"] * 5


@given(st.sampled_from(MIXED), st.data())
@settings(deadline=None, max_examples=300)
def test_whatever_happens_to_the_bytes_it_is_a_picture_or_undecodable(data: bytes, draw: st.DataObject) -> None:
    broken = bytearray(data)
    for _ in range(draw.draw(st.integers(0, 4))):
        broken[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    cut = bytes(broken[: draw.draw(st.integers(0, len(data)))]) if draw.draw(st.booleans()) else bytes(broken)
    try:
        found = Image(most_pixels=1 << 20).decode(memoryview(cut))
    except Undecodable as error:
        assert str(error)
    else:
        assert found.dtype == np.uint8 and found.ndim == 3


def test_without_pillow_the_error_names_the_extra(tmp_path: Path) -> None:
    (tmp_path / "png").write_bytes(picture())
    (tmp_path / "jpeg").write_bytes(picture("JPEG"))
    code = (
        "import sys; sys.modules['PIL'] = None\n"
        "from dataset_assets import Image\n"
        "print(Image().decode(open('jpeg', 'rb').read()).shape)\n"
        "Image().decode(open('png', 'rb').read())"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert "(12, 16, 3)" in found.stdout
    assert "NotInstalled" in found.stderr and "pip install 'dataset_assets[image]'" in found.stderr
