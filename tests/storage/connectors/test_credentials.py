"""Passwords and tokens of storages go to the server that the user named, and to nobody on the way."""

import logging
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from servers import Place

from dataset_assets.errors import DatasetAssetsError, Refused, StorageError, StoreDenied
from dataset_assets.storage import open_storage
from dataset_assets.storage.connectors.bucket.address import bucket_of
from dataset_assets.testing import FaultyServer

SECRET = "pa55-w0rd-c0ffee"
AWAY = "http://192.0.2.1:9"
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": SECRET}
ACCOUNT = {"AZURE_STORAGE_ACCOUNT_NAME": "account"}
AZURE_KEY = {**ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": "c2VjcmV0"}
REVEALING: list[tuple[str, dict[str, str]]] = [
    ("s3", {}),
    ("s3", {"AWS_ACCESS_KEY_ID": "key"}),
    ("s3", {**KEYS, "AWS_SESSION_TOKEN": SECRET}),
    ("s3", {**KEYS, "AWS_TOKEN": SECRET}),
    ("s3", {**KEYS, "AWS_SSE_CUSTOMER_KEY_BASE64": SECRET}),
    ("s3", {"AWS_SKIP_SIGNATURE": "true", "AWS_SESSION_TOKEN": SECRET}),
    ("s3", {"AWS_WEB_IDENTITY_TOKEN_FILE": "/x", "AWS_ROLE_ARN": "arn"}),
    ("az", ACCOUNT),
    ("az", {**AZURE_KEY, "AZURE_STORAGE_TOKEN": SECRET}),
    ("az", {**AZURE_KEY, "AZURE_STORAGE_SAS_TOKEN": f"sv=1&sig={SECRET}"}),
    ("az", {**ACCOUNT, "AZURE_STORAGE_SAS_KEY": f"sv=1&sig={SECRET}"}),
    ("gs", {}),
    ("gs", {"GOOGLE_BEARER_TOKEN": SECRET}),
    ("gs", {"GOOGLE_SKIP_SIGNATURE": "no"}),
]
SIGNED: list[tuple[str, dict[str, str]]] = [
    ("s3", KEYS),
    ("s3", {"AWS_SKIP_SIGNATURE": "true"}),
    ("az", AZURE_KEY),
    ("az", {**ACCOUNT, "AZURE_SKIP_SIGNATURE": "1"}),
    ("gs", {"GOOGLE_SKIP_SIGNATURE": "true"}),
]
ENDPOINTS = {"s3": "AWS_ENDPOINT_URL", "az": "AZURE_STORAGE_ENDPOINT", "gs": "GOOGLE_BASE_URL"}


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith(("AWS_", "AZURE_", "AZURITE_", "GOOGLE_", "PG", "MONGODB_")):
            monkeypatch.delenv(name)


def surrounded(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


# --- buckets


@pytest.mark.parametrize("place", ["environment", "url"])
@pytest.mark.parametrize("scheme, environment", REVEALING)
def test_no_token_is_sent_to_a_bucket_by_plain_http(
    scheme: str, environment: dict[str, str], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    surrounded(monkeypatch, environment | ({ENDPOINTS[scheme]: AWAY} if place == "environment" else {}))
    storage = open_storage(f"{scheme}://bucket/prefix" + (f"?endpoint={AWAY}" if place == "url" else ""))
    for act in (lambda: storage.put("a", b"x"), lambda: storage.exists("a"), lambda: [*storage.list("")]):
        with pytest.raises(Refused, match="plain http") as caught:
            act()
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize("scheme, environment", REVEALING + SIGNED)
@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9", "https://h"])
def test_what_nobody_can_read_on_the_way_is_sent(
    scheme: str, environment: dict[str, str], endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    surrounded(monkeypatch, environment | {ENDPOINTS[scheme]: endpoint})
    bucket_of(f"{scheme}://bucket").check_encrypted()


@pytest.mark.parametrize("scheme, environment", SIGNED)
def test_signed_requests_go_by_plain_http(
    scheme: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    surrounded(monkeypatch, environment | {ENDPOINTS[scheme]: AWAY})
    bucket_of(f"{scheme}://bucket").check_encrypted()


def test_the_emulator_of_azure_is_no_way_around(monkeypatch: pytest.MonkeyPatch) -> None:
    emulated = {"AZURE_STORAGE_USE_EMULATOR": "true", "AZURITE_BLOB_STORAGE_URL": AWAY, "AZURE_STORAGE_TOKEN": SECRET}
    surrounded(monkeypatch, {**ACCOUNT, **emulated})
    with pytest.raises(Refused, match="AZURE_STORAGE_TOKEN"):
        open_storage("az://bucket").exists("a")


def test_what_goes_by_plain_http_holds_the_signature_and_not_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        own = probe.getsockname()[0]
    with FaultyServer(host=own) as server:
        surrounded(monkeypatch, {**KEYS, "AWS_ENDPOINT_URL": server.url, "AWS_REGION": "us-east-1", "NO_PROXY": "*"})
        with pytest.raises((StorageError, FileNotFoundError)):
            open_storage("s3://bucket").stat("a")
        assert server.requests and "Signature=" in server.requests[0].headers["Authorization"]
        assert SECRET not in str(server.requests[0].headers)
        asked = len(server.requests)
        monkeypatch.setenv("AWS_SESSION_TOKEN", SECRET)
        with pytest.raises(Refused):
            open_storage("s3://bucket").stat("a")
        assert len(server.requests) == asked


# --- PostgreSQL

CLEARTEXT, MD5, NONE = struct.pack("!II", 8, 3), struct.pack("!II", 12, 5) + b"salt", struct.pack("!II", 8, 0)


@contextmanager
def asking(how: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Be a server of PostgreSQL that asks for a password in one way; gives its port and what it is told."""
    told: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_answer, args=(server, how, told), daemon=True).start()
        yield server.getsockname()[1], told
        # The client may know sooner that it hung up than the server.
        until = time.monotonic() + 20
        while not told and time.monotonic() < until:
            time.sleep(0.01)


def _answer(server: socket.socket, how: bytes, told: list[bytes]) -> None:
    while True:
        try:
            line, _ = server.accept()
        except OSError:
            return
        with line:
            while True:
                size, code = struct.unpack("!II", line.recv(8))
                line.recv(size - 8)
                if code not in (80877103, 80877104):  # encryption, which it has not
                    break
                line.sendall(b"N")
            line.sendall(b"R" + how)
            told.append(line.recv(1000))


@pytest.mark.parametrize("how", [CLEARTEXT, MD5, NONE])
def test_a_server_that_asks_for_the_password_as_it_is_does_not_get_it(how: bytes) -> None:
    with asking(how) as (port, told):
        storage = open_storage(f"postgresql+psycopg2://ada:{SECRET}@127.0.0.1:{port}/db")
        with pytest.raises(StorageError, match="require_auth") as caught:
            storage.exists("a")
    assert type(caught.value) is StoreDenied, "asking again would not help"
    until = time.monotonic() + 10
    while not told and time.monotonic() < until:
        time.sleep(0.01)  # the server's thread notices the end a little later
    assert told == [b""]


@pytest.mark.parametrize("said", ["?require_auth=password", ""])
def test_unless_the_url_or_the_user_says_otherwise(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not said:
        monkeypatch.setenv("PGREQUIREAUTH", "password")
    with asking(CLEARTEXT) as (port, told):
        storage = open_storage(f"postgresql+psycopg2://ada:{SECRET}@127.0.0.1:{port}/db{said}")
        assert "require_auth" in storage.url or not said
        with pytest.raises(StorageError):
            storage.exists("a")
    assert any(SECRET.encode() in line for line in told)


def test_a_server_that_asks_by_scram_is_logged_in_to(postgres: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    surrounded(monkeypatch, dict(postgres.environment))
    assert not open_storage(f"{postgres.url}?schema=credentials").exists("a")


# --- MongoDB


@pytest.mark.parametrize("how", ["PLAIN", "plain", "MONGODB-AWS", "MONGODB-OIDC"])
@pytest.mark.parametrize("hosts", ["db.example", "127.0.0.1:27017,db.example:27017", "192.0.2.1"])
@pytest.mark.parametrize("tls", ["", "&tls=false", "&tls=false&tlsCertificateKeyFile=/x"])
def test_mongodb_gets_no_password_as_it_is(how: str, hosts: str, tls: str) -> None:
    with pytest.raises(Refused, match=r"unencrypted. Add tls=true") as caught:
        open_storage(f"mongodb://ada:{SECRET}@{hosts}/db?authMechanism={how}{tls}")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "place",
    [
        "db.example/db?authMechanism=PLAIN&tls=true", "db.example/db?authMechanism=SCRAM-SHA-256", "db.example/db",
        "127.0.0.1:27017,localhost,[::1]:27017/db?authMechanism=PLAIN",
        "db.example/db?authMechanism=PLAIN&tlsCertificateKeyFile=/x",
    ],
)  # fmt: skip
def test_mongodb_is_logged_in_to_where_nobody_can_read_it(place: str) -> None:
    assert open_storage(f"mongodb://ada:{SECRET}@{place}")


# --- logs


def test_the_command_line_says_no_secret_however_much_it_says(tmp_path: Path) -> None:
    with FaultyServer({"/x": b"abc"}) as server:
        definition = tmp_path / "defined.py"
        definition.write_text(
            "from dataset_assets import Array, Dataset, RemoteFile, Split\n"
            "def sizes(file):\n    yield {'size': len(file.read())}\n"
            f"url = {server.url.replace('://', f'://ada:{SECRET}@') + f'/x?part=1&sig={SECRET}'!r}\n"
            "made = Dataset(name='org.example.said', summary='s.', streams={'size': Array('int64')},\n"
            "    splits={'train': Split(sizes, file=RemoteFile(url))})\n"
        )
        environment = {**os.environ, "DATASET_ASSETS_DEFINITIONS": str(definition), "NO_PROXY": "127.0.0.1"}
        command = [sys.executable, "-m", "dataset_assets", "prepare", "-vv", "--debug", "org.example.said"]
        done = subprocess.run(
            [*command, "--storage", str(tmp_path / "storage")],
            capture_output=True, text=True, env=environment, cwd=tmp_path, check=False,
        )  # fmt: skip
        assert server.requests
    assert done.returncode == 0, done.stderr
    assert "urllib3" in done.stderr and "part=1" in done.stderr
    assert SECRET not in done.stdout + done.stderr


def test_whatever_is_logged_under_the_command_line_is_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    from dataset_assets.cli.common import State

    held = logging.getLogger().handlers, logging.getLogger().level, logging.getLogger().propagate
    try:
        state = State()
        state.verbose = 2
        state.listen()
        try:
            raise DatasetAssetsError(f"https://ada:{SECRET}@h/?sig={SECRET}")
        except DatasetAssetsError:
            logging.getLogger("another.library").debug("asked %s", f"https://h/a?token={SECRET}", exc_info=True)
    finally:
        logging.getLogger().handlers, level, logging.getLogger().propagate = held
        logging.getLogger().setLevel(level)
    said = capsys.readouterr().err
    assert "another.library" in said and "Traceback" in said and SECRET not in said
