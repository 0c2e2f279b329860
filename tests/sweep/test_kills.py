"""Verbs are killed at random, one after the other in one home: what they leave adds up, and breaks no invariant."""

import os
import random
from pathlib import Path

import pytest
import tiny
from killing import Kills

from dataset_assets.testing import FaultyServer

SEED = int(os.environ.get("KILL_SEED") or random.SystemRandom().randrange(1 << 32))
"""Set KILL_SEED to the printed one to see the same kills again."""


@pytest.mark.timeout(0)
@pytest.mark.parametrize(
    ("part", "kills"), [(0, 8), *(pytest.param(part, 250, marks=pytest.mark.soak) for part in range(1, 5))]
)
def test_verbs_that_are_killed_at_random_break_no_invariant(
    part: int, kills: int, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FaultyServer({"/old/numbers.csv": tiny.NUMBERS, "/new/numbers.csv": tiny.CHANGED}) as server:
        old, new = (tiny.small(f"{server.url}/{which}/numbers.csv") for which in ("old", "new"))
        killed = Kills(place, old, new, SEED + part)
        try:
            killed.run(kills)
        finally:
            with capsys.disabled():
                print(f"\nKILL_SEED={SEED}, part {part}: {killed.tried.total()} kills: {dict(killed.tried)}")
