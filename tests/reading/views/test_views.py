"""Views: the laws on random stacks, what is read when, and what is written where."""

import doctest
import pickle
from contextlib import suppress
from functools import partial
from typing import Any, Callable, Iterator

import numpy as np
import pandas
import pyarrow
import pytest
from counting import calls
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dataset_assets import View, view_of
from dataset_assets.core.permutation import Permutation
from dataset_assets.encoding import Ordinal
from dataset_assets.errors import SchemaError, UnknownStream, UsageError
from dataset_assets.formats import Columns, Member
from dataset_assets.formats.array import ArrayColumn
from dataset_assets.reading.views import (
    OPERATIONS,
    Concatenated,
    Fold,
    ListColumn,
    Narrowed,
    Origin,
    Stored,
    blocks,
    node,
)
from dataset_assets.reading.views import rows as ordering
from dataset_assets.reading.views import view as view_module
from dataset_assets.reading.views.document import stack_of
from dataset_assets.testing import Stack, check_view, stacks
from dataset_assets.testing.formats import equal
from dataset_assets.testing.views import FEW, LAWS, SIZES, it_is_read_back_from_json, media_stack, stored_stack, views


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@given(stacks())
@settings(max_examples=50, deadline=None)
def test_every_stack_keeps_the_law(law: Any, stack: Stack) -> None:
    law(stack.view, stack.samples)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("many_files", [False, True], ids=["in one file", "in many files"])
def test_stored_views_keep_all_laws(size: int, many_files: bool) -> None:
    stack = stored_stack(size, many_files)
    check_view(stack.view, stack.samples)


@pytest.mark.parametrize("size", FEW)
def test_views_of_pictures_sounds_and_members_keep_all_laws(size: int) -> None:
    stack = media_stack(size)
    check_view(stack.view, stack.samples)


def test_the_stacks_that_are_drawn_have_every_operation() -> None:
    drawn: set[str] = set()

    @given(stacks(depth=6))
    @settings(max_examples=300, deadline=None, derandomize=True, database=None)
    def draw(stack: Stack) -> None:
        drawn.update(part.op for part in stack_of(stack.view))

    draw()
    # What stands on a sequence in memory is tested where other libraries are.
    assert drawn == set(OPERATIONS) - {"sourced"}


@given(views())
@settings(max_examples=50, deadline=None)
def test_indexing_agrees_with_iterating(view: View) -> None:
    assert equal([view[i] for i in range(len(view))], list(view))


class Squares(View):
    """A view of one's own: the three methods that have to be."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    @property
    def streams(self) -> tuple[str, ...]:
        return ("square",)

    @property
    def origin(self) -> Origin:
        return Origin("org.example.squares", "all", "")

    def rows(self, where: Any) -> Columns:
        rows = np.arange(where.start, where.stop) if isinstance(where, slice) else where
        return Columns(square=rows**2)


class Doubled(View):
    """A view of one's own on another."""

    def __init__(self, parent: View) -> None:
        self.parents = (parent,)

    def __len__(self) -> int:
        return len(self.parents[0])

    @property
    def streams(self) -> tuple[str, ...]:
        return self.parents[0].streams

    def rows(self, where: Any) -> Columns:
        return Columns({name: block * 2 for name, block in self.parents[0].rows(where).items()})


@pytest.mark.parametrize("size", [0, 1, 5, 3000])
def test_a_view_of_ones_own_keeps_all_laws(size: int) -> None:
    if size < 3000:
        check_view(Squares(size), [{"square": i**2} for i in range(size)])
        check_view(Doubled(Squares(size)), [{"square": 2 * i**2} for i in range(size)])
    assert [sample["square"] for sample in Doubled(Squares(size))[::-1]] == [2 * i**2 for i in range(size)][::-1]


