"""The errors, and the exit code of each class.

    DatasetAssetsError                               1
    ├── UsageError           (ValueError)            2   a call, a setting or a definition that cannot be
    │   ├── NameNotAllowed
    │   ├── DefinitionError
    │   └── NotInstalled     (ImportError)               a package that only some uses need
    ├── NotFound             (LookupError)           3
    │   ├── UnknownDataset
    │   ├── UnknownSplit
    │   ├── UnknownStream
    │   └── NotPrepared      (FileNotFoundError)         known, but not in this storage
    ├── IntegrityError       (ValueError)            4   bytes that are not what they were said to be
    │   ├── DigestMismatch
    │   ├── DecodeError
    │   │   └── NewerFormat
    │   ├── SchemaError
    │   └── StoredFileDamaged
    ├── RetrievalError       (OSError)               5
    ├── StorageError         (OSError)               6
    │   ├── NoSpace
    │   ├── ListingCut                                   a list that leaves out what is there
    │   └── StoreUnavailable                             does not answer now; perhaps it does later
    ├── Conflict                                     7
    ├── Refused              (PermissionError)       8   refused by policy
    ├── CheckFailed                                  9
    ├── TimedOut             (TimeoutError)          1   a batch that did not come in time
    └── SplitFailed          (RuntimeError)          1   a split's own function raised; its error is the cause

A message says what is, with the values; then what to do.
"""

from contextlib import contextmanager
from difflib import get_close_matches
from typing import ClassVar, Iterable, Iterator


def visible(text: str) -> str:
    r"""Return the text with control, bidirectional and other unprintable characters as escapes; lines and tabs stay.

    >>> print(visible("red: \x1b[31m"))
    red: \x1b[31m
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


class DatasetAssetsError(Exception):
    """Whatever went wrong here; `exit_code` is what the command line ends with."""

    exit_code: ClassVar[int] = 1

    def __str__(self) -> str:
        # A server, a file or a user wrote a part of it, and it is read on a terminal.
        return visible(super().__str__())


class UsageError(DatasetAssetsError, ValueError):
    """A call or a setting that cannot be."""

    exit_code = 2


class NameNotAllowed(UsageError):
    """A name that breaks the naming rule of `dataset_assets.core.names`."""


class DefinitionError(UsageError):
    """A dataset that contradicts itself."""


class NotInstalled(UsageError, ImportError):
    """A package that only some uses need, and that is not installed."""


class NotFound(DatasetAssetsError, LookupError):
    """Something that is not there."""

    exit_code = 3


class UnknownDataset(NotFound):
    """A qualified name that no definition has."""


class UnknownSplit(NotFound):
    """A split that the dataset does not have."""


class UnknownStream(NotFound):
    """A stream that the view does not have."""


class NotPrepared(NotFound, FileNotFoundError):
    """A dataset, or a version of it, that is not in this storage."""


class IntegrityError(DatasetAssetsError, ValueError):
    """Bytes that are not what they were said to be."""

    exit_code = 4


class DigestMismatch(IntegrityError):
    """Bytes with another digest than the one they were defined or recorded with."""


class DecodeError(IntegrityError):
    """A file that is not in the format it was taken for, or ends early."""


class NewerFormat(DecodeError):
    """A file in a format that only a later release reads."""


class SchemaError(IntegrityError):
    """Samples that do not fit the streams they were declared for."""


class StoredFileDamaged(IntegrityError):
    """A stored file that is gone, or has another size than its index says."""


class RetrievalError(DatasetAssetsError, OSError):
    """A source that could not be read."""

    exit_code = 5


class StorageError(DatasetAssetsError, OSError):
    """A storage that refused, or failed."""

    exit_code = 6


class NoSpace(StorageError):
    """A storage or scratch folder without room for what was to be written."""


class ListingCut(StorageError):
    """A storage that does not list all that it holds; nothing is concluded from what is missing in the list."""


class StoreUnavailable(StorageError):
    """A store that does not answer, or asks to wait; the same request may succeed later."""


class Conflict(DatasetAssetsError):
    """Another writer was there first."""

    exit_code = 7


class Refused(DatasetAssetsError, PermissionError):
    """Something that policy does not allow."""

    exit_code = 8


class CheckFailed(DatasetAssetsError):
    """A check that failed at ERROR; what it looked at was not released."""

    exit_code = 9


class TimedOut(DatasetAssetsError, TimeoutError):
    """A batch that was not made in the time it was given."""


class SplitFailed(DatasetAssetsError, RuntimeError):
    """A split's function raised; its error is the `__cause__`."""


@contextmanager
def at(place: str) -> Iterator[None]:
    """Say where, in front of whatever error of ours comes out of the block."""
    try:
        yield
    except DatasetAssetsError as error:
        # Errors that carry an errno name their own path.
        if len(error.args) == 1:
            error.args = (f"{place}: {error.args[0]}",)
        raise


def nearest(name: str, candidates: Iterable[str], listed: bool = True) -> str:
    """Say which candidate was probably meant, as the end of a message; if none was, which there are, if `listed`.

    >>> nearest("trian", ["train", "test"])
    " Did you mean 'train'?"
    >>> nearest("zebra", ["train", "test"])
    ' There are: train, test.'
    """
    known = list(candidates)
    # A table may have a million columns; each is compared in microseconds.
    close = get_close_matches(name, known[:10_000], n=1)
    if close:
        return f" Did you mean {close[0]!r}?"
    if not listed:
        return ""
    if not known:
        return " There are none."
    return f" There are: {', '.join(known[:12])}{', ...' if len(known) > 12 else ''}."
