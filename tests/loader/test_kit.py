"""The kit for loaders: ours passes with every operator, others can take it, and wrong ones are found out."""

from typing import Any, ClassVar

import numpy as np
import pytest

from dataset_assets import View, view_of
from dataset_assets.loader import Buckets, Budget, Loader, joined, padded
from dataset_assets.testing import LoaderTests, failures

SEED = 5


def numbered(n: int) -> View:
    """Return rows with their number, and texts and arrays of lengths that differ."""
    lengths = [(7 * i) % 11 for i in range(n)]
    return view_of(
        i=np.arange(n), x=np.arange(2 * n).reshape(n, 2), tokens=[np.full(k, i) for i, k in enumerate(lengths)]
    )


class TestOurs(LoaderTests):
    """Plain batches."""

    def loader(self, samples: int, batch_size: int, **changes: Any) -> Loader:
        return Loader(numbered(samples), batch_size, shuffle=True, seed=SEED, **{"threads": 0, **changes})

    def rows(self, batch: Any) -> list[int]:
        return batch["i"].tolist()


class TestBucketed(TestOurs):
    """Buckets with a run of their own go on under any change; that of the steps does not."""

    def loader(self, samples: int, batch_size: int, **changes: Any) -> Loader:
        bucket = Buckets("tokens", window=9, run=2)
        return Loader(
            numbered(samples), batch_size, shuffle=True, seed=SEED, bucket=bucket, **{"threads": 0, **changes}
        )


class TestBucketedByStep(TestOurs):
    exact = frozenset({"process", "threads"})
    refused: ClassVar = {"ranks": "bucket", "batch_size": "bucket"}

    def loader(self, samples: int, batch_size: int, **changes: Any) -> Loader:
        bucket = Buckets("tokens", window=12)
        return Loader(
            numbered(samples), batch_size, shuffle=True, seed=SEED, bucket=bucket, **{"threads": 0, **changes}
        )


class TestBudgeted(TestOurs):
    def loader(self, samples: int, batch_size: int, **changes: Any) -> Loader:
        budget = Budget(10 + batch_size, "tokens")
        return Loader(numbered(samples), budget, shuffle=True, seed=SEED, **{"threads": 0, **changes})


class TestStacked(TestOurs):
    """A mixture of what a function chose and of all, shuffled, on a stack that makes its samples; by a budget."""

    def view(self) -> View:
        whole = numbered(self.samples)
        mixed = whole.filter(is_odd).mix(whole, weights=(0.3, 0.7), seed=2, stop=2 * self.samples)
        # Below a split the samples are those of one epoch, so that each epoch has the same ones.
        return mixed.random_split((0.6, 0.4), seed=1)[0].shuffle(4).map(dict)

    def expected(self) -> list[int]:
        return [int(sample["i"]) for sample in self.view()]

    def loader(self, samples: int, batch_size: int, **changes: Any) -> Loader:
        budget = Budget(10 + batch_size, "tokens")
        collate = joined("tokens")
        return Loader(self.view(), budget, shuffle=True, seed=SEED, collate=collate, **{"threads": 0, **changes})


class TestStackedBuckets(TestStacked):
    """The same, padded, in buckets."""

    def loader(self, samples: int, batch_size: int, **changes: Any) -> Loader:
        more: dict[str, Any] = {"bucket": Buckets("tokens", 9, run=2), "collate": padded("tokens")}
        return Loader(self.view(), batch_size, shuffle=True, seed=SEED, **{"threads": 0, **more, **changes})


def is_odd(sample: Any) -> bool:
    return bool(sample["i"] % 2)


# Others' loaders


class PlainLoop:
    """A loader as one writes it in an afternoon: a permutation for each epoch, and where it is."""

    def __init__(self, n: int, batch_size: int) -> None:
        self.n, self.batch_size = n, batch_size
        self.epoch, self.at = self.next = (0, 0)

    def order(self) -> Any:
        return np.random.default_rng([SEED, self.epoch]).permutation(self.n)

    def __iter__(self) -> Any:
        self.epoch, self.at = self.next
        self.next = (self.epoch + 1, 0)
        order = self.order()
        while self.at < self.n:
            lo, self.at = self.at, self.at + self.batch_size
            yield order[lo : self.at]
        self.epoch, self.at = self.next

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch, "at": self.at}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.epoch, self.at = self.next = (state["epoch"], state["at"])


class PlainLoopTests(LoaderTests):
    exact = frozenset({"process"})
    kind: ClassVar[type[PlainLoop]] = PlainLoop

    def loader(self, samples: int, batch_size: int, **changes: Any) -> PlainLoop:
        return self.kind(samples, batch_size)

    def rows(self, batch: Any) -> list[int]:
        return batch.tolist()


