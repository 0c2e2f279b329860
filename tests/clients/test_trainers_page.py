"""The blocks of docs/trainers.md print what the page says, with the packages that `make test-clients` installs."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from doc_fences import fences
from places import ROOT, SUPPORT

TORCHVISION = Path(sys.prefix) / "torchvision"

# torchvision is built for CUDA. Without it two operators are missing, which it looks for when it is imported; its
# transforms need none of them.
OPERATORS = """
import torch

if torch.version.cuda is None:
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""


def test_each_block_prints_what_the_page_says(tmp_path: Path) -> None:
    for package in ("lightning", "accelerate", "transformers", "jax", "mlflow", "wandb"):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    page = ROOT / "docs/trainers.md"
    given = json.dumps([page.name, [("python", OPERATORS, 1), *fences(page)]])
    path = os.pathsep.join([os.environ["PYTHONPATH"], str(TORCHVISION)])
    environment = {**os.environ, "PYTHONPATH": path, "HOME": str(tmp_path), "WANDB_SILENT": "true"}
    command = [sys.executable, str(SUPPORT / "docs_page.py")]
    done = subprocess.run(command, input=given, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
