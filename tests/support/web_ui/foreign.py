"""A page of another site: a server on a port of its own, whose page tries all that a browser lets it try."""

import functools
import http.server
import json
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator
from urllib.parse import quote

MUTATION = """
mutation { launchRun(executionParams: { selector: { repositoryLocationName: %s, repositoryName: "__repository__",
    jobName: "__ASSET_JOB", assetSelection: [{ path: %s }], assetCheckSelection: null }, mode: "default" })
    { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
    ... on InvalidSubsetError { message } } }
"""

PAGE = """<!DOCTYPE html><title>trying</title><body><script>
const at = TARGET, query = QUERY, url = at + "/graphql?query=" + encodeURIComponent(query);
const json = JSON.stringify({query}), tried = {};
const sent = (name, options, to = url) => fetch(to, options).then(
    answer => answer.text().then(text => { tried[name] = answer.type + " " + text }),
    () => { tried[name] = "refused" });
const loaded = (name, element, source) => new Promise(done => {
    element.onload = () => { tried[name] = "loaded"; done() }
    element.onerror = () => { tried[name] = "refused"; done() }
    element.src = source; document.body.append(element) });
const submitted = (name, method, encoding) => new Promise(done => {
    const [frame, form, field] = ["iframe", "form", "input"].map(name => document.createElement(name));
    frame.name = name; frame.onload = () => { tried[name] = "sent"; done() }
    form.action = method == "post" ? url : at + "/graphql";
    form.target = name; form.method = method; form.enctype = encoding;
    field.name = "query"; field.value = query; form.append(field);
    document.body.append(form); setTimeout(() => document.body.append(frame)); setTimeout(() => form.submit(), 50) });
const talked = name => new Promise(done => {
    const socket = new WebSocket(at.replace("http", "ws") + "/graphql", "graphql-ws");
    socket.onopen = () => { tried[name] = "opened"; done() }
    socket.onerror = () => { tried[name] = "refused"; done() } });
Promise.all([
    sent("plain text", {method: "POST", mode: "no-cors", headers: {"Content-Type": "text/plain"}, body: json}),
    sent("no referrer", {method: "POST", mode: "no-cors", referrerPolicy: "no-referrer", body: json}),
    sent("json", {method: "POST", headers: {"Content-Type": "application/json"}, body: json}),
    sent("get", {mode: "no-cors"}), sent("read", {}, at + "/server_info"),
    sent("beacon", {method: "POST", mode: "no-cors", keepalive: true, body: new URLSearchParams({query})}),
    loaded("picture", new Image(), url), loaded("script", document.createElement("script"), url),
    loaded("frame", document.createElement("iframe"), at + "/"),
    submitted("form", "post", "text/plain"), submitted("get form", "get", "text/plain"), talked("WebSocket"),
]).then(() => { document.title = JSON.stringify(tried) });
</script>"""


def mutation(location: str, key: str) -> str:
    """Return a query that launches a run of one asset, and needs no variables."""
    return MUTATION % (json.dumps(location), json.dumps(key.split("/")))


def in_url(query: str) -> str:
    """Return the path that has the query in it."""
    return f"/graphql?query={quote(query)}"


@contextmanager
def foreign(folder: Path, target: str, query: str) -> Iterator[int]:
    """Serve the page that tries to send the query to the target; give its port."""
    page = PAGE.replace("TARGET", json.dumps(target), 1).replace("QUERY", json.dumps(query), 1)
    (folder / "index.html").write_text(page)
    handler = functools.partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass
