"""The command that takes samples out of a dataset on request."""

from collections import defaultdict
from dataclasses import asdict
from typing import Any, TextIO

import click

from dataset_assets.cli.common import State, json_option, name_argument, opened, storage_option, verb, watched
from dataset_assets.errors import UsageError


@click.command()
@verb
@name_argument
@click.option("--ids", metavar="ID", multiple=True, help="An id of samples to take out; may be repeated.")
@click.option("--ids-from", metavar="FILE", type=click.File(), help="A file of ids, one a line; - is stdin.")
@click.option("--stream", metavar="STREAM", default="id", show_default=True, help="The stream of the ids.")
@click.option("--where", metavar="STREAM=VALUE", multiple=True, help="Take out samples with this value of a stream.")
@click.option("--raw", is_flag=True, help="Also remove the retrieved files that they came from.")
@click.option("-n", "--dry-run", is_flag=True, help="Only show what would be taken out and removed.")
@storage_option
@json_option
def forget(
    state: State,
    name: str,
    ids: tuple[str, ...],
    ids_from: TextIO | None,
    stream: str,
    where: tuple[str, ...],
    raw: bool,
    dry_run: bool,
    storage: str | None,
    as_json: bool,
) -> None:
    """Take samples out of a dataset, for a deletion request.

    Samples are named by ids, or by a value of a stream of texts or whole numbers. A version without them is made and
    released, of the dataset and of each stored one that is made of it. Then all older versions are removed, pinned ones
    too, and no later version has these samples. Only salted digests of the values are recorded. After an interruption,
    run it again: it continues.
    """
    from dataset_assets.moving.forget import forget

    lines = (line.rstrip("\r\n") for line in ids_from or ())
    values = _values([*ids, *filter(None, lines)], stream, where)
    store = opened(storage)
    with watched(state):
        found = forget(name, values, store, raw=raw, dry_run=dry_run)
    saw = _saw(found.versions, store)
    if as_json:
        state.show_json({**asdict(found), "runs": saw, "dry_run": dry_run})
        return
    would, made = ("would be ", [found.name, *found.derived]) if dry_run else ("", found.made)
    state.show_lines(
        [
            *(f"{split:<20} {count} samples {would}taken out" for split, count in found.samples.items()),
            *(f"{one}: a version without them {would}made" for one in made),
            *(f"{one} {would}removed" for one in found.versions),
            *(f"{run['experiment']}, run {run['id']}, used {run['used']}" for run in saw),
        ]
    )
    for line in found.remaining:
        state.say(f"{line}.")
    if found.unmatched:
        state.say(f"{len(found.unmatched)} values are in no sample of the current version.")
    state.say("Nothing was changed." if dry_run else f"{len(found.removed)} objects removed")


def _values(ids: list[str], stream: str, where: tuple[str, ...]) -> dict[str, list[str]]:
    """Return the values of each stream."""
    found: dict[str, list[str]] = defaultdict(list)
    if ids:
        found[stream] = ids
    for condition in where:
        name, equals, value = condition.partition("=")
        if not (name and equals):
            raise UsageError(f"--where {condition!r} is not STREAM=VALUE. Write for example: --where person=ann")
        found[name].append(value)
    if not found:
        raise UsageError("Name the samples to take out: --ids ID, --ids-from FILE or --where STREAM=VALUE.")
    return found


def _saw(versions: list[str], store: Any) -> list[dict[str, str]]:
    """Return the runs of experiments that used versions."""
    from dataset_assets.errors import DatasetAssetsError
    from dataset_assets.experiments import who_used

    broken: dict[str, DatasetAssetsError] = {}
    found = [(version, *pair) for version in versions for pair in who_used(version, storage=store, broken=broken)]
    return [{"experiment": name, "id": run.id_run, "used": version} for version, name, run in found]
