"""Pictures, stored as the files they came in and decoded when they are read.

JPEG is decoded by simplejpeg (libjpeg-turbo) where it is installed; the rest, and all without it, by Pillow.
"""

import functools
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NamedTuple, Sequence

import numpy as np

from dataset_assets.core.limits import too_large
from dataset_assets.errors import DefinitionError, UsageError
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
from dataset_assets.formats.format import FILE_BYTES, Parts

MODES = {"L": 1, "RGB": 3, "RGBA": 4}
KINDS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
MOST_PIXELS = 1 << 26

_JPEG = b"\xff\xd8\xff"
# What libjpeg turns into grey or RGB by itself.
_PLAIN = ("Gray", "YCbCr", "RGB")
_OWN_MODE = {"1": "L", "L": "L", "RGB": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "P": "RGB",
             "LA": "RGBA", "PA": "RGBA", "RGBA": "RGBA"}  # fmt: skip


class Picture(NamedTuple):
    """What the head of a picture's file says: its kind, its own mode, and its size in pixels."""

    kind: str
    mode: str
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.kind}, {self.mode}, {self.height} x {self.width} pixels"


@dataclass(frozen=True)
class Image:
    """A value is the bytes of a picture's file when written, a uint8 array (height, width, channels) when read.

    `mode` is "L" (one channel), "RGB" or "RGBA", into which every picture is converted; None gives each its own: "RGBA"
    if it is transparent, "L" if it is grey, else "RGB". `shape` (height, width) is that of all pictures. Both are taken
    from the pictures where these agree. Pixels are as they are encoded: an EXIF orientation is not applied. Of an
    animation, it is the first picture.

    A value that is no picture, or has another shape, is a `SchemaError` when it is written. `check="header"` looks at
    the head only, "nothing" keeps whatever comes. More pixels than `most_pixels`, or more bytes of them than the
    setting `max_value_bytes`, are never decoded.
    """

    mode: str | None = None
    shape: tuple[int, ...] | None = None
    check: Check = "decode"
    most_pixels: int = MOST_PIXELS

    name: ClassVar[str] = "image"
    suffix: ClassVar[str] = ".arrow"
    version: ClassVar[int] = 1

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
                f"Pictures of {self.shape} have more than most_pixels={self.most_pixels}. Raise most_pixels."
            )
        checked_check(self.check)

    def parameters(self) -> dict[str, Any]:
        """Return the declared fields as JSON."""
        found: dict[str, Any] = {"mode": self.mode, "shape": self.shape and list(self.shape)}
        found = {name: value for name, value in found.items() if value is not None}
        if self.check != "decode":
            found["check"] = self.check
        if self.most_pixels != MOST_PIXELS:
            found["most_pixels"] = self.most_pixels
        return found

    def writer(self, folder: Path, file_bytes: int = FILE_BYTES) -> ArrowWriter:
        """Begin a stream."""
        return encoded_writer(self, Parts(folder, self.suffix, file_bytes))

    def open(self, opened: Sequence[BinaryIO]) -> DecodedColumn:
        """Open the files; a picture is decoded when it is asked for."""
        whole = None if self.mode is None or self.shape is None else (*self.shape, MODES[self.mode])
        return encoded_column(self, opened, whole)

    def resolved(self, found: set[Picture]) -> dict[str, Any]:
        """Return the parameters, with the mode and the shape that all pictures have."""
        modes, shapes = {one.mode for one in found}, {(one.height, one.width) for one in found}
        mode = self.mode or (modes.pop() if len(modes) == 1 else None)
        shape = self.shape or (shapes.pop() if len(shapes) == 1 else None)
        return Image(mode, shape, self.check, self.most_pixels).parameters()

    def like(self, first: Picture) -> "Image":
        """Return the format as it is: pictures of several modes and sizes may follow each other."""
        return self

    def facts(self, data: Any) -> Picture:
        """Return what the head of a picture says."""
        turbo = _simplejpeg() if data[:3] == _JPEG else None
        found = _jpeg_facts(turbo, data) if turbo else None
        if found is None:
            with _opened(data) as image:
                found = _facts(image)
        self._check(found)
        return found

    def decode(self, data: Any, into: Decoded | None = None) -> Decoded:
        """Return the picture's pixels, in `into` if that is an array."""
        turbo = _simplejpeg() if data[:3] == _JPEG else None
        found = _jpeg_facts(turbo, data) if turbo else None
        mode = self.mode or (found.mode if found else None)
        if turbo is None or found is None or mode == "RGBA":
            return self._by_pillow(data, into)
        self._check(found)
        try:
            pixels: Decoded = turbo.decode_jpeg(data, "GRAY" if mode == "L" else "RGB", buffer=into)
        except ValueError as error:
            raise _damaged(error) from error
        return pixels if into is None else into

    def _by_pillow(self, data: Any, into: Decoded | None) -> Decoded:
        with _opened(data) as image:
            found = _facts(image)
            self._check(found)
            mode = self.mode or found.mode
            try:
                # Lets libjpeg make grey of colours, as simplejpeg does.
                image.draft(mode, image.size)
                pixels = np.array(image if image.mode == mode else image.convert(mode))
            except Exception as error:  # a decoder may say anything of bytes that may be anything
                raise _damaged(error) from error
        pixels = pixels.reshape(found.height, found.width, MODES[mode])
        if into is None:
            return pixels
        into[...] = pixels
        return into

    def _check(self, found: Picture) -> None:
        pixels = found.height * found.width
        if pixels > self.most_pixels:
            raise Undecodable(
                f"a picture of {found.width} x {found.height} pixels, more than the {self.most_pixels} that are "
                "allowed by most_pixels"
            )
        if why := too_large(pixels * MODES[self.mode or found.mode]):
            raise Undecodable(f"a picture of {found.width} x {found.height} pixels, {why}")
        if self.shape is not None and (found.height, found.width) != self.shape:
            raise Undecodable(f"a picture of height and width {(found.height, found.width)}, expected {self.shape}")


@functools.cache
def _simplejpeg() -> Any:
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg


def _jpeg_facts(turbo: Any, data: Any) -> Picture | None:
    """Return the facts of a JPEG; None for one in colours that libjpeg does not turn into RGB."""
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
        raise UsageError(
            "Pictures are decoded by Pillow, which is not installed. Run: pip install 'dataset_assets[image]'"
        ) from error
    try:
        return pillow.open(io.BytesIO(data), formats=KINDS)
    except PIL.UnidentifiedImageError as error:
        raise Undecodable(f"{len(data)} bytes that are no picture ({', '.join(KINDS)})") from error
    except pillow.DecompressionBombError as error:
        raise Undecodable(f"a picture that Pillow does not open ({error}); see PIL.Image.MAX_IMAGE_PIXELS") from error
    except Exception as error:
        raise _damaged(error) from error


def _facts(image: Any) -> Picture:
    own = _OWN_MODE.get(image.mode)
    if own is None:
        raise Undecodable(f"a picture of mode {image.mode}, whose values are not of 8 bits")
    transparent = own == "RGBA" or "transparency" in image.info
    return Picture(image.format, "RGBA" if transparent else own, image.height, image.width)


def _damaged(error: Exception) -> Undecodable:
    return Undecodable(f"a picture that is damaged ({' '.join(str(error).split()) or type(error).__name__})")
