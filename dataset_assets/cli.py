"""The command line: `dataset-assets search | info | prepare | ls | verify | versions | path | ui | new`.

Data goes to stdout, everything else to stderr. What only one command needs is imported inside it, so that `--help` and
completion are quick.
"""

import json
import logging
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterator

import click

from dataset_assets.errors import DatasetAssetsError

if TYPE_CHECKING:
    from dataset_assets.definition import Dataset
    from dataset_assets.storage import Storage

INTERRUPTED = 130


def main() -> None:
    """Run the command line; end with the exit code of the error's class (see `dataset_assets.errors`)."""
    try:
        sys.exit(commands.main(standalone_mode=False))
    except DatasetAssetsError as error:
        if "--debug" in sys.argv:
            raise
        _say(f"dataset-assets: {error}")
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _say("dataset-assets: interrupted; what was finished is kept, the rest was discarded")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _completed(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from dataset_assets import registry

    return [dataset.name for dataset in registry.definitions() if dataset.name.startswith(incomplete)]


name_argument = click.argument("name", shell_complete=_completed)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
storage_option = click.option("--storage", metavar="URL", help="The storage; by default that of the settings.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-v", "--verbose", count=True, help="Say more; twice for debugging.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="dataset_assets")
def commands(verbose: int, quiet: bool, debug: bool) -> None:
    """Find, make and open ML datasets.

    \b
    dataset-assets search digits
    dataset-assets prepare io.github.rasbt.mnist_5k
    dataset-assets info io.github.rasbt.mnist_5k
    """
    level = logging.ERROR if quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    context = click.get_current_context()
    context.obj = {"quiet": quiet, "verbose": verbose}


@commands.command()
@click.argument("terms", nargs=-1)
@json_option
def search(terms: tuple[str, ...], as_json: bool) -> None:
    """List the datasets that match all TERMS: words, tag:, task:, license:, source:, or id: with a regular expression."""
    from dataset_assets import registry, searching

    found = searching.search(terms, registry.definitions())
    if as_json:
        _print_json([{"name": d.name, "summary": d.summary, "tags": d.tags, "license": d.license} for d in found])
    for dataset in found if not as_json else ():
        click.echo(f"{dataset.name:<34} {dataset.summary}")
    if not found:
        _say(f"No dataset matches {' '.join(terms)}.")
        sys.exit(3)


@commands.command()
@name_argument
@storage_option
@json_option
def info(name: str, storage: str | None, as_json: bool) -> None:
    """Say what a dataset is, what of it is in the storage, and show its first samples if it is."""
    from dataset_assets import describing

    dataset, store = _dataset(name), _storage(storage)
    document = describing.describe(dataset, store)
    if as_json:
        _print_json(document)
        return
    click.echo(_info_text(document))
    if document["version"]:
        click.echo(_preview(name, store))


@commands.command()
@name_argument
@storage_option
@json_option
@click.option("--direct", is_flag=True, help="Work without Dagster, also where it is installed.")
def prepare(name: str, storage: str | None, as_json: bool, direct: bool) -> None:
    """Retrieve, make, check and release what is missing of a dataset."""
    from dataset_assets import describing

    dataset, store = _dataset(name), _storage(storage)
    engine = "direct" if direct or not _has_dagster() else "dagster"
    with _progress() as progress:
        run = _through_dagster(dataset, store, progress) if engine == "dagster" else _directly(dataset, store, progress)
    document = {**(describing.released_version(dataset.name, store) or {}), "engine": engine, "run": run}
    if as_json:
        _print_json(document)
        return
    click.echo(f"{dataset.name}@{document['version']}")
    _say(f"{document['samples']} samples, {_size(document['bytes'])}, in {store.url} (engine: {engine})")


@commands.command("ls")
@storage_option
@json_option
def list_stored(storage: str | None, as_json: bool) -> None:
    """List the datasets that are in the storage."""
    from dataset_assets import describing

    store = _storage(storage)
    found = [describing.released_version(name, store) for name in describing.stored_names(store)]
    if as_json:
        _print_json(found)
        return
    for document in filter(None, found):
        row = f"{document['name']:<34} {document['version'][:12]} {document['samples']:>9} samples {_size(document['bytes']):>9}"
        click.echo(row)


@commands.command()
@click.argument("names", nargs=-1, shell_complete=_completed)
@storage_option
@json_option
def verify(names: tuple[str, ...], storage: str | None, as_json: bool) -> None:
    """Hash every file of the released versions of NAMES (default: of all) and say what is damaged."""
    from dataset_assets import describing
    from dataset_assets.loading import load

    store = _storage(storage)
    report = []
    worst: DatasetAssetsError | None = None
    for name in names or tuple(describing.stored_names(store)):
        try:
            views = load(name, storage=store, verify="all")
            report.append({"name": name, "version": next(iter(views.values())).version, "problem": None})
        except DatasetAssetsError as error:
            worst = error
            report.append({"name": name, "version": None, "problem": str(error)})
    if as_json:
        _print_json(report)
    for row in report if not as_json else ():
        click.echo(f"{row['name']:<34} {row['problem'] or 'whole'}")
    if worst is not None:
        sys.exit(worst.exit_code)


@commands.command()
@name_argument
@storage_option
@json_option
def versions(name: str, storage: str | None, as_json: bool) -> None:
    """List the stored versions of a dataset, the current one first, and why one was refused."""
    from dataset_assets import describing
    from dataset_assets.errors import NotPrepared

    store = _storage(storage)
    if not (found := describing.versions_of(name, store)):
        raise NotPrepared(f"{name} is not in {store.url}. Make it with: dataset-assets prepare {name}")
    if as_json:
        _print_json(found)
        return
    for document in found:
        failed = [finding["message"] for finding in document.get("findings", ()) if not finding["passed"]]
        state = "current" if document["current"] else "refused" if failed else "kept"
        click.echo(f"{document['version']} {state:<8} {document.get('problem') or ' '.join(failed)}".rstrip())


@commands.command()
@name_argument
@click.argument("split", required=False)
@click.argument("stream", required=False)
@storage_option
@json_option
def path(name: str, split: str | None, stream: str | None, storage: str | None, as_json: bool) -> None:
    """Print where a dataset is stored; with SPLIT, or SPLIT and STREAM, where their files are."""
    from dataset_assets import describing
    from dataset_assets.errors import UnknownStream, nearest
    from dataset_assets.loading import check_split, open_version
    from dataset_assets.names import split_pin

    store, (plain, pin) = _storage(storage), split_pin(name)
    version, digest = open_version(store, plain, pin)
    document = describing.version_document(plain, digest, store)
    found = [document["path"]]
    if split is not None:
        check_split(plain, split, version.splits)
        streams = document["splits"][split]["streams"]
        if stream is not None and stream not in streams:
            raise UnknownStream(f"{plain} {split} has no stream {stream!r}.{nearest(stream, streams)}")
        chosen = streams.values() if stream is None else [streams[stream]]
        found = [file["path"] for one in chosen for file in one["files"]]
    if as_json:
        _print_json({"name": plain, "version": digest, "paths": found})
        return
    click.echo("\n".join(found))


@commands.command()
@click.option("--port", default=3000, show_default=True, help="The port on 127.0.0.1.")
@click.option("--storage", metavar="URL", help="The storage; by default that of the settings.")
def ui(port: int, storage: str | None) -> None:
    """Open Dagster's web UI on the registered datasets: materialize, watch, see pictures, lineage and checks."""
    from dataset_assets.orchestration.running import serve

    store = _storage(storage)
    sys.exit(serve(port, store.url, _say))


@commands.command()
@click.argument("name")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Where to write.")
def new(name: str, folder: Path) -> None:
    """Write a working definition of NAME, with its test, into your project."""
    from dataset_assets.scaffolding import scaffold

    for written in scaffold(name, folder):
        click.echo(written)
    _say(f"Run its test with: pytest {written}")


def _dataset(name: str) -> "Dataset":
    from dataset_assets import registry

    return registry.find(name)


def _storage(url: str | None) -> "Storage":
    from dataset_assets.settings import settings
    from dataset_assets.storage import open_storage

    return open_storage(settings(storage=url).storage)


def _has_dagster() -> bool:
    from importlib.util import find_spec

    return find_spec("dagster") is not None


def _directly(dataset: "Dataset", store: "Storage", progress: Callable[..., None] | None) -> None:
    from dataset_assets.preparing import prepare

    prepare(dataset, storage=store, progress=progress)


def _through_dagster(dataset: "Dataset", store: "Storage", progress: Callable[..., None] | None) -> str:
    from dataset_assets.orchestration.running import materialize

    return materialize(dataset, store, progress)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, "int | None"], None] | None]:
    """Give a function that draws progress, on a terminal only."""
    context = click.get_current_context()
    if context.obj["quiet"] or not sys.stderr.isatty() or os.environ.get("DATASET_ASSETS_PROGRESS") == "0":
        yield None
        return
    from tqdm import tqdm

    bars: dict[str, Any] = {}

    def report(what: str, done: int, total: int | None) -> None:
        if what not in bars:
            unit = {"unit": "B", "unit_scale": True} if total is not None else {"unit": " samples"}
            bars[what] = tqdm(desc=what, total=total, file=sys.stderr, leave=False, dynamic_ncols=True, **unit)
        bars[what].update(done - bars[what].n)

    try:
        yield report
    finally:
        for bar in bars.values():
            bar.close()


