"""The commands that share datasets: register, create, checkout, push, pull, purge, export, settings.

Each command imports what it needs inside its function, so that `--help` and completion are fast.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dataset_assets.cli.common import (
    State,
    apply_exclusions_option,
    completed_name,
    json_option,
    name_argument,
    opened,
    storage_option,
    verb,
    watched,
)
from dataset_assets.cli.roots import roots
from dataset_assets.core.commands import command
from dataset_assets.errors import UsageError

if TYPE_CHECKING:
    from dataset_assets.moving.copy import Copied

remote_option = click.option("--remote", metavar="URL", help="The remote storage; default: the setting remote.")
folder_type = click.Path(path_type=Path)


@click.command()
@verb
@click.argument("folder", metavar="DIR", type=folder_type, required=False)
@click.argument("words", metavar="[as] [NAME]", nargs=-1)
@click.option("-f", "--force", is_flag=True, help="Release what is in the folder now, if the name is in use.")
@click.option("--from-etc", is_flag=True, help="Register all datasets of a folder of etcetera; default: ~/.etc.")
@storage_option
@json_option
def register(
    state: State,
    folder: Path | None,
    words: tuple[str, ...],
    force: bool,
    from_etc: bool,
    storage: str | None,
    as_json: bool,
) -> None:
    """Release a folder as a dataset.

    DIR holds a folder data with a folder for each partition, such as data/train, and may hold meta.json, README.md and
    anything else. The dataset is called NAME, or like the folder; flower is short for shared.flower. The folder is not
    changed. A later change of it is taken by the same command with --force.
    """
    from dataset_assets.moving.register import adopt, register

    name = words[1:] if words[:1] == ("as",) else words
    if len(name) > 1 or from_etc and name or not (folder or from_etc):
        right = command("register DIR NAME", storage or "")
        raise UsageError(f"register takes a folder and a name. Write: {right}")
    store = opened(storage)
    with watched(state):
        if folder is None or from_etc:
            done = adopt(folder, force=force, storage=store)
        else:
            done = [register(folder, name[0] if name else None, force=force, storage=store)]
    if as_json:
        state.show_json([{"id": pinned} for pinned in done])
    else:
        state.show_lines(done)


@click.command()
@verb
@click.argument("folder", metavar="DIR", type=folder_type)
@click.argument("partitions", nargs=-1)
@click.option("-f", "--force", is_flag=True, help="Add what is missing to a folder that is not empty.")
@json_option
def create(state: State, folder: Path, partitions: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Make an empty folder that can be registered.

    It gets a folder data with a folder for each of PARTITIONS; default: train and test.
    """
    from dataset_assets.moving.register import create

    names = partitions or ("train", "test")
    root = create(folder, names, force=force)
    if as_json:
        state.show_json({"path": str(root), "partitions": {name: str(root / "data" / name) for name in names}})
    else:
        state.show_paths([str(root)])


@click.command()
@verb
@name_argument
@click.option("--pull", is_flag=True, help="Pull it from the remote if it is not in the storage.")
@remote_option
@storage_option
@json_option
def checkout(state: State, name: str, pull: bool, remote: str | None, storage: str | None, as_json: bool) -> None:
    """Print the path of a dataset as a folder of files.

    The files are plain and read-only. They lie in the cache.
    """
    from dataset_assets.moving.checkout import checkout

    with watched(state):
        found = checkout(name, pull=pull, storage=opened(storage), remote=remote)
    if as_json:
        parts = {part: str(path) for part, path in found.items()}
        state.show_json({"id": f"{found.name}@{found.version}", "path": str(found.root), "partitions": parts})
    else:
        state.show_paths([str(found.root)])


@click.command()
@verb
@name_argument
@click.option("-f", "--force", is_flag=True, help="Make it current there, if another version is.")
@click.option("--tgz", is_flag=True, help="Store one archive that the package etcetera pulls.")
@click.option("--public", is_flag=True, help="Let everyone read the objects of this version; on S3 only.")
@apply_exclusions_option
@remote_option
@storage_option
@json_option
def push(
    state: State,
    name: str,
    force: bool,
    tgz: bool,
    public: bool,
    apply_exclusions: bool,
    remote: str | None,
    storage: str | None,
    as_json: bool,
) -> None:
    """Copy a dataset to the remote.

    Only what is missing there is moved. After an interruption, run it again: it continues.
    """
    from dataset_assets.moving.share import push

    with watched(state):
        given = {"force": force, "tgz": tgz, "public": public, "apply_exclusions": apply_exclusions}
        done = push(name, remote, storage=opened(storage), **given)
    _show(state, done, as_json)


