"""Shares datasets: pushes them to a remote storage, and pulls them from it.

Both are copies between the storage and the setting `remote`: they move what the other side lacks, each file is
verified, and the pointer moves last. Archives of the package etcetera are read and written too. What only some calls
need is imported by them, so that a command starts fast.
"""

import shlex
from pathlib import Path

from dataset_assets.core import files, registered
from dataset_assets.core.commands import command
from dataset_assets.core.folder_tree import entries, state_of
from dataset_assets.core.names import is_member, split_pin
from dataset_assets.core.scratch import scratch_folder
from dataset_assets.core.settings import settings
from dataset_assets.errors import Conflict, NotPrepared, UsageError, at
from dataset_assets.moving.copy import Copied, copy
from dataset_assets.moving.materialize import is_copy
from dataset_assets.moving.parcel import parcel
from dataset_assets.moving.public import check_public, make_public
from dataset_assets.moving.remotes import open_remote
from dataset_assets.moving.rm import Removed, rm
from dataset_assets.moving.shared_names import archive_key, full_name
from dataset_assets.storage import Storage, open_storage, size_of
from dataset_assets.storage.aliases import own_name
from dataset_assets.storage.exclusions import are_within, exclusions
from dataset_assets.storage.listing import clash_in
from dataset_assets.storage.storage import open_object
from dataset_assets.storage.stored_dataset import StoredDataset


def push(
    name: str,
    to: "str | Storage | None" = None,
    *,
    force: bool = False,
    tgz: bool = False,
    public: bool = False,
    apply_exclusions: bool = False,
    storage: "str | Storage | None" = None,
) -> Copied:
    """Copy a dataset to the remote, where it becomes current. Only what is missing there is moved.

    With `tgz`, one archive is stored there instead, which the package etcetera pulls. With `public`, everyone may read
    the objects of this version, and no other; only on S3. `apply_exclusions` is as in `copy`. Raises `Conflict` if
    another version is current there, unless `force` is given; and if a file of the registered folder changed since.
    """
    here, there = _opened(storage), open_remote(to)
    full = own_name(here, full_name(name))
    if public:
        check_public(there)
    _see_unchanged(full, here)
    if tgz:
        done = _pushed_archive(full, here, there, force)
    else:
        done = _moved(full, here, there, force, "push", apply_exclusions)
    if public:
        make_public(there, [archive_key(done.dataset)] if tgz else _keys(done, there))
    return done


def pull(
    name: str,
    source: "str | Storage | None" = None,
    *,
    force: bool = False,
    apply_exclusions: bool = False,
    storage: "str | Storage | None" = None,
) -> Copied:
    """Copy a dataset from the remote, and make it current here. The old version stays until the new one is whole.

    An archive of the package etcetera, `NAME.tgz`, is taken too, if the remote has no dataset of the name.
    `apply_exclusions` is as in `copy`. Raises `Conflict` if another version is current here, unless `force` is given.
    """
    here, there = _opened(storage), open_remote(source)
    full = _name_there(full_name(name), there, here)
    plain, pin = split_pin(full, there.url)
    before = StoredDataset(here, plain).pointer(damage_is_absence=True).version
    if not pin and not StoredDataset(there, plain).pointer().version and _has_archive(there, plain):
        done = _pulled_archive(plain, there, here, force)
    else:
        done = _moved(full, there, here, force, "pull", apply_exclusions)
    if done.current not in (None, before):
        # What is current now is not what is in a folder here.
        registered.forget(done.dataset)
    return done


def _name_there(full: str, there: Storage, here: Storage) -> str:
    """Return a dataset's own name, as the remote knows its aliases and defaults, or else as they are known here."""
    own = own_name(there, full)
    return own if own != full else own_name(here, full)


def _keys(done: Copied, there: Storage) -> list[str]:
    """Return the keys of all objects of the versions that were pushed. The pointer belongs to none."""
    found = [parcel(f"{done.dataset}@{version}", there) for version in done.versions]
    return sorted({key for one in found for key in (*one.pieces, *one.indexes, *one.documents, *one.record)})


def _has_archive(there: Storage, plain: str) -> bool:
    return not is_member(plain) and there.exists(archive_key(plain))


