"""The errors of pymongo as ours, by MongoDB's error codes."""

import errno
from typing import Any

from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from dataset_assets.errors import (
    NoSpace,
    StorageError,
    StoreDenied,
    StoreMisconfigured,
    StoreReadOnly,
    StoreUnavailable,
)
from dataset_assets.storage.outcome import NOTHING

WITHOUT_RETRY = (NetworkTimeout, NotPrimaryError, ServerSelectionTimeoutError)
"""Lost connections after which the same request is not made again at once: that was waited for already."""
_LOGIN = "Set MONGODB_USERNAME and MONGODB_PASSWORD, or write mongodb://user@host/database and set MONGODB_PASSWORD."
_WORKS = "Run the same command again when the server works."
SECONDARY = {10107, 13435}
DENIED = {11, 13, 18}
CODES: tuple[tuple[type[StorageError], int, set[int], str], ...] = (
    (
        StoreReadOnly, errno.EROFS, SECONDARY,
        "This server is a secondary. Name all servers and the replicaSet in the URL, without directConnection.",
    ),
    (NoSpace, errno.ENOSPC, {14031}, "The server has no space left. Free some and run the same command again."),
    (
        StoreMisconfigured, errno.EINVAL, {79, 100, 148},
        "The servers cannot acknowledge a write by a majority. Start more of them, or write ?w=1 into the URL; then an "
        "acknowledged write is lost if that server is.",
    ),
    (
        StoreUnavailable, errno.EAGAIN, {112, 133, 134, 462},
        "Run the same command again when the server is less busy.",
    ),
    (
        StoreUnavailable, errno.EIO, {50, 64, 91, 189, 202, 262, 11600, 11602}, _WORKS,
    ),
)  # fmt: skip
"""The error codes of MongoDB, what each set means, and what to do."""


def explained(error: PyMongoError, client: Any, url: str, direct: bool) -> StorageError:
    """Return our error. `direct` says that the URL names one server of several, without the others."""
    message = str(error).partition(", full error")[0].partition(", Timeout")[0][:300]
    servers = client.topology_description.server_descriptions().values()
    # A thread that waits while another one is refused gets an error without a code.
    codes = {_code_of(error)} - {None} or {_code_of(server.error) for server in servers}
    if codes & DENIED or isinstance(error, ConfigurationError):
        return StoreDenied(errno.EACCES, f"{url} refused: {message}. {_LOGIN}")
    # With the others in the URL, the next primary is found.
    codes -= set() if direct else SECONDARY
    for kind, number, known, remedy in CODES:
        if codes & known:
            return kind(number, f"{url} failed: {message}. {NOTHING} {remedy}")
    # Lost connections, and servers that do not answer.
    plain = StoreUnavailable if isinstance(error, ConnectionFailure) else StorageError
    return plain(errno.EIO, f"{url} failed: {message}. {NOTHING} {_WORKS}")


def _code_of(error: Any) -> int | None:
    if isinstance(error, OperationFailure):
        return error.code
    # Errors of a server that is no primary, or stops, are lost connections to pymongo.
    details = error.details if isinstance(error, NotPrimaryError) else None
    return details.get("code") if isinstance(details, dict) else None
