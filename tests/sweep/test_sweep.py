"""The six invariants, swept: each call of each verb to the disk fails once in every way.

I1 nothing partial is ever visible; I2 a plain re-run converges to the digest of a clean run; I3 the last good version
stays readable until the new one is committed; I4 each failure is one typed error with an exit code; I5 no silent
change; I6 nothing is left behind.
"""

import itertools
from pathlib import Path

import pytest
from sweeping import FAULTS, OF_READS, VERBS, Fault, sweep_of


@pytest.mark.parametrize("verb", VERBS)
def test_one_call_in_ten_of_each_verb_fails(verb: str, place: Path) -> None:
    """The next one fails with the next fault."""
    with sweep_of(verb, place) as sweep:
        for k, fault in enumerate(FAULTS):
            sweep.run(fault, itertools.count(1 + 10 * k, 10 * len(FAULTS)))


@pytest.mark.sweep
@pytest.mark.timeout(0)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("verb", VERBS)
def test_each_call_of_each_verb_fails_in_every_way(verb: str, fault: Fault, place: Path) -> None:
    with sweep_of(verb, place) as sweep:
        last = sweep.run(fault, itertools.count(1))
    print(f"{verb}: {fault}: {last} {'calls' if fault in OF_READS else 'changes'}")
