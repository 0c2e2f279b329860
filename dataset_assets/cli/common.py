"""Shared by all commands of the command line: options, output, error messages and completion."""

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
SECONDS_A_DAY = 86_400


def run(group: click.Group) -> int:
    """Run the command line; return the exit code of the error's class (see `dataset_assets.errors`)."""
    state = State()
    _treat_as_ctrl_c(signal.SIGTERM)
    # Otherwise child processes, such as workers of a split function, would import modules of the working folder.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    try:
        return int(group.main(prog_name=NAME, standalone_mode=False, obj=state) or 0)
    except click.ClickException as error:
        _complain_of_use(error)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        _complain("interrupted. Finished work is kept; run the same command again for the rest.")
        return INTERRUPTED
    except Exception as error:
        if state.debug:
            _show_traceback(error)
            return 1
        _complain(_message_of(error))
        return error.exit_code if isinstance(error, DatasetAssetsError) else 1


def _treat_as_ctrl_c(number: signal.Signals) -> None:
    """Handle a signal like Ctrl-C, so that SIGTERM cleans up too."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(number, interrupt)


def _message_of(error: Exception) -> str:
    if isinstance(error, DatasetAssetsError):
        # str() of an OSError would put "[Errno 28]" before the message.
        return getattr(error, "strerror", None) or str(error)
    from dataset_assets.core.redact import redacted_text

    text = redacted_text(f"{type(error).__name__}: {error}")
    return f"{text}. This is a bug. Please report it with the traceback that --debug shows."


def _complain_of_use(error: click.ClickException) -> None:
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
        error.show()
        return
    context = getattr(error, "ctx", None)
    _complain(f"{error.format_message()} See: {context.command_path if context else NAME} --help")


def _complain(text: str) -> None:
    # Ignore errors: stderr may be closed.
    with suppress(OSError):
        colour = False if os.environ.get("NO_COLOR") else None
        click.echo(click.style(f"{NAME}: ", fg="red") + indented(text), err=True, color=colour)


def _show_traceback(error: Exception) -> None:
    with suppress(OSError):
        click.echo(visible("".join(traceback.format_exception(error))), err=True, nl=False)


class State:
    """The values of the common options, and the output streams."""

    def __init__(self) -> None:
        self.verbose, self.quiet, self.debug = 0, False, False
        self.out = sys.stdout
        # If the terminal cannot encode a name, print an escape instead of failing.
        if isinstance(self.out, io.TextIOWrapper):
            self.out.reconfigure(errors="backslashreplace")

    def say(self, text: str) -> None:
        """Print a message that is not data, to stderr."""
        if not self.quiet:
            click.echo(visible(text), err=True)

    def show(self, text: str) -> None:
        """Print data with control characters escaped."""
        self._write(visible(text))

    def show_lines(self, lines: Iterable[str]) -> None:
        """Print data, one row a line; line breaks inside a row are escaped."""
        self.show("\n".join(map(in_line, lines)))

    def show_paths(self, paths: Iterable[str]) -> None:
        """Print paths: escaped to a terminal, unchanged to a file or pipe."""
        if self._on_terminal():
            self.show_lines(paths)
        else:
            self._write("\n".join(paths))

    def _on_terminal(self) -> bool:
        return self.out is not None and self.out.isatty()

    def _write(self, text: str) -> None:
        try:
            if self.out is not None:  # None if stdout is closed
                click.echo(text, file=self.out, color=True)  # without color=True, click strips escapes from paths
        except OSError as error:
            # Otherwise Python would try to write the buffer again at exit, and print the error.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.out.fileno())
            # A closed pipe, as by head, is not an error.
            if not isinstance(error, BrokenPipeError):
                raise StorageError(error.errno, f"The output cannot be written: {error.strerror}.") from error

    def show_rows(self, rows: Iterable[str]) -> None:
        """Print data, one row a line, cut to the width of the terminal."""
        # Terminals of containers may report 0 columns.
        width = (os.get_terminal_size(self.out.fileno()).columns or 80) if self._on_terminal() else sys.maxsize
        self.show_lines(row if len(row) <= width else f"{row[: width - 3]}..." for row in map(in_line, rows))

    def show_json(self, document: Any) -> None:
        """Print data as one JSON document."""
        self.show(json.dumps(document, indent=1, default=list))

    def listen(self) -> None:
        """Log to stderr with the chosen verbosity, and print warnings without control characters."""
        from dataset_assets.core.redact import RedactingFormatter

        warnings.formatwarning = _formatted_warning
        handler = BarSafeHandler(sys.stderr)
        handler.setFormatter(
            RedactingFormatter("%(name)s: %(message)s" if self.verbose > 1 else f"{NAME}: %(message)s")
        )
        # Logs of other packages are shown only with -vv; our errors contain what matters of them.
        logger = logging.getLogger(None if self.verbose > 1 else "dataset_assets")
        logger.handlers, logger.propagate = [handler], False
        levels = (logging.WARNING, logging.INFO, logging.DEBUG)
        logger.setLevel(logging.ERROR if self.quiet else levels[min(self.verbose, 2)])
        if not self.verbose:
            # These warnings say why a mirror failed. If all mirrors fail, the error repeats them.
            logging.getLogger("dataset_assets.retrieval").setLevel(logging.ERROR)


_plain_warning = warnings.formatwarning


def _formatted_warning(*given: Any, **named: Any) -> str:
    return visible(_plain_warning(*given, **named))


class BarSafeHandler(logging.StreamHandler[Any]):
    """Logs without damaging progress bars, and shows control characters as escapes."""

    def format(self, record: logging.LogRecord) -> str:
        return indented(super().format(record))

    def emit(self, record: logging.LogRecord) -> None:
        if "tqdm" not in sys.modules:
            return super().emit(record)
        from tqdm import tqdm

        with tqdm.external_write_mode(file=self.stream):
            return super().emit(record)


def _store_option(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    # These options are allowed both before and after the command.
    state, name = context.find_root().obj, str(parameter.name)
    setattr(state, name, getattr(state, name) + value)


def with_loudness(command: Any) -> Any:
    """Add the options for verbosity."""
    common: dict[str, Any] = {"expose_value": False, "callback": _store_option}
    command = click.option("--debug", is_flag=True, help="Show the traceback of an error.", **common)(command)
    command = click.option("-q", "--quiet", is_flag=True, help="Print only errors.", **common)(command)
    return click.option("-v", "--verbose", count=True, help="Print more; twice for debugging.", **common)(command)


def verb(function: Callable[..., None]) -> Any:
    """Call a command's function with the state and its arguments."""

    @functools.wraps(function)
    def command(**arguments: Any) -> None:
        state: State = click.get_current_context().find_root().obj
        state.listen()
        # Output of definitions and plugins must not mix with the data on stdout.
        with redirect_stdout(sys.stderr):
            function(state, **arguments)

    return with_loudness(command)