def _pushed_archive(full: str, here: Storage, there: Storage, force: bool) -> Copied:
    from dataset_assets.moving.etcetera import pack
    from dataset_assets.moving.folder_files import folder_files, write_folder

    if is_member(full):
        raise UsageError(f"{full} is a member of a family, which an archive of etcetera cannot be. Push without --tgz.")
    found = folder_files(full, here)
    key = archive_key(found.name)
    with scratch_folder(settings().scratch) as work:
        write_folder(found, work / "folder")
        pack(work / "folder", work / "archive")
        size, done = (work / "archive").stat().st_size, Copied(found.name, (found.version,), found.version, 0, 0, 1)
        if size_of(there, key) == size and _sha256(there, key) == files.sha256_of(work / "archive"):
            return done
        if there.exists(key) and not force:
            raise Conflict(
                f"{key} is in {there.url} already, with other bytes. To replace it, run: "
                f"{_command(f'push --force --tgz {found.name}', here, there)}"
            )
        there.put(key, work / "archive")
    return done._replace(files=1, bytes=size, present=0)


def _sha256(storage: Storage, key: str) -> str:
    with open_object(storage, key) as file:
        return files.sha256_in(file)


def _pulled_archive(plain: str, there: Storage, here: Storage, force: bool) -> Copied:
    from dataset_assets.moving.etcetera import unpack
    from dataset_assets.moving.register import check_folder, release_folder

    key = archive_key(plain)
    if not force and StoredDataset(here, plain).exists():
        again = _command(f"pull --force {plain}", here, there)
        raise Conflict(f"{plain} is in {here.url}. To replace it, run: {again}")
    with scratch_folder(settings().scratch) as work, at(f"{key} in {there.url}"):
        with open_object(there, key) as far, files.Written(work / key) as near:
            for chunk in files.chunks_of(far):
                near.write(chunk)
        with open(work / key, "rb") as archive:
            unpack(archive, work / "folder")
        digest = release_folder(plain, check_folder(work / "folder"), here, keep=False).partition("@")[2]
    return Copied(plain, (digest,), digest, 1, near.bytes, 0)


def _moved(full: str, source: Storage, target: Storage, force: bool, verb: str, apply: bool) -> Copied:
    plain, pin = split_pin(full, source.url)
    if not (new := pin or StoredDataset(source, plain).pointer().version):
        raise NotPrepared(f"{plain} is not in {source.url}. List what is there with: {command('ls', source.url)}")
    there = StoredDataset(target, plain).pointer(damage_is_absence=True)
    if there.digest is None and (clash := clash_in(target, plain)):
        raise Conflict(
            f"{clash[1]} would lie in the folders of {clash[0]} in {target.url}. Nothing was copied. Use different "
            "storages for them, or register one of them under a different name."
        )
    is_known = there.version in (None, new) or is_copy(source, target, plain, new, there.version)
    option = None if pin or force or apply or is_known else _option(plain, source, target)
    if option:
        also = "" if option == "--force" else f" and to take out what was taken out on request in {source.url}"
        raise Conflict(
            f"{plain} is in {target.url} as another version, {there.version}. To make {new} current there{also}, run: "
            f"{_command(f'{verb} {option} {plain}', *((source, target) if verb == 'push' else (target, source)))}"
        )
    return copy(full, source, target, make_current=force and not pin, apply_exclusions=apply)[0]


def _option(plain: str, source: Storage, target: Storage) -> str | None:
    """Return the option with which another version is replaced; None if the copy is refused with any."""
    theirs, ours = (exclusions(StoredDataset(one, plain), fresh=True).every for one in (source, target))
    if not are_within(ours, theirs):
        return None
    return "--force" if are_within(theirs, ours) else "--apply-exclusions"


def _command(words: str, here: Storage, there: Storage) -> str:
    """Return a command that shares with this remote."""
    remote = "" if there.url == settings().remote else f" --remote {shlex.quote(there.url)}"
    return command(f"{words}{remote}", here.url)


def _see_unchanged(full: str, here: Storage) -> None:
    """Raise `Conflict` if a file of the registered folder is not as it was registered."""
    plain, pin = split_pin(full, here.url)
    record = None if pin else registered.registered(plain)
    if record is None or not Path(record.folder).is_dir():
        return
    raw = StoredDataset(here, plain).raw("folder")
    found = entries(Path(record.folder))
    if raw is None or raw.source.etag == f'"{state_of(found)}"':
        return
    from dataset_assets.moving.folder_files import changed_file, folder_files

    if changed := changed_file(Path(record.folder), found, folder_files(plain, here)):
        raise Conflict(
            f"{changed} since it was registered as {plain}. Nothing was pushed. Register it again with: "
            f"{command(f'register --force {shlex.quote(record.folder)} {plain}', here.url)}"
        )


def purge(name: str, *, storage: "str | Storage | None" = None) -> Removed:
    """Remove a dataset from the storage, and forget its folder, which is not touched. Raises `NotPrepared`."""
    full = full_name(name)
    done = rm(full, _opened(storage))
    if "@" not in full:
        registered.forget(full)
    return done


def _opened(storage: "str | Storage | None") -> Storage:
    return open_storage(settings().storage if storage is None else storage)
