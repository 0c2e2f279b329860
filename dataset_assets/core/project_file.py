"""The project file: where it is searched, who must own it, and which settings apply before the user trusts it.

The working folder may hold files of strangers: a cloned repository, an unpacked archive, /tmp. So a file that another
user owns is never read, and until the user trusts the content of a file, only its `HARMLESS` settings apply.
"""

import copy
import functools
import hashlib
import logging
import os
import pwd
import shlex
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator, Mapping
from urllib.parse import unquote, urlsplit

from dataset_assets.core import files, trust
from dataset_assets.core.escape import in_line
from dataset_assets.errors import UsageError

APP = "dataset_assets"
NAMES = ("dataset_assets.toml", "pyproject.toml")
LEAST_FILE_BYTES = 1 << 20
MOST_BYTES = 1 << 20

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProjectFile:
    """The settings of a project file, and the digest of its content."""

    path: Path
    values: Mapping[str, Any]
    sha256: str
    open_to_all: bool = False

    @property
    def folder(self) -> Path:
        """The folder that its relative paths start from."""
        return self.path.parent

    @functools.cached_property
    def trusted(self) -> bool:
        """True if the user trusts this content."""
        return trust.digests().get(str(self.path)) == self.sha256

    def obeyed(self, key: str, value: Any) -> Any:
        """Return the value of a setting as it applies, or None if it is ignored."""
        harmless = HARMLESS.get(key)
        allowed = harmless(value, self.folder) if harmless and not self.open_to_all else None
        return value if allowed is None and self.trusted else allowed

    def say_ignored(self, keys: list[str]) -> None:
        """Warn, once in a process, which settings are ignored and how to make them apply."""
        why = "changed since you trusted it" if str(self.path) in trust.digests() else "is not trusted"
        ignored = f"{', '.join(keys)} {'is' if len(keys) == 1 else 'are'} ignored"
        say_once(f"{self.path} {why}: {ignored}. Read the file; to apply it, run: {trust_command(self.folder)}")


def find(start: Path) -> ProjectFile | None:
    """Return the nearest project file in a folder or above it that the user owns and that sets something.

    Raises `UsageError` if the file is not TOML.
    """
    _notices.clear()
    for folder in _searched(str(start)):
        for name in NAMES:
            place = os.path.join(folder, name)
            if os.path.lexists(place) and (project := _read(Path(place))):
                return project
    return None


def trust_command(folder: Path) -> str:
    """Return the command that trusts the project file of a folder."""
    # A path with control characters is shown escaped, so the printed command would name a different path.
    return f"dataset-assets trust {shlex.quote(str(folder)) if str(folder).isprintable() else '.'}"


def say_once(text: str) -> None:
    """Log a warning, unless this process or its parent already did."""
    _notices.append(text)
    if text in _warned:
        return
    _warned.add(text)
    processes = sys.modules.get("multiprocessing.process")
    child = processes is not None and processes.parent_process() is not None
    log.log(logging.DEBUG if child else logging.WARNING, "%s", in_line(text))


def notices() -> list[str]:
    """Return the warnings of the last search for a project file, including those logged before."""
    return [*_notices]


_warned: set[str] = set()
_notices: list[str] = []


def _searched(folder: str) -> Iterator[str]:
    """Yield a folder and its parents, up to the root of a repository, the home folder or the root of a filesystem."""
    home = os.path.realpath(os.path.expanduser("~"))
    with suppress(OSError):
        device, below = os.stat(folder).st_dev, ""
        while folder != below and os.stat(folder).st_dev == device:
            yield folder
            if folder == home or os.path.lexists(os.path.join(folder, ".git")):
                return
            folder, below = os.path.dirname(folder), folder


