"""One rank of a training: FOLDER CHECKPOINT KILL_AFTER; RANK and WORLD_SIZE are in the environment.

It writes down which rows it consumed at each step, and rank 0 a checkpoint after every third step of all ranks. The
last rank kills itself after so many steps, if that is not -1.
"""

import json
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from dataset_assets.loader import Loader
from dataset_assets.views import view_of


def main() -> None:
    folder, checkpoint, kill_after = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    store = dist.FileStore(str(folder / "store"), world)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=timedelta(seconds=20))
    # Rank and world are those of the process group.
    loader = Loader(view_of(i=np.arange(1000)), 10, shuffle=True, seed=1)
    if checkpoint.exists():
        loader.load_state_dict(json.loads(checkpoint.read_text())["loader"])
    with open(folder / f"rank{rank}", "w") as log:
        for step, batch in enumerate(loader, 1):
            log.write(json.dumps(batch["i"].tolist()) + "\n")
            log.flush()
            if step == kill_after and rank == world - 1:
                os.kill(os.getpid(), signal.SIGKILL)
            # As a step of training does, and as a checkpoint must: nobody goes on before all are here.
            dist.all_reduce(torch.ones(1))
            if rank == 0 and step % 3 == 0:
                new = checkpoint.with_suffix(".new")
                new.write_text(json.dumps({"steps": step, "loader": loader.state_dict()}))
                new.replace(checkpoint)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
