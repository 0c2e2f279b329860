"""Checks of the functions in a definition, and copies of their arguments."""

import inspect
import json
import pickle
from typing import Any, Callable, Mapping

from dataset_assets.errors import DefinitionError


def check_signature(function: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
    """Raise `DefinitionError` if a function cannot be called with these arguments."""
    try:
        wanted = inspect.signature(function)
    except (TypeError, ValueError):  # some functions written in C have no signature
        return
    try:
        wanted.bind(**arguments)
    except TypeError as error:
        given = ", ".join(arguments) or "no arguments"
        raise DefinitionError(
            f"The function {function.__qualname__}{wanted} cannot be called with {given}: {error}. Use the argument "
            "names of the function."
        ) from None


def check_picklable(function: Any, what: str) -> None:
    """Raise `DefinitionError` if another process cannot import a function by its name."""
    try:
        pickle.dumps(function)
    # Pickling a bound method may run code of its object, which may raise anything.
    except Exception as error:
        raise DefinitionError(
            f"{what} cannot be pickled: the function {getattr(function, '__qualname__', function)} cannot be imported "
            f"by its name ({error}). Define it at the top of a module."
        ) from error


def plain_copy(name: str, value: Any) -> Any:
    """Return a copy of a plain value, so that later changes have no effect. Raises `DefinitionError`."""
    try:
        # The value is written into the manifest, so it must be valid JSON and valid UTF-8.
        copied = json.loads(json.dumps(value, allow_nan=False, ensure_ascii=False).encode())
        if copied == value:
            return copied
    except (TypeError, ValueError, RecursionError):
        pass
    raise DefinitionError(
        f"Argument {name!r} is {value!r}. Arguments are files, SplitOf(...), FileOf(...), or plain JSON values (no "
        "tuples, no NaN)."
    )


def fresh_copy(value: Any) -> Any:
    """Return a copy of a JSON value that its user may change."""
    return json.loads(json.dumps(value)) if isinstance(value, (dict, list)) else value
