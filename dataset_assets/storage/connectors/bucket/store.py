"""Storage in a bucket: S3 and what speaks its protocol (`s3://`), Azure (`az://`), Google Cloud Storage (`gs://`).

`s3://bucket/prefix`; the prefix may be left out. The endpoint and the region are those of the environment, such as
`AWS_ENDPOINT_URL` and `AWS_REGION`, or of the URL: `s3://bucket/prefix?endpoint=https://host&region=eu-west-1`. Keys
and tokens come from the environment, or from the machine or container this runs on, never from a URL.

S3 and Azure are tested against servers. `gs://` is the same code with another client of obstore; it is tested against a
fixture written from Google's documentation, for want of a server that obstore can write to.
"""

import errno
import hashlib
import os
import time
from contextlib import suppress
from datetime import timedelta
from functools import lru_cache, partial, wraps
from pathlib import Path
from typing import Any, BinaryIO, Callable, Iterator, TypeVar, cast

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import AzureStore, GCSStore, S3Store

from dataset_assets.core import files
from dataset_assets.core.interruptible import interruptibly
from dataset_assets.errors import NameNotAllowed, StorageError
from dataset_assets.storage.connectors.bucket.address import Bucket, Denied, bucket_of, explained, was_retried
from dataset_assets.storage.connectors.bucket.fork_client import ForkedBucket, ForkedReader
from dataset_assets.storage.connectors.bucket.pages import Listing
from dataset_assets.storage.object_file import Changed, opened
from dataset_assets.storage.storage import Stat, Stray, check_key

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

PART_BYTES = 8 << 20
MOST_PARTS = 9_000
PARTS_AT_ONCE = 8
STREAMED = 1 << 20
ATTEMPTS = 3
# Clients of wrong credentials are not made anew at every call.
RENEWED_SECONDS = 5.0

# A server that is overloaded is asked again for about 20 seconds, a minute at most.
_BACKOFF: Any = {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=5), "base": 2}
_RETRY: Any = {"backoff": _BACKOFF, "retry_timeout": timedelta(minutes=1)}
RETRIES = 8
# Without a limit for the whole of an answer: a large object is read at the pace of its reader.
_CLIENT: Any = {"connect_timeout": "5s", "read_timeout": "60s", "timeout": "12h"}

_STORES = {"s3": S3Store, "az": AzureStore, "gs": GCSStore}

# The threads of obstore do not live on in a forked child: whatever it was asked for there would be waited for for ever.
_used_by: int | None = None
_renewals: dict[Bucket, tuple[int, float]] = {}


def _forkable(verb: F) -> F:
    """Let the process beside it do what a forked child asks for."""

    @wraps(verb)
    def act(self: Any, *args: Any) -> Any:
        other = self.beside()
        return verb(self, *args) if other is None else getattr(other, verb.__name__)(*args)

    return cast(F, act)


