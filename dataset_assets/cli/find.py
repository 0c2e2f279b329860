"""The commands that find datasets: search, plugins.

Each command imports what it needs inside its function, so that `--help` and completion are fast.
"""

from contextlib import suppress
from typing import TYPE_CHECKING, Mapping

import click

from dataset_assets.cli.common import NAME, State, go_light, json_option, opened, verb
from dataset_assets.errors import DatasetAssetsError, NotFound

if TYPE_CHECKING:
    from dataset_assets.core.plugins import Offer
    from dataset_assets.definition.dataset import Dataset


@click.command()
@verb
@click.argument("terms", nargs=-1)
@json_option
def search(state: State, terms: tuple[str, ...], as_json: bool) -> None:
    """List the datasets that match all TERMS.

    A term is a word, or a field with a value or a part of it: tag:image, task:classification, type:audio, license:mit,
    source:example.org, plugin:birdhouse; or id: with a regular expression. The best matches come first. A family of
    datasets is one line; 'NAME[*]' lists its members. Unverified definitions were never run on their publisher's files.
    """
    go_light()
    from dataset_assets.datasets import verified
    from dataset_assets.definition import registry, search

    if len(terms) == 1 and terms[0].endswith(registry.EVERY):
        _show_members(state, terms[0].removesuffix(registry.EVERY), as_json)
        return
    of_plugins = any(term.startswith("plugin:") for term in terms)
    matches = search.search(terms, registry.searchable(), registry.packages() if of_plugins else {})
    if as_json:
        fields = ("name", "summary", "tags", "tasks", "license")
        axes = [{"axes": [axis.name for axis in dataset.axes]} for dataset in matches]
        found = [{field: getattr(dataset, field) for field in fields} for dataset in matches]
        found = [{**one, "verified": verified(one["name"])} for one in found]
        state.show_json([one | more if more["axes"] else one for one, more in zip(found, axes)])
    elif matches:
        width = max(34, *(len(dataset.name) for dataset in matches))
        marks = {dataset.name: "(unverified) " for dataset in matches if verified(dataset.name) is False}
        # The mark comes first: a terminal shows the beginning of a line.
        state.show_rows(f"{one.name:<{width}} {marks.get(one.name, '')}{one.summary}{_axes_of(one)}" for one in matches)
    undefined = _stored_without_definition(terms)
    for name, url in undefined.items() if not as_json else ():
        state.show(f"{name:<34} stored in {url}; to prepare it, name its definition in DATASET_ASSETS_DEFINITIONS")
    if not matches and not undefined:
        raise NotFound(f"No dataset matches {' '.join(terms) or 'anything'}. List all with: {NAME} search")


@click.command()
@verb
@json_option
def plugins(state: State, as_json: bool) -> None:
    """List the installed packages that extend this library."""
    from collections import Counter

    from dataset_assets.core import plugins
    from dataset_assets.definition import registry

    offers, counts = plugins.offers(), Counter(registry.packages().values())
    if as_json:
        state.show_json([{**offer._asdict(), "definitions": _count(offer, counts)} for offer in offers])
    elif offers:
        state.show_lines(
            f"{offer.package:<20} {offer.version:<8} {offer.group:<10} {offer.name:<28} "
            f"{offer.problem or _counted(_count(offer, counts))}".rstrip()
            for offer in offers
        )
    else:
        state.say("No installed package has a plugin.")


def _count(offer: "Offer", counts: Mapping[str, int]) -> int | None:
    """Return how many definitions a package has, for an offer of datasets."""
    return counts.get(offer.package, 0) if offer.group == "datasets" else None


def _counted(count: int | None) -> str:
    return "" if count is None else f"{count} definition{'' if count == 1 else 's'}"


def _axes_of(dataset: "Dataset") -> str:
    """Return the axes of a family for a row of a search."""
    return f" [{', '.join(axis.name for axis in dataset.axes)}]" if dataset.axes else ""


def _show_members(state: State, name: str, as_json: bool) -> None:
    """List the members of a family; refuse an axis that may have any value, and very many members."""
    from dataset_assets.definition import registry

    if (family := registry.family(name)) is None:
        raise NotFound(f"{name} is not a family of datasets. List all with: {NAME} search")
    if as_json:
        state.show_json(family.listed())
    else:
        state.show_lines(family.listed())


def _stored_without_definition(terms: tuple[str, ...]) -> dict[str, str]:
    """Return the stored datasets whose names hold all terms and that nothing here defines, each with its storage."""
    from dataset_assets.definition import registry
    from dataset_assets.storage.listing import stored_names

    with suppress(DatasetAssetsError):
        store = opened(None)
        names = {name for name in stored_names(store) if all(term.lower() in name for term in terms)}
        return dict.fromkeys(sorted(names.difference(registry.names())) if names else (), store.url)
    return {}
