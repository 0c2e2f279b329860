"""Views that share the views below them: each costs what one view costs, however many ways lead to it."""

from typing import Any, Callable, Mapping

import numpy as np
import pytest
from counting import calls

from dataset_assets import Loader, View, view_of
from dataset_assets.formats import Columns

STEPS: Mapping[str, Callable[[View], View]] = {
    "zip": lambda view: view.only("x").zip(view.only("y")),
    "zip of renamed": lambda view: view.rename(a="x").only("a").rename(x="a").zip(view.only("y")),
    "zip of mapped": lambda view: _halves(view.map(dict)),
    "zip of random maps": lambda view: _halves(view.map(lambda sample, generator: dict(sample), random=True)),
    "zip of orders": lambda view: view.shuffle(0).only("x").zip(view.shuffle(0).only("y")),
    "zip beside one more": lambda view: (
        view.only("x").zip(view.only("y").zip(view.rename(z="x", w="y"))).only("x", "y")
    ),
    "concat": lambda view: view.concat(view)[:4],
    "interleave": lambda view: view.interleave(view)[:4],
    "mix": lambda view: view.mix(view, weights=[1, 1], seed=0, stop=4),
    "a kind of one's own": lambda view: Beside((view, view)),
}
USES: Mapping[str, Callable[[View], Any]] = {
    "repr": repr,
    "notebook": lambda view: view._repr_html_(),
    "report": lambda view: view.report().to_json(),
    "lineage": lambda view: view.lineage(0),
    "fingerprint": lambda view: view.fingerprint(),
    "at_epoch": lambda view: view.at_epoch(1),
    "roles": lambda view: (view.roles, view.classes, view.licenses, view.computed, view.declared),
    "sample": lambda view: view[0],
    "iteration": list,
    "batch": lambda view: view.batch(4)[0],
    "loader": lambda view: next(iter(Loader(view, 4, shuffle=True, threads=0))),
    "to_numpy": lambda view: view.to_numpy(),
}


class Beside(View):
    """The samples of the first of several views."""

    def __init__(self, parents: tuple[View, ...]) -> None:
        self.parents = parents

    def __len__(self) -> int:
        return len(self.parents[0])

    @property
    def streams(self) -> tuple[str, ...]:
        return self.parents[0].streams

    def rows(self, where: Any) -> Columns:
        return self.parents[0].rows(where)


def _halves(view: View) -> View:
    return view.only("x").zip(view.only("y"))


def _stack(step: str, height: int) -> View:
    view = view_of(x=[1, 2, 3, 4], y=[5, 6, 7, 8])
    for _ in range(height):
        view = STEPS[step](view)
    return view


# A kind of one's own has no operation, so it cannot be built again for an epoch.
PAIRS = [(use, step) for use in USES for step in STEPS if (use, step) != ("at_epoch", "a kind of one's own")]


@pytest.mark.parametrize(("use", "step"), PAIRS)
def test_a_stack_twice_as_high_does_not_cost_many_times_as_much(step: str, use: str) -> None:
    USES[use](_stack(step, 2))
    low, high = _stack(step, 6), _stack(step, 12)
    # A report counts the targets of each view, and what random maps make is looked at again in each epoch: both read
    # each view of the stack through those below it.
    most = 4 if use in ("report", "at_epoch") else 2.5
    assert calls(lambda: USES[use](high)) <= most * calls(lambda: USES[use](low)) + 200


def test_a_function_below_is_called_once_for_a_sample_that_is_zipped_from_its_streams() -> None:
    seen = []
    view = view_of(x=[1, 2], y=[3, 4]).map(lambda sample: seen.append(sample["x"]) or dict(sample))
    zipped = view.only("y").rename(z="y").zip(view.only("x"))
    seen.clear()
    assert list(zipped) == [{"z": 3, "x": 1}, {"z": 4, "x": 2}] and seen == [1, 2]
    assert zipped[1] == {"z": 4, "x": 2} and seen == [1, 2, 2]
    assert [values.tolist() for values in zipped.batch(2)[0].values()] == [[3, 4], [1, 2]]


def test_a_stream_that_is_zipped_under_two_names_has_its_own_memory_in_each() -> None:
    view = view_of(x=[1, 2]).map(lambda sample: {"x": np.array([sample["x"]])})
    batch = view.zip(view.rename(y="x")).batch(2)[0]
    batch["x"][:] = 0
    assert batch["y"].tolist() == [[1], [2]] and list(batch) == ["x", "y"]


def test_the_repr_draws_a_view_once_and_says_so_where_it_comes_again() -> None:
    view = view_of(x=[1, 2], y=[3, 4]).shuffle(0)
    assert repr(view.only("x").zip(view.only("y"))).splitlines() == [
        "Zipped(2)",
        "  Narrowed(2, x)",
        "    Shuffled(2, seed=0, epoch=0)",
        "      Stored(memory all: 2 samples of x, y)",
        "  Narrowed(2, y)",
        "    Shuffled(2, seed=0, epoch=0), as above",
    ]
    assert repr(view.concat(view, view)).splitlines()[1] == "  Shuffled(2, seed=0, epoch=0), 3 times"


def test_a_report_has_the_parents_of_a_view_once() -> None:
    view = view_of(x=[1, 2], y=[3, 4]).shuffle(0)
    first, second = (half.parents[0] for half in view.only("x").zip(view.only("y")).report().parents)
    assert not first.repeated and first.parents[0].kind == "Stored"
    assert second.repeated and (second.kind, second.length, second.parents) == ("Shuffled", 2, ())
    assert second.to_dict()["repeated"] is True and "repeated" not in first.to_dict()


def test_lineage_has_a_row_once_though_several_streams_come_from_it() -> None:
    view = view_of(x=[1, 2], y=[3, 4])
    assert [entry.row for entry in view.only("x").zip(view.only("y")).lineage(1)] == [1]
    assert [entry.row for entry in view.repeat(2).batch(4).lineage(0)] == [0, 1, 0, 1]


def test_what_a_view_says_of_itself_is_the_callers_own() -> None:
    view = view_of(x=[1, 2]).concat(view_of(x=[3]))
    view.roles["sample"] = "other"  # type: ignore[index]
    assert "sample" not in view.roles