class TestAnIndex:
    VIEW = view_of(label=[10, 20, 30])

    @pytest.mark.parametrize("index", [1, -2, np.int8(1), np.uint64(1), np.array(1), True])
    def test_is_any_whole_number(self, index: Any) -> None:
        assert self.VIEW[index] == {"label": 20}

    @pytest.mark.parametrize("index", [1.0, "1", None, (0, 1), np.float64(1), object(), {"label": 1}, {1}])
    def test_is_nothing_else(self, index: Any) -> None:
        with pytest.raises(TypeError, match="a view takes an integer, a slice or a list of integers"):
            self.VIEW[index]

    @pytest.mark.parametrize(
        "indices",
        [[2, 0], [-1, -3], np.array([2, 0]), np.array([2, 0], "u1"), range(2, -1, -2), pandas.Series([2, 0]),
         pandas.Index([2, 0]), [np.int64(2), np.int8(0)]],
    )  # fmt: skip
    def test_may_be_a_list_of_them(self, indices: Any) -> None:
        assert list(self.VIEW[indices]) == list(self.VIEW.select(indices)) == [{"label": 30}, {"label": 10}]

    @pytest.mark.parametrize(
        "mask", [[True, False, True], np.array([1, 0, 1], bool), pandas.Series([True, False, True])]
    )
    def test_may_be_booleans_for_each_sample(self, mask: Any) -> None:
        assert list(self.VIEW[mask]) == [{"label": 10}, {"label": 30}]

    @pytest.mark.parametrize("mask", [[True], [True] * 4, np.zeros(2, bool)])
    def test_that_is_boolean_is_there_for_each_sample(self, mask: Any) -> None:
        with pytest.raises(IndexError, match=f"{len(mask)} booleans for a view of 3"):
            self.VIEW[mask]

    @pytest.mark.parametrize("indices", [[0.5], ["a"], np.zeros((1, 1), int), [[0]], [None], np.zeros(2)])
    def test_of_another_type_or_shape_is_refused(self, indices: Any) -> None:
        with pytest.raises(TypeError, match="a view is indexed by integers or booleans"):
            self.VIEW[indices]

    def test_of_torch_is_one_too(self) -> None:
        torch = pytest.importorskip("torch")
        assert list(self.VIEW[torch.tensor([2, 0])]) == [{"label": 30}, {"label": 10}]
        assert list(self.VIEW[torch.tensor([1])]) == [self.VIEW[torch.tensor(1)]] == [{"label": 20}]

    def test_list_may_be_changed_afterwards(self) -> None:
        rows = np.array([2, 0])
        selected = self.VIEW[rows]
        rows[:] = 1
        assert list(selected) == [{"label": 30}, {"label": 10}]

    def test_beyond_the_end_names_the_size(self) -> None:
        with pytest.raises(IndexError, match="sample 3 of a view of 3"):
            self.VIEW[3]
        with pytest.raises(IndexError, match="samples -4 to 1 of a view of 3"):
            self.VIEW[[1, -4]]

    def test_count_of_samples_to_take_is_no_negative_number(self) -> None:
        for ask in (self.VIEW.take, self.VIEW.skip):
            with pytest.raises(UsageError, match="Cannot take or skip -1 samples"):
                ask(-1)


BEYOND = [sign * (2**bits + near) for bits in (31, 32, 63, 64, 70) for near in (-2, -1, 0, 1) for sign in (1, -1)]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [0, 1, 5])
def test_numbers_up_to_and_beyond_64_bits_are_right_or_refused(size: int) -> None:
    base = view_of(x=np.arange(size), g=np.arange(size) % 2)
    for view in (base, base[::-1], base.shuffle(seed=1), base.concat(base)):
        for number in BEYOND:
            check_slices(view, number)
            for ask in asked_with(view, number):
                with suppress(UsageError, IndexError):
                    found = ask()
                    for part in found if isinstance(found, list) else [found]:
                        check_ends(part)


def check_slices(view: View, number: int) -> None:
    samples = list(view)
    for where in (slice(number, None), slice(None, number), slice(None, None, number), slice(1, None, number)):
        part = view[where]
        assert list(part) == samples[where]
        assert list(part.select(range(len(part)))) == samples[where]
        assert [batch["x"].tolist() for batch in part.batch(99)] == [[s["x"] for s in samples[where]]][: len(part)]
        assert list(part[::number]) == samples[where][::number]


def check_ends(part: Any) -> None:
    if isinstance(part, (View, Fold)):
        for view in part if isinstance(part, Fold) else (part,):
            assert len(view[:3].to_numpy()) == len(view.streams) and len(list(view[-3:])) == min(len(view), 3)
            assert not len(view) or equal(view[len(view) - 1], view[-1])
            assert view.to_json() and repr(view)


def asked_with(view: View, number: int) -> Iterator[Callable[[], Any]]:
    half = (0.5, 0.5)
    yield lambda: view[number]
    yield lambda: view.lineage(number)
    yield lambda: view.select([number])
    yield lambda: view.select(range(number, number + 1))
    yield lambda: view.select(range(0, number, abs(number)))
    for count in ("take", "skip", "repeat", "batch", "shuffle", "at_epoch"):
        yield partial(getattr(view, count), number)
    yield lambda: view.repeat(number).repeat(number)
    yield lambda: view.repeat(number).concat(view.repeat(number))
    yield lambda: view.repeat(number).interleave(view, view.repeat(number))
    yield lambda: view.shuffle(1, epoch=number)
    for shards, rank in ((number, 0), (3, number), (number, number - 1)):
        yield partial(view.shard, shards, rank)
    for given_ in ({"seed": number}, {"stop": number}, {"epoch": number}, {"weights": (number, 1)}):
        yield partial(view.mix, view, **{"weights": half, "seed": 1, "stop": "first", **given_})
    yield lambda: view.mix(view, weights=(1, number), seed=1, stop="all")
    yield lambda: view.map(drawn, random=True, seed=number)
    yield lambda: view.random_split(half, seed=number)
    yield lambda: view.random_split((number, 1 - number), seed=1)
    for split in ("stratified_split", "group_split", "hash_split"):
        yield partial(getattr(view, split), half, by="g", seed=number)
    yield lambda: view.kfold(number, seed=1)
    yield lambda: view.kfold(2, seed=number)