@click.command()
@verb
@click.argument("name", shell_complete=completed_name)
@click.option("-f", "--force", is_flag=True, help="Make it current here, if another version is.")
@apply_exclusions_option
@remote_option
@storage_option
@json_option
def pull(
    state: State,
    name: str,
    force: bool,
    apply_exclusions: bool,
    remote: str | None,
    storage: str | None,
    as_json: bool,
) -> None:
    """Copy a dataset from the remote.

    An archive of the package etcetera, NAME.tgz, is taken too. Only what is missing here is moved, and the old version
    stays until the new one is whole. After an interruption, run it again: it continues.
    """
    from dataset_assets.moving.share import pull

    with watched(state):
        done = pull(name, remote, force=force, apply_exclusions=apply_exclusions, storage=opened(storage))
    _show(state, done, as_json)


def _show(state: State, done: "Copied", as_json: bool) -> None:
    from dataset_assets.cli import text

    if as_json:
        state.show_json(done._asdict())
        return
    for digest in done.versions:
        state.show(f"{done.dataset}@{digest}")
    state.say(f"{done.files} files, {text.size(done.bytes)} moved; {done.present} already there")


@click.command()
@verb
@name_argument
@storage_option
@json_option
def purge(state: State, name: str, storage: str | None, as_json: bool) -> None:
    """Remove a dataset from the storage.

    A folder that it was registered from is not touched.
    """
    from dataset_assets.cli import text
    from dataset_assets.moving.share import purge

    with watched(state):
        done = purge(name, storage=opened(storage))
    if as_json:
        state.show_json({"name": done.name, "removed": done.removed, "bytes": done.bytes})
    state.say(f"{done.name}: {len(done.removed)} objects, {text.size(done.bytes)}, removed")


@click.command()
@verb
@click.argument("what", metavar="NAME|VIEW.json", shell_complete=completed_name)
@click.option("--to", "folder", metavar="DIR", type=folder_type, required=True, help="The new folder.")
@click.option(
    "--as",
    "kind",
    type=click.Choice(["parquet", "huggingface", "files", "webdataset", "croissant"]),
    required=True,
    help="What the folder holds.",
)
@click.option("--croissant", is_flag=True, help="Add a description of the files, croissant.json.")
@storage_option
@json_option
def export(
    state: State, what: str, folder: Path, kind: str, croissant: bool, storage: str | None, as_json: bool
) -> None:
    """Write a dataset or a view for other tools.

    A view is a JSON file that view.to_json() wrote. Licences and citations of all that went in are in README.md and
    sources.json of the new folder.
    """
    from dataset_assets.moving.export import export

    with watched(state):
        root = export(what, folder, kind, croissant=croissant, storage=opened(storage))
    if as_json:
        files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
        state.show_json({"path": str(root), "kind": kind, "files": files})
    else:
        state.show_paths([str(root)])


@click.group()
def settings() -> None:
    """Change the settings of this user."""


@settings.command("import-etc")
@verb
@click.argument("file", type=folder_type, required=False)
@json_option
def import_etc(state: State, file: Path | None, as_json: bool) -> None:
    """Take the remote and the credentials from FILE, the settings of etcetera; default: ~/.etc.toml or ~/.etc.yaml.

    The remote is written into the user's settings. The credentials are written into a file that only the user can read,
    for the shell; they are not printed.
    """
    from dataset_assets.moving.etc_settings import import_etc

    found = import_etc(file)
    if as_json:
        state.show_json({key: value and str(value) for key, value in found._asdict().items()})
    else:
        state.show(found.remote)
    state.say(f"is the remote now, by {found.settings}.")
    if found.credentials:
        state.say(f"Before you push or pull, run: . {found.credentials}")


settings.add_command(roots)


@settings.group("folders")
def folders_group() -> None:
    """Say where your folders are that definitions name: folder:NAME."""


@folders_group.command("set")
@verb
@click.argument("name")
@click.argument("path", type=folder_type)
def set_folder(state: State, name: str, path: Path) -> None:
    """Give the folder PATH the NAME that definitions use."""
    from dataset_assets.core import user_folders

    state.say(f"{name} is {user_folders.set_folder(name, path)}.")


@folders_group.command("unset")
@verb
@click.argument("name")
def unset_folder(state: State, name: str) -> None:
    """Forget NAME; the folder itself is not touched."""
    from dataset_assets.core import user_folders

    user_folders.unset_folder(name)
    state.say(f"{name} is not set any more.")


@folders_group.command("list")
@verb
@json_option
def list_folders(state: State, as_json: bool) -> None:
    """List the folders by name; one that is not there is marked."""
    from dataset_assets.core import user_folders

    known = user_folders.folders()
    if as_json:
        state.show_json([{"name": name, "path": str(at), "exists": at.is_dir()} for name, at in known.items()])
    elif known:
        state.show_lines(f"{name:<20} {at}{'' if at.is_dir() else '  is not there'}" for name, at in known.items())
    else:
        state.say(f"No folder is set. Set one with: {user_folders.set_command('NAME')}")
