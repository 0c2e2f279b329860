"""Counts before and now, as one small picture of bars; and sounds, as one of their waveforms."""

import base64
import io
from typing import Any, Sequence

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 480, 96
MOST_BARS = 60
WAVE_WIDTH, WAVE_HEIGHT, MOST_WAVES = 240, 48, 8
COLOURS = ((255, 255, 255), (170, 170, 170), (47, 107, 191))
"""Of the ground, of what was before, and of what is now."""


def chart(before: Sequence[int], now: Sequence[int]) -> str:
    """Return the data URI of a PNG with two bars for each pair of counts, of which only the first 60 are drawn."""
    from PIL import Image, ImageDraw

    pairs = [*zip(before, now)][:MOST_BARS]
    most = max((count for pair in pairs for count in pair), default=0) or 1
    picture = Image.new("P", (WIDTH, HEIGHT), 0)
    picture.putpalette([part for colour in COLOURS for part in colour])
    draw, step = ImageDraw.Draw(picture), WIDTH / max(len(pairs), 1)
    for place, pair in enumerate(pairs):
        for side, count in enumerate(pair):
            left, width = (place + 0.1 + 0.4 * side) * step, 0.4 * step
            top = HEIGHT - round((HEIGHT - 4) * count / most)
            if count:
                draw.rectangle((left, min(top, HEIGHT - 1), left + width - 1, HEIGHT - 1), fill=1 + side)
    return _uri(picture)


def waveforms(sounds: Sequence[NDArray[Any]]) -> str:
    """Return the data URI of a PNG with the waveforms of the first 8 sounds, one below the other.

    Each sound of shape (frames, channels) is as wide as the picture, and as high as its loudest value.
    """
    from PIL import Image, ImageDraw

    shown = sounds[:MOST_WAVES]
    picture = Image.new("P", (WAVE_WIDTH, WAVE_HEIGHT * max(len(shown), 1)), 0)
    picture.putpalette([part for colour in COLOURS for part in colour])
    draw = ImageDraw.Draw(picture)
    for k, sound in enumerate(shown):
        middle, half = k * WAVE_HEIGHT + WAVE_HEIGHT // 2, WAVE_HEIGHT // 2 - 2
        for x, (low, high) in enumerate(_envelope(sound)):
            draw.line((x, middle - round(half * high), x, middle - round(half * low)), fill=2)
    return _uri(picture)


def _envelope(sound: NDArray[Any]) -> list[tuple[float, float]]:
    """Return the least and the greatest value in each column of the picture, of a sound that is as loud as 1."""
    frames = np.nan_to_num(sound.reshape(len(sound), -1).astype(np.float64))
    loudest = float(np.abs(frames).max(initial=0)) or 1.0
    parts = np.array_split(frames / loudest, min(WAVE_WIDTH, len(frames)) or 1)
    return [(float(part.min(initial=0)), float(part.max(initial=0))) for part in parts]


def _uri(picture: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
