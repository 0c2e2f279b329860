"""What every verb of the command line has: options, where its words go, how its errors are told, completion."""

import functools
import gc
import io
import json
import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from contextlib import contextmanager, redirect_stdout, suppress
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator

import click

from dataset_assets.core.escape import in_line, indented
from dataset_assets.errors import DatasetAssetsError, StorageError, visible

if TYPE_CHECKING:
    from dataset_assets.core.progress import Progress
    from dataset_assets.storage import Storage

NAME = "dataset-assets"
INTERRUPTED = 130


def run(group: click.Group) -> int:
    """Run the command line; return the exit code of the error's class (see `dataset_assets.errors`)."""
    state = State()
    _take_for_ctrl_c(signal.SIGTERM)
    # Other Pythons, such as workers that a split function spawns, would import modules of the working folder.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    try:
        return int(group.main(prog_name=NAME, standalone_mode=False, obj=state) or 0)
    except click.ClickException as error:
        _complain_of_use(error)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _complain("interrupted. What was finished is kept; run the same command again for the rest.")
        return INTERRUPTED
    except Exception as error:
        if state.debug:
            _show_traceback(error)
            return 1
        _complain(_told(error))
        return error.exit_code if isinstance(error, DatasetAssetsError) else 1


def _take_for_ctrl_c(number: signal.Signals) -> None:
    """Let a polite kill leave as little behind as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(number, interrupt)


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
        click.echo(click.style(f"{NAME}: ", fg="red") + indented(text), err=True, color=colour)


def _show_traceback(error: Exception) -> None:
    with suppress(OSError):
        click.echo(visible("".join(traceback.format_exception(error))), err=True, nl=False)


class State:
    """What was said by the options that every verb has, and where data goes."""

    def __init__(self) -> None:
        self.verbose, self.quiet, self.debug = 0, False, False
        self.out = sys.stdout
        # Better an escape than an error, where a terminal cannot say what a dataset is called.
        if isinstance(self.out, io.TextIOWrapper):
            self.out.reconfigure(errors="backslashreplace")

    def say(self, text: str) -> None:
        """Tell the user something that is not data."""
        if not self.quiet:
            click.echo(visible(text), err=True)

    def show(self, text: str) -> None:
        """Print data; what would steer a terminal is escaped."""
        self._write(visible(text))

    def show_lines(self, lines: Iterable[str]) -> None:
        """Print data a row a line, whatever is in a row."""
        self.show("\n".join(map(in_line, lines)))

    def show_paths(self, paths: Iterable[str]) -> None:
        """Print paths: as they are to a file or a pipe, escaped to a terminal."""
        if self._on_terminal():
            self.show_lines(paths)
        else:
            self._write("\n".join(paths))

    def _on_terminal(self) -> bool:
        return self.out is not None and self.out.isatty()

    def _write(self, text: str) -> None:
        try:
            if self.out is not None:  # else it was closed
                click.echo(text, file=self.out, color=True)  # else it would take escapes out of paths
        except OSError as error:
            # What is still held would be written, and complained of, when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.out.fileno())
            # Who left a pipe has seen enough.
            if not isinstance(error, BrokenPipeError):
                raise StorageError(error.errno, f"The output cannot be written: {error.strerror}.") from error

    def show_rows(self, rows: Iterable[str]) -> None:
        """Print data a row a line; on a terminal none is longer than its line."""
        # Those of containers may say that they have no columns.
        width = (os.get_terminal_size(self.out.fileno()).columns or 80) if self._on_terminal() else sys.maxsize
        self.show_lines(row if len(row) <= width else f"{row[: width - 3]}..." for row in map(in_line, rows))

    def show_json(self, document: Any) -> None:
        """Print data as the one document on stdout."""
        self.show(json.dumps(document, indent=1, default=list))

    def listen(self) -> None:
        """Have what the package logs told as loudly as was asked for, and warnings without control characters."""
        from dataset_assets.core.redact import RedactingFormatter

        warnings.formatwarning = _formatted_warning
        handler = Beside(sys.stderr)
        handler.setFormatter(
            RedactingFormatter("%(name)s: %(message)s" if self.verbose > 1 else f"{NAME}: %(message)s")
        )
        # Others are heard only when a fault is looked for; what of theirs matters stands in our errors.
        logger = logging.getLogger(None if self.verbose > 1 else "dataset_assets")
        logger.handlers, logger.propagate = [handler], False
        levels = (logging.WARNING, logging.INFO, logging.DEBUG)
        logger.setLevel(logging.ERROR if self.quiet else levels[min(self.verbose, 2)])
        if not self.verbose:
            # Why a mirror failed; if all do, the error says it again.
            logging.getLogger("dataset_assets.retrieval").setLevel(logging.ERROR)


_plain_warning = warnings.formatwarning


def _formatted_warning(*given: Any, **named: Any) -> str:
    return visible(_plain_warning(*given, **named))


class Beside(logging.StreamHandler[Any]):
    """Moves a bar out of the way before it writes, and shows escapes instead of control characters."""

    def format(self, record: logging.LogRecord) -> str:
        return indented(super().format(record))

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


def with_loudness(command: Any) -> Any:
    """Add the options that say how much is said."""
    common: dict[str, Any] = {"expose_value": False, "callback": _noted}
    command = click.option("--debug", is_flag=True, help="Show the traceback of an error.", **common)(command)
    command = click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.", **common)(command)
    return click.option("-v", "--verbose", count=True, help="Say more; twice for debugging.", **common)(command)


def verb(function: Callable[..., None]) -> Any:
    """Let a function be given the state, and then its own arguments."""

    @functools.wraps(function)
    def prepared(**arguments: Any) -> None:
        state: State = click.get_current_context().find_root().obj
        state.listen()
        # What a definition or a plugin prints must not get among the data.
        with redirect_stdout(sys.stderr):
            function(state, **arguments)

    return with_loudness(prepared)


def go_light() -> None:
    """Say that what follows is short, and no linear algebra."""
    # Else numpy would start threads for it that spin: half of its start.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # A tenth of the start would be looking for garbage among modules, which are none.
    gc.disable()


def opened(url: str | None) -> "Storage":
    """Open the storage that was asked for, or that of the settings."""
    from dataset_assets.core.settings import settings
    from dataset_assets.storage import open_storage

    return open_storage(settings(storage=url).storage)


@contextmanager
def bars(state: State) -> Iterator["Progress | None"]:
    """Give what draws progress, if there is a terminal to draw on."""
    if state.quiet or not sys.stderr.isatty():
        yield None
        return
    from dataset_assets.core.progress import Bars

    drawn = Bars(sys.stderr)
    try:
        yield drawn
    finally:
        drawn.close()


def completed_name(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of datasets that begin so."""
    from dataset_assets.definition import registry

    return [name for name in _quietly(lambda: [d.name for d in registry.definitions()]) if name.startswith(incomplete)]


def completed_part(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the splits, or the streams, of the dataset that was named before, which begin so."""
    from dataset_assets.definition import registry

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


name_argument = click.argument("name", shell_complete=completed_name)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
storage_option = click.option("--storage", metavar="URL", help="The storage; by default that of the settings.")