def drawn(sample: Any, rng: np.random.Generator) -> Any:
    return {"x": sample["x"], "drawn": rng.integers(9)}


def test_rows_chosen_of_a_mixture_are_refused_in_an_epoch_in_which_it_is_shorter() -> None:
    one, two = view_of(x=[0]), view_of(x=[1])
    mixed = one.mix(two, weights=(2, 1), seed=1, stop="all")
    other = next(epoch for epoch in range(99) if len(mixed.at_epoch(epoch)) != len(mixed))
    with pytest.raises(UsageError, match=f"samples, which has .* in epoch {other}. Give mix"):
        mixed[::-1].at_epoch(other)
    numbered = one.mix(two, weights=(2, 1), seed=1, stop=3)[::-1]
    assert len(list(numbered.at_epoch(other))) == 3


def test_an_order_of_orders_is_one_order() -> None:
    rng = np.random.default_rng(0)
    stored = stored_stack(40).view
    stacked = stored[::-1][3:][::2][rng.permutation(15)][1:][::-1]
    assert [type(view).__name__ for view in (stacked, *stacked.parents)] == ["Selected", "Stored"]
    assert stored[5:][::3].order == range(5, 40, 3)  # type: ignore[attr-defined]


class Told(ListColumn):
    """A column that notes which values were read."""

    def __init__(self, values: list[Any]) -> None:
        super().__init__(values)
        self.read: list[int] = []

    def __getitem__(self, i: int) -> Any:
        self.read.append(i)
        return super().__getitem__(i)

    def take(self, indices: Any, out: Any = None) -> list[Any]:
        self.read += indices.tolist()
        return super().take(indices)

    def slice(self, lo: int, hi: int) -> list[Any]:
        self.read += range(lo, hi)
        return super().slice(lo, hi)


class Closed(Told):
    """A column that nobody may read."""

    def __getitem__(self, i: int) -> Any:
        raise AssertionError("it was read")

    def take(self, indices: Any, out: Any = None) -> list[Any]:
        raise AssertionError("it was read")

    slice = take  # type: ignore[assignment]


def on(**columns: Any) -> Stored:
    return Stored(Origin("org.example.told", "all", ""), columns)


def each_way(view: View) -> Iterator[Any]:
    """Read a view in each way there is."""
    yield list(view)
    yield [view[i] for i in range(len(view))]
    yield view.rows(slice(0, len(view)))
    yield view.rows(np.arange(len(view)))
    yield list(view.batch(2))
    yield view.to_numpy()


