"""The web UI as a user meets it: the graph, a button, green, a picture and a failed check; the same by GraphQL."""

import contextlib
import http.client
import json
from pathlib import Path
from typing import Any, Iterator

import pytest
import websockets.exceptions
import websockets.sync.client
from command_line import FAILING, TABLE, CommandLine
from ports import free_port
from web_ui.browser import PATIENCE, browsing
from web_ui.foreign import foreign, in_url, mutation
from web_ui.graphql import ENDED
from web_ui.server import Served, served
from websockets.typing import Origin

from dataset_assets.testing import FaultyServer

DIGITS = "io/github/rasbt/mnist_5k"
LEAKY = "org/example/web/leaky"
SECRET = "a-secret"


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A web UI whose datasets are some that fail, and a shipped one that is asked for, whose URLs hold a secret."""
    folder = tmp_path_factory.mktemp("ui")
    line = CommandLine(folder)
    with FaultyServer({"/table.csv": TABLE}) as server:
        url = server.url.replace("http://", f"http://user:{SECRET}@")
        line.install("failing", {"failing": FAILING.format(url=url)}, datasets={"org.example.web": "failing"})
        with served(line, folder, "io.github.rasbt.*") as found:
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
        page.go("assets")
        page.see("Catalog")
        page.picture(pictures / "catalog.png")
        page.asset(DIGITS)
        page.see("Latest check results")
        page.picture(pictures / "dataset.png")
        page.page.get_by_text("Plots").first.click()
        page.see("samples of train")
        page.picture(pictures / "plots.png")
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
        page.see("No sample of one split occurs, byte for byte, in another. If it fails, the release is refused.")
        page.picture(pictures / "check.png")
        assert SECRET not in page.page.content()


@pytest.mark.browser
def test_the_checks_of_a_split_are_executed_by_a_button_and_make_nothing(ui: Served, pictures: Path) -> None:
    made = ui.graphql.launch(ui.graphql.assets(f"{DIGITS}/"))
    assert ui.graphql.wait(made) == "SUCCESS"
    with browsing(ui) as page:
        page.asset(f"{DIGITS}/train", "checks")
        page.see("counts")
        page.press("Execute all")
        while (run := ui.graphql.latest_run()) == made:
            page.wait(200)
        assert run and ui.graphql.wait(run) == "SUCCESS"
        page.see("Passed")
        page.picture(pictures / "checks_alone.png")
    train = ui.graphql.asset(f"{DIGITS}/train")
    assert {(check.run, check.status) for check in train.checks.values()} == {(run, "SUCCEEDED")}
    assert train.run == made and train.checks["counts"].found == "4000 samples."


def test_it_opens_on_ones_own_datasets_and_on_those_that_are_asked_for(ui: Served) -> None:
    releases = {"/".join(key.split("/")[:4]) for key in ui.graphql.assets()}
    assert releases == {DIGITS, *(key for key in releases if key.startswith("org/example/web"))} and LEAKY in releases


def test_its_first_page_is_that_of_the_assets(ui: Served) -> None:
    port = int(ui.url.rpartition(":")[2])
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", "/")
        answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (307, "/assets")


def test_the_same_by_graphql(ui: Served) -> None:
    run = ui.graphql.launch(ui.graphql.assets(f"{DIGITS}/"))
    assert ui.graphql.wait(run) == "SUCCESS"
    train = ui.graphql.asset(f"{DIGITS}/train")
    assert (train.run, train.stale, train.group) == (run, "FRESH", f"{DIGITS}/train".replace("/", "__"))
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
    # Files of the databases come and go while the UI is used.
    assert [path for path in kept if SECRET.encode() in content(path)] == []


def content(path: Path) -> bytes:
    """Return the bytes of a file; none if it is gone."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def test_it_listens_to_this_machine_alone_and_to_no_port_but_the_one_that_is_guarded(ui: Served) -> None:
    assert ui.listening() == {ui.url.removeprefix("http://")}


# What does not come from its own pages.


