"""The verbs that keep and move what is stored: verify, copy, bundle, unbundle, gc, pin, unpin, du, doctor.

What only one verb needs is imported inside it, so that `--help` and completion are quick.
"""

import os
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Iterator

import click

from dataset_assets.cli.common import (
    State,
    bars,
    completed_name,
    go_light,
    json_option,
    name_argument,
    opened,
    storage_option,
    verb,
)
from dataset_assets.errors import DatasetAssetsError, UsageError

if TYPE_CHECKING:
    from dataset_assets.moving.copy import Copied
    from dataset_assets.moving.verify import Verified

names_argument = click.argument("names", nargs=-1, shell_complete=completed_name)
from_option = click.option("--from", "source", metavar="URL", help="The storage to copy from; default: the settings'.")
versions_option = click.option(
    "--versions",
    type=click.Choice(["current", "pinned", "all"]),
    default="current",
    show_default=True,
    help="Which versions: the current one, the pinned ones too, or all.",
)
raw_option = click.option("--raw", is_flag=True, help="With the files as they were retrieved.")
make_current_option = click.option(
    "--make-current", is_flag=True, help="Make it current also where a version of somebody else's is current."
)
SECONDS_A_DAY = 86_400


@click.command()
@verb
@names_argument
@storage_option
@json_option
@click.option("--repair", is_flag=True, help="Make again, or fetch, what is damaged.")
@click.option("--from", "source", metavar="URL", help="With --repair: the storage to fetch from first.")
def verify(
    state: State, names: tuple[str, ...], storage: str | None, as_json: bool, repair: bool, source: str | None
) -> None:
    """Hash all that is stored of datasets and say what is damaged.

    Of NAMES, or of all; name@digest for that version alone. With --repair what is damaged is made again as prepare does
    it, or fetched from another storage; what takes its place has the digest of its name.
    """
    from dataset_assets.moving.verify import verifiable
    from dataset_assets.storage import open_storage

    if source and not repair:
        raise UsageError("--from says where to repair from. Add --repair.")
    store, other = opened(storage), open_storage(source) if source else None
    report, codes = [], [0]
    with _watched(state):
        for name in names or verifiable(store):
            row, code = _verified(name, store, repair, other)
            report.append(row)
            codes.append(code)
            if not as_json:
                _show_verified(state, row)
    if as_json:
        state.show_json(report)
    sys.exit(max(codes))


def _verified(name: str, store: Any, repair: bool, source: Any) -> tuple[dict[str, Any], int]:
    from dataset_assets.errors import IntegrityError
    from dataset_assets.moving import verify as verifying

    try:
        found = verifying.verify(name, store)
        if repair and found.damaged:
            found = verifying.repair(found, store, source)
    except DatasetAssetsError as error:
        return {"name": name, "problem": str(error), "damaged": []}, error.exit_code
    return _row(found), IntegrityError.exit_code if found.left else 0


def _row(found: "Verified") -> dict[str, Any]:
    problem = " ".join(damage.problem for damage in found.left) or None
    hint = "" if problem is None or "dataset-assets" in problem else f" Mend it with: {_mend(found.name)}"
    damaged = [{k: v for k, v in asdict(damage).items() if k != "piece"} for damage in found.damaged]
    row = {field: getattr(found, field) for field in ("name", "versions", "released", "files", "bytes")}
    return {**row, "problem": problem and problem + hint, "damaged": damaged}


def _mend(name: str) -> str:
    return f"dataset-assets verify --repair {name}"


def _show_verified(state: State, row: dict[str, Any]) -> None:
    mended = sum(damage["repaired"] is not None for damage in row["damaged"])
    whole = f"whole, {mended} repaired" if mended else "whole"
    if not row.get("released") and "@" not in row["name"]:
        whole += f", but no version of it is released. Release one with: dataset-assets prepare {row['name']}"
    state.show_lines([f"{row['name']:<34} {row['problem'] or whole}"])
    for damage in row["damaged"]:
        if damage["repaired"] or damage["reason"]:
            state.say(f"  {damage['key']}: {damage['repaired'] or 'not repaired. ' + damage['reason']}")


