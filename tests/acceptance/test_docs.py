"""What the documentation says holds: its code prints what it says, its tables are the code's, its notebook trains."""

import ast
import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import fields
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import pytest
from doc_fences import fences
from doc_tables import table
from doors import DOORS, api_pages
from places import ROOT, SUPPORT
from properdocs.exceptions import PluginError

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
RUNNER = SUPPORT / "docs_page.py"
NOTEBOOK = ROOT / "examples" / "tutorial.ipynb"

LANGUAGES = {"python", "sh", "output", "toml", "yaml", "json", "sql", "text"}
# What is shown and not run, each with the reason.
NOT_RUN = {
    "experiments.md": "experimaestro is installed for `make test-clients` only, whose tests run such a task",
    "install.md": "pip install and make: they would change the environment that the tests run in",
}


def section(page: str, title: str) -> str:
    """Return the text below a heading, up to the next of its rank."""
    _, found, below = (DOCS / page).read_text().partition(f"\n## {title}\n")
    assert found, f"{page} has no section {title!r}"
    return below.partition("\n## ")[0]


# The code on the pages


@pytest.fixture
def environment(fast_path: Path) -> dict[str, str]:
    """An environment of its own: a fresh home, this Python's commands first on the path, and no settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DATASET_ASSETS_", "DAGSTER_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    home = {"DATASET_ASSETS_HOME": str(fast_path / "home"), "HOME": str(fast_path), "XDG_CONFIG_HOME": str(fast_path)}
    return {**kept, **home, "PATH": path, "DAGSTER_DISABLE_TELEMETRY": "1", "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}


# tests/clients runs the code of trainers.md, with the packages that it shows.
@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.stem not in ("tutorial", "trainers")], ids=lambda page: page.stem
)
def test_the_code_of_a_page_runs_in_order_and_prints_what_the_page_says(
    page: Path, environment: dict[str, str], fast_path: Path
) -> None:
    work = fast_path / "work"
    work.mkdir()
    given = json.dumps([page.name, fences(page)])
    command = [sys.executable, str(RUNNER)]
    result = subprocess.run(command, input=given, env=environment, cwd=work, capture_output=True, text=True)
    assert result.returncode == 0, f"{result.stdout[-3000:]}\n{result.stderr[-6000:]}"


def test_every_block_says_its_language_and_is_one_that_is_run_or_parsed() -> None:
    for page in PAGES:
        for fence in fences(page):
            assert fence.language in LANGUAGES, f"{page.name}:{fence.line} is {fence.language!r}"
            if fence.language == "toml":
                tomllib.loads(fence.code)
            elif fence.language == "json":
                json.loads(fence.code)
            elif fence.language == "python":
                ast.parse(fence.code)
    shown = {page.name for page in PAGES for fence in fences(page) if fence.language == "text"}
    assert shown <= NOT_RUN.keys()


# The site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built pages; a warning, such as of a link that leads nowhere, is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "properdocs", "build", "--strict", "--site-dir", str(folder)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return folder


class References(HTMLParser):
    """Collects what a page loads, and where it leads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self.identifiers: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.identifiers.add(given.get("id") or "")
        if tag == "a":
            self.linked.append(given.get("href") or "")
        else:
            self.loaded += [value for name in ("src", "href") if (value := given.get(name))]


def test_links_lead_to_what_is_there_and_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = {path: References(path.read_text()) for path in site.rglob("*.html")}
    written = {f"api/{door.rpartition('.')[2]}" for door in DOORS}
    found = {str(path.relative_to(site).with_suffix("")) for path in pages}
    assert found == {*(page.stem for page in PAGES), *written, "404"}
    for path, found in pages.items():
        if path.stem == "404":
            continue
        assert not [place for place in found.loaded if re.match(r"(https?:)?//", place)], path
        for place in found.linked:
            if re.match(r"https?:|mailto:", place) or place in ("", "#"):
                continue
            name, _, anchor = place.partition("#")
            target = (path.parent / name).resolve() if name else path
            assert target.is_file(), f"{path.name} links to {place}"
            assert not anchor or anchor in pages[target].identifiers, f"{path.name} links to {place}"


def test_make_builds_the_same_site() -> None:
    rules = (ROOT / "Makefile").read_text()
    assert re.search(r"^docs: .*\n\t\.venv/bin/properdocs build", rules, re.MULTILINE)
    config = (ROOT / "properdocs.yml").read_text()
    assert "site_dir: build/docs" in config and "strict: true" in config


# The reference


