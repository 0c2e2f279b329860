"""Functions and stacks that the tests of stacks share with the processes they start."""

import hashlib
import json
import sys
from functools import partial
from typing import Any, Callable

import numpy as np
import tiny
from places import TESTS

from dataset_assets import View, load

GOLDEN = str(TESTS / "data" / "golden")


def train() -> View:
    return load(tiny.NAME, split="train", storage=GOLDEN)


def with_noise(sample: Any, rng: np.random.Generator) -> Any:
    return {**sample, "noise": float(rng.random())}


def with_noises(block: Any, rngs: list[np.random.Generator]) -> Any:
    return {**block, "noise": [float(rng.random()) for rng in rngs]}


def with_number(sample: Any) -> Any:
    return {**sample, "number": sample["row"]["number"]}


def is_even(sample: Any) -> bool:
    return bool(sample["label"] == 0)


STACKS: dict[str, Callable[[View], View]] = {
    "select": lambda view: view[[5, 0, -2]],
    "slice": lambda view: view[1:6:2],
    "shuffle": lambda view: view.shuffle(7, epoch=2),
    "sort_by": lambda view: view.sort_by("row.number", reverse=True),
    "filter": lambda view: view.filter(("in", [0]), column="label"),
    "filter by function": lambda view: view.filter(is_even),
    "repeat": lambda view: view.shuffle(1).repeat(3),
    "shard": lambda view: view.shard(4, 1),
    "interleave": lambda view: view[:2].interleave(view[2:]),
    "mix": lambda view: view[:3].mix(view[3:], weights=(0.7, 0.3), seed=5, stop="all"),
    "map": lambda view: view.map(with_number),
    "random map": lambda view: view.map(with_noise, random=True, seed=3),
    "random blocks": lambda view: view.map(with_noises, batched=True, random=True, seed=3),
    "only": lambda view: view.only("text", "label"),
    "tuples": lambda view: view.tuples("label", "text"),
    "rename": lambda view: view.rename(target="label"),
    "zip": lambda view: view.only("label").zip(view[::-1].only("text")),
    "concat": lambda view: view[3:].concat(view[:3]),
    "batch": lambda view: view.batch(4),
    "cache": lambda view: view.shuffle(2).cache(),
    "random_split": lambda view: view.random_split((0.5, 0.5), seed=4)[1],
    "stratified_split": lambda view: view.stratified_split((0.5, 0.5), seed=4)[0],
    "group_split": lambda view: view.group_split((0.5, 0.5), by="label", seed=4)[0],
    "hash_split": lambda view: view.hash_split((0.5, 0.5), by="row.number", seed=4)[0],
    "kfold": lambda view: view.kfold(3, seed=4)[1].train,
    "nested_kfold": lambda view: view.nested_kfold(3, 2, seed=4)[1].inner[0].held_out,
    "five": lambda view: view.shuffle(1).repeat(2).random_split((0.75, 0.25))[0].map(with_noise, random=True)[::-1],
}


def digest_of(view: View) -> str:
    """Return a digest of a view's samples, in order."""
    found = hashlib.sha256()
    for sample in view:
        found.update(repr(plain(sample)).encode())
    return found.hexdigest()[:16]


def plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.tolist()]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value.read_bytes() if hasattr(value, "read_bytes") else str(value)


if __name__ == "__main__":
    from dataset_assets import view_from_json

    read = partial(view_from_json, storage=GOLDEN, trust=["stacked"])
    print(json.dumps({name: digest_of(read(document)) for name, document in json.load(sys.stdin).items()}))
