"""Infers streams from columns: which format holds all values of a column, and how they get there."""

from collections import Counter
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Iterable, Mapping

import numpy as np

from dataset_assets.core.names import identifier_from
from dataset_assets.errors import SchemaError, UsageError, nearest
from dataset_assets.formats import Array, Bytes, Format, Image, Json, Ragged, Table, Text

MOST_CLASSES = 1000
"""A target of more different texts is no class."""

_EXACT = 1 << 53
"""A float64 holds all whole numbers up to this one."""
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM")


@dataclass
class Found:
    """A stream that was inferred: its format, the plain description for the split function, and what was guessed."""

    name: str
    format: Format
    plain: dict[str, Any]
    why: str
    arrow: str = ""
    """The type of the column, as Arrow writes it."""

    tally: Mapping[Any, int] | None = None
    """Of the target: how many samples each class, or each of few whole numbers, has."""


@dataclass
class Seen:
    """What was seen of a column in all blocks."""

    kind: Any = None
    mixed: bool = False
    nulls: bool = False
    nulls_inside: bool = False
    """Whether a list has a missing value."""

    missing: int = 0
    tally: "Counter[Any] | None" = field(default_factory=Counter)
    """Of the target: how many rows each value has. None if it has too many values, or some that are no classes."""

    largest: int = 0
    texts: set[str] | None = field(default_factory=set)
    order: list[str] | None = None
    """Of ordered classes: all of them, in order. Empty if blocks have several orders, or none."""

    first: Any = None
    rows: int = 0


def streams_of(
    blocks: Iterable[Mapping[str, Any]],
    target: str | None,
    classes: Mapping[str, list[str]] | None = None,
    empty_is_missing: bool = False,
    complete: Mapping[str, Seen] = MappingProxyType({}),
) -> list[Found]:
    """Return a stream for each column of blocks; `classes` are those that a source names itself.

    `complete` has all columns in their order, if some are not in the blocks: all is known of these already.

    A `target` of texts becomes classes, sorted by name. Raises `UsageError` for a target that is no column, and for one
    of classes that some rows lack; in CSV an empty text is missing.
    """
    seen: dict[str, Seen] = {**complete}
    rows = 0
    for block in blocks:
        for name, column in block.items():
            _look(seen.setdefault(name, Seen()), column, name == target)
        rows += max((len(column) for column in block.values() if column is not None), default=0)
    rows = max([rows, *(one.rows for one in seen.values())])
    if target is not None and target not in seen:
        raise UsageError(f"There is no column {target!r}, which should be the target.{nearest(target, seen)}")
    for one in seen.values():
        # A key that some rows do not have.
        one.nulls |= not one.mixed and one.rows < rows
        one.missing += rows - one.rows
    names = stream_names(seen)
    known = classes or {}
    if target is not None:
        _check_labelled(target, seen[target], rows, target in known, empty_is_missing)
    found = [_found(names[name], name, one, name == target, known.get(name)) for name, one in seen.items()]
    return [
        replace(stream, arrow=str(one.kind), tally=_named(one.tally, known.get(name)) if name == target else None)
        for stream, (name, one) in zip(found, seen.items())
    ]


def _named(tally: "Counter[Any] | None", classes: list[str] | None) -> Mapping[Any, int] | None:
    """Return a tally by the names of classes where these are known."""
    if tally is None or classes is None:
        return tally
    named = dict(enumerate(classes))
    return {named.get(value, value): count for value, count in tally.items()}


def add_to_tally(tally: "Counter[Any] | None", column: Any) -> "Counter[Any] | None":
    """Count the values of a column of Arrow. Return None if they are not few texts, whole numbers or booleans."""
    import pyarrow
    import pyarrow.compute as compute

    kind, types = column.type, pyarrow.types
    kind = kind.value_type if types.is_dictionary(kind) else kind
    if types.is_null(kind):
        return tally
    if tally is None or not (_is_text(kind) or types.is_integer(kind) or types.is_boolean(kind)):
        return None
    counted = compute.value_counts(column)
    if len(counted) > MOST_CLASSES:
        return None
    tally.update({one["values"]: one["counts"] for one in counted.to_pylist() if one["values"] is not None})
    return tally if len(tally) <= MOST_CLASSES else None


def _check_labelled(target: str, seen: Seen, rows: int, is_known: bool, empty_is_missing: bool) -> None:
    """Raise `UsageError` for a target of classes that some rows do not have."""
    import pyarrow

    if seen.kind is None:
        return
    types = pyarrow.types
    is_classes = is_known or types.is_dictionary(seen.kind) or (_is_text(seen.kind) and bool(seen.texts))
    is_number = types.is_integer(seen.kind) or types.is_floating(seen.kind) or types.is_boolean(seen.kind)
    missing = seen.missing + (seen.tally[""] if seen.tally and empty_is_missing else 0)
    if (is_classes or is_number) and missing and not seen.mixed:
        raise UsageError(
            f"The target {target!r:.80} is missing in {missing} of {rows} rows. Drop these rows, fill them"
            f"{' with a class such as `unknown`' if is_classes else ''}, or leave out target=."
        )