class TestOnlyWhatIsNeededIsRead:
    def view(self) -> Stored:
        return on(label=Told(list(range(8))), image=Closed(list(range(8))))

    def test_of_a_narrowed_view_whatever_is_below(self) -> None:
        view, other = self.view(), view_of(other=list(range(8)))
        rows = np.array([3, 0, 7, 7, 1, 2, 4, 5])
        for stack in (
            view,
            view[::-1],
            view[rows],
            view.concat(view)[rows],
            view.concat(view)[4:12],
            view.zip(other),
            view.zip(other)[rows],
            view.only("image", "label"),
            view[rows].concat(view[::2])[::-1],
        ):
            for found in each_way(stack.only("label")):
                assert found is not None
            assert len(list(stack.tuples("label"))) == len(stack)
            assert len(list(stack.batch(3).only("label"))) == -(-len(stack) // 3)
            assert len(list(stack.only("label").map(str))) == len(stack)

    def test_of_the_samples_that_are_asked_for(self) -> None:
        label = Told(list(range(10_000)))
        view = on(label=label)[::2][1000:]
        next(iter(view))
        assert len(label.read) <= view_module_block() + 16 and view[5] and label.read[-1] == 2010

    def test_in_blocks_of_few_bytes(self) -> None:
        large = Told([bytes(100_000)] * 200)
        samples = iter(on(data=large)[::-1])
        next(samples)
        assert len(large.read) < 20
        for number, _ in enumerate(samples):
            assert len(large.read) < number + 25

    def test_by_a_function_when_its_sample_is_asked_for(self) -> None:
        called: list[int] = []

        def change(sample: Any) -> Any:
            called.append(sample["label"])
            return sample

        plain = view_of(label=list(range(50)))
        rows = np.random.default_rng(0).permutation(50)
        mapped = plain.map(change)
        for stack, first in (
            (mapped, 0),
            (mapped[::-1], 49),
            (mapped[rows], rows[0]),
            (plain.select(rows).map(change), rows[0]),
            (mapped[:10].concat(mapped[10:])[rows], rows[0]),
            (mapped.map(str).map(len), 0),
        ):
            called.clear()
            samples = iter(stack)
            assert called == []
            next(samples)
            assert called == [first]
            next(samples)
            assert len(called) == 2
        narrow, zipped = mapped.only("label"), mapped.zip(view_of(other=list(range(50))))
        for stack in (narrow, zipped):
            called.clear()
            next(iter(stack))
            assert called == [0]

    def test_once_for_each_sample(self) -> None:
        label = Told(list(range(100)))
        view = on(label=label)
        view.row_bytes()
        for stack in (view, view[::-1], view[10:].concat(view[:10]), view.map(str), view.batch(7)):
            label.read.clear()
            list(stack)
            assert sorted(label.read) == list(range(100))


def view_module_block() -> int:
    return node.BLOCK


class TestAFunction:
    def test_may_make_anything_of_a_sample(self) -> None:
        view = view_of(label=[1, 2, 3])
        assert list(view.map(lambda sample: sample["label"] * 2)) == [2, 4, 6]
        assert list(view.map(lambda sample: None)) == [None] * 3
        check_view(view.map(_label), [1, 2, 3])

    def test_that_makes_no_mappings_makes_no_blocks(self) -> None:
        view = view_of(label=[1, 2, 3]).map(_label)
        assert view.streams == ()
        for ask in (lambda: view.batch(2)[0], lambda: view.rows(slice(0, 2)), view.to_numpy, view.to_pandas):
            with pytest.raises(UsageError, match="A sample is a int, which has no streams"):
                ask()
        with pytest.raises(UsageError, match="are not mappings"):
            view.zip(view_of(other=[1, 2, 3]))

    def test_may_follow_batches(self) -> None:
        view = view_of(label=[1, 2, 3]).batch(2).tuples("label")
        assert [batch[0].tolist() for batch in view] == [[1, 2], [3]]

    @pytest.mark.parametrize("error", [ValueError, IndexError, StopIteration, KeyError, GeneratorExit])
    def test_that_fails_ends_no_loop_in_silence(self, error: type[BaseException]) -> None:
        def change(sample: Any) -> Any:
            if sample["label"] == 3:
                raise error("its own")
            return sample

        view = view_of(label=[1, 2, 3, 4]).map(change)
        for stack in (view, view[::-1], view.concat(view), view.map(str), view.only("label"), view.batch(2)):
            expected = RuntimeError if error is StopIteration else error
            with pytest.raises(expected):
                list(stack)
            with pytest.raises(expected):
                for i in range(len(stack)):
                    stack[i]

    def test_that_fails_says_for_which_sample(self) -> None:
        def change(sample: Any) -> Any:
            return 1 // sample["label"]

        view = view_of(label=[1, 2, 0])
        for read in (lambda: list(view.map(change)), lambda: view.map(change)[2], lambda: list(view[::-1].map(change))):
            with pytest.raises(ZeroDivisionError) as caught:
                read()
            assert "for sample" in caught.value.__notes__[0] and "of memory all" in caught.value.__notes__[0]
        assert "sample 0 " in caught.value.__notes__[0]

    def test_that_makes_other_streams_now_and_then_is_told(self) -> None:
        view = view_of(label=[1, 2, 3]).map(lambda sample: sample if sample["label"] < 3 else {"other": 3})
        with pytest.raises(SchemaError, match="Samples have different streams: label, then other"):
            view.batch(3)[0]
        with pytest.raises(SchemaError, match="A sample has the streams other, expected the streams label"):
            list(view.only("label"))

    def test_on_an_empty_view_leaves_the_streams_open(self) -> None:
        empty = view_of(label=[1, 2])[:0].map(_label)
        assert list(empty) == [] and len(empty) == 0 and empty.streams == ()
        assert list(empty.only("anything")) == list(empty.tuples("any", "thing")) == list(empty.batch(3)) == []
        assert list(empty.concat(view_of(label=[1]))) == list(view_of(label=[1]).concat(empty)) == [{"label": 1}]
        assert empty.concat(view_of(label=[1])).streams == ("label",)
        assert empty.only("x").rows(slice(0, 0))["x"] == [] and empty.rows(slice(0, 0)).samples == 0
        assert list(empty.zip(view_of(label=[1])[:0])) == []
        assert empty.to_numpy() == {} and len(empty.to_pandas()) == 0

    def test_has_its_name_in_the_picture(self) -> None:
        view = view_of(label=[1, 2]).map(_label)
        assert repr(view) == "Mapped(2, _label)\n  Stored(memory all: 2 samples of label)"
        assert repr(view_of(label=[1]).tuples("label")).splitlines()[0] == "Tupled(1, tuple of label)"


def _label(sample: Any) -> Any:
    return sample["label"]


class TestWithoutSamples:
    """Of a function's samples nobody knows the streams before there is one; so any that is asked for has no values."""

    FULL = view_of(number=np.arange(4), kind=np.arange(4) % 2, text=list("abca"))
    EMPTY: dict[str, Callable[[View], View]] = {
        "stored": lambda view: view[:0],
        "mapped": lambda view: view[:0].map(dict),
        "mapped in blocks": lambda view: view[:0].map(dict, batched=True),
        "mapped, then filtered": lambda view: view.map(dict).filter(("<", 0), column="number"),
        "a sequence": lambda view: view_of([]),
    }
    ON_IT: dict[str, Callable[[View, View], View]] = {
        "cache": lambda view, full: view.cache(),
        "concat": lambda view, full: view.concat(full, view)[:0],
        "zip": lambda view, full: full[:0].only("text").zip(view.only("number", "kind")),
        "zip with unknown streams": lambda view, full: full[:0].only("text").zip(full[:0].map(_without_text)),
        "shuffle": lambda view, full: view.shuffle(1).repeat(3).shard(2, 1),
        "interleave": lambda view, full: view.interleave(view),
        "batch": lambda view, full: view.batch(2).batch(2),
        "map": lambda view, full: view.map(dict).map(dict, batched=True),
        "encode": lambda view, full: view.encode(full.fit_encoders({"kind": Ordinal()})),
        "one-hot": lambda view, full: view.one_hot_targets(range(2), stream="kind"),
        "targets": lambda view, full: view.map_targets({0: 1}, stream="kind").keep_targets(1, stream="kind"),
        "random_split": lambda view, full: view.random_split((0.5, 0.5))[0],
        "stratified_split": lambda view, full: view.stratified_split((0.5, 0.5), by="kind")[1],
        "group_split": lambda view, full: view.group_split((0.5, 0.5), by="kind")[1],
        "hash_split": lambda view, full: view.hash_split((0.5, 0.5), by="text")[1],
        "sort_by": lambda view, full: view.sort_by("number").filter((">", 1), column="number"),
        "rename": lambda view, full: view.rename(label="kind").rename(kind="label"),
    }

    @pytest.mark.parametrize("on_it", ON_IT)
    @pytest.mark.parametrize("empty", EMPTY)
    def test_all_can_be_put_on_it_and_read(self, empty: str, on_it: str) -> None:
        view = self.ON_IT[on_it](self.EMPTY[empty](self.FULL), self.FULL)
        check_sequence(view)
        narrowed = view.only("number")
        check_sequence(narrowed)
        assert list(view) == list(narrowed.tuples("number")) == [] and len(narrowed.to_numpy()["number"]) == 0
        assert view.report().length == 0 and len(view.to_pandas()) == 0 and view.to_arrow().num_rows == 0

    def test_mixing_it_says_so(self) -> None:
        with pytest.raises(UsageError, match="View 0 of the mixture has no samples"):
            self.FULL[:0].mix(self.FULL, weights=(1, 1), seed=0, stop="all")


def _without_text(sample: Any) -> Any:
    return {name: value for name, value in sample.items() if name != "text"}


def check_sequence(view: View) -> None:
    for law in LAWS:
        if law is not it_is_read_back_from_json:  # a view over a sequence is in no document
            law(view, [])


class TestViewsSideBySide:
    def test_have_one_length_and_different_streams(self) -> None:
        view = view_of(a=[1, 2])
        with pytest.raises(UsageError, match="Views of 2, 3 samples cannot be zipped"):
            view.zip(view_of(b=[1, 2, 3]))
        with pytest.raises(UsageError, match="Stream a is in two of the zipped views"):
            view.zip(view_of(b=[1, 2]), view)
        assert list(view.zip(view_of(b=["x", "y"]))) == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]

    def test_are_narrowed_by_name(self) -> None:
        view = view_of(a=[1, 2], b=[3, 4]).zip(view_of(c=[5, 6]))
        assert view.streams == ("a", "b", "c") and list(view.only("c", "a")) == [{"c": 5, "a": 1}, {"c": 6, "a": 2}]
        with pytest.raises(UnknownStream, match="Did you mean"):
            view_of(label=[1]).only("lable")
        for streams in ((), ("a", "a")):
            with pytest.raises(UsageError, match="needs at least one stream, each named once"):
                Narrowed(view, streams)


