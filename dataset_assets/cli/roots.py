"""The commands settings roots: which objects outside of a storage its datasets may read where they are."""

import click

from dataset_assets.cli.common import State, json_option, opened, storage_option, verb
from dataset_assets.errors import NotFound


@click.group("roots")
def roots() -> None:
    """Say below which URLs the datasets of a storage may read objects where they are.

    What is prepared here with copy=False is allowed by itself.
    """


@roots.command("allow")
@verb
@click.argument("url")
@storage_option
def allow(state: State, url: str, storage: str | None) -> None:
    """Let the datasets of the storage read what is below URL, which ends in /."""
    from dataset_assets.core.roots import allow_root

    place = opened(storage).url
    state.say(f"Datasets of {place} may read what is below {allow_root(place, url)}.")


@roots.command("refuse")
@verb
@click.argument("url")
@storage_option
def refuse(state: State, url: str, storage: str | None) -> None:
    """Take back what allow said of URL."""
    from dataset_assets.core.roots import refuse_root

    place = opened(storage).url
    if not refuse_root(place, url):
        raise NotFound(f"{url} was not allowed for {place}. List what is with: dataset-assets settings roots list")
    state.say(f"Datasets of {place} may no longer read what is below {url}.")


@roots.command("list")
@verb
@storage_option
@json_option
def list_roots(state: State, storage: str | None, as_json: bool) -> None:
    """List the roots of the storage."""
    from dataset_assets.core.roots import roots_of

    found = roots_of(opened(storage).url)
    if as_json:
        state.show_json(found)
    elif found:
        state.show_lines(found)
    else:
        state.say("No root is allowed.")
