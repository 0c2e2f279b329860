"""The ranks of a training: WORLD_SIZE FOLDER CHECKPOINT KIND KILL_AFTER; prints the exit code of each as JSON.

Each rank is a process, forked once torch is imported. It writes down which rows it consumed at each step. After every
third step there is a checkpoint: of the kind "json" rank 0 writes the state; of the kind "dcp" all ranks write one of
torch.distributed.checkpoint, whose folder rank 0 names. The last rank kills itself after KILL_AFTER steps, if that is
not -1.
"""

import json
import os
import signal
import sys
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp

from dataset_assets import view_of
from dataset_assets.loader import Loader


def train(rank: int, world: int, folder: Path, checkpoint: Path, kind: str, kill_after: int) -> None:
    store = dist.FileStore(str(folder / "store"), world)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=timedelta(seconds=60))
    # Rank and world are those of the process group.
    loader = Loader(view_of(i=np.arange(1000)), 10, shuffle=True, seed=1)
    if checkpoint.exists():
        saved = json.loads(checkpoint.read_text())
        if kind == "dcp":
            dcp.load({"loader": loader}, checkpoint_id=saved["loader"])
        else:
            loader.load_state_dict(saved["loader"])
    with open(folder / f"rank{rank}", "w") as log:
        for step, batch in enumerate(loader, 1):
            log.write(json.dumps(batch["i"].tolist()) + "\n")
            log.flush()
            if step == kill_after and rank == world - 1:
                os.kill(os.getpid(), signal.SIGKILL)
            # As a step of training does, and as a checkpoint must: nobody goes on before all are here.
            dist.all_reduce(torch.ones(1))
            if step % 3:
                continue
            place = str(folder / f"after{step}")
            if kind == "dcp":
                dcp.save({"loader": loader}, checkpoint_id=place)
            if rank == 0:
                new = checkpoint.with_suffix(".new")
                new.write_text(json.dumps({"steps": step, "loader": place if kind == "dcp" else loader.state_dict()}))
                new.replace(checkpoint)
    dist.destroy_process_group()


def main() -> None:
    world, folder, checkpoint, kind, kill_after = int(sys.argv[1]), *map(Path, sys.argv[2:4]), sys.argv[4], sys.argv[5]
    arguments = [(rank, world, folder, checkpoint, kind, int(kill_after)) for rank in range(world)]
    ranks = [get_context("fork").Process(target=train, args=one) for one in arguments]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join()
    print(json.dumps([rank.exitcode for rank in ranks]))


if __name__ == "__main__":
    main()
