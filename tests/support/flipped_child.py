"""Reads stored datasets of which a byte was changed, in each way there is: a child of the tests of flipped bytes.

Its input names a storage, a dataset and whether to verify it; its output is a line for each: "fine", "refused", or what
is wrong. Whoever started it sees the signal that ended it.
"""

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import pyarrow as pa

from dataset_assets import load
from dataset_assets.errors import DatasetAssetsError, DigestMismatch
from dataset_assets.loader import Loader
from dataset_assets.storage import LocalStorage

MOST_BYTES, SECONDS = 1 << 30, 1200

WAYS = (
    lambda view: [*view],
    lambda view: [*view.batch(3)],
    lambda view: [*view[::-1]],
    lambda view: view.to_numpy(),
    lambda view: pa.table(view.to_arrow()).to_pylist(),
    lambda view: view.to_pandas().to_dict(),
    lambda view: [*Loader(view, batch_size=2, shuffle=True, seed=0).epoch(0)],
    lambda view: view.open("value").read(),
)


def outcome(storage: str, name: str, verify: bool) -> str:
    store, said = LocalStorage(storage), "fine"
    if verify:
        try:
            load(name, storage=store, verify="all")
            return "verify does not see it"
        except DigestMismatch:
            pass
    try:
        view: Any = load(name, "all", storage=store)
    except DatasetAssetsError:
        return "refused"
    except Exception as error:
        return f"load: {type(error).__name__}: {error}"
    for number, way in enumerate(WAYS):
        try:
            way(view)
        except DatasetAssetsError:
            said = "refused"
        except Exception as error:
            return f"way {number}: {type(error).__name__}: {error}"
    return said


def main() -> None:
    assert np and pd and PIL
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    addresses = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (addresses + MOST_BYTES, addresses + MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    for line in sys.stdin:
        print(json.dumps(outcome(*json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