class TestViewsOneAfterTheOther:
    def test_have_the_same_streams(self) -> None:
        with pytest.raises(UsageError, match="cannot be concatenated"):
            view_of(a=[1]).concat(view_of(b=[1]))
        both = view_of(a=[1], b=["x"]).concat(view_of(b=["y"], a=[2]))
        assert list(both) == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
        with pytest.raises(UsageError, match="There are no views"):
            Concatenated(())

    def test_may_be_a_thousand(self) -> None:
        total = view_of(a=[0])
        for k in range(1, 1000):
            total = total.concat(view_of(a=[k]))
        assert len(total.parents) == 1000 and [sample["a"] for sample in total] == list(range(1000))
        assert total[777] == {"a": 777} and list(total[[999, 0]]) == [{"a": 999}, {"a": 0}]

    def test_keep_their_values_where_no_array_holds_both(self) -> None:
        both = view_of(a=np.array([1, 2**60 + 1])).concat(view_of(a=np.array([0.5])))
        assert list(both) == [{"a": 1}, {"a": 2**60 + 1}, {"a": 0.5}]
        assert both.rows(slice(0, 3))["a"] == both.batch(3)[0]["a"] == [1, 2**60 + 1, 0.5]
        shapes = view_of(a=np.zeros((1, 2))).concat(view_of(a=np.zeros((1, 3))))
        assert [value.shape for value in shapes.batch(2)[0]["a"]] == [(2,), (3,)]


