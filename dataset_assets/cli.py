"""The command line: find, make and open datasets. Data goes to stdout, everything else to stderr.

What only one verb needs is imported inside it, so that `--help` and completion are quick.
"""

import functools
import json
import logging
import os
import sys
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterator

import click

from dataset_assets.errors import DatasetAssetsError, NotFound, UsageError

if TYPE_CHECKING:
    from dataset_assets.definition import Dataset
    from dataset_assets.progress import Progress
    from dataset_assets.storage import Storage

NAME = "dataset-assets"
INTERRUPTED = 130
SHELLS = ("bash", "zsh", "fish")


def main() -> None:
    """Run the command line; end with the exit code of the error's class (see `dataset_assets.errors`)."""
    state = State()
    try:
        sys.exit(commands.main(prog_name=NAME, standalone_mode=False, obj=state))
    except click.ClickException as error:
        _complain_of_use(error)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        _complain("interrupted. What was finished is kept; run the same command again for the rest.")
        sys.exit(INTERRUPTED)
    except Exception as error:
        if state.debug:
            raise
        _complain(_told(error))
        sys.exit(error.exit_code if isinstance(error, DatasetAssetsError) else 1)


def _told(error: Exception) -> str:
    if isinstance(error, DatasetAssetsError):
        # Python would put "[Errno 28]" in front of our sentence.
        return getattr(error, "strerror", None) or str(error)
    return f"{type(error).__name__}: {error}. This is a fault of ours; report it with the traceback that --debug shows."


def _complain_of_use(error: click.ClickException) -> None:
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
        error.show()
        return
    context = getattr(error, "ctx", None)
    _complain(f"{error.format_message()} See: {context.command_path if context else NAME} --help")


def _complain(text: str) -> None:
    # If nobody reads any more, there is nobody to tell.
    with suppress(OSError):
        colour = False if os.environ.get("NO_COLOR") else None
        click.echo(click.style(f"{NAME}: ", fg="red") + text, err=True, color=colour)


class State:
    """What was said by the options that every verb has, and where data goes."""

    def __init__(self) -> None:
        self.verbose, self.quiet, self.debug = 0, False, False
        self.out = sys.stdout

    def say(self, text: str) -> None:
        """Tell the user something that is not data."""
        if not self.quiet:
            click.echo(text, err=True)

    def show(self, text: str) -> None:
        """Print data."""
        try:
            click.echo(text, file=self.out)
        except BrokenPipeError:
            # Who read it has seen enough; and Python would complain once more when it flushes at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.out.fileno())

    def show_json(self, document: Any) -> None:
        """Print data as the one document on stdout."""
        self.show(json.dumps(document, indent=1, default=list))

    def listen(self) -> None:
        """Have what the package logs told as loudly as was asked for."""
        handler = _Beside(sys.stderr)
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s" if self.verbose > 1 else f"{NAME}: %(message)s"))
        # Others are heard only when a fault is looked for; what of theirs matters stands in our errors.
        logger = logging.getLogger(None if self.verbose > 1 else "dataset_assets")
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.ERROR if self.quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(self.verbose, 2)])


class _Beside(logging.StreamHandler[Any]):
    """Moves a bar out of the way before it writes."""

    def emit(self, record: logging.LogRecord) -> None:
        if "tqdm" not in sys.modules:
            return super().emit(record)
        from tqdm import tqdm

        with tqdm.external_write_mode(file=self.stream):
            return super().emit(record)


