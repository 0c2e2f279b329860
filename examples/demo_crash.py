"""The crash demo: a training run is killed, its data changes upstream, and it goes on at the exact next sample.

Two ranks train on digits that a local HTTP server publishes, and are killed in the middle of an epoch. Then the
publisher puts test digits among its training digits, which a check refuses, and mends that, which a refresh releases.
Three ranks go on with the killed run, on the version that it began with. Every line says what was found to be so; if
one is false, the demo ends with 1.

    python examples/demo_crash.py [--folder somewhere]
"""

import argparse
import gzip
import hashlib
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from dataset_assets import Array, Dataset, RemoteFile, Split, load, prepare
from dataset_assets.datasets.mnist import digits
from dataset_assets.errors import CheckFailed, Conflict, DigestMismatch
from dataset_assets.loader import Loader

NAME = "demo.crash.digits"
BATCH, EPOCHS, SEED = 60, 3, 7  # the batch of all ranks together
KILLED_AFTER = 1.5  # epochs
CHECKPOINT_EVERY = 20  # steps

# --- a rank: training code, which knows nothing of this demo but the folder for its checkpoint and its diary


def rank_main(rank: int, world: int, version: str, run: Path, checkpoint: Path, pause: float) -> None:
    """Train until the last epoch is done, from the checkpoint on if there is one."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    if world > 1:
        torch.distributed.init_process_group("gloo", f"file://{run}/rendezvous", rank=rank, world_size=world)
    train = load(version, split="train")
    loader = Loader(train, BATCH // world, shuffle=True, seed=SEED, rank=rank, world=world)
    model = torch.nn.Sequential(torch.nn.Linear(784, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    if checkpoint.exists():
        with np.load(checkpoint, allow_pickle=False) as saved:
            loader.load_state_dict(json.loads(str(saved["loader"])))
            model.load_state_dict({k: torch.from_numpy(saved[k]) for k in model.state_dict()})
    with open(run / f"rank{rank}.jsonl", "a") as diary:
        while (at := loader.state_dict())["epoch"] < EPOCHS:
            for step, batch in enumerate(loader):
                diary.write(json.dumps([at["epoch"], at["consumed"], hashes(batch)]) + "\n")
                diary.flush()
                learn(model, batch, world)
                at = loader.state_dict()
                if rank == 0 and step % CHECKPOINT_EVERY == CHECKPOINT_EVERY - 1:
                    save(checkpoint, model, at)
                time.sleep(pause)
    if rank == 0:
        save(checkpoint, model, at)
    if world > 1:
        torch.distributed.destroy_process_group()


def learn(model: Any, batch: Any, world: int) -> None:
    """Take one step of gradient descent, with the gradient of all ranks' batches."""
    import torch

    model.zero_grad()
    images, wanted = torch.from_numpy(batch["image"]).float().flatten(1) / 127.5 - 1, torch.from_numpy(batch["label"])
    torch.nn.functional.cross_entropy(model(images), wanted.long(), reduction="sum").backward()
    parameters = list(model.parameters())
    together = torch.cat([torch.tensor([float(len(images))]), *(p.grad.flatten() for p in parameters)])
    if world > 1:
        torch.distributed.all_reduce(together)
    gradients = (together[1:] / together[0]).split([p.numel() for p in parameters])
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients):
            parameter -= 0.1 * gradient.view_as(parameter)


def hashes(batch: Any) -> list[str]:
    """Return what each sample is, by its bytes."""
    pairs = zip(batch["image"], batch["label"])
    return [hashlib.sha256(image.tobytes() + label.tobytes()).hexdigest()[:16] for image, label in pairs]


def save(checkpoint: Path, model: Any, state: dict[str, Any]) -> None:
    """Write weights and position in one file, whole or not at all."""
    part = checkpoint.with_suffix(".part")
    with open(part, "wb") as file:
        np.savez(file, loader=json.dumps(state), **{name: value.numpy() for name, value in model.state_dict().items()})
    part.replace(checkpoint)


# --- the demo