@click.command()
@verb
@click.argument("name", required=False, shell_complete=completed_name)
@click.option("--all", "everything", is_flag=True, help="Copy every dataset.")
@from_option
@click.option("--to", "target", metavar="URL", help="The storage to copy to; default: the settings'.")
@versions_option
@raw_option
@make_current_option
@json_option
def copy(
    state: State,
    name: str | None,
    everything: bool,
    source: str | None,
    target: str | None,
    versions: Any,
    raw: bool,
    make_current: bool,
    as_json: bool,
) -> None:
    """Copy a dataset from one storage to another.

    Every file is hashed on the way, and what is there already is left. A version that is current there, and that the
    source does not have, stays current unless --make-current is given. name@digest copies that version, and does not
    make it the current one. Run it again after an interruption: it goes on.
    """
    from dataset_assets.moving import copy as copying

    if bool(name) == everything:
        raise UsageError("Name one dataset, or write --all.")
    if not (source or target):
        raise UsageError("Say where to copy from, or where to: --from URL, --to URL, or both.")
    broken: list[DatasetAssetsError] = []
    with _watched(state):
        here, there = opened(source), opened(target)
        done = copying.copy(name, here, there, versions=versions, raw=raw, make_current=make_current, broken=broken)
    if done or not broken:
        _show_copied(state, done, as_json)
    for error in broken[1:]:
        state.say(str(error))
    if broken:
        raise broken[0]


def _show_copied(state: State, done: "list[Copied]", as_json: bool) -> None:
    from dataset_assets.cli import text as showing

    if as_json:
        state.show_json([one._asdict() for one in done])
    for one in done if not as_json else []:
        for digest in one.versions:
            state.show(f"{one.dataset}@{digest}{'  current' if digest == one.current else ''}")
        state.say(f"  {one.files} files, {showing.size(one.bytes)} copied; {one.present} were there")
    for one in done:
        if one.offered:
            stays = f"{one.current} stays current" if one.current else "its pointer, which is damaged, stays as it is"
            state.say(
                f"  {one.dataset}: {stays}, and {one.offered} is stored beside it. To make this one current, run the "
                "command again with --make-current"
            )


@click.command()
@verb
@names_argument
@click.option("--into", "path", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), required=True,
              help="The tar to write; - for stdout.")  # fmt: skip
@versions_option
@raw_option
@storage_option
def bundle(state: State, names: tuple[str, ...], path: Path, versions: Any, raw: bool, storage: str | None) -> None:
    """Write datasets into one tar, for a machine without a network.

    Those of NAMES, or all. The same content gives the same bytes. tar opens it, sha256sum -c SHA256SUMS checks it, and
    the verb unbundle stores it. The SHA-256 of the tar is printed, for unbundle --expect.
    """
    from dataset_assets.core import files
    from dataset_assets.moving import bundle as bundling

    store = opened(storage)
    with _watched(state), _output(state, path) as file:
        hashed = files.Hashed(file)
        written = bundling.bundle(names, store, hashed, versions=versions, raw=raw)
    for pinned in written:
        state.say(pinned)
    # As sha256sum prints it; where the bundle itself went to stdout, beside it.
    (state.say if str(path) == "-" else state.show)(f"{hashed.sha256}  {path}")


@contextmanager
def _output(state: State, path: Path) -> Iterator[BinaryIO]:
    """Give a file that has its name once all of it is written, or stdout."""
    if str(path) == "-":
        if state.out.isatty():
            raise UsageError("A bundle is nothing to look at. Send it to a file or a pipe.")
        yield state.out.buffer
        return
    from dataset_assets.core import files

    if path.exists() and not path.is_file():
        # A pipe or a device is written to; to put a file in its place would take it from all others.
        with files.reported(path), path.open("wb") as pipe:
            yield pipe
        return
    part = path.with_name(f".{path.name}.{os.urandom(8).hex()}.part")
    try:
        with files.Written(part) as file:
            yield file  # type: ignore[misc]  # of an open file only `write` and `flush` are needed
        files.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@click.command()
@verb
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False, exists=True, allow_dash=True))
@storage_option
@click.option("--expect", metavar="SHA256", help="Refuse a bundle that does not have this digest.")
@make_current_option
@json_option
def unbundle(
    state: State, path: Path, storage: str | None, expect: str | None, make_current: bool, as_json: bool
) -> None:
    """Store what is in a bundle; PATH is - for stdin.

    Nothing is stored unless all of it was verified. Where a version is current already, it stays current unless
    --make-current is given.
    """
    from dataset_assets.moving import bundle as bundling

    store = opened(storage)
    with _watched(state), nullcontext(sys.stdin.buffer) if str(path) == "-" else path.open("rb") as file:
        done = bundling.unbundle(file, store, expect=expect, make_current=make_current)
    _show_copied(state, done, as_json)


