"""Searching the registered definitions: words and fields, all of which must match, best first."""

import re
from typing import Callable, Iterable, Sequence

from dataset_assets.definition import Dataset
from dataset_assets.errors import UsageError, nearest
from dataset_assets.retrieval import redacted

# How much a word counts for, by where it was found.
WEIGHTS = {"name": 8, "tags": 4, "tasks": 4, "summary": 2, "other": 1}

Score = Callable[[Dataset], int]


def search(terms: Sequence[str], datasets: Iterable[Dataset]) -> list[Dataset]:
    """Return the datasets that match every term, best first.

    A term is a word, or `tag:`, `task:`, `license:`, `source:` with the beginning or a part of a value, or `id:` with a
    regular expression. Raises `UsageError` for an unknown field or a bad expression.
    """
    scores = [_score(term) for term in terms]
    ranked = []
    for dataset in datasets:
        found = [score(dataset) for score in scores]
        if all(found):
            ranked.append((-sum(found), dataset.name, dataset))
    return [dataset for *_, dataset in sorted(ranked, key=lambda item: item[:2])]


def _score(term: str) -> Score:
    name, colon, value = term.partition(":")
    if not colon:
        return lambda dataset: _word(term.lower(), dataset)
    if name not in _FIELDS:
        raise UsageError(f"{term!r} asks for the field {name!r}.{nearest(name, _FIELDS)}")
    if name == "id":
        return _by_id(value)
    values = _FIELDS[name]
    return lambda dataset: 4 * any(value.lower() in found.lower() for found in values(dataset))


def _by_id(expression: str) -> Score:
    try:
        compiled = re.compile(expression)
    except re.error as error:
        raise UsageError(f"{expression!r} is not a regular expression: {error}.") from error
    return lambda dataset: 8 * bool(compiled.search(dataset.name))


def _word(word: str, dataset: Dataset) -> int:
    places = {
        "name": [dataset.name, *dataset.aliases],
        "tags": dataset.tags,
        "tasks": dataset.tasks,
        "summary": [dataset.summary],
        "other": [dataset.license or "", dataset.citation or "", dataset.homepage or "", *dataset.streams],
    }
    return sum(WEIGHTS[place] for place, texts in places.items() if any(word in text.lower() for text in texts))


def _sources(dataset: Dataset) -> list[str]:
    return [redacted(url) for file in dataset.remote_files.values() for url in file.urls]


_FIELDS: dict[str, Callable[[Dataset], Iterable[str]]] = {
    "tag": lambda dataset: dataset.tags,
    "task": lambda dataset: dataset.tasks,
    "license": lambda dataset: [dataset.license or ""],
    "source": _sources,
    "id": lambda dataset: [dataset.name],
}
