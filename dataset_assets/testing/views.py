"""What every view must do: laws that take any view, and random stacks to hold them against."""

import functools
import io
import json
import operator
import pickle
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

import numpy as np
from hypothesis import strategies as st

from dataset_assets.errors import UsageError
from dataset_assets.formats import Array, Format, Ragged, Table, Text
from dataset_assets.mixing import Mixture
from dataset_assets.orders import Permutation, random_parts
from dataset_assets.samples import values_of
from dataset_assets.testing.formats import equal, written
from dataset_assets.views import OPERATIONS, Origin, Stored, View, restored
from dataset_assets.views.operations import described, stack_of

SIZES = (0, 1, 2, 7, 40)

FORMATS: dict[str, Format] = {
    "number": Array("int32"),
    "image": Array("uint8", (2, 3)),
    "text": Text(),
    "tokens": Ragged("int16"),
    "row": Table({"a": "int64", "b": "string"}),
}


@dataclass(frozen=True)
class Stack:
    """A view, and the samples it must have."""

    view: View
    samples: list[Any]


def check_view(view: View, samples: Sequence[Any] | None = None) -> None:
    """Hold all laws against a view; `samples` are what it must have, by default what it has."""
    expected = list(view) if samples is None else list(samples)
    for law in LAWS:
        law(view, expected)


def it_has_its_samples(view: View, samples: Sequence[Any]) -> None:
    """Iterating gives the samples, as often as one asks."""
    assert len(view) == len(samples)
    assert equal(list(view), list(samples))
    assert equal(list(view), list(samples))


def indexing_agrees_with_iterating(view: View, samples: Sequence[Any]) -> None:
    """Each sample can be had by its number, from both ends, and by a number of numpy."""
    size = len(view)
    assert equal([view[i] for i in range(size)], list(samples))
    assert equal([view[i - size] for i in range(size)], list(samples))
    assert equal([view[i] for i in np.arange(size, dtype=np.uint8)], list(samples))
    assert equal(list(reversed(view)), list(samples)[::-1])


def nothing_is_past_its_ends(view: View, samples: Sequence[Any]) -> None:
    """An index beyond is an IndexError that names the size, and never the silent end of a loop."""
    size = len(view)
    asks: list[tuple[Callable[[Any], Any], tuple[Any, ...]]] = [
        (lambda i: view[i], (size, size + 1, -size - 1, np.int64(size), 10**30, -(10**30))),
        (lambda i: view[[i]], (size, -size - 1)),
        (lambda i: view.select(np.array([i])), (size, -size - 1)),
    ]
    for ask, beyond in asks:
        for i in beyond:
            try:
                ask(i)
            except IndexError as error:
                assert f"of a view of {size}" in str(error)
            else:
                raise AssertionError(f"there is a sample {i} in a view of {size}")


