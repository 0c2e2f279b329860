"""What the tests of several rooms share: a home on a fast disk, a folder of files to retrieve, a look at all files."""

import gc
import hashlib
import os
import shutil
import signal
import tempfile
from multiprocessing import forkserver
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any, Callable, Iterator

import lending
import pytest
import servers
import tiny
from excuses import pytest_make_collect_report, pytest_runtest_makereport
from google_interface import GoogleStorage, entered_google
from hypothesis import settings
from places import SUPPORT, TESTS
from servers import azurite, postgres, proxy, seaweed, secantus
from slow import is_listed, is_slow

from dataset_assets import Dataset
from dataset_assets.storage import MemoryStorage, Storage, open_storage

__all__ = [
    "azurite", "google", "postgres", "proxy", "pytest_make_collect_report", "pytest_runtest_makereport", "seaweed",
    "secantus",
]  # fmt: skip

# What several tests use is found by the processes that they start, too.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SUPPORT), os.environ.get("PYTHONPATH")]))

# More workers than processors wait for each other; how long an example takes says nothing.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

# Else each run of an asset writes into ~/.dagster.
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"

# Temporary folders lie in memory where there is room: what the tests store would be forced to a disk a million times.
# They lie in one of the run, which takes along what killed processes leave. Its name is short: sockets lie there too.
MEMORY = Path("/dev/shm")
if "TEST_RUN" not in os.environ:
    is_roomy = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 4 << 30
    os.environ["TEST_RUN"] = RUN = tempfile.mkdtemp(prefix="tests_", dir=MEMORY if is_roomy else None)
    # Other users look at some of the files.
    os.chmod(RUN, 0o755)
    os.environ["TMPDIR"], tempfile.tempdir = RUN, None
    # At the end of this process, after what multiprocessing itself removes there.
    Finalize(None, shutil.rmtree, [RUN, True], exitpriority=-1000)


