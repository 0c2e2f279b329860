"""The table of operations: every kind of view by its name, and every verb of the menu that is not a kind."""

from typing import Any, Callable, TypeVar

from dataset_assets.errors import UsageError

Kind = TypeVar("Kind", bound=type[Any])
Verb = TypeVar("Verb", bound=Callable[..., Any])

OPERATIONS: dict[str, type[Any]] = {}
"""The kinds of views that a document can name."""

VERBS: dict[str, Callable[..., Any]] = {}
"""What a view's methods call besides: splits, fitting, conversions."""


def operation(name: str) -> Callable[[Kind], Kind]:
    """Name a kind of view, so that stacks with it can be written as JSON and read back.

    Raises `UsageError` if the name is taken.
    """

    def named(kind: Kind) -> Kind:
        if name in OPERATIONS:
            raise UsageError(f"The operation {name!r} is {OPERATIONS[name].__qualname__} already. Choose another name.")
        OPERATIONS[name] = kind
        kind.op = name
        return kind

    return named


def verb(function: Verb) -> Verb:
    """Let a view's method find this function by its name."""
    VERBS[function.__name__] = function
    return function