class TestBatches:
    def test_are_written_in_without_reaching_anything_else(self) -> None:
        stored = stored_stack(7)
        rows = np.array([3, 3, 0, 6, 5, 1, 2])
        for view in (
            stored.view,
            stored.view[::-1],
            stored.view[rows],
            stored.view[:3].concat(stored.view[3:]),
            stored.view.only("image").zip(stored.view.only("tokens")),
            stored.view.only("image", "tokens"),
            stored.view.map(dict),
        ):
            before = list(view)
            for batch in view.batch(2):
                batch["image"][:] = 99
                for tokens in batch["tokens"]:
                    tokens[:] = 99
            assert equal(list(view), before)
        assert equal(list(stored.view), stored.samples)

    def test_do_not_reach_values_in_memory(self) -> None:
        image, tokens = np.zeros((4, 2)), [np.zeros(k) for k in range(1, 5)]
        view = view_of(image=image, tokens=tokens)
        for batch in [*view.batch(2), *view[::-1].batch(4)]:
            batch["image"][:] = 1
            for one in batch["tokens"]:
                one[:] = 1
        assert not image.any() and not any(one.any() for one in tokens)
        view[0]["image"][:] = view[0]["tokens"][:] = 1  # the sample of an index is the caller's own
        assert not image.any() and not tokens[0].any()
        with pytest.raises(ValueError, match="read-only"):
            next(iter(view))["image"][:] = 1
        image[:] = 5
        assert image.flags.writeable

    def test_have_at_least_one_sample(self) -> None:
        for n in (0, -1):
            with pytest.raises(UsageError, match="The size of a batch is"):
                view_of(a=[1]).batch(n)
        with pytest.raises(TypeError):
            view_of(a=[1]).batch(1.5)  # type: ignore[arg-type]
        assert len(view_of(a=[1, 2, 3]).batch(np.int64(2))) == 2

    def test_may_be_batched_narrowed_and_selected(self) -> None:
        view = view_of(a=np.arange(7), b=np.arange(7) * 2).batch(2)
        assert [batch["a"].tolist() for batch in view[::-1]] == [[6], [4, 5], [2, 3], [0, 1]]
        assert [batch["b"].tolist() for batch in view.only("b")[[1, 1]]] == [[4, 6], [4, 6]]
        assert [[one.tolist() for one in batch["a"]] for batch in view.batch(3)] == [[[0, 1], [2, 3], [4, 5]], [[6]]]


STACKABLE = [
    ([1, 2], np.array([1, 2])),
    ([1, 0.5], np.array([1, 0.5])),
    ([True, False], np.array([True, False])),
    ([1 + 2j, 2j], np.array([1 + 2j, 2j])),
    ([np.uint8(1), np.uint8(2)], np.array([1, 2], "u1")),
    ([np.float32(1), np.float64(2)], np.array([1.0, 2.0])),
    ([np.zeros(2, "u1"), np.ones(2, "u1")], np.array([[0, 0], [1, 1]], "u1")),
    ([np.datetime64("2020-01-01"), np.datetime64("2021-01-01")], np.array(["2020-01-01", "2021-01-01"], "M8[D]")),
    ([np.str_("a"), np.str_("bc")], np.array(["a", "bc"])),
    ([float("nan"), 1], np.array([float("nan"), 1])),
]
APART = [
    [1, "a"], ["a", "b"], [None, 1], [2**70, 1], [2**63, -1], [2**60 + 1, 0.5], [np.zeros(2), np.zeros(3)],
    [np.zeros(2, "u1"), np.zeros(2, "i8")], [np.zeros(2), 1], [[1, 2], [3, 4]], [{"a": 1}, {"a": 2}], [b"x", b"y"],
]  # fmt: skip


@pytest.mark.parametrize(("values", "expected"), STACKABLE)
def test_values_are_stacked_if_nothing_is_lost(values: list[Any], expected: Any) -> None:
    found = blocks.stacked(values)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("values", APART, ids=str)
def test_values_are_left_apart_if_something_would_be_lost(values: list[Any]) -> None:
    assert blocks.stacked(values) is values


@given(st.lists(st.integers() | st.floats() | st.booleans() | st.none() | st.text(max_size=2), min_size=1, max_size=4))
def test_stacking_changes_no_value(values: list[Any]) -> None:
    assert equal(list(blocks.stacked(values)), values)


