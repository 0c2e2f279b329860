"""Reads untrusted JSON into the types that a dataclass or a signature declares.

    @dataclass(frozen=True)
    class Point:
        x: Count
        name: str | None = None

    read_as(Point, {"x": 1}) == Point(1)

No value is converted: True is not a number, and 1 is not text. `Annotated[str, check]` passes the value to `check`,
which returns it or raises ValueError. Values of a type that JSON cannot hold, such as a function, are not checked.
"""

import functools
import json
import re
import types
from collections import abc
from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, Any, Callable, Literal, Mapping, Sequence, Union, get_args, get_origin, get_type_hints

from dataset_assets.errors import nearest

DEEPEST = 100
LARGEST = (1 << 63) - 1
MOST_BYTES = 64 << 20
"""The size limit of a document. An index of about 400,000 files is this long."""

UNFIT = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError, MemoryError)
"""The errors that code raises when it gets values that it was not written for."""

Reader = Callable[[Any], Any]
_HEX = re.compile(r"[0-9a-f]{64}")
_PLAIN: dict[Any, str] = {str: "text", bool: "true or false", int: "a whole number", dict: "an object", list: "a list"}


class Unfit(ValueError):
    """A value does not have the declared type; `place` is its path in the document."""

    def __init__(self, why: str, place: str = "") -> None:
        super().__init__(why)
        self.why, self.place = why, place

    def inside(self, name: object) -> "Unfit":
        """Return this error with the name of the enclosing object or list before its place."""
        return Unfit(self.why, f"{name}.{self.place}" if self.place else str(name))

    def __str__(self) -> str:
        return f"{self.place} {self.why}" if self.place else self.why


def parsed(data: "bytes | str", most: int | None = MOST_BYTES) -> Any:
    """Parse JSON. Raises ValueError if it is invalid, names a field twice, or is too long or too deeply nested."""
    if most is not None and len(data) > most:
        raise Unfit(f"is longer than the limit of {most} bytes")
    try:
        return json.loads(data, object_pairs_hook=_once, parse_constant=_reject_constant)
    except RecursionError as error:
        raise Unfit("is nested too deeply") from error
    except MemoryError as error:
        raise Unfit("does not fit in memory") from error


def read_as(kind: Any, value: Any) -> Any:
    """Return a value of a document as this type. Raises `Unfit`, or the ValueError of the type's own `check`."""
    return reader_of(kind)(value)


