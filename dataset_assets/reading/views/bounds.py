"""Limits on the JSON document of a stack, which may come from anybody: a few bytes could request unlimited work."""

from typing import Any, Mapping, Sequence

from dataset_assets.errors import DecodeError
from dataset_assets.reading.views.node import Node

MOST_VIEWS = 10_000
"""The most views in a document. The parents of a joined view count for each such view."""
MOST_HIGH = 250
"""The most views on top of each other: reading a sample makes a nested call for each of them."""
MOST_LONG = 1 << 48
"""The most samples in a view."""
MOST_ROWS, TIMES = 1 << 22, 64
"""The most rows that may be kept or computed: MOST_ROWS, and TIMES for each stored sample."""


class Budget:
    """The work that a document may still request. Each method raises `DecodeError` when the budget is used up."""

    def __init__(self) -> None:
        self.views, self.rows = MOST_VIEWS, MOST_ROWS
        self._high: dict[int, int] = {}
        self._samples: dict[int, int] = {}

    def spend(self, rows: int) -> None:
        """Count rows that are kept or computed when the stack is opened or its first sample is read."""
        self.rows -= rows
        if self.rows < 0:
            raise _too_much(
                f"it requests {rows} rows at once; its views may have {MOST_ROWS}, and {TIMES} for each stored sample"
            )

    def join(self, kind: type[Node], arguments: Mapping[str, Any], parents: Sequence[Node]) -> None:
        """Count a view before it is created."""
        # A joined view takes over the parents of joined ones, so each step may double their number.
        self.views -= 1 + sum(max(1, len(parent.parents)) for parent in parents)
        if self.views < 0:
            raise _too_much(f"it has more than {MOST_VIEWS} views, counting their parents")
        if kind._whole and parents:
            self.spend(len(parents[0]) * (1 + _count(arguments.get("ratios")) // 16))

    def made(self, view: Node, parents: Sequence[Node], rows: int = 1) -> None:
        """Count a view after it is created; `rows` is the number of the parent's samples in one of its samples."""
        if not parents:
            self.rows += TIMES * len(view)
        high = 1 + max((self._high[id(parent)] for parent in parents), default=0)
        samples = rows * max((self._samples[id(parent)] for parent in parents), default=1)
        self._high[id(view)], self._samples[id(view)] = high, samples
        if high > MOST_HIGH:
            raise _too_much(f"more than {MOST_HIGH} of its views are on top of each other")
        if len(view) > MOST_LONG:
            raise _too_much(f"a view has {len(view)} samples, more than {MOST_LONG}")
        if samples > max(self.rows, MOST_ROWS):
            raise _too_much(f"a batch of batches has {samples} samples, more than {max(self.rows, MOST_ROWS)}")


def _count(ratios: Any) -> int:
    return len(ratios) if isinstance(ratios, (list, tuple)) else 0


def _too_much(why: str) -> DecodeError:
    return DecodeError(f"This document of a stack is refused: {why}. Build the stack in Python instead.")