class TestExport:
    TABLE = pyarrow.table({"a": [1, None], "b": ["x", "y"], "t": ["p", "q"]})
    VIEW = view_of(
        label=np.array([1, 2]),
        image=np.zeros((2, 2, 2), "u1"),
        text=["x", "yy"],
        ragged=[np.zeros(1), np.zeros(1)],
        day=np.array(["2020-01-01", "2020-01-02"], "M8[D]"),
        year=np.array(["2020", "2021"], "M8[Y]"),
        record=np.array([(1, 2.0), (3, 4.0)], [("p", "i4"), ("q", "f8")]),
        code=np.array([b"ab", b"c"]),
        half=np.array([0.5, 1], "f2"),
        wave=np.array([1j, 2]),
        member=[Member("a", memoryview(b"x")), Member("b", memoryview(b""))],
        t=TABLE,
        b=[True, False],
    )

    def test_to_numpy_is_an_array_of_ones_own_for_each_stream(self) -> None:
        for view in (self.VIEW, self.VIEW[::-1][::-1], self.VIEW[:1].concat(self.VIEW[1:]), self.VIEW.map(dict)):
            found = view.to_numpy()
            assert list(found) == list(self.VIEW.streams)
            for name, array in found.items():
                if name == "t" and isinstance(array, dict):
                    assert array["a"].tolist()[0] == 1 and array["b"].tolist() == ["x", "y"]
                    continue
                assert isinstance(array, np.ndarray) and len(array) == 2 and array.flags.writeable
            assert found["image"].shape == (2, 2, 2) and found["label"].dtype == np.int64
            assert found["text"].dtype == object and found["ragged"][0].shape == (1,)
            found["image"][:] = 1
            found["ragged"][0][:] = 1
        assert not self.VIEW[0]["image"].any() and not self.VIEW[0]["ragged"].any()

    def test_to_pandas_is_a_frame_with_a_column_for_each_stream(self) -> None:
        frame = self.VIEW.to_pandas()
        assert list(frame) == ["label", "image", "text", "ragged", "day", "year", "record", "code", "half", "wave",
                               "member", "a", "t_b", "t", "b"]  # fmt: skip
        assert frame["label"].tolist() == [1, 2] and frame["b"].tolist() == [True, False]
        assert frame["t_b"].tolist() == ["x", "y"] and frame["t"].tolist() == ["p", "q"]
        assert frame["image"][1].shape == (2, 2) and frame["ragged"][0].tolist() == [0]
        assert frame["day"][0] == pandas.Timestamp("2020-01-01") and frame["year"][1] == np.datetime64("2021")
        assert frame["record"][1].tolist() == (3, 4.0) and frame["code"][0] == b"ab"

    def test_of_an_empty_view_has_the_columns(self) -> None:
        assert list(self.VIEW[:0].to_pandas()) == list(self.VIEW.to_pandas()) and len(self.VIEW[:0].to_pandas()) == 0
        assert self.VIEW[:0].to_numpy()["image"].shape == (0, 2, 2)

    @given(stacks())
    @settings(max_examples=30, deadline=None)
    def test_of_any_stack_has_its_samples(self, stack: Stack) -> None:
        assume(stack.of == "single")
        arrays, frame = stack.view.to_numpy(), stack.view.to_pandas()
        assert len(frame) == len(stack.samples)
        for name in ("number", "text"):
            if stack.samples and name in stack.samples[0]:
                assert arrays[name].tolist() == frame[name].tolist() == [sample[name] for sample in stack.samples]


class TestValuesInMemory:
    @pytest.mark.parametrize(
        ("values", "kind"),
        [
            (np.arange(3), np.ndarray), ([1, 2, 3], np.ndarray), ([1.5, 2, 3], np.ndarray), ((1, 2, 3), np.ndarray),
            (["a", "b", "c"], list), ([1, "a", None], list), ([2**70, 1, 2], list), ([[1], [2], [3]], list),
            ([np.zeros(2)] * 3, list), (np.array(["a", None, 1], object), list), (pandas.Series([1, 2, 3]), np.ndarray),
            (pandas.Series(["a", "b", "c"], dtype=object), list), (pyarrow.table({"a": [1, 2, 3]}), pyarrow.Table),
        ],
    )  # fmt: skip
    def test_are_a_view_of_blocks_of_their_kind(self, values: Any, kind: type) -> None:
        view = view_of(x=values)
        assert isinstance(view.rows(slice(0, 2))["x"], kind)
        check_view(view)

    def test_are_none_or_equally_many(self) -> None:
        assert list(view_of()) == [] and view_of().streams == () and list(view_of(x=[])) == []
        with pytest.raises(SchemaError, match="different lengths"):
            view_of(a=[1], b=[1, 2])
        with pytest.raises(SchemaError, match="The streams of a view have different lengths: a has 1, b has 2"):
            on(a=ListColumn([1]), b=ListColumn([1, 2]))

    def test_are_in_no_file(self) -> None:
        for ask in (lambda: view_of(a=[1]).open("a"), lambda: view_of(a=[1])[:1].open_raw("a")):
            with pytest.raises(UsageError, match="in memory, so it has no files"):
                ask()


