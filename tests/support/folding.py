"""A folder as on a disk that does not tell cases apart: a name is listed as it was first written."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from dataset_assets.storage import LocalStorage, Stat


class FoldingStorage:
    """A local storage that finds a key whatever the case of its letters."""

    def __init__(self, root: Path) -> None:
        self.root, self.inner = root, LocalStorage(root)
        self.url = self.inner.url

    def get(self, key: str) -> BinaryIO:
        return self.inner.get(self._real(key))

    def put(self, key: str, source: Path | bytes) -> None:
        self.inner.put(self._real(key), source)

    def exists(self, key: str) -> bool:
        return self.inner.exists(self._real(key))

    def stat(self, key: str) -> Stat:
        return self.inner.stat(self._real(key))

    def list(self, prefix: str) -> Iterator[str]:
        return self.inner.list(self._real(prefix))

    def delete(self, key: str) -> None:
        self.inner.delete(self._real(key))

    def swap(self, key: str, new: bytes, expected: str | None) -> bool:
        return self.inner.swap(self._real(key), new, expected)

    def _real(self, key: str) -> str:
        folder, parts = self.root, list[str]()
        for part in key.split("/"):
            there = os.listdir(folder) if os.path.isdir(folder) else []
            same = [name for name in there if name.casefold() == part.casefold()]
            parts.append(part if part in there or not same else same[0])
            folder = folder / parts[-1]
        return "/".join(parts)
