"""The helper process of a forked child: it does what the child asks for, with a client of obstore of its own."""

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from dataset_assets.storage.connectors.bucket.address import bucket_of
from dataset_assets.storage.connectors.bucket.fork_client import receive, send
from dataset_assets.storage.connectors.bucket.objects import Objects
from dataset_assets.storage.patience import hasty

Answer = tuple[dict[str, Any], bytes]


def serve() -> None:
    """Answer the requests on standard input until it is closed."""
    # Ctrl-C is meant for the process that asks.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    # What a library prints must not get among the answers.
    sys.stdout = sys.stderr
    readers: dict[int, Any] = {}
    while (request := receive(requests)) is not None:
        try:
            # The process that asks waits for a server that is too busy, as long as it wants to.
            with hasty():
                header, data = _answer(*request, readers)
        except Exception as error:
            header, data = {"error": type(error).__name__, "args": _arguments(error)}, b""
        send(answers, header, data)


def _end_with(parent: int) -> None:
    """End with the process that asks, even while a request waits for a server."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def _answer(header: dict[str, Any], data: bytes, readers: dict[int, Any]) -> Answer:
    if "handle" in header:
        return {}, _read(header, readers)
    verb, key = header["verb"], header["key"]
    # The process that asks has checked the key, if it must be one of a storage.
    storage = Objects(bucket_of(header["url"]), retries=header["retries"], silence=header["silence"])
    if verb in ("reader", "streamed"):
        reader = storage.reader(key, header["e_tag"]) if verb == "reader" else storage.streamed(key)
        handle = max(readers, default=0) + 1
        readers[handle] = reader
        return {"handle": handle, "size": reader.size}, b""
    if verb == "content":
        content, condition = storage.content(key)
        return {"result": condition}, content
    return {"result": _done(storage, verb, key, header, data)}, b""


def _done(storage: Objects, verb: str, key: str, header: dict[str, Any], data: bytes) -> Any:
    if verb == "upload":
        return storage.put(key, Path(header["path"]) if "path" in header else data)
    if verb == "put_if":
        return storage.put_if(key, data, header["condition"])
    if verb == "objects":
        return [*storage.objects(key)]
    return {"stat": storage.stat, "head": storage.head, "remove": storage.remove}[verb](key)


def _read(header: dict[str, Any], readers: dict[int, Any]) -> bytes:
    verb, reader = header["verb"], readers[header["handle"]]
    if verb == "whole":
        return bytes(reader.whole())
    if verb == "part":
        return bytes(memoryview(reader.part(header["start"], header["stop"])))
    if verb == "ranges":
        return b"".join(bytes(part) for part in reader.ranges(header["starts"], header["stops"]))
    readers.pop(header["handle"]).close()
    return b""


def _arguments(error: Exception) -> list[Any]:
    """Return the arguments that make the error again."""
    args = [error.errno, error.strerror, error.filename] if isinstance(error, OSError) else [str(error)]
    return [arg for arg in args if arg is not None]
