"""The project file: where it is looked for, whose it must be, and what of it is obeyed before the user trusts it.

The working folder may be a stranger's: a cloned repository, an unpacked archive, /tmp. So a file of another user is
never read, and of the user's own only `HARMLESS` settings are obeyed, until the user trusts its content.
"""

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

from dataset_assets.core import trust
from dataset_assets.core.escape import in_line
from dataset_assets.errors import UsageError

APP = "dataset_assets"
NAMES = ("dataset_assets.toml", "pyproject.toml")
LEAST_FILE_BYTES = 1 << 20
MOST_BYTES = 1 << 20

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProjectFile:
    """What a project file sets, and the digest of its content."""

    path: Path
    values: Mapping[str, Any]
    sha256: str
    open_to_all: bool = False

    @property
    def folder(self) -> Path:
        """Where its relative paths start."""
        return self.path.parent

    @functools.cached_property
    def trusted(self) -> bool:
        """True if the user trusted this content."""
        return trust.digests().get(str(self.path)) == self.sha256

    def obeyed(self, key: str, value: Any) -> Any:
        """Return the value of a setting as it is obeyed, or None."""
        harmless = HARMLESS.get(key)
        allowed = harmless(value, self.folder) if harmless and not self.open_to_all else None
        return value if allowed is None and self.trusted else allowed

    def say_ignored(self, keys: list[str]) -> None:
        """Say, once in a process, which settings are ignored and how to have them obeyed."""
        why = "changed since you trusted it" if str(self.path) in trust.digests() else "is not trusted"
        ignored = f"{', '.join(keys)} {'is' if len(keys) == 1 else 'are'} ignored"
        say_once(f"{self.path} {why}: {ignored}. Read the file; then, to obey it, run: {trusting(self.folder)}")


def find(start: Path) -> ProjectFile | None:
    """Return the nearest project file of the user's own, in a folder or above it, that sets something.

    Raises `UsageError` if it is not TOML.
    """
    _notices.clear()
    for folder in _searched(str(start)):
        for name in NAMES:
            place = os.path.join(folder, name)
            if os.path.lexists(place) and (found := _read(Path(place))):
                return found
    return None


def trusting(folder: Path) -> str:
    """Return the command that trusts the project file of a folder."""
    # A path with a control character is shown escaped, and would not be that path when it is typed.
    return f"dataset-assets trust {shlex.quote(str(folder)) if str(folder).isprintable() else '.'}"


def say_once(text: str) -> None:
    """Log a warning, unless this process or the one that spawned it did so."""
    _notices.append(text)
    if text in _said:
        return
    _said.add(text)
    processes = sys.modules.get("multiprocessing.process")
    child = processes is not None and processes.parent_process() is not None
    log.log(logging.DEBUG if child else logging.WARNING, "%s", in_line(text))


def notices() -> list[str]:
    """Return what the last look for a project file had to say, also if it was said before."""
    return [*_notices]


_said: set[str] = set()
_notices: list[str] = []


def _searched(folder: str) -> Iterator[str]:
    """Yield a folder and those above it, to the root of a repository, the home folder or the end of a file system."""
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
        return None  # it is not there, or lies in a folder that may not be looked into
    if not stat.S_ISREG(info.st_mode):
        return None
    for owner in (link.st_uid, info.st_uid):
        if owner != os.geteuid():
            _say_not_read(path, owner)
            return None
    content = _content(path)
    # Others' files are not even parsed: what is wrong with them is none of our business.
    if content is None or (path.name != NAMES[0] and APP.encode() not in content):
        return None
    if len(content) > MOST_BYTES:
        raise UsageError(f"{path} has more than {MOST_BYTES} bytes. Make it shorter, or take it away.")
    values = _section(path, table(path, content))
    digest = hashlib.sha256(content).hexdigest()
    return ProjectFile(path, values, digest, bool(info.st_mode & stat.S_IWOTH)) if values is not None else None


def _content(path: Path) -> bytes | None:
    """Return the bytes of a file; None if it was exchanged for one of another user in this moment."""
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1) if os.fstat(file.fileno()).st_uid == os.geteuid() else None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error}. Correct it, or take it away.") from error


def _say_not_read(path: Path, owner: int) -> None:
    if path.name != NAMES[0] and not _names_us(path):
        return
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = str(owner)
    say_once(
        f"{path} is ignored: it belongs to another user, {name}. To use its settings, write them into the environment "
        f"or into {trust.user_folder() / 'config.toml'}; or, if the file is yours, run: sudo chown -h "
        f"{os.geteuid()} {shlex.quote(str(path))}"
    )


def _names_us(path: Path) -> bool:
    """Look whether a line on the file is of interest; nothing in it is obeyed."""
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
    found = table.get(key, {})
    if not isinstance(found, dict):
        raise UsageError(f"{path} sets {key} to {found!r}. Make it a table: [tool.{APP}].")
    return found


def table(path: Path, content: bytes | None = None) -> dict[str, Any]:
    """Return what a TOML file holds; raises `UsageError` if it cannot be read, or is not TOML."""
    import tomllib

    try:
        return tomllib.loads((path.read_bytes() if content is None else content).decode("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}. Correct it, or take it away.") from error
    except (ValueError, RecursionError) as error:  # a number may have more digits than Python reads
        raise UsageError(f"{path} is not TOML: {error}. Correct it.") from error


def _plain_folder_below(url: Any, folder: Path) -> str | None:
    """Return the file URL of a folder that lies below another when all links are followed, else None."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None  # such as a bracket that is never closed
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
        return None
    if not parts.path.startswith("/"):
        return None  # it would begin at the working folder
    try:
        named, above = Path(unquote(parts.path)).resolve(), folder.resolve()
    except (OSError, RuntimeError, ValueError):
        return None  # links that lead in a circle, or a path that cannot be
    return named.as_uri() if above in named.parents else None


HARMLESS: Mapping[str, Callable[[Any, Path], Any]] = {
    "storage": _plain_folder_below,
    # A smaller one makes as many files as there are samples.
    "file_bytes": lambda value, folder: value if value >= LEAST_FILE_BYTES else None,
    # Only on: off would undo what the user chose.
    "offline": lambda value, folder: value or None,
    "fetch": lambda value, folder: value,
}
"""Setting -> what is obeyed of a value (None: nothing) though nobody trusted the file.

It is a list of what is allowed. `home` decides what is run, `keep_versions`, `grace_days` and `cache_bytes` what is
deleted, `stall_seconds` how long a process hangs; none of them is on it, and no setting is added without such a reason.
"""
