"""Digests of functions, for recipes.

Stored recipes contain `code_of`, so it must stay the same, byte for byte, for every plain function.
"""

import functools
import hashlib
import inspect
import json
import tokenize
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any, Callable, Iterator

from dataset_assets.core.callables import identity_of
from dataset_assets.core.source_code import codes_of, compiled_text, tokens_of
from dataset_assets.core.value_digest import NoDigest
from dataset_assets.errors import DefinitionError


def code_of(function: Callable[..., Any]) -> str:
    """Return a digest of a function: its source without comments and layout, and the names of its module that it uses.

    These are plain constants, closure values, and functions, with their code. For a partial or an object, its arguments
    or state count. Code of other modules is not covered: raise the dataset's `version` when it changes.
    """
    if (parts := getattr(type(function), "__recipe_parts__", None)) is not None:
        return json_digest([type(function).__qualname__, *(code_of(getattr(function, part)) for part in parts)])
    bound = function.__self__ if isinstance(function, MethodType) else None
    if isinstance(function, functools.partial) or not hasattr(function, "__qualname__"):
        return _identity(function)
    if bound is None or isinstance(bound, (type, ModuleType)):
        return _plain_code(function)
    try:
        return json_digest([_plain_code(function.__func__), identity_of(function)])  # type: ignore[attr-defined]
    except NoDigest:
        return _plain_code(function.__func__)  # type: ignore[attr-defined]


def _identity(function: Callable[..., Any]) -> str:
    try:
        return identity_of(function)
    except NoDigest as error:
        raise DefinitionError(
            f"{function!r} uses {error}, which has no digest, so a change of it could not be noticed. Use a plain "
            "function instead."
        ) from error


@functools.lru_cache(maxsize=4096)
def _plain_code(function: Callable[..., Any]) -> str:
    return json_digest(list(_described(inspect.unwrap(function), set())))


def _described(function: Any, seen: set[int]) -> Iterator[Any]:
    """Yield everything that determines a function's results. Helpers that call each other count once."""
    function = getattr(function, "__func__", function)
    seen.add(id(function))
    yield _source(function)
    for name, value in sorted(_used(function).items()):
        if isinstance(value, FunctionType):
            if value.__module__ == function.__module__ and id(value) not in seen:
                yield name
                yield from _described(value, seen)
        elif _is_plain(value):
            yield [name, value]


def _used(function: Any) -> dict[str, Any]:
    """Return the globals and closure values that a function uses, by name."""
    if not isinstance(function, FunctionType):
        return {}
    cells = zip(function.__code__.co_freevars, function.__closure__ or ())
    found = {name: cell.cell_contents for name, cell in cells if cell != CellType()}
    named = {name for code in codes_of(function.__code__) for name in code.co_names if not name.startswith("__")}
    return found | {name: function.__globals__[name] for name in named & function.__globals__.keys()}


def _is_plain(value: Any) -> bool:
    try:
        json.dumps(value, sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _source(function: Any) -> str:
    try:
        # inspect finds only the first line of a lambda.
        if function.__name__ != "<lambda>":
            return tokens_of(inspect.cleandoc("\n" + inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, tokenize.TokenError):
        pass
    if code := getattr(function, "__code__", None):
        # For a lambda, or a function typed at a prompt, use the compiled code, which differs between Python versions.
        return compiled_text(code)
    return f"{getattr(function, '__module__', '')}:{function.__qualname__}"


def json_digest(value: Any) -> str:
    """Return the sha256 of a value as canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
