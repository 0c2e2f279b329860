"""The command trust: whether the settings of a project file apply."""

import hashlib
from pathlib import Path

import click

from dataset_assets.cli.common import State, verb
from dataset_assets.errors import NotFound, UsageError


@click.command()
@verb
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path("."))
@click.option("--list", "listed", is_flag=True, help="List the trusted files, and whether they changed.")
@click.option("--remove", is_flag=True, help="Stop trusting the file.")
def trust(state: State, folder: Path, listed: bool, remove: bool) -> None:
    """Apply all settings of a folder's project file.

    Without trust, only harmless settings apply. Trust holds for the current content of the file and ends when the file
    changes.
    """
    if listed and remove:
        raise UsageError("--list and --remove cannot be combined. Give one of them.")
    if listed:
        _list(state)
    elif remove:
        _remove(state, folder.resolve())
    else:
        _add(state, folder.resolve())


def _add(state: State, folder: Path) -> None:
    from dataset_assets.core import project_file, trust
    from dataset_assets.core.redact import redacted
    from dataset_assets.core.settings import URLS

    file = project_file.find(folder)
    if file is None:
        raise NotFound(
            f"Neither {folder} nor a folder above it, up to its repository, has a project file of yours. "
            f"Write {folder / project_file.NAMES[0]}, or name a different folder."
        )
    trust.add(file.path, file.sha256)
    state.show_paths([str(file.path)])
    for key, value in file.values.items():
        state.say(f"  {key} = {redacted(value) if key in URLS and isinstance(value, str) else repr(value)}")
    state.say("is trusted until the file changes.")


def _remove(state: State, folder: Path) -> None:
    from dataset_assets.core import project_file, trust

    nearest = project_file.find(folder)
    paths = [folder / name for name in project_file.NAMES] + ([nearest.path] if nearest else [])
    removed = [path for path in paths if trust.remove(path)]
    if not removed:
        raise NotFound(f"No project file of {folder} is trusted. List trusted files with: dataset-assets trust --list")
    state.show_paths(map(str, removed))
    state.say("is no longer trusted.")


def _list(state: State) -> None:
    from dataset_assets.core import trust

    state.show_paths(f"{_state(Path(path), digest):<8} {path}" for path, digest in sorted(trust.digests().items()))


def _state(path: Path, digest: str) -> str:
    try:
        return "trusted" if hashlib.sha256(path.read_bytes()).hexdigest() == digest else "changed"
    except OSError:
        return "gone"