@pytest.mark.parametrize("door", DOORS)
def test_every_name_of_a_door_has_an_entry_that_says_what_it_is(door: str, site: Path) -> None:
    page = (site / "api" / f"{door.rpartition('.')[2]}.html").read_text()
    for name in import_module(door).__all__:
        entry = re.search(
            rf'<h2 id="{re.escape(f"{door}.{name}")}">.*?</h2>(.*?)(?=<h[123] |</main|\Z)', page, re.DOTALL
        )
        assert entry, f"{door}.{name} has no entry"
        signature, _, said = entry[1].partition("</pre>")
        assert name in re.sub("<[^>]*>", "", signature)
        assert re.search(r"<p>.{10}", said), f"{door}.{name} is not described"


def test_methods_examples_and_links_are_part_of_an_entry(site: Path) -> None:
    page = (site / "api" / "dataset_assets.html").read_text()
    assert {"dataset_assets.View.map", "dataset_assets.View.dataset", "dataset_assets.Loader.state_dict"} <= References(
        page
    ).identifiers
    assert ">&gt;&gt;&gt; </span>" in page and "&gt;&gt;&gt;" not in re.sub("<pre.*?</pre>", "", page, flags=re.DOTALL)
    assert "errors.html#dataset_assets.errors.UsageError" in References(page).linked


