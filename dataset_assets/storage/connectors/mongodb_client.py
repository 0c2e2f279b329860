"""The URL and the client of a MongoDB database: which options are allowed, and what is never sent in plain text."""

import os
import re
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

import pymongo

from dataset_assets.core.loopback import is_loopback
from dataset_assets.errors import Refused, UsageError
from dataset_assets.storage.connectors.bucket.address import Hidden

BUCKET = "dataset_assets"
_OPTIONS = {
    "appName", "authMechanism", "authSource", "bucket", "connectTimeoutMS", "directConnection", "replicaSet",
    "retryWrites", "serverSelectionTimeoutMS", "socketTimeoutMS", "tls", "tlsCAFile", "tlsCertificateKeyFile", "w",
}  # fmt: skip
_REVEALING = {"PLAIN": "the password", "MONGODB-AWS": "a session token", "MONGODB-OIDC": "a token"}
"""Login mechanisms that send a secret in plain text, and which one."""
_PORT = re.compile(r":\d*$")

Document = dict[str, Any]


@lru_cache(maxsize=8)
def client_of(
    hosts: str, options: tuple[tuple[str, str], ...], login: tuple[tuple[str, str], ...], silence: float, process: int
) -> "pymongo.MongoClient[Document]":
    """Return the client of one process; a forked child has its own."""
    silent, soon = int(1000 * silence), int(min(10_000, 500 * silence))
    ours: Document = {
        "serverSelectionTimeoutMS": soon,
        "connectTimeoutMS": soon,
        "socketTimeoutMS": silent,
        # Whoever waited for a connection may then wait on it for a silent server.
        "waitQueueTimeoutMS": silent // 4,
    }
    # Its own retries would double the wait for a server that is silent.
    ours |= {"retryReads": "false", "retryWrites": "false", "readConcernLevel": "majority"}
    ours |= {"w": "majority", "journal": "true", "wTimeoutMS": silent}
    place = f"mongodb://{hosts}/?{urlencode({**ours, **dict(options)})}"
    return pymongo.MongoClient(place, **dict(login), connect=False)  # type: ignore[arg-type]


def options_of(query: str) -> dict[str, str]:
    """Return the options of a URL. Raises `UsageError` for one that is not allowed."""
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name in options.keys() - _OPTIONS:
        raise UsageError(f"{name[:40]!r} is not an option of a mongodb URL here. Use {', '.join(sorted(_OPTIONS))}.")
    if options.get("w") == "0":
        raise UsageError("w=0 in a mongodb URL asks for no answer to a write. Leave it out, or use w=1.")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,60}", options.get("bucket", BUCKET)):
        raise UsageError("The bucket of this mongodb URL is not valid. Use letters, digits and '_'.")
    return options


def check_encrypted(hosts: str, options: dict[str, str]) -> None:
    """Raise `Refused` if a password or token would go to another machine in plain text."""
    how = options.get("authMechanism", "").upper()
    encrypted = options.get("tls", "").lower() == "true" or "tls" not in options and "tlsCertificateKeyFile" in options
    far = [host for host in hosts.split(",") if not is_loopback(_PORT.sub("", host))]
    if how in _REVEALING and far and not encrypted:
        raise Refused(
            f"authMechanism={how} would send {_REVEALING[how]} to {far[0]} unencrypted. Add tls=true to the mongodb "
            "URL, or use SCRAM: leave authMechanism out."
        )


def login_of(user: str, password: str) -> dict[str, str]:
    """Return the user and password of a URL, or those of the environment; empty if one of them is missing."""
    login = {"username": unquote(user) or os.environ.get("MONGODB_USERNAME", "")}
    login["password"] = Hidden(unquote(password) or os.environ.get("MONGODB_PASSWORD", ""))
    return login if login["username"] and login["password"] else {}