def _read(path: Path) -> ProjectFile | None:
    try:
        link, info = path.lstat(), path.stat()
    except OSError:
        return None  # it is missing, or its folder cannot be entered
    if not stat.S_ISREG(info.st_mode):
        return None
    for owner in (link.st_uid, info.st_uid):
        if owner != os.geteuid():
            _warn_not_read(path, owner)
            return None
    content = _content(path)
    # A pyproject.toml that does not mention us is not parsed, so its faults are not reported.
    if content is None or (path.name != NAMES[0] and APP.encode() not in content):
        return None
    if len(content) > MOST_BYTES:
        raise UsageError(f"{path} has more than {MOST_BYTES} bytes. Make it shorter, or take it away.")
    values = copy.deepcopy(_section(path, _table(path, content)))
    digest = hashlib.sha256(content).hexdigest()
    return ProjectFile(path, values, digest, bool(info.st_mode & stat.S_IWOTH)) if values is not None else None


def _content(path: Path) -> bytes | None:
    """Return the bytes of a file; None if it was just replaced by a file of another user."""
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1) if os.fstat(file.fileno()).st_uid == os.geteuid() else None
    except OSError:
        with files.reading(path):
            raise


def _warn_not_read(path: Path, owner: int) -> None:
    if path.name != NAMES[0] and not _names_us(path):
        return
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = str(owner)
    say_once(
        f"{path} is ignored: it belongs to another user, {name}. To use its settings, put them in the environment "
        f"or in {trust.user_folder() / 'config.toml'}; or, if the file is yours, run: sudo chown -h "
        f"{os.geteuid()} {shlex.quote(str(path))}"
    )


def _names_us(path: Path) -> bool:
    """Return True if the file mentions us, so that a warning is useful. None of its settings apply."""
    try:
        with path.open("rb") as file:
            return f"tool.{APP}".encode() in file.read(MOST_BYTES)
    except OSError:
        return False


def _section(path: Path, table: dict[str, Any]) -> dict[str, Any] | None:
    if path.name == NAMES[0]:
        return table
    return _inner(_inner(table, "tool", path), APP, path) or None


def _inner(table: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
    inner = table.get(key, {})
    if not isinstance(inner, dict):
        raise UsageError(f"{path} sets {key} to {inner!r}. Make it a table: [tool.{APP}].")
    return inner


def table(path: Path, content: bytes | None = None) -> dict[str, Any]:
    """Parse a TOML file. Raises `UsageError` if it cannot be read or is not TOML."""
    return copy.deepcopy(_table(path, content))


def _table(path: Path, content: bytes | None = None) -> dict[str, Any]:
    """Return what a TOML file sets; the caller must not change it."""
    try:
        return _parsed(path.read_bytes() if content is None else content)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}. Fix the file, or remove it.") from error
    except (ValueError, RecursionError) as error:  # a number may have more digits than Python reads
        raise UsageError(f"{path} is not valid TOML: {error}. Fix that line.") from error


# Settings are read at every use, and a project file takes milliseconds to parse.
@functools.lru_cache(maxsize=4)
def _parsed(content: bytes) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(content.decode("utf-8"))


def _plain_folder_below(url: Any, folder: Path) -> str | None:
    """Return the file URL of a folder if it lies below another, with all links resolved; else None."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None  # such as a bracket that is never closed
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
        return None
    if not parts.path.startswith("/"):
        return None  # it would be relative to the working folder
    try:
        named, above = Path(unquote(parts.path)).resolve(), folder.resolve()
    except (OSError, RuntimeError, ValueError):
        return None  # links in a circle, or an invalid path
    return named.as_uri() if above in named.parents else None


HARMLESS: Mapping[str, Callable[[Any, Path], Any]] = {
    "storage": _plain_folder_below,
    "datastore_url": _plain_folder_below,
    "datastore_compression": lambda value, folder: value,
    # A smaller value could create one file for each sample.
    "file_bytes": lambda value, folder: value if value >= LEAST_FILE_BYTES else None,
    # A file may switch it on, but not off: the user may have chosen on.
    "offline": lambda value, folder: value or None,
    "fetch": lambda value, folder: value,
}
"""Setting -> the value that applies from an untrusted file (None: ignored).

This is an allow list. `home` decides what code runs, `keep_versions`, `grace_days` and `cache_bytes` what is deleted,
`stall_seconds` how long a process may hang, so none of them is on it. Think this through before you add a setting.
"""
