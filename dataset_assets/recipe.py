"""The recipe of a result: a digest of all that determines it, so that work already done is recognised."""

import functools
import hashlib
import inspect
import io
import json
import tokenize
from typing import Any, Callable, Mapping

from dataset_assets.definition import Dataset, DerivedFile

# Raised when what is written for the same samples changes, so that stored work of before is not taken for it.
WRITING = 1

_LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING}


def split_recipe(dataset: Dataset, split: str, sources: Mapping[str, str]) -> str:
    """Return the recipe of a split; `sources` is the sha256 of each file argument.

    It covers the function's own code, not the helpers it calls: raise the dataset's `version` when those change.
    """
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


def derived_recipe(file: DerivedFile, sources: Mapping[str, str]) -> str:
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
    """Return a digest of a function's source without comments and layout, or of its name where it has no source."""
    try:
        return hashlib.sha256(_tokens(inspect.getsource(function)).encode()).hexdigest()
    except (OSError, TypeError, SyntaxError, tokenize.TokenError):
        return f"{getattr(function, '__module__', '')}:{getattr(function, '__qualname__', repr(type(function)))}"


def _tokens(source: str) -> str:
    tokens = tokenize.generate_tokens(io.StringIO(inspect.cleandoc("\n" + source)).readline)
    return " ".join(token.string for token in tokens if token.type not in _LAYOUT)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
