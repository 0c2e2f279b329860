"""Doctor: look whether what this installation needs is in order. What is secret is in none of it."""

import errno
import os
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Iterator, Literal, NamedTuple

from dataset_assets.core import plugins, project_file, scratch
from dataset_assets.core.canonical import sha256_hex
from dataset_assets.core.redact import redacted
from dataset_assets.core.settings import Settings, as_variable, origins, settings
from dataset_assets.errors import DatasetAssetsError, Refused, StorageError, UsageError
from dataset_assets.storage import LocalStorage, Storage, open_storage

State = Literal["ok", "warning", "error"]

PACKAGES = (
    "dataset_assets", "numpy", "pyarrow", "requests", "dagster", "dagster-webserver", "torch", "pandas", "obstore",
    "sqlalchemy", "psycopg2-binary", "pymongo",
)  # fmt: skip
PROBES = "meta"
"""The folder of a storage in which probes are written: no dataset has this name."""
SKEW_SECONDS = 60
ENOUGH_BYTES = 1 << 30


class Examined(NamedTuple):
    """What was looked at, how it is, and in words; an error has the exit code of its class."""

    what: str
    state: State
    says: str
    code: int = 0


def examine(storage: str | None = None) -> list[Examined]:
    """Look at settings, storage, disks, packages, plugins and Dagster's home; only probes are written, and removed.

    Nothing is raised: what is wrong is one of those returned.
    """
    try:
        chosen = settings(storage=storage)
    except DatasetAssetsError as error:
        return [_error("settings", error), *_packages(), *_plugins()]
    found = [*_settings(storage), *_storage(chosen), *_disks(chosen), *_scratch(chosen)]
    return [*found, *_packages(), *_plugins(), *_dagster(chosen)]


def _error(what: str, error: DatasetAssetsError) -> Examined:
    return Examined(what, "error", getattr(error, "strerror", None) or str(error), error.exit_code)


def _settings(storage: str | None) -> Iterator[Examined]:
    for name, (value, place) in origins(storage=storage).items():
        shown = shown_url(value) if name == "storage" else as_variable(value)
        yield Examined(f"setting {name}", "ok", f"{shown} ({place})")
    for notice in project_file.notices():
        yield Examined("project file", "warning", notice)


def _why(error: OSError) -> str:
    # What the system says of a number has no secret in it; what else an error says might.
    return os.strerror(error.errno) if error.errno else type(error).__name__


def shown_url(url: str) -> str:
    """Return a storage's URL without anything secret, also if nothing can open it."""
    try:
        return open_storage(url).url
    except (DatasetAssetsError, OSError):
        return redacted(url)


def _storage(chosen: Settings) -> Iterator[Examined]:
    try:
        store = open_storage(chosen.storage)
        found = Probe(store).run()
    except DatasetAssetsError as error:
        yield _error("storage", error)
        return
    except OSError as error:
        yield _error("storage", StorageError(error.errno or errno.EIO, f"{_why(error)}. Look at its URL."))
        return
    yield Examined("storage", "ok", f"{store.url}: written, read, listed and removed in {found.seconds:.2f} s")
    yield Examined("storage lists", *_judged(found.listed, "what is written is listed at once", "a listing lags"))
    yield Examined(
        "storage swaps",
        *_judged(
            found.conditional,
            "of two writers one is told that it lost",
            "two writers may both be told that they won: let only one prepare at a time",
        ),
    )
    skew = f"the storage's clock is {found.skew:+.0f} s from this machine's"
    yield Examined("clock", *_judged(abs(found.skew) < SKEW_SECONDS, skew, f"{skew}: set one of them"))


def _judged(fine: bool, good: str, bad: str) -> tuple[State, str]:
    return ("ok", good) if fine else ("warning", bad)