@pytest.fixture(autouse=True)
def signals_stay() -> Iterator[None]:
    """Dagster, run in this process, maps SIGTERM to Ctrl-C; a forked child of a later test might survive it."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(autouse=True)
def no_forkserver_stays() -> Iterator[None]:
    """The processes of one that a test began would have the environment of that test."""
    yield
    if (process := forkserver._forkserver._forkserver_pid) is not None:
        # It would end by itself when no process has its pipe any more; a forked one may.
        os.kill(process, signal.SIGTERM)
        forkserver._forkserver._stop()


@pytest.fixture
def fast_path() -> Iterator[Path]:
    """A folder with a short name, removed after the test."""
    path = Path(tempfile.mkdtemp(prefix="dataset_assets_test_"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def home(fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home that settings find; the storage is `home / "storage"`."""
    path = fast_path / "home"
    monkeypatch.setenv("DATASET_ASSETS_HOME", str(path))
    monkeypatch.delenv("DATASET_ASSETS_STORAGE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return path


@pytest.fixture
def place(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the homes of a sweep, away from our own project file, which every call would read."""
    home.mkdir()
    monkeypatch.chdir(home)
    return home


@pytest.fixture
def folder(fast_path: Path) -> Path:
    """A folder with the file of the tiny dataset."""
    path = fast_path / "published"
    path.mkdir()
    (path / "numbers.csv").write_bytes(tiny.NUMBERS)
    return path


@pytest.fixture
def dataset(folder: Path) -> Dataset:
    """The tiny dataset."""
    return tiny.tiny(url(folder))


@pytest.fixture(params=["local", "memory", "sqlite"])
def another(request: pytest.FixtureRequest, fast_path: Path) -> Storage:
    """An empty storage besides that of the home, of each kind that needs no server."""
    places = {"local": fast_path / "another", "memory": MemoryStorage(), "sqlite": f"sqlite:///{fast_path}/another.db"}
    return open_storage(places[request.param])


SERVERS = tuple(servers.SERVERS)
ON_SERVERS = ("storage/connectors", "reading/test_remote.py", "reading/test_remote_columns.py")


@pytest.fixture(params=SERVERS)
def remote(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """An empty storage on each kind of server."""
    return on_server(request.param, request, monkeypatch)


def on_server(name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Storage:
    place = request.getfixturevalue(name)
    for variable, value in place.environment.items():
        monkeypatch.setenv(variable, value)
    unique = f"k{os.urandom(4).hex()}"
    ends = {"postgres": f"?schema={unique}", "secantus": f"keeping?bucket={unique}"}
    return open_storage(place.url + ends.get(name, unique))


CONNECTORS = ("local", "memory", "sqlite", "seaweed", "azurite", "google", "postgres", "secantus")


@pytest.fixture(scope="session")
def google() -> Iterator[GoogleStorage]:
    """The interface of Google Cloud Storage, as far as its documentation goes."""
    with GoogleStorage() as server:
        yield server


@pytest.fixture(params=CONNECTORS)
def every(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, fast_path: Path) -> Storage:
    """An empty storage of each connector of ours."""
    if request.param == "google":
        return open_storage(entered_google(request.getfixturevalue("google"), monkeypatch, fast_path))
    if request.param in SERVERS:
        return on_server(request.param, request, monkeypatch)
    places = {"local": fast_path / "another", "memory": MemoryStorage(), "sqlite": f"sqlite:///{fast_path}/another.db"}
    return open_storage(places[request.param])


@pytest.fixture
def look() -> Callable[[Path], dict[str, tuple[int, int, int, str]]]:
    """A function that tells of each file below a folder its inode, time of change, size and sha256."""
    return looked_at


def url(folder: Path) -> str:
    return folder.as_uri() + "/"


def looked_at(folder: Path) -> dict[str, tuple[int, int, int, str]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            info = path.stat()
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path.relative_to(folder))] = (info.st_ino, info.st_mtime_ns, info.st_size, digest)
    return found


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the pictures of the web UI be kept: pytest -k web_ui --pictures docs/pictures."""
    parser.addoption("--pictures", default="", help="the folder in which pictures of the web UI are kept")


def pytest_configure(config: pytest.Config) -> None:
    """Give the run a folder of its own, and start what its workers borrow servers from."""
    if not config.option.basetemp:
        config.option.basetemp = tempfile.mkdtemp(prefix="run_")
    if config.getoption("numprocesses", None):
        lender = lending.Lender(servers.SERVERS)
        config.add_cleanup(lender.close)
        os.environ[lending.VARIABLE] = lender.url


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out whole files where slow tests are not wanted: to import them takes as long as the other tests do."""
    return True if "not slow" in config.option.markexpr and is_slow(collection_path) else None


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over all that was imported for the tests: it stays."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make test-fast` leaves out, and what `make test-servers` runs."""
    for item in items:
        if uses_server(item) or any(item.path.is_relative_to(TESTS / name) for name in ON_SERVERS):
            item.add_marker("server")
        names = item.nodeid.partition("::")[2].partition("[")[0]
        if is_slow(item.path) or is_listed(item.path, names) or item.get_closest_marker("server"):
            item.add_marker("slow")
    if of_dagster := [item for item in items if item.path.is_relative_to(TESTS / "orchestration")]:
        # It imports Dagster, which the tests of other rooms do not need.
        import dagster_warnings

        dagster_warnings.mark(of_dagster)


def uses_server(item: pytest.Item) -> bool:
    given = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return any(name in SERVERS for name in [*getattr(item, "fixturenames", ()), *given] if isinstance(name, str))


# In a conftest of their own folder these would take the name of this module, which other tests import.


@pytest.fixture
def instance() -> Iterator[Any]:
    """A history of Dagster that is kept in memory."""
    import dagster as dg

    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def server() -> Iterator[Any]:
    """A server of the files of `two_files`."""
    from orchestrated import FILES

    from dataset_assets.testing import FaultyServer

    with FaultyServer(FILES) as server:
        yield server
