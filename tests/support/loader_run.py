"""A training that goes on for ever, to be interrupted: KIND, of "threads" and "workers"; it says when it has begun."""

import sys
import time
from typing import Any

import numpy as np

from dataset_assets import view_of
from dataset_assets.loader import Loader


def slow(sample: Any) -> Any:
    time.sleep(0.02)
    return sample


def main() -> None:
    view = view_of(i=np.arange(10_000), x=np.zeros((10_000, 1000))).map(slow)
    batches: Any = Loader(view, 4, shuffle=True, threads=3)
    if sys.argv[1] == "workers":
        from torch.utils.data import DataLoader

        from dataset_assets.loader import Batches

        batches = DataLoader(Batches(Loader(view, 4, threads=1, output="torch")), batch_size=None, num_workers=2)
    for step, _ in enumerate(batches):
        if step == 2:
            print("begun", flush=True)


if __name__ == "__main__":
    main()
