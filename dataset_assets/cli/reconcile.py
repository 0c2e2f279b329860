"""The command that mends Dagster's history by what is stored.

It imports what it needs inside its function, so that `--help` and completion are fast.
"""

import sys
from typing import Any

import click

from dataset_assets.cli.common import State, json_option, names_argument, opened, storage_option, verb
from dataset_assets.errors import UsageError


@click.command()
@verb
@names_argument
@click.option("--mend", is_flag=True, help="Record what is missing in the history.")
@click.option("--key-prefix", default="", metavar="PREFIX", help="What a project puts before our keys, as in lake/raw.")
@click.option("--raw-assets", type=click.Choice(["one", "each"]), help="As the project's definitions have it.")
@storage_option
@json_option
def reconcile(
    state: State,
    names: tuple[str, ...],
    mend: bool,
    key_prefix: str,
    raw_assets: Any,
    storage: str | None,
    as_json: bool,
) -> None:
    """Compare Dagster's history with the storage.

    After a lost database or a killed machine, a version may be released that the history does not show, or a run may
    seem to go on whose process has ended. NAMES are datasets, or patterns such as 'com.lecun.*'; without any, all
    definitions are compared. The exit code is 4 if something differs that was not mended.
    """
    try:
        from dataset_assets.orchestration.reconcile import reconcile as compare
        from dataset_assets.orchestration.translation import of_attributes
    except ImportError as error:
        raise UsageError("The history needs Dagster. Run: pip install 'dataset_assets[dagster]'") from error
    from dataset_assets.core.commands import command
    from dataset_assets.definition.registry import definitions, find, matching

    store = opened(storage)
    meant = [matching(name) if "*" in name else [find(name, store)] for name in names] if names else [definitions()]
    chosen = {dataset.name: dataset for some in meant for dataset in some}
    prefix = [part for part in key_prefix.split("/") if part]
    translation = of_attributes({"key_prefix": prefix}) if prefix else None
    found = compare([*chosen.values()], store, mend=mend, raw_assets=raw_assets or "", translation=translation)
    if as_json:
        state.show_json([each.to_dict() for each in found])
    elif found:
        state.show_lines(f"{'mended' if each.mended else each.kind:11} {each.what}: {each.message}" for each in found)
    else:
        state.say("The history and the storage agree.")
    if any(not each.mended for each in found):
        if not mend:
            words = ["reconcile --mend", *([f"--key-prefix {key_prefix}"] if prefix else [])]
            words += [f"--raw-assets {raw_assets}"] if raw_assets else []
            state.say(f"Mend what can be mended with: {command(' '.join(words), store.url)}")
        sys.exit(4)
