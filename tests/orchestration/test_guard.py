"""The check before the web UI: its own pages and the user's programs come in, the pages of other sites do not."""

import contextlib
import http.client
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Iterator

import pytest
import uvicorn
import websockets.exceptions
import websockets.sync.client
from command_line import CommandLine
from ports import free_port
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from dataset_assets.errors import UsageError
from dataset_assets.orchestration.guard import Guard, checked_host

pytestmark = pytest.mark.processes
PUBLIC, ODD = "ui.example.org", "ui.example.org:8443"
POST, PAGE = ("POST", "/graphql"), ("GET", "/assets/a")


class Server:
    """A server that answers everything, and notes what reached it; it allows all other pages, as some servers do."""

    def __init__(self) -> None:
        self.port, self.reached = free_port(), []  # type: tuple[int, list[str]]
        routes = [Route("/{path:path}", self.answer, methods=["GET", "POST", "PUT", "DELETE", "OPTIONS"])]
        app = Starlette(routes=[WebSocketRoute("/graphql", self.talk), *routes])
        config = uvicorn.Config(Guard(app, self.port, [PUBLIC, ODD]), port=self.port, log_level="error", lifespan="off")
        self.server = uvicorn.Server(config)

    async def answer(self, request: Request) -> StreamingResponse:
        self.reached.append(request.method)
        allowing = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "true"}
        return StreamingResponse(iter([b"first ", b"second"]), headers=allowing)

    async def talk(self, websocket: WebSocket) -> None:
        self.reached.append("WebSocket")
        await websocket.accept(subprotocol="graphql-ws")
        await websocket.send_text(await websocket.receive_text())

    def ask(self, method: str, path: str, *headers: tuple[str, str]) -> tuple[int, str, dict[str, str]]:
        """Send just these headers; return the status, the text, and the headers of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        with contextlib.closing(connection):
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            connection.putheader("Content-Length", "0")
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), {k.lower(): v for k, v in answer.getheaders()}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    found = Server()
    thread = threading.Thread(target=found.server.run)
    thread.start()
    while not found.server.started:
        time.sleep(0.01)
    yield found
    found.server.should_exit = True
    thread.join(120)


def status(server: Server, request: tuple[str, str], *headers: tuple[str, str]) -> int:
    """Return the status, and see that what was refused reached nothing."""
    server.reached.clear()
    found, text, answered = server.ask(*request, *headers)
    assert (found == 200) == bool(server.reached)
    assert not [name for name in answered if name.startswith("access-control-")]
    assert answered["x-frame-options"] == "SAMEORIGIN"
    assert text == "first second" if found == 200 else text.endswith(".\n") or "--allow-host" in text
    return found


def own_hosts(server: Server) -> list[str]:
    return [f"{name}:{server.port}" for name in ("127.0.0.1", "localhost", "[::1]", "LocalHost")] + [PUBLIC, ODD]


def test_the_users_programs_and_own_pages_are_let_in(server: Server) -> None:
    for host in own_hosts(server):
        of_itself = [("Host", host), ("Origin", f"http://{host}"), ("Sec-Fetch-Site", "same-origin")]
        for request in (POST, PAGE, ("PUT", "/x"), ("DELETE", "/x")):
            assert status(server, request, ("Host", host)) == 200, host
            assert status(server, request, *of_itself) == 200, host
        assert status(server, PAGE, ("Host", host), ("Sec-Fetch-Site", "none")) == 200
    for host in (PUBLIC, ODD):
        assert status(server, POST, ("Host", host), ("Origin", f"https://{host}")) == 200


def test_another_host_is_refused_whatever_the_method(server: Server) -> None:
    others = [
        "evil.example.org", f"evil.example.org:{server.port}", "127.0.0.1", "localhost", f"127.0.0.1:{server.port + 1}",
        f"127.0.0.1.nip.io:{server.port}", f"localhost.:{server.port}", f"0.0.0.0:{server.port}", f"{PUBLIC}:8443:1",
        f"127.1:{server.port}", f"{PUBLIC}.", f"x.{PUBLIC}", f"{PUBLIC}:80", "", " ", f"a@127.0.0.1:{server.port}",
    ]  # fmt: skip
    for request in (POST, PAGE, ("OPTIONS", "/graphql")):
        for host in others:
            assert status(server, request, ("Host", host)) in (400, 421), host
        assert status(server, request) in (400, 421)
    good = ("Host", f"127.0.0.1:{server.port}")
    with contextlib.suppress(ConnectionError, http.client.HTTPException):
        assert status(server, POST, good, ("Host", "evil.example.org")) in (400, 421)
    assert server.reached == []


def test_the_page_of_another_site_is_refused_whatever_it_sends(server: Server) -> None:
    host, port = f"127.0.0.1:{server.port}", server.port
    origins = [
        "null", "", "http://evil.example.org", f"http://127.0.0.1:{port + 1}", "http://127.0.0.1", f"https://{host}",
        f"http://localhost:{port}", f"http://evil.example.org:{port}", f"http://{host}.evil.example.org", host,
        f"http://{host}/", f"http://a@{host}", f"https://{PUBLIC}", "file://", f"http://{host} http://evil.example.org",
        "chrome-extension://abcdefgh",
    ]  # fmt: skip
    for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
        for origin in origins:
            assert status(server, (method, "/graphql"), ("Host", host), ("Origin", origin)) == 403, (method, origin)
    for host in (PUBLIC, ODD):
        for origin in (f"https://{PUBLIC}x", "https://evil.example.org", f"http://127.0.0.1:{port}", "https://"):
            assert status(server, POST, ("Host", host), ("Origin", origin)) == 403, origin
    assert status(server, POST, ("Host", PUBLIC), ("Origin", f"https://{ODD}")) == 403
    own = ("Origin", f"http://{PUBLIC}")
    assert status(server, POST, ("Host", PUBLIC), own, ("Origin", "http://evil.example.org")) == 403


def test_what_a_page_of_another_site_loads_is_refused_but_a_link_may_be_followed(server: Server) -> None:
    host = ("Host", f"127.0.0.1:{server.port}")
    link = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]
    for site in ("cross-site", "same-site", "something-new"):
        assert status(server, PAGE, host, ("Sec-Fetch-Site", site)) == 403
        assert status(server, POST, host, ("Sec-Fetch-Site", site), *link) == 403
        for dest in ("image", "script", "iframe", "frame", "object", "empty"):
            loaded = [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", dest)]
            assert status(server, PAGE, host, ("Sec-Fetch-Site", site), *loaded) == 403, dest
        assert status(server, PAGE, host, ("Sec-Fetch-Site", site), *link) == 200


def test_no_query_is_executed_by_get_because_old_browsers_say_nothing_of_a_picture(server: Server) -> None:
    host = ("Host", f"127.0.0.1:{server.port}")
    for path in ("/graphql?query=mutation", "/graphql/?query=mutation", "/%67raphql?query=mutation", "/x/graphql"):
        for accept in ([], [("Accept", "image/*")], [("Accept", "*/*"), ("Accept", "text/html")]):
            assert status(server, ("GET", path), host, *accept) == 405, (path, accept)
    assert status(server, ("GET", "/graphql"), host, ("Accept", "text/html,*/*")) == 200


def talked(server: Server, host: str | None = None, **options: Any) -> str:
    uri = f"ws://{host or f'127.0.0.1:{server.port}'}/graphql"
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=120)
    connection = websockets.sync.client.connect(uri, sock=sock, subprotocols=["graphql-ws"], proxy=None, **options)
    with sock, connection as opened:
        opened.send("hello")
        return str(opened.recv(timeout=120))


def test_a_websocket_is_opened_by_own_pages_and_programs_alone(server: Server) -> None:
    assert talked(server) == "hello"
    for host in [*own_hosts(server)[:2], PUBLIC]:
        assert talked(server, host, origin=f"http://{host}") == "hello"
    server.reached.clear()
    refused = [
        {"origin": origin} for origin in ("null", "http://evil.example.org", f"http://127.0.0.1:{server.port + 1}")
    ]
    refused += [{"host": "evil.example.org"}, {"additional_headers": {"Sec-Fetch-Site": "cross-site"}}]
    for options in refused:
        with pytest.raises(websockets.exceptions.InvalidStatus) as caught:
            talked(server, **options)
        assert caught.value.response.status_code in (403, 421), options
    assert server.reached == []


def test_what_is_refused_is_said_without_what_steers_a_terminal(server: Server) -> None:
    host = ("Host", f"127.0.0.1:{server.port}")
    _, text, headers = server.ask("POST", "/graphql", host, ("Origin", "http://\x9b31mevil"))
    assert text.isascii() and "\\x9b31mevil" in text and "\x9b" not in text
    assert headers["content-type"].startswith("text/plain") and headers["x-content-type-options"] == "nosniff"
    _, text, _ = server.ask("GET", "/", ("Host", "localhost:8080"))
    assert text.endswith("dataset-assets ui --allow-host localhost:8080\n")


def test_the_name_of_a_host_is_a_name_alone() -> None:
    assert checked_host("UI.example.org") == "ui.example.org"
    assert [checked_host(host) for host in ("localhost:8080", "[fd00::1]:80", "a")] == [
        "localhost:8080",
        "[fd00::1]:80",
        "a",
    ]
    for none in ("https://ui.example.org", "*", "", "a b", "*.example.org", "a/b", "a:", "a:b", "-h", "a@b", "a\n"):
        with pytest.raises(UsageError, match="is not a host name"):
            checked_host(none)


def test_runs_do_not_need_the_server_that_the_guard_is_for() -> None:
    code = "import sys, dataset_assets.orchestration.instance; sys.exit('starlette' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=250).returncode == 0


def test_the_command_line_refuses_what_is_not_the_name_of_a_host(tmp_path: Path) -> None:
    refused = CommandLine(tmp_path).run("ui", "--allow-host", "https://ui.example.org", code=2)
    assert "'https://ui.example.org' is not a host name" in refused.stderr
