"""The command line: find, make and open datasets. Data goes to stdout, everything else to stderr.

Each command imports what it needs inside its function, so that `--help` and completion are fast.
"""

import os
import shlex
import sys
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import click

from dataset_assets.cli.common import (
    NAME,
    State,
    bars,
    completed_part,
    go_light,
    json_option,
    missing,
    name_argument,
    opened,
    run,
    storage_option,
    verb,
    with_loudness,
)
from dataset_assets.cli.groups import Grouped, verbs
from dataset_assets.errors import UsageError

if TYPE_CHECKING:
    from dataset_assets.core.progress import Progress
    from dataset_assets.definition.dataset import Dataset
    from dataset_assets.storage import Storage

    Shown = tuple[list[dict[str, Any]], Callable[[Any], str]]

SHELLS = ("bash", "zsh", "fish")


def main() -> None:
    """Run the command line; end with the exit code of the error's class."""
    sys.exit(run(commands))


@click.group(cls=Grouped, commands=verbs(), context_settings={"help_option_names": ["-h", "--help"]})
@with_loudness
@click.version_option(package_name="dataset_assets")
def commands() -> None:
    """Find, make and open ML datasets.

    \b
    dataset-assets search digits
    dataset-assets prepare io.github.rasbt.mnist_5k
    dataset-assets info io.github.rasbt.mnist_5k
    """


@commands.command()
@verb
@name_argument
@storage_option
@json_option
def info(state: State, name: str, storage: str | None, as_json: bool) -> None:
    """Describe a dataset and show what is stored."""
    go_light()
    from dataset_assets.cli import text

    store = opened(storage)
    document = _description(name, store)
    if as_json:
        state.show_json(document)
        return
    if "example" in document:
        state.show(text.family(document))
        return
    state.show(text.info(document) if "streams" in document else text.stored(document))
    if document["version"]:
        state.show(_some_samples(document, store))


def _description(name: str, store: "Storage") -> dict[str, Any]:
    from dataset_assets.cli import describe
    from dataset_assets.definition import registry
    from dataset_assets.errors import UnknownDataset
    from dataset_assets.storage.aliases import aliases_of, named

    if "." in name and "[" not in name and "@" not in name and (family := registry.family(name)):
        return describe.describe_family(family)
    try:
        return describe.describe(_dataset(name, store), store)
    except UnknownDataset:
        # A copied dataset can be read without the plugin that defined it.
        stored = named(store, name)
        if document := describe.current_document(stored):
            return {**document, "aliases": aliases_of(stored)}
        raise


@commands.command()
@verb
@name_argument
@storage_option
@json_option
@click.option("--refresh", is_flag=True, help="Check the sources for changes, and use their current files.")
@click.option("--direct", is_flag=True, help="Do not use Dagster, even if it is installed.")
@click.option("--accept-terms", is_flag=True, help="Accept the terms of the dataset, which info shows.")
@click.option("--jobs", type=click.IntRange(1), metavar="N", help="How many processes work; default: one a core.")
@click.option("--engine", metavar="NAME", help="Who makes the parts of a split: processes, here, or ray.")
@click.option("--offline", is_flag=True, help="Ask no source; say which files are missing.")
@click.option("--dry-run", is_flag=True, help="Show what would be retrieved and made, and do nothing.")
def prepare(
    state: State,
    name: str,
    storage: str | None,
    as_json: bool,
    refresh: bool,
    direct: bool,
    accept_terms: bool,
    jobs: int | None,
    engine: str | None,
    offline: bool,
    dry_run: bool,
) -> None:
    """Make the missing parts of a dataset, and release it.

    It downloads the files, makes the splits and checks them. If Dagster is installed, Dagster does the work and keeps
    the history, which the command ui shows. If the dataset has terms, it asks once whether you accept them.
    """
    from dataset_assets.cli import describe, text
    from dataset_assets.core.settings import settings
    from dataset_assets.definition.linked import linked
    from dataset_assets.making.engines import see_known
    from dataset_assets.making.plan import plan, see_at_hand
    from dataset_assets.making.terms import settle_all
    from dataset_assets.storage.stored_dataset import StoredDataset

    if offline:
        os.environ["DATASET_ASSETS_OFFLINE"] = "1"
    if jobs:
        os.environ["DATASET_ASSETS_JOBS"] = str(jobs)
    if engine:
        os.environ["DATASET_ASSETS_ENGINE"] = see_known(engine)
    store = opened(storage)
    dataset = _dataset(name, store)
    if dry_run:
        planned = plan(dataset, store, refresh=refresh)
        document = planned.to_dict()
        if as_json:
            state.show_json(document)
        else:
            state.show(text.plan(document))
        planned.see_fits()
        return
    if settings().offline:
        see_at_hand(dataset, store)
    settle_all(dataset, linked(dataset, store), accept_terms)
    engine = "direct" if direct or missing("dagster") else "dagster"
    with bars(state) as progress:
        run = (_directly if engine == "direct" else _through_dagster)(dataset, store, refresh, progress)
    document = {**(describe.released_version(StoredDataset(store, dataset.name)) or {}), "engine": engine, "run": run}
    if as_json:
        state.show_json(document)
        return
    state.show(document["id"])
    state.say(f"{document['samples']} samples, {text.size(document['bytes'])}, in {store.url} (engine: {engine})")


