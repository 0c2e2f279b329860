"""All error classes, and the exit code of each.

    DatasetAssetsError                               1
    ├── UsageError           (ValueError)            2   an invalid call, setting or definition
    │   ├── NameNotAllowed
    │   ├── DefinitionError
    │   └── NotInstalled     (ImportError)               an optional package is missing
    ├── NotFound             (LookupError)           3
    │   ├── UnknownDataset
    │   ├── UnknownSplit     (KeyError)
    │   ├── UnknownStream
    │   └── NotPrepared      (FileNotFoundError)         known, but not in this storage
    ├── IntegrityError       (ValueError)            4   data that does not match its digest, format or schema
    │   ├── DigestMismatch
    │   ├── DecodeError
    │   │   └── NewerFormat
    │   ├── SchemaError
    │   ├── ObjectReplaced                               an object that is read where it is, and changed
    │   └── StoredFileDamaged
    ├── RetrievalError       (OSError)               5
    ├── StorageError         (OSError)               6
    │   ├── NoSpace
    │   ├── ListingCut                                   an incomplete listing
    │   ├── NoConditions                                 a store for a single writer
    │   ├── ObjectLocked                                 archived, immutable, leased or held
    │   ├── StoreDenied                                  credentials or rights
    │   ├── StoreMisconfigured                           region, clock, key or account
    │   ├── StoreMissing                                 no such bucket, container or database
    │   ├── StoreReadOnly                                a replica, or a store that takes no writes
    │   └── StoreUnavailable                             no answer; a retry may succeed
    ├── Conflict                                     7
    ├── Refused              (PermissionError)       8   refused by policy
    ├── CheckFailed                                  9
    ├── TimedOut             (TimeoutError)          1   a batch was not ready in time
    └── SplitFailed          (RuntimeError)          1   a split's own function raised; its error is the cause

A message says what is wrong, with the values, and then what to do.
"""

from contextlib import contextmanager
from typing import ClassVar, Iterable, Iterator