def sent(ui: Served, method: str, path: str, **headers: str) -> int:
    """Send a request; return the status of the answer."""
    connection = http.client.HTTPConnection(ui.url.removeprefix("http://"), timeout=60)
    with contextlib.closing(connection):
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        return connection.getresponse().status


def launching(ui: Served) -> str:
    """Return a query that launches a run."""
    [location] = ui.graphql.locations()
    return mutation(location, leaky(ui)[0])


def test_a_program_may_launch_a_run_and_no_page_of_another_site(ui: Served) -> None:
    path, before = in_url(launching(ui)), ui.graphql.latest_run()
    other = f"http://127.0.0.1:{free_port()}"
    for origin in ("http://evil.example.org", other, other.replace("127.0.0.1", "localhost"), "null"):
        assert sent(ui, "POST", path, Origin=origin) == 403
    assert sent(ui, "POST", path, Host="evil.example.org", Origin="http://evil.example.org") == 421
    assert sent(ui, "GET", path) == 405 and sent(ui, "GET", path, Sec_Fetch_Site="cross-site") == 403
    assert ui.graphql.latest_run() == before
    assert sent(ui, "POST", path) == 200
    launched = ui.graphql.latest_run()
    assert launched not in (None, before) and ui.graphql.wait(str(launched)) in ENDED
    assert sent(ui, "POST", path, Origin=ui.url) == 200
    assert ui.graphql.wait(str(ui.graphql.latest_run())) in ENDED


def test_live_updates_come_by_websocket_to_its_own_pages_alone(ui: Served) -> None:
    at = ui.url.replace("http", "ws") + "/graphql"
    protocol: list[Any] = ["graphql-ws"]
    for origin in ("http://evil.example.org", "null", f"http://127.0.0.1:{free_port()}"):
        with pytest.raises(websockets.exceptions.InvalidStatus):
            websockets.sync.client.connect(at, origin=Origin(origin), subprotocols=protocol, proxy=None)
    with websockets.sync.client.connect(at, origin=Origin(ui.url), subprotocols=protocol, proxy=None) as opened:
        opened.send(json.dumps({"type": "connection_init"}))
        assert json.loads(opened.recv(timeout=60)) == {"type": "connection_ack"}
        query = "subscription { locationStateChangeEvents { event { locationName } } }"
        opened.send(json.dumps({"id": "1", "type": "start", "payload": {"query": query}}))
        [location] = ui.graphql.locations()
        ui.graphql.ask(
            f'mutation {{ reloadRepositoryLocation(repositoryLocationName: "{location}") {{ __typename }} }}'
        )
        assert location in str(opened.recv(timeout=60))


@pytest.mark.browser
def test_a_page_of_another_port_can_neither_start_a_run_nor_read_or_frame_the_ui(ui: Served, tmp_path: Path) -> None:
    query, before = launching(ui), ui.graphql.latest_run()
    with browsing(ui) as page, foreign(tmp_path, ui.url, query) as port:
        for host in ("127.0.0.1", "localhost"):
            page.page.goto(f"http://{host}:{port}/")
            page.page.wait_for_function("document.title.startsWith('{')", timeout=PATIENCE)
            tried = json.loads(page.page.title())
            assert len(tried) == 12, tried
            assert {name: tried[name] for name in ("json", "read", "picture", "script", "WebSocket")} == dict.fromkeys(
                ("json", "read", "picture", "script", "WebSocket"), "refused"
            )
            assert not [name for name, saw in tried.items() if "LaunchRunSuccess" in saw]
            # A frame says that it loaded whatever is in it.
            frames = [frame for frame in page.page.frames if frame.parent_frame]
            assert not [frame for frame in frames if frame.get_by_text("Overview").count()]
        page.wait(1000)
        assert ui.graphql.latest_run() == before
        # By a link on that page the user gets to the UI, which works.
        page.page.evaluate(f"location.href = '{ui.url}/overview'")
        page.see("Overview")


def leaky(ui: Served) -> list[str]:
    return ui.graphql.assets(f"{LEAKY}/")
