"""Infers the types of the columns of a CSV file from all of its rows."""

from typing import Any, Callable, Iterable

import numpy as np

from dataset_assets.decoding.csv_text import Text

Read = Callable[[Text, "dict[str, Any]", "list[str]"], Any]
"""Reads a text, given types and the columns to read, as a table."""

# A number with zeros before it, or a sign, or in base 16: it would not be written so again.
_IDENTIFIER = r"^\s*([-+]?0[0-9xX]|\+[0-9])"
_LONG = r"^\s*-?[0-9]{16,}\s*$"
_PIECE = 1 << 17
_EXACT = 1 << 53
"""Doubles hold all integers up to this one."""


class Inferred:
    """The types of columns: of each, the first type that fits all of its cells, in the order in which pyarrow tries.

    Where a column has identifiers, which a number would not keep, it is text.
    """

    def __init__(self, read: Read, columns: list[str]) -> None:
        import pyarrow

        self.read, self.columns = read, columns
        zoned = [pyarrow.timestamp(unit, "UTC") for unit in ("s", "ns")]
        self.order = [
            pyarrow.null(), pyarrow.int64(), pyarrow.bool_(), pyarrow.float64(), pyarrow.date32(), pyarrow.time32("s"),
            pyarrow.timestamp("s"), pyarrow.timestamp("ns"), *zoned, pyarrow.string(),
        ]  # fmt: skip
        self.numbers = (1, 3)
        self.text = len(self.order) - 1
        self.kinds: dict[str, int] = {}
        self.table: Any = None
        """The first text, with the types that pyarrow infers for it."""

    @property
    def types(self) -> dict[str, Any]:
        """The type of each column."""
        return {name: self.order[kind] for name, kind in self.kinds.items()}

    @property
    def unchanged(self) -> bool:
        """Whether the first text has the types that pyarrow infers for it."""
        return self.types == dict(zip(self.table.column_names, self.table.schema.types))

    def fit(self, texts: Callable[[], Iterable[Text]]) -> None:
        """Decide the types from all texts. Reads them again while a type that a later text needs is not yet checked."""
        while any([self.widen(text) for text in texts()]):
            pass

    def widen(self, text: Text) -> bool:
        """Make the types fit a text too; return whether the texts before it have to be checked again."""
        import pyarrow

        again = False
        if not self.kinds:
            self.table = self._guess(text, self.columns)
            self.kinds = self._kinds_of(self.table)
            self.keep_identifiers(text, self.table)
            return False
        while open_ := {name: self.order[kind] for name, kind in self.kinds.items() if kind != self.text}:
            try:
                table = self.read(text, open_, list(open_))
                self.keep_identifiers(text, table)
                break
            except pyarrow.ArrowInvalid:
                self._raise_kinds(text, list(open_))
                again = True
        return again

    def _guess(self, text: Text, columns: list[str]) -> Any:
        return self.read(text, {}, columns)

    def _kinds_of(self, table: Any) -> dict[str, int]:
        return {
            field.name: self.order.index(field.type) if field.type in self.order else self.text
            for field in table.schema
        }

    def _raise_kinds(self, text: Text, columns: list[str]) -> None:
        """Give each column that does not fit a text a later type."""
        guessed = self._kinds_of(self._guess(text, columns))
        larger = {name: kind for name, kind in guessed.items() if kind > self.kinds[name]}
        self.kinds.update(larger)
        if not larger:
            self.kinds[self._wrong(text, columns)] += 1

    def _wrong(self, text: Text, columns: list[str]) -> str:
        """Return the first column that does not fit its type."""
        import pyarrow

        for name in columns:
            try:
                self.read(text, {name: self.order[self.kinds[name]]}, [name])
            except pyarrow.ArrowInvalid:
                return name
        raise AssertionError("no column is wrong alone")

    def keep_identifiers(self, text: Text, table: Any) -> None:
        """Make text of columns of numbers that would be written in another way."""
        import pyarrow.compute as compute

        numbers = [name for name in table.column_names if self.kinds.get(name) in self.numbers]
        large = [name for name in numbers if self.kinds[name] == 3 and _has_large(table.column(name))]
        doubtful = numbers if _may_have_identifiers(text) else large
        if not doubtful:
            return
        cells = self.read(text, dict.fromkeys(doubtful, self.order[self.text]), doubtful)
        for name in doubtful:
            column = cells.column(name)
            long = name in large and any(
                len(cell) > 40 or abs(int(cell)) > _EXACT
                for cell in column.filter(compute.match_substring_regex(column, _LONG)).to_pylist()
            )
            signed = compute.any(compute.match_substring_regex(column, _IDENTIFIER)).as_py()
            if long or signed or first_overflow(table.column(name), column) is not None:
                self.kinds[name] = self.text


def first_overflow(numbers: Any, cells: Any) -> str | None:
    """Return the first cell of digits whose number became infinite; None if there is none."""
    import pyarrow.compute as compute
    from pyarrow import types

    if not types.is_floating(numbers.type):
        return None
    infinite = compute.is_inf(numbers)
    found = cells.filter(infinite) if compute.any(infinite).as_py() else cells.slice(0, 0)
    first: str | None = next((cell.as_py() for cell in found if any(map(str.isdigit, cell.as_py()))), None)
    return first


def _has_large(column: Any) -> bool:
    import pyarrow.compute as compute

    ends = compute.min_max(column).as_py()
    return ends["max"] is not None and max(-ends["min"], ends["max"]) >= _EXACT


def _may_have_identifiers(text: Text) -> bool:
    """Return whether a cell may begin with a plus, or with a zero and a digit; a fast test of all cells at once."""
    if b"+" in text.data:
        return True
    marks = f"{text.delimiter}{text.quote or ''}".encode()
    # A field begins before the first byte. In pieces that fit into the cache of a processor.
    data = np.frombuffer(b"\n\n" + text.data + b"\n", np.uint8)
    return any(_has_zero_first(data[lo : lo + _PIECE + 3], marks) for lo in range(0, len(data) - 3, _PIECE))


def _has_zero_first(data: Any, marks: bytes) -> bool:
    """Return whether a zero before a digit or an x stands after white space or a mark, with a minus or without."""
    after = data[3:]
    # Bytes count modulo 256: those below "0" are more than 9 from it.
    found = (data[2:-1] == ord("0")) & ((after - np.uint8(ord("0")) < 10) | (after == ord("x")) | (after == ord("X")))
    edges = data <= ord(" ")
    for mark in marks:
        edges |= data == mark
    return bool((found & (edges[1:-2] | (data[1:-2] == ord("-")) & edges[:-3])).any())
