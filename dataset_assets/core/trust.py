"""The list of project files that the user trusts: their paths and digests, in the user's configuration folder."""

import json
import os
from pathlib import Path

from dataset_assets.core import files
from dataset_assets.errors import UsageError


def user_folder() -> Path:
    """Return the folder of this package's user settings, as the platform places it."""
    import platformdirs

    return Path(platformdirs.user_config_dir("dataset_assets", appauthor=False))


def digests() -> dict[str, str]:
    """Return the sha256 of each trusted file by its path; raises `UsageError` if the list cannot be read."""
    path = _place()
    try:
        if path.stat().st_uid != os.geteuid():
            return {}
        trusted = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, str(error)) from error
    if not isinstance(trusted, dict) or not all(isinstance(digest, str) for digest in trusted.values()):
        raise _unreadable(path, "it is not a JSON object of paths and digests")
    return trusted


def add(path: Path, sha256: str) -> None:
    """Trust a file with this content."""
    _write({**digests(), str(path): sha256})


def remove(path: Path) -> bool:
    """Stop trusting a file; return True if it was trusted."""
    trusted = digests()
    removed = trusted.pop(str(path), None) is not None
    if removed:
        _write(trusted)
    return removed


def _place() -> Path:
    return user_folder() / "trusted.json"


def _write(trusted: dict[str, str]) -> None:
    path = _place()
    files.make_folder(path.parent)
    with files.whole(path) as file:
        file.write(json.dumps(trusted, indent=1, sort_keys=True).encode())


def _unreadable(path: Path, why: str) -> UsageError:
    return UsageError(f"{path} cannot be read: {why}. Remove it, and trust your project files again.")
