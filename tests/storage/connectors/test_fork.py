"""Buckets in forked children: frames that are cut, requests that are interrupted, a helper process that ends."""

import io
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from children import in_child
from servers import Place, Proxy

from dataset_assets.errors import StoreUnavailable
from dataset_assets.storage.connectors.bucket import fork_client
from dataset_assets.storage.connectors.bucket.address import bucket_of
from dataset_assets.storage.connectors.bucket.store import ObjectStorage
from dataset_assets.testing.storage import content

numbers = itertools.count()


@pytest.fixture
def storage(seaweed: Place, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> ObjectStorage:
    """A bucket behind the proxy that holds `a` and `b`; this process has used it."""
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    url = f"{seaweed.url}fork/{os.getpid()}/{next(numbers)}?endpoint={proxy.url}"
    storage = ObjectStorage(bucket_of(url), retries=1)
    storage.put("a", b"content of a")
    storage.put("b", b"content of b")
    return storage


HEADER: dict[str, Any] = {"result": ["a", "b\n"], "size": 3}


def test_a_frame_is_read_as_it_was_written() -> None:
    file = io.BytesIO()
    for data in (b"", b"0123\n456789"):
        fork_client.send(file, HEADER, data)
    file.seek(0)
    assert fork_client.receive(file) == ({**HEADER, "bytes": 0}, b"")
    assert fork_client.receive(file) == ({**HEADER, "bytes": 11}, b"0123\n456789")
    assert fork_client.receive(file) is None


def test_a_frame_that_is_cut_anywhere_is_no_answer() -> None:
    file = io.BytesIO()
    fork_client.send(file, HEADER, b"0123\n456789")
    frame = file.getvalue()
    assert [n for n in range(len(frame) + 1) if fork_client.receive(io.BytesIO(frame[:n]))] == [len(frame)]


def test_a_request_after_an_interrupted_one_gets_its_own_answer(storage: ObjectStorage, proxy: Proxy) -> None:
    proxy.fault = lambda method, path: time.sleep(1.5) if method == "GET" and path.endswith("/a") else None

    def interrupted() -> None:
        assert content(storage, "b") == b"content of b"
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        with pytest.raises(KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            content(storage, "a")
        assert content(storage, "b") == b"content of b"

    assert in_child(interrupted) == 0


def test_a_helper_that_was_killed_is_one_error_and_a_new_one_is_started(storage: ObjectStorage) -> None:
    def killed() -> None:
        assert content(storage, "b") == b"content of b"
        [helper] = [helper for (process, _), helper in fork_client._helpers.items() if process == os.getpid()]
        helper.process.kill()
        helper.process.wait()
        with pytest.raises(StoreUnavailable, match="for this forked process ended. Try again."):
            storage.exists("a")
        assert storage.exists("a")

    assert in_child(killed) == 0


CIRCLE = """
import sys
import dataset_assets.storage.connectors.bucket.fork_client
print([name for name in sys.modules if name.startswith("obstore") or name.endswith(("bucket.store", "fork_server"))])
"""


def test_the_client_for_forked_processes_knows_no_store(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CIRCLE], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "[]\n"
