"""The verbs in groups, as `--help` lists them."""

import click

from dataset_assets.core.lazy import Table

GROUPS = {
    "Find": ("search", "info", "ls", "versions", "diff", "path", "cite", "plugins"),
    "Make": ("new", "prepare", "check", "ui"),
    "Keep": ("verify", "du", "gc", "rm", "forget", "pin", "unpin", "reconcile"),
    "Share": (
        "register", "create", "checkout", "push", "pull", "purge", "copy", "bundle", "unbundle", "export",
    ),
    "Experiments": ("experiments", "store", "who-used"),
    "Settings": ("settings", "trust", "doctor", "completion"),
}  # fmt: skip
"""The verbs of each group, in order."""

_MODULES = {
    "find": ("search", "plugins"),
    "inspect": ("check", "cite", "diff"),
    "maintain": ("verify", "copy", "bundle", "unbundle", "pin", "unpin", "du", "doctor"),
    "remove": ("gc", "rm"),
    "forget": ("forget",),
    "reconcile": ("reconcile",),
    "share": ("register", "create", "checkout", "push", "pull", "purge", "export", "settings"),
    "trust": ("trust",),
    "ui": ("ui",),
    "experiments": ("experiments", "store", "who-used"),
}


def verbs() -> Table[click.Command]:
    """Return the verbs that are defined in modules of their own; each is imported when it is used first."""
    return Table(
        {
            verb: f"dataset_assets.cli.{module}:{verb.replace('-', '_')}"
            for module, names in _MODULES.items()
            for verb in names
        }
    )


class Grouped(click.Group):
    """A group of commands whose help lists them in the groups above; others follow."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        known = {name for names in GROUPS.values() for name in names}
        others = tuple(name for name in self.list_commands(ctx) if name not in known)
        width = formatter.width - max(map(len, self.commands)) - 6
        for title, names in {**GROUPS, "More": others}.items():
            rows = [
                (name, self.commands[name].get_short_help_str(width))
                for name in names
                if name in self.commands and not self.commands[name].hidden
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows, col_max=30)