def _info_text(document: dict[str, Any]) -> str:
    lines = [f"{document['name']}  {document['summary']}", ""]
    for label in ("license", "homepage", "citation", "refresh"):
        if document[label]:
            lines.append(f"{label:<10} {document[label]}")
    for label in ("tags", "tasks"):
        lines.append(f"{label:<10} {', '.join(document[label])}")
    if document["tried"] is False:
        lines.append("note       this definition was never run on its publisher's own bytes, only on files like them")
    lines += ["", "streams"]
    for stream, kind in document["streams"].items():
        roles = ", ".join(role for role, at in document["roles"].items() if at == stream)
        classes = kind.get("classes") or []
        shown = f"{len(classes)} classes: {', '.join(classes[:10])}{', ...' if len(classes) > 10 else ''}" if classes else ""
        lines.append(f"  {stream:<12} {kind['format']:<8} {roles:<8} {shown}".rstrip())
    lines.append("files")
    for file, found in document["files"].items():
        lines.append(f"  {file:<34} {found['state']:<9} {_size(found['bytes']):>9}  {found['urls'][0]}")
    lines.append("splits")
    for split, made in document["splits"].items():
        shown = f"{made['samples']:>9} samples {_size(made['bytes']):>9}  {made['digest'][:12]}" if made else "not prepared"
        lines.append(f"  {split:<12} {shown}")
    state = f"{document['version']} in {document['storage']}" if document["version"] else f"none in {document['storage']}"
    return "\n".join([*lines, f"version    {state}"])


def _preview(name: str, store: "Storage") -> str:
    import numpy as np

    from dataset_assets.loading import load

    view = next(iter(load(name, storage=store).values()))
    lines = [f"first samples of {view.split}"]
    for sample in view.take(3):
        for stream, value in sample.items():
            shown = _picture(value) if isinstance(value, np.ndarray) and value.ndim == 2 else " ".join(str(value).split())[:110]
            lines.append(f"  {stream}: {shown}")
    return "\n".join(lines)


def _picture(value: Any) -> str:
    """Return a grey picture as characters, half its size."""
    shades = " .:-=+*#%@"
    low, high = float(value.min()), float(value.max())
    scaled = ((value - low) / (high - low or 1) * (len(shades) - 1)).astype(int)[::2]
    return "\n" + "\n".join("    " + "".join(shades[v] for v in row[:100]) for row in scaled[:40])


def _print_json(document: Any) -> None:
    click.echo(json.dumps(document, indent=1, ensure_ascii=False, default=list))


def _say(text: str) -> None:
    context = click.get_current_context(silent=True)
    if context is None or not (context.obj or {}).get("quiet"):
        click.echo(text, err=True)


def _size(count: int | None) -> str:
    if count is None:
        return "?"
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


if __name__ == "__main__":
    main()
