"""What a folder does to one key, step by step: for tests that end the process in each of them."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from dataset_assets.storage import LocalStorage

KEY = "com/lecun/mnist/current.json"
OLD, NEW = b"old" * 1000, b"new!" * 1000

Step = Callable[[LocalStorage, Path], object]
STEPS: dict[str, Step] = {
    "put bytes": lambda storage, source: storage.put(KEY, NEW),
    "put file": lambda storage, source: storage.put(KEY, source),
    "swap": lambda storage, source: storage.swap(KEY, NEW, hashlib.sha256(OLD).hexdigest()),
    "swap absent": lambda storage, source: storage.swap(KEY, NEW, None),
}
