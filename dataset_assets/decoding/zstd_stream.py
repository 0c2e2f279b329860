"""Decompresses zstd with pyarrow, which is imported on use."""

from typing import Any, BinaryIO


class ZstdReader:
    """The content of a file of zstd frames, from its position on. `taken` counts the bytes that were read of it."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        import pyarrow

        self.file, self.taken, self.ended = file, 0, False
        self._stream: Any = pyarrow.CompressedInputStream(self, "zstd")

    def content(self, most: int) -> bytes:
        """Return the next bytes of the content, b"" at its end. Raises OSError for damage, EOFError for a cut."""
        try:
            return bytes(self._stream.read(most))
        except OSError as error:
            if self.ended and "runcated" in str(error):
                raise EOFError from error
            raise

    # What pyarrow reads.

    def read(self, size: int = -1) -> bytes:
        """Return bytes of the file."""
        data = self.file.read(size)
        self.taken += len(data)
        self.ended = not data
        return data

    def close(self) -> None:
        """Leave the file open."""

    def readable(self) -> bool:
        return True
