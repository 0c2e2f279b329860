"""Searches the registered definitions by words and fields."""

import re
from types import MappingProxyType
from typing import Callable, Iterable, Mapping, Sequence

from dataset_assets.core.redact import redacted
from dataset_assets.definition.dataset import Dataset
from dataset_assets.errors import UsageError, nearest

# The weight of a match, by the field that matches.
WEIGHTS = {"name": 8, "tags": 4, "tasks": 4, "summary": 2, "other": 1}
# The weight of a match within a word, of a whole word, and of the last part of the name.
PART, WHOLE, NAMESAKE = 1, 2, 4

Score = Callable[[Dataset], int]


def search(
    terms: Sequence[str], datasets: Iterable[Dataset], packages: Mapping[str, str] = MappingProxyType({})
) -> list[Dataset]:
    """Return the datasets that match all terms, best match first: whole words count more than parts of words.

    A term is a word, or `tag:`, `task:`, `type:`, `license:`, `source:` or `plugin:` with a value or a part of it, or
    `id:` with a regular expression. A type is the format of a stream, or a task. `packages` are the packages of the
    definitions by name, for `plugin:`. Case does not matter. Raises `UsageError` for an unknown field or an invalid
    expression.
    """
    scores = [_score(term, packages) for term in terms]
    ranked = []
    for dataset in datasets:
        points = [score(dataset) for score in scores]
        if all(points):
            ranked.append((-sum(points), dataset.name, dataset))
    return [dataset for *_, dataset in sorted(ranked, key=lambda item: item[:2])]


def _score(term: str, packages: Mapping[str, str]) -> Score:
    name, colon, value = term.partition(":")
    if not colon:
        return lambda dataset: _word(term.lower(), dataset)
    if name not in _FIELDS:
        raise UsageError(f"{term!r} searches the unknown field {name!r}.{nearest(name, _FIELDS)}")
    if not value:
        raise UsageError(f"{term!r} has no value. Write it without a space, as in {name}:{_EXAMPLES[name]}.")
    if name == "id":
        return _by_id(value)
    if name == "plugin":
        return lambda dataset: WEIGHTS["tags"] * _fit(value.lower(), [packages.get(dataset.name, "")])
    values = _FIELDS[name]
    return lambda dataset: WEIGHTS["tags"] * _fit(value.lower(), values(dataset))


def _by_id(expression: str) -> Score:
    try:
        compiled = re.compile(expression, re.IGNORECASE)
    except re.error as error:
        raise UsageError(f"{expression!r} is not a regular expression: {error}. Escape special characters.") from error
    return lambda dataset: WEIGHTS["name"] * bool(compiled.search(dataset.name))


def _word(word: str, dataset: Dataset) -> int:
    places = {
        "name": [dataset.name, *dataset.aliases],
        "tags": dataset.tags,
        "tasks": dataset.tasks,
        "summary": [dataset.summary],
        "other": [dataset.license or "", dataset.citation or "", dataset.homepage or "", *dataset.streams],
    }
    points = sum(WEIGHTS[place] * _fit(word, texts) for place, texts in places.items())
    return points + NAMESAKE * WEIGHTS["name"] * (dataset.name.rpartition(".")[2] == word)


def _fit(word: str, texts: Iterable[str]) -> int:
    """Return how well a word matches the best of some texts: 0, PART or WHOLE."""
    lower = [text.lower() for text in texts]
    if not any(word in text for text in lower):
        return 0
    whole = re.compile(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])")
    return WHOLE if any(map(whole.search, lower)) else PART


def _sources(dataset: Dataset) -> list[str]:
    return [redacted(url) for file in dataset.remote_files.values() for url in file.urls]


_FIELDS: dict[str, Callable[[Dataset], Iterable[str]]] = {
    "tag": lambda dataset: dataset.tags,
    "task": lambda dataset: dataset.tasks,
    "type": lambda dataset: [*(kind.name for kind in dataset.streams.values()), *dataset.tasks],
    "license": lambda dataset: [dataset.license or ""],
    "source": _sources,
    "plugin": lambda dataset: [],
    "id": lambda dataset: [dataset.name],
}
_EXAMPLES = {
    "tag": "image",
    "task": "classification",
    "type": "image",
    "license": "MIT",
    "source": "example.org",
    "plugin": "birdhouse",
    "id": "mnist$",
}
