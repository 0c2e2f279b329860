"""Runs the function of a split or a derived file on its open files."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from dataset_assets.errors import DatasetAssetsError, SchemaError, SplitFailed
from dataset_assets.formats.columns import Columns
from dataset_assets.making.sample_writer import HELD_BYTES
from dataset_assets.making.skipping import skippable
from dataset_assets.reading.views import View


class Applied(Protocol):
    """A function, and its plain arguments."""

    @property
    def function(self) -> Callable[..., Any]:
        """What is called with all arguments."""
        ...

    @property
    def plain(self) -> Mapping[str, Any]:
        """The arguments that are plain values."""
        ...


def run(applied: Applied, opened: Mapping[str, Any], done: Callable[[], str], skips: bool = False) -> Iterator[Any]:
    """Yield what a user's function yields; an error of its own becomes the cause of a `SplitFailed`."""
    name = applied.function.__qualname__
    try:
        result = applied.function(**applied.plain, **opened)
        if result is None or isinstance(result, (Mapping, str, bytes)) or not hasattr(result, "__iter__"):
            raise SchemaError(
                f"The function {name} returned {'None' if result is None else f'a {type(result).__name__}'}. Let it "
                "`yield` samples or blocks, or a file's bytes."
            )
        yield from skippable(_blocks_of(result) if isinstance(result, View) else result, skips)
    except DatasetAssetsError:
        raise
    except (Exception, SystemExit) as error:
        why = f": {text}" if (text := str(error).rstrip(".")) else ""
        place = f"after {done()}{_where(error, applied)}"
        raise SplitFailed(f"the function {name} raised {type(error).__name__} {place}{why}. Correct it.") from error


def _blocks_of(view: View) -> Iterator[Columns]:
    """Yield the samples of a view that a function returned, in blocks that keep their types."""
    step = max(int(HELD_BYTES / view.row_bytes()), 1) if len(view) else 1
    for lo in range(0, len(view), step):
        yield view.rows(slice(lo, min(lo + step, len(view))))


def _where(error: BaseException, applied: Applied) -> str:
    """Return the line of the user's function at which an error came out of it."""
    code, trace = getattr(applied.function, "__code__", None), error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code is code:
            return f", at {code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return ""
