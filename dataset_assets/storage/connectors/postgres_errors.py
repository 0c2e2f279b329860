"""The errors of PostgreSQL as ours, by SQLSTATE. A refused connection has none: the server's sentence tells it."""

import errno
import re

import psycopg2

from dataset_assets.errors import (
    NoSpace,
    StorageError,
    StoreDenied,
    StoreMissing,
    StoreReadOnly,
    StoreUnavailable,
)
from dataset_assets.storage.outcome import NOTHING

_WORKS = "Run the same command again when the server works."
_RIGHTS = (
    "Let the owner of the schema {schema!r} give this role the rights of a reader, a writer or a collector (see "
    "Storages in the documentation)."
)
CODES: tuple[tuple[type[StorageError], int, tuple[str, ...], str], ...] = (
    (
        StoreDenied, errno.EACCES, ("28000", "28P01"),
        "Set PGPASSWORD, or put the password into ~/.pgpass.",
    ),
    (
        StoreDenied, errno.EPERM, ("42501",), _RIGHTS,
    ),
    (
        StoreMissing, errno.ENODEV, ("3D000",),
        "Create the database with createdb, or correct the URL.",
    ),
    (
        StoreReadOnly, errno.EROFS, ("25006",),
        "This server takes no writes; it may be a replica. Name the primary, or several hosts and "
        "?target_session_attrs=read-write.",
    ),
    (
        NoSpace, errno.ENOSPC, ("53100",), "No space left there. Free some and run the same command again.",
    ),
    (
        StoreUnavailable, errno.EAGAIN, ("53300", "57P03", "40001", "40P01"),
        "Run the same command again when the server is less busy.",
    ),
    (
        StoreUnavailable, errno.EBUSY, ("55P03",),
        "Another process writes the same object. Run the same command again when it is done.",
    ),
)  # fmt: skip
"""Kinds, SQLSTATEs and what to do; see https://www.postgresql.org/docs/current/errcodes-appendix.html."""

_CONNECTING = (
    (r"failed: FATAL: (?:password )?authentication failed for user ", "28P01"),
    (r"failed: FATAL: no pg_hba\.conf entry for ", "28000"),
    (r"failed: FATAL: role \".*\" does not exist", "28000"),
    (r"failed: fe_sendauth: no password supplied", "28P01"),
    (r"failed: FATAL: database \".*\" does not exist", "3D000"),
    (r"failed: FATAL: sorry, too many clients already|failed: FATAL: remaining connection slots are ", "53300"),
    (r"failed: FATAL: too many connections for ", "53300"),
    (r"failed: FATAL: the database system is ", "57P03"),
)
"""What libpq says before there is a connection that could have a SQLSTATE."""


def explained(error: BaseException, url: str, schema: str) -> StorageError:
    """Return our error."""
    message = " ".join(str(error).split())
    if isinstance(error, TimeoutError):
        return StoreUnavailable(errno.ETIMEDOUT, f"{url} gave no answer: {message}. {NOTHING} {_WORKS}")
    if re.search(r"failed: authentication method requirement ", message):
        return StoreDenied(
            errno.EACCES,
            f"{url} asks for the password in a way that is not allowed: {message}. Let the server use "
            "scram-sha-256, or write its method into the URL: ?require_auth=none if it asks for no password.",
        )
    code = getattr(error, "pgcode", None) or next((code for text, code in _CONNECTING if re.search(text, message)), "")
    for kind, number, codes, remedy in CODES:
        if code in codes:
            verb = "refused" if kind is StoreDenied else "failed"
            return kind(number, f"{url} {verb}: {message}. {NOTHING} {remedy.format(schema=schema)}")
    # Lost and refused connections, and those to a server that stops.
    may_pass = isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError))
    return (StoreUnavailable if may_pass else StorageError)(errno.EIO, f"{url} failed: {message}. {NOTHING} {_WORKS}")
