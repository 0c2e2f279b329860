"""The seam to every encoder: what it has learnt is a frozen value of plain JSON, and blocks of values go through it."""

from dataclasses import fields
from typing import Any, Callable, ClassVar, Iterable, Mapping, Protocol, TypeVar

import numpy as np

from dataset_assets.core.documents import UNFIT, read_as
from dataset_assets.errors import DecodeError, UsageError, nearest

Values = Any
"""A block of values: an array, a list, or an arrow array as a field of a table is."""
Kind = TypeVar("Kind", bound=type[Any])

ENCODERS: "dict[str, type[Encoder]]" = {}
"""The encoder classes by their names, as they stand in JSON; `encoder` adds a class of your own."""


class Encoder(Protocol):
    """A frozen dataclass whose fields are plain JSON: what was asked for, and what was learnt.

    It sees the values once, block by block: `learn` returns what is known after a block (None is known at first),
    `learnt` an encoder that knows it. `apply` has to treat each value by itself, so that a block of one is as good.
    """

    name: ClassVar[str]

    def learn(self, known: Any, values: Values) -> Any:
        """Return what is known after these values, too; it may be `known` itself, changed."""
        ...

    def learnt(self, known: Any) -> "Encoder":
        """Return an encoder of the same kind that knows this."""
        ...

    def apply(self, values: Values) -> Any:
        """Return the encoded values, a row each: an array, or a list of arrays of several lengths."""
        ...


def encoder(name: str) -> Callable[[Kind], Kind]:
    """Name a kind of encoder, so that what it has learnt can be written as JSON and read back."""

    def named(kind: Kind) -> Kind:
        if name in ENCODERS and ENCODERS[name].__qualname__ != kind.__qualname__:
            raise UsageError(f"The encoder {name!r} is {ENCODERS[name].__qualname__} already. Choose another name.")
        ENCODERS[name] = kind
        kind.name = name
        return kind

    return named


def fitted_to(kind: Any, *blocks: Values) -> Any:
    """Return an encoder that has learnt from these blocks.

    >>> from dataset_assets.encoding import Ordinal
    >>> fitted_to(Ordinal(), ["b", "a"], ["b"]).apply(["a", "b"])
    array([0, 1])
    """
    known = None
    for values in blocks:
        known = kind.learn(known, values)
    return kind.learnt(known)


def known_by(kind: Any, value: Any) -> Any:
    """Return what an encoder has learnt; `UsageError` if it was not fitted."""
    if value is None:
        raise UsageError(f"This {type(kind).__name__} was not fitted. Fit it on a view first: view.fit(...).")
    return value


def document_of(kind: Any) -> dict[str, Any]:
    """Return an encoder as plain JSON."""
    known: Any = ENCODERS.get(kind.name)
    if known is not type(kind):
        raise UsageError(
            f"{type(kind).__qualname__} has no name of its own among the encoders. Give it one: @encoder(...), from "
            "dataset_assets.encoding."
        )
    state = {each.name: plain(getattr(kind, each.name)) for each in fields(kind)}
    return {"encoder": kind.name, "state": state}


def encoder_of(name: str, state: Mapping[str, Any]) -> Encoder:
    """Return the encoder that `document_of` wrote; `DecodeError` for a kind or a state that is not known here."""
    if name not in ENCODERS:
        raise DecodeError(
            f"No encoder is named {name!r}.{nearest(str(name), ENCODERS)} Import the module that defines it first."
        )
    try:
        found: Encoder = read_as(ENCODERS[name], {key: _frozen(value) for key, value in state.items()})
        return found
    except UNFIT as error:
        raise DecodeError(f"This is no state of the encoder {name!r}: {error}. Fit it again.") from error


def plain(value: Any) -> Any:
    """Return a value as JSON has it: numbers of numpy as Python's, tuples as lists."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def check_choice(what: str, value: str, choices: Iterable[str]) -> None:
    """Raise `UsageError` for a value that is none of the choices."""
    if value not in tuple(choices):
        raise UsageError(f"{what}={value!r} is not known.{nearest(str(value), choices)}")


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
