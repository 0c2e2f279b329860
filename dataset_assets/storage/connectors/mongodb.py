"""Storage in a MongoDB database, as files of GridFS: `mongodb://user@host:port/database`, or several hosts with commas.

A document for each object names its file; it is replaced in one step when all of the file is there. The collections
begin with `dataset_assets`, or with the name in `?bucket=name`. A password in the URL is used, but is not in the `url`
of the storage: a process that opens that uses MONGODB_USERNAME and MONGODB_PASSWORD.

A write is acknowledged when a majority of the servers has it in the journal, unless the URL asks for less: `?w=1`.

It is tested against secantus, an implementation of MongoDB's protocol that is not mongod.
"""

import errno
import hashlib
import io
import os
import re
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Callable, Iterator, TypeVar
from urllib.parse import urlencode

import gridfs
from bson import ObjectId
from gridfs.errors import NoFile
from pymongo.errors import AutoReconnect, DuplicateKeyError, PyMongoError

from dataset_assets.core import files
from dataset_assets.errors import StorageError, UsageError
from dataset_assets.storage.connectors.mongodb_client import BUCKET, check_encrypted, client_of, login_of, options_of
from dataset_assets.storage.connectors.mongodb_errors import WITHOUT_RETRY, explained
from dataset_assets.storage.object_file import Changed, opened
from dataset_assets.storage.outcome import settled
from dataset_assets.storage.patience import silence_seconds, waiting
from dataset_assets.storage.storage import Entry, Stat, Stray, check_key, is_directly_in, listing_cut

T = TypeVar("T")

CHUNK = 1 << 20
ATTEMPTS = 10
Document = dict[str, Any]