class TestPlainLoop(PlainLoopTests):
    """One of numpy and a loop: its author subclasses the suite."""


class OneTooFar(PlainLoop):
    """Leaves out a sample after a resume."""

    def load_state_dict(self, state: dict[str, int]) -> None:
        super().load_state_dict({**state, "at": state["at"] + 1})


class TakenLate(PlainLoop):
    """Says where it has read to, which is a batch more than it has given."""

    def state_dict(self) -> dict[str, int]:
        return {"epoch": self.epoch, "at": self.at + self.batch_size if self.at else 0}


class Reshuffled(PlainLoop):
    """Shuffles anew at each resume."""

    turn = 0

    def order(self) -> Any:
        return np.random.default_rng([SEED, self.epoch, self.turn]).permutation(self.n)

    def load_state_dict(self, state: dict[str, int]) -> None:
        super().load_state_dict(state)
        Reshuffled.turn += 1


class DropsTheTail(PlainLoop):
    """Leaves out the last, shorter batch."""

    def __iter__(self) -> Any:
        return (batch for batch in super().__iter__() if len(batch) == self.batch_size)


class DropsTheTailAfterResume(PlainLoop):
    resumed = False

    def load_state_dict(self, state: dict[str, int]) -> None:
        super().load_state_dict(state)
        self.resumed = True

    def __iter__(self) -> Any:
        return (batch for batch in super().__iter__() if len(batch) == self.batch_size or not self.resumed)


class Disturbed(PlainLoop):
    """Moves when it is asked where it is."""

    def state_dict(self) -> dict[str, int]:
        state = super().state_dict()
        self.at += self.at > 0
        return state


class OneOrder(PlainLoop):
    """Gives every epoch the same order."""

    def order(self) -> Any:
        return np.random.default_rng(SEED).permutation(self.n)


class GoesOnAfterABreak(PlainLoop):
    """Begins where the last iteration was left, so that a peek costs samples."""

    def __iter__(self) -> Any:
        self.next = (self.epoch, self.at)
        return super().__iter__()


class TakenWhenMade(PlainLoop):
    """Takes an epoch for an iterator that nobody uses."""

    def __iter__(self) -> Any:
        self.next, place = (self.next[0] + 1, 0), self.next
        return self.batches(place)

    def batches(self, place: tuple[int, int]) -> Any:
        self.epoch, self.at = place
        order = self.order()
        while self.at < self.n:
            lo, self.at = self.at, self.at + self.batch_size
            yield order[lo : self.at]
        self.epoch, self.at = self.next


class ContinuedTwice(PlainLoop):
    """Begins every iteration where the state was that it was given."""

    loaded: "tuple[int, int] | None" = None

    def load_state_dict(self, state: dict[str, int]) -> None:
        super().load_state_dict(state)
        self.loaded = self.next

    def __iter__(self) -> Any:
        self.next = self.loaded or self.next
        return super().__iter__()


class NoJson(PlainLoop):
    def state_dict(self) -> Any:
        return {"epoch": self.epoch, "at": self.at, "order": self.order()}


class RowOfItsOwn(Loader):
    """Counts its own samples, as if there were no other ranks."""

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        return {**state, "consumed": state["consumed"] // self.plan.world}


WRONG = [
    OneTooFar, TakenLate, Reshuffled, DropsTheTail, DropsTheTailAfterResume, Disturbed, OneOrder, GoesOnAfterABreak,
    TakenWhenMade, ContinuedTwice, NoJson,
]  # fmt: skip


@pytest.mark.parametrize("kind", WRONG, ids=lambda kind: kind.__name__)
def test_a_wrong_loader_is_found_out(kind: type[PlainLoop]) -> None:
    suite = type("Suite", (PlainLoopTests,), {"kind": kind, "exact": frozenset()})
    assert failures(suite)


def test_a_loader_that_counts_for_its_own_rank_is_found_out() -> None:
    class Suite(TestOurs):
        exact = frozenset({"ranks"})

        def loader(self, samples: int, batch_size: int, **changes: Any) -> Loader:
            return RowOfItsOwn(numbered(samples), batch_size, shuffle=True, seed=SEED, threads=0, **changes)

    assert [name.partition(":")[0] for name in failures(Suite)] == ["test_it_goes_on_with_other_ranks"]


def test_the_right_ones_are_not() -> None:
    assert failures(type("Suite", (PlainLoopTests,), {"exact": frozenset()})) == []


def test_a_promise_to_refuse_is_held_against_the_loader() -> None:
    class Suite(TestOurs):
        exact = frozenset()
        refused: ClassVar = {"batch_size": "batch_size"}

    assert [name.partition(":")[0] for name in failures(Suite)] == ["test_what_is_not_exact_is_refused_by_name"]
