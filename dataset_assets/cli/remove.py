"""The commands that remove what is stored: gc and rm.

Each command imports what it needs inside its function, so that `--help` and completion are fast.
"""

import sys
from dataclasses import asdict

import click

from dataset_assets.cli.common import (
    SECONDS_A_DAY,
    State,
    json_option,
    name_argument,
    names_argument,
    opened,
    storage_option,
    verb,
    watched,
)
from dataset_assets.core.commands import command
from dataset_assets.errors import UsageError

dry_run_option = click.option("-n", "--dry-run", is_flag=True, help="Only show what would be removed.")


@click.command()
@verb
@names_argument
@dry_run_option
@click.option("--unknown", is_flag=True, help="List what no definition and no version knows.")
@click.option("--remove", is_flag=True, help="With --unknown: remove these KEYs, as it lists them.")
@storage_option
@json_option
def gc(
    state: State,
    names: tuple[str, ...],
    dry_run: bool,
    unknown: bool,
    remove: bool,
    storage: str | None,
    as_json: bool,
) -> None:
    """Remove files that no kept version of a dataset needs.

    It keeps the current version, pinned versions, the newest few (setting keep_versions), and everything younger than
    the grace period (setting grace_days). Beside a broken version it removes what surely belongs to others, and says
    so; it ends with 4 if it could remove nothing of a dataset. Without NAMES it also removes what killed writers left,
    such as parts of files. A rule of your bucket removes unfinished uploads (docs/storages.md).

    gc --unknown only lists. gc --unknown --remove KEY... removes keys that it lists, if they are of the layout of
    datasets, older than the grace period, and used by nothing.
    """
    if remove and not (unknown and names):
        right = command("gc --unknown --remove KEY", storage or "")
        raise UsageError(f"--remove needs --unknown, and the keys to remove: {right}")
    if unknown:
        _unknown(state, names, remove, dry_run, storage, as_json)
        return
    from dataset_assets.cli import text
    from dataset_assets.core import scratch
    from dataset_assets.core.settings import settings
    from dataset_assets.errors import IntegrityError
    from dataset_assets.moving import experiments, gc
    from dataset_assets.storage import open_storage

    chosen = settings(storage=storage)
    store, grace = open_storage(chosen.storage), chosen.grace_days * SECONDS_A_DAY
    with watched(state):
        datasets = [name for name in names if not experiments.is_experiment(name)]
        keep, results = chosen.keep_versions, []
        if datasets or not names:
            results = gc.collect(store, datasets, keep_versions=keep, grace_seconds=grace, dry_run=dry_run)
        if len(datasets) < len(names) or not names:
            results += experiments.collect(store, names, grace_seconds=grace, dry_run=dry_run)
        if not names and (left := gc.collect_strays(store, grace_seconds=grace, dry_run=dry_run)):
            results.append(left)
        if not names and (unused := gc.collect_aliases(store, grace_seconds=grace, dry_run=dry_run)):
            results.append(unused)
    if not dry_run:
        scratch.sweep(chosen.scratch)
    if as_json:
        state.show_json([{**asdict(one), "dry_run": dry_run} for one in results])
    for one in results if not as_json else []:
        does = f"{'would remove' if dry_run else 'removed'} {len(one.removed)} objects, {text.size(one.bytes)}"
        kept = f"; versions kept: {len(one.kept)}" if "." in one.dataset else ""
        # A damaged dataset may be collected in part; if nothing was removed, only the problem is shown.
        done = [does + kept] if one.removed or not one.problem else []
        message = " ".join([*done, *([one.problem] if one.problem else [])])
        state.show_lines([f"{one.dataset or '(left by killed writers)':<34} {message}"])
    freed = sum(one.bytes for one in results)
    state.say(f"{text.size(freed)} {'would be freed; nothing was changed' if dry_run else 'freed'}")
    sys.exit(IntegrityError.exit_code if any(one.stopped for one in results) else 0)


def _unknown(
    state: State, names: tuple[str, ...], remove: bool, dry_run: bool, storage: str | None, as_json: bool
) -> None:
    """List what nothing knows, or remove keys of it."""
    from dataset_assets.cli import text
    from dataset_assets.core.settings import settings
    from dataset_assets.moving.unknown import remove_unknown, unknown
    from dataset_assets.storage import open_storage

    chosen = settings(storage=storage)
    store, grace = open_storage(chosen.storage), chosen.grace_days * SECONDS_A_DAY
    with watched(state):
        if remove:
            found = remove_unknown(store, names, grace_seconds=grace, dry_run=dry_run)
        else:
            found = unknown(store, names, grace_seconds=grace)
    if as_json:
        state.show_json([one._asdict() for one in found])
    elif found:
        state.show_lines(f"{text.size(one.bytes):>9}  {one.key}{_stays(one.stays)}" for one in found)
    does = "would be removed" if not remove or dry_run else "removed"
    free = [one.bytes for one in found if one.stays is None]
    can = does if remove else f"can be removed with: {command('gc --unknown --remove KEY', store.url)}"
    state.say(f"{len(free)} of {len(found)} objects, {text.size(sum(free))}, {can}")


def _stays(why: str | None) -> str:
    return f"  stays: {why}" if why else ""


@click.command()
@verb
@name_argument
@click.option("--force", is_flag=True, help="Also remove a current or pinned version, or a raw file that is used.")
@dry_run_option
@storage_option
@json_option
def rm(state: State, name: str, force: bool, dry_run: bool, storage: str | None, as_json: bool) -> None:
    """Remove a dataset, a version, a raw file or an experiment.

    NAME is a dataset, for all of it with its aliases; NAME@DIGEST, for one version and what only this version uses;
    NAME/raw/FILE, for a retrieved file; or experiments/NAME. What depends on it is named first. If the current version
    is removed, the newest other version becomes current. After an interruption, run it again: it continues.
    """
    from dataset_assets.cli import text
    from dataset_assets.moving.rm import Removed, rm

    store = opened(storage)
    if name.startswith("experiments/"):
        from dataset_assets.moving.experiments import remove

        gone = remove(name, store, dry_run=dry_run)
        found = Removed(name, removed=gone.removed, bytes=gone.bytes)
    else:
        with watched(state):
            found = rm(name, store, force=force, dry_run=dry_run)
    if as_json:
        state.show_json({**asdict(found), "dry_run": dry_run})
    else:
        state.show_lines(found.removed)
    current = f"; {found.current} is current" if found.current else ""
    does = "would be removed; nothing was changed" if dry_run else f"removed{current}"
    state.say(f"{len(found.removed)} objects, {text.size(found.bytes)}, {does}")
