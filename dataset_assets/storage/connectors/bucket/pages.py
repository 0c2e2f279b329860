"""The listing of a bucket, from its pages: each key once, or an error; never a part without an error.

obstore ends a listing when a page names no next page, and when an answer is not a page at all. So the end is checked by
a request from the last key on, and an empty listing by reading the raw answer.
"""

import errno
import os
import re
from typing import Any, Callable, Generator, Iterator

import obstore

from dataset_assets.core.interruptible import within
from dataset_assets.errors import ListingCut, StoreDenied
from dataset_assets.storage.connectors.bucket.client import Clients
from dataset_assets.storage.patience import Patience
from dataset_assets.storage.storage import Level

PAGE = 1000
REPEATS = 10
"""After so many pages in a row without a new key, the server repeats its pages."""

LAST = "\U0010ffff"
"""Comes after every character of a key."""

Pass = Generator[Any, None, Exception | None]


def one_level(store: Any, folder: str, ends: bool) -> Level | None:
    """Return the objects and the folders directly in a folder; None if that may be a part of them, or is nothing.

    If the server does not say where a listing `ends`, it is asked once more from the last path on, as in `Listing`.
    """
    found = obstore.list_with_delimiter(store, folder or None)
    paths, folders = [meta["path"] for meta in found["objects"]], [*found["common_prefixes"]]
    last = max([*paths, *(f"{path}/{LAST}" for path in folders)], default="")
    inside = re.compile(re.escape(f"{folder}/" if folder else "") + "[^/]+")
    if not last or not all(map(inside.fullmatch, (*paths, *folders))):
        return None
    more = None if ends else next(iter(obstore.list(store, folder or None, offset=last)), None)
    return None if more else Level(paths, folders)


class Listing:
    """The objects below a folder of a bucket, as obstore describes them.

    Expired credentials are renewed; the listing goes on from the last path.

    After an error an iterator of obstore only says that it has ended, so a new one is begun.
    """

    def __init__(self, clients: Clients, folder: str, seconds: float | None = None) -> None:
        self.clients, self.bucket, self.folder = clients, clients.bucket, folder
        # A page takes less, with all its retries.
        self.seconds = 2 * clients.silence if seconds is None else seconds
        self.seen: set[str] = set()
        self.last, self.ordered, self.ignored, self.passes = "", True, False, 0
        self.patience = Patience()

    def __iter__(self) -> Iterator[Any]:
        store, ended = self.clients.current(self.folder), False
        while not ended:
            before, self.passes = len(self.seen), self.passes + 1
            error = yield from self._pass(store)
            if len(self.seen) > before:
                self.patience = Patience()
            if error is None:
                ended = self._ended(before)
            else:
                store = self._again(error, store)
        if not self.seen and (self.folder == self.bucket.prefix or not self.clients.speaks):
            self._check_speaks(store)
        self.clients.speaks = True

    def _pass(self, store: Any) -> Pass:
        """Yield the new paths after the last one; return the error that ended the listing early, or None."""
        after, passed, again = self.last or None, set[str](), 0
        pages = self._ask(store, lambda s: obstore.list(s, self.folder or None, offset=after, chunk_size=PAGE))
        while not isinstance(pages, Exception):
            page = self._ask(store, lambda _: next(pages, None))
            if not page or isinstance(page, Exception):
                return page or None
            paths = [meta["path"] for meta in page]
            if strange := [path for path in paths if not self._is_inside(path)]:
                return self._broken(f"it has {strange[0][:80]!r}, which is not in there")
            again = again + 1 if passed.issuperset(paths) else 0
            if again == REPEATS:
                return self._broken("it repeats its pages and comes to no end")
            passed.update(paths)
            self.ignored = any(after and path <= after for path in paths)
            yield from self._new(page)
        return pages

    def _is_inside(self, path: str) -> bool:
        return not self.folder or path.startswith(f"{self.folder}/")

    def _new(self, page: list[Any]) -> Iterator[Any]:
        for meta in page:
            if (path := meta["path"]) not in self.seen:
                self.ordered = self.ordered and path > self.last
                self.last = max(path, self.last)
                self.seen.add(path)
                yield meta

    def _ended(self, before: int) -> bool:
        """Say whether the listing is complete. All but Azure are asked once more from the last path on."""
        if self.bucket.scheme == "az" or not self.ordered:
            return True
        # An answer that is no listing looks like an empty one.
        if not self.seen:
            return self.passes > 1
        # A server that ignores `start-after` cannot say. Then a full last page may be cut.
        if self.ignored and len(self.seen) == before and before % PAGE == 0:
            raise self._broken(f"it does not say whether there are more than {before} keys")
        return len(self.seen) == before

    def _again(self, error: Exception, store: Any) -> Any:
        """Return a client to go on with after an error. Raises the error if there is none."""
        if self.ordered and self.patience.waits(error):
            return store
        other = self.clients.renewed(store) if isinstance(error, StoreDenied) and self.ordered else None
        # A listing is answered by 404 only if the bucket is missing.
        if isinstance(error, FileNotFoundError):
            error = self.bucket.missing()
        if other is None:
            raise error
        return other

    def _check_speaks(self, store: Any) -> None:
        """Raise if the answer was no listing, such as the login page of a proxy."""
        # Azure's answers are read in full by obstore.
        if self.bucket.scheme == "az":
            return
        # The bucket itself, read as an object, is the one raw answer that obstore gives. Of Google's it gives none, but
        # a server of another kind does not say that an object is absent.
        if self.bucket.scheme == "gs":
            answer = self._ask(store, lambda s: obstore.head(s, f"no_such_object_{os.urandom(8).hex()}"))
            speaks = isinstance(answer, (FileNotFoundError, StoreDenied))
        else:
            answer = self._ask(store, lambda s: obstore.get(s, "").bytes().to_bytes())
            speaks = not isinstance(answer, bytes) or b"<ListBucketResult" in answer[:2000]
        if not speaks:
            raise self._broken("the server does not answer as it should, and listed nothing")

    def _ask(self, store: Any, act: Callable[[Any], Any]) -> Any:
        try:
            return self.clients.attempt(self.folder, lambda s: within(self.seconds, lambda: act(s)), store)
        except TimeoutError:
            return self._broken(f"it gave no key in {self.seconds:.0f} seconds")

    def _broken(self, why: str) -> ListingCut:
        return ListingCut(
            errno.EIO,
            f"The listing of {self.folder!r} in {self.bucket.url} is cut: {why}. Check the endpoint, and any proxy "
            "before it; then run the same command again.",
        )
