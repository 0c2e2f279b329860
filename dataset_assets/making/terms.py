"""The terms of a dataset: the user accepts them before anything is retrieved or made.

`Maker` refuses to work without that. Listing, searching, checking sources and opening what is stored never ask.
"""

import sys
from fnmatch import fnmatchcase
from typing import Iterable

from dataset_assets.core.acceptance import accept, is_accepted
from dataset_assets.core.commands import command
from dataset_assets.core.settings import settings
from dataset_assets.definition.dataset import Dataset
from dataset_assets.errors import Refused, visible
from dataset_assets.storage.licenses import check_license


def accepted(dataset: Dataset) -> bool:
    """Say whether a dataset has no terms, or the user or the setting `accept_terms` accepts them."""
    if dataset.terms is None or is_accepted(dataset.name, dataset.terms):
        return True
    # A name in brackets, as a member of a family has, is no pattern.
    return any(dataset.name == name or fnmatchcase(dataset.name, name) for name in settings().accept_terms)


def see_accepted(dataset: Dataset, storage: str = "") -> None:
    """Raise `Refused`, with the command that accepts them, if the terms of a dataset are not accepted."""
    if not accepted(dataset):
        raise Refused(
            f"The terms of {dataset.name} are not accepted, so nothing is retrieved. "
            f"`{command(f'info {dataset.name}', storage)}` shows them. Accept them with: "
            f"{command(f'prepare --accept-terms {dataset.name}', storage)}"
        )


def settle(dataset: Dataset, accept_terms: bool = False) -> None:
    """Remember that the user accepts the terms, as an argument says or an answer on the terminal.

    Asks only if they are not accepted yet, and only on a terminal. Raises `Refused` if the answer is no.
    """
    if dataset.terms is None or accepted(dataset):
        return
    if accept_terms or (_on_terminal() and _asked(dataset.name, dataset.terms)):
        accept(dataset.name, dataset.terms)
    elif _on_terminal():
        see_accepted(dataset)


def settle_all(dataset: Dataset, others: Iterable[Dataset], accept_terms: bool = False) -> None:
    """Check the licences, and settle the terms, of a dataset and of the others that it is made of. Raises `Refused`.

    `accept_terms` accepts those of the dataset alone.
    """
    for each in (*others, dataset):
        check_license(each.name, each.license)
        settle(each, accept_terms and each is dataset)


def _on_terminal() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def _asked(name: str, terms: str) -> bool:
    question = f"The terms of {name}:\n\n{visible(terms.strip())}\n\nDo you accept them? [y/N] "
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
