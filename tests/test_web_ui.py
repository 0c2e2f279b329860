"""The web UI as a user meets it: the graph, a button, green, a picture and a failed check; the same by GraphQL."""

from pathlib import Path
from typing import Iterator

import pytest
from command_line import FAILING, TABLE, CommandLine
from web_ui.browser import browsing
from web_ui.server import Served, served

from dataset_assets.testing.server import FaultyServer

DIGITS = "io/github/rasbt/mnist_5k"
LEAKY = "org/example/web/leaky"
SECRET = "a-secret"


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A web UI whose datasets are the shipped ones, and some that fail, whose URLs hold a secret."""
    folder = tmp_path_factory.mktemp("ui")
    line = CommandLine(folder)
    with FaultyServer({"/table.csv": TABLE}) as server:
        url = server.url.replace("http://", f"http://user:{SECRET}@")
        line.install("failing", {"failing": FAILING.format(url=url)}, datasets={"org.example.web": "failing"})
        with served(line, folder) as found:
            yield found


@pytest.fixture
def pictures(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Where the pictures go: a folder of the test, or that of `--pictures`."""
    return Path(request.config.getoption("--pictures") or tmp_path)


@pytest.mark.browser
def test_a_dataset_is_materialized_by_a_button_and_is_green_and_has_a_picture(ui: Served, pictures: Path) -> None:
    with browsing(ui) as page:
        page.asset(DIGITS, "lineage&lineageScope=upstream&lineageDepth=3")
        for name in ("mnist_5k_csv_gz", "image", "label", "train", "test"):
            page.see(name)
        before = ui.graphql.latest_run()
        page.press("Materialize all")
        while (run := ui.graphql.latest_run()) == before:
            page.wait(200)
        assert run and ui.graphql.wait(run) == "SUCCESS"
        page.picture(pictures / "graph.png")

        page.asset(f"{DIGITS}/train")
        assert page.is_green("Latest materialization", other="Latest check results")
        page.picture(pictures / "split.png")
        page.page.get_by_text("[Show Markdown]").first.click()
        image = page.page.get_by_alt_text("image", exact=True)
        image.wait_for()
        assert image.evaluate("picture => picture.naturalWidth") == 8 * 48
        page.picture(pictures / "samples.png")
        assert page.abroad == set() and page.errors == []
    assert len(ui.line.json("info", "io.github.rasbt.mnist_5k")) > 0


@pytest.mark.browser
def test_a_check_that_failed_is_seen(ui: Served, pictures: Path) -> None:
    run = ui.graphql.launch(leaky(ui))
    assert ui.graphql.wait(run) == "FAILURE"
    with browsing(ui) as page:
        page.asset(LEAKY, "checks")
        page.see("leakage")
        page.see("Failed")
        page.see("No sample of one split is, byte for byte, in another. If it fails, the release is refused.")
        page.picture(pictures / "check.png")
        assert SECRET not in page.page.content()


def test_the_same_by_graphql(ui: Served) -> None:
    run = ui.graphql.launch(ui.graphql.assets(f"{DIGITS}/"))
    assert ui.graphql.wait(run) == "SUCCESS"
    train = ui.graphql.asset(f"{DIGITS}/train")
    assert (train.run, train.stale, train.group) == (run, "FRESH", f"{DIGITS}/train")
    assert train.metadata["dagster/row_count"] == 4000
    assert "![image](data:image/png;base64," in train.metadata["samples"]
    assert {check.status for check in train.checks.values()} == {"SUCCEEDED"}
    assert train.data_version == train.metadata["sha256"]


def test_a_failed_check_and_no_secret_by_graphql(ui: Served) -> None:
    run = ui.graphql.launch(leaky(ui))
    assert ui.graphql.wait(run) == "FAILURE"
    found = ui.graphql.asset(LEAKY).checks["leakage"]
    assert (found.status, found.severity) == ("FAILED", "ERROR") and "also in" in found.found
    # Neither in what it answers, nor in what it keeps: the event log, run configs, logs of processes.
    for key in leaky(ui):
        assert SECRET not in repr(ui.graphql.asset(key))
    kept = [path for path in ui.line.home.rglob("*") if path.is_file()]
    assert any("history" in path.parts for path in kept)
    assert [path for path in kept if SECRET.encode() in path.read_bytes()] == []


def test_it_listens_to_this_machine_alone(ui: Served) -> None:
    assert ui.listening() == {"127.0.0.1"}


def leaky(ui: Served) -> list[str]:
    return ui.graphql.assets(f"{LEAKY}/")
