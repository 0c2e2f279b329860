"""Reads the settings of the package etcetera once, and writes them as ours."""

import logging
import os
import re
import shlex
from pathlib import Path
from typing import Any, Mapping, NamedTuple
from urllib.parse import urlencode

from dataset_assets.core import files
from dataset_assets.core.project_file import table
from dataset_assets.core.trust import user_folder
from dataset_assets.errors import Conflict, NotFound, NotInstalled, UsageError, nearest

NAMES = (".etc.toml", ".etc.yaml")
_SECRETS = ("aws_secret_access_key", "aws_access_key_secret")
KEYS = ("url", "home", "public", "endpoint_url", "aws_access_key_id", *_SECRETS)
_HALF = {True: "aws_access_key_id and no secret", False: "a secret and no aws_access_key_id"}
_MOST_BYTES = 1 << 20

log = logging.getLogger(__name__)


class Imported(NamedTuple):
    """The remote, the file that now sets it, and the file of the credentials, if there were any."""

    remote: str
    settings: Path
    credentials: Path | None


def import_etc(path: "Path | str | None" = None) -> Imported:
    """Write the settings of etcetera into the user's settings file, and its credentials into a file of mode 600.

    Raises `NotFound`, `UsageError` for unknown keys, and `Conflict` if a different remote is set already, or if
    different credentials were written before.
    """
    source = _found(path)
    given = _read(source)
    remote, credentials = _remote(given, source), _credentials(given, source)
    settings, secret = user_folder() / "config.toml", user_folder() / "remote.env"
    if credentials:
        _see_replaceable(secret, credentials)
    _set_remote(settings, remote)
    if given.get("public"):
        log.warning("%s sets public, which is not a setting here: push with --public.", source)
    if credentials:
        _write(secret, credentials, 0o600)
    return Imported(remote, settings, secret if credentials else None)


def home_of_etc() -> Path:
    """Return the folder in which etcetera keeps its datasets."""
    for name in NAMES:
        if (path := Path.home() / name).is_file():
            return Path(str(_read(path).get("home") or Path.home() / ".etc")).expanduser()
    return Path.home() / ".etc"


def _found(path: "Path | str | None") -> Path:
    places = [Path(path)] if path else [Path.home() / name for name in NAMES]
    for place in places:
        if place.is_file():
            return place
    raise NotFound(f"{' and '.join(map(str, places))} do not exist. Name the settings file of etcetera.")


def _read(source: Path) -> Mapping[str, Any]:
    with files.opened(source) as file:
        data = file.read(_MOST_BYTES)
    if os.stat(source).st_mode & 0o077:
        log.warning("%s can be read by others. If it holds a secret, run: chmod 600 %s", source, source)
    given = table(source, data) if source.suffix == ".toml" else _from_yaml(source, data)
    if unknown := [str(key)[:40] for key in given if key not in KEYS]:
        raise UsageError(f"{source} has the unknown keys {', '.join(unknown)}.{nearest(unknown[0], KEYS)}")
    # The aliases of YAML can make a list of any size from a few lines.
    if nested := [key for key, value in given.items() if isinstance(value, (list, dict, set, tuple))]:
        raise UsageError(f"{source} sets {', '.join(nested)} to more than one value. Write one value for each key.")
    return given


def _from_yaml(source: Path, data: bytes) -> Mapping[str, Any]:
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError:
        raise NotInstalled(f"{source} is YAML, which needs PyYAML. Install it with: pip install pyyaml") from None
    try:
        found = yaml.safe_load(data)
        keys = [key.value for key, _ in yaml.compose(data, yaml.SafeLoader).value] if isinstance(found, dict) else []
    except (yaml.YAMLError, ValueError, RecursionError):
        # The error would show the line, which may hold a secret.
        raise UsageError(f"{source} is not valid YAML, or holds more than plain values. Correct it.") from None
    if not isinstance(found, dict):
        raise UsageError(f"{source} is not a mapping of settings. Write lines such as: url: s3://bucket")
    if twice := [str(key)[:40] for key in dict.fromkeys(keys) if keys.count(key) > 1]:
        raise UsageError(f"{source} sets {', '.join(twice)} twice. Remove one of the lines.")
    return found


def _remote(given: Mapping[str, Any], source: Path) -> str:
    url, endpoint = given.get("url"), given.get("endpoint_url")
    if not isinstance(url, str) or not re.fullmatch(r"s3://[A-Za-z0-9._-]+/?", url):
        raise UsageError(f"The url of {source} is missing, or is not like s3://bucket. Correct it.")
    if endpoint is None:
        return url
    if not isinstance(endpoint, str) or not re.fullmatch(r"https?://[^/@?#\s]+(/[^@?#\s]*)?", endpoint):
        raise UsageError(f"The endpoint_url of {source} is not like https://host:port. Correct it.")
    return f"{url}?{urlencode({'endpoint': endpoint}, safe='/:')}"


def _set_remote(settings: Path, remote: str) -> None:
    """Add the remote at the top of a TOML file: below it, the line might belong to a table."""
    before = settings.read_bytes() if settings.exists() else b""
    known = table(settings, before).get("remote")
    if known == remote:
        return
    if known is not None:
        raise Conflict(f"{settings} sets a different remote already. Remove that line, and run the same command again.")
    mode = settings.stat().st_mode & 0o777 if settings.exists() else 0o644
    # The file may be a link to one that the user keeps elsewhere.
    _write(settings.resolve(), f'remote = "{remote}"\n'.encode() + before, mode)


def _credentials(given: Mapping[str, Any], source: Path) -> bytes:
    """Return the credentials as lines for the shell; empty if there are none."""
    key, secrets = given.get("aws_access_key_id"), {str(given[name]) for name in _SECRETS if given.get(name)}
    if len(secrets) > 1:
        raise UsageError(f"{source} has two secrets, {' and '.join(_SECRETS)}, which differ. Remove one of them.")
    if not (key and secrets):
        if key or secrets:
            log.warning("%s has %s. No credentials were taken.", source, _HALF[bool(key)])
        return b""
    named = {"AWS_ACCESS_KEY_ID": str(key), "AWS_SECRET_ACCESS_KEY": secrets.pop()}
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in named.items()).encode()


def _see_replaceable(path: Path, credentials: bytes) -> None:
    if path.exists() and path.read_bytes() != credentials:
        raise Conflict(f"{path} holds different credentials. Remove that file, and run the same command again.")


def _write(path: Path, data: bytes, mode: int) -> None:
    files.make_folder(path.parent)
    with files.whole(path) as file:
        os.chmod(file.path, mode)
        file.write(data)
