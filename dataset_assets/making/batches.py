"""Small files that arrived, published together: each alone would be synced by itself, which takes most of the time."""

import time
from collections import Counter

from dataset_assets.definition.dataset import RemoteFile
from dataset_assets.making.maker import Maker
from dataset_assets.making.steps import StagedRaw

MOST_FILES = 128
MOST_BYTES = 8 << 20
MOST_SECONDS = 1.0
"""How long a file may wait: what is in the scratch folder when this process is killed is retrieved again."""


class Batch:
    """Collects files, and publishes them when there are many, or large ones, or when the first has waited."""

    def __init__(self, maker: Maker) -> None:
        self.maker = maker
        self.waiting: list[StagedRaw] = []
        self.bytes, self.since = 0, 0.0
        self.equal = Counter(_key(file) for file in maker.dataset.remote_files.values())

    def add(self, staged: StagedRaw) -> None:
        """Publish a file, now or soon."""
        if not self.waiting:
            self.since = time.monotonic()
        self.waiting.append(staged)
        self.bytes += staged.raw.bytes
        if self.bytes >= MOST_BYTES or len(self.waiting) >= MOST_FILES or self._is_awaited(staged):
            self.publish()
        self.tick()

    def _is_awaited(self, staged: StagedRaw) -> bool:
        """Say whether other files of the dataset are copies of a file, which are made as soon as it is stored."""
        file = self.maker.files[staged.raw.name]
        return not staged.copied and isinstance(file, RemoteFile) and self.equal[_key(file)] > 1

    def tick(self) -> None:
        """Publish what has waited: other processes wait for these files, and one may hold what comes next here."""
        if self.waiting and time.monotonic() - self.since > MOST_SECONDS:
            self.publish()

    def publish(self) -> None:
        """Publish all that wait."""
        staged, self.waiting, self.bytes = self.waiting, [], 0
        self.maker.publish(*staged)


def _key(file: RemoteFile) -> str:
    """Return what files of the same bytes have in common."""
    return file.digest or file.urls[0]
