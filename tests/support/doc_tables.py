"""Tables of the documentation, as rows."""

import re

from places import ROOT

DOCS = ROOT / "docs"


def table(page: str, first: str) -> list[dict[str, str]]:
    """Return the rows of the table whose first column is called so."""
    lines = iter((DOCS / page).read_text().splitlines())
    names = next(cells(line) for line in lines if line.startswith(f"| {first} |"))
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append(dict(zip(names, cells(line), strict=True)))
    return rows


def cells(line: str) -> list[str]:
    return [cell.strip().strip("`") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