def test_a_public_name_without_a_docstring_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bare.py").write_text('"""A package."""\n__all__ = ["told", "silent"]\n')
    monkeypatch.syspath_prepend(tmp_path)
    with (tmp_path / "bare.py").open("a") as file:
        file.write('def told(a: int, *, b=3) -> int:\n    """Return it."""\n\n\ndef silent():\n    pass\n')
    with pytest.raises(PluginError, match="^bare.silent has no docstring"):
        api_pages.page("bare")
    monkeypatch.setattr(import_module("bare"), "__all__", ["told"])
    assert "## told {#bare.told}\n\n```python\ntold(a: int, *, b=3) -> int\n```\n\nReturn it." in api_pages.page("bare")


def test_the_doors_are_listed_and_are_those_of_the_menu() -> None:
    listed = [re.findall(r"`([\w.]+)`", row["package"])[0] for row in table("api.md", "package")]
    assert listed == list(DOORS)
    menu = re.findall(r"- (dataset_assets[\w.]*): api/(\w+)\.md", (ROOT / "properdocs.yml").read_text())
    assert menu == [(door, door.rpartition(".")[2]) for door in DOORS]


# The tables


def test_the_errors_are_those_of_the_code() -> None:
    from dataset_assets import errors

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    ours = [kind for kind in kinds if issubclass(kind, errors.DatasetAssetsError)]
    rows = table("errors.md", "error")
    assert [row["error"].replace("·", "").strip(" `") for row in rows] == [kind.__name__ for kind in ours]
    for kind, row in zip(ours, rows, strict=True):
        parents = [base for base in kind.__mro__ if base in ours]
        builtins = [base.__name__ for base in kind.__bases__ if base.__module__ == "builtins" and base is not Exception]
        assert row["error"].count("·") == len(parents) - 1, kind
        assert row["exit code"] == str(kind.exit_code), kind
        assert row["also a"] == ", ".join(builtins), kind
        assert row["is"].replace("`", "") == str(kind.__doc__).replace("`", ""), kind


def test_each_exit_code_has_a_section() -> None:
    codes = {row["exit code"] for row in table("errors.md", "error")}
    assert set(re.findall(r"^### (\d+):", (DOCS / "errors.md").read_text(), re.MULTILINE)) == codes


def test_the_settings_are_those_of_the_code() -> None:
    from dataset_assets.core.settings import Settings

    rows = table("settings.md", "setting")
    assert [row["setting"] for row in rows] == [field.name for field in fields(Settings)]
    for field, row in zip(fields(Settings), rows, strict=True):
        assert row["environment"] == f"DATASET_ASSETS_{field.name.upper()}"
        if isinstance(field.default, (int, bool)):
            assert row["default"] == str(field.default).lower()


def test_every_verb_and_option_is_on_the_page_of_the_command_line() -> None:
    import click

    from dataset_assets.cli.main import commands

    assert set(re.findall(r"^## `([a-z-]+)`$", (DOCS / "cli.md").read_text(), re.MULTILINE)) == set(commands.commands)
    for verb, command in commands.commands.items():
        text = section("cli.md", f"`{verb}`")
        assert f"dataset-assets {verb}" in text, verb
        common = {"debug", "quiet", "verbose"}
        options = [o for o in command.params if isinstance(o, click.Option) and o.name not in common and not o.hidden]
        assert [o.name for o in options if not any(f"`{name}" in text for name in o.opts)] == [], verb


def test_the_formats_checks_decoders_and_plugin_groups_are_those_of_the_code() -> None:
    from dataset_assets import decoding, formats
    from dataset_assets.core import plugins
    from dataset_assets.definition import check_names as definition

    rows = {row["format"].partition("(")[0]: row for row in table("defining.md", "format")}
    assert set(rows) == {kind.__name__ for kind in formats.FORMATS.values()}
    for kind in formats.FORMATS.values():
        assert rows[kind.__name__]["stored as"] == kind.suffix
    checks = [row["check"] for row in table("defining.md", "check")]
    assert checks == [*definition.SPLIT_CHECKS, *definition.VERSION_CHECKS]
    assert [row["severity"] for row in table("defining.md", "severity")] == list(definition.SEVERITIES)
    assert {row["decoder"] for row in table("defining.md", "decoder")} == set(decoding.__all__) - {"decoder"}
    groups = [row["group"] for row in table("defining.md", "group")]
    assert sorted(groups) == sorted(f"dataset_assets.{group}" for group in plugins.GROUPS)


def test_the_fields_of_a_definition_are_all_explained() -> None:
    from dataset_assets import Dataset, RemoteFile

    for kind, first in ((Dataset, "field"), (RemoteFile, "file field")):
        assert [row[first] for row in table("defining.md", first)] == [field.name for field in fields(kind)]


def test_every_public_name_of_views_is_on_their_page() -> None:
    import inspect

    from dataset_assets import View

    text = (DOCS / "views.md").read_text()
    # How a view of one's own is made is not for those who use views.
    inner = {"each", "sample_of", "rows_of", "row_bytes", "computed", "samples", "sample", "rows", "parents"}
    names = {name for name in vars(View) if not name.startswith("_") and inspect.getdoc(vars(View)[name])} - inner
    assert sorted(name for name in names if not re.search(rf"\b{name}\b", text)) == []


def test_every_public_name_of_the_loader_is_on_its_page() -> None:
    import inspect

    from dataset_assets import loader

    text = (DOCS / "loader.md").read_text()
    given = set(inspect.signature(loader.Loader).parameters) | set(loader.__all__)
    names = given | {name for name in vars(loader.Loader) if not name.startswith("_")}
    assert sorted(name for name in names if not re.search(rf"\b{name}\b", text)) == []


def test_the_index_is_described_field_by_field() -> None:
    from dataset_assets.storage.manifest import SplitIndex, Version

    for kind, first in ((SplitIndex, "index field"), (Version, "version field")):
        stated = [row[first] for row in table("guarantees.md", first)]
        assert sorted(stated) == sorted(field.name for field in fields(kind))


def test_the_six_invariants_are_those_of_the_readme() -> None:
    def listed(text: str) -> list[str]:
        return re.findall(r"^\d\. (.*)$", text, re.MULTILINE)

    readme = (ROOT / "README.md").read_text().partition("## What holds")[2].partition("\n## ")[0]
    assert len(listed(readme)) == 6
    assert listed(section("guarantees.md", "Six invariants")) == listed(readme)


def test_the_verbs_of_a_storage_are_all_explained() -> None:
    from dataset_assets.storage import Storage

    verbs = [name for name, value in vars(Storage).items() if callable(value) and not name.startswith("_")]
    assert [row["verb"].partition("(")[0] for row in table("guarantees.md", "verb")] == verbs


# The orders


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    """The reference of the page, which uses nothing but Python's own numbers."""
    found = [fence.code for fence in fences(DOCS / "orders.md")]
    code = "\n".join(code for code in found if "def rows_at" in code or "def stratified" in code)
    assert {*re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE)} == {"hashlib", "itertools", "json", "math"}
    namespace: dict[str, Any] = {}
    exec(compile(code, "docs/orders.md", "exec"), namespace)
    return namespace


def test_the_vectors_are_computed_by_the_specification_and_by_the_library(plain: dict[str, Any]) -> None:
    from dataset_assets.core.permutation import Permutation

    rows = [row for row in table("orders.md", "n") if "rows" in row]
    assert len(rows) >= 8
    for row in rows:
        n, seed, epoch = int(row["n"]), int(row["seed"]), int(row["epoch"])
        lo, hi = map(int, row["places"].split(":"))
        stated = [int(number) for number in row["rows"].split()]
        assert plain["rows_at"](range(lo, hi), n, seed, epoch, row["purpose"]) == stated
        assert Permutation(n, seed, epoch, row["purpose"]).rows(slice(lo, hi)).tolist() == stated


