"""Which project files the user trusts: their paths and digests, in the user's own folder of settings."""

import json
import os
import secrets
from pathlib import Path

from dataset_assets.core import files
from dataset_assets.errors import UsageError


def user_folder() -> Path:
    """Return the platform's folder for the user's settings of this package."""
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
    """Trust this content of a file."""
    _write({**digests(), str(path): sha256})


def remove(path: Path) -> bool:
    """Trust a file no longer; return whether it was trusted."""
    kept = digests()
    there = kept.pop(str(path), None) is not None
    if there:
        _write(kept)
    return there


def _place() -> Path:
    return user_folder() / "trusted.json"


def _write(trusted: dict[str, str]) -> None:
    path = _place()
    files.make_folder(path.parent)
    part = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    try:
        with files.Written(part) as file:
            file.write(json.dumps(trusted, indent=1, sort_keys=True).encode())
        files.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _unreadable(path: Path, why: str) -> UsageError:
    return UsageError(f"{path} cannot be read: {why}. Remove it, and trust your project files again.")
