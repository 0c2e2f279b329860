"""Shows a view in a notebook: its stack, and its first samples if they lie on this machine."""

import reprlib
from html import escape
from typing import Any, Mapping

import numpy as np

from dataset_assets.reading.views.document import stack_of
from dataset_assets.reading.views.node import Node

SHOWN = 5
SMALL = 8


def html_of(view: Node) -> str:
    """Return a view as HTML. No function is called and no file is downloaded for it."""
    stack = f"<pre>{escape(repr(view))}</pre>"
    if view.computed or any(_waits(node) for node in stack_of(view)):
        return stack
    try:
        samples = view.samples(slice(0, min(SHOWN, len(view))))
    except Exception as error:  # a notebook shows the stack of a view that cannot be read, too
        return f"{stack}<p>{escape(f'{type(error).__name__}: {error}')}</p>"
    return stack + _table(samples) if samples else stack


def _waits(node: Node) -> bool:
    """Return whether values of a stored split may have to be downloaded."""
    columns: Mapping[str, Any] = getattr(node, "columns", {})
    return any(hasattr(column, "expect") for column in columns.values())


def _table(samples: list[Any]) -> str:
    rows = [_named(sample) for sample in samples]
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = _row(["", *names], "th")
    body = [_row([number, *(_text(row.get(name, "")) for name in names)], "td") for number, row in enumerate(rows)]
    return f"<table>{head}{''.join(body)}</table>"


def _named(sample: Any) -> Mapping[Any, Any]:
    if isinstance(sample, Mapping):
        return sample
    return dict(enumerate(sample)) if isinstance(sample, tuple) else {"sample": sample}


def _row(cells: list[Any], kind: str) -> str:
    return f"<tr>{''.join(f'<{kind}>{escape(str(cell))}</{kind}>' for cell in cells)}</tr>"


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size > SMALL:
        return f"{value.dtype} {' x '.join(map(str, value.shape))}"
    if isinstance(value, (str, int, float, np.generic, np.ndarray)):
        text = str(value)
        return text if len(text) <= 80 else f"{text[:80]}..."
    return reprlib.repr(value)