class MongoStorage:
    """Objects in a database. Uploads of killed writers stay there, unseen, until `gc` removes them.

    Files are read through the cache of this machine.
    """

    cached = True

    def __init__(self, url: str, hosts: str, database: str, options: dict[str, str], login: dict[str, str]) -> None:
        self.url, self.database = url, database
        self.bucket = options.pop("bucket", BUCKET)
        # Tuples, because they are keys of a cache.
        self._place = (hosts, tuple(sorted(options.items())))
        self._login = tuple(sorted(login.items()))
        self._silence, self._direct = silence_seconds(), "directConnection" in options

    def __reduce__(self) -> tuple[Any, ...]:
        return open_mongodb, (self.url,)

    def get(self, key: str) -> BinaryIO:
        document = self._document(check_key(key))
        if document is None:
            raise FileNotFoundError(errno.ENOENT, f"{self.url} holds no such object", key)
        return opened(key, GridReader(self, key, document), CHUNK)

    def put(self, key: str, source: Path | bytes) -> None:
        check_key(key)
        if not isinstance(source, Path):
            self._put(key, io.BytesIO(source))
            return
        with files.opened(source) as file:
            self._put(key, file)

    def exists(self, key: str) -> bool:
        return self._document(check_key(key)) is not None

    def stat(self, key: str) -> Stat:
        document = self._document(check_key(key))
        if document is None:
            raise FileNotFoundError(errno.ENOENT, f"{self.url} holds no such object", key)
        return _stat(document)

    def list(self, prefix: str) -> Iterator[str]:
        return (entry.key for entry in self.entries(prefix))

    def entries(self, prefix: str, deep: bool = True) -> Iterator[Entry]:
        # '0' is the character after '/', so these bounds hold the keys that begin with the folder and '/'.
        below = {"_id": {"$gte": f"{check_key(prefix)}/", "$lt": f"{prefix}0"}} if prefix else {}
        found = self._call(lambda db: [*self._objects(db).find(below, {"_id": 1, "bytes": 1, "stored": 1})])
        return (Entry(one["_id"], *_stat(one)) for one in found if deep or is_directly_in(prefix, one["_id"]))

    def delete(self, key: str) -> None:
        check_key(key)
        act = partial(self._call, lambda db: self._objects(db).find_one_and_delete({"_id": key}))
        self._tidy(settled(act, lambda: not self.exists(key), None, self._silence / 4))

    def swap(self, key: str, new: bytes, expected: str | None) -> bool:
        check_key(key)
        held = self._held(key)
        digest = hashlib.sha256(held[1]).hexdigest() if held else None
        if digest != expected:
            return False
        document = self._uploaded(key, io.BytesIO(new))
        same = {"_id": key, "file": held[0]["file"]} if held else {}
        act = _replaced_same if held else _inserted

        def set_it() -> Document | None:
            return self._call(lambda db: act(self._objects(db), document, same))

        none: Document = {}
        was = settled(set_it, lambda: self._names(document), none, self._silence / 4)
        # The first of two attempts may have set it, and then the second one finds another document.
        if was is None and not self._names(document):
            return False
        self._tidy(was)
        return True

    def strays(self, older_than: float) -> Iterator[Stray]:
        """Yield the files and pieces in GridFS that no object names."""
        for file in self._call(lambda db: self._unnamed(db, older_than)):
            # Asked for each: if the listing of objects was cut, their files must not be taken for strays.
            if self._call(lambda db: self._objects(db).find_one({"file": file})):  # noqa: B023
                raise listing_cut(f"An object with the file {file}", self.url)
            count = self._call(lambda db: db[self.bucket].chunks.count_documents({"files_id": file}))  # noqa: B023
            named = self._call(lambda db: db[self.bucket].files.find_one({"_id": file}))  # noqa: B023
            if not self._is_ours(file, named):
                continue
            size = named["length"] if named else count * CHUNK
            yield Stray(named and named["filename"], size, partial(self._drop, {"file": file}))

    def _is_ours(self, file: Any, named: Document | None) -> bool:
        """Say whether a file is ours. Other programs that use the bucket have pieces of another size, or no name."""
        if named:
            return named.get("chunkSize") == CHUNK and isinstance(named.get("filename"), str)
        piece = self._call(lambda db: db[self.bucket].chunks.find_one({"files_id": file}, {"data": 1}))
        return piece is not None and len(piece["data"]) == CHUNK

    def _unnamed(self, db: Any, older_than: float) -> Any:
        # The id of a file begins with the time when its upload began, by the clock of its writer.
        begun = ObjectId.from_datetime(_now(db) - timedelta(seconds=older_than))
        # An upload that was cut short has pieces and no file.
        steps: Any = [{"$match": {"files_id": {"$lt": begun}}}, {"$group": {"_id": "$files_id"}}]
        left = {piece["_id"] for piece in db[self.bucket].chunks.aggregate(steps)}
        left |= {file["_id"] for file in db[self.bucket].files.find({"_id": {"$lt": begun}}, {"_id": 1})}
        # Objects are listed last: a file that none names by now is never named, because each put uploads its own.
        return sorted(left - {one["file"] for one in self._objects(db).find({}, {"file": 1})})

    def _put(self, key: str, file: BinaryIO) -> None:
        document = self._uploaded(key, file)
        replace = partial(self._call, lambda db: _replaced(self._objects(db), document))
        was: Document | None = settled(replace, lambda: self._names(document), None, self._silence / 4)
        # If the first of two attempts replaced it, the second one finds this document.
        self._tidy(was if was and was["file"] != document["file"] else None)

    def _names(self, document: Document) -> bool:
        """Say whether the document of an object names this file."""
        now = self._document(document["_id"])
        return now is not None and bool(now["file"] == document["file"])

    def _uploaded(self, key: str, file: BinaryIO) -> Document:
        """Upload a file that is not visible yet; return the document that makes it visible."""

        def upload(db: Any) -> tuple[Any, _Hashed]:
            file.seek(0)
            source = _Hashed(file)
            return self._files(db).upload_from_stream(key, source), source

        uploaded, source = self._call(upload)
        # By the clock of the server: GridFS records the time of this machine.
        now = self._call(_now)
        sizes = {"bytes": source.bytes, "sha256": source.digest.hexdigest()}
        return {"_id": key, "file": uploaded, "stored": now, **sizes}

    def _tidy(self, document: Document | None) -> None:
        """Drop the file of a document that was replaced; what cannot be dropped now is left to `gc`.

        The file of a new document is never dropped: even after an error the document may come to be stored.
        """
        if document:
            with suppress(StorageError):
                self._drop(document)

    def _drop(self, document: Document) -> None:
        file = document["file"]

        def drop(db: Any) -> None:
            # Removes pieces even if there is no file.
            with suppress(NoFile):
                self._files(db).delete(file)

        self._call(drop)

    def _document(self, key: str) -> Document | None:
        document: Document | None = self._call(lambda db: self._objects(db).find_one({"_id": key}))
        return document

    def _held(self, key: str) -> tuple[Document, bytes] | None:
        """Return the document and the bytes of an object, or None if there is none."""
        for _ in range(ATTEMPTS):
            document = self._document(key)
            if document is None:
                return None
            try:
                return document, self._content(key, document)
            except Changed:
                continue
        raise Changed(key, self.url)

    def _content(self, key: str, document: Document) -> bytes:
        data = bytearray()
        while len(data) < document["bytes"]:
            data += self._part(key, document, len(data), document["bytes"])
        return bytes(data)

    def _part(self, key: str, document: Document, start: int, stop: int) -> bytes:
        number, skipped = divmod(start, CHUNK)
        where = {"files_id": document["file"], "n": number}
        piece = self._call(lambda db: db[self.bucket].chunks.find_one(where, {"data": 1}))
        if piece is not None:
            return bytes(piece["data"][skipped : skipped + stop - start])
        now = self._document(key)
        if now is None or now["file"] != document["file"]:
            raise Changed(key, self.url)
        whole = document["bytes"]
        raise StorageError(errno.EIO, f"{key} in {self.url} ends at byte {start} of {whole}: it is damaged.")

    def _objects(self, db: Any) -> Any:
        return db[self.bucket].objects

    def _files(self, db: Any) -> gridfs.GridFSBucket:
        return gridfs.GridFSBucket(db, self.bucket, chunk_size_bytes=CHUNK)

    def _call(self, act: Callable[[Any], T]) -> T:
        """Act on the database; again, if the connection was lost or the server is too busy. `act` may act twice."""
        return waiting(partial(self._once, act))

    def _once(self, act: Callable[[Any], T], again: bool = True) -> T:
        # Our errors are raised outside of the handler, so as not to carry those of pymongo.
        client, began = client_of(*self._place, self._login, self._silence, os.getpid()), time.monotonic()
        try:
            return act(client[self.database])
        except PyMongoError as error:
            ours = explained(error, client, self.url, self._direct)
            lost = isinstance(error, AutoReconnect) and not isinstance(error, WITHOUT_RETRY)
        # One that was lost after a while was silent.
        if again and lost and time.monotonic() - began < self._silence / 4:
            return self._once(act, again=False)
        raise ours


