"""A file that may not grow past a size, whatever its source sends."""

from pathlib import Path
from typing import Any

from dataset_assets.core.files import Written
from dataset_assets.errors import DigestMismatch, RetrievalError


class Bounded(Written):
    """A file of at most `size` bytes, where its definition states one, and of at most `max_bytes`."""

    def __init__(self, path: Path, shown: str, size: int | None, max_bytes: int) -> None:
        super().__init__(path)
        self.shown, self.size, self.max_bytes = shown, size, max_bytes

    def write(self, data: Any) -> int:
        """Append the buffer. Raises `DigestMismatch` past the stated size, `RetrievalError` past `max_bytes`."""
        self.expect(self.bytes + memoryview(data).nbytes)
        return super().write(data)

    def expect(self, size: int) -> None:
        """Raise what `write` raises for a file that will have so many bytes."""
        if self.size is not None and size > self.size:
            raise DigestMismatch(
                f"{self.shown} has more than the {self.size} bytes it was defined with. The download was discarded."
            )
        if size > self.max_bytes:
            raise RetrievalError(
                f"{self.shown} has more than {self.max_bytes} bytes, the most that a source may send. The download "
                "was discarded. If the file is as large as that, set DATASET_ASSETS_MAX_BYTES to more."
            )
