"""Reading an object of a bucket: a request for each jump, and one that goes on while it is read on."""

import errno
import os
import time
from typing import Any, Iterator

import obstore

from dataset_assets.errors import StorageError
from dataset_assets.storage.connectors.bucket.client import Clients, request
from dataset_assets.storage.connectors.bucket.fork_client import ForkedReader
from dataset_assets.storage.object_file import Changed

STREAMED = 1 << 20
"""The size of a piece of a stream; as much at once is read by a stream, and less after a jump by a range."""
ATTEMPTS = 3


def _gone(reader: "BucketReader", error: Exception) -> Exception:
    return Changed(reader.key, reader.clients.bucket.url)


class BucketReader:
    """Reads one object as it was when it was opened: raises `Changed` if it was replaced or deleted."""

    def __init__(self, clients: Clients, key: str, meta: Any, stream: Iterator[Any] | None = None) -> None:
        self.clients, self.key, self.path = clients, key, meta["path"]
        self.size: int = meta["size"]
        self.condition = {"if_match": meta["e_tag"]} if meta["e_tag"] else {}
        self._client: Any = None
        self._generation = -1
        self._next, self._left = 0, memoryview(b"")
        self._stream = stream
        self._forked: dict[int, ForkedReader] = {}

    def whole(self) -> bytes:
        if (other := self.forked()) is not None:
            return other.whole()
        return self._rest() if self._stream else self._at_once()

    def _rest(self) -> bytes:
        """Return the whole object by the stream that it was opened with."""
        data = bytearray()
        while len(data) < self.size:
            data += self.part(len(data), self.size)
        return bytes(data)

    @request(_gone)
    def _at_once(self, client: Any) -> bytes:
        return obstore.get(client, self.path).bytes().to_bytes()

    def part(self, start: int, stop: int) -> Any:
        if (other := self.forked()) is not None:
            return other.part(start, stop)
        reads_on, self._next = start == self._next, start
        if not reads_on:
            self.close()
        data = self._streamed(stop) if reads_on or stop - start >= STREAMED else self._range(start, stop)
        self._next += len(data)
        return data

    @request(_gone)
    def ranges(self, client: Any, starts: list[int], stops: list[int]) -> list[Any]:
        """Return several parts; those that are close to each other come in one answer."""
        return obstore.get_ranges(client, self.path, starts=starts, ends=stops)

    def close(self) -> None:
        # Not by `forked`: it would start a helper process to close what was never read here.
        if (other := self._forked.pop(os.getpid(), None)) is not None:
            other.close()
        self._stream, self._left = None, memoryview(b"")

    # What a request needs.

    def client(self, key: str) -> Any:
        """Return the same client until it is renewed: looking at the environment for each request takes time."""
        if (generation := self.clients.generation()) != self._generation:
            self._client, self._generation = self.clients.current(key), generation
        return self._client

    def forked(self) -> ForkedReader | None:
        """Return the reader of the helper process if this is a forked child of the process that opened the object."""
        bucket, process = self.clients.forked(), os.getpid()
        if bucket is not None and process not in self._forked:
            self._forked[process] = bucket.reader(self.key, self.condition.get("if_match"))
        return self._forked.get(process)

    def key_of(self, *args: Any, **kwargs: Any) -> str:
        return self.key

    # Streams.

    @request(_gone)
    def _range(self, client: Any, start: int, stop: int) -> memoryview:
        options: Any = {"range": (start, stop), **self.condition}
        return memoryview(obstore.get(client, self.path, options=options).bytes())

    @request(_gone)
    def _new_stream(self, client: Any) -> Iterator[Any]:
        options: Any = {"range": {"offset": self._next}, **self.condition}
        return iter(obstore.get(client, self.path, options=options).stream(STREAMED))

    def _streamed(self, stop: int) -> memoryview:
        if not self._left:
            self._left = memoryview(self._next_piece())
        count = stop - self._next
        data, self._left = self._left[:count], self._left[count:]
        return data

    def _next_piece(self, attempts: int = ATTEMPTS, until: float | None = None) -> Any:
        """Return the next piece of the stream. A stream that breaks is begun anew from there on."""
        until = time.monotonic() + self.clients.silence / 2 if until is None else until
        # An interrupted wait loses its piece to another thread: so the stream is kept only after it gave one.
        stream, self._stream = self._stream or self._new_stream(), None
        piece = self.clients.attempt(self.key, lambda _: next(stream, b""), None)
        if piece and not isinstance(piece, Exception):
            self._stream = stream
            return piece
        if isinstance(piece, FileNotFoundError):
            piece = _gone(self, piece)
        if attempts and not isinstance(piece, Changed) and time.monotonic() < until:
            return self._next_piece(attempts - 1, until)
        url = self.clients.bucket.url
        raise piece or StorageError(errno.EIO, f"{self.key} in {url} ended early, at byte {self._next}.")
