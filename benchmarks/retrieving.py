"""Many files of a far server, retrieved at once and one after another.

    python benchmarks/retrieving.py [--files 200] [--megabytes 1] [--milliseconds 20] [--repeats 3]

The server is a process of this machine that waits so long before each answer. "One after another" is the same `prepare`
with one connection, and a plain loop of requests that writes each file and hashes it. Goal: at least 4 times as fast.
"""

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Iterator
from unittest import mock

import requests

from dataset_assets import Array, Dataset, ForEach, RemoteFile, Split, prepare
from dataset_assets.making import at_once

SERVER = """
import sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY = bytes(range(256)) * (int(sys.argv[1]) * 4096)

class Late(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 20
    def do_GET(self):
        time.sleep(float(sys.argv[2]))
        number = self.path.strip("/").encode().rjust(8)
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY) + len(number)))
        self.send_header("ETag", '"%s"' % self.path)
        self.end_headers()
        self.wfile.write(number)
        self.wfile.write(BODY)
    def log_message(self, *arguments):
        pass

class Server(ThreadingHTTPServer):
    request_queue_size = 128

server = Server(("127.0.0.1", 0), Late)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


def length(file: BinaryIO) -> Iterator[dict[str, Any]]:
    yield {"bytes": len(file.read())}


def ours(urls: list[str], folder: Path, per_host: int) -> None:
    split = Split(length, file=ForEach([RemoteFile(url) for url in urls]))
    os.environ["DATASET_ASSETS_HOME"] = str(folder)
    dataset = Dataset("org.example.many", "Many files.", {"bytes": Array("int64")}, {"all": split})
    with mock.patch.object(at_once.retrieved, "__defaults__", (per_host, at_once.retrieved.__defaults__[1])):  # type: ignore[index]
        prepare(dataset, engine="here")


def plain(urls: list[str], folder: Path) -> None:
    with requests.Session() as session:
        for number, url in enumerate(urls):
            body = session.get(url).content
            hashlib.sha256(body).hexdigest()
            (folder / str(number)).write_bytes(body)


def seconds(run: Callable[..., None], urls: list[str], *more: Any) -> float:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        run(urls, Path(folder), *more)
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--megabytes", type=int, default=1)
    parser.add_argument("--milliseconds", type=float, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    command = [sys.executable, "-c", SERVER, str(chosen.megabytes), str(chosen.milliseconds / 1000)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        port = int(server.stdout.readline())
        urls = [f"http://127.0.0.1:{port}/{k}" for k in range(chosen.files)]
        ratios, plains = [], []
        for _ in range(chosen.repeats):
            loop, one = seconds(plain, urls), seconds(ours, urls, 1)
            many = seconds(ours, urls, at_once.PER_HOST)
            ratios.append(one / many)
            plains.append(loop / many)
            print(
                f"a loop {loop:.1f} s, one connection {one:.1f} s, {at_once.PER_HOST} connections {many:.1f} s",
                flush=True,
            )
        for what, found in (("one connection", ratios), ("a loop", plains)):
            print(f"{statistics.median(found):.2f} [{min(found):.2f}-{max(found):.2f}] times as fast as {what}")
        server.terminate()


if __name__ == "__main__":
    main()
