"""Stores nested values whose keys vary, as JSON texts in `.arrow` files."""

import json
import math
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Callable, ClassVar, Sequence

from dataset_assets.core.limits import limits
from dataset_assets.errors import DecodeError
from dataset_assets.formats.arrow import ArrowWriter, opened_tables, values_in
from dataset_assets.formats.columns import Column, JsonBlock
from dataset_assets.formats.format import FILE_BYTES, Format, Misfit, Parts
from dataset_assets.formats.spans import AsText, SpansColumn
from dataset_assets.formats.text import no_parameters

SCALARS = frozenset({str, int, bool, type(None)})


@dataclass(frozen=True)
class Json(Format):
    """A value is what JSON holds: a mapping with text as keys, a list, a string, a number, a boolean or None.

    It comes back exactly as it was: the order of keys, whole numbers of any size, and floats. Values of one stream may
    have different keys and types. Anything that JSON does not have, such as NaN, a tuple or a number of numpy, raises
    `SchemaError`. Arrow and pandas read the stored file as a column of text.
    """

    name: ClassVar[str] = "json_values"
    suffix: ClassVar[str] = ".arrow"
    version: ClassVar[int] = 1

    def parameters(self) -> dict[str, Any]:
        """Return no parameters."""
        return {}

    def writer(self, folder: Path, file_bytes: int = FILE_BYTES) -> ArrowWriter:
        """Begin a stream."""
        return ArrowWriter(Parts(folder, self.suffix, file_bytes), _texts, no_parameters)

    def open(self, opened: Sequence[BinaryIO]) -> Column:
        """Open the files; each value is parsed on access."""
        import pyarrow

        table, check = opened_tables(opened, pyarrow.schema([("value", pyarrow.large_string())]))
        return SpansColumn(table.column("value"), AsJson(), check=check)


class AsJson(AsText):
    """Reads values from JSON texts."""

    def one(self, data: Any) -> Any:
        return _parsed(super().one(data))

    def many(self, data: Any, cuts: list[int]) -> list[Any]:
        return [self.one(data[a:b]) for a, b in zip(cuts, cuts[1:])]

    def block(self, values: list[Any]) -> list[Any]:
        return JsonBlock(values)


_encoded = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def text_of(value: Any, depth: int | None = None) -> str:
    """Return a value as JSON text. Raises `Misfit` if JSON does not hold it exactly, or if it is deeper than allowed.

    `depth` is the setting `max_json_depth`, if the caller knows it: to look it up takes longer than a small value.
    """
    _check(value, limits().max_json_depth if depth is None else depth)
    try:
        return _encoded(value)
    except ValueError as error:  # for example a whole number of more digits than Python converts
        raise Misfit(None, f"{error}. Store it as text.") from error


def _texts(values: Any, schema: Any) -> Any:
    import pyarrow

    some, depth = values.to_pylist() if hasattr(values, "to_pylist") else values, limits().max_json_depth
    _each(_check, some, depth)
    texts = _together(some)
    if texts is None:
        texts = _each(text_of, some, depth)
    return pyarrow.table({"value": values_in(texts, pyarrow.large_string(), str)})


def _each(act: Callable[[Any, int], Any], values: Sequence[Any], depth: int) -> list[Any]:
    done = []
    for at, value in enumerate(values):
        try:
            done.append(act(value, depth))
        except Misfit as misfit:
            raise Misfit(at, f"value{misfit.path}: {misfit.why}") from misfit
    return done


def _together(values: Sequence[Any]) -> list[str] | None:
    """Return values as JSON texts, or None if one is none. One call takes half of the time of one for each."""
    between = secrets.token_hex(16)
    try:
        whole = _encoded([item for value in values for item in (value, between)])
    except (ValueError, RecursionError):
        return None
    texts = [text.removeprefix(",") for text in whole[1:].split(f',"{between}"')]
    # After the last there is the bracket.
    return texts[:-1] if len(texts) == len(values) + 1 else None


def _check(value: Any, depth: int) -> None:
    kind = type(value)
    if kind is float and not math.isfinite(value):
        raise Misfit(None, f"the number {value}, which JSON does not have. Use None, or text.")
    if kind is float or kind in SCALARS:
        return
    if not isinstance(value, (dict, list)):
        raise Misfit(
            None,
            f"a {kind.__name__} ({value!r:.40}), which JSON does not have. Convert it, for example to a list or text.",
        )
    if not depth:
        raise Misfit(None, f"it is nested deeper than max_json_depth={limits().max_json_depth}. Raise that setting.")
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(value, dict) and type(key) is not str:
            raise Misfit(None, f"the key {key!r:.40} is a {type(key).__name__}, expected text. Convert it to text.")
        if type(item) in SCALARS:
            continue
        try:
            _check(item, depth - 1)
        except Misfit as misfit:
            misfit.path = (f".{key}" if isinstance(value, dict) else f"[{key}]") + misfit.path
            raise


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"A text is not JSON ({error}). Verify the dataset, then prepare it again.") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number of JSON")
