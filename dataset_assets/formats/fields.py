"""The fields of a table: casts between Arrow types that change no value, at every depth of a nested type.

Arrow's own casts would store 2.5 in a column of integers as 2, a time as its date, numbers as text, and leave out a key
that a struct does not have.
"""

import re
from contextlib import contextmanager
from typing import Any, Iterator

from dataset_assets.formats.format import Misfit
from dataset_assets.formats.type_names import plain

JSON_ADVICE = "Give every mapping the same keys, or store the values in a Json stream."
TIME_UNITS = ("s", "ms", "us", "ns")
DIGITS = {32: 9, 64: 18, 128: 38, 256: 76}
"""The digits of a decimal of so many bits."""


def decoded_column(column: Any) -> Any:
    """Return a column with values instead of categories and runs. Raises `Misfit` for an extension type."""
    import pyarrow.compute as compute
    from pyarrow import types

    if extension := extension_in(column.type):
        raise Misfit(
            None,
            f"values are of the type {extension}, whose plain values would be stored without their meaning. Convert "
            "them in the split function, for example to text, times or numbers.",
        )
    if twice := _key_twice(column.type):
        raise Misfit(None, f"a mapping has the key {twice} twice. Rename one.")
    if types.is_run_end_encoded(column.type):
        return decoded_column(compute.run_end_decode(column))
    return column.cast(plain(column.type)) if has_other_form(column.type) else column


def has_other_form(kind: Any) -> bool:
    """Return whether values of a type are stored as values of another one: categories, and text in JSON."""
    import pyarrow

    return isinstance(kind, pyarrow.DictionaryType | pyarrow.BaseExtensionType)


def extension_in(kind: Any) -> Any:
    """Return the first extension type in a type, or None. JSON is stored as the text that it is."""
    import pyarrow
    from pyarrow import types

    if isinstance(kind, pyarrow.BaseExtensionType):
        return None if kind.extension_name == "arrow.json" else kind
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return extension_in(kind.value_type)
    inner = (kind.field(k).type for k in range(kind.num_fields)) if types.is_nested(kind) else ()
    return next((found for one in inner if (found := extension_in(one)) is not None), None)


def _key_twice(kind: Any) -> str | None:
    """Return a key that a struct inside a type has twice, or None."""
    from pyarrow import types

    if types.is_struct(kind) and len(set(keys := struct_keys(kind))) < len(keys):
        return next(key for key in keys if keys.count(key) > 1)
    inner = (kind.field(k).type for k in range(kind.num_fields)) if types.is_nested(kind) else ()
    return next((found for one in inner if (found := _key_twice(one)) is not None), None)


def cast_column(column: Any, kind: Any) -> Any:
    """Return a column in a different type of the same family. Raises `Misfit` or ArrowInvalid if a value changes."""
    if column.type == kind:
        return column
    _check(column, kind)
    return column.cast(kind)


def _check(column: Any, kind: Any) -> None:
    """Raise `Misfit` if a cast of the column would change, drop or invent a value at any depth."""
    import pyarrow
    import pyarrow.compute as compute
    from pyarrow import types

    own = column.type
    if own == kind or types.is_null(own):
        return
    if family(own) != family(kind):
        raise Misfit(
            None, f"values are Arrow's {own}, expected {kind}. Cast them, or declare the field with this type."
        )
    if types.is_struct(kind):
        check_keys([own.field(k).name for k in range(own.num_fields)], struct_keys(kind))
        for k, name in enumerate(struct_keys(kind)):
            with inside(f".{name}"):
                _check(compute.struct_field(column, name), kind.field(k).type)
    elif family(kind) == "list":
        with inside("[]"):
            _check(compute.list_flatten(column), kind.value_type)
    elif types.is_map(kind):
        for chunk in getattr(column, "chunks", [column]):
            with inside("{}"):
                _check(chunk.keys, kind.key_type)
                _check(chunk.items, kind.item_type)
    elif not isinstance(kind, pyarrow.BaseExtensionType):
        _check_leaf(column, kind)


def _check_leaf(column: Any, kind: Any) -> None:
    import pyarrow
    import pyarrow.compute as compute
    from pyarrow import types

    try:
        cast = column.cast(kind)
        if types.is_floating(kind) and types.is_floating(column.type):
            kept = compute.equal(compute.is_inf(cast), compute.is_inf(column))
        elif family(kind) == "number":
            # Arrow rounds decimals, and rounds whole numbers to half floats.
            kept = compute.equal(cast.cast(column.type), column)
        else:
            return
    except pyarrow.ArrowException as error:
        raise Misfit(None, f"{error}. Declare a type that holds the value: Table(fields=...).") from error
    if compute.all(kept, min_count=0).as_py() is False:
        at = compute.index(kept, False).as_py()
        raise Misfit(None, f"the number {column[at]} does not fit {kind}. Declare the field with a wider type.")


