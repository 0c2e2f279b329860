"""Stores pictures as the files that they came in, and decodes them on reading.

simplejpeg (libjpeg-turbo) decodes JPEG if it is installed. Pillow decodes all other pictures.
"""

import functools
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Mapping, NamedTuple, Sequence

import numpy as np

from dataset_assets.core.limits import too_large
from dataset_assets.errors import DefinitionError, NotInstalled
from dataset_assets.formats.array import checked_shape
from dataset_assets.formats.arrow import ArrowWriter
from dataset_assets.formats.decoded import (
    Check,
    Decoded,
    DecodedColumn,
    Undecodable,
    checked_check,
    checked_most,
    encoded_column,
    encoded_writer,
)
from dataset_assets.formats.format import FILE_BYTES, Format, Parts

MODES = {"L": 1, "RGB": 3, "RGBA": 4, "P": 1, "I;16": 1}
EXACT_MODES = ("P", "I;16")
"""Modes that no picture is converted to: the numbers of a palette, and grey values of 16 bits."""
KINDS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
MOST_PIXELS = 1 << 26

_PALETTE = (
    "Some PNGs are indexed, and are read as the colours of their palette, not as its numbers. If the numbers are "
    'classes, as in a mask, declare Image("P").'
)
_ANIMATION = "Some pictures are animations, of which only the first picture is read. Store them as Bytes to read all."
_PNG, _INDEXED = b"\x89PNG\r\n\x1a\n", 3
_JPEG = b"\xff\xd8\xff"
# The colour spaces that libjpeg converts to grey or RGB.
_PLAIN = ("Gray", "YCbCr", "RGB")
_OWN_MODE = {"1": "L", "L": "L", "RGB": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "P": "RGB",
             "LA": "RGBA", "PA": "RGBA", "RGBA": "RGBA"}  # fmt: skip


class Picture(NamedTuple):
    """The header of a picture's file: its kind, its own mode, and its size in pixels."""

    kind: str
    mode: str
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.kind}, {self.mode}, {self.height} x {self.width} pixels"