def test_what_a_view_shows_is_that_of_its_first_parent() -> None:
    origin = Origin("org.example.one", "train", "f" * 64, "a" * 64, {"sample": "x"}, {"x": ("no", "yes")})
    stored = Stored(origin, {"x": ListColumn([1, 2])})
    for stack in (
        stored,
        stored[::-1],
        stored.map(str),
        stored.only("x"),
        stored.concat(view_of(x=[3])),
        stored.batch(2),
    ):
        assert (stack.dataset, stack.split, stack.version) == ("org.example.one", "train", "a" * 64)
        assert stack.roles == {"sample": "x"} and stack.origin is origin
    assert repr(stored) == "Stored(org.example.one@aaaaaaaaaaaa train: 2 samples of x)"
    assert pickle.loads(pickle.dumps(stored)).origin == origin


def test_the_examples_run() -> None:
    for module in (view_module, blocks, ordering):
        found = doctest.testmod(module)
        assert found.attempted and not found.failed


@given(spans=st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), max_size=20), seed=st.integers(0, 3))
@settings(max_examples=30)
def test_an_order_that_is_too_long_to_be_kept_is_the_same_wherever_it_is_read(
    spans: list[tuple[int, int]], seed: int
) -> None:
    kept, ordering.KEPT = ordering.KEPT, 0
    window, ordering.WINDOW = ordering.WINDOW, 16
    try:
        order = ordering.Chain(range(100, 0, -1), Permutation(100, seed, 0))
        whole = np.arange(100, 0, -1)[Permutation(100, seed, 0).rows(slice(0, 100))]
        for lo, hi in [*map(sorted, spans), *((k, min(k + 7, 100)) for k in range(0, 100, 7))]:
            assert order.rows(slice(lo, hi)).tolist() == whole[lo:hi].tolist()
    finally:
        ordering.KEPT, ordering.WINDOW = kept, window


class Counted(ArrayColumn):
    """Numbers that count how often they are read, of which one cannot be."""

    def __init__(self, size: int, broken: int | None = None) -> None:
        super().__init__(np.arange(size))
        self.broken, self.reads = broken, 0

    def slice(self, lo: int, hi: int) -> Any:
        self.reads += hi > lo
        if self.broken is not None and lo <= self.broken < hi:
            raise ValueError(f"{self.broken} is broken")
        return super().slice(lo, hi)


def counted(size: int, broken: int | None = None) -> tuple[View, Counted]:
    column = Counted(size, broken)
    return Stored(Origin("memory", "all", ""), {"number": column}), column


class TestSmallBatches:
    def test_are_read_together(self) -> None:
        view, column = counted(20_000)
        batches = list(view.only("number").batch(8))
        assert np.array_equal(np.concatenate([batch["number"] for batch in batches]), np.arange(20_000))
        assert column.reads < 6

    def test_are_read_together_through_all_that_only_arranges_samples(self) -> None:
        for stack in (
            lambda view: view.shuffle(0)[10:].rename(n="number").zip(view[10:]),
            lambda view: view.mix(view, weights=[1, 2], seed=0, stop="all"),
            lambda view: view.concat(view).interleave(view[:50]),
        ):
            view = stack(counted(2_000)[0])
            batches = [*view.batch(8)]
            assert calls(partial(list, view.batch(8))) < 30 * len(batches)
            assert equal(batches, [view.batch(8)[k] for k in range(len(batches))])

    def test_that_are_large_are_read_one_by_one(self) -> None:
        view, column = counted(1 << 20)
        assert next(iter(view.batch(1 << 18)))["number"].nbytes == 1 << 21 and column.reads == 1

    def test_that_come_before_a_value_that_cannot_be_read_are_given(self) -> None:
        batches, found = iter(counted(100, broken=57)[0].batch(10)), []
        with pytest.raises(ValueError, match="57 is broken"):
            found.extend(batch["number"][0] for batch in batches)
        assert found == [0, 10, 20, 30, 40]

    @pytest.mark.parametrize("second", [[0.5, 1.5], ["a", "b"], [[1], [2]]])
    def test_have_the_kind_that_they_have_alone(self, second: list[Any]) -> None:
        view = view_of(a=[1, 2]).concat(view_of(a=second))
        for batch, alone in zip(view.batch(2), (view.batch(2)[0], view.batch(2)[1])):
            assert type(batch["a"]) is type(alone["a"]) and equal(batch, alone)


def test_a_cache_of_a_cache_keeps_its_samples_once() -> None:
    seen: list[int] = []
    cached = view_of(x=[1, 2]).map(lambda sample: seen.append(sample["x"]) or dict(sample)).cache()
    assert cached.cache() is cached
    # As a document of an earlier release has it.
    doubled = type(cached).build({}, [cached])
    assert list(doubled) == list(cached) == [{"x": 1}, {"x": 2}] and seen == [1, 2]
    blocks = type(cached).build({}, [once := view_of(x=[1, 2]).cache()])
    assert np.shares_memory(blocks.rows(slice(0, 2))["x"], once.rows(slice(0, 2))["x"])