@contextmanager
def inside(part: str) -> Iterator[None]:
    """Add a part of the path to a `Misfit` that the block raises."""
    try:
        yield
    except Misfit as misfit:
        misfit.path = part + misfit.path
        raise


def struct_keys(kind: Any) -> list[str]:
    """Return the keys of a struct."""
    return [kind.field(k).name for k in range(kind.num_fields)]


def check_keys(keys: Any, expected: Any, at: int | None = None) -> None:
    """Raise `Misfit` if a mapping has different keys. Arrow would fill in a missing one, or drop an unknown one."""
    if keys == expected or len(keys) == len(expected) and set(keys) == set(expected):
        return
    listed = (", ".join(sorted(map(str, set(a) - set(b)))) or "none" for a, b in ((expected, keys), (keys, expected)))
    missing, unknown = listed
    raise Misfit(
        at,
        f"a mapping has the keys {', '.join(map(str, keys)) or '(none)'}; missing: {missing}, unknown: {unknown}. "
        f"{JSON_ADVICE}",
    )


def widened(first: Any, second: Any) -> Any:
    """Return the type that holds values of two types that were inferred. Raises `Misfit` if there is none."""
    import pyarrow
    from pyarrow import types

    if first == second or types.is_null(second):
        return first
    if types.is_null(first):
        return second
    if types.is_struct(first) and types.is_struct(second):
        keys = struct_keys(first)
        check_keys(struct_keys(second), keys)
        return pyarrow.struct(
            [(key, _widened_at(f".{key}", first.field(key).type, second.field(key).type)) for key in keys]
        )
    if types.is_list(first) and types.is_list(second):
        return pyarrow.list_(_widened_at("[]", first.value_type, second.value_type))
    if (types.is_integer(first) or types.is_floating(first)) and (
        types.is_integer(second) or types.is_floating(second)
    ):
        return wider_number(first, second)
    if types.is_decimal(first) and types.is_decimal(second):
        return common_decimal(first, second)
    if family(first) == family(second) and hasattr(first, "unit") and hasattr(second, "unit"):
        return max((first, second), key=lambda kind: TIME_UNITS.index(kind.unit))
    if types.is_decimal(first) != types.is_decimal(second):
        raise Misfit(
            None, f"values are Arrow's {second}, expected {first} as in the samples before it. Give them one type."
        )
    # The cast that follows tells whether it changes a value.
    return first


def _widened_at(part: str, first: Any, second: Any) -> Any:
    with inside(part):
        return widened(first, second)


def wider_number(first: Any, second: Any) -> Any:
    """Return the type that holds numbers of two types, which are integers or floats."""
    import pyarrow
    from pyarrow import types

    if types.is_floating(first) and types.is_floating(second):
        return max(first, second, key=lambda kind: kind.bit_width)
    if types.is_floating(first) or types.is_floating(second):
        return pyarrow.float64()
    if types.is_signed_integer(first) == types.is_signed_integer(second):
        return max(first, second, key=lambda kind: kind.bit_width)
    return pyarrow.uint64() if pyarrow.uint64() in (first, second) else pyarrow.int64()


def common_decimal(first: Any, second: Any) -> Any:
    """Return the type that holds decimals of two types. Raises `Misfit` if they have too many digits together."""
    import pyarrow

    scale = max(first.scale, second.scale)
    digits = scale + max(kind.precision - kind.scale for kind in (first, second))
    bits = max(first.bit_width, second.bit_width)
    if fitting := [size for size, most in DIGITS.items() if size >= bits and most >= digits]:
        return getattr(pyarrow, f"decimal{fitting[0]}")(digits, scale)
    raise Misfit(None, f"decimals need {digits} digits, and Arrow has at most {DIGITS[256]}. Use floats, or text.")


def family(kind: Any) -> str:
    """Return the word for types between which a cast may keep all values."""
    from pyarrow import types

    kind = plain(kind)
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "number"
    if types.is_timestamp(kind):
        return "timestamp with zone" if kind.tz else "timestamp"
    for check, name in (
        (types.is_date, "date"),
        (types.is_time, "time"),
        (types.is_duration, "duration"),
        (types.is_fixed_size_binary, "binary"),
        (types.is_fixed_size_list, "list"),
    ):
        if check(kind):
            return name
    return re.split(r"[<\[(]", str(kind))[0]
