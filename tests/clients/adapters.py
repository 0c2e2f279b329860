"""Other packages' loaders behind the interface of `LoaderTests`, each used as its own documentation uses it."""

import base64
import json
import os
import pickle
from pathlib import Path
from typing import Any, Iterator

import torch

SEED = 5


def plain(state: Any) -> Any:
    """Return a state as the kit writes it: plain JSON as it is, anything else as pickled text."""
    try:
        return json.loads(json.dumps(state))
    except TypeError:
        return {"pickle": base64.b64encode(pickle.dumps(state, 4)).decode()}


def back(state: Any) -> Any:
    return pickle.loads(base64.b64decode(state["pickle"])) if "pickle" in state else state


class TorchData:
    """torchdata: its sampler with a generator that has a seed; with ranks, its sampler for ranks."""

    def __init__(self, samples: int, batch_size: int, threads: int = 0, rank: int = 0, world: int = 0) -> None:
        from torchdata.stateful_dataloader import StatefulDataLoader
        from torchdata.stateful_dataloader.sampler import RandomSampler, StatefulDistributedSampler

        data: Any = torch.arange(samples)
        sampler: Any = RandomSampler(data, generator=torch.Generator().manual_seed(SEED))
        if world:
            sampler = StatefulDistributedSampler(data, world, rank, shuffle=True, seed=SEED)
        self.loader = StatefulDataLoader(data, batch_size, sampler=sampler, num_workers=threads)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.loader)

    def state_dict(self) -> Any:
        return plain(self.loader.state_dict())

    def load_state_dict(self, state: Any) -> None:
        self.loader.load_state_dict(back(state))


class Rows:
    """A source of Grain; states hold its name."""

    def __init__(self, samples: int) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, row: Any) -> int:
        return int(row)

    def __repr__(self) -> str:
        return f"Rows({self.samples})"


class Grain:
    """Grain: the state is one of an iterator, so the last one is kept; an iteration is a new one."""

    def __init__(self, samples: int, batch_size: int, threads: int = 0, rank: int = 0, world: int = 1) -> None:
        import grain.python as grain

        shards = grain.ShardOptions(shard_index=rank, shard_count=world)
        sampler = grain.IndexSampler(samples, shards, shuffle=True, num_epochs=1, seed=SEED)
        steps = [grain.Batch(batch_size)]
        self.loader = grain.DataLoader(
            data_source=Rows(samples), sampler=sampler, operations=steps, worker_count=threads
        )
        self.last: Any = None
        self.loaded: Any = None

    def __iter__(self) -> Iterator[Any]:
        self.last, self.loaded = self.loaded or iter(self.loader), None
        return self.last

    def state_dict(self) -> Any:
        return json.loads((self.loaded or self.last or iter(self.loader)).get_state())

    def load_state_dict(self, state: Any) -> None:
        self.loaded = iter(self.loader)
        self.loaded.set_state(json.dumps(state).encode())


class LitData:
    """LitData: chunks that `optimize` wrote; ranks are those of the environment."""

    def __init__(self, folder: str, batch_size: int, threads: int = 0, rank: int = 0, world: int = 1) -> None:
        os.environ.update(WORLD_SIZE=str(world), RANK=str(rank), GLOBAL_RANK=str(rank))
        from litdata import StreamingDataLoader, StreamingDataset

        data = StreamingDataset(folder, shuffle=True, drop_last=False, seed=SEED)
        self.loader = StreamingDataLoader(data, batch_size=batch_size, num_workers=threads)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.loader)

    def state_dict(self) -> Any:
        return plain(self.loader.state_dict())

    def load_state_dict(self, state: Any) -> None:
        self.loader.load_state_dict(back(state))


def same(row: int) -> int:
    return row


def write_chunks(folder: Path, samples: int) -> str:
    """Write the chunks that LitData reads; in a process of its own, because `optimize` sets how processes start."""
    from litdata import optimize

    optimize(same, list(range(samples)), str(folder), chunk_size=5, num_workers=1)
    return str(folder)


class HuggingFace:
    """Hugging Face datasets: a streamed dataset of eight shards; `set_epoch` before each epoch, as its page shows."""

    def __init__(
        self, samples: int, batch_size: int, threads: int = -1, rank: int = 0, world: int = 1, buffer: int = 8
    ) -> None:
        from datasets import Dataset
        from datasets.distributed import split_dataset_by_node
        from torchdata.stateful_dataloader import StatefulDataLoader

        data = Dataset.from_dict({"i": list(range(samples))}).to_iterable_dataset(num_shards=8)
        data = data.shuffle(seed=SEED, buffer_size=buffer)
        self.data = split_dataset_by_node(data, rank, world) if world > 1 else data
        # Workers are those of torchdata.
        if threads < 0:
            self.loader = self.data = self.data.batch(batch_size)
        else:
            self.loader = StatefulDataLoader(self.data, batch_size, num_workers=threads)
        self.epoch = self.next = 0

    def __iter__(self) -> Iterator[Any]:
        self.epoch, self.next = self.next, self.next + 1
        self.data.set_epoch(self.epoch)
        yield from self.loader

    def state_dict(self) -> Any:
        return plain({"epoch": self.epoch, "state": self.loader.state_dict()})

    def load_state_dict(self, state: Any) -> None:
        found = back(state)
        self.epoch = self.next = found["epoch"]
        self.data.set_epoch(self.epoch)
        self.loader.load_state_dict(found["state"])