@commands.command()
@verb
@click.option("-r", "--remote", "far", is_flag=True, help="List the remote: the storage of the setting remote.")
@click.option("-l", "--long", is_flag=True, help="With --remote: show sizes and versions too, which asks for each.")
@storage_option
@json_option
def ls(state: State, far: bool, long: bool, storage: str | None, as_json: bool) -> None:
    """List the datasets that are in the storage, or in the remote.

    Registered folders are datasets like all others. --remote lists the names only.
    """
    go_light()
    if far and storage:
        raise UsageError("--remote and --storage name two storages. Give one of them.")
    store = _remote() if far else opened(storage)
    documents, shown = _names_in(store) if far and not long else _current_in(store)
    if as_json:
        state.show_json(documents)
    elif documents:
        state.show_lines(map(shown, documents))
    else:
        state.say(f"No dataset is stored in {store.url}.")


def _remote() -> "Storage":
    from dataset_assets.moving.remotes import open_remote

    return open_remote()


def _names_in(store: "Storage") -> "Shown":
    from dataset_assets.moving.remotes import listed_names

    return [{"name": name} for name in listed_names(store)], itemgetter("name")


def _current_in(store: "Storage") -> "Shown":
    from dataset_assets.cli import describe, text

    return describe.current_documents(store), text.stored


@commands.command()
@verb
@name_argument
@storage_option
@json_option
def versions(state: State, name: str, storage: str | None, as_json: bool) -> None:
    """List the stored versions of a dataset, the current one first."""
    go_light()
    from dataset_assets.cli import describe, text
    from dataset_assets.storage.aliases import named

    stored = named(opened(storage), name)
    if not (documents := describe.versions_of(stored)):
        raise stored.absent()
    if as_json:
        state.show_json(documents)
    else:
        state.show_lines(map(text.version, documents))


@commands.command()
@verb
@name_argument
@click.argument("split", required=False, shell_complete=completed_part)
@click.argument("stream", required=False, shell_complete=completed_part)
@storage_option
@json_option
def path(state: State, name: str, split: str | None, stream: str | None, storage: str | None, as_json: bool) -> None:
    """Print the path of a dataset.

    Without SPLIT, it prints the path of the version; with SPLIT, or SPLIT and STREAM, the paths of their files.
    """
    go_light()
    from dataset_assets.cli import describe
    from dataset_assets.core.names import split_pin
    from dataset_assets.reading.load import open_version
    from dataset_assets.storage.stored_dataset import StoredDataset

    store = opened(storage)
    plain, pin = split_pin(name, store.url)
    stored, _, digest = open_version(StoredDataset(store, plain), pin)
    document = describe.version_document(stored, digest)
    paths = describe.paths_of(document, split, stream)
    if as_json:
        state.show_json({"id": document["id"], "name": stored.name, "version": digest, "paths": paths})
    else:
        state.show_paths(paths)


