"""Which tests `make test-fast` leaves out: slow files and folders, and the functions that slow.txt lists.

    .venv/bin/python -m pytest -n 2 -m 'not soak and not sweep and not server' --junitxml report.xml
    .venv/bin/python tests/support/slow.py report.xml

The second command writes slow.txt anew, with each test function of which one case took longer than `LONG` seconds, or
all its cases together longer than `LONG_TOGETHER`.
"""

import functools
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from places import TESTS

SLOW = (
    "acceptance", "cli", "orchestration", "storage/connectors", "core/test_escape.py",
    "core/test_project_file.py", "datasets/test_more_datasets.py", "definition/test_parallel_map.py",
    "definition/test_scaffold.py",
    "formats/test_forged_files.py", "loader/test_failing.py", "loader/test_kit.py", "loader/test_stored_loader.py",
    "loader/test_torch_datasets.py", "making/test_engines.py", "making/test_in_parts.py", "making/test_in_place.py",
    "making/test_part_machines.py", "making/test_steps.py", "reading/convert/test_torch.py", "reading/test_remote.py",
    "storage/test_forged_documents.py", "storage/test_listing.py", "sweep", "test_suite.py",
)  # fmt: skip
"""Files and folders of tests that start many processes, wait, or repeat a law thousands of times."""

LONG, LONG_TOGETHER = 0.2, 0.6
LISTED = Path(__file__).with_name("slow.txt")


@functools.cache
def is_slow(path: Path) -> bool:
    return any(path.is_relative_to(TESTS / name) for name in SLOW)


def is_listed(path: Path, names: str) -> bool:
    """Return whether slow.txt has the test, whose `names` are those of its class, if it has one, and its function."""
    return f"{path.relative_to(TESTS).as_posix()}::{names}" in _listed()


@functools.cache
def _listed() -> frozenset[str]:
    return frozenset(LISTED.read_text().splitlines())


def slow_tests(report: Path) -> list[str]:
    """Return the functions whose cases took long, from pytest's JUnit file."""
    seconds: dict[str, list[float]] = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        seconds.setdefault(_test(case), []).append(float(case.get("time", 0)))
    return sorted(name for name, each in seconds.items() if max(each) > LONG or sum(each) > LONG_TOGETHER)


def _test(case: ElementTree.Element) -> str:
    _, *folders, module = (where := case.get("classname", "").split("."))[: _end(where)]
    names = [*where[_end(where) :], case.get("name", "").partition("[")[0]]
    return f"{'/'.join([*folders, module])}.py::{'::'.join(names)}"


def _end(where: list[str]) -> int:
    """Return where the names of classes begin."""
    return next((at for at, name in enumerate(where) if name.startswith("Test")), len(where))


if __name__ == "__main__":
    LISTED.write_text("".join(f"{name}\n" for name in slow_tests(Path(sys.argv[1]))))
