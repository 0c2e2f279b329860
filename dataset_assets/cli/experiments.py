"""The commands of experiments and of stored values: experiments, store, who-used."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dataset_assets.cli.common import NAME, State, go_light, json_option, verb
from dataset_assets.errors import DatasetAssetsError, NotFound, UsageError

if TYPE_CHECKING:
    from dataset_assets.storage import Storage

storage_option = click.option("--storage", metavar="URL", help="The storage; default: the setting datastore_url.")
experiment_argument = click.argument("name")


@click.group()
def experiments() -> None:
    """Look at experiments, compare their runs, remove them."""


@experiments.command("ls")
@verb
@storage_option
@json_option
def list_experiments(state: State, storage: str | None, as_json: bool) -> None:
    """List the stored experiments, with the number of their runs."""
    go_light()
    from dataset_assets.experiments.experiment import Broken, readable

    store, broken = _opened(storage), Broken()
    rows: list[dict[str, Any]] = [
        {"name": one.name, "id": one.id_experiment, "runs": len(one.runs), "failed": sum(map(_failed, one.runs))}
        for one in readable(store, broken)
    ]
    rows += [{"name": name, "problem": str(error)} for name, error in broken.items()]
    rows.sort(key=lambda row: row["name"])
    if as_json:
        state.show_json(rows)
    elif rows:
        state.show_lines(f"{row['name']:<34} {row.get('problem') or _counts(row)}" for row in rows)
    else:
        state.say(f"No experiment is stored in {store.url}.")


def _counts(row: dict[str, Any]) -> str:
    return f"{row['runs']} runs, {row['failed']} failed"


def _failed(run: Any) -> bool:
    return run.error is not None


@experiments.command()
@verb
@experiment_argument
@storage_option
@json_option
def show(state: State, name: str, storage: str | None, as_json: bool) -> None:
    """Show the runs of an experiment: fields, errors, and the dataset versions that they used.

    NAME is its name or its id.
    """
    from dataset_assets.experiments import load_experiment

    experiment = load_experiment(name, storage=_opened(storage))
    document: dict[str, Any] = {
        "name": experiment.name,
        "id": experiment.id_experiment,
        "runs": [_run(run) for run in experiment.runs],
    }
    if as_json:
        state.show_json(document)
        return
    state.show_lines([f"{experiment.name}  {experiment.id_experiment}"])
    for run in document["runs"]:
        state.show_lines(_lines(run))


def _run(run: Any) -> dict[str, Any]:
    from dataset_assets.experiments.used import data_of

    fields = {name: _plain(run.fields, name) for name in run.fields}
    used = [f"{one['dataset']}@{one['version'] or one['index']} {one['split']}" for one in data_of(run.used)]
    seconds, began = run.seconds, run.started.isoformat()
    return {"id": run.id_run, "started": began, "seconds": seconds, "error": run.error, "fields": fields, "uses": used}


def _plain(fields: Any, name: str) -> Any:
    """Return a field for a person: text for what is not JSON. Large values are not read."""
    from dataset_assets.experiments.bunch import Unread, held

    value = held(fields)[name]
    if isinstance(value, Unread) and "plain" not in value.document:
        return "..."
    value = fields[name]
    return value if value is None or type(value) in (str, int, float, bool) else repr(value)[:200]


def _lines(run: dict[str, Any]) -> list[str]:
    error = run["error"] or {}
    failed = [f"  failed: {error.get('type')}: {error.get('message')}"] if error else []
    fields = [f"  {name:<20} {value}" for name, value in run["fields"].items()]
    return [f"run {run['id']}  {run['started']}", *failed, *fields, *(f"  uses {one}" for one in run["uses"])]


@experiments.command()
@verb
@experiment_argument
@storage_option
@json_option
def df(state: State, name: str, storage: str | None, as_json: bool) -> None:
    """Print the runs as a table, a row for each."""
    from dataset_assets.experiments import load_experiment
    from dataset_assets.experiments.comparison import rows_of

    names, rows = rows_of(load_experiment(name, storage=_opened(storage)).runs)
    if as_json:
        state.show_json([dict(zip(names, row)) for row in rows])
        return
    shown = [names, *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[k]) for row in shown) for k in range(len(names))]
    state.show_rows("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in shown)


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)[:40]


@experiments.command()
@verb
@click.argument("names", nargs=-1, required=True)
@storage_option
def rm(state: State, names: tuple[str, ...], storage: str | None) -> None:
    """Remove experiments with all their values, and nothing else."""
    go_light()
    from dataset_assets.experiments import create_experiment

    store = _opened(storage)
    for name in names:
        create_experiment(name, storage=store).delete()
        state.say(f"{name} is removed from {store.url}.")


@experiments.command()
@verb
@experiment_argument
@click.option("--into", "path", type=click.Path(path_type=Path, dir_okay=False), required=True,
              help="The file to write: .csv, .json, .parquet or .arrow.")  # fmt: skip
@storage_option
def export(state: State, name: str, path: Path, storage: str | None) -> None:
    """Write the runs as a table into a file."""
    from dataset_assets.experiments import load_experiment
    from dataset_assets.experiments.comparison import write_table

    write_table(load_experiment(name, storage=_opened(storage)).runs, path)
    state.show_paths([str(path)])


@click.group()
def store() -> None:
    """Look at the values that you manage yourself with DataStoreIO."""


@store.command("ls")
@verb
@click.argument("prefix", required=False)
@storage_option
@json_option
def list_values(state: State, prefix: str | None, storage: str | None, as_json: bool) -> None:
    """List values with their URLs and sizes; with PREFIX, those below it."""
    go_light()
    from dataset_assets.cli import text
    from dataset_assets.experiments.data_store_io import values_below

    place = _opened(storage)
    rows: list[dict[str, Any]] = [{"url": url, "bytes": size} for url, size in values_below(prefix, place)]
    if as_json:
        state.show_json(rows)
    elif rows:
        state.show_lines(f"{text.size(row['bytes']):>9}  {row['url']}" for row in rows)
    else:
        state.say(f"No value is stored below {prefix or 'any prefix'} in {place.url}.")


@store.command()
@verb
@click.argument("url")
@click.option("--into", "path", type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
@storage_option
def get(state: State, url: str, path: Path | None, storage: str | None) -> None:
    """Write the bytes of a value to a file, or to stdout; their digest is verified."""
    from dataset_assets.core import files
    from dataset_assets.experiments import DataStoreIO

    data = DataStoreIO(url, storage=_opened(storage)).read()
    if path is not None:
        if path.exists():
            raise UsageError(f"{path} is there already. Name a new file, or remove it first.")
        with files.Written(path) as file:
            file.write(data)
        state.show_paths([str(path)])
    elif state.out.isatty():
        raise UsageError("A value is binary and is not shown on a terminal. Give --into FILE, or redirect it.")
    else:
        state.out.buffer.write(data)
        state.out.flush()


@click.command("who-used")
@verb
@click.argument("name", metavar="NAME[@VERSION]")
@storage_option
@json_option
def who_used(state: State, name: str, storage: str | None, as_json: bool) -> None:
    """List the runs that used a dataset, or a version of it.

    It exits with 3 if no run used it, and with an error if an experiment cannot be read.
    """
    from dataset_assets.experiments import who_used
    from dataset_assets.experiments.experiment import Broken

    store, broken = _opened(storage), Broken()
    found = [{"experiment": one, **_run(run)} for one, run in who_used(name, storage=store, broken=broken)]
    if as_json:
        state.show_json(found)
    else:
        state.show_lines(f"{row['experiment']:<34} {row['id']}  {row['started']}" for row in found)
    _raise_first(state, [*broken.values()])
    if not found:
        raise NotFound(f"No run in {store.url} used {name}. List the experiments: {NAME} experiments ls")


def _raise_first(state: State, errors: list[DatasetAssetsError]) -> None:
    for error in errors[1:]:
        state.say(str(error))
    if errors:
        raise errors[0]


def _opened(url: str | None) -> "Storage":
    from dataset_assets.core.settings import settings
    from dataset_assets.storage import open_storage

    return open_storage(settings(datastore_url=url).datastore_url)
