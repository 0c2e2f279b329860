"""Checks this installation: settings, storage, disks, packages and plugins. The results contain no secrets."""

import errno
import os
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Iterator, Literal, NamedTuple

from dataset_assets.core import plugins, project_file, scratch
from dataset_assets.core.redact import redacted
from dataset_assets.core.settings import URLS, Settings, as_variable, origins, settings
from dataset_assets.errors import DatasetAssetsError, Refused, StorageError, StoreDenied, StoreReadOnly, UsageError
from dataset_assets.storage import LocalStorage, Storage, open_storage
from dataset_assets.storage.contest import PROBES, keeps_writers_apart, probe_key
from dataset_assets.storage.outcome import SINGLE

State = Literal["ok", "warning", "error"]

PACKAGES = (
    "dataset_assets", "numpy", "pyarrow", "requests", "dagster", "dagster-webserver", "torch", "pandas", "obstore",
    "sqlalchemy", "psycopg2-binary", "pymongo",
)  # fmt: skip
SKEW_SECONDS = 60
ENOUGH_BYTES = 1 << 30


class Check(NamedTuple):
    """The result of one check: its subject, state and message; an error has the exit code of its class."""

    what: str
    state: State
    says: str
    code: int = 0


def examine(storage: str | None = None) -> list[Check]:
    """Check settings, storage, disks, packages, plugins and Dagster's home. It writes only probes and removes them.

    It raises no errors: the results contain them.
    """
    try:
        chosen = settings(storage=storage)
    except DatasetAssetsError as error:
        return [_error("settings", error), *_packages(), *_plugins()]
    places = [*_settings(storage), *_storage(chosen), *_disks(chosen), *_scratch(chosen)]
    return [*places, *_packages(), *_plugins(), *_dagster(chosen)]


def _error(what: str, error: DatasetAssetsError) -> Check:
    return Check(what, "error", getattr(error, "strerror", None) or str(error), error.exit_code)


def _settings(storage: str | None) -> Iterator[Check]:
    for name, (value, place) in origins(storage=storage).items():
        shown = shown_url(value) if name in URLS and value else as_variable(value)
        yield Check(f"setting {name}", "ok", f"{shown} ({place})")
    for notice in project_file.notices():
        yield Check("project file", "warning", notice)


def _why(error: OSError) -> str:
    # The system's text for an error number has no secrets; other texts might.
    return os.strerror(error.errno) if error.errno else type(error).__name__


def shown_url(url: str) -> str:
    """Return a storage's URL without secrets, even if the storage cannot be opened."""
    try:
        return open_storage(url).url
    except (DatasetAssetsError, OSError):
        return redacted(url)


def _storage(chosen: Settings) -> Iterator[Check]:
    try:
        store = open_storage(chosen.storage)
        probe = Probe(store).run()
    except DatasetAssetsError as error:
        yield _error("storage", error)
        return
    except OSError as error:
        yield _error("storage", StorageError(error.errno or errno.EIO, f"{_why(error)}. Check the URL."))
        return
    if probe.denied:
        yield Check("storage", "warning", f"{store.url} can be read, not written: {probe.denied}")
        return
    yield Check("storage", "ok", f"{store.url}: written, read, listed and removed in {probe.seconds:.2f} s")
    yield Check("storage lists", *_graded(probe.listed, "a new object is listed at once", "listings lag behind writes"))
    yield Check(
        "storage swaps",
        *_graded(
            probe.conditional,
            "of two writers, exactly one succeeds",
            f"the store ignores conditional writes, so it is for a single writer. {SINGLE}",
        ),
    )
    skew = f"the storage's clock is {probe.skew:+.0f} s from this machine's"
    yield Check("clock", *_graded(abs(probe.skew) < SKEW_SECONDS, skew, f"{skew}: correct one of them"))


def _graded(fine: bool, good: str, bad: str) -> tuple[State, str]:
    return ("ok", good) if fine else ("warning", bad)


