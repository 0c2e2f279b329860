"""A model that notes the samples that it sees; processes that Lightning spawns import it from here."""

import json
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule


class Model(LightningModule):
    """Notes the ids of the batches that it trains on and validates with; each rank also writes a file."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.layer = folder, torch.nn.Linear(1, 1)
        self.trained: list[list[int]] = []
        self.validated: list[list[int]] = []

    def training_step(self, batch: Any, number: int) -> Any:
        self.trained.append(batch["i"].tolist())
        (self.folder / f"rank{self.global_rank}").write_text(json.dumps(self.trained))
        if self.loggers:
            self.log_dict(self.trainer.train_dataloader.stats())
        return self.layer(batch["x"]).mean()

    def validation_step(self, batch: Any, number: int) -> None:
        if not self.trainer.sanity_checking:
            self.validated.append(batch["i"].tolist())

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.validated.append(batch["i"].tolist())

    def predict_step(self, batch: Any, batch_idx: int) -> list[int]:
        seen: list[int] = batch["i"].tolist()
        return seen

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.01)
