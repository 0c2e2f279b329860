"""A bucket's listing, put together from its pages: all of it, each key once, or an error; never a part of it.

obstore ends a listing where a page names no next one, and where an answer is not a page at all. So the end is asked for
again from the last key on, and what a server answers that lists nothing is looked at.
"""

import errno
from typing import Any, Callable, Generator, Iterator, Protocol

import obstore

from dataset_assets.core.interruptible import within
from dataset_assets.errors import ListingCut
from dataset_assets.storage.connectors.bucket.address import Bucket, Denied

PAGE = 1000
REPEATS = 10
"""How many pages in a row without anything new are taken for a circle."""
PAGE_SECONDS = 180.0
"""How long is waited for a thousand keys: longer than all retries of a page take."""

Pass = Generator[str, None, Exception | None]


class Asks(Protocol):
    """What a listing needs of a storage: a client, a call of it whose error is returned, and the next client."""

    bucket: Bucket

    def client(self, key: str) -> Any: ...

    def asked(self, key: str, act: Callable[[Any], Any], store: Any) -> Any: ...

    def renewed(self, store: Any) -> Any: ...


class Listing:
    """The paths below a folder of a bucket. Credentials that expire on the way are renewed; it goes on from the last.

    An error ends a listing of obstore, and what is asked of it afterwards says only that it ended: so it is begun anew.
    """

    def __init__(self, storage: Asks, folder: str, seconds: float = PAGE_SECONDS) -> None:
        self.storage, self.bucket, self.folder, self.seconds = storage, storage.bucket, folder, seconds
        self.seen: set[str] = set()
        self.last, self.ordered, self.ignored = "", True, False

    def __iter__(self) -> Iterator[str]:
        store, ended = self.storage.client(self.folder), False
        while not ended:
            before = len(self.seen)
            error = yield from self._pass(store)
            if error is None:
                ended = self._ended(before)
            else:
                store = self._renewed(error, store, before)
        if not self.seen and self.folder == self.bucket.prefix:
            self._check_speaks(store)

    def _pass(self, store: Any) -> Pass:
        """Yield what is behind the last path and was not seen; return the error that ended the listing early."""
        after, passed, again = self.last or None, set[str](), 0
        pages = self._ask(store, lambda s: obstore.list(s, self.folder or None, offset=after, chunk_size=PAGE))
        while not isinstance(pages, Exception):
            page = self._ask(store, lambda _: next(pages, None))
            if not page or isinstance(page, Exception):
                return page or None
            paths = [found["path"] for found in page]
            if strange := [path for path in paths if not self._is_inside(path)]:
                return self._broken(f"it has {strange[0][:80]!r}, which is not in there")
            again = again + 1 if passed.issuperset(paths) else 0
            if again == REPEATS:
                return self._broken("it repeats its pages and comes to no end")
            passed.update(paths)
            self.ignored = any(after and path <= after for path in paths)
            yield from self._new(paths)
        return pages

    def _is_inside(self, path: str) -> bool:
        return not self.folder or path.startswith(f"{self.folder}/")

    def _new(self, paths: list[str]) -> Iterator[str]:
        for path in paths:
            if path not in self.seen:
                self.ordered = self.ordered and path > self.last
                self.last = max(path, self.last)
                self.seen.add(path)
                yield path

    def _ended(self, before: int) -> bool:
        """Say whether nothing is left behind the last path; S3 is asked for that once more."""
        if self.bucket.scheme != "s3" or not self.seen or not self.ordered:
            return True
        # A server that takes no beginning cannot say; then a last page that is full may be a cut one.
        if self.ignored and len(self.seen) == before and before % PAGE == 0:
            raise self._broken(f"it does not say whether there are more than {before} keys")
        return len(self.seen) == before

    def _renewed(self, error: Exception, store: Any, before: int) -> Any:
        """Return another client to go on with; raises the error if there is none."""
        other = self.storage.renewed(store) if isinstance(error, Denied) and self.ordered else None
        # A bucket that is not there is no object that is not there.
        if isinstance(error, FileNotFoundError):
            error = self.bucket.missing()
        if other is None:
            raise error
        return other

    def _check_speaks(self, store: Any) -> None:
        """Raise if what a server answered is no listing, such as the page of a proxy that wants a login."""
        if self.bucket.scheme != "s3":
            return
        # The bucket itself, read as an object, is the one raw answer that obstore gives.
        found = self._ask(store, lambda s: obstore.get(s, "").bytes().to_bytes())
        if isinstance(found, bytes) and b"<ListBucketResult" not in found[:2000]:
            raise self._broken("it does not answer as S3 does, and listed nothing")

    def _ask(self, store: Any, act: Callable[[Any], Any]) -> Any:
        try:
            return self.storage.asked(self.folder, lambda s: within(self.seconds, lambda: act(s)), store)
        except TimeoutError:
            return self._broken(f"it gave no key in {self.seconds:.0f} seconds")

    def _broken(self, why: str) -> ListingCut:
        return ListingCut(
            errno.EIO,
            f"The listing of {self.folder!r} in {self.bucket.url} is cut: {why}. Look at the endpoint, and what stands "
            "before it; then run the same command again.",
        )