class Demo:
    """What is claimed, and whether it was so."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.false, self.began = folder, 0, time.perf_counter()

    def claim(self, so: bool, text: str) -> None:
        """Print a line that says what was found, and whether it is what was promised."""
        self.false += not so
        print(f"{time.perf_counter() - self.began:5.1f} s  {'ok   ' if so else 'FALSE'}  {text}", flush=True)

    def start(self, run: str, world: int, version: str, checkpoint: Path, pause: float = 0.0) -> list[Any]:
        """Start the ranks of a run as processes of their own."""
        place = self.folder / run
        place.mkdir()
        environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
        told = [json.dumps([rank, world, version, str(place), str(checkpoint), pause]) for rank in range(world)]
        return [subprocess.Popen([sys.executable, __file__, "--rank", one], env=environment) for one in told]

    def diary(self, run: str, before: tuple[int, int] | None = None) -> list[tuple[int, int, list[str]]]:
        """Return what a run's ranks consumed, step by step, the ranks of a step in order; `before` a position."""
        ranks = [
            [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
            for path in sorted((self.folder / run).glob("rank*.jsonl"))
        ]
        steps: dict[tuple[int, int], list[str]] = {}
        for diary in ranks:
            for epoch, consumed, samples in diary:
                steps.setdefault((epoch, consumed), []).extend(samples)
        return [(*at, steps[at]) for at in sorted(steps) if before is None or at < before]


def main(folder: Path) -> int:
    """Run the demo in a folder; return the exit code."""
    from dataset_assets.testing import FaultyServer

    os.environ["DATASET_ASSETS_HOME"], os.environ["NO_PROXY"] = str(folder / "home"), "127.0.0.1"
    demo, checkpoint = Demo(folder), folder / "checkpoint.npz"
    with FaultyServer() as server:
        published(server, 3900, leaked=0)
        dataset = defined(server.url)
        first = prepare(dataset)["train"]
        pinned = f"{NAME}@{first.version}"
        steps = -(-len(first) // BATCH)
        demo.claim(len(first) == 3900, f"released {pinned[:30]}...: {len(first)} digits from {server.url}")

        killed_in_the_middle(demo, pinned, checkpoint, steps)
        upstream_changes(demo, server, dataset, pinned)
        goes_on(demo, pinned, checkpoint, steps)
    one_bit(demo, pinned)
    print(f"\n{demo.false} of the lines above are false." if demo.false else "\nEvery line above was found to be so.")
    return min(demo.false, 1)


def published(server: Any, count: int, leaked: int) -> None:
    """Let the server publish so many training digits, and `leaked` test digits among them."""
    real = {split: view.to_numpy() for split, view in prepare("io.github.rasbt.mnist_5k").items()}
    mixed = np.random.default_rng(0).permutation(4000)[:count]
    for kind, magic in (("image", 0x803), ("label", 0x801)):
        train = np.concatenate([real["train"][kind][mixed], real["test"][kind][:leaked]])
        server.files[f"/train-{kind}.gz"] = idx_file(magic, train)
        server.files[f"/test-{kind}.gz"] = idx_file(magic, real["test"][kind])


def idx_file(magic: int, array: Any) -> bytes:
    """Return an array as MNIST's publisher packs it."""
    return gzip.compress(struct.pack(f">I{array.ndim}I", magic, *array.shape) + array.tobytes(), 1, mtime=0)


def defined(url: str) -> Dataset:
    """Return the definition: four files whose digests nobody declared, so that their publisher may change them."""

    def split(part: str) -> Split:
        files = {f"{kind}s": RemoteFile(f"{url}/{part}-{kind}.gz") for kind in ("image", "label")}
        return Split(digits, **files)

    streams = {"image": Array("uint8", (28, 28)), "label": Array("uint8", classes=tuple("0123456789"))}
    return Dataset(NAME, "Digits from a server.", streams, {part: split(part) for part in ("train", "test")},
                   sample="image", target="label")  # fmt: skip


def killed_in_the_middle(demo: Demo, pinned: str, checkpoint: Path, steps: int) -> None:
    """Start two ranks, and kill both in the middle of an epoch."""
    ranks = demo.start("killed", 2, pinned, checkpoint, pause=0.01)
    path, end = demo.folder / "killed" / "rank0.jsonl", time.monotonic() + 60
    while time.monotonic() < end and all(rank.poll() is None for rank in ranks):
        if path.exists() and path.read_bytes().count(b"\n") >= KILLED_AFTER * steps:
            break
        time.sleep(0.01)
    for rank in ranks:
        rank.kill()
    codes = [rank.wait() for rank in ranks]
    at, taken = state_in(checkpoint), demo.diary("killed")
    epoch, consumed, _ = taken[-1]
    demo.claim(
        codes == [-signal.SIGKILL] * 2 and 0 < consumed < (steps - 1) * BATCH,
        f"2 ranks killed (exit codes {codes}) in epoch {epoch} of {steps} steps, at sample {consumed}",
    )
    demo.claim(
        at["consumed"] > 0 and (at["epoch"], at["consumed"]) <= (epoch, consumed + BATCH),
        f"their last checkpoint says: epoch {at['epoch']}, {at['consumed']} samples consumed, of {at['view'][0]}; "
        "what came after it is to be consumed again",
    )


def upstream_changes(demo: Demo, server: Any, dataset: Dataset, pinned: str) -> None:
    """Let the publisher leak test digits into the training digits, and then mend it."""
    published(server, 3900, leaked=25)
    try:
        prepare(dataset, refresh=True)
        refused = "nothing"
    except CheckFailed as error:
        refused = str(error)
    demo.claim("25 samples" in refused, f"a refresh with a leak is refused: {refused.split(' Look at')[0][:150]}")
    current = load(NAME)["train"].version
    demo.claim(pinned == f"{NAME}@{current}", f"the version that readers get is still {str(current)[:12]}")
    published(server, 4000, leaked=0)
    new = prepare(dataset, refresh=True)["train"]
    now = load(NAME)["train"]
    demo.claim(
        now.version == new.version != current and len(now) == 4000,
        f"mended upstream, a refresh releases {str(new.version)[:12]} with {len(now)} digits",
    )


def goes_on(demo: Demo, pinned: str, checkpoint: Path, steps: int) -> None:
    """Go on with three ranks, and hold what all ranks consumed against a run that nobody killed."""
    at = state_in(checkpoint)
    try:
        Loader(load(NAME, split="train"), BATCH, shuffle=True, seed=SEED).load_state_dict(at)
        refused = "nothing"
    except Conflict as error:
        refused = str(error)
    demo.claim(
        all(f"{sign} stored(dataset={NAME}, split=train, " in refused for sign in "-+"),
        f"on the new version the checkpoint is refused: {refused}",
    )

    whole = demo.folder / "whole.npz"
    resumed, never_killed = demo.start("resumed", 3, pinned, checkpoint), demo.start("whole", 1, pinned, whole)
    ended(demo, "3 ranks", resumed)
    ended(demo, "1 rank, never killed,", never_killed)
    position = (at["epoch"], at["consumed"])
    before, after, expected = demo.diary("killed", position), demo.diary("resumed"), demo.diary("whole")
    demo.claim(
        bool(after) and after[0][:2] == position,
        f"the 3 ranks, pinned to {pinned[:30]}..., went on in epoch {after[0][0]} at sample {after[0][1]}"
        if after
        else "3 ranks consumed nothing",
    )
    found = digest_of(before + after)
    demo.claim(
        found == digest_of(expected) and len(before + after) == len(expected) == EPOCHS * steps,
        f"2 ranks up to it and 3 after it consumed {sum(len(step[2]) for step in before + after)} samples, digest "
        f"{found}; 1 rank, never killed: {sum(len(step[2]) for step in expected)}, {digest_of(expected)}",
    )
    test = load(pinned, split="test")
    (loss, accuracy), (other_loss, other) = scores(checkpoint, test), scores(whole, test)
    demo.claim(
        accuracy > 0.85 and abs(accuracy - other) <= 0.005 and abs(loss - other_loss) <= 0.01,
        f"resumed model: test loss {loss:.4f}, accuracy {accuracy:.3f}; never killed: {other_loss:.4f}, {other:.3f}",
    )


def ended(demo: Demo, who: str, ranks: list[Any]) -> None:
    """Wait for the ranks of a run."""
    try:
        codes = [rank.wait(timeout=120) for rank in ranks]
    except subprocess.TimeoutExpired:
        for rank in ranks:
            rank.kill()
        codes = [rank.wait() for rank in ranks]
    demo.claim(not any(codes), f"{who} trained to the end of epoch {EPOCHS - 1} (exit codes {codes})")


def digest_of(steps: list[tuple[int, int, list[str]]]) -> str:
    """Return a digest of all samples in their order, and of the places they stood at."""
    return hashlib.sha256(json.dumps(steps).encode()).hexdigest()[:16]


def state_in(checkpoint: Path) -> dict[str, Any]:
    """Return the loader's state in a checkpoint."""
    with np.load(checkpoint, allow_pickle=False) as saved:
        found: dict[str, Any] = json.loads(str(saved["loader"]))
    return found


def scores(checkpoint: Path, test: Any) -> tuple[float, float]:
    """Return the loss and the accuracy of a checkpoint's model."""
    arrays = test.to_numpy()
    with np.load(checkpoint, allow_pickle=False) as saved:
        hidden = np.maximum((arrays["image"].reshape(-1, 784) / 127.5 - 1) @ saved["0.weight"].T + saved["0.bias"], 0)
        logits = hidden @ saved["2.weight"].T + saved["2.bias"]
    logits -= logits.max(1, keepdims=True)
    wanted = logits[np.arange(len(logits)), arrays["label"]]
    loss = np.log(np.exp(logits).sum(1)) - wanted
    return float(loss.mean()), float((logits.argmax(1) == arrays["label"]).mean())


def one_bit(demo: Demo, pinned: str) -> None:
    """Flip one bit of a stored file, which keeps its size."""
    with load(pinned, split="train").open("image") as opened:
        path = Path(opened.name)
    data = bytearray(path.read_bytes())
    place = len(data) // 2
    data[place] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    try:
        load(pinned, verify="all")
        said = "nothing"
    except DigestMismatch as error:
        said = str(error)
    demo.claim(path.name in said, f"one bit of byte {place} flipped, refused by name: {said}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="Where to work; else a temporary folder, which is removed.")
    parser.add_argument("--rank", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.rank:
        number, world, version, run, saved, pause = json.loads(asked.rank)
        rank_main(number, world, version, Path(run), Path(saved), pause)
    elif asked.folder:
        asked.folder.mkdir(parents=True, exist_ok=True)
        sys.exit(main(asked.folder.resolve()))
    else:
        with tempfile.TemporaryDirectory() as made:
            sys.exit(main(Path(made)))
