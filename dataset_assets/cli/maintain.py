"""The commands that maintain and move stored datasets: verify, copy, bundle, unbundle, pin, unpin, du, doctor.

Each command imports what it needs inside its function, so that `--help` and completion are fast.
"""

import sys
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Iterator

import click

from dataset_assets.cli.common import (
    SECONDS_A_DAY,
    State,
    apply_exclusions_option,
    completed_name,
    go_light,
    json_option,
    name_argument,
    names_argument,
    opened,
    storage_option,
    verb,
    watched,
)
from dataset_assets.core.commands import command
from dataset_assets.errors import DatasetAssetsError, UsageError

if TYPE_CHECKING:
    from dataset_assets.moving.copy import Copied
    from dataset_assets.moving.verify import Verified

from_option = click.option("--from", "source", metavar="URL", help="The storage to copy from; default: the settings'.")
versions_option = click.option(
    "--versions",
    type=click.Choice(["current", "pinned", "all"]),
    default="current",
    show_default=True,
    help="The current version only, the pinned versions too, or all versions.",
)
raw_option = click.option("--raw", is_flag=True, help="Include the files as they were downloaded.")
make_current_option = click.option(
    "--make-current", is_flag=True, help="Make it current even if a version from somewhere else is current."
)
aliases_option = click.option("--aliases", is_flag=True, help="Include the other names of the datasets.")


@click.command()
@verb
@names_argument
@storage_option
@json_option
@click.option("--repair", is_flag=True, help="Make damaged files again, or copy them from another storage.")
@click.option("--from", "source", metavar="URL", help="With --repair: the storage to copy from first.")
def verify(
    state: State, names: tuple[str, ...], storage: str | None, as_json: bool, repair: bool, source: str | None
) -> None:
    """Hash all stored files of datasets and report damage.

    Without NAMES it checks all datasets and experiments; name@digest checks one version. --repair makes damaged files
    again, as prepare does, or copies them from another storage. A repaired file has the same digest as before.
    """
    from dataset_assets.moving.verify import verifiable
    from dataset_assets.storage import open_storage

    if source and not repair:
        raise UsageError("--from only works with --repair. Add --repair.")
    store, other = opened(storage), open_storage(source) if source else None
    report, codes = [], [0]
    with watched(state):
        for name in names or [*verifiable(store), *_experiments_in(store)]:
            row, code = _verified(name, store, repair, other)
            report.append(row)
            codes.append(code)
            if not as_json:
                _show_verified(state, row, store.url)
    if as_json:
        state.show_json(report)
    sys.exit(max(codes))


def _experiments_in(store: Any) -> list[str]:
    from dataset_assets.moving import experiments

    return [experiments.FOLDER + name for name in experiments.experiment_names(store)]


def _verified(name: str, store: Any, repair: bool, source: Any) -> tuple[dict[str, Any], int]:
    from dataset_assets.errors import IntegrityError
    from dataset_assets.moving import experiments, verify

    try:
        if experiments.is_experiment(name):
            result = experiments.verify(name, store)
            if repair and result.damaged and source:
                result = experiments.repair(result, store, source)
        else:
            result = verify.verify(name, store)
            if repair and result.damaged:
                result = verify.repair(result, store, source)
    except DatasetAssetsError as error:
        return {"name": name, "problem": str(error), "damaged": []}, error.exit_code
    return _row(result, store), IntegrityError.exit_code if result.left else 0


def _row(result: "Verified", store: Any) -> dict[str, Any]:
    problem = " ".join(damage.problem for damage in result.left) or None
    hint = (
        ""
        if problem is None or "dataset-assets" in problem or all(damage.is_outside for damage in result.left)
        else f" Repair it with: {command(f'verify --repair {result.name}', store.url)}"
    )
    damaged = [{k: v for k, v in asdict(damage).items() if k != "piece"} for damage in result.damaged]
    row = {field: getattr(result, field) for field in ("name", "versions", "released", "files", "bytes")}
    return {**row, "problem": problem and problem + hint, "damaged": damaged}


def _show_verified(state: State, row: dict[str, Any], storage: str) -> None:
    mended = sum(damage["repaired"] is not None for damage in row["damaged"])
    whole = f"whole, {mended} repaired" if mended else "whole"
    if not row.get("released") and "@" not in row["name"]:
        release = command(f"prepare {row['name']}", storage)
        whole += f", but no version of it is released. Release one with: {release}"
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
@aliases_option
@apply_exclusions_option
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
    aliases: bool,
    apply_exclusions: bool,
    as_json: bool,
) -> None:
    """Copy a dataset from one storage to another.

    Every file is hashed while it is copied; files that the target already has are skipped. If the current version of
    the target is not in the source, it stays current unless --make-current is given. name@digest copies that version
    without making it current. After an interruption, run it again: it continues.
    """
    from dataset_assets.moving import copy, experiments

    if bool(name) == everything:
        raise UsageError("copy needs one dataset. Give a name, or --all.")
    if not (source or target):
        raise UsageError("copy needs a second storage. Give --from URL, --to URL, or both.")
    broken: list[DatasetAssetsError] = []
    with watched(state):
        here, there = opened(source), opened(target)
        given: dict[str, Any] = {"versions": versions, "raw": raw, "make_current": make_current, "aliases": aliases}
        given["apply_exclusions"] = apply_exclusions
        if name and name.startswith(("experiments/", "values/")):
            done = [experiments.copy(name, here, there, make_current=make_current)]
        else:
            done = copy.copy(name, here, there, broken=broken, **given)
        if everything:
            done += experiments.copy_all(here, there, broken, make_current)
    if done or not broken:
        _show_copied(state, done, as_json)
    for error in broken[1:]:
        state.say(str(error))
    if broken:
        raise broken[0]


