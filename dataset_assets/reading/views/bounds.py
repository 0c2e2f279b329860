"""How much a document of a stack may ask for: anybody may have written it, and a few bytes can ask for very much."""

from typing import Any, Mapping, Sequence

from dataset_assets.errors import DecodeError
from dataset_assets.reading.views.node import Node

MOST_VIEWS = 10_000
"""Of a document, with the views that a joined one is made of counted for each."""
MOST_HIGH = 250
"""How many views may stand on each other: a sample goes through all of them, each a call within the other."""
MOST_LONG = 1 << 48
"""How many samples a view may have. None of them is read, but all have numbers."""
MOST_ROWS, TIMES = 1 << 22, 64
"""How many rows may be held or computed: these, and for each stored sample so many."""


class Budget:
    """What is left of the work that one document may ask for. Each method raises `DecodeError` when it is spent."""

    def __init__(self) -> None:
        self.views, self.rows = MOST_VIEWS, MOST_ROWS
        self._high: dict[int, int] = {}
        self._samples: dict[int, int] = {}

    def spend(self, rows: int) -> None:
        """Count rows that are held or computed when the stack is opened, or with its first sample."""
        self.rows -= rows
        if self.rows < 0:
            raise _too_much(
                f"it asks for {rows} rows at once; its views may hold {MOST_ROWS}, and {TIMES} for each stored sample"
            )

    def join(self, kind: type[Node], arguments: Mapping[str, Any], parents: Sequence[Node]) -> None:
        """Count a view before it is made."""
        # A joined view has the parents of joined ones for its own, so that each step may double them.
        self.views -= 1 + sum(max(1, len(parent.parents)) for parent in parents)
        if self.views < 0:
            raise _too_much(f"it has more than {MOST_VIEWS} views, with those that each is made of")
        if kind._whole and parents:
            self.spend(len(parents[0]) * (1 + _count(arguments.get("ratios")) // 16))

    def made(self, view: Node, parents: Sequence[Node], rows: int = 1) -> None:
        """Count a view that was made; `rows` is how many samples of its parent one of its own has."""
        if not parents:
            self.rows += TIMES * len(view)
        high = 1 + max((self._high[id(parent)] for parent in parents), default=0)
        samples = rows * max((self._samples[id(parent)] for parent in parents), default=1)
        self._high[id(view)], self._samples[id(view)] = high, samples
        if high > MOST_HIGH:
            raise _too_much(f"more than {MOST_HIGH} of its views stand on each other")
        if len(view) > MOST_LONG:
            raise _too_much(f"a view has {len(view)} samples, more than {MOST_LONG}")
        if samples > max(self.rows, MOST_ROWS):
            raise _too_much(f"a batch of batches has {samples} samples, more than {max(self.rows, MOST_ROWS)}")


def _count(ratios: Any) -> int:
    return len(ratios) if isinstance(ratios, (list, tuple)) else 0


def _too_much(why: str) -> DecodeError:
    return DecodeError(f"This document of a stack is not opened: {why}. Build the stack in Python instead.")