class Probe:
    """Writes an object of its own, and looks what comes of it."""

    def __init__(self, storage: Storage) -> None:
        self.storage, self.key = storage, f"{PROBES}/probe_{os.urandom(8).hex()}"
        self.seconds, self.skew = 0.0, 0.0
        self.listed, self.conditional = False, False

    def run(self) -> "Probe":
        """Write, read, list, swap and remove; raises `StorageError`."""
        began = time.monotonic()
        try:
            self._run()
        finally:
            self.storage.delete(self.key)
        self.seconds = time.monotonic() - began
        return self

    def _run(self) -> None:
        before = time.time()
        self.storage.put(self.key, b"probe")
        after = time.time()
        stored = self.storage.stat(self.key).modified
        # Clocks of stores may count whole seconds; and the object was stored somewhere between the two.
        self.skew = stored - before if stored < before - 1 else max(0.0, stored - after)
        with self.storage.get(self.key) as file:
            if file.read() != b"probe":
                raise StorageError(errno.EIO, f"{self.storage.url} returned other bytes than were written.")
        self.listed = self.key in self.storage.list(PROBES)
        first, again = (self.storage.swap(self.key, b"swapped", sha256_hex(b"probe")) for _ in range(2))
        self.conditional = first and not again


def _disks(chosen: Settings) -> Iterator[Examined]:
    places = {"home": chosen.home, "scratch": chosen.scratch, "cache": chosen.cache}
    for name, folder in places.items():
        there = next(path for path in (folder, *folder.parents) if path.exists())
        info = os.statvfs(there)
        free = info.f_bavail * info.f_frsize
        says = f"{folder}: {free / 1e9:.1f} GB free"
        if not os.access(there, os.W_OK):
            yield Examined(f"disk of {name}", "warning", f"{says}; it may only be read")
        else:
            yield Examined(f"disk of {name}", *_judged(free > ENOUGH_BYTES, says, f"{says}: that is little"))


def _scratch(chosen: Settings) -> Iterator[Examined]:
    roots = [chosen.scratch]
    try:
        store = open_storage(chosen.storage)
        roots += [scratch.root_below(store.root)] if isinstance(store, LocalStorage) else []
    except (DatasetAssetsError, OSError):
        pass
    for root in roots:
        if found := scratch.problem(root):
            yield Examined("scratch", "error", found, Refused.exit_code)
    left = [path for root in roots for path in scratch.leftovers(root)]
    says = f"{len(left)} folders of processes that were killed: the next prepare or gc removes them"
    yield Examined("scratch", *_judged(not left, "nothing is left over", says))


def _packages() -> Iterator[Examined]:
    yield Examined("python", "ok", sys.version.split()[0])
    for name in PACKAGES:
        try:
            yield Examined(f"package {name}", "ok", version(name))
        except PackageNotFoundError:
            yield Examined(f"package {name}", "ok", "not installed")


def _plugins() -> Iterator[Examined]:
    for group in plugins.GROUPS:
        for point in plugins.points(group):
            what = f"plugin {plugins.package_of(point)}"
            try:
                point.load()
                yield Examined(what, "ok", f"{group}: {point.name}")
            except plugins.BROKEN as error:
                # The text of a stranger's error is not shown: it may hold what the plugin was logging in with.
                says = f"{group}: {point.name} cannot be imported ({type(error).__name__}). Mend or uninstall it."
                yield Examined(what, "error", says, UsageError.exit_code)


def _dagster(chosen: Settings) -> Iterator[Examined]:
    home = Path(os.environ.get("DAGSTER_HOME") or chosen.home / "dagster").expanduser()
    place = "DAGSTER_HOME" if os.environ.get("DAGSTER_HOME") else "default"
    if not home.exists():
        yield Examined("dagster home", "ok", f"{home} ({place}) is made when it is first needed")
    else:
        says = f"{home} ({place})"
        yield Examined("dagster home", *_judged(os.access(home, os.W_OK), says, f"{says} may only be read"))


def exit_code(found: list[Examined]) -> int:
    """Return the exit code of the worst of what was found."""
    return max((one.code for one in found), default=0)


def document(found: list[Examined]) -> list[dict[str, Any]]:
    """Return it as plain JSON values."""
    return [one._asdict() for one in found]
