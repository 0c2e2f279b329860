"""The table of docs/loader.md: what a state takes, stack by stack and change by change; every cell is checked."""

from collections.abc import Mapping
from typing import Any, Callable, ClassVar

import numpy as np
import pytest
from doc_tables import table

from dataset_assets import View, view_of
from dataset_assets.encoding import OneHot
from dataset_assets.loader import Buckets, Budget, Loader
from dataset_assets.reading.views import OPERATIONS
from dataset_assets.reading.views.document import stack_of
from dataset_assets.testing import LoaderTests
from dataset_assets.testing.loaders import copied

SEED = 11


def numbers(n: int) -> View:
    kinds = np.arange(n) % 3
    return view_of(i=np.arange(n), kind=kinds, tokens=[np.arange((5 * k) % 7) for k in range(n)])


def same(sample: Any) -> Any:
    return dict(sample)


def odd(sample: Any) -> bool:
    return bool(sample["i"] % 2)


def negative(sample: Any) -> int:
    return -int(sample["i"])


def shaken(sample: Any, chance: np.random.Generator) -> Any:
    return {"i": int(sample["i"]) * 1000 + int(chance.integers(1000))}


STACKS: dict[str, Callable[[View], View]] = {
    "slice": lambda view: view[::-1],
    "select": lambda view: view.select(np.random.default_rng(0).permutation(len(view))),
    "map": lambda view: view.map(same),
    "only": lambda view: view.only("i"),
    "tuples": lambda view: view.tuples("i"),
    "zip": lambda view: view.zip(view_of(other=np.arange(len(view)))),
    "concat": lambda view: view[:9].concat(view[9:]),
    "batch": lambda view: view.only("i").batch(2),
    "shuffle": lambda view: view.shuffle(3),
    "sort_by": lambda view: view.sort_by(negative),
    "filter": lambda view: view.filter(odd),
    "repeat": lambda view: view.repeat(2),
    "shard": lambda view: view.shard(2, 1),
    "interleave": lambda view: view[:5].interleave(view[5:]),
    "mix": lambda view: view.mix(view[::-1], weights=(3, 1), seed=2, stop="all"),
    "map(random=True)": lambda view: view.map(shaken, random=True, seed=4),
    "map(batched=True)": lambda view: view.map(same, batched=True),
    "rename": lambda view: view.rename(j="i").rename(i="j"),
    "cache": lambda view: view.cache(),
    "random_split": lambda view: view.random_split((0.5, 0.5), seed=1)[0],
    "stratified_split": lambda view: view.stratified_split((0.5, 0.5), by="kind", seed=1)[1],
    "group_split": lambda view: view.group_split((0.7, 0.3), by="kind", seed=1)[0],
    "hash_split": lambda view: view.hash_split((0.5, 0.5), by="i", seed=1)[0],
    "kfold": lambda view: view.kfold(3, by="kind", seed=1)[1].train,
    "nested_kfold": lambda view: view.nested_kfold(4, 4, seed=1)[1].inner[0].train,
    "encode": lambda view: view.encode(view.fit_encoders({"kind": OneHot()})),
    "shuffle=True": lambda view: view,
}
LOADERS: dict[str, Callable[[int], dict[str, Any]]] = {
    "Budget": lambda size: {"batch_size": Budget(8 + size, "tokens")},
    "Buckets(run=2)": lambda size: {"bucket": Buckets("tokens", 9, 2)},
    "Buckets": lambda size: {"bucket": Buckets("tokens", 12)},
}
CHANGES = {
    "process": LoaderTests.test_it_goes_on_in_another_process,
    "threads": LoaderTests.test_it_goes_on_with_other_threads,
    "ranks": LoaderTests.test_it_goes_on_with_other_ranks,
    "batch size": LoaderTests.test_it_goes_on_with_another_batch_size,
}


class Row(LoaderTests):
    """The loader of a row of the table."""

    name: ClassVar[str]

    def loader(self, samples: int, batch_size: int, **changes: Any) -> Loader:
        view = STACKS.get(self.name, same_view)(numbers(samples))
        more = LOADERS.get(self.name, lambda size: {})(batch_size)
        return Loader(
            view, **{"batch_size": batch_size, "shuffle": True, "seed": SEED, "threads": 0, **more, **changes}
        )

    def rows(self, batch: Any) -> list[int]:
        values = batch["i"] if isinstance(batch, Mapping) else batch[0]
        return [int(i) for value in values for i in np.atleast_1d(value)]

    def expected(self) -> list[int]:
        return self.rows({"i": [sample["i"] if isinstance(sample, Mapping) else sample[0] for sample in self.view()]})

    def view(self) -> View:
        return STACKS.get(self.name, same_view)(numbers(self.samples))


def same_view(view: View) -> View:
    return view


def suite(row: str) -> type[Row]:
    """Return the suite of a row, by a name that another process finds."""
    return SUITES[row]


SUITES: dict[str, type[Row]] = {}
for number, row in enumerate([*STACKS, *LOADERS]):
    SUITES[row] = globals()[f"Row{number}"] = type(
        f"Row{number}", (Row,), {"name": row, "__module__": __name__, "__test__": False}
    )


def test_the_table_has_every_stack() -> None:
    assert [row["stack or loader"] for row in table("loader.md", "stack or loader")] == list(SUITES)


def test_every_operation_that_there_is_has_a_row() -> None:
    found = {each.op for make in STACKS.values() for each in stack_of(make(numbers(23)))}
    # A stored split with the raw files that it was made of: tests/loader/test_stored_loader.py loads some.
    assert found | {"sourced"} == set(OPERATIONS)


CELLS = [
    pytest.param(row["stack or loader"], change, cell, id=f"{row['stack or loader']}-{change}")
    for row in table("loader.md", "stack or loader")
    for change, cell in row.items()
    if change != "stack or loader"
]


@pytest.mark.parametrize(("row", "change", "cell"), CELLS)
def test_a_cell_is_true(row: str, change: str, cell: str) -> None:
    tests = suite(row)()
    if cell.startswith("refused: "):
        tests.refused = {change.replace(" ", "_"): f"The state has {cell.removeprefix('refused: ').strip('`')}"}
        tests.test_what_is_not_exact_is_refused_by_name()
        return
    assert cell == "exact"
    if change == "workers":
        it_goes_on_with_other_workers(tests)
    elif change == "threads":
        for threads in ((0, 2), (2, 0)):
            tests.test_it_goes_on_with_other_threads(threads)
    elif change == "ranks":
        for worlds in ((1, 2), (3, 2)):
            tests.test_it_goes_on_with_other_ranks(worlds)
    else:
        CHANGES[change](tests)


def it_goes_on_with_other_workers(tests: Row) -> None:
    torch = pytest.importorskip("torch")
    from dataset_assets.loader import Batches

    for steps, workers in ((2, 2), (1, 0)):
        state = copied(tests.made().state_at(0, steps))
        at = len(tests.stream(1)) - sum(len(tests.rows(batch)) for batch in list(tests.made())[steps:])
        batches = Batches(tests.made())
        batches.load_state_dict(state)
        served = torch.utils.data.DataLoader(batches, batch_size=None, num_workers=workers, collate_fn=None)
        assert tests.read(served) == tests.stream(1)[at:]