def _look(seen: Seen, column: Any, is_target: bool) -> None:
    import pyarrow
    import pyarrow.compute as compute

    if column is None:
        seen.mixed = True
        return
    kind = column.type
    if pyarrow.types.is_dictionary(kind):
        _look_at_classes(seen, column)
    _merge(seen, kind)
    seen.rows += len(column)
    seen.missing += column.null_count
    seen.nulls |= column.null_count > 0 or pyarrow.types.is_null(kind)
    seen.nulls_inside = seen.nulls_inside or _has_nulls_inside(column)
    if pyarrow.types.is_integer(kind) and len(column) > column.null_count:
        ends = compute.min_max(column).as_py()
        seen.largest = max(seen.largest, abs(ends["min"]), abs(ends["max"]))
    if is_target:
        seen.tally = add_to_tally(seen.tally, column)
    if is_target and _is_text(kind) and seen.texts is not None:
        seen.texts |= {*compute.unique(column).to_pylist()} - {None}
        seen.texts = seen.texts if len(seen.texts) <= MOST_CLASSES else None
    if seen.first is None and column.null_count < len(column):
        seen.first = next(value.as_py() for value in column if value.is_valid) if _is_bytes(kind) else True


def _look_at_classes(seen: Seen, column: Any) -> None:
    names = [*map(str, column.dictionary.to_pylist())]
    seen.texts = (seen.texts or set()) | {*names}
    if not column.type.ordered or seen.order not in (None, names):
        names = []
    seen.order = names


def _has_nulls_inside(column: Any) -> bool:
    """Say whether a list of a column has a missing value, at any depth."""
    import pyarrow.compute as compute

    while _is_list(column.type):
        column = compute.list_flatten(column)
        if column.null_count:
            return True
    return False


def _merge(seen: Seen, kind: Any) -> None:
    """Widen what was seen so far to hold values of another type too, if it can."""
    import pyarrow

    before, types = seen.kind, pyarrow.types
    if before is None or before == kind or _is_empty(before):
        seen.kind = kind if before is None or not _is_empty(kind) else before
    elif _is_empty(kind):
        return
    elif {str(before), str(kind)} == {"int64", "double"}:
        seen.kind = pyarrow.float64()
    elif not (types.is_dictionary(before) and types.is_dictionary(kind)):
        seen.mixed = True


def _is_empty(kind: Any) -> bool:
    """Say whether a type is that of no value: only nulls, or only empty lists."""
    import pyarrow

    return bool(pyarrow.types.is_null(kind) or pyarrow.types.is_list(kind) and pyarrow.types.is_null(kind.value_type))


def _found(name: str, column: str, seen: Seen, is_target: bool, classes: list[str] | None) -> Found:
    import pyarrow

    kind, types = seen.kind, pyarrow.types
    plain: dict[str, Any] = {"from": column}
    if seen.mixed:
        return Found(name, Json(), {**plain, "as": "json"}, "values of several types")
    if types.is_floating(kind) and seen.largest > _EXACT:
        return Found(name, Json(), {**plain, "as": "json"}, "numbers, some of which a float would change")
    if types.is_dictionary(kind):
        classes, kind = seen.order or sorted(seen.texts or ()), kind.value_type
        if not _is_text(kind):
            classes = None
    if classes is None and is_target and _is_text(kind) and not seen.nulls and seen.texts:
        classes = sorted(seen.texts)
    if classes is not None and not seen.nulls:
        return _of_classes(name, plain, kind, classes)
    if types.is_null(kind):
        return Found(name, Json(), {**plain, "as": "json"}, "no value was seen")
    if types.is_boolean(kind) or types.is_integer(kind):
        if not seen.nulls:
            return _numbers(name, plain, kind.to_pandas_dtype(), str(kind))
        if types.is_integer(kind) and seen.largest <= _EXACT:
            return _numbers(name, plain, np.float64, f"{kind}, with NaN where it is missing")
        return Found(name, Json(), {**plain, "as": "json"}, f"{kind}, sometimes missing")
    if types.is_floating(kind):
        return _numbers(name, plain, kind.to_pandas_dtype(), f"{kind}{', sometimes NaN' * seen.nulls}")
    if types.is_date(kind) or (types.is_timestamp(kind) and kind.tz is None):
        unit = "D" if types.is_date(kind) else kind.unit
        return _numbers(
            name, plain, np.dtype(f"datetime64[{unit}]"), f"{kind}{', NaT where it is missing' * seen.nulls}"
        )
    if _is_text(kind):
        if seen.nulls:
            return Found(name, Json(), {**plain, "as": "json"}, "text, sometimes missing")
        return Found(name, Text(), {**plain, "as": "text"}, "text")
    if (found := _of_files(name, plain, kind, seen)) or (found := _of_lists(name, plain, kind, seen)):
        return found
    return Found(name, Table({column: kind}), {**plain, "as": "row"}, f"{kind}, as rows of one field")


