"""A small internet: servers at addresses of all kinds in a network namespace, which redirect to each other.

`run` starts it as a program in a namespace of its own; it prints, as JSON, what came of each download.
"""

import json
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from dataset_assets.errors import DatasetAssetsError
from dataset_assets.retrieval import fetch_first
from dataset_assets.retrieval.http import HttpLimits, HttpRetriever
from dataset_assets.testing import FaultyServer, Redirect

ADDRESSES = (
    "93.184.215.14", "2606:2800:220::1", "10.1.2.3", "100.64.0.9", "172.16.0.9", "192.168.3.4", "fd12::1",
    "169.254.169.254", "168.63.129.16", "fd00:ec2::254", "127.0.0.1", "127.0.0.2", "::1",
)  # fmt: skip
PUBLIC = ADDRESSES[0]
SPELLED = ("0.0.0.0", "2130706433", "127.1")
MAPPED = {"10.1.2.3": "::ffff:10.1.2.3", "127.0.0.1": "::ffff:127.0.0.1", "169.254.169.254": "::ffff:169.254.169.254"}


def run(intranet: bool) -> list[list[Any]] | None:
    """Return a row for each download: from where, to where, what came, and whether it was asked for; None if a
    namespace cannot be made here."""
    added = "; ".join(f"ip address add {address} dev lo nodad 2> /dev/null" for address in ADDRESSES)
    # Before Python starts: urllib3 looks once whether there is IPv6.
    command = f'ip link set lo up || exit 77; {added}; exec "$@"'
    program = [sys.executable, __file__, "intranet" if intranet else "internet"]
    done = subprocess.run(
        ["unshare", "-r", "-n", "sh", "-c", command, "sh", *program], capture_output=True, text=True, check=False
    )
    if done.returncode in (1, 77) and "Traceback" not in done.stderr:
        return None
    assert done.returncode == 0, done.stderr[-2000:]
    rows: list[list[Any]] = json.loads(done.stdout)
    return rows


def main(intranet: bool) -> None:
    with ExitStack() as stack:
        servers = {at: stack.enter_context(FaultyServer({"/x": at.encode()}, host=at)) for at in ADDRESSES}
        rows = [row(servers, a, b, intranet) for a in ADDRESSES for b in ADDRESSES]
        rows += [row(servers, PUBLIC, b, intranet, written=f"[{mapped}]") for b, mapped in MAPPED.items()]
        rows += [
            row(servers, PUBLIC, "127.0.0.1", intranet, written=name) for name in ("0.0.0.0", "2130706433", "127.1")
        ]
        rows += rebinding(servers, intranet)
    print(json.dumps(rows))


def row(servers: dict[str, FaultyServer], a: str, b: str, intranet: bool, written: str = "") -> list[Any]:
    """Have one server redirect to another; return both, what came, and whether the other one was asked."""
    target = servers[b].url
    if written:
        target = f"http://{written}:{target.rpartition(':')[2]}"
    return [a, written or b, *download(servers[a], servers[b], f"{target}/x", intranet)]


def download(first: FaultyServer, other: FaultyServer, target: str, intranet: bool) -> tuple[str, bool]:
    other.forget()
    first.script("/start", [Redirect(target)])
    with tempfile.TemporaryDirectory() as folder:
        limits = HttpLimits(attempts=1, connect_timeout=60, idle_timeout=60, intranet=intranet)
        try:
            fetch_first([f"{first.url}/start"], Path(folder, "x"), retrievers=lambda _: HttpRetriever(limits))
            said = Path(folder, "x").read_text()
        except DatasetAssetsError as error:
            said = f"{type(error).__name__}: {error}"
    return said, any(request.path == "/x" for request in other.requests)


def rebinding(servers: dict[str, FaultyServer], intranet: bool) -> list[list[Any]]:
    """Redirect to names whose addresses change from one look-up to the next, or are of several kinds."""
    asked = socket.getaddrinfo
    answers: list[list[str]] = []

    def resolve(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if not str(host).endswith(".example"):
            return asked(host, port, *args, **kwargs)
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [entry for address in found for entry in asked(address, port, *args, **kwargs)]

    socket.getaddrinfo = resolve
    rows = []
    for name, said in {
        "private": [["127.0.0.1"]],
        "changing": [[PUBLIC], ["127.0.0.1"], ["127.0.0.1"]],
        "both": [["127.0.0.1", PUBLIC]],
    }.items():
        answers[:] = said
        port = servers["127.0.0.1"].url.rpartition(":")[2]
        target = f"http://{name}.example:{port}/x"
        rows.append([PUBLIC, name, *download(servers[PUBLIC], servers["127.0.0.1"], target, intranet)])
    socket.getaddrinfo = asked
    return rows


if __name__ == "__main__":
    main(sys.argv[1] == "intranet")
