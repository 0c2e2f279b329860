"""Storage in a bucket: S3 and what speaks its protocol (`s3://`), Azure (`az://`), Google Cloud Storage (`gs://`).

`s3://bucket/prefix`; the prefix is optional. Endpoint and region come from the environment, such as `AWS_ENDPOINT_URL`
and `AWS_REGION`, or from the URL: `s3://bucket/prefix?endpoint=https://host&region=eu-west-1`. Keys and tokens come
from the environment, or from the machine or container that this runs on, never from a URL.

S3 and Azure are tested against servers. `gs://` is the same code with another client of obstore. It is tested against a
fixture written from Google's documentation, because there is no server to install that obstore can write to.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Iterable, Iterator, Mapping

import obstore
from obstore.exceptions import AlreadyExistsError, PreconditionError

from dataset_assets.core import files
from dataset_assets.core.interruptible import within
from dataset_assets.errors import NameNotAllowed, StorageError, StoreDenied
from dataset_assets.storage.connectors.bucket.address import Bucket, bucket_of
from dataset_assets.storage.connectors.bucket.answers import is_conflict
from dataset_assets.storage.connectors.bucket.client import RETRIES, Clients, request
from dataset_assets.storage.connectors.bucket.fork_client import ForkedBucket
from dataset_assets.storage.connectors.bucket.pages import Listing, one_level
from dataset_assets.storage.connectors.bucket.reader import STREAMED, BucketReader
from dataset_assets.storage.object_file import Changed, opened
from dataset_assets.storage.outcome import settled, without_conditions
from dataset_assets.storage.storage import Entry, Level, Stat, check_key, is_directly_in, level_in

PART_BYTES = 8 << 20
MOST_PARTS = 9_000
PARTS_AT_ONCE = 8
PUTS_AT_ONCE = 16


def _size(source: Path | bytes) -> int:
    return len(source) if isinstance(source, bytes) else source.stat().st_size


def _no_object(storage: "ObjectStorage", error: Exception) -> Exception:
    storage.see_bucket()
    return error


def _no_bucket(storage: "ObjectStorage", error: Exception) -> Exception:
    # A write needs nothing else to be there, even if the answer does not name the bucket.
    return storage.bucket.missing()


class ObjectStorage:
    """Objects in a bucket, below a prefix. An object is visible when all of its upload has arrived.

    Files are read through the cache of this machine. In a forked child a helper process makes the requests.
    """

    cached = True

    def __init__(self, bucket: Bucket, *, retries: int = RETRIES, silence: float | None = None) -> None:
        self.bucket, self.retries = bucket, retries
        self.url = bucket.url
        self.clients = Clients(bucket, retries, silence)
        self._seen = False

    def __reduce__(self) -> tuple[Any, ...]:
        return open_bucket, (self.url,)

    def get(self, key: str) -> BinaryIO:
        return opened(key, self.reader(key))

    def put(self, key: str, source: Path | bytes) -> None:
        check_key(key)
        if isinstance(source, Path):
            with files.opened(source) as file:
                self.upload(key, file)
        else:
            self.upload(key, bytes(source))

    def put_all(self, sources: Mapping[str, Path | bytes]) -> None:
        """Put many objects: small ones several at a time, because each waits for an answer."""
        alone = self.forked() is not None
        small = {} if alone else {key: one for key, one in sources.items() if _size(one) < PART_BYTES}
        # Readers start faster without it.
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(PUTS_AT_ONCE, "dataset_assets-put")
        try:
            for _ in pool.map(self.put, small, small.values()):
                pass
        finally:
            pool.shutdown(cancel_futures=True)
        for key in sources.keys() - small.keys():
            self.put(key, sources[key])

    def exists(self, key: str) -> bool:
        try:
            self.stat(key)
        except FileNotFoundError:
            return False
        return True

    def list(self, prefix: str) -> Iterator[str]:
        return (entry.key for entry in self.objects(prefix))

    def entries(self, prefix: str, deep: bool = True) -> Iterator[Entry]:
        return (entry for entry in self.objects(prefix) if deep or is_directly_in(prefix, entry.key))

    def level(self, prefix: str) -> Level:
        """Return what lies directly in a folder: by two requests, or by listing all below it where these do not do."""
        # The helper of a forked child only lists all.
        if (found := self.shown(prefix) if self.forked() is None else None) is None:
            return level_in(prefix, self.list(prefix))
        self._seen = True
        keys, folders = ([*filter(_is_key, map(self._key, some))] for some in found)
        return Level(keys, folders)

    def get_whole(self, key: str) -> BinaryIO:
        return opened(key, self.streamed(key))

    def delete(self, key: str) -> None:
        with suppress(FileNotFoundError):
            self.remove(key)

    def swap(self, key: str, new: bytes, expected: str | None) -> bool:
        """Set a small object if it still has the sha256 `expected` (None: is absent); say whether it was set.

        The store compares again when it writes, by the ETag of the bytes that were compared here.
        """
        digest, condition = self._digest(key)
        if digest != expected:
            return False
        if self.bucket.has_one_writer:
            self.put(key, bytes(new))
            return True
        made = hashlib.sha256(new).hexdigest()
        if settled(
            lambda: self.put_if(key, bytes(new), condition),
            lambda: self._digest(key)[0] == made,
            True,
            self.clients.silence / 2,
        ):
            return True
        # An attempt before the one that was refused may have set it.
        now, _ = self._digest(key)
        if now == expected:
            raise without_conditions(self.url, f"refused a conditional write of {key!r}, though it is unchanged")
        return now == made

    def contest(self, key: str) -> bool:
        """Let two writers create an object, and two replace it; say whether exactly one of each two succeeded.

        Raises `NoConditions` if the store refuses conditional writes.
        """
        if self.bucket.has_one_writer:
            return False
        try:
            created = [self.put_if(key, new, "create") for new in (b"one", b"two")]
            _, held = self.content(key)
            replaced = [self.put_if(key, new, held) for new in (b"three", b"four")]
        finally:
            with suppress(StorageError):
                self.delete(key)
        if True not in created or True not in replaced:
            raise without_conditions(self.url, "refuses every conditional write")
        return created == replaced == [True, False]

    def _digest(self, key: str) -> tuple[str | None, Any]:
        """Return the sha256 of an object, and the condition for a put that it is still the same."""
        try:
            content, condition = self.content(key)
        except FileNotFoundError:
            return None, "create"
        return hashlib.sha256(content).hexdigest(), condition

    # Each of these is one request; a forked child asks its helper process for it.

    @request(_no_object)
    def stat(self, client: Any, key: str) -> Stat:
        meta = self._found(obstore.head(client, self._path(key)))
        return Stat(meta["size"], meta["last_modified"].timestamp())

    @request(_no_object)
    def reader(self, client: Any, key: str, e_tag: str | None = None) -> BucketReader:
        """Open an object. Raises `Changed` if it has another ETag than is given."""
        meta = self._found(obstore.head(client, self._path(key)))
        if e_tag and meta["e_tag"] != e_tag:
            raise Changed(key, self.url)
        return BucketReader(self.clients, key, meta)

    @request(_no_object)
    def streamed(self, client: Any, key: str) -> BucketReader:
        """Open an object by the request for its bytes, which are read on."""
        result = self._found(obstore.get(client, self._path(key)))
        return BucketReader(self.clients, key, result.meta, iter(result.stream(STREAMED)))

    @request()
    def content(self, client: Any, key: str) -> tuple[bytes, Any]:
        """Return the bytes of an object, and the condition for a put that they are still the same."""
        result = self._found(obstore.get(client, self._path(key)))
        condition: Any = {name: result.meta[name] for name in ("e_tag", "version") if result.meta[name]}
        return result.bytes().to_bytes(), condition

    @request(_no_bucket)
    def upload(self, client: Any, key: str, source: bytes | BinaryIO) -> None:
        """Put bytes, or an open file from its beginning on."""
        path = self._path(key)
        if isinstance(source, bytes):
            obstore.put(client, path, source)
            return
        source.seek(0)
        size = max(PART_BYTES, -(-os.fstat(source.fileno()).st_size // MOST_PARTS))
        obstore.put(client, path, source, chunk_size=size, max_concurrency=PARTS_AT_ONCE)

    @request(_no_bucket)
    def put_if(self, client: Any, key: str, new: bytes, condition: Any) -> bool:
        """Put bytes if the condition holds. Say whether this request put them; an attempt before it may have done so.

        If an answer is lost, the request is made again, and then the condition does not hold because of the first one.
        """
        try:
            obstore.put(client, self._path(key), new, mode=condition, use_multipart=False)
            return True
        except (AlreadyExistsError, PreconditionError) as error:
            if is_conflict(error):
                return False
            raise

    @request(_no_object, patient=False)
    def remove(self, client: Any, key: str) -> None:
        """Delete an object. Some services answer 404 for one that is not there.

        Without patience: garbage collection may remove for as long only as its lease lasts.
        """
        obstore.delete(client, self._path(key))

    @request()
    def objects(self, client: Any, prefix: str) -> Iterator[Entry]:
        return self._entries(Listing(self.clients, self._folder(prefix)))

    @request()
    def shown(self, client: Any, prefix: str) -> Level | None:
        try:
            ends = self.bucket.scheme == "az"
            return within(2 * self.clients.silence, lambda: one_level(client, self._folder(prefix), ends))
        except TimeoutError:
            return None

    # What a request needs.

    def client(self, key: str) -> Any:
        return self.clients.current(key)

    def forked(self) -> ForkedBucket | None:
        return self.clients.forked()

    def key_of(self, key: str = "", *args: Any, **kwargs: Any) -> str:
        return key

    def _entries(self, listed: Iterable[Any]) -> Iterator[Entry]:
        for meta in listed:
            self._seen = True
            if _is_key(key := self._key(meta["path"])):
                yield Entry(key, meta["size"], meta["last_modified"].timestamp())

    def _key(self, path: str) -> str:
        return path[len(self.bucket.prefix) + 1 if self.bucket.prefix else 0 :]

    def _folder(self, prefix: str) -> str:
        return self._path(prefix) if prefix else self.bucket.prefix

    def _path(self, key: str) -> str:
        return f"{self.bucket.prefix}/{check_key(key)}".removeprefix("/")

    def _found(self, answer: Any) -> Any:
        """Return an answer about an object: the bucket that has it is there."""
        self._seen = True
        return answer

    def see_bucket(self) -> None:
        """Raise `StorageError` if the bucket is missing: the answer for an object often does not say which is."""
        if self._seen:
            return
        # Without the right to list there is an answer too: that the object is not there.
        with suppress(StoreDenied):
            next(self.list(""), None)
        self._seen = True


def open_bucket(url: str) -> ObjectStorage:
    """Open the bucket of a URL such as `s3://bucket/prefix`."""
    return ObjectStorage(bucket_of(url))


def _is_key(key: str) -> bool:
    try:
        return bool(check_key(key))
    except NameNotAllowed:
        return False
