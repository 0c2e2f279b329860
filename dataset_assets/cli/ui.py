"""The command `ui`: Dagster's web UI on this machine."""

import click

from dataset_assets.cli.common import State, missing, names_argument, opened, storage_option, verb
from dataset_assets.errors import UsageError


@click.command()
@verb
@names_argument
@click.option("--all", "every", is_flag=True, help="Show all registered datasets, also those that are not prepared.")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535), help="The port on 127.0.0.1.")
@click.option("--allow-host", "hosts", multiple=True, metavar="HOST", help="A host name of a reverse proxy.")
@storage_option
def ui(
    state: State, names: tuple[str, ...], every: bool, port: int, hosts: tuple[str, ...], storage: str | None
) -> None:
    """Serve Dagster's web UI on this machine, until Ctrl-C.

    It shows datasets with pictures, lineage, checks and history, and materializes them: your own, those that are
    prepared, and NAMES, which may be patterns such as 'com.lecun.*'. It refuses requests from pages of other sites.
    """
    if lacking := missing("dagster") or missing("dagster_webserver"):
        raise UsageError(f"The UI needs {lacking}, which is not installed. Run: pip install 'dataset_assets[dagster]'")
    from dataset_assets.orchestration.instance import serve

    serve(port, opened(storage), state.say, hosts, names, every)