def checked_arguments(function: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call, each read as the type that the signature declares.

    Arguments that the signature does not name are not checked, nor are dataclasses: documents store those in their own
    form.
    """
    hints = {name: kind for name, kind in _hints(function).items() if not is_dataclass(kind)}
    return {name: _inside(name, reader_of(hints.get(name, object)), value) for name, value in arguments.items()}


@functools.cache
def reader_of(kind: Any) -> Reader:
    """Return a function that reads a value as this type, or raises `Unfit`."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in (Count, Digest):
        return count if kind is Count else digest
    if origin is Annotated:
        return functools.reduce(_then, arguments[1:], reader_of(arguments[0]))
    if origin in (Union, types.UnionType):
        return _any_of(arguments)
    if origin is Literal:
        return _one_of(arguments)
    if origin is tuple and (len(arguments) < 2 or arguments[1] is not ...):
        return _row(arguments)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(*map(reader_of, arguments))
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return _items(reader_of(arguments[0]))
    if abc.Callable in (origin, kind):
        return lambda value: value if callable(value) else _wrong(value, "a function")
    return _record(kind) if is_dataclass(kind) else _leaf(kind)


def count(value: int) -> int:
    """Return a count: a whole number from 0 to 2**63 - 1."""
    if type(value) is not int or not 0 <= value <= LARGEST:
        raise Unfit(f"is {_shown(value)}, expected a number from 0 to 2**63 - 1")
    return value


def digest(value: str) -> str:
    """Return a sha256 in hex."""
    if type(value) is not str or not _HEX.fullmatch(value):
        raise Unfit(f"is {_shown(value)}, which is not a sha256 of 64 hex digits (0-9 and a-f)")
    return value


Count = Annotated[int, count]
Digest = Annotated[str, digest]


def _leaf(kind: Any) -> Reader:
    if kind is Any:
        return functools.partial(_json, left=DEEPEST)
    if kind is float:
        return lambda value: float(value) if type(value) in (int, float) else _wrong(value, "a number")
    if kind is type(None):
        return lambda value: value if value is None else _wrong(value, "null")
    if kind in _PLAIN:
        return lambda value: value if type(value) is kind else _wrong(value, _PLAIN[kind])
    return lambda value: value


def _record(kind: Any) -> Reader:
    hints, known = _hints(kind), [field for field in fields(kind) if field.init]
    readers = {field.name: reader_of(hints.get(field.name, object)) for field in known}
    needed = {field.name for field in known if field.default is MISSING and field.default_factory is MISSING}

    def read(value: Any) -> Any:
        if type(value) is not dict:
            value = dict(value) if isinstance(value, Mapping) else _wrong(value, "an object")
        if value.keys() != readers.keys():
            _check_names(value, readers.keys(), needed)
        return kind(**_each(value.items(), readers))

    return read


def _check_names(value: dict[str, Any], known: Any, needed: set[str]) -> None:
    for name in sorted(value.keys() - known, key=repr):
        hint = nearest(name, known, listed=False) if isinstance(name, str) and len(name) <= 80 else ""
        raise Unfit(f"has the field {_shown(name)}, which is not known{hint and '.'}{hint}")
    for name in sorted(needed - value.keys()):
        raise Unfit(f"has no field {name!r}")


def _each(items: Any, readers: Mapping[str, Reader]) -> dict[str, Any]:
    # One try around the loop: a document may have millions of values.
    values, name = {}, None
    try:
        for name, item in items:
            values[name] = readers[name](item)
    except ValueError as error:
        raise _placed(error, name) from error
    return values


def _mapping(of_key: Reader, of_value: Reader) -> Reader:
    def read(value: Any) -> dict[Any, Any]:
        values, name = {}, None
        try:
            for name, item in value.items() if isinstance(value, Mapping) else _wrong(value, "an object"):
                values[of_key(name)] = of_value(item)
        except ValueError as error:
            raise error if name is None else _placed(error, name) from error
        return values

    return read


def _items(of_item: Reader) -> Reader:
    def read(value: Any) -> tuple[Any, ...]:
        items: list[Any] = []
        try:
            for item in value if isinstance(value, (list, tuple)) else ():
                items.append(of_item(item))
        except ValueError as error:
            raise _placed(error, len(items)) from error
        return tuple(items) if isinstance(value, (list, tuple)) else _wrong(value, "a list")

    return read


def _row(kinds: tuple[Any, ...]) -> Reader:
    readers = [reader_of(kind) for kind in kinds]

    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)) or len(value) != len(readers):
            _wrong(value, f"a list of {len(readers)}")
        return tuple([_inside(k, reader, item) for k, (reader, item) in enumerate(zip(readers, value))])

    return read


def _any_of(kinds: tuple[Any, ...]) -> Reader:
    readers = [reader_of(kind) for kind in kinds]

    def read(value: Any) -> Any:
        for reader in readers[:-1]:
            try:
                return reader(value)
            except ValueError:
                continue
        return readers[-1](value) if kinds[-1] is not type(None) or value is None else readers[0](value)

    return read


def _one_of(choices: tuple[Any, ...]) -> Reader:
    def read(value: Any) -> Any:
        if any(type(value) is type(choice) and value == choice for choice in choices):
            return value
        raise Unfit(f"is {_shown(value)}, expected one of {', '.join(map(repr, choices))}")

    return read


def _then(reader: Reader, check: Reader) -> Reader:
    return lambda value: check(reader(value))


def _json(value: Any, left: int) -> Any:
    """Return any JSON value. Raises `Unfit` if it is nested deeper than `left` levels."""
    if not left:
        raise Unfit(f"is nested more than {DEEPEST} levels deep")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if isinstance(item, (dict, list)):
            _json(item, left - 1)
    return value


def _inside(name: object, reader: Reader, value: Any) -> Any:
    try:
        return reader(value)
    except ValueError as error:
        raise _placed(error, name) from error


def _placed(error: ValueError, name: object) -> Unfit:
    """Return an error with its place in the document."""
    return (error if isinstance(error, Unfit) else Unfit(f"is not valid: {error}")).inside(name)


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    known = kind
    if isinstance(kind, type) and not is_dataclass(kind) and kind.__init__ is not object.__init__:  # type: ignore[misc]
        # Another class is described by its __init__, which it may have inherited.
        known = kind.__init__  # type: ignore[misc]
    try:
        return get_type_hints(known, include_extras=True)
    except (NameError, TypeError, AttributeError):
        # The hints use names that exist only for type checkers; such a class checks its values itself.
        return {}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise Unfit(f"has a field twice; its fields are {_shown(sorted(name for name, _ in pairs))}")
    return fields


def _reject_constant(text: str) -> Any:
    raise Unfit(f"has {text}, which is not a JSON number")


def _wrong(value: Any, expected: str) -> Any:
    raise Unfit(f"is {_shown(value)}, expected {expected}")


def _shown(value: Any) -> str:
    if value and isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    # A number may have more digits than Python turns into text.
    if type(value) is int and value.bit_length() > 200:
        return f"a number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"