def slices_agree_with_lists(view: View, samples: Sequence[Any]) -> None:
    """A slice is a view with the samples that the slice of a list has; also of a slice."""
    size = len(view)
    ends: list[Any] = sorted({None, 0, 1, size // 2, size, size + 3, -1, -size, -size - 1}, key=str)
    for step in (None, 1, 2, 3, -1, -2, size + 1):
        for cut in {(ends[k], ends[-k]) for k in range(len(ends))} | {(None, None)}:
            part = slice(cut[0], cut[1], step)
            _same(view[part], samples[part])
            _same(view[part][::-1][1:], samples[part][::-1][1:])


def selections_agree_with_lists(view: View, samples: Sequence[Any]) -> None:
    """A list or array of indices, or of booleans, gives a view with these samples; also of a selection."""
    size = len(view)
    rng = np.random.default_rng(size)
    for count in (0, 1, size, 2 * size + 1) if size else (0,):
        rows = rng.integers(-size, size, count).tolist() if size else []
        chosen = [samples[i] for i in rows]
        for given in (rows, np.array(rows, np.int64), np.array(rows, np.int16)):
            _same(view[given], chosen)
        _same(view.select(rows)[::2].select(range(len(rows[::2]))), chosen[::2])
    mask = rng.random(size) < 0.5
    for booleans in (mask, mask.tolist()):
        _same(view.select(booleans), [sample for sample, chosen in zip(samples, mask) if chosen])
    _same(view.take(3), samples[:3])
    _same(view.skip(3), samples[3:])


def blocks_agree_with_samples(view: View, samples: Sequence[Any]) -> None:
    """Rows, by slice or by array, hold what the samples hold; one stream at a time, too."""
    if not has_streams(view, samples):
        return
    size = len(view)
    rng = np.random.default_rng(size)
    wheres: list[Any] = [slice(0, size), slice(0, 0), slice(size // 3, size // 2), np.array([], np.intp)]
    wheres += [rng.integers(0, size, 9), np.arange(size)[::-1]] if size else []
    for where in wheres:
        chosen = [samples[i] for i in (range(size)[where] if isinstance(where, slice) else where.tolist())]
        found = view.rows(where)
        assert tuple(found) == view.streams and {len(block) for block in found.values()} <= {len(chosen)}
        for name, block in found.items():
            assert equal(values_of(block), [sample[name] for sample in chosen])
        last = view.streams[-1:]
        assert equal(values_of(view.rows_of(last, where)[last[0]]), [sample[last[0]] for sample in chosen])
        assert equal(view.samples(where), chosen) and equal(list(view.each(where)), chosen)


def a_stack_on_it_agrees_with_lists(view: View, samples: Sequence[Any]) -> None:
    """What is mapped, put after another or cut in batches is what lists would give."""
    size = len(view)
    _same(view.map(_wrapped), [(sample,) for sample in samples])
    _same(view.concat(view[:1], view.map(_itself)), [*samples, *samples[:1], *samples])
    if not has_streams(view, samples) or not size:
        return
    first = view.streams[0]
    _same(view.only(first), [{first: sample[first]} for sample in samples])
    _same(view.tuples(first, first), [(sample[first], sample[first]) for sample in samples])
    _same(view.only(first).zip(view.only(first).map(_renamed)), [_doubled(sample, first) for sample in samples])


def its_batches_are_ones_own(view: View, samples: Sequence[Any]) -> None:
    """Batches hold the samples in order; what is written in one is in no other, nor in the next epoch."""
    if not has_streams(view, samples):
        return
    for n, drop_last in ((1, False), (3, False), (3, True), (len(samples) + 1, False)):
        batches = view.batch(n, drop_last=drop_last)
        ends = range(0, len(samples) - (n - 1 if drop_last else 0), n)
        assert len(batches) == len(ends)
        for batch, lo in zip(batches, ends):
            for name, block in batch.items():
                assert equal(values_of(block), [sample[name] for sample in samples[lo : lo + n]])
        for batch in [*batches, *(batches[i] for i in range(len(batches)))]:
            for array in _arrays_in(batch):
                assert array.flags.writeable
                array[...] = np.zeros((), array.dtype)
    it_has_its_samples(view, samples)


def it_pickles(view: View, samples: Sequence[Any]) -> None:
    """A copy by pickle has the same samples."""
    again = pickle.loads(pickle.dumps(view))
    assert equal(list(again), list(samples)) and repr(again) == repr(view)


def its_repr_draws_the_stack(view: View, samples: Sequence[Any]) -> None:
    """There is a line for each view of the stack, those below further to the right."""
    lines = repr(view).splitlines()
    assert len(lines) == len(_stack_of(view)) and str(len(view)) in lines[0]
    assert [len(line) - len(line.lstrip()) for line in lines] == [2 * depth for depth in _stack_of(view)]


def it_is_read_back_from_json(view: View, samples: Sequence[Any]) -> None:
    """What its JSON describes has the same samples, the same JSON and the same fingerprint."""
    parts = list(stack_of(view))
    functions = [value for part in parts for value in part.arguments().values() if callable(value)]
    if any(OPERATIONS.get(part.op) is not type(part) for part in parts) or any("<" in described(f) for f in functions):
        return
    stored = {json.dumps(part.arguments(), sort_keys=True): part for part in parts if isinstance(part, Stored)}
    again = restored(view.to_json(), lambda found: stored[json.dumps(found, sort_keys=True)], functions)
    assert equal(list(again), list(samples)) and again.to_json() == view.to_json()
    assert again.fingerprint() == view.fingerprint() == pickle.loads(pickle.dumps(view)).fingerprint()


def it_comes_back_from_another_epoch(view: View, samples: Sequence[Any]) -> None:
    """Epoch 0 is as built, also after another one; that has as many samples."""
    if any(type(part).build is View.build and not part.op and part.parents for part in stack_of(view)):
        return
    assert equal(list(view.at_epoch(0)), list(samples))
    other = view.at_epoch(3)
    assert equal(list(other.at_epoch(0)), list(samples)) and len(list(other)) == len(other)


def it_knows_what_it_shows(view: View, samples: Sequence[Any]) -> None:
    """Dataset, split and version are those of the first bytes below; roles name streams that are there."""
    first = next(part for part in stack_of(view) if not part.parents)
    assert (view.dataset, view.split, view.version) == (first.dataset, first.split, first.version)
    report = view.report().to_dict()
    assert (report["length"], report["dataset"]) == (len(samples), view.dataset)
    assert len(report["parents"]) == len(view.parents)
    for i in range(len(view)):
        for entry in view.lineage(i):
            assert entry.dataset == view.dataset and entry.row >= 0


LAWS: tuple[Callable[[View, Sequence[Any]], None], ...] = (
    it_has_its_samples,
    indexing_agrees_with_iterating,
    nothing_is_past_its_ends,
    slices_agree_with_lists,
    selections_agree_with_lists,
    blocks_agree_with_samples,
    a_stack_on_it_agrees_with_lists,
    its_batches_are_ones_own,
    it_pickles,
    its_repr_draws_the_stack,
    it_is_read_back_from_json,
    it_comes_back_from_another_epoch,
    it_knows_what_it_shows,
)


@st.composite
def stacks(draw: st.DrawFn, depth: int = 4) -> Stack:
    """Draw a random stack over stored streams of several formats, with the samples it must have."""
    stack = draw(st.sampled_from(SIZES).flatmap(lambda size: st.sampled_from(["one file", "many files"]).map(
        lambda files: stored_stack(size, files == "many files"))))  # fmt: skip
    for _ in range(draw(st.integers(0, depth))):
        stack = draw(st.sampled_from(STEPS))(draw, stack)
    return stack


def views(depth: int = 4) -> st.SearchStrategy[View]:
    """Draw a random stack of views over stored streams of several formats."""
    return stacks(depth).map(operator.attrgetter("view"))


@functools.cache
def stored_stack(size: int, many_files: bool = False) -> Stack:
    """Return a stored view of so many samples, in one file a stream or in many."""
    rng = np.random.default_rng(size)
    samples = [
        {
            "number": int(rng.integers(-99, 99)),
            "image": rng.integers(0, 9, (2, 3)).astype(np.uint8),
            "text": "äb🐈"[: i % 4] * (i % 3),
            "tokens": np.arange(i % 4, dtype=np.int16) + i,
            "row": {"a": i if i % 3 else None, "b": str(i)},
        }
        for i in range(size)
    ]
    parts = {name: _files_of(kind, [sample[name] for sample in samples], many_files) for name, kind in FORMATS.items()}
    return Stack(_opened(parts, size), samples)


def has_streams(view: View, samples: Sequence[Any]) -> bool:
    """Say whether samples are mappings, so that the view has blocks."""
    if samples and not isinstance(samples[0], Mapping):
        try:
            view.rows(slice(0, 1))
        except UsageError:
            return False
        raise AssertionError("there are blocks of samples that are no mappings")
    return bool(view.streams)


def _files_of(kind: Format, values: list[Any], many_files: bool) -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        parts, _ = written(kind, [values], Path(folder), 1 if many_files else 1 << 30)
        return [part.path.read_bytes() for part in parts]


def _opened(parts: Mapping[str, list[bytes]], size: int) -> Stored:
    columns = {name: FORMATS[name].open([io.BytesIO(data) for data in found]) for name, found in parts.items()}
    return Stored(Origin("org.example.stacked", f"size{size}", "0" * 64), columns, None, (_opened, (parts, size)))


def _sliced(draw: st.DrawFn, stack: Stack) -> Stack:
    part = draw(st.slices(len(stack.samples)))
    return Stack(stack.view[part], stack.samples[part])


def _selected(draw: st.DrawFn, stack: Stack) -> Stack:
    size = len(stack.samples)
    rows = draw(st.lists(st.integers(-size, size - 1), max_size=12)) if size else []
    return Stack(stack.view.select(rows), [stack.samples[i] for i in rows])


def _masked(draw: st.DrawFn, stack: Stack) -> Stack:
    mask = draw(st.lists(st.booleans(), min_size=len(stack.samples), max_size=len(stack.samples)))
    return Stack(stack.view[np.array(mask, bool)], [sample for sample, kept in zip(stack.samples, mask) if kept])


def _narrowed(draw: st.DrawFn, stack: Stack) -> Stack:
    names = draw(st.lists(st.sampled_from(_names(stack)), min_size=1, unique=True))
    return Stack(stack.view.only(*names), [{name: sample[name] for name in names} for sample in stack.samples])


def _mapped(draw: st.DrawFn, stack: Stack) -> Stack:
    change = draw(st.sampled_from([_itself, _emptied, _counted]))
    return Stack(stack.view.map(change), [change(sample) for sample in stack.samples])


def _concatenated(draw: st.DrawFn, stack: Stack) -> Stack:
    others = draw(st.lists(st.sampled_from([_sliced, _selected, _masked]), max_size=2))
    parts = [stack, *(step(draw, stack) for step in others)]
    parts = draw(st.permutations(parts))
    return Stack(parts[0].view.concat(*(p.view for p in parts[1:])), [s for part in parts for s in part.samples])


def _zipped(draw: st.DrawFn, stack: Stack) -> Stack:
    names = draw(st.permutations(_names(stack)))
    if len(names) < 2:
        return stack
    at = draw(st.integers(1, len(names) - 1))
    left, right = names[:at], names[at:]
    view = stack.view.only(*left).zip(stack.view[::-1].only(*right))
    pairs = zip(stack.samples, stack.samples[::-1])
    return Stack(view, [{n: a[n] for n in left} | {n: b[n] for n in right} for a, b in pairs])


def _shuffled(draw: st.DrawFn, stack: Stack) -> Stack:
    seed, epoch = draw(st.integers(0, 3)), draw(st.sampled_from([0, 0, 2]))
    order = Permutation(len(stack.samples), seed, 0).rows(slice(0, len(stack.samples)))
    # As built is epoch 0: a law goes to another one and back.
    return Stack(stack.view.shuffle(seed, epoch).at_epoch(0), [stack.samples[i] for i in order])


def _repeated(draw: st.DrawFn, stack: Stack) -> Stack:
    times = draw(st.integers(0, 2))
    return Stack(stack.view.repeat(times), stack.samples * times)


def _sharded(draw: st.DrawFn, stack: Stack) -> Stack:
    shards = draw(st.integers(1, 4))
    rank = draw(st.integers(0, shards - 1))
    return Stack(stack.view.shard(shards, rank), stack.samples[rank::shards])


def _sorted(draw: st.DrawFn, stack: Stack) -> Stack:
    reverse = draw(st.booleans())
    if "number" not in _names(stack) or not stack.samples:
        return stack
    by: Any = draw(st.sampled_from(["number", _number]))
    return Stack(stack.view.sort_by(by, reverse=reverse), sorted(stack.samples, key=_number, reverse=reverse))


def _filtered(draw: st.DrawFn, stack: Stack) -> Stack:
    if "number" not in _names(stack) or not stack.samples:
        return stack
    kept = [sample for sample in stack.samples if _is_high(sample)]
    ways = [
        lambda view: view.filter(_is_high),
        lambda view: view.filter((">", 10), column="number"),
        lambda view: view.filter(_are_high, column="number"),
    ]
    return Stack(draw(st.sampled_from(ways))(stack.view), kept)


def _interleaved(draw: st.DrawFn, stack: Stack) -> Stack:
    others = [step(draw, stack) for step in draw(st.lists(st.sampled_from([_sliced, _masked]), max_size=2))]
    parts = [stack, *others]
    turns = [[part.samples[k] for part in parts if k < len(part.samples)] for k in range(len(stack.samples))]
    return Stack(stack.view.interleave(*(part.view for part in others)), [s for turn in turns for s in turn])


def _mixed(draw: st.DrawFn, stack: Stack) -> Stack:
    other = _sliced(draw, stack)
    if not other.samples or len(stack.samples) > 50:
        return stack
    stop: Any = draw(st.sampled_from(["first", "all", 17]))
    view = stack.view.mix(other.view, weights=(2, 1), seed=1, stop=stop)
    both = [*stack.samples, *other.samples]
    mixture = Mixture([len(stack.samples), len(other.samples)], (2, 1), 1, stop)
    return Stack(view, [both[i] for i in mixture.rows(slice(0, len(mixture)))])


def _renamed_in_part(draw: st.DrawFn, stack: Stack) -> Stack:
    name = draw(st.sampled_from(_names(stack)))
    if not stack.samples or name == "number":
        return stack
    pairs = [(f"{name}_new" if key == name else key, key) for key in stack.samples[0]]
    view = stack.view.rename(**{f"{name}_new": name})
    return Stack(view, [{new: sample[old] for new, old in pairs} for sample in stack.samples])


def _cached(draw: st.DrawFn, stack: Stack) -> Stack:
    return Stack(stack.view.cache(), stack.samples)


def _mapped_in_blocks(draw: st.DrawFn, stack: Stack) -> Stack:
    return Stack(stack.view.map(_itself, batched=True), stack.samples)


def _part_of_a_split(draw: st.DrawFn, stack: Stack) -> Stack:
    seed, part = draw(st.integers(0, 3)), draw(st.integers(0, 1))
    rows = random_parts(len(stack.samples), (0.75, 0.25), seed)[part]
    return Stack(stack.view.random_split((0.75, 0.25), seed=seed)[part], [stack.samples[i] for i in rows])


STEPS = (
    _sliced,
    _selected,
    _masked,
    _narrowed,
    _mapped,
    _concatenated,
    _zipped,
    _shuffled,
    _repeated,
    _sharded,
    _sorted,
    _filtered,
    _interleaved,
    _mixed,
    _renamed_in_part,
    _cached,
    _mapped_in_blocks,
    _part_of_a_split,
)


def _names(stack: Stack) -> Sequence[str]:
    # Of an empty stack of mapped views nobody knows the streams; any name will do.
    return list(stack.samples[0]) if stack.samples else list(stack.view.streams or ("number",))


def _itself(sample: Any) -> Any:
    return sample


def _emptied(sample: Any) -> Any:
    return {name: value for name, value in sample.items() if name != "image"} or sample


def _counted(sample: Any) -> Any:
    return {**sample, "streams": len(sample)}


def _number(sample: Any) -> Any:
    return sample["number"]


def _is_high(sample: Any) -> bool:
    return bool(sample["number"] > 10)


def _are_high(numbers: Any) -> Any:
    return np.array([number > 10 for number in numbers], bool)


def _wrapped(sample: Any) -> Any:
    return (sample,)


def _renamed(sample: Any) -> Any:
    return {f"{name}_again": value for name, value in sample.items()}


def _doubled(sample: Any, name: str) -> Any:
    return {name: sample[name], f"{name}_again": sample[name]}


def _same(view: View, samples: Sequence[Any]) -> None:
    assert len(view) == len(samples)
    assert equal(list(view), list(samples))
    if samples:
        assert equal([view[0], view[-1], view[len(view) // 2]], [samples[0], samples[-1], samples[len(samples) // 2]])


def _stack_of(view: View, depth: int = 0) -> list[int]:
    return [depth, *(found for parent in view.parents for found in _stack_of(parent, depth + 1))]


def _arrays_in(batch: Mapping[str, Any]) -> list[Any]:
    blocks = [block if isinstance(block, list) else [block] for block in batch.values()]
    return [value for block in blocks for value in block if isinstance(value, np.ndarray)]
