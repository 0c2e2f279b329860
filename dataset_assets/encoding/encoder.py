"""The protocol of encoders, their registry, and their JSON form."""

from dataclasses import fields
from typing import Any, Callable, ClassVar, Iterable, Mapping, Protocol, TypeVar

import numpy as np

from dataset_assets.core.documents import UNFIT, read_as
from dataset_assets.errors import DecodeError, UsageError, nearest

Values = Any
"""A block of values: an array, a list, or an Arrow array (a field of a table)."""
Kind = TypeVar("Kind", bound=type[Any])

ENCODERS: "dict[str, type[Encoder]]" = {}
"""The encoder classes by their names, as they stand in JSON; `encoder` adds a class of your own."""


class Encoder(Protocol):
    """A frozen dataclass whose fields are plain JSON: the settings, and what it has learnt.

    Fitting passes over the values once, block by block: `learn` takes what is known so far (None at first) and returns
    what is known after the block; `learnt` returns an encoder with that knowledge. `apply` must treat each value on its
    own, so that the size of a block does not matter.
    """

    name: ClassVar[str]

    def learn(self, known: Any, values: Values) -> Any:
        """Return what is known after these values; it may change `known` and return it."""
        ...

    def learnt(self, known: Any) -> "Encoder":
        """Return an encoder of the same kind with this knowledge."""
        ...

    def apply(self, values: Values) -> Any:
        """Return a row for each value: an array, or a list of arrays of different lengths."""
        ...


def encoder(name: str) -> Callable[[Kind], Kind]:
    """Register a class of encoders under a name, so that they can be written as JSON and read back."""

    def named(kind: Kind) -> Kind:
        if name in ENCODERS and ENCODERS[name].__qualname__ != kind.__qualname__:
            raise UsageError(
                f"The name {name!r} already belongs to the encoder {ENCODERS[name].__qualname__}. Choose another name."
            )
        ENCODERS[name] = kind
        kind.name = name
        return kind

    return named


def fitted_to(kind: Any, *blocks: Values) -> Any:
    """Return an encoder that is fitted on these blocks.

    >>> from dataset_assets.encoding import Ordinal
    >>> fitted_to(Ordinal(), ["b", "a"], ["b"]).apply(["a", "b"])
    array([0, 1])
    """
    known = None
    for values in blocks:
        known = kind.learn(known, values)
    return kind.learnt(known)


def known_by(kind: Any, value: Any) -> Any:
    """Return what an encoder has learnt. Raises `UsageError` if it is not fitted."""
    if value is None:
        raise UsageError(f"This {type(kind).__name__} is not fitted. Fit it on a view first: view.fit_encoders(...).")
    return value


def document_of(kind: Any) -> dict[str, Any]:
    """Return an encoder as plain JSON."""
    known: Any = ENCODERS.get(kind.name)
    if known is not type(kind):
        raise UsageError(
            f"{type(kind).__qualname__} is not registered as an encoder. Register it: @encoder(...), from "
            "dataset_assets.encoding."
        )
    state = {each.name: plain(getattr(kind, each.name)) for each in fields(kind)}
    return {"encoder": kind.name, "state": state}


def encoder_of(name: str, state: Mapping[str, Any]) -> Encoder:
    """Return the encoder that `document_of` wrote. Raises `DecodeError` for an unknown encoder or a wrong state."""
    if name not in ENCODERS:
        raise DecodeError(
            f"No encoder is named {name!r}.{nearest(str(name), ENCODERS)} Import the module that defines it first."
        )
    try:
        kind: Encoder = read_as(ENCODERS[name], {key: _frozen(value) for key, value in state.items()})
        return kind
    except UNFIT as error:
        raise DecodeError(f"The state of the encoder {name!r} is not valid: {error}. Fit it again.") from error


def plain(value: Any) -> Any:
    """Return a value as JSON has it: numpy's numbers as Python's, tuples as lists."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def check_choice(what: str, value: str, choices: Iterable[str]) -> None:
    """Raise `UsageError` for a value that is not among the choices."""
    if value not in tuple(choices):
        raise UsageError(f"{what}={value!r} is not known.{nearest(str(value), choices)}")


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