def _numbers(name: str, plain: dict[str, Any], dtype: Any, why: str) -> Found:
    text = np.dtype(dtype).name
    return Found(name, Array(text), {**plain, "as": "numbers", "dtype": text}, why)


def _of_classes(name: str, plain: dict[str, Any], kind: Any, classes: list[str]) -> Found:
    dtype = "uint8" if len(classes) <= 256 else "int64"
    form = Array(dtype, classes=tuple(classes))
    if _is_text(kind):
        return Found(name, form, {**plain, "as": "classes", "dtype": dtype, "classes": classes}, "texts, as classes")
    dtype = kind.to_pandas_dtype()().dtype.name
    return Found(name, Array(dtype, classes=tuple(classes)), {**plain, "as": "numbers", "dtype": dtype}, "classes")


def _of_files(name: str, plain: dict[str, Any], kind: Any, seen: Seen) -> Found | None:
    import pyarrow

    is_struct = pyarrow.types.is_struct(kind) and {field.name for field in kind} == {"bytes", "path"}
    if seen.nulls or not (is_struct or _is_bytes(kind)):
        return None
    first = seen.first["bytes"] if is_struct and seen.first else seen.first
    form = Image() if isinstance(first, bytes) and is_picture(first) else Bytes()
    return Found(name, form, {**plain, "as": "file"}, "the bytes of pictures" if isinstance(form, Image) else "bytes")


def _of_lists(name: str, plain: dict[str, Any], kind: Any, seen: Seen) -> Found | None:
    import pyarrow

    types = pyarrow.types
    if not _is_list(kind):
        return Found(name, Json(), {**plain, "as": "json"}, "objects") if _is_json(kind) else None
    inner, has_nulls = kind.value_type, seen.nulls or seen.nulls_inside
    if not has_nulls and (fixed := _fixed(kind)):
        form = Array(*fixed)
        return Found(name, form, {**plain, "as": "lists"}, f"lists of one length, {form.shape}")
    if not has_nulls and (types.is_integer(inner) or types.is_floating(inner)):
        return Found(name, Ragged(inner.to_pandas_dtype()().dtype.name), {**plain, "as": "lists"}, "lists of numbers")
    return Found(name, Json(), {**plain, "as": "json"}, "lists") if _is_json(kind) else None


def _fixed(kind: Any) -> tuple[str, tuple[int, ...]] | None:
    """Return the dtype and the shape of lists of numbers whose type has their length; None for others."""
    import pyarrow

    types, shape = pyarrow.types, list[int]()
    while types.is_fixed_size_list(kind):
        shape.append(kind.list_size)
        kind = kind.value_type
    is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    return (np.dtype(kind.to_pandas_dtype()).name, tuple(shape)) if is_number and shape and all(shape) else None


def _is_list(kind: Any) -> bool:
    import pyarrow

    types = pyarrow.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_json(kind: Any) -> bool:
    """Say whether JSON holds all values of a type as they are."""
    import pyarrow

    types = pyarrow.types
    if types.is_struct(kind):
        return all(_is_json(field.type) for field in kind)
    if types.is_list(kind) or types.is_large_list(kind):
        return _is_json(kind.value_type)
    return types.is_null(kind) or types.is_boolean(kind) or types.is_integer(kind) or _is_text(kind) or kind == "double"


def _is_text(kind: Any) -> bool:
    import pyarrow

    return bool(
        pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind) or pyarrow.types.is_string_view(kind)
    )


def _is_bytes(kind: Any) -> bool:
    import pyarrow

    types = pyarrow.types
    if types.is_struct(kind):
        return {field.name for field in kind} == {"bytes", "path"}
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def is_picture(data: bytes) -> bool:
    """Say whether bytes begin as those of a picture that `Image` stores."""
    return data.startswith(_PICTURES) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def stream_names(columns: Iterable[str]) -> dict[str, str]:
    """Return an identifier for each column."""
    found: dict[str, str] = {}
    for column in columns:
        name = identifier_from(column, "column")
        if name in found.values():
            raise SchemaError(
                f"Two columns would be the stream {name!r}: {column!r:.80} is one. Rename a column, or write the "
                "definition by hand."
            )
        found[column] = name
    return found
