"""The command line: find, make and open datasets. Data goes to stdout, everything else to stderr.

What only one verb needs is imported inside it, so that `--help` and completion are quick.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dataset_assets.cli import maintain as keeping
from dataset_assets.cli import trust as trusting
from dataset_assets.cli.common import (
    NAME,
    State,
    bars,
    completed_part,
    go_light,
    json_option,
    name_argument,
    opened,
    run,
    storage_option,
    verb,
    with_loudness,
)
from dataset_assets.errors import NotFound, UsageError

if TYPE_CHECKING:
    from dataset_assets.core.progress import Progress
    from dataset_assets.definition.dataset import Dataset
    from dataset_assets.storage import Storage

SHELLS = ("bash", "zsh", "fish")


def main() -> None:
    """Run the command line; end with the exit code of the error's class."""
    sys.exit(run(commands))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@with_loudness
@click.version_option(package_name="dataset_assets")
def commands() -> None:
    """Find, make and open ML datasets.

    \b
    dataset-assets search digits
    dataset-assets prepare io.github.rasbt.mnist_5k
    dataset-assets info io.github.rasbt.mnist_5k
    """


for _verb in (*keeping.VERBS, *trusting.VERBS):
    commands.add_command(_verb)


@commands.command()
@verb
@click.argument("terms", nargs=-1)
@json_option
def search(state: State, terms: tuple[str, ...], as_json: bool) -> None:
    """List the datasets that match all TERMS.

    A term is a word, or a field with a value or a part of it: tag:image, task:classification, license:mit,
    source:example.org; or id: with a regular expression. The best are first.
    """
    go_light()
    from dataset_assets.definition import registry
    from dataset_assets.definition import search as searching

    found = searching.search(terms, registry.definitions())
    if as_json:
        fields = ("name", "summary", "tags", "tasks", "license")
        state.show_json([{field: getattr(dataset, field) for field in fields} for dataset in found])
    elif found:
        width = max(34, *(len(dataset.name) for dataset in found))
        state.show_rows(f"{dataset.name:<{width}} {dataset.summary}" for dataset in found)
    if not found:
        raise NotFound(f"No dataset matches {' '.join(terms) or 'anything'}. List all with: {NAME} search")


@commands.command()
@verb
@name_argument
@storage_option
@json_option
def info(state: State, name: str, storage: str | None, as_json: bool) -> None:
    """Say what a dataset is and what of it is stored."""
    go_light()
    from dataset_assets.cli import text as showing

    store = opened(storage)
    document = _description(name, store)
    if as_json:
        state.show_json(document)
        return
    state.show(showing.info(document) if "streams" in document else showing.stored(document))
    if document["version"]:
        state.show(_some_samples(document, store))


def _description(name: str, store: "Storage") -> dict[str, Any]:
    from dataset_assets.cli import describe as describing
    from dataset_assets.errors import UnknownDataset

    try:
        return describing.describe(_dataset(name), store)
    except UnknownDataset:
        # What was copied from elsewhere can be read without the plugin that defined it.
        if found := describing.stored(name, store):
            return found
        raise


@commands.command()
@verb
@name_argument
@storage_option
@json_option
@click.option("--refresh", is_flag=True, help="Ask the sources whether they changed, and take what they have now.")
@click.option("--direct", is_flag=True, help="Work without Dagster, also where it is installed.")
def prepare(state: State, name: str, storage: str | None, as_json: bool, refresh: bool, direct: bool) -> None:
    """Make what is missing of a dataset, and release it.

    That is to retrieve its files, to make its splits and to check them. Where Dagster is installed it does the work and
    keeps the history, which the verb ui shows.
    """
    from dataset_assets.cli import describe as describing
    from dataset_assets.cli import text as showing

    dataset, store = _dataset(name), opened(storage)
    engine = "direct" if direct or _missing("dagster") else "dagster"
    with bars(state) as progress:
        run = (_directly if engine == "direct" else _through_dagster)(dataset, store, refresh, progress)
    document = {**(describing.released_version(dataset.name, store) or {}), "engine": engine, "run": run}
    if as_json:
        state.show_json(document)
        return
    state.show(document["id"])
    state.say(f"{document['samples']} samples, {showing.size(document['bytes'])}, in {store.url} (engine: {engine})")


@commands.command()
@verb
@storage_option
@json_option
def ls(state: State, storage: str | None, as_json: bool) -> None:
    """List the datasets that are in the storage."""
    go_light()
    from dataset_assets.cli import describe as describing
    from dataset_assets.cli import text as showing

    store = opened(storage)
    found = [document for name in describing.stored_names(store) if (document := describing.stored(name, store))]
    if as_json:
        state.show_json(found)
    elif found:
        state.show_lines(map(showing.stored, found))
    else:
        state.say(f"There is nothing in {store.url}.")


