"""Trainers of others read a view: every sample of every epoch, counted by its id. `make test-clients` installs them."""

import csv
import json
import multiprocessing
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.multiprocessing
from ports import free_port
from torch.utils.data import DataLoader

from dataset_assets import View, view_of
from dataset_assets.errors import UsageError
from dataset_assets.loader import Batches, Loader

pytestmark = pytest.mark.filterwarnings("ignore")
N = 22
EVERY = ("train_steps", "epochs")


def view() -> View:
    return view_of(x=np.arange(N, dtype=np.float32)[:, None], labels=np.arange(N) % 2, i=np.arange(N))


def loader(**more: Any) -> Loader:
    return Loader(view(), 4, **{"shuffle": True, "seed": 3, "output": "torch", **more})


# In a process that was spawned workers would be spawned too, and import everything again.
forked = partial(DataLoader, multiprocessing_context="fork")


def in_workers() -> Any:
    return forked(Batches(loader()), batch_size=None, num_workers=1, persistent_workers=True)


def ids(batches: Any) -> list[list[int]]:
    return [batch["i"].tolist() for batch in batches]


def epochs(count: int, **more: Any) -> list[list[list[int]]]:
    return [ids(loader(**more).epoch(number)) for number in range(count)]


def cut(batches: list[Any], size: int = 6) -> list[Any]:
    return [batches[k : k + size] for k in range(0, len(batches), size)]


# Lightning


def model(folder: Path) -> Any:
    pytest.importorskip("lightning")
    from lightning_model import Model

    return Model(folder)


def fit(folder: Path, train: Any, validate: Any = None, ckpt: str | None = None, **more: Any) -> Any:
    pl: Any = pytest.importorskip("lightning.pytorch")
    trained = more.pop("model", None) or model(folder)
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    kept = {"enable_checkpointing": "callbacks" in more, "default_root_dir": folder, "accelerator": "cpu"}
    trainer = pl.Trainer(**{**quiet, **kept, "devices": 1, **more})
    trainer.fit(trained, train, validate, ckpt_path=ckpt, weights_only=False if ckpt else None)
    return trained


@pytest.mark.parametrize("make", [loader, in_workers])
def test_lightning_trains_and_validates_with_all_of_each_epoch(tmp_path: Path, make: Any) -> None:
    still = DataLoader(Batches(loader(shuffle=False)), batch_size=None) if make is in_workers else loader(shuffle=False)
    trained = fit(tmp_path, make(), still, max_epochs=3)
    assert cut(trained.trained) == epochs(3)
    assert cut(trained.validated) == [epochs(1, shuffle=False)[0]] * 3


def test_lightning_leaves_epochs_early_and_the_next_one_is_whole(tmp_path: Path) -> None:
    more = {"max_epochs": 3, "limit_train_batches": 2, "limit_val_batches": 1, "num_sanity_val_steps": 1}
    trained = fit(tmp_path, loader(), loader(), **more)
    assert cut(trained.trained, 2) == [batches[:2] for batches in epochs(3)]
    assert cut(trained.validated, 1) == [batches[:1] for batches in epochs(3)]


def test_lightning_goes_on_from_a_checkpoint_after_any_step(tmp_path: Path) -> None:
    pl: Any = pytest.importorskip("lightning.pytorch")
    whole = sum(epochs(3), [])
    keep = pl.callbacks.ModelCheckpoint(dirpath=tmp_path / "kept", every_n_train_steps=1, save_top_k=-1)
    fit(tmp_path, loader(), callbacks=[keep], max_steps=13)
    for step in (1, 5, 6, 7, 12):
        (kept,) = (tmp_path / "kept").glob(f"*step={step}.ckpt")
        assert fit(tmp_path, loader(), ckpt=str(kept), max_epochs=3).trained == whole[step:], f"after step {step}"


def test_lightning_goes_on_after_an_epoch_that_was_limited(tmp_path: Path) -> None:
    pl: Any = pytest.importorskip("lightning.pytorch")
    keep = pl.callbacks.ModelCheckpoint(dirpath=tmp_path / "kept", save_top_k=-1)
    fit(tmp_path, loader(), callbacks=[keep], max_epochs=1, limit_train_batches=2)
    (kept,) = (tmp_path / "kept").glob("*.ckpt")
    again = fit(tmp_path, loader(), ckpt=str(kept), max_epochs=3, limit_train_batches=2)
    assert cut(again.trained, 2) == [batches[:2] for batches in epochs(3)][1:]


@pytest.mark.parametrize("make", [loader, in_workers])
def test_ranks_that_lightning_spawns_share_each_epoch(tmp_path: Path, make: Any) -> None:
    fit(tmp_path, make(), max_epochs=2, devices=2, strategy="ddp_spawn")
    seen = [json.loads((tmp_path / f"rank{rank}").read_text()) for rank in (0, 1)]
    assert [cut(one, 3) for one in seen] == [epochs(2, rank=rank, world=2) for rank in (0, 1)]