class ObjectStorage:
    """Objects in a bucket, below a prefix. One that is uploaded is seen when all of it has arrived.

    Its files are read through the cache on this machine. In a forked child whose parent had used a bucket, a process
    beside it does what is asked (`dataset_assets.storage.connectors.bucket.fork_client`).
    """

    cached = True

    def __init__(self, bucket: Bucket, *, retries: int = RETRIES) -> None:
        self.bucket, self.retries = bucket, retries
        self.url = bucket.url
        self._seen = False

    def __reduce__(self) -> tuple[Any, ...]:
        return open_bucket, (self.url,)

    @_forkable
    def get(self, key: str) -> BinaryIO:
        return opened(key, self.reader(key))

    @_forkable
    def put(self, key: str, source: Path | bytes) -> None:
        path = self._path(key)
        if not isinstance(source, Path):
            self._write(key, lambda store: obstore.put(store, path, bytes(source)))
            return
        with files.reported(source), open(source, "rb") as file:
            size = max(PART_BYTES, -(-os.fstat(file.fileno()).st_size // MOST_PARTS))
            options: Any = {"chunk_size": size, "max_concurrency": PARTS_AT_ONCE}

            def upload(store: Any) -> None:
                file.seek(0)
                obstore.put(store, path, file, **options)

            self._write(key, upload)

    @_forkable
    def exists(self, key: str) -> bool:
        path = self._path(key)
        try:
            self._call(key, lambda store: obstore.head(store, path))
            return True
        except FileNotFoundError:
            self._see_bucket()
            return False

    @_forkable
    def stat(self, key: str) -> Stat:
        path = self._path(key)
        try:
            found = self._call(key, lambda store: obstore.head(store, path))
        except FileNotFoundError:
            self._see_bucket()
            raise
        return Stat(found["size"], found["last_modified"].timestamp())

    @_forkable
    def list(self, prefix: str) -> Iterator[str]:
        below = self._path(prefix) if prefix else self.bucket.prefix
        return self._below(below)

    @_forkable
    def delete(self, key: str) -> None:
        path = self._path(key)
        try:
            self._call(key, lambda store: obstore.delete(store, path))
        except FileNotFoundError:
            self._see_bucket()

    @_forkable
    def swap(self, key: str, new: bytes, expected: str | None) -> bool:
        """Set a small object if it still has the sha256 `expected` (None: is absent); say whether it was set.

        The store compares again when it writes, by the ETag of the bytes that were compared here.
        """
        path = self._path(key)
        held, mode = self._held(key)
        if (None if held is None else hashlib.sha256(held).hexdigest()) != expected:
            return False
        try:
            self._write(key, lambda store: obstore.put(store, path, bytes(new), mode=mode, use_multipart=False))
            return True
        except _Lost as lost:
            # The first answer may have been lost, and the second attempt have found what the first one wrote.
            return lost.retried and self._held(key)[0] == new

    def strays(self, older_than: float) -> Iterator[Stray]:
        """Yield the uploads to S3 that nobody ended. Azure forgets such by itself, Google by a rule of the bucket."""
        if self.bucket.scheme == "s3":
            from dataset_assets.storage.connectors.bucket.unfinished_uploads import unfinished

            yield from unfinished(self.bucket, older_than)

    def reader(self, key: str, e_tag: str | None = None) -> "_Object":
        """Find an object, to read it; raises `Changed` if it has another ETag than is given."""
        path = self._path(key)
        try:
            found = self._call(key, lambda store: obstore.head(store, path))
        except FileNotFoundError:
            self._see_bucket()
            raise
        if e_tag and found["e_tag"] != e_tag:
            raise Changed(key, self.url)
        return _Object(self, key, found)

    def beside(self) -> ForkedBucket | None:
        """Return who asks for this process, if it was forked from one that had used a bucket."""
        if _used_by in (None, os.getpid()):
            return None
        return ForkedBucket(self.url, self.retries, hash(self.bucket.environment()))

    def _held(self, key: str) -> tuple[bytes | None, Any]:
        """Return the bytes of an object, and the condition that it is still this one."""
        path = self._path(key)
        try:
            found = self._call(key, lambda store: obstore.get(store, path))
            data = self._call(key, lambda store: found.bytes().to_bytes())
        except FileNotFoundError:
            return None, "create"
        meta = found.meta
        return data, {name: meta[name] for name in ("e_tag", "version") if meta[name]}

    def _below(self, folder: str) -> Iterator[str]:
        skipped = len(f"{self.bucket.prefix}/") if self.bucket.prefix else 0
        for path in Listing(self, folder):
            if _is_key(key := path[skipped:]):
                yield key

    def _path(self, key: str) -> str:
        return f"{self.bucket.prefix}/{check_key(key)}".removeprefix("/")

    def _write(self, key: str, act: Callable[[Any], object]) -> None:
        try:
            self._call(key, act)
        except FileNotFoundError:
            # Also where the answer does not say so: to write, nothing else has to be there.
            missing = self.bucket.missing()
        else:
            return
        raise missing

    def _see_bucket(self) -> None:
        """Raise `StorageError` if it is the bucket that is not there: of a single object no answer says so."""
        if self._seen:
            return
        # Who may not list has an answer all the same: that the object is not there.
        with suppress(Denied):
            next(self.list(""), None)
        self._seen = True

    def _call(self, key: str, act: Callable[[Any], T], store: Any = None) -> T:
        """Act on the store; raise errors of ours, outside of the handler, so that they do not carry obstore's."""
        store = store or self.client(key)
        found = self.asked(key, act, store)
        # Credentials may have expired: a new client asks the environment, or the machine, for those of now.
        if isinstance(found, Denied) and (other := self.renewed(store)) is not None:
            found = self.asked(key, act, other)
        if isinstance(found, Exception):
            raise found
        return found

    def client(self, key: str) -> Any:
        """Return the client of now; raises an error of ours if there can be none."""
        found = self._tried(key, self._store)
        if isinstance(found, Exception):
            raise found
        return found

    def renewed(self, store: Any) -> Any:
        """Return another client than the one that was refused; None if that one is new."""
        return _renewed(self.bucket, store, self._store)

    def asked(self, key: str, act: Callable[[Any], T], store: Any) -> T | Exception:
        """Act once, and return what comes of it, or an error of ours."""
        # obstore listens to no signal while it waits.
        return self._tried(key, partial(interruptibly, partial(act, store)))

    def _tried(self, key: str, act: Callable[[], T]) -> T | Exception:
        try:
            return act()
        except (FileNotFoundError, BaseError) as error:
            if isinstance(error, (AlreadyExistsError, PreconditionError)):
                return _Lost(was_retried(error))
            return explained(error, self.bucket, key)

    def _store(self) -> Any:
        global _used_by
        _used_by = os.getpid()
        return _store(self.bucket, self.retries, hash(self.bucket.environment()), _generation(self.bucket))


def open_bucket(url: str) -> ObjectStorage:
    """Open the bucket of a URL such as `s3://bucket/prefix`."""
    return ObjectStorage(bucket_of(url))


class _Lost(Exception):
    """A condition that does not hold any more."""

    def __init__(self, retried: bool) -> None:
        super().__init__("the condition does not hold")
        self.retried = retried


class _Object:
    """An object being read: by a request for each jump, and by one that goes on while it is read on."""

    def __init__(self, storage: ObjectStorage, key: str, meta: Any) -> None:
        self.storage, self.key, self.path = storage, key, meta["path"]
        self.size: int = meta["size"]
        self.condition = {"if_match": meta["e_tag"]} if meta["e_tag"] else {}
        self._client: Any = None
        self._generation = -1
        self._next, self._left = 0, memoryview(b"")
        self._stream: Iterator[Any] | None = None
        self._others: dict[int, ForkedReader] = {}

    def beside(self) -> ForkedReader | None:
        """Return who reads it for this process, if it was forked after it was opened."""
        asker, process = self.storage.beside(), os.getpid()
        if asker is not None and process not in self._others:
            self._others[process] = asker.reader(self.key, self.condition.get("if_match"))
        return self._others.get(process)

    @_forkable
    def whole(self) -> bytes:
        return self._call(lambda store: obstore.get(store, self.path).bytes().to_bytes())

    @_forkable
    def part(self, start: int, stop: int) -> Any:
        on, self._next = start == self._next, start
        if not on:
            self.close()
        data = self._streamed(stop) if on or stop - start >= STREAMED else self._ranged(start, stop)
        self._next += len(data)
        return data

    @_forkable
    def ranges(self, starts: list[int], stops: list[int]) -> list[Any]:
        """Return several parts; those that are close to each other come in one answer."""
        return self._call(lambda store: obstore.get_ranges(store, self.path, starts=starts, ends=stops))

    def close(self) -> None:
        # Not by asking: nobody is started to close what was never read here.
        if (other := self._others.pop(os.getpid(), None)) is not None:
            other.close()
        self._stream, self._left = None, memoryview(b"")

    def _ranged(self, start: int, stop: int) -> memoryview:
        options: Any = {"range": (start, stop), **self.condition}
        return memoryview(self._call(lambda store: obstore.get(store, self.path, options=options).bytes()))

    def _streamed(self, stop: int) -> memoryview:
        if not self._left:
            self._left = memoryview(self._more())
        count = stop - self._next
        data, self._left = self._left[:count], self._left[count:]
        return data

    def _more(self, attempts: int = ATTEMPTS) -> Any:
        """Return the next piece of the stream, which is asked for again from there on if it breaks."""
        stream = self._stream or self._call(self._begun)
        try:
            self._stream = stream
            return self._taken(stream)
        except StopIteration:
            self._stream = None
            ended = StorageError(errno.EIO, f"{self.key} in {self.storage.url} ended early, at byte {self._next}.")
        except Changed:
            raise
        except StorageError as error:
            self._stream, ended = None, error
        if attempts:
            return self._more(attempts - 1)
        raise ended

    def _begun(self, store: Any) -> Iterator[Any]:
        options: Any = {"range": {"offset": self._next}, **self.condition}
        return iter(obstore.get(store, self.path, options=options).stream(STREAMED))

    def _taken(self, stream: Iterator[Any]) -> Any:
        # Asked once: what failed has ended, and the next piece is that of a stream that is begun anew.
        found = self.storage.asked(self.key, lambda _: next(stream), None)
        if isinstance(found, (_Lost, FileNotFoundError)):
            raise Changed(self.key, self.storage.url)
        if isinstance(found, Exception):
            raise found
        return found

    def _call(self, act: Callable[[Any], T]) -> T:
        try:
            return self.storage._call(self.key, act, self._held_client())
        except (_Lost, FileNotFoundError):
            pass
        raise Changed(self.key, self.storage.url)

    def _held_client(self) -> Any:
        """Return the same client for all that is read, until it is refused: to look at the environment takes time."""
        generation = _generation(self.storage.bucket)
        if generation != self._generation:
            self._client, self._generation = self.storage._tried(self.key, self.storage._store), generation
        return None if isinstance(self._client, Exception) else self._client


def _generation(bucket: Bucket) -> int:
    return _renewals.get(bucket, (0, 0.0))[0]


@lru_cache(maxsize=16)
def _store(bucket: Bucket, retries: int, environment: int, generation: int) -> Any:
    """Return a client, the same one for the same environment: it holds the connections."""
    bucket.check_encrypted()
    options = {**_CLIENT, "allow_http": bucket.endpoint.startswith("http://")}
    retry = {**_RETRY, "max_retries": retries}
    return _STORES[bucket.scheme](bucket.name, config=bucket.config(), client_options=options, retry_config=retry)


def _renewed(bucket: Bucket, store: Any, current: Callable[[], Any]) -> Any:
    """Return another client than the one that was refused; None if that one is new."""
    generation, when = _renewals.get(bucket, (0, 0.0))
    if current() is store:
        if time.monotonic() < when + RENEWED_SECONDS:
            return None
        _renewals[bucket] = generation + 1, time.monotonic()
    return current()


def _is_key(key: str) -> bool:
    try:
        return bool(check_key(key))
    except NameNotAllowed:
        return False