def test_the_digests_of_whole_orders_are_computed_by_the_specification(plain: dict[str, Any]) -> None:
    text = (DOCS / "orders.md").read_text()
    stated = re.findall(r"^\| (\d+) \| (-?\d+) \| (\d+) \| `(\w+)` \| `([0-9a-f]{64})` \|$", text, re.MULTILINE)
    assert len(stated) >= 4
    for n, seed, epoch, purpose, digest in stated:
        order = plain["rows_at"](range(int(n)), int(n), int(seed), int(epoch), purpose)
        assert sorted(order) == list(range(int(n)))
        assert hashlib.sha256(b"".join(row.to_bytes(4, "little") for row in order)).hexdigest() == digest


def sizes_and_keys() -> Iterator[tuple[int, int, int, str]]:
    for n in (1, 2, 3, 17, 1000, 4095, 4096, 4097, 4160, 4161, 5000, 65_536, 65_537, 10**6, 2**31, 2**32 - 2**17):
        for seed, epoch, purpose in ((0, 0, "shuffle"), (-5, 1, "split"), (2**70, 10**6, 'a "quoted" ∂ word')):
            yield n, seed, epoch, purpose


@pytest.mark.parametrize("n, seed, epoch, purpose", [*sizes_and_keys()])
def test_the_library_computes_what_is_specified(
    plain: dict[str, Any], n: int, seed: int, epoch: int, purpose: str
) -> None:
    from dataset_assets.core.permutation import Permutation

    places = sorted({*range(min(n, 60)), *range(max(0, n - 60), n), n // 2, n // 3})
    found = Permutation(n, seed, epoch, purpose).rows(np.array(places, np.intp))
    assert found.tolist() == plain["rows_at"](places, n, seed, epoch, purpose)


@pytest.mark.parametrize("n, seed", [(60, 0), (97, 7), (3000, 3), (5000, 1)])
def test_the_library_divides_as_is_specified(plain: dict[str, Any], n: int, seed: int) -> None:
    from dataset_assets.core import splitting

    classes, groups = [i * i % 5 for i in range(n)], [str(i * 7 % (n // 3)) for i in range(n)]
    for ratios in ((0.5, 0.5), (0.7, 0.1, 0.2), (1 / 3, 1 / 3, 1 / 3)):
        parts = [
            (splitting.random_parts(n, ratios, seed), plain["random"](n, ratios, seed)),
            (splitting.group_parts(np.array(groups), ratios, seed), plain["grouped"](groups, ratios, seed)),
            (splitting.hashed_parts(groups, ratios, seed), plain["by_hash"](groups, ratios, seed)),
            (splitting.stratified_parts(np.array(classes), ratios, seed), plain["stratified"](classes, ratios, seed)),
            (splitting.folds_of(n, 3, seed, np.array(classes)), plain["folds"](n, 3, seed, classes)),
            (splitting.folds_of(n, 4, seed), plain["folds"](n, 4, seed)),
        ]
        for found, specified in parts:
            assert [part.tolist() for part in found] == specified


# The notebook


def cells_of(kind: str) -> list[str]:
    notebook = json.loads(NOTEBOOK.read_text())
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]


def test_the_tutorial_has_the_code_of_the_notebook() -> None:
    shown = [fence.code.rstrip("\n") for fence in fences(DOCS / "tutorial.md") if fence.language == "python"]
    assert shown == cells_of("code")


def test_the_notebook_is_stored_without_what_a_run_leaves_in_it() -> None:
    notebook = json.loads(NOTEBOOK.read_text())
    for cell in notebook["cells"]:
        assert not cell.get("outputs") and not cell.get("execution_count")
    assert NOTEBOOK.stat().st_size < 30_000


def test_the_notebook_runs_and_ends_in_a_good_model_and_pictures(
    environment: dict[str, str], fast_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbformat
    from nbclient import NotebookClient

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    # Let the kernel choose how to show pictures, as it does for everybody.
    monkeypatch.delenv("MPLBACKEND")
    monkeypatch.setenv("IPYTHONDIR", str(fast_path / "ipython"))
    # In a fresh home matplotlib lists the fonts first, and complains on stderr if that takes 5 seconds.
    subprocess.run([sys.executable, "-c", "import matplotlib.font_manager"], check=True, capture_output=True)
    notebook: Any = nbformat.reads(NOTEBOOK.read_text(), as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(
        notebook, timeout=250, startup_timeout=250, resources={"metadata": {"path": str(fast_path)}}
    ).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= 4 and all(len(picture.data["image/png"]) > 5_000 for picture in pictures)
    said = "".join(output.text for output in outputs if output.output_type == "stream")
    accuracy, majority = re.search(r"test accuracy (0\.\d+).*majority class (0\.\d+)", said).groups()  # type: ignore[union-attr]
    assert float(accuracy) >= 0.94 and float(majority) < 0.15