def _stat(document: Document) -> Stat:
    return Stat(document["bytes"], document["stored"].replace(tzinfo=UTC).timestamp())


class GridReader:
    """Reads an object. One that was stored again with the same content counts as the same."""

    def __init__(self, storage: MongoStorage, key: str, document: Document) -> None:
        self.storage, self.key, self.document = storage, key, document
        self.size: int = document["bytes"]

    def whole(self) -> bytes:
        held = self.storage._held(self.key)
        if held is None:
            raise Changed(self.key, self.storage.url)
        return held[1]

    def part(self, start: int, stop: int) -> bytes:
        for _ in range(ATTEMPTS):
            try:
                return self.storage._part(self.key, self.document, start, stop)
            except Changed:
                now = self.storage._document(self.key)
                if now is None or now["sha256"] != self.document["sha256"]:
                    raise
                self.document = now
        raise Changed(self.key, self.storage.url)

    def close(self) -> None:
        return None


def _now(db: Any) -> datetime:
    """Return the time of the server."""
    now: datetime = db.command("hello")["localTime"]
    return now.replace(tzinfo=UTC)


class _Hashed:
    """A file that is hashed as it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.digest, self.bytes = file, hashlib.sha256(), 0

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(size)
        self.digest.update(data)
        self.bytes += len(data)
        return data


def _inserted(objects: Any, document: Document, same: Document) -> Document | None:
    """Insert a document and return an empty one, or None if the key has a document."""
    try:
        objects.insert_one(document)
        return {}
    except DuplicateKeyError:
        return None


def _replaced_same(objects: Any, document: Document, same: Document) -> Document | None:
    """Replace a document if it is still the same, and return the one before; else None."""
    before: Document | None = objects.find_one_and_replace(same, document)
    return before


def _replaced(objects: Any, document: Document) -> Document | None:
    """Set a document, and return the one before it, or None."""
    for left in reversed(range(ATTEMPTS)):
        try:
            before: Document | None = objects.find_one_and_replace({"_id": document["_id"]}, document, upsert=True)
            return before
        except DuplicateKeyError:
            # If two set a key for the first time, one fails; asked again, it replaces the document of the other.
            if not left:
                raise
    return None


def open_mongodb(url: str) -> MongoStorage:
    """Open the database of a `mongodb://user@host:port/database` URL. Its errors show no password."""
    whole = re.fullmatch(r"mongodb://(?:([^/?#]*)@)?([A-Za-z0-9._:,\[\]-]+)/([A-Za-z0-9_-]+)(?:\?([^#]*))?", url)
    if whole is None:
        raise UsageError(
            "This mongodb URL is not valid. Write it like mongodb://user@host:27017/database; escape '/', '@' and ':' "
            "in a password."
        )
    user, _, password = (whole[1] or "").partition(":")
    options = options_of(whole[4] or "")
    check_encrypted(whole[2], options)
    shown = f"mongodb://{user}{'@' if user else ''}{whole[2]}/{whole[3]}"
    query = urlencode(sorted(options.items()))
    return MongoStorage(f"{shown}?{query}" if query else shown, whole[2], whole[3], options, login_of(user, password))
