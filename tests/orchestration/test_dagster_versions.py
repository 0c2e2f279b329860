"""Which versions of Dagster serve, where they are tried, and what we use of them that is not public."""

import re
import tomllib
from importlib.metadata import version

import dagster as dg
from places import ROOT

PACKAGE = ROOT / "dataset_assets"
# Dagster's server has a command and no function, so a program that guards each request builds it of these.
PRIVATE = {
    "dagster._cli.proxy_server_manager",
    "dagster._core.workspace.context",
    "dagster._core.workspace.load_target",
}


def test_the_extra_takes_the_versions_that_are_tried() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {"dagster>=1.11,<2", "dagster-webserver>=1.11,<2"} < {*extras["dagster"]}
    makefile = (ROOT / "Makefile").read_text()
    assert "test-dagster-1.11 test-dagster-1.12: test-dagster-%:" in makefile and "dagster==$*.0 " in makefile
    assert "test-dagster test-dagster-old" in (ROOT / ".ci" / "run").read_text()
    assert (1, 11) <= tuple(map(int, version("dagster").split(".")[:2])) < (2, 0)


def test_only_the_web_server_uses_what_is_private_to_dagster_and_no_public_name_replaces_it() -> None:
    used = {path.name: found for path in PACKAGE.rglob("*.py") if (found := imported(path.read_text()))}
    assert used == {"webserver.py": PRIVATE}
    # Once Dagster exports one of these, `webserver.py` can do without: import it from there.
    assert not {"WorkspaceProcessContext", "ProxyServerManager", "WorkspaceFileTarget"} & {*dir(dg)}


def imported(source: str) -> set[str]:
    """Return the private modules of Dagster that a file imports."""
    return {*re.findall(r"^ *(?:from|import) (dagster\w*\._[\w.]+|dagster\w*\.\w+\._[\w.]+)", source, re.MULTILINE)}
