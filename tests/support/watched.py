"""A server that notes how many requests it answers at once."""

import threading
import time
from typing import Any

from dataset_assets.testing import FaultyServer
from dataset_assets.testing.server import Reply


class Watched(FaultyServer):
    """Its first answers wait until as many are asked for at once as are expected, so that they surely meet."""

    busy = most = 0

    def __init__(self, files: dict[str, bytes], expected: int = 2) -> None:
        super().__init__(files)
        self.expected, self.changed = expected, threading.Condition()

    def reply(self, request: Any) -> Reply:
        with self.changed:
            self.busy += 1
            self.most = max(self.most, self.busy)
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.most >= self.expected, 60)
        # Were there more, these would come meanwhile.
        time.sleep(0.05)
        with self.changed:
            self.busy -= 1
        return super().reply(request)
