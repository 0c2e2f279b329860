"""Writes into what each way gives of a stored view, each in a process of its own; prints how these ended, as JSON."""

import json
import os
import sys
import warnings
from typing import Any, Callable

import numpy as np
import torch
from torch.utils.data import DataLoader

from dataset_assets import load
from dataset_assets.loader import Batches, Loader

VIEW = load("org.example.written", split="all")


def first(batches: Any) -> Any:
    return next(iter(batches))["x"]


WAYS: dict[str, Callable[[], Any]] = {
    "a sample": lambda: VIEW[0]["x"],
    "a sample of a slice": lambda: VIEW[::2][0]["x"],
    "a sample that is passed on": lambda: VIEW.map(dict)[0]["x"],
    "a tuple": lambda: VIEW.tuples("x")[0][0],
    "a cached sample": lambda: VIEW.cache()[0]["x"],
    "a batch": lambda: VIEW.batch(4)[0]["x"],
    "DataLoader of a view": lambda: first(DataLoader(VIEW, batch_size=None)),
    "DataLoader of samples": lambda: first(DataLoader(VIEW, batch_size=4)),
    "DataLoader of batches": lambda: first(DataLoader(VIEW.batch(4), batch_size=None)),
    "DataLoader of a map": lambda: first(DataLoader(VIEW.map(dict), batch_size=None)),
    "to_torch": lambda: first(DataLoader(VIEW.to_torch(), batch_size=None)),
    "to_torch, iterable": lambda: first(DataLoader(VIEW.to_torch(iterable=True), batch_size=None)),
    "to_torch of a map": lambda: first(VIEW.map(dict).to_torch()),
    "Loader": lambda: first(Loader(VIEW, 4)),
    "Loader of a map": lambda: first(Loader(VIEW.map(dict), 4, output="torch")),
    "Loader, shuffled": lambda: first(Loader(VIEW, 4, shuffle=True, output="torch")),
    "Batches of arrays": lambda: first(DataLoader(Batches(Loader(VIEW, 4)), batch_size=None)),
    "Batches without a copy": lambda: first(DataLoader(Batches(Loader(VIEW, 4, copy=False)), batch_size=None)),
    "to_numpy": lambda: VIEW.to_numpy()["x"],
    "to_pandas": lambda: VIEW.to_pandas()["x"][0],
    "to_sklearn": lambda: VIEW.to_sklearn(sample="x", target="y")[0],
    "to_hf": lambda: VIEW.to_hf().with_format("torch")[:4]["x"],
}


def write(way: str) -> int:
    """Write into what a way gives; return 0 if that changed no stored value, 3 for a refusal, 4 for a change."""
    from dataset_assets.errors import UsageError

    try:
        torch.as_tensor(WAYS[way]()).add_(1)
    except UsageError:
        return 3
    return 0 if np.array_equal(VIEW.to_numpy()["x"], np.ones((100, 10), np.float32)) else 4


def main() -> None:
    ended = {}
    for way in WAYS:
        child = os.fork()
        if not child:
            warnings.simplefilter("ignore")
            try:
                code = write(way)
            except BaseException as error:
                print(f"{way}: {error!r}", file=sys.stderr)
                code = 5
            os._exit(code)
        ended[way] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps(ended))


if __name__ == "__main__":
    main()