@pytest.mark.parametrize("workers", [0, 2])
def test_lightning_goes_on_with_workers_whose_epoch_is_set_where_they_are_made(tmp_path: Path, workers: int) -> None:
    pl: Any = pytest.importorskip("lightning.pytorch")
    from torchdata.stateful_dataloader import StatefulDataLoader

    def trained(**more: Any) -> Any:
        made = model(tmp_path)

        def train_dataloader() -> Any:
            batches = Batches(loader())
            batches.set_epoch(made.trainer.fit_loop.epoch_progress.current.processed)
            return StatefulDataLoader(batches, batch_size=None, num_workers=workers)

        made.train_dataloader = train_dataloader
        return fit(tmp_path, None, model=made, max_epochs=3, **more).trained

    whole = sum(epochs(3), [])
    keep = [pl.callbacks.ModelCheckpoint(tmp_path / name, save_top_k=-1, **{f"every_n_{name}": 1}) for name in EVERY]
    assert trained(callbacks=keep) == whole
    for name, step in [("train_steps", 1), ("train_steps", 7), ("epochs", 6), ("epochs", 12)]:
        (kept,) = (tmp_path / name).glob(f"*step={step}.ckpt")
        assert trained(ckpt=str(kept)) == whole[step:], f"after step {step}"


@pytest.mark.parametrize("iterable", [False, True])
def test_lightning_reads_all_of_a_view_as_a_torch_dataset(tmp_path: Path, iterable: bool) -> None:
    data = DataLoader(view().shuffle(seed=1).to_torch(iterable=iterable), 4, num_workers=1, shuffle=not iterable)
    seen = cut(fit(tmp_path, data, max_epochs=3).trained)
    assert [sorted(sum(batches, [])) for batches in seen] == [list(range(N))] * 3
    assert seen[0] != seen[1] != seen[2]


def test_lightning_accumulates_overfits_and_reloads_without_losing_a_batch(tmp_path: Path) -> None:
    assert cut(fit(tmp_path, loader(), max_epochs=3, accumulate_grad_batches=4).trained) == epochs(3)
    still = fit(tmp_path, loader(shuffle=False), max_epochs=3, overfit_batches=2)
    assert cut(still.trained, 2) == [epochs(1, shuffle=False)[0][:2]] * 3
    reloaded = model(tmp_path)
    reloaded.train_dataloader = loader
    fit(tmp_path, None, model=reloaded, max_epochs=3, reload_dataloaders_every_n_epochs=1)
    assert cut(reloaded.trained) == epochs(3)


def test_lightning_reads_two_loaders_at_once_and_stops_in_the_middle(tmp_path: Path) -> None:
    pytest.importorskip("lightning.pytorch")
    from lightning.pytorch.utilities import CombinedLoader

    both, seen = {"a": loader(), "b": loader(seed=9)}, model(tmp_path)

    def step(batch: Any, batch_idx: int) -> Any:
        seen.trained.append({name: part["i"].tolist() for name, part in batch.items()})
        return seen.layer(batch["a"]["x"]).mean()

    seen.training_step = step
    fit(tmp_path, CombinedLoader(both, "max_size_cycle"), model=seen, max_steps=8, max_epochs=-1)
    for name, seed in (("a", 3), ("b", 9)):
        assert [one[name] for one in seen.trained] == sum(epochs(2, seed=seed), [])[:8]
        assert both[name].position == (1, 8)


def test_lightning_tests_and_predicts_with_each_sample_once(tmp_path: Path) -> None:
    pl: Any = pytest.importorskip("lightning.pytorch")
    seen = model(tmp_path)
    trainer = pl.Trainer(
        logger=False, enable_progress_bar=False, accelerator="cpu", devices=1, enable_checkpointing=False
    )
    trainer.test(seen, loader(shuffle=False), verbose=False)
    assert seen.validated == trainer.predict(seen, loader(shuffle=False)) == epochs(1, shuffle=False)[0]


def test_a_logger_of_lightning_has_the_numbers_of_each_step(tmp_path: Path) -> None:
    pl: Any = pytest.importorskip("lightning.pytorch")
    logger = pl.loggers.CSVLogger(tmp_path, name="log")
    fit(tmp_path, loader(threads=0), max_epochs=2, logger=logger, log_every_n_steps=1)
    with Path(logger.log_dir, "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["steps"]) for row in rows] == [1] * 12
    assert sum(float(row["samples"]) for row in rows) == 2 * N


# Accelerate


def prepared(rank: int, world: int, port: int, folder: str, how: str) -> None:
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world))
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    try:
        ready: Any = accelerator.prepare(GIVEN[how]())
        seen: Any = [ids(ready) for _ in range(3)]
    except (UsageError, RuntimeError) as error:  # gloo raises the latter where the other one is gone
        seen = str(error)
    Path(folder, f"rank{rank}").write_text(json.dumps(seen))
    # The other one waits for batches that do not come, while anybody holds the socket: workers inherited it.
    for worker in multiprocessing.active_children():
        worker.kill()
    os._exit(0)


