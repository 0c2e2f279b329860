"""Errors of stores by status and code: each of the documented table, whatever the names of the user are."""

import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from doc_tables import table
from servers import ACCOUNT, Place, before_database

import dataset_assets.errors as errors
from dataset_assets.errors import StorageError, StoreDenied, StoreMissing, StoreUnavailable
from dataset_assets.storage import open_storage
from dataset_assets.storage.connectors import mongodb_errors, postgres_errors
from dataset_assets.storage.connectors.bucket import codes
from dataset_assets.storage.connectors.bucket.address import bucket_of
from dataset_assets.storage.connectors.bucket.store import ObjectStorage
from dataset_assets.testing import Proxy, Status, WireError

ROWS = table("storages.md", "code")
NAMES = "metadata/latest/169.254.169.254/Missing/uthentication_failed"
"""Words that clients use in their own messages, as a prefix of the user."""


def of(kind: str) -> dict[str, tuple[int, type[StorageError]]]:
    """Return status and error for each documented code of a kind of server."""
    found = {}
    for row in ROWS:
        if row["of"] == kind:
            for code in row["code"].replace("`", "").split(", "):
                found[code] = int(row["status"] or 0), getattr(errors, row["error"])
    return found


def raised(verb: Any) -> StorageError:
    with pytest.raises(StorageError) as caught:
        verb()
    return caught.value


STATUSES = {
    301: errors.StoreMisconfigured, 403: StoreDenied, 429: StoreUnavailable, 500: StoreUnavailable,
    501: errors.NoConditions, 503: StoreUnavailable, 507: errors.NoSpace,
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that asks to wait is not waited for; what was opened may be silent as long as usual."""
    monkeypatch.setenv("DATASET_ASSETS_STALL_SECONDS", "0")


def test_the_table_has_every_code() -> None:
    known = {code for one in codes.MEANINGS for code in one.codes} | {*codes.MISSING, "ExpiredToken"}
    assert known <= of("bucket").keys()
    assert {code for row in postgres_errors.CODES for code in row[2]} == of("PostgreSQL").keys()
    by_kind = defaultdict(set)
    for code, (_, kind) in of("MongoDB").items():
        by_kind[kind].add(int(code))
    assert by_kind.pop(StoreDenied) == mongodb_errors.DENIED
    assert {code for row in mongodb_errors.CODES for code in row[2]} == set().union(*by_kind.values())


@pytest.mark.parametrize("name", ["seaweed", "azurite"])
def test_a_bucket_says_what_each_code_means(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    place: Place = request.getfixturevalue(name)
    for variable, value in place.environment.items():
        monkeypatch.setenv(variable, value)
    with Proxy(place.endpoint) as proxy:
        end = f"/{ACCOUNT}" if name == "azurite" else ""
        bucket = bucket_of(f"{place.url}{NAMES}?endpoint={proxy.url}{end}")
        storage = ObjectStorage(bucket, retries=0, silence=60)
        storage.put("a", b"x")
        for code, (status, kind) in of("bucket").items():
            body = f"<?xml version='1.0'?>\n<Error><Code>{code}</Code><Message>SlowDown metadata</Message></Error>"
            proxy.fault = lambda verb, what: Status(status, body=body.encode())  # noqa: B023
            for act in (lambda: storage.content("a"), lambda: storage.put("a", b"y"), lambda: [*storage.list("")]):
                error = raised(act)
                assert type(error) is kind, (code, error)
                assert "no credentials" not in str(error) and code in str(error) or kind is StoreMissing
        for status, kind in STATUSES.items():
            proxy.fault = lambda verb, what: Status(status)  # noqa: B023
            assert type(raised(lambda: storage.stat("a"))) is kind, status


def test_a_conflict_is_not_every_409(seaweed: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in seaweed.environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("DATASET_ASSETS_STALL_SECONDS", "30")
    with Proxy(seaweed.endpoint) as proxy:
        storage: Any = open_storage(f"{seaweed.url}conflict_{os.urandom(4).hex()}?endpoint={proxy.url}")
        aborted = Status(409, body=b"<Error><Code>OperationAborted</Code></Error>")
        for act in (lambda: storage.swap("a", b"x", None), lambda: storage.put("b", b"x") is None):
            with proxy.failing(1, aborted, lambda verb, what: verb == "PUT") as calls:
                assert act()
            assert calls.tripped
        refused = Status(412)
        with proxy.failing(1, refused, lambda verb, what: verb == "PUT"), pytest.raises(errors.NoConditions):
            storage.swap("c", b"x", None)


DATABASES = {"postgres": ("postgresql", "PostgreSQL"), "secantus": ("mongodb", "MongoDB")}


@pytest.mark.parametrize("name", DATABASES)
def test_a_database_says_what_each_code_means(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    place: Place = request.getfixturevalue(name)
    for variable, value in place.environment.items():
        monkeypatch.setenv(variable, value)
    protocol, kind = DATABASES[name]
    ends = {
        "postgres": f"?schema=c{os.urandom(4).hex()}",
        "secantus": "permission_denied?bucket=c&directConnection=true",
    }
    with before_database(place, protocol) as (proxy, url):
        monkeypatch.setenv("DATASET_ASSETS_STALL_SECONDS", "60")
        storage = open_storage(url + ends[name])
        monkeypatch.setenv("DATASET_ASSETS_STALL_SECONDS", "0")
        storage.put("a", b"x")
        for code, (_, expected) in of(kind).items():
            error = WireError(code if name == "postgres" else int(code), "permission denied, authentication failed")
            proxy.fault = lambda verb, what: error if verb == "find" or "FROM" in what else None  # noqa: B023
            # After some codes pymongo leaves a server alone for ten seconds; a client of another name does not.
            own = open_storage(f"{url}{ends[name]}&appName=c{code}") if name == "secantus" else storage
            assert type(raised(lambda: own.stat("a"))) is expected, code  # noqa: B023
        proxy.fault = lambda verb, what: None
        assert storage.exists("a")


def test_a_database_that_is_missing_is_said(postgres: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in postgres.environment.items():
        monkeypatch.setenv(variable, value)
    storage = open_storage(f"{postgres.url.rpartition('/')[0]}/password%20authentication%20failed")
    with pytest.raises(StoreMissing, match="Create the database with createdb, or correct the URL"):
        storage.exists("a")


def test_a_replica_is_said_to_take_no_writes(postgres: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable, value in postgres.environment.items():
        monkeypatch.setenv(variable, value)
    schema = f"r{os.urandom(4).hex()}"
    open_storage(f"{postgres.url}?schema={schema}").put("a", b"x")
    monkeypatch.setenv("PGOPTIONS", "-c default_transaction_read_only=on")
    replica = open_storage(f"{postgres.url}?schema={schema}")
    assert replica.exists("a")
    with pytest.raises(errors.StoreReadOnly, match="it may be a replica. Name the primary"):
        replica.put("a", b"y")
