"""The commands that look at what datasets come from, and what changed: check, cite, diff.

Each command imports what it needs inside its function, so that `--help` and completion are fast.
"""

import sys

import click

from dataset_assets.cli.common import (
    State,
    completed_name,
    go_light,
    json_option,
    names_argument,
    opened,
    storage_option,
    verb,
    watched,
)
from dataset_assets.core.commands import command
from dataset_assets.errors import UsageError


@click.command()
@verb
@click.argument("what", metavar="NAME|VIEW.json", shell_complete=completed_name)
@storage_option
@json_option
def cite(state: State, what: str, storage: str | None, as_json: bool) -> None:
    """Print BibTeX and notices for a dataset or a view.

    NAME is a dataset, or one version of it as name@digest. VIEW.json holds what view.to_json() returned; none of its
    functions is called. Lines that begin with % are notices, which BibTeX ignores.
    """
    go_light()
    from dataset_assets.moving.cite import cite

    found = cite(what, storage=opened(storage))
    if as_json:
        state.show_json([each.to_dict() for each in found])
        return
    state.show_lines(f"% {each.notice}" for each in found)
    for entry in dict.fromkeys(each.bibtex for each in found):
        state.show(entry)


@click.command()
@verb
@names_argument
@click.option("--sources", is_flag=True, help="Ask the sources of the files, without downloading them.")
@storage_option
@json_option
def check(state: State, names: tuple[str, ...], sources: bool, storage: str | None, as_json: bool) -> None:
    """Check whether files are still at their sources.

    NAMES are datasets, or patterns such as 'com.lecun.*'; without any, all definitions are checked. 'NAME[*]' means the
    members of a family. Each URL is asked for its headers, or for one byte. A file is ok, changed since it was
    retrieved, failed, skipped, or in error.
    """
    go_light()
    if not sources:
        right = command("check --sources", storage or "")
        raise UsageError(f"check needs to know what to check. Write: {right}")
    from dataset_assets.making.source_checks import check_sources, worst_code

    found = check_sources(*names, storage=opened(storage))
    if as_json:
        state.show_json([one.to_dict() for one in found])
    else:
        state.show_lines(f"{one.status:<8} {one.dataset} {one.file}  {one.message}".rstrip() for one in found)
    sys.exit(worst_code(found))


@click.command()
@verb
@click.argument("a", shell_complete=completed_name)
@click.argument("b", shell_complete=completed_name)
@click.option("--by", metavar="STREAM", help="The stream that tells which samples changed.")
@storage_option
@json_option
def diff(state: State, a: str, b: str, by: str | None, storage: str | None, as_json: bool) -> None:
    """Compare two versions of a dataset, or two datasets.

    A and B are names, or versions as name@digest. It compares streams, counts, classes, the content of samples and the
    distribution of numbers, and names some rows. A changed sample has the same value of STREAM; default: that of the
    role tag, or else sample.
    """
    from dataset_assets.cli.difference import difference
    from dataset_assets.moving.diff import diff

    with watched(state):
        found = diff(a, b, by=by, storage=opened(storage))
    if as_json:
        state.show_json(found)
    else:
        state.show(difference(found))