@click.command()
@verb
@names_argument
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be removed.")
@storage_option
@json_option
def gc(state: State, names: tuple[str, ...], dry_run: bool, storage: str | None, as_json: bool) -> None:
    """Remove what no kept version of datasets needs.

    Kept are the current version, pinned ones, the newest few (setting keep_versions), and all that is younger than the
    grace (setting grace_days). Without NAMES also what killed writers left, such as parts of files; unfinished
    uploads to a bucket are removed by a rule that you give the bucket (docs/storages.md).
    """
    from dataset_assets.cli import text as showing
    from dataset_assets.core import scratch
    from dataset_assets.core.settings import settings
    from dataset_assets.errors import IntegrityError
    from dataset_assets.moving import gc as collecting
    from dataset_assets.storage import open_storage

    chosen = settings(storage=storage)
    store, grace = open_storage(chosen.storage), chosen.grace_days * SECONDS_A_DAY
    with _watched(state):
        found = collecting.collect(
            store, names, keep_versions=chosen.keep_versions, grace_seconds=grace, dry_run=dry_run
        )
        if not names and (left := collecting.collect_strays(store, grace_seconds=grace, dry_run=dry_run)):
            found.append(left)
    if not dry_run:
        scratch.sweep(chosen.scratch)
    if as_json:
        state.show_json([{**asdict(one), "dry_run": dry_run} for one in found])
    for one in found if not as_json else []:
        does = f"{'would remove' if dry_run else 'removed'} {len(one.removed)} objects, {showing.size(one.bytes)}"
        kept = f"; versions kept: {len(one.kept)}" if one.dataset else ""
        # Beside what is broken the work goes on; what was left as it is has no more to say.
        done = [does + kept] if one.removed or not one.problem else []
        said = " ".join([*done, *([one.problem] if one.problem else [])])
        state.show_lines([f"{one.dataset or '(left by killed writers)':<34} {said}"])
    freed = sum(one.bytes for one in found)
    state.say(f"{showing.size(freed)} {'would be freed; nothing was changed' if dry_run else 'freed'}")
    sys.exit(IntegrityError.exit_code if any(one.problem for one in found) else 0)


@click.command()
@verb
@name_argument
@storage_option
def pin(state: State, name: str, storage: str | None) -> None:
    """Keep a version, whatever its age.

    NAME is that of a dataset, for its current version, or NAME@DIGEST.
    """
    go_light()
    from dataset_assets.storage import pins

    pins.pin(name, opened(storage))
    state.say(f"{name} is kept until: dataset-assets unpin {name}")


@click.command()
@verb
@name_argument
@storage_option
def unpin(state: State, name: str, storage: str | None) -> None:
    """Let a pinned version be collected when it is old."""
    go_light()
    from dataset_assets.storage import pins

    pins.unpin(name, opened(storage))
    state.say(f"{name} is kept no longer than others.")


@click.command()
@verb
@names_argument
@storage_option
@json_option
def du(state: State, names: tuple[str, ...], storage: str | None, as_json: bool) -> None:
    """Say how many bytes each dataset uses, and gc would free.

    Of NAMES, or of all.
    """
    go_light()
    from dataset_assets.cli import text as showing
    from dataset_assets.core.settings import settings
    from dataset_assets.moving import usage
    from dataset_assets.storage import open_storage

    chosen = settings(storage=storage)
    store = open_storage(chosen.storage)
    grace = chosen.grace_days * SECONDS_A_DAY
    found = usage.usage(store, names, keep_versions=chosen.keep_versions, grace_seconds=grace)
    if as_json:
        state.show_json([one.document() for one in found])
    elif found:
        state.show(showing.usage([one.document() for one in found]))
    else:
        state.say(f"There is nothing in {store.url}.")


@click.command()
@verb
@storage_option
@json_option
def doctor(state: State, storage: str | None, as_json: bool) -> None:
    """Look whether settings, storage and packages are in order.

    Disks, clocks, plugins and left-overs too.

    A probe is written to the storage, and removed. What is secret is not shown, so the output may be sent to others.
    """
    from dataset_assets.cli import doctor as room

    found = room.examine(storage)
    if as_json:
        state.show_json(room.document(found))
    else:
        state.show_lines(f"{one.state:<8} {one.what:<26} {one.says}" for one in found)
    worst = [one for one in found if one.state != "ok"]
    state.say(f"{len(worst)} of {len(found)} want a look" if worst else "all is in order")
    sys.exit(room.exit_code(found))


@contextmanager
def _watched(state: State) -> Iterator[None]:
    from dataset_assets.core.progress import watched_by

    with bars(state) as progress, watched_by(progress):
        yield


VERBS = (verify, copy, bundle, unbundle, gc, pin, unpin, du, doctor)