def _noted(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    # These options may stand before the verb and after it.
    state, name = context.find_root().obj, str(parameter.name)
    setattr(state, name, getattr(state, name) + value)


def _with_loudness(command: Any) -> Any:
    common: dict[str, Any] = {"expose_value": False, "callback": _noted}
    command = click.option("--debug", is_flag=True, help="Show the traceback of an error.", **common)(command)
    command = click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.", **common)(command)
    return click.option("-v", "--verbose", count=True, help="Say more; twice for debugging.", **common)(command)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@_with_loudness
@click.version_option(package_name="dataset_assets")
def commands() -> None:
    """Find, make and open ML datasets.

    \b
    dataset-assets search digits
    dataset-assets prepare io.github.rasbt.mnist_5k
    dataset-assets info io.github.rasbt.mnist_5k
    """


def _verb(function: Callable[..., None]) -> click.Command:
    """Make a command of a function, which is given the state and then its own arguments."""

    @functools.wraps(function)
    def run(**arguments: Any) -> None:
        state: State = click.get_current_context().find_root().obj
        state.listen()
        # What a definition or a plugin prints must not get among the data.
        with redirect_stdout(sys.stderr):
            function(state, **arguments)

    return commands.command(function.__name__.strip("_"))(_with_loudness(run))


def _completed_name(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from dataset_assets import registry

    return [name for name in _quietly(lambda: [d.name for d in registry.definitions()]) if name.startswith(incomplete)]


def _completed_part(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from dataset_assets import registry

    parts = _quietly(lambda: [*getattr(registry.find(context.params["name"]), f"{parameter.name}s")])
    return [part for part in parts if part.startswith(incomplete)]


def _quietly(found: Callable[[], list[str]]) -> list[str]:
    # Whatever were printed now would stand in the middle of the line that is being typed.
    logging.disable()
    try:
        with redirect_stdout(sys.stderr):
            return found()
    except DatasetAssetsError:
        return []


_name = click.argument("name", shell_complete=_completed_name)
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
_storage = click.option("--storage", metavar="URL", help="The storage; by default that of the settings.")


@_verb
@click.argument("terms", nargs=-1)
@_json
def search(state: State, terms: tuple[str, ...], as_json: bool) -> None:
    """List the datasets that match all TERMS.

    A term is a word, or a field with a value or a part of it: tag:image, task:classification, license:mit,
    source:example.org; or id: with a regular expression. The best are first.
    """
    _go_light()
    from dataset_assets import registry, searching

    found = searching.search(terms, registry.definitions())
    if as_json:
        fields = ("name", "summary", "tags", "tasks", "license")
        state.show_json([{field: getattr(dataset, field) for field in fields} for dataset in found])
    elif found:
        state.show("\n".join(f"{dataset.name:<34} {dataset.summary}" for dataset in found))
    if not found:
        raise NotFound(f"No dataset matches {' '.join(terms) or 'anything'}. List all with: {NAME} search")


@_verb
@_name
@_storage
@_json
def info(state: State, name: str, storage: str | None, as_json: bool) -> None:
    """Say what a dataset is and what of it is stored."""
    _go_light()
    from dataset_assets import showing

    store = _opened(storage)
    document = _description(name, store)
    if as_json:
        state.show_json(document)
        return
    state.show(showing.info(document) if "streams" in document else showing.stored(document))
    if document["version"]:
        state.show(_first_samples(document["id"], store))


def _description(name: str, store: "Storage") -> dict[str, Any]:
    from dataset_assets import describing
    from dataset_assets.errors import UnknownDataset

    try:
        return describing.describe(_dataset(name), store)
    except UnknownDataset:
        # What was copied from elsewhere can be read without the plugin that defined it.
        if found := describing.stored(name, store):
            return found
        raise


@_verb
@_name
@_storage
@_json
@click.option("--direct", is_flag=True, help="Work without Dagster, also where it is installed.")
def prepare(state: State, name: str, storage: str | None, as_json: bool, direct: bool) -> None:
    """Make what is missing of a dataset, and release it.

    That is to retrieve its files, to make its splits and to check them. Where Dagster is installed, it does the work and keeps the history, which the verb ui shows.
    """
    from dataset_assets import describing, showing

    dataset, store = _dataset(name), _opened(storage)
    engine = "direct" if direct or _missing("dagster") else "dagster"
    with _bars(state) as progress:
        run = (_directly if engine == "direct" else _through_dagster)(dataset, store, progress)
    document = {**(describing.released_version(dataset.name, store) or {}), "engine": engine, "run": run}
    if as_json:
        state.show_json(document)
        return
    state.show(document["id"])
    state.say(f"{document['samples']} samples, {showing.size(document['bytes'])}, in {store.url} (engine: {engine})")


@_verb
@_storage
@_json
def ls(state: State, storage: str | None, as_json: bool) -> None:
    """List the datasets that are in the storage."""
    _go_light()
    from dataset_assets import describing, showing

    store = _opened(storage)
    found = [document for name in describing.stored_names(store) if (document := describing.stored(name, store))]
    if as_json:
        state.show_json(found)
    elif found:
        state.show("\n".join(map(showing.stored, found)))
    else:
        state.say(f"There is nothing in {store.url}.")


@_verb
@click.argument("names", nargs=-1, shell_complete=_completed_name)
@_storage
@_json
def verify(state: State, names: tuple[str, ...], storage: str | None, as_json: bool) -> None:
    """Hash every file of released datasets and say what is damaged.

    Those of NAMES, or all; name@digest for a version that is not the current one.
    """
    from dataset_assets import describing

    store = _opened(storage)
    report, codes = [], [0]
    for name in names or tuple(describing.stored_names(store)):
        row, code = _verified(name, store)
        report.append(row)
        codes.append(code)
        if not as_json:
            state.show(f"{name:<34} {row['problem'] or 'whole'}")
    if as_json:
        state.show_json(report)
    sys.exit(max(codes))


def _verified(name: str, store: "Storage") -> tuple[dict[str, Any], int]:
    from dataset_assets.loading import load

    try:
        views = load(name, storage=store, verify="all")
    except DatasetAssetsError as error:
        return {"name": name, "version": None, "problem": str(error)}, error.exit_code
    return {"name": name, "version": next(iter(views.values())).version, "problem": None}, 0


@_verb
@_name
@_storage
@_json
def versions(state: State, name: str, storage: str | None, as_json: bool) -> None:
    """List the stored versions of a dataset, the current one first."""
    _go_light()
    from dataset_assets import describing, showing
    from dataset_assets.errors import NotPrepared

    store = _opened(storage)
    if not (found := describing.versions_of(name, store)):
        raise NotPrepared(f"{name} is not in {store.url}. Make it with: {NAME} prepare {name}")
    if as_json:
        state.show_json(found)
    else:
        state.show("\n".join(map(showing.version, found)))


@_verb
@_name
@click.argument("split", required=False, shell_complete=_completed_part)
@click.argument("stream", required=False, shell_complete=_completed_part)
@_storage
@_json
def path(state: State, name: str, split: str | None, stream: str | None, storage: str | None, as_json: bool) -> None:
    """Print where a dataset is stored.

    That of its version; with SPLIT, or SPLIT and STREAM, those of their files.
    """
    _go_light()
    from dataset_assets import describing
    from dataset_assets.loading import open_version
    from dataset_assets.names import split_pin

    store, (plain, pin) = _opened(storage), split_pin(name)
    _, digest = open_version(store, plain, pin)
    document = describing.version_document(plain, digest, store)
    found = _paths(document, split, stream)
    if as_json:
        state.show_json({"id": document["id"], "name": plain, "version": digest, "paths": found})
    else:
        state.show("\n".join(found))


def _paths(document: dict[str, Any], split: str | None, stream: str | None) -> list[str]:
    from dataset_assets.errors import StoredFileDamaged, UnknownStream, nearest
    from dataset_assets.loading import check_split

    if split is None:
        return [document["path"]]
    check_split(document["name"], split, document["splits"])
    streams = document["splits"][split]["streams"]
    if stream is not None and stream not in streams:
        raise UnknownStream(f"{document['name']} {split} has no stream {stream!r}.{nearest(stream, streams)}")
    found = [file["path"] for name in ([stream] if stream else streams) for file in streams[name]["files"]]
    if None in found:
        raise StoredFileDamaged(
            f"A file of {document['name']}, split {split}, is gone from {document['storage']}. "
            f"Mend it with: {NAME} prepare {document['name']}"
        )
    return found


@_verb
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535), help="The port on 127.0.0.1.")
@_storage
def ui(state: State, port: int, storage: str | None) -> None:
    """Serve Dagster's web UI on this machine, until Ctrl-C.

    It shows the registered datasets and materializes them, with pictures, lineage, checks and the history.
    """
    if missing := _missing("dagster") or _missing("dagster_webserver"):
        raise UsageError(f"The web UI needs {missing}, which is not installed. Run: pip install 'dataset_assets[dagster]'")
    from dataset_assets.orchestration.running import serve

    serve(port, _opened(storage).url, state.say)


@_verb
@click.argument("name")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Where to write.")
def new(state: State, name: str, folder: Path) -> None:
    """Write a working definition of NAME, with its test.

    They are for your own project, and yours to change.
    """
    from dataset_assets.scaffolding import entry_point, scaffold

    written = scaffold(name, folder)
    state.show("\n".join(map(str, written)))
    state.say(f"Run its test with: pytest {written[-1]}\n{entry_point(name, folder)}")


@_verb
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


def _go_light() -> None:
    # Nothing of what follows is linear algebra, for which numpy would else start threads that spin: half of its start.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _dataset(name: str) -> "Dataset":
    from dataset_assets import registry

    return registry.find(name)


def _opened(url: str | None) -> "Storage":
    from dataset_assets.settings import settings
    from dataset_assets.storage import open_storage

    return open_storage(settings(storage=url).storage)


def _missing(package: str) -> str | None:
    from importlib.util import find_spec

    return None if find_spec(package) else package


def _directly(dataset: "Dataset", store: "Storage", progress: "Progress | None") -> None:
    from dataset_assets.preparing import prepare

    prepare(dataset, storage=store, progress=progress)


def _through_dagster(dataset: "Dataset", store: "Storage", progress: "Progress | None") -> str:
    from dataset_assets.orchestration.running import materialize

    return materialize(dataset, store, progress)


@contextmanager
def _bars(state: State) -> Iterator["Progress | None"]:
    """Give what draws progress, if there is a terminal to draw on."""
    if state.quiet or not sys.stderr.isatty():
        yield None
        return
    from dataset_assets.progress import Bars

    bars = Bars(sys.stderr)
    try:
        yield bars
    finally:
        bars.close()


def _first_samples(pinned: str, store: "Storage") -> str:
    from dataset_assets import showing
    from dataset_assets.loading import load

    split, view = next(iter(load(pinned, storage=store).items()))
    return showing.samples(split, [*view.take(3)])


if __name__ == "__main__":
    main()
