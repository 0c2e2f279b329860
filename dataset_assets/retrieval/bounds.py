"""A file with a size limit, however much its source sends."""

from pathlib import Path
from typing import Any

from dataset_assets.core.files import Written
from dataset_assets.errors import DigestMismatch, RetrievalError


class Bounded(Written):
    """A file of at most `max_bytes`, and of at most `size` bytes if its definition states a size."""

    def __init__(self, path: Path, shown: str, size: int | None, max_bytes: int) -> None:
        super().__init__(path)
        self.shown, self.size, self.max_bytes = shown, size, max_bytes

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
