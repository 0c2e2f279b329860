"""The commands that look at what datasets come from: cite.

Each command imports what it needs inside its function, so that `--help` and completion are fast.
"""

import click

from dataset_assets.cli.common import State, completed_name, go_light, json_option, opened, storage_option, verb


@click.command()
@verb
@click.argument("what", metavar="NAME|VIEW.json", shell_complete=completed_name)
@storage_option
@json_option
def cite(state: State, what: str, storage: str | None, as_json: bool) -> None:
    """Print BibTeX and notices of the datasets that a dataset or a view is made of.

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


VERBS = (cite,)
