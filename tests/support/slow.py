"""Which tests `make test-fast` leaves out."""

import functools
from pathlib import Path

from places import TESTS

SLOW = (
    "acceptance", "cli", "orchestration", "storage/connectors", "core/test_escape.py",
    "core/test_project_file.py", "datasets/test_more_datasets.py", "definition/test_scaffold.py",
    "formats/test_forged_files.py", "loader/test_failing.py", "loader/test_kit.py", "loader/test_stored_loader.py",
    "loader/test_torch_datasets.py", "making/test_steps.py", "reading/convert/test_torch.py", "reading/test_remote.py",
    "storage/test_forged_documents.py", "storage/test_listing.py", "sweep", "test_suite.py",
)  # fmt: skip
"""Files and folders of tests that start many processes, wait, or repeat a law thousands of times."""


@functools.cache
def is_slow(path: Path) -> bool:
    return any(path.is_relative_to(TESTS / name) for name in SLOW)