def _show_copied(state: State, done: "list[Copied]", as_json: bool) -> None:
    from dataset_assets.cli import text

    if as_json:
        state.show_json([one._asdict() for one in done])
    for one in done if not as_json else []:
        for digest in one.versions:
            state.show(f"{one.dataset}@{digest}{'  current' if digest == one.current else ''}")
        state.say(f"  {one.files} files, {text.size(one.bytes)} copied; {one.present} already there")
    for one in done:
        if one.offered:
            stays = f"{one.current} stays current" if one.current else "its damaged pointer is not changed"
            state.say(
                f"  {one.dataset}: {stays}, and {one.offered} is stored beside it. To make the new version current, "
                "run the command again with --make-current"
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

    Without NAMES it writes all datasets. The same content gives the same bytes. tar opens the file, sha256sum -c
    SHA256SUMS checks it, and the command unbundle stores it. It prints the SHA-256 of the tar, for unbundle --expect.
    """
    from dataset_assets.moving import bundle

    store = opened(storage)
    with watched(state), _output(state, path) as file:
        hashed = bundle.Hashed(file)
        written = bundle.bundle(names, store, hashed, versions=versions, raw=raw)
    for pinned in written:
        state.say(pinned)
    # In the format of sha256sum; to stderr if the bundle went to stdout.
    (state.say if str(path) == "-" else state.show)(f"{hashed.sha256}  {path}")


@contextmanager
def _output(state: State, path: Path) -> Iterator[BinaryIO]:
    """Yield stdout, or a file that gets its name only when it is complete."""
    if str(path) == "-":
        if state.out.isatty():
            raise UsageError("A bundle is binary and cannot be shown on a terminal. Redirect it to a file or a pipe.")
        yield state.out.buffer
        return
    from dataset_assets.core import files

    if path.exists() and not path.is_file():
        # Write into a pipe or device; replacing it by a file would break it for others.
        with files.reported(path), path.open("wb") as pipe:
            yield pipe
        return
    with files.whole(path) as file:
        yield file  # type: ignore[misc]  # of an open file only `write` and `flush` are needed


@click.command()
@verb
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False, exists=True, allow_dash=True))
@storage_option
@click.option("--expect", metavar="SHA256", help="Refuse a bundle that does not have this digest.")
@make_current_option
@aliases_option
@apply_exclusions_option
@json_option
def unbundle(
    state: State,
    path: Path,
    storage: str | None,
    expect: str | None,
    make_current: bool,
    aliases: bool,
    apply_exclusions: bool,
    as_json: bool,
) -> None:
    """Store the datasets of a bundle; use - as PATH for stdin.

    It verifies the whole bundle before it stores anything. A dataset's current version stays current unless
    --make-current is given.
    """
    from dataset_assets.core import files
    from dataset_assets.moving.unbundle import unbundle as read_bundle

    store = opened(storage)
    with watched(state), nullcontext(sys.stdin.buffer) if str(path) == "-" else files.opened(path) as file:
        given = {"make_current": make_current, "aliases": aliases, "apply_exclusions": apply_exclusions}
        done = read_bundle(file, store, expect=expect, **given)
    _show_copied(state, done, as_json)


@click.command()
@verb
@name_argument
@storage_option
def pin(state: State, name: str, storage: str | None) -> None:
    """Keep a version, whatever its age.

    NAME is a dataset, for its current version, or NAME@DIGEST.
    """
    go_light()
    from dataset_assets.storage import pins

    store = opened(storage)
    pins.pin(name, store)
    state.say(f"{name} is kept until: {command(f'unpin {name}', store.url)}")


@click.command()
@verb
@name_argument
@storage_option
def unpin(state: State, name: str, storage: str | None) -> None:
    """Unpin a version, so that gc may remove it when it is old."""
    go_light()
    from dataset_assets.storage import pins

    pins.unpin(name, opened(storage))
    state.say(f"{name} is no longer pinned.")


@click.command()
@verb
@names_argument
@storage_option
@json_option
def du(state: State, names: tuple[str, ...], storage: str | None, as_json: bool) -> None:
    """Show how many bytes each dataset uses, and gc would free.

    Without NAMES it shows all datasets.
    """
    go_light()
    from dataset_assets.cli import text
    from dataset_assets.core.settings import settings
    from dataset_assets.moving import experiments, usage
    from dataset_assets.storage import open_storage

    chosen = settings(storage=storage)
    store = open_storage(chosen.storage)
    grace = chosen.grace_days * SECONDS_A_DAY
    datasets = [name for name in names if not experiments.is_experiment(name)]
    usages = []
    if datasets or not names:
        usages = usage.usage(store, datasets, keep_versions=chosen.keep_versions, grace_seconds=grace)
    if len(datasets) < len(names) or not names:
        usages += experiments.usage(store, names, grace_seconds=grace)
    if as_json:
        state.show_json([one.document() for one in usages])
    elif usages:
        state.show(text.usage([one.document() for one in usages]))
    else:
        state.say(f"No dataset is stored in {store.url}.")


@click.command()
@verb
@storage_option
@json_option
def doctor(state: State, storage: str | None, as_json: bool) -> None:
    """Check settings, storage, disks, clocks, packages and plugins.

    It writes a probe to the storage and removes it. The output contains no secrets, so you can send it to others.
    """
    from dataset_assets.cli import doctor

    checks = doctor.examine(storage)
    if as_json:
        state.show_json(doctor.document(checks))
    else:
        state.show_lines(f"{one.state:<8} {one.what:<26} {one.says}" for one in checks)
    failed = [one for one in checks if one.state != "ok"]
    state.say(f"{len(failed)} of {len(checks)} checks failed" if failed else "all checks passed")
    sys.exit(doctor.exit_code(checks))