@commands.command()
@verb
@name_argument
@storage_option
@json_option
def versions(state: State, name: str, storage: str | None, as_json: bool) -> None:
    """List the stored versions of a dataset, the current one first."""
    go_light()
    from dataset_assets.cli import describe as describing
    from dataset_assets.cli import text as showing
    from dataset_assets.errors import NotPrepared

    store = opened(storage)
    if not (found := describing.versions_of(name, store)):
        raise NotPrepared(f"{name} is not in {store.url}. Make it with: {NAME} prepare {name}")
    if as_json:
        state.show_json(found)
    else:
        state.show_lines(map(showing.version, found))


@commands.command()
@verb
@name_argument
@click.argument("split", required=False, shell_complete=completed_part)
@click.argument("stream", required=False, shell_complete=completed_part)
@storage_option
@json_option
def path(state: State, name: str, split: str | None, stream: str | None, storage: str | None, as_json: bool) -> None:
    """Print where a dataset is stored.

    That of its version; with SPLIT, or SPLIT and STREAM, those of their files.
    """
    go_light()
    from dataset_assets.cli import describe as describing
    from dataset_assets.core.names import split_pin
    from dataset_assets.reading.load import open_version

    store, (plain, pin) = opened(storage), split_pin(name)
    _, digest = open_version(store, plain, pin)
    document = describing.version_document(plain, digest, store)
    found = describing.paths_of(document, split, stream)
    if as_json:
        state.show_json({"id": document["id"], "name": plain, "version": digest, "paths": found})
    else:
        state.show_paths(found)


@commands.command()
@verb
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535), help="The port on 127.0.0.1.")
@click.option("--allow-host", "hosts", multiple=True, metavar="HOST", help="A name that a reverse proxy serves it by.")
@storage_option
def ui(state: State, port: int, hosts: tuple[str, ...], storage: str | None) -> None:
    """Serve Dagster's web UI on this machine, until Ctrl-C.

    It shows the registered datasets and materializes them, with pictures, lineage, checks and the history. It refuses
    what the pages of other sites send to it.
    """
    if missing := _missing("dagster") or _missing("dagster_webserver"):
        raise UsageError(f"The UI needs {missing}, which is not installed. Run: pip install 'dataset_assets[dagster]'")
    from dataset_assets.orchestration.instance import serve

    serve(port, opened(storage).url, state.say, hosts)


@commands.command()
@verb
@click.argument("name")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Where to write.")
def new(state: State, name: str, folder: Path) -> None:
    """Write a working definition of NAME, with its test.

    They are for your own project, and yours to change.
    """
    from dataset_assets.definition.scaffold import entry_point, scaffold

    written = scaffold(name, folder)
    state.show_paths(map(str, written))
    state.say(f"Run its test with: pytest {written[-1]}\n{entry_point(name, folder)}")


@commands.command()
@verb
@click.argument("shell", type=click.Choice(SHELLS))
def completion(state: State, shell: str) -> None:
    """Print what makes a shell complete verbs and dataset names.

    \b
    bash:  eval "$(dataset-assets completion bash)"   in ~/.bashrc
    zsh:   eval "$(dataset-assets completion zsh)"    in ~/.zshrc
    fish:  dataset-assets completion fish > ~/.config/fish/completions/dataset-assets.fish
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    state.show(found(commands, {}, NAME, f"_{NAME.replace('-', '_')}_COMPLETE".upper()).source())


def _dataset(name: str) -> "Dataset":
    from dataset_assets.definition import registry

    return registry.find(name)


def _missing(package: str) -> str | None:
    from importlib.util import find_spec

    return None if find_spec(package) else package


def _directly(dataset: "Dataset", store: "Storage", refresh: bool, progress: "Progress | None") -> None:
    from dataset_assets.making.prepare import prepare

    prepare(dataset, storage=store, refresh=refresh, progress=progress)


def _through_dagster(dataset: "Dataset", store: "Storage", refresh: bool, progress: "Progress | None") -> str:
    from dataset_assets.orchestration.instance import materialize

    return materialize(dataset, store, progress, refresh)


def _some_samples(document: dict[str, Any], store: "Storage") -> str:
    """Show the first sample of the first split, one in its middle, and its last."""
    from dataset_assets.cli import text as showing
    from dataset_assets.reading.load import load
    from dataset_assets.reading.views.undecoded import facts_of, lenient

    split = next(iter(document["splits"]))
    view = load(document["id"], split, storage=store)
    shown = {f"{split}[{i}]": i for i in sorted({0, len(view) // 2, len(view) - 1}) if 0 <= i < len(view)}
    streams = document.get("streams") or view.streams
    some = {place: {stream: lenient(view)[i][stream] for stream in streams} for place, i in shown.items()}
    return showing.samples(some, {place: facts_of(view, i) for place, i in shown.items()}, view.origin.classes)


if __name__ == "__main__":
    main()
