"""The registry of operations: every kind of view by its name, and the functions that views' methods call."""

from typing import Any, Callable, TypeVar

from dataset_assets.errors import UsageError

Kind = TypeVar("Kind", bound=type[Any])
Verb = TypeVar("Verb", bound=Callable[..., Any])

OPERATIONS: dict[str, type[Any]] = {}
"""The kinds of views that a JSON document can name."""

VERBS: dict[str, Callable[..., Any]] = {}
"""The functions that a view's methods call: splits, fitting, conversions."""


def operation(name: str) -> Callable[[Kind], Kind]:
    """Register a kind of view under a name, so that stacks with it can be written as JSON and read back.

    Raises `UsageError` if the name is in use.
    """

    def named(kind: Kind) -> Kind:
        if name in OPERATIONS:
            raise UsageError(
                f"The name {name!r} already belongs to the operation {OPERATIONS[name].__qualname__}. Choose another."
            )
        OPERATIONS[name] = kind
        kind.op = name
        return kind

    return named


def verb(function: Verb) -> Verb:
    """Register a function under its name, so that a view's method can call it."""
    VERBS[function.__name__] = function
    return function
