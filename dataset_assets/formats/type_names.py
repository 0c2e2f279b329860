"""Arrow's types as text: what a definition may write, and what an index records."""

import re
from typing import Any

from dataset_assets.errors import DefinitionError


def type_text(kind: Any) -> str:
    """Return the text of a declared type: a name, or a type of Arrow in the form in which its values are stored.

    Raises `DefinitionError` for a type whose text would be read as a different type.
    """
    if not hasattr(type(kind), "bit_width"):
        return str(kind)
    own = plain(kind)
    if type_named(str(own)) != own:
        raise DefinitionError(
            f"The type {str(kind)!r:.200} has a field name with one of the characters <>,: which cannot be declared. "
            "Rename the field."
        )
    return str(own)


def type_named(name: str) -> Any:
    """Return the Arrow type for a name in a definition or in an index (which writes `str(type)`).

    Raises `DefinitionError` for an unknown name.

    >>> str(type_named("list<item: struct<x: double, y: timestamp[us, tz=UTC]>>"))
    'list<item: struct<x: double, y: timestamp[us, tz=UTC]>>'
    """
    try:
        return _parsed(name.strip())
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise DefinitionError(
            f"{name!r:.200} is not an Arrow type ({error}). Write types as Arrow does: 'double', 'int64', 'string', "
            "'bool'."
        ) from error


def _parsed(name: str) -> Any:
    import pyarrow

    if zoned := re.fullmatch(r"timestamp\[(s|ms|us|ns), tz=(.+)\]", name):
        return pyarrow.timestamp(zoned[1], zoned[2])
    if exact := re.fullmatch(r"(decimal(?:32|64|128|256))\((\d+), (-?\d+)\)", name):
        return getattr(pyarrow, exact[1])(int(exact[2]), int(exact[3]))
    if width := re.fullmatch(r"fixed_size_binary\[(\d+)\]", name):
        return pyarrow.binary(int(width[1]))
    if nested := re.fullmatch(r"(\w+)<(.*)>(?:\[(\d+)\])?", name):
        return _nested(nested[1], _parts(nested[2]), int(nested[3] or -1))
    return plain(pyarrow.type_for_alias(name))


def _nested(word: str, parts: list[str], size: int) -> Any:
    """Return a type with types inside, such as struct<a: int64>."""
    import pyarrow

    if word == "struct":
        return pyarrow.struct([_field(part) for part in parts])
    if word == "map":
        key, item, *rest = parts
        return pyarrow.map_(_parsed(key), _parsed(re.sub(r" \('.*'\)$", "", item)), rest == ["keys_sorted"])
    if word in ("sparse_union", "dense_union"):
        fields = [part.rsplit("=", 1) for part in parts]
        kinds = [pyarrow.field(*_field(text)) for text, _ in fields]
        return pyarrow.union(kinds, word.split("_")[0], [int(code) for _, code in fields])
    if word in ("dictionary", "run_end_encoded"):
        # Categories and runs are stored as their values.
        return _parsed(next(re.split("[=:] ?", part, maxsplit=1)[1] for part in parts if part.startswith("values")))
    [(_, inner)] = [_field(part) for part in parts]
    if word in ("list_view", "large_list_view"):
        return getattr(pyarrow, word)(inner)
    if word not in ("list", "large_list", "fixed_size_list"):
        raise ValueError(f"{word} is not known")
    return pyarrow.list_(inner, size)


def _field(text: str) -> tuple[str, Any]:
    name, kind = text.split(": ", 1)
    return name, _parsed(kind.removesuffix(" not null"))


def _parts(text: str) -> list[str]:
    """Split a text at the commas outside of brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "<[(") - (character in ">])")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts] if text else []


def plain(kind: Any) -> Any:
    """Return the type in which values of a type are stored, the same for every library that produced them.

    For example, pandas' strings are "large" or not, depending on its version.
    """
    import pyarrow
    from pyarrow import types

    if isinstance(kind, pyarrow.BaseExtensionType):
        return plain(kind.storage_type)
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return plain(kind.value_type)
    if str(kind) in ("large_string", "string_view"):
        return pyarrow.string()
    if str(kind) in ("large_binary", "binary_view"):
        return pyarrow.binary()
    if types.is_list(kind) or types.is_large_list(kind):
        return pyarrow.list_(plain(kind.value_type))
    if types.is_fixed_size_list(kind):
        return pyarrow.list_(plain(kind.value_type), kind.list_size)
    if types.is_struct(kind):
        return pyarrow.struct([(kind.field(k).name, plain(kind.field(k).type)) for k in range(kind.num_fields)])
    if types.is_map(kind) and (own := (plain(kind.key_type), plain(kind.item_type))) != (kind.key_type, kind.item_type):
        return pyarrow.map_(*own, kind.keys_sorted)
    return kind
