"""Samples that are pictures, as one small sheet."""

import base64
import io
from typing import Any, Sequence

import numpy as np
from numpy.typing import NDArray

ACROSS = 8
DOWN = 4
PIXELS = 48
# Smaller ones, until the sheet is small enough: of pictures a row, and of colours.
SHEETS = [(ACROSS * DOWN, PIXELS, 64), (16, PIXELS, 64), (16, PIXELS, 16), (8, PIXELS, 16), (8, 32, 16), (8, 16, 8)]
LEAST = 4
LEAST_OF_NUMBERS = 8
MOST_PIXELS = 50_000_000
READ = ("PNG", "JPEG", "WEBP", "GIF", "BMP")

Picture = NDArray[np.uint8]


def sheet_of(values: Any, longest: int) -> str | None:
    """Return a block's pictures as the data URI of a PNG of no more characters, or None if it holds none."""
    pictures = pictures_in(values)
    if not pictures:
        return None
    for count, pixels, colours in SHEETS:
        data = _png(pictures[:count], pixels, colours)
        uri = f"data:image/png;base64,{base64.b64encode(data).decode()}"
        if len(uri) <= longest:
            return uri
    return None


def pictures_in(values: Any) -> list[Picture]:
    """Return a block of samples as pictures of shape (height, width) or (height, width, 3); none if it holds others."""
    if isinstance(values, np.ndarray):
        return [*_scaled(block)] if (block := _as_pictures(values)) is not None else []
    if isinstance(values, list) and all(isinstance(value, np.ndarray) for value in values):
        # Photographs of different sizes; what only looks like them is of one size.
        blocks = [_as_pictures(value[np.newaxis]) for value in values if value.dtype == np.uint8]
        pictures = [block[0] for block in blocks if block is not None]
        return pictures if len(pictures) == len(values) else []
    if isinstance(values, list):
        found = [_decoded(getattr(value, "data", value)) for value in values]
        return [picture for picture in found if picture is not None] if all(p is not None for p in found) else []
    return []


def _as_pictures(block: NDArray[Any]) -> NDArray[Any] | None:
    """Return numbers as (n, height, width) or (n, height, width, 3); None if their shape is none of pictures."""
    if block.dtype.kind not in "buif" or not len(block):
        return None
    if block.ndim == 4 and block.shape[1] in (1, 3) and block.shape[3] not in (1, 3):
        block = np.moveaxis(block, 1, 3)
    if block.ndim == 4 and block.shape[3] == 1:
        block = block[..., 0]
    if block.ndim != 3 and not (block.ndim == 4 and block.shape[3] == 3):
        return None
    least = LEAST if block.dtype == np.uint8 else LEAST_OF_NUMBERS
    height, width = block.shape[1:3]
    return block if min(height, width) >= least and max(height, width) <= 50 * min(height, width) else None


def _scaled(block: NDArray[Any]) -> Picture:
    """Return numbers as 0 to 255: bytes as they are, others from the least to the greatest of the block."""
    if block.dtype == np.uint8:
        return block
    found = np.nan_to_num(block.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = found.min(), found.max()
    # Halved first: the distance of two numbers may be none.
    shares = (found / 2 - low / 2) / (high / 2 - low / 2) if high > low else np.zeros_like(found)
    scaled: Picture = np.rint(255 * shares).astype(np.uint8)
    return scaled


def _decoded(data: Any) -> Picture | None:
    """Return the picture of an encoded file; None if it is none, or too large to be opened for a look."""
    from PIL import Image

    if not isinstance(data, (bytes, memoryview)):
        return None
    try:
        with Image.open(io.BytesIO(data), formats=READ) as image:
            if image.width * image.height > MOST_PIXELS:
                return None
            image.draft("RGB", (PIXELS * 2, PIXELS * 2))
            image.thumbnail((PIXELS * 2, PIXELS * 2))
            return np.asarray(image.convert("RGB"))
    except Exception:  # whatever a decoder says of bytes that may be anything
        return None


def _png(pictures: Sequence[Picture], pixels: int, colours: int) -> bytes:
    from PIL import Image, ImageOps

    across = min(ACROSS, len(pictures))
    sheet = Image.new("RGB", (across * pixels, -(-len(pictures) // across) * pixels), "white")
    for k, picture in enumerate(pictures):
        tile = ImageOps.contain(Image.fromarray(np.ascontiguousarray(picture)), (pixels - 2, pixels - 2))
        sheet.paste(tile.convert("RGB"), (k % across * pixels, k // across * pixels))
    out = io.BytesIO()
    sheet.quantize(colours).save(out, "PNG", optimize=True)
    return out.getvalue()