@commands.command()
@verb
@click.argument("name")
@click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Write to this folder."
)
@click.option("--yaml", "in_yaml", is_flag=True, help="Write a definition without code, in YAML, and its JSON Schema.")
@click.option("--from", "source", metavar="SOURCE", help="Look at a file, folder or URL, and define a dataset of it.")
@click.option("--target", metavar="COLUMN", help="With --from: the column to be predicted.")
@click.option("--split", "splits", metavar="NAME=SHARE", multiple=True, help="With --from: such as train=0.8.")
@click.option("--group-by", metavar="STREAM", help="With --split: keep all samples of one value together.")
@click.option("--hash-by", metavar="STREAM", help="With --split: divide by a hash of the value.")
@click.option(
    "--config", metavar="NAME", help="With --from: the configuration of a dataset of the Hub, or of Croissant."
)
@click.option("--in-place", is_flag=True, help="With --from: read Parquet files where they are.")
@click.option(
    "--option", "options", metavar="NAME=VALUE", multiple=True, help="With --from: of the decoder: encoding=latin-1."
)
def new(
    state: State,
    name: str,
    folder: Path,
    in_yaml: bool,
    source: str | None,
    target: str | None,
    splits: tuple[str, ...],
    group_by: str | None,
    hash_by: str | None,
    config: str | None,
    in_place: bool,
    options: tuple[str, ...],
) -> None:
    """Write a working definition of NAME, with its test.

    The files are for your own project. Change them as you like. With --from, comments say what was inferred.
    """
    from dataset_assets.definition.scaffold import entry_point, scaffold

    if source is None and (target or splits or group_by or hash_by or config or in_place or options):
        raise UsageError("--target and --split need --from, the source that is looked at, and so do their like.")
    if source is not None and in_yaml:
        raise UsageError("--from writes Python. Leave out --yaml.")
    if source is None:
        written = scaffold(name, folder, in_yaml)
    else:
        from dataset_assets.sources.scaffold import scaffold_from

        more: dict[str, Any] = {"group_by": group_by, "hash_by": hash_by, "config": config, "copy": not in_place}
        more["options"] = _options(options)
        written = scaffold_from(source, name, folder, target, _shares(splits) or None, **more)
    state.show_paths(map(str, written))
    state.say(f"Run its test with: pytest {shlex.quote(str(written[-1]))}\n{entry_point(name, folder, in_yaml)}")


@commands.command()
@verb
@click.argument("shell", type=click.Choice(SHELLS))
def completion(state: State, shell: str) -> None:
    """Print a script that completes commands and dataset names.

    \b
    bash:  eval "$(dataset-assets completion bash)"   in ~/.bashrc
    zsh:   eval "$(dataset-assets completion zsh)"    in ~/.zshrc
    fish:  dataset-assets completion fish > ~/.config/fish/completions/dataset-assets.fish
    """
    from click.shell_completion import get_completion_class

    completion_class = get_completion_class(shell)
    assert completion_class is not None
    state.show(completion_class(commands, {}, NAME, f"_{NAME.replace('-', '_')}_COMPLETE".upper()).source())


def _dataset(name: str, store: "Storage") -> "Dataset":
    from dataset_assets.definition import registry

    if name.endswith((".py", ".yaml", ".yml")) and Path(name).is_file():
        return registry.in_file(Path(name))
    return registry.find(name, store)


def _shares(splits: tuple[str, ...]) -> dict[str, float]:
    """Return the shares of splits."""
    found = {}
    for given in splits:
        name, _, share = given.partition("=")
        try:
            found[name] = float(share)
        except ValueError:
            raise UsageError(f"--split {given!r} is not NAME=SHARE. Write for example: --split train=0.8") from None
    return found


def _options(given: tuple[str, ...]) -> dict[str, Any]:
    """Return options of a decoder; a value that is JSON, such as false or ["id", "text"], is that value."""
    import json

    found: dict[str, Any] = {}
    for one in given:
        name, sign, value = one.partition("=")
        if not sign:
            raise UsageError(f"--option {one!r} is not NAME=VALUE. Write for example: --option encoding=latin-1")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _directly(dataset: "Dataset", store: "Storage", refresh: bool, progress: "Progress | None") -> None:
    from dataset_assets.making.prepare import prepare

    prepare(dataset, storage=store, refresh=refresh, progress=progress)


def _through_dagster(dataset: "Dataset", store: "Storage", refresh: bool, progress: "Progress | None") -> str:
    from dataset_assets.orchestration.instance import materialize

    return materialize(dataset, store, progress, refresh)


def _some_samples(document: dict[str, Any], store: "Storage") -> str:
    """Show the first, the middle and the last sample of the first split."""
    from dataset_assets.cli import text
    from dataset_assets.reading.load import load
    from dataset_assets.reading.views.undecoded import facts_of, lenient

    split = next(iter(document["splits"]))
    view = load(document["id"], split, storage=store)
    shown = {f"{split}[{i}]": i for i in sorted({0, len(view) // 2, len(view) - 1}) if 0 <= i < len(view)}
    streams = document.get("streams") or view.streams
    some = {place: {stream: lenient(view)[i][stream] for stream in streams} for place, i in shown.items()}
    return text.samples(some, {place: facts_of(view, i) for place, i in shown.items()}, view.origin.classes)


if __name__ == "__main__":
    main()
