"""A folder of data as somebody has it on disk, and a look at what a folder holds."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

META = {"name": "flower", "Blüten": [1, {"tief": None}], "license": "MIT", "citation": "Flowers, 1936"}


def flower(root: Path, meta: Any = META) -> Path:
    """Make a folder with three partitions, one of them empty, metadata, a program and an empty folder."""
    for name in ("train/rose", "train/iris", "2020", "empty", "train/none"):
        (root / "data" / name).mkdir(parents=True)
    for name, data in {"train/rose/1.bin": b"rose", "train/iris/ä b.bin": bytes(3000), "2020/x": b""}.items():
        (root / "data" / name).write_bytes(data)
    (root / "data/2020/run.sh").write_bytes(b"#!/bin/sh\n")
    os.chmod(root / "data/2020/run.sh", 0o755)
    (root / "meta.json").write_text(json.dumps(meta))
    (root / "README.md").write_bytes(b"# Flowers\r\n")
    (root / "assets/deep").mkdir(parents=True)
    (root / "assets/deep/picture").write_bytes(bytes(range(256)))
    return root


def held(root: Path) -> dict[str, tuple[str, bool]]:
    """Return the sha256 of each file below a folder, and whether it is executable; and its folders."""
    found = {}
    for path in sorted(root.rglob("*")):
        digest = "a folder" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
        found[path.relative_to(root).as_posix()] = digest, path.is_file() and bool(path.stat().st_mode & 0o100)
    return found