@dataclass(frozen=True)
class Image(Format):
    """A value is the bytes of a picture's file when written, a uint8 array (height, width, channels) when read.

    Every picture is converted to `mode`: "L" (one channel), "RGB" or "RGBA". None keeps each picture's own: "RGBA" if
    it is transparent, "L" if it is grey, else "RGB". Two modes convert nothing: "P" gives the numbers of an indexed
    picture's palette, such as the class of each pixel of a mask; "I;16" gives a grey picture of 16 bits as uint16. A
    picture of 16 bits in another mode is refused if that is not declared. `shape` (height, width) is that of all
    pictures. A mode or shape that is not declared is taken from the pictures if all agree. An EXIF orientation is not
    applied. An animation is read as its first picture.

    Writing a value that is not a picture, or has a different shape, raises `SchemaError`. `check="header"` checks the
    header only, "nothing" skips the check. A picture with more pixels than `most_pixels`, or more decoded bytes than
    the setting `max_value_bytes`, is never decoded.
    """

    mode: str | None = None
    shape: tuple[int, ...] | None = None
    check: Check = "decode"
    most_pixels: int = MOST_PIXELS

    name: ClassVar[str] = "image"
    suffix: ClassVar[str] = ".arrow"
    version: ClassVar[int] = 1
    reads_each: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.mode is not None and self.mode not in MODES:
            raise DefinitionError(f"mode={self.mode!r} is not known. Write one of: {', '.join(MODES)}.")
        if self.shape is not None:
            object.__setattr__(self, "shape", checked_shape(self.shape))
            if len(self.shape) != 2 or not all(self.shape):
                raise DefinitionError(f"{self.shape} is not the shape of a picture. Write (height, width).")
        checked_most("most_pixels", self.most_pixels)
        if self.shape is not None and math.prod(self.shape) > self.most_pixels:
            raise DefinitionError(
                f"Pictures of shape {self.shape} have more than most_pixels={self.most_pixels}. Raise most_pixels."
            )
        checked_check(self.check)

    def parameters(self) -> dict[str, Any]:
        """Return the declared fields as JSON."""
        fields: dict[str, Any] = {"mode": self.mode, "shape": self.shape and list(self.shape)}
        declared = {name: value for name, value in fields.items() if value is not None}
        if self.check != "decode":
            declared["check"] = self.check
        if self.most_pixels != MOST_PIXELS:
            declared["most_pixels"] = self.most_pixels
        return declared

    def writer(self, folder: Path, file_bytes: int = FILE_BYTES) -> ArrowWriter:
        """Begin a stream."""
        return encoded_writer(self, Parts(folder, self.suffix, file_bytes))

    def open(self, opened: Sequence[BinaryIO]) -> DecodedColumn:
        """Open the files; each picture is decoded on access."""
        whole = None if self.mode is None or self.shape is None else (*self.shape, MODES[self.mode])
        return encoded_column(self, opened, whole, self._dtype)

    @property
    def _dtype(self) -> Any:
        return np.uint16 if self.mode == "I;16" else np.uint8

    def resolved(self, facts: set[Picture]) -> dict[str, Any]:
        """Return the parameters, with the mode and the shape if all pictures have the same."""
        modes, shapes = {one.mode for one in facts}, {(one.height, one.width) for one in facts}
        mode = self.mode or (modes.pop() if len(modes) == 1 else None)
        shape = self.shape or (shapes.pop() if len(shapes) == 1 else None)
        return Image(mode, shape, self.check, self.most_pixels).parameters()

    def merge(self, first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of two parts of a stream: what all pictures have in common."""
        return {name: value for name, value in first.items() if second.get(name) == value}

    def like(self, first: Picture) -> "Image":
        """Return this format: pictures of different modes and sizes may follow each other."""
        return self

    def facts(self, data: Any) -> Picture:
        """Return the facts in the header of a picture."""
        turbo = _simplejpeg() if data[:3] == _JPEG else None
        picture = _jpeg_facts(turbo, data) if turbo else None
        if picture is None or self.mode in EXACT_MODES:
            with _opened(data) as image:
                picture = self._facts(image)
        self._check(picture)
        return picture

    def decode(self, data: Any, into: Decoded | None = None) -> Decoded:
        """Return the picture's pixels, in `into` if that is an array."""
        turbo = _simplejpeg() if data[:3] == _JPEG else None
        picture = _jpeg_facts(turbo, data) if turbo else None
        mode = self.mode or (picture.mode if picture else None)
        if turbo is None or picture is None or mode in ("RGBA", *EXACT_MODES):
            return self._by_pillow(data, into)
        self._check(picture)
        try:
            pixels: Decoded = turbo.decode_jpeg(data, "GRAY" if mode == "L" else "RGB", buffer=into)
        except ValueError as error:
            raise _damaged(error) from error
        return pixels if into is None else into

    def _by_pillow(self, data: Any, into: Decoded | None) -> Decoded:
        with _opened(data) as image:
            picture = self._facts(image)
            self._check(picture)
            mode = self.mode or picture.mode
            try:
                # Lets libjpeg convert colours to grey, as simplejpeg does.
                image.draft(mode, image.size)
                converted = image if mode in (image.mode, *EXACT_MODES) else image.convert(mode)
                pixels = np.array(converted).astype(self._dtype, copy=False)
            except Exception as error:  # a decoder may raise anything for damaged bytes
                raise _damaged(error) from error
        pixels = pixels.reshape(picture.height, picture.width, MODES[mode])
        if into is None:
            return pixels
        into[...] = pixels
        return into

    def _facts(self, image: Any) -> Picture:
        # Older versions of Pillow open a grey picture of 16 bits in mode I.
        known = ("I;16", "I") if self.mode == "I;16" else (self.mode,)
        if self.mode in EXACT_MODES and image.mode not in known:
            raise Undecodable(f"a picture of mode {image.mode}, which cannot be read as mode={self.mode!r}")
        own = self.mode if self.mode in EXACT_MODES else _own_mode(image)
        return Picture(image.format, own, image.height, image.width)

    def loss(self, data: Any) -> str | None:
        """Return what reading loses of a picture, or None. Raises `Undecodable` if it may not be lost."""
        if self.mode not in EXACT_MODES and bytes(data[:8]) == _PNG:
            if data[24] == 16 and self.mode is None:
                raise Undecodable('a PNG of 16 bits, of which 8 would be cut. Declare the conversion: Image("RGB")')
            if data[25] == _INDEXED:
                return _PALETTE
        return _ANIMATION if _is_animated(data) else None

    def _check(self, picture: Picture) -> None:
        pixels = picture.height * picture.width
        if pixels > self.most_pixels:
            raise Undecodable(
                f"a picture of {picture.width} x {picture.height} pixels, more than most_pixels={self.most_pixels} "
                "allows"
            )
        if why := too_large(pixels * MODES[self.mode or picture.mode] * np.dtype(self._dtype).itemsize):
            raise Undecodable(f"a picture of {picture.width} x {picture.height} pixels, {why}")
        if self.shape is not None and (own := (picture.height, picture.width)) != self.shape:
            raise Undecodable(f"a picture of height and width {own}, expected {self.shape}")


@functools.cache
def _simplejpeg() -> Any:
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg


def _jpeg_facts(turbo: Any, data: Any) -> Picture | None:
    """Return the facts of a JPEG, or None if libjpeg does not convert its colours to RGB."""
    try:
        height, width, colours, _ = turbo.decode_jpeg_header(data)
    except ValueError as error:
        raise _damaged(error) from error
    return Picture("JPEG", "L" if colours == "Gray" else "RGB", height, width) if colours in _PLAIN else None


def _opened(data: Any) -> Any:
    try:
        import PIL
        import PIL.Image as pillow
    except ImportError as error:
        raise NotInstalled(
            "Decoding pictures needs Pillow, which is not installed. Run: pip install 'dataset_assets[image]'"
        ) from error
    try:
        return pillow.open(io.BytesIO(data), formats=KINDS)
    except PIL.UnidentifiedImageError as error:
        raise Undecodable(f"{len(data)} bytes that are not a picture ({', '.join(KINDS)})") from error
    except pillow.DecompressionBombError as error:
        raise Undecodable(f"a picture that Pillow refuses ({error}); see PIL.Image.MAX_IMAGE_PIXELS") from error
    except Exception as error:
        raise _damaged(error) from error


def _is_animated(data: Any) -> bool:
    head = bytes(data[:4096])
    if head.startswith(b"GIF8"):
        with _opened(data) as image:
            try:
                return bool(image.is_animated)
            except Exception as error:  # a decoder may raise anything for damaged bytes
                raise _damaged(error) from error
    if head.startswith(_PNG):
        return b"\0\0\0\x08acTL" in head
    return head[8:16] == b"WEBPVP8X" and bool(head[20] & 2)


def _own_mode(image: Any) -> str:
    own = _OWN_MODE.get(image.mode)
    if own is None:
        hint = '; declare Image("I;16")' if image.mode in ("I;16", "I") else ""
        raise Undecodable(f"a picture of mode {image.mode}, whose values do not have 8 bits{hint}")
    return "RGBA" if own == "RGBA" or "transparency" in image.info else own


def _damaged(error: Exception) -> Undecodable:
    return Undecodable(f"a damaged picture ({' '.join(str(error).split()) or type(error).__name__})")
