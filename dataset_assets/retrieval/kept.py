"""A download that another process can continue, if this one is killed or gives up.

Beside the bytes lies a note: first the URL and what its server said, then the length after each megabyte. The next
process goes on from the last noted length. It does not if the file is shorter than that, if the URL is a different one,
or if the machine was started again: bytes that were not synced may be lost then. The server compares the ETag. What
came from one mirror stays until another one has sent as much as is kept.
"""

import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dataset_assets.core.canonical import canonical, sha256_hex
from dataset_assets.core.documents import UNFIT, Count, Digest, parsed, read_as
from dataset_assets.core.files import Written, opened, remove, reported
from dataset_assets.core.processes import boot
from dataset_assets.core.scratch import MARKER, NOTE
from dataset_assets.errors import RetrievalError
from dataset_assets.retrieval.bounds import Bounded

STEP = 1 << 20
"""A file is kept from this many bytes on, and its length is noted that often."""
_MOST_NOTE = 64 << 20


@dataclass(frozen=True)
class Begun:
    """A file whose download has begun: its URL, what the server said about it, and when the machine was started."""

    url: Digest
    etag: str
    last_modified: str | None
    size: Count | None
    boot: str


class Kept(Bounded):
    """A bounded file in a kept folder. It begins with the bytes that an earlier process received from the same URL.

    `begun` describes the file that these bytes belong to, `resumed` says whether there were any.
    """

    def __init__(
        self, folder: Path, url: str, shown: str, size: int | None, max_bytes: int, digest: str | None, name: str
    ) -> None:
        self._url, self._place = sha256_hex(url.encode("utf-8", "surrogatepass")), folder / NOTE
        begun, length = _found(folder)
        ours = begun is not None and begun.url == self._url
        clear(folder, {_part(begun.url), "" if ours else NOTE} if begun else ())
        self.begun, length = (begun, length) if ours else (None, 0)
        self.resumed, self._noted = length > 0, length
        self._note: Written | None = None
        super().__init__(folder / _part(self._url), shown, size, max_bytes, digest, name, length)
        self._note_length()

    def begin(self, etag: str, last_modified: str | None, size: int | None) -> None:
        """Keep what follows for another process. It is the beginning of the file with this strong ETag."""
        self.begun, self._noted = Begun(self._url, etag, last_modified, size, boot()), 0

    def write(self, data: object) -> int:
        count = super().write(data)
        if self.bytes - self._noted >= STEP:
            self._note_length()
        return count

    def restart(self) -> None:
        # First the note: it must not vouch for other bytes.
        self.forget()
        super().restart()

    def discard(self) -> None:
        self._close_note()
        super().discard()

    def close(self) -> None:
        self._close_note()
        super().close()

    def forget(self) -> None:
        """Keep nothing for another process."""
        self._close_note()
        if self._note is not None:
            remove(self._place)
        self.begun, self._note = None, None

    def may_continue(self, error: BaseException) -> bool:
        """Return True if another process can continue the file after this error: an interrupt, or a lost server."""
        lost = not isinstance(error, Exception) or type(error) is RetrievalError
        return lost and self._note is not None and self.begun is not None and self.bytes != self.begun.size

    def _note_length(self) -> None:
        if self.begun is None or not self.begun.boot or not self.bytes:
            return
        if self._note is None:
            clear(self._place.parent, {self.path.name})
            self._note = Written(self._place)
            self._note.write(canonical(self.begun) + b"\n")
        self._note.write(b"%d\n" % self.bytes)
        self._noted = self.bytes

    def _close_note(self) -> None:
        if self._note is not None:
            self._note.discard()


def clear(folder: Path, but: Collection[str] = ()) -> None:
    """Remove what downloads left in a kept folder, but for some names."""
    with reported(folder):
        left = {*os.listdir(folder)} - {MARKER, *but}
    for name in left:
        remove(folder / name)


def _part(url: str) -> str:
    return f"part-{url[:12]}"


def _found(folder: Path) -> tuple[Begun | None, int]:
    """Return what is noted of a file that can be continued, and how many of its bytes there are."""
    with suppress(OSError, *UNFIT):
        with opened(folder / NOTE) as file:
            first, *lengths = file.read(_MOST_NOTE).split(b"\n")[:-1]
        begun: Begun = read_as(Begun, parsed(first))
        length = int(lengths[-1])
        if begun.boot == boot() and length <= os.lstat(folder / _part(begun.url)).st_size:
            # At least one byte is requested, so that the server compares the ETag.
            length = min(length, length if begun.size is None else begun.size - 1)
            return (begun, length) if length > 0 else (None, 0)
    return None, 0