def go_light() -> None:
    """Skip BLAS threads and garbage collection, to start faster."""
    # Starting spinning BLAS threads takes half of numpy's import time.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Garbage collection takes a tenth of the start, and modules are not garbage.
    gc.disable()


def opened(url: str | None) -> "Storage":
    """Open the storage with this URL, or the storage of the settings."""
    from dataset_assets.core.settings import settings
    from dataset_assets.storage import open_storage

    return open_storage(settings(storage=url).storage)


@contextmanager
def bars(state: State) -> Iterator["Progress"]:
    """Draw progress bars inside the block, if stderr is a terminal."""
    from dataset_assets.core.progress import Bars, silent

    if state.quiet or not sys.stderr.isatty():
        yield silent
        return
    drawn = Bars(sys.stderr)
    try:
        yield drawn
    finally:
        drawn.close()


@contextmanager
def watched(state: State) -> Iterator[None]:
    """Show the progress of what the block does."""
    from dataset_assets.core.progress import watched_by

    with bars(state) as progress, watched_by(progress):
        yield


def completed_name(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the dataset names with this prefix."""
    from dataset_assets.definition import registry

    base, bracket, _ = incomplete.partition("[")
    if bracket:
        return _quietly(lambda: registry.members(base, incomplete))
    return [name for name in _quietly(registry.names) if name.startswith(incomplete)]


def completed_part(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the splits or streams with this prefix, of the dataset in the command line."""
    from dataset_assets.definition import registry

    parts = _quietly(lambda: [*getattr(registry.find(context.params["name"]), f"{parameter.name}s")])
    return [part for part in parts if part.startswith(incomplete)]


def _quietly(candidates: Callable[[], list[str]]) -> list[str]:
    # Any output would appear in the middle of the line that the user types.
    logging.disable()
    try:
        with redirect_stdout(sys.stderr):
            return candidates()
    except DatasetAssetsError:
        return []


name_argument = click.argument("name", shell_complete=completed_name)
names_argument = click.argument("names", nargs=-1, shell_complete=completed_name)
apply_exclusions_option = click.option(
    "--apply-exclusions", is_flag=True, help="Take out of a dataset that is there what forget took out of this one."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
storage_option = click.option("--storage", metavar="URL", help="The storage; default: the storage of the settings.")


def missing(package: str) -> str | None:
    """Return the name of a package that is not installed, or None."""
    from importlib.util import find_spec

    return None if find_spec(package) else package