def as_torch(**more: Any) -> Any:
    return view().shuffle(seed=1).to_torch(**more)


GIVEN: dict[str, Any] = {
    "loader": loader,
    "batches": lambda: DataLoader(Batches(loader()), batch_size=None),
    "workers": lambda: forked(Batches(loader()), batch_size=None, num_workers=2),
    "torch": lambda: DataLoader(as_torch(), 4, shuffle=True),
    "iterable": lambda: forked(as_torch(iterable=True), 4, num_workers=1),
}


def run_prepared(folder: Path, world: int, how: str) -> list[Any]:
    pytest.importorskip("accelerate")
    torch.multiprocessing.spawn(prepared, (world, free_port(), str(folder), how), world)
    return [json.loads(path.read_text()) for path in sorted(folder.iterdir())]


@pytest.mark.parametrize("how", ["loader", "batches", "workers"])
def test_accelerate_reads_all_of_each_epoch_in_one_process(tmp_path: Path, how: str) -> None:
    assert run_prepared(tmp_path, 1, how) == [epochs(3)]


def test_accelerate_leaves_a_loader_to_find_its_rank(tmp_path: Path) -> None:
    assert run_prepared(tmp_path, 2, "loader") == [epochs(3, rank=rank, world=2) for rank in (0, 1)]


@pytest.mark.parametrize("how", ["batches", "workers"])
def test_accelerate_must_not_deal_what_a_loader_deals(tmp_path: Path, how: str) -> None:
    seen = run_prepared(tmp_path, 2, how)
    assert all(isinstance(one, str) for one in seen)
    assert any("Accelerate deals the batches of this DataLoader" in one for one in seen)


@pytest.mark.parametrize("how", ["torch", "iterable"])
def test_accelerate_deals_each_sample_of_a_torch_dataset(tmp_path: Path, how: str) -> None:
    # It fills up the last step with samples from the start.
    seen = run_prepared(tmp_path, 2, how)
    for epoch in range(3):
        assert set(sum(seen[0][epoch] + seen[1][epoch], [])) == set(range(N))
    assert seen[0][0] != seen[0][1] != seen[0][2]


# The Trainer of Hugging Face


def in_torch() -> Any:
    return DataLoader(as_torch(), 4, shuffle=True)


def hugging_face(folder: Path, make: Any, **more: Any) -> list[list[int]]:
    """Train three epochs with a checkpoint after each step; return the ids of the batches."""
    transformers: Any = pytest.importorskip("transformers")

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.seen = torch.nn.Linear(1, 2), []

        def forward(self, x: Any, labels: Any, i: Any) -> Any:
            self.seen.append(i.tolist())
            logits = self.layer(x)
            return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

    class Trainer(transformers.Trainer):  # type: ignore[misc]
        def get_train_dataloader(self) -> Any:
            # Only what is prepared is told the epoch.
            return self.accelerator.prepare(make())

    given = {"num_train_epochs": 3, "use_cpu": True, "report_to": [], "logging_strategy": "no", "disable_tqdm": True}
    own = {name: more.pop(name) for name in list(more) if name != "resume_from_checkpoint"}
    arguments = transformers.TrainingArguments(str(folder), save_strategy="steps", save_steps=1, **given, **own)
    tuned = Model()
    Trainer(model=tuned, args=arguments).train(**more)
    return tuned.seen


@pytest.mark.parametrize("make", [loader, in_workers])
def test_hugging_face_trains_with_all_of_each_epoch_and_goes_on_after_any_step(tmp_path: Path, make: Any) -> None:
    assert cut(hugging_face(tmp_path, make)) == epochs(3)
    for step in (2, 6, 9):
        kept = str(tmp_path / f"checkpoint-{step}")
        assert hugging_face(tmp_path, make, resume_from_checkpoint=kept) == sum(epochs(3), [])[step:], step


def test_hugging_face_accumulates_gradients_and_stops_after_a_number_of_steps(tmp_path: Path) -> None:
    whole = hugging_face(tmp_path, loader, gradient_accumulation_steps=4)
    assert cut(whole) == epochs(3)
    # Two steps an epoch: of four batches, and of the other two.
    for step, batches in ((1, 4), (2, 6), (3, 10)):
        kept = str(tmp_path / f"checkpoint-{step}")
        again = hugging_face(tmp_path, loader, gradient_accumulation_steps=4, resume_from_checkpoint=kept)
        assert again == whole[batches:]
    assert hugging_face(tmp_path, loader, max_steps=8) == sum(epochs(2), [])[:8]


def test_hugging_face_reads_all_of_a_view_as_a_torch_dataset(tmp_path: Path) -> None:
    seen = cut(hugging_face(tmp_path, in_torch))
    assert [sorted(sum(batches, [])) for batches in seen] == [list(range(N))] * 3
    assert seen[0] != seen[1] != seen[2]
