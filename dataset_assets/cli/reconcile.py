"""The command that mends Dagster's history by what is stored.

It imports what it needs inside its function, so that `--help` and completion are fast.
"""

import sys

import click

from dataset_assets.cli.common import State, json_option, names_argument, opened, storage_option, verb
from dataset_assets.errors import UsageError


@click.command()
@verb
@names_argument
@click.option("--mend", is_flag=True, help="Record what is missing in the history.")
@storage_option
@json_option
def reconcile(state: State, names: tuple[str, ...], mend: bool, storage: str | None, as_json: bool) -> None:
    """Compare Dagster's history with the storage.

    After a lost database or a killed machine, a version may be released that the history does not show, or a run may
    seem to go on whose process has ended. NAMES are datasets, or patterns such as 'com.lecun.*'; without any, all
    definitions are compared. The exit code is 4 if something differs that was not mended.
    """
    try:
        from dataset_assets.orchestration.reconcile import reconcile as compare
    except ImportError as error:
        raise UsageError("The history needs Dagster. Run: pip install 'dataset_assets[dagster]'") from error
    from dataset_assets.core.commands import command
    from dataset_assets.definition.registry import definitions, find, matching

    store = opened(storage)
    meant = [matching(name) if "*" in name else [find(name, store)] for name in names] if names else [definitions()]
    chosen = {dataset.name: dataset for some in meant for dataset in some}
    found = compare([*chosen.values()], store, mend=mend)
    if as_json:
        state.show_json([each.to_dict() for each in found])
    elif found:
        state.show_lines(f"{'mended' if each.mended else each.kind:11} {each.what}: {each.message}" for each in found)
    else:
        state.say("The history and the storage agree.")
    if any(not each.mended for each in found):
        if not mend:
            state.say(f"Mend what can be mended with: {command('reconcile --mend', store.url)}")
        sys.exit(4)