def visible(text: str) -> str:
    r"""Return the text with control, bidirectional and other unprintable characters as escapes; lines and tabs stay.

    >>> print(visible("red: \x1b[31m"))
    red: \x1b[31m
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


__all__ = [
    "CheckFailed",
    "Conflict",
    "DatasetAssetsError",
    "DecodeError",
    "DefinitionError",
    "DigestMismatch",
    "IntegrityError",
    "ListingCut",
    "NameNotAllowed",
    "NewerFormat",
    "NoConditions",
    "NoSpace",
    "NotFound",
    "NotInstalled",
    "NotPrepared",
    "ObjectLocked",
    "ObjectReplaced",
    "Refused",
    "RetrievalError",
    "SchemaError",
    "SplitFailed",
    "StorageError",
    "StoreDenied",
    "StoreMisconfigured",
    "StoreMissing",
    "StoreReadOnly",
    "StoreUnavailable",
    "StoredFileDamaged",
    "TimedOut",
    "UnknownDataset",
    "UnknownSplit",
    "UnknownStream",
    "UsageError",
]


class DatasetAssetsError(Exception):
    """The base of all errors of this package; `exit_code` is the exit code of the command line."""

    exit_code: ClassVar[int] = 1

    def __str__(self) -> str:
        # Parts of the message may come from a server or a file, and it may be printed on a terminal.
        return visible(super().__str__())


class UsageError(DatasetAssetsError, ValueError):
    """An invalid call, setting or definition."""

    exit_code = 2


class NameNotAllowed(UsageError):
    """A name breaks the naming rules of `dataset_assets.core.names`."""


class DefinitionError(UsageError):
    """A definition of a dataset is not valid."""


class NotInstalled(UsageError, ImportError):
    """An optional package is needed but not installed."""


class NotFound(DatasetAssetsError, LookupError):
    """Something does not exist."""

    exit_code = 3


class UnknownDataset(NotFound):
    """No definition has this name."""


class UnknownSplit(NotFound, KeyError):
    """The dataset has no split with this name."""

    __str__ = Exception.__str__


class UnknownStream(NotFound):
    """The view has no stream with this name."""


class NotPrepared(NotFound, FileNotFoundError):
    """A dataset, or a version of it, is not in this storage."""


class IntegrityError(DatasetAssetsError, ValueError):
    """Data does not match its digest, format or schema."""

    exit_code = 4


class DigestMismatch(IntegrityError):
    """Bytes have a different digest than was defined or recorded."""


class DecodeError(IntegrityError):
    """A file is not in the expected format, or ends early."""


class NewerFormat(DecodeError):
    """A file has a format that only a later release can read."""


class SchemaError(IntegrityError):
    """Samples do not fit the declared streams. `sample` is the number of the first that does not, if it is known."""

    sample: int | None = None


class ObjectReplaced(IntegrityError):
    """An object that a dataset reads where it is was replaced, overwritten or deleted."""


class StoredFileDamaged(IntegrityError):
    """A stored file is missing, or has a different size than its index says."""


class RetrievalError(DatasetAssetsError, OSError):
    """A source could not be read."""

    exit_code = 5


class StorageError(DatasetAssetsError, OSError):
    """A storage failed, or refused a request."""

    exit_code = 6


class NoSpace(StorageError):
    """A storage or a scratch folder has no space left."""


class ListingCut(StorageError):
    """A storage returned an incomplete listing. Objects missing from it are not treated as deleted."""


class NoConditions(StorageError):
    """A store refuses or ignores conditional writes, so it is for a single writer."""


class ObjectLocked(StorageError):
    """An object cannot be read or replaced now: it is archived, immutable, leased or held."""


class StoreDenied(StorageError):
    """A store refused the credentials, or they lack the rights for a request."""


class StoreMisconfigured(StorageError):
    """A store needs another region, clock, encryption key or paying account than the request had."""


class StoreMissing(StorageError):
    """The bucket, container or database does not exist."""


class StoreReadOnly(StorageError):
    """A store takes no writes, for example because it is a replica."""


class StoreUnavailable(StorageError):
    """A store does not answer, or asks to wait. The same request may succeed later."""


class Conflict(DatasetAssetsError):
    """Another writer was there first."""

    exit_code = 7


class Refused(DatasetAssetsError, PermissionError):
    """A request is not allowed by policy."""

    exit_code = 8


class CheckFailed(DatasetAssetsError):
    """A check with severity "error" failed, so the version was not released."""

    exit_code = 9


class TimedOut(DatasetAssetsError, TimeoutError):
    """A batch was not ready within the timeout."""


class SplitFailed(DatasetAssetsError, RuntimeError):
    """A split's function raised; its error is the `__cause__`."""


@contextmanager
def at(place: str) -> Iterator[None]:
    """Put a place before the message of any error of ours that the block raises."""
    try:
        yield
    except DatasetAssetsError as error:
        # Errors with an errno, and those of stored files, already name their path.
        if len(error.args) == 1 and not isinstance(error, StoredFileDamaged):
            error.args = (f"{place}: {error.args[0]}",)
        raise


def nearest(name: str, candidates: Iterable[str], listed: bool = True) -> str:
    """Return the end of a message: the candidate closest to a name; if none is close and `listed`, all candidates.

    >>> nearest("trian", ["train", "test"])
    " Did you mean 'train'?"
    >>> nearest("zebra", ["train", "test"])
    ' There are: train, test.'
    """
    # Only a message needs it.
    from difflib import get_close_matches

    known = list(candidates)
    # A table may have a million columns, and comparing each takes microseconds.
    close = get_close_matches(str(name), known[:10_000], n=1)
    if close:
        return f" Did you mean {close[0]!r}?"
    if not listed:
        return ""
    if not known:
        return " There are none."
    return f" There are: {', '.join(known[:12])}{', ...' if len(known) > 12 else ''}."
