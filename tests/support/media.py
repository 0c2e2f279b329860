"""Small pictures and sounds as files, made here: of numbers, so that every machine makes the same."""

import io
import struct
import wave
import zlib
from typing import Any

import numpy as np
from PIL import Image


def pixels(height: int = 12, width: int = 16, channels: int = 3, seed: int = 0) -> np.ndarray[Any, Any]:
    """Return a smooth picture with some noise."""
    noise = np.random.default_rng(seed).integers(0, 24, (height, width, channels))
    ramp = np.arange(height)[:, None, None] * 9 + np.arange(width)[None, :, None] * 5 + np.arange(channels) * 40
    return ((ramp + noise + seed * 13) % 256).astype(np.uint8)


def picture(
    kind: str = "PNG", height: int = 12, width: int = 16, channels: int = 3, seed: int = 0, **more: Any
) -> bytes:
    """Return a picture as a file of a kind that Pillow writes."""
    array = pixels(height, width, channels, seed)
    out = io.BytesIO()
    Image.fromarray(array[..., 0] if channels == 1 else array).save(out, kind, **more)
    return out.getvalue()


def bomb(width: int, height: int) -> bytes:
    """Return a small PNG whose head says that it is enormous."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


def waves(frames: int = 80, channels: int = 1, seed: int = 0) -> np.ndarray[Any, Any]:
    """Return whole numbers of 16 bits."""
    return np.random.default_rng(seed).integers(-(2**15), 2**15, (frames, channels)).astype("<i2")


def sound(frames: int = 80, rate: int = 8000, channels: int = 1, seed: int = 0, bits: int = 16) -> bytes:
    """Return a plain WAV file."""
    values = waves(frames, channels, seed).astype(np.int64)
    if bits == 8:
        data = ((values >> 8) + 128).astype("u1").tobytes()
    elif bits == 24:
        data = (values << 8).astype("<i4").view("u1").reshape(-1, 4)[:, :3].tobytes()
    else:
        data = (values << (bits - 16)).astype(f"<i{bits // 8}").tobytes()
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((channels, bits // 8, rate, 0, "NONE", ""))
        file.writeframes(data)
    return out.getvalue()
