"""A file with a size limit, however much its source sends."""

import hashlib
from pathlib import Path
from typing import Any

from dataset_assets.core.files import Written, opened
from dataset_assets.errors import DigestMismatch, RetrievalError


class Bounded(Written):
    """A file of at most `max_bytes`, and of at most `size` bytes if its definition states a size.

    `digest`, such as `sha256:...`, is that of the file if it is known; `name` is what the definition calls the file.
    """

    resumed = False

    def __init__(
        self,
        path: Path,
        shown: str,
        size: int | None,
        max_bytes: int,
        digest: str | None = None,
        name: str = "",
        keep: int = 0,
    ) -> None:
        super().__init__(path, keep)
        self.shown, self.size, self.max_bytes, self.digest, self.name = shown, size, max_bytes, digest, name

    def write(self, data: Any) -> int:
        """Append the buffer. Raises `DigestMismatch` beyond `size`, `RetrievalError` beyond `max_bytes`."""
        self.expect(self.bytes + memoryview(data).nbytes)
        return super().write(data)

    def expect(self, size: int) -> None:
        """Raise the error of `write` if a file of this many bytes is too large."""
        if self.size is not None and size > self.size:
            raise DigestMismatch(
                f"{self.shown} has more than the {self.size} bytes it was defined with. The download was discarded."
            )
        if size > self.max_bytes:
            raise RetrievalError(
                f"{self.shown} has more than {self.max_bytes} bytes, the limit of the setting max_bytes. The download "
                "was discarded. If the file really is that large, set DATASET_ASSETS_MAX_BYTES to a higher number."
            )

    def forget(self) -> None:
        """Keep nothing for another process."""

    def may_continue(self, error: BaseException) -> bool:
        """Return True if another process can continue the file after this error."""
        return False

    def coded(self) -> "Coded":
        """Return a file beside this one, for its coded bytes."""
        return Coded(self.path.with_name(f"{self.path.name}.coded"), self.shown, self.size, self.max_bytes, self.digest)


class Coded(Bounded):
    """The coded bytes of a file, of which only the file itself is known: a coding may enlarge it a little."""

    def expect(self, size: int) -> None:
        enlarged = (self.size or 0) // 8 + (1 << 16)
        super().expect(max(0, size - enlarged))

    def is_the_file(self) -> bool:
        """Return True if the coded bytes have the digest of the file."""
        algorithm, _, expected = (self.digest or "").partition(":")
        with opened(self.path) as file:
            return hashlib.file_digest(file, algorithm).hexdigest() == expected
