"""The blocks of code on a page of the documentation."""

import re
from pathlib import Path
from typing import NamedTuple


class Fence(NamedTuple):
    """A block of code on a page."""

    language: str
    code: str
    line: int


def fences(page: Path) -> list[Fence]:
    text = page.read_text()
    found = re.finditer(r"^( *)```(\w*)\n(.*?)^\1```$", text, re.DOTALL | re.MULTILINE)
    return [Fence(match[2], match[3], text[: match.start()].count("\n") + 2) for match in found]
