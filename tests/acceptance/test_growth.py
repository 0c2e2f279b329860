"""Cost grows as the work grows: what `make growth` measures in seconds, by the number of calls."""

import sys
from pathlib import Path

import pytest
from counting import calls

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import growth  # noqa: E402


@pytest.mark.parametrize("name", growth.CASES)
def test_twice_the_work_costs_no_more_than_is_allowed(name: str, home: Path) -> None:
    case = growth.CASES[name]
    counts = []
    for size in (case.small, 2 * case.small):
        work = case.make(size)
        # What is imported and compiled at first is not counted.
        work()
        counts.append(calls(work))
    assert growth.exponent(*counts) <= case.allowed + growth.NOISE, counts


def test_the_exponent_is_that_of_growth() -> None:
    assert [growth.exponent(1, 2**k) for k in range(3)] == [0, 1, 2]
    assert growth.exponent(5, 20) > growth.CASES["n lists"].allowed + growth.NOISE


def test_many_files_and_streams_need_few_descriptors(home: Path) -> None:
    opened = []
    for make, size in ((growth.load_parts, 300), (growth.load_streams, 300)):
        sample = make(size)()
        opened.append(len(list(Path("/proc/self/fd").iterdir())))
        assert sample
    assert max(opened) < 250
