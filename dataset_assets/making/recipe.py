"""The recipe of a result: a digest of all that determines it, so that work already done is recognised."""

import functools
import hashlib
import inspect
import io
import json
import tokenize
from types import CellType, CodeType, FunctionType
from typing import Any, Callable, Iterator, Mapping

from dataset_assets.definition.dataset import Dataset, DerivedFile

# Raised when what is written for the same samples changes, so that stored work of before is not taken for it.
WRITING = 1

_LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}
_BLOCKS = {tokenize.INDENT: "{", tokenize.DEDENT: "}", tokenize.NEWLINE: ";"}
# What Python 3.12 takes apart and 3.11 does not.
_OPENING, _CLOSING = getattr(tokenize, "FSTRING_START", -1), getattr(tokenize, "FSTRING_END", -1)


def split_recipe(dataset: Dataset, split: str, sources: Mapping[str, Any]) -> str:
    """Return the recipe of a split; `sources` says of each file argument what stands for it."""
    defined = dataset.splits[split]
    return _digest(
        {
            "writing": WRITING,
            "dataset": dataset.name,
            "split": split,
            "version": dataset.version,
            "license": dataset.license,
            "roles": dict(dataset.roles),
            "streams": {
                name: [kind.name, kind.version, kind.parameters()] for name, kind in sorted(dataset.streams.items())
            },
            "function": code_of(defined.function),
            "plain": defined.plain,
            "sources": dict(sources),
        }
    )


def split_code(dataset: Dataset, split: str) -> str:
    """Return the recipe of a split as far as it is known before any file is there."""
    return split_recipe(dataset, split, {})


def derived_recipe(file: DerivedFile, sources: Mapping[str, Any]) -> str:
    """Return the recipe of a derived file."""
    return _digest({"function": code_of(file.function), "plain": file.plain, "sources": dict(sources)})


def release_recipe(dataset: Dataset, splits: Mapping[str, str]) -> str:
    """Return the recipe of a version: its splits' indexes, and the checks it has to pass."""
    return _digest({"splits": dict(splits), "checks": _checks(dataset)})


def release_code(dataset: Dataset) -> str:
    """Return the recipe of a version as far as it is known before any split is there."""
    return release_recipe(dataset, dict.fromkeys(dataset.splits, ""))


def _checks(dataset: Dataset) -> dict[str, str]:
    return {name: chosen if isinstance(chosen, str) else code_of(chosen) for name, chosen in dataset.checks.items()}


@functools.lru_cache(maxsize=4096)
def code_of(function: Callable[..., Any]) -> str:
    """Return a digest of a function: its source without comments and layout, and what of its own module it uses.

    That is plain constants, values it closes over, and functions, whose code counts too. What it uses of other modules
    is not covered: raise the dataset's `version` when that changes.
    """
    return _digest(list(_described(inspect.unwrap(function), set())))


def _described(function: Any, seen: set[int]) -> Iterator[Any]:
    """Yield what determines a function's results; of helpers that call each other, each once."""
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
    """Return the values of the outer names that a function names, by name."""
    if not isinstance(function, FunctionType):
        return {}
    cells = zip(function.__code__.co_freevars, function.__closure__ or ())
    found = {name: cell.cell_contents for name, cell in cells if cell != CellType()}
    named = {name for code in _codes(function.__code__) for name in code.co_names if not name.startswith("__")}
    return found | {name: function.__globals__[name] for name in named & function.__globals__.keys()}


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _is_plain(value: Any) -> bool:
    try:
        json.dumps(value, sort_keys=True)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _source(function: Any) -> str:
    try:
        # Of a lambda only the first line is found.
        if function.__name__ != "<lambda>":
            return _tokens(inspect.cleandoc("\n" + inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, tokenize.TokenError):
        pass
    if code := getattr(function, "__code__", None):
        # A lambda, or typed at a prompt: the compiled code stands for it, which each version of Python has its own.
        return " ".join(f"{part.co_code.hex()} {part.co_names} {_constants(part)}" for part in _codes(code))
    return f"{getattr(function, '__module__', '')}:{function.__qualname__}"


def _constants(code: CodeType) -> list[Any]:
    plain = [constant for constant in code.co_consts if not isinstance(constant, CodeType)]
    return [sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value) for value in plain]


def _tokens(source: str) -> str:
    """Return a source without comments and layout, but with its blocks; the same in every version of Python."""
    lines, found, depth, start = list(io.StringIO(source)), [], 0, (0, 0)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == _OPENING:
            start, depth = (start, depth + 1) if depth else (token.start, 1)
        elif depth:
            depth -= token.type == _CLOSING
            if not depth:
                found.append(_between(lines, start, token.end))
        elif token.type not in _LAYOUT:
            found.append(_BLOCKS.get(token.type, token.string))
    return " ".join(found)


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    if start[0] == end[0]:
        return lines[start[0] - 1][start[1] : end[1]]
    first, *middle, last = lines[start[0] - 1 : end[0]]
    return "".join([first[start[1] :], *middle, last[: end[1]]])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
