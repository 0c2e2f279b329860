"""Counts before and now, as one small picture of bars."""

import base64
import io
from typing import Sequence

WIDTH, HEIGHT = 480, 96
MOST_BARS = 60
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
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
