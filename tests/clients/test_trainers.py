"""Trainers of others read a view: every sample of every epoch, counted by its id. `make test-clients` installs them."""

import csv
import json
import os
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


def view() -> View:
    return view_of(x=np.arange(N, dtype=np.float32)[:, None], labels=np.arange(N) % 2, i=np.arange(N))


def loader(**more: Any) -> Loader:
    return Loader(view(), 4, **{"shuffle": True, "seed": 3, "output": "torch", **more})


def in_workers() -> Any:
    return DataLoader(Batches(loader()), batch_size=None, num_workers=1, persistent_workers=True)


def ids(batches: Any) -> list[list[int]]:
    return [batch["i"].tolist() for batch in batches]


def epochs(count: int, **more: Any) -> list[list[list[int]]]:
    return [ids(loader(**more).epoch(number)) for number in range(count)]


def cut(batches: list[Any], size: int = 6) -> list[Any]:
    return [batches[k : k + size] for k in range(0, len(batches), size)]


# Lightning


def model(folder: Path) -> Any:
    pl: Any = pytest.importorskip("lightning.pytorch")

    class Model(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.trained, self.validated = torch.nn.Linear(1, 1), [], []

        def training_step(self, batch: Any, number: int) -> Any:
            self.trained.append(batch["i"].tolist())
            (folder / f"rank{self.global_rank}").write_text(json.dumps(self.trained))
            if self.loggers:
                self.log_dict(self.trainer.train_dataloader.stats())
            return self.layer(batch["x"]).mean()

        def validation_step(self, batch: Any, number: int) -> None:
            if not self.trainer.sanity_checking:
                self.validated.append(batch["i"].tolist())

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.01)

    return Model()


class Spawned:
    """Makes the model in the process that Lightning spawns, which cannot get a class of a function."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, rank: int, port: int, train: Any) -> None:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), NODE_RANK="0", LOCAL_RANK=str(rank))
        fit(self.folder, train, max_epochs=2, devices=2, strategy="ddp")


def fit(folder: Path, train: Any, validate: Any = None, ckpt: str | None = None, **more: Any) -> Any:
    pl: Any = pytest.importorskip("lightning.pytorch")
    trained = model(folder)
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


def test_ranks_of_lightning_share_each_epoch(tmp_path: Path) -> None:
    pytest.importorskip("lightning.pytorch")
    torch.multiprocessing.spawn(Spawned(tmp_path), (free_port(), loader()), 2)
    seen = [json.loads((tmp_path / f"rank{rank}").read_text()) for rank in (0, 1)]
    assert [cut(one, 3) for one in seen] == [epochs(2, rank=rank, world=2) for rank in (0, 1)]


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
    given: Any = loader() if how == "loader" else DataLoader(Batches(loader()), batch_size=None)
    try:
        ready: Any = accelerator.prepare(given)
        seen: Any = [ids(ready) for _ in range(3)]
    except UsageError as error:
        seen = str(error)
    Path(folder, f"rank{rank}").write_text(json.dumps(seen))
    os._exit(0)  # the other one waits for batches that do not come


def run_prepared(folder: Path, world: int, how: str) -> list[Any]:
    pytest.importorskip("accelerate")
    torch.multiprocessing.spawn(prepared, (world, free_port(), str(folder), how), world)
    return [json.loads(path.read_text()) for path in sorted(folder.iterdir())]


@pytest.mark.parametrize("how", ["loader", "batches"])
def test_accelerate_reads_all_of_each_epoch_in_one_process(tmp_path: Path, how: str) -> None:
    assert run_prepared(tmp_path, 1, how) == [epochs(3)]


def test_accelerate_leaves_a_loader_to_find_its_rank(tmp_path: Path) -> None:
    assert run_prepared(tmp_path, 2, "loader") == [epochs(3, rank=rank, world=2) for rank in (0, 1)]


# The Trainer of Hugging Face


@pytest.mark.parametrize("make", [loader, in_workers])
def test_hugging_face_trains_with_all_of_each_epoch_and_goes_on_after_any_step(tmp_path: Path, make: Any) -> None:
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
            return make()

    def trained(**more: Any) -> Any:
        arguments = transformers.TrainingArguments(
            output_dir=str(tmp_path), num_train_epochs=3, use_cpu=True, report_to=[], logging_strategy="no",
            disable_tqdm=True, save_strategy="steps", save_steps=1,
        )  # fmt: skip
        tuned = Model()
        Trainer(model=tuned, args=arguments).train(**more)
        return tuned.seen

    assert cut(trained()) == epochs(3)
    if make is loader:
        for step in (2, 6, 9):
            assert trained(resume_from_checkpoint=str(tmp_path / f"checkpoint-{step}")) == sum(epochs(3), [])[step:]