class Probe:
    """Tests a storage with a temporary object."""

    def __init__(self, storage: Storage) -> None:
        self.storage, self.key = storage, probe_key()
        self.seconds, self.skew = 0.0, 0.0
        self.denied = ""
        """Why nothing may be written, although the storage can be read."""
        self.listed, self.conditional = False, False

    def run(self) -> "Probe":
        """Write, read, list, swap and remove the object. Raises `StorageError`."""
        began, before = time.monotonic(), time.time()
        try:
            self.storage.put(self.key, b"probe")
        except (StoreDenied, StoreReadOnly) as error:
            # Raises the error if it may not be read either.
            next(iter(self.storage.list(PROBES)), None)
            self.denied = error.strerror or str(error)
            return self
        try:
            self._run(before, time.time())
        finally:
            self.storage.delete(self.key)
        self.seconds = time.monotonic() - began
        return self

    def _run(self, before: float, after: float) -> None:
        stored = self.storage.stat(self.key).modified
        # The object was stored between the two times, and clocks of stores may count whole seconds.
        self.skew = stored - before if stored < before - 1 else max(0.0, stored - after)
        with self.storage.get(self.key) as file:
            if file.read() != b"probe":
                raise StorageError(errno.EIO, f"{self.storage.url} returned different bytes than were written.")
        self.listed = self.key in self.storage.list(PROBES)
        self.conditional = keeps_writers_apart(self.storage)


def _disks(chosen: Settings) -> Iterator[Check]:
    places = {"home": chosen.home, "scratch": chosen.scratch, "cache": chosen.cache}
    for name, folder in places.items():
        there = next(path for path in (folder, *folder.parents) if path.exists())
        info = os.statvfs(there)
        free = info.f_bavail * info.f_frsize
        says = f"{folder}: {free / 1e9:.1f} GB free"
        if not os.access(there, os.W_OK):
            yield Check(f"disk of {name}", "warning", f"{says}; it is read-only")
        else:
            yield Check(f"disk of {name}", *_graded(free > ENOUGH_BYTES, says, f"{says}: that is little"))


def _scratch(chosen: Settings) -> Iterator[Check]:
    roots = [chosen.scratch]
    try:
        store = open_storage(chosen.storage)
        roots += [scratch.root_below(store.root)] if isinstance(store, LocalStorage) else []
    except (DatasetAssetsError, OSError):
        pass
    for root in roots:
        if problem := scratch.problem(root):
            yield Check("scratch", "error", problem, Refused.exit_code)
    left = [path for root in roots for path in scratch.leftovers(root)]
    says = f"{len(left)} folders of killed processes: the next prepare or gc removes them"
    yield Check("scratch", *_graded(not left, "nothing is left over", says))


def _packages() -> Iterator[Check]:
    yield Check("python", "ok", sys.version.split()[0])
    for name in PACKAGES:
        try:
            yield Check(f"package {name}", "ok", version(name))
        except PackageNotFoundError:
            yield Check(f"package {name}", "ok", "not installed")


def _plugins() -> Iterator[Check]:
    for group in plugins.GROUPS:
        for point in plugins.points(group):
            what = f"plugin {plugins.package_of(point)}"
            try:
                point.load()
                yield Check(what, "ok", f"{group}: {point.name}")
            except plugins.BROKEN as error:
                # The text of a plugin's error is not shown: it may contain a login.
                says = f"{group}: {point.name} cannot be imported ({type(error).__name__}). Fix or uninstall it."
                yield Check(what, "error", says, UsageError.exit_code)


def _dagster(chosen: Settings) -> Iterator[Check]:
    home = Path(os.environ.get("DAGSTER_HOME") or chosen.home / "dagster").expanduser()
    place = "DAGSTER_HOME" if os.environ.get("DAGSTER_HOME") else "default"
    if not home.exists():
        yield Check("dagster home", "ok", f"{home} ({place}) is created when it is first needed")
    else:
        says = f"{home} ({place})"
        yield Check("dagster home", *_graded(os.access(home, os.W_OK), says, f"{says} is read-only"))


def exit_code(checks: list[Check]) -> int:
    """Return the highest exit code of the checks."""
    return max((check.code for check in checks), default=0)


def document(checks: list[Check]) -> list[dict[str, Any]]:
    """Return the checks as JSON values."""
    return [check._asdict() for check in checks]
