"""Laws that hold for every view, and random stacks of views to test them with."""

import functools
import io
import json
import operator
import pickle
import re
import struct
import tempfile
import wave
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

import numpy as np
from hypothesis import strategies as st

from dataset_assets.core.mixture import Mixture
from dataset_assets.core.permutation import Permutation, generator
from dataset_assets.core.splitting import (
    folds_of,
    group_parts,
    hashed_parts,
    random_parts,
    rest_of,
    stratified_parts,
)
from dataset_assets.encoding import Ordinal
from dataset_assets.errors import UsageError
from dataset_assets.formats import Array, Audio, Bytes, Files, Format, Image, Ragged, Table, Text
from dataset_assets.formats.columns import values_of
from dataset_assets.reading.views import OPERATIONS, Origin, Stored, View, restored
from dataset_assets.reading.views.document import described, stack_of
from dataset_assets.testing.formats import equal, written

SIZES = (0, 1, 2, 7, 40)
FEW = (1, 6)
HALVES = (0.5, 0.5)

STACKED = "org.example.stacked"
FORMATS: dict[str, Format] = {
    "number": Array("int32"),
    "kind": Array("uint8", classes=("even", "odd")),
    "image": Array("uint8", (2, 3)),
    "text": Text(),
    "tokens": Ragged("int16"),
    "row": Table({"a": "int64", "b": "string"}),
}
MEDIA: dict[str, Format] = {
    "number": Array("int32"),
    "kind": Array("uint8", classes=("even", "odd")),
    "image": Image(),
    "sound": Audio(),
    "blob": Bytes(),
    "file": Files(),
    "row": Table({"a": "int64", "b": "string"}),
}
ROLES = {"sample": "image", "target": "kind", "tag": "kind"}


@dataclass(frozen=True)
class Stack:
    """A view and its expected samples: "single" mappings, "batches" of them, or "tuples"."""

    view: View
    samples: list[Any]
    of: str = "single"

    def on(self, view: View, samples: list[Any], of: str | None = None) -> "Stack":
        """Return a stack with one more view on top."""
        return replace(self, view=view, samples=samples, of=of or self.of)


def check_view(view: View, samples: Sequence[Any] | None = None) -> None:
    """Check all laws on a view; `samples` are the expected samples, by default those of the view."""
    expected = list(view) if samples is None else list(samples)
    for law in LAWS:
        law(view, expected)


def it_has_its_samples(view: View, samples: Sequence[Any]) -> None:
    """Every iteration gives the same samples."""
    assert len(view) == len(samples)
    assert equal(list(view), list(samples))
    assert equal(list(view), list(samples))


def indexing_agrees_with_iterating(view: View, samples: Sequence[Any]) -> None:
    """Each sample can be read by its index, also a negative one or a numpy integer."""
    size = len(view)
    assert equal([view[i] for i in range(size)], list(samples))
    assert equal([view[i - size] for i in range(size)], list(samples))
    assert equal([view[i] for i in np.arange(size, dtype=np.uint8)], list(samples))
    assert equal(list(reversed(view)), list(samples)[::-1])


def nothing_is_past_its_ends(view: View, samples: Sequence[Any]) -> None:
    """An index out of range raises an IndexError that names the size."""
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
                raise AssertionError(f"sample {i} was returned by a view of {size} samples")


def slices_agree_with_lists(view: View, samples: Sequence[Any]) -> None:
    """A slice of a view has the samples of the same slice of a list; so has a slice of a slice."""
    size = len(view)
    ends: list[Any] = sorted({None, 0, 1, size // 2, size, size + 3, -1, -size, -size - 1}, key=str)
    for step in (None, 1, 2, 3, -1, -2, size + 1):
        for cut in {(ends[k], ends[-k]) for k in range(len(ends))} | {(None, None)}:
            part = slice(cut[0], cut[1], step)
            _same(view[part], samples[part])
            _same(view[part][::-1][1:], samples[part][::-1][1:])


def selections_agree_with_lists(view: View, samples: Sequence[Any]) -> None:
    """A list or array of indices or booleans selects these samples, also from a selection."""
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
    """Blocks of rows, by slice or by array, hold the same values as the samples; so do single streams."""
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
    """Mapping, concatenating and batching a view gives the same as with lists."""
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
    """Batches hold the samples in order. Writing into a batch changes no other batch and no later epoch."""
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
    """A pickled copy has the same samples."""
    again = pickle.loads(pickle.dumps(view))
    assert equal(list(again), list(samples)) and repr(again) == repr(view)


def its_repr_draws_the_stack(view: View, samples: Sequence[Any]) -> None:
    """The repr has a line for each view of the stack; lower views are indented further, and drawn once."""
    lines = repr(view).splitlines()
    assert len(lines) == len(_stack_of(view)) and str(len(view)) in lines[0]
    assert [len(line) - len(line.lstrip()) for line in lines] == [2 * depth for depth in _stack_of(view)]


def it_is_read_back_from_json(view: View, samples: Sequence[Any]) -> None:
    """A view restored from its JSON has the same samples, JSON and fingerprint."""
    parts = list(stack_of(view))
    functions = [value for part in parts for value in part.arguments().values() if callable(value)]
    if any(OPERATIONS.get(part.op) is not type(part) for part in parts) or any("<" in described(f) for f in functions):
        return
    stored = {json.dumps(part.arguments(), sort_keys=True): part for part in parts if isinstance(part, Stored)}
    again = restored(view.to_json(), lambda found: stored[json.dumps(found, sort_keys=True)], functions)
    assert equal(list(again), list(samples)) and again.to_json() == view.to_json()
    assert again.fingerprint() == view.fingerprint() == pickle.loads(pickle.dumps(view)).fingerprint()


def it_comes_back_from_another_epoch(view: View, samples: Sequence[Any]) -> None:
    """Epoch 0 is the view as built, also after a different epoch. The length of an epoch is its number of samples."""
    if any(type(part).build is View.build and not part.op and part.parents for part in stack_of(view)):
        return
    assert equal(list(view.at_epoch(0)), list(samples))
    try:
        other = view.at_epoch(3)
    except UsageError as error:
        # A mixture with stop="first" or "all" has a different length in each epoch.
        assert re.search("stop|zipped", str(error))
        return
    assert equal(list(other.at_epoch(0)), list(samples)) and len(list(other)) == len(other)


def it_knows_what_it_shows(view: View, samples: Sequence[Any]) -> None:
    """Dataset, split and version are those of the first stored view below; roles name existing streams."""
    parts = list(stack_of(view))
    first = next(part for part in parts if not part.parents)
    assert (view.dataset, view.split, view.version) == (first.dataset, first.split, first.version)
    report = view.report().to_dict()
    assert (report["length"], report["dataset"]) == (len(samples), view.dataset)
    assert len(report["parents"]) == len(view.parents)
    if samples and view.streams:
        assert set(view.roles.values()) <= set(view.streams)
    for i, sample in enumerate(samples):
        entries = view.lineage(i)
        assert all(entry.dataset == view.dataset and entry.row >= 0 for entry in entries)
        # In drawn stacks, the stream "row" holds the number of the stored row.
        if view.dataset == STACKED and isinstance(sample, Mapping) and isinstance(found := sample.get("row"), Mapping):
            assert int(found["b"]) in [entry.row for entry in entries]


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
    """Draw a random stack over stored streams of several formats, with its expected samples."""
    stored = st.builds(stored_stack, st.sampled_from(SIZES), st.booleans()) | st.builds(
        media_stack, st.sampled_from(FEW)
    )
    stack = draw(stored)
    for _ in range(draw(st.integers(0, depth))):
        stack = draw(st.sampled_from(STEPS[stack.of]))(draw, stack)
    return stack


def views(depth: int = 4) -> st.SearchStrategy[View]:
    """Draw a random stack of views over stored streams of several formats."""
    return stacks(depth).map(operator.attrgetter("view"))


@functools.cache
def stored_stack(size: int, many_files: bool = False) -> Stack:
    """Return a stored view with `size` samples, in one file per stream or in many."""
    rng = np.random.default_rng(size)
    samples = [
        {
            "number": int(rng.integers(-99, 99)),
            "kind": i % 2,
            "image": rng.integers(0, 9, (2, 3)).astype(np.uint8),
            "text": "äb🐈"[: i % 4] * (i % 3),
            "tokens": np.arange(i % 4, dtype=np.int16) + i,
            "row": {"a": i if i % 3 else None, "b": str(i)},
        }
        for i in range(size)
    ]
    return _stored(FORMATS, samples, samples, many_files)


@functools.cache
def media_stack(size: int) -> Stack:
    """Return a stored view of pictures, sounds, bytes and members; the pictures differ in size."""
    rng = np.random.default_rng(size)
    plain = [{"number": 7 * i % 5, "kind": i % 2, "row": {"a": i, "b": str(i)}, "blob": b"b" * i} for i in range(size)]
    images = [rng.integers(0, 255, (2 + i % 2, 3, 1)).astype(np.uint8) for i in range(size)]
    sounds = [rng.integers(-99, 99, (4 + i % 3, 1)).astype(np.int16) for i in range(size)]
    files = [(f"{i}.txt", b"%d" % i) for i in range(size)]
    there: list[Any] = [{**p, "image": i, "sound": s, "file": f} for p, i, s, f in zip(plain, images, sounds, files)]
    given = [{**each, "image": _png(each["image"]), "sound": _wav(each["sound"])} for each in there]
    there = [{**each, "sound": each["sound"].astype(np.float32) / 2**15} for each in there]
    return _stored(MEDIA, given, there, False)


def _stored(kinds: Mapping[str, Format], given: list[Any], samples: list[Any], many_files: bool) -> Stack:
    # Streams are defined in any order, but stored sorted by name.
    parts = {name: _files_of(kind, [each[name] for each in given], many_files) for name, kind in kinds.items()}
    return Stack(
        _opened(kinds is MEDIA, parts, len(samples)), [{name: each[name] for name in kinds} for each in samples]
    )


def _png(pixels: Any) -> bytes:
    """Return grey pixels as a PNG file, without an image library."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, _ = pixels.shape
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def _wav(frames: Any) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(frames.astype("<i2").tobytes())
    return out.getvalue()


def has_streams(view: View, samples: Sequence[Any]) -> bool:
    """Return True if samples are mappings, so that the view has blocks."""
    if samples and not isinstance(samples[0], Mapping):
        try:
            view.rows(slice(0, 1))
        except UsageError:
            return False
        raise AssertionError("a view has blocks although its samples are not mappings")
    return bool(view.streams)


def _files_of(kind: Format, values: list[Any], many_files: bool) -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        parts, _ = written(kind, [values], Path(folder), 1 if many_files else 1 << 30)
        return [part.path.read_bytes() for part in parts]


def _opened(media: bool, parts: Mapping[str, list[bytes]], size: int) -> Stored:
    kinds = MEDIA if media else FORMATS
    columns = {name: kinds[name].open([io.BytesIO(data) for data in found]) for name, found in parts.items()}
    classes = {"kind": ("even", "odd")}
    origin = Origin(STACKED, f"{'media' if media else 'size'}{size}", "0" * 64, None, ROLES, classes)
    return Stored(origin, columns, None, (_opened, (media, parts, size)))


def _sliced(draw: st.DrawFn, stack: Stack) -> Stack:
    part = draw(st.slices(len(stack.samples)))
    return stack.on(stack.view[part], stack.samples[part])


def _selected(draw: st.DrawFn, stack: Stack) -> Stack:
    size = len(stack.samples)
    rows = draw(st.lists(st.integers(-size, size - 1), max_size=12)) if size else []
    return stack.on(stack.view.select(rows), [stack.samples[i] for i in rows])


def _masked(draw: st.DrawFn, stack: Stack) -> Stack:
    mask = draw(st.lists(st.booleans(), min_size=len(stack.samples), max_size=len(stack.samples)))
    return stack.on(stack.view[np.array(mask, bool)], [sample for sample, kept in zip(stack.samples, mask) if kept])


def _narrowed(draw: st.DrawFn, stack: Stack) -> Stack:
    names = draw(st.lists(st.sampled_from(_names(stack)), min_size=1, unique=True))
    return stack.on(stack.view.only(*names), [{name: sample[name] for name in names} for sample in stack.samples])


def _mapped(draw: st.DrawFn, stack: Stack) -> Stack:
    change = draw(st.sampled_from([_itself, _emptied, _counted]))
    return stack.on(stack.view.map(change), [change(sample) for sample in stack.samples])


def _concatenated(draw: st.DrawFn, stack: Stack) -> Stack:
    others = draw(st.lists(st.sampled_from([_sliced, _selected, _masked]), max_size=2))
    parts = [stack, *(step(draw, stack) for step in others)]
    parts = draw(st.permutations(parts))
    return stack.on(parts[0].view.concat(*(p.view for p in parts[1:])), [s for part in parts for s in part.samples])


def _zipped(draw: st.DrawFn, stack: Stack) -> Stack:
    names = draw(st.permutations(_names(stack)))
    if len(names) < 2:
        return stack
    at = draw(st.integers(1, len(names) - 1))
    left, right = names[:at], names[at:]
    view = stack.view.only(*left).zip(stack.view[::-1].only(*right))
    pairs = zip(stack.samples, stack.samples[::-1])
    return stack.on(view, [{n: a[n] for n in left} | {n: b[n] for n in right} for a, b in pairs])


def _shuffled(draw: st.DrawFn, stack: Stack) -> Stack:
    seed, epoch = draw(st.integers(0, 3)), draw(st.sampled_from([0, 0, 2]))
    order = Permutation(len(stack.samples), seed, 0).rows(slice(0, len(stack.samples)))
    # A view is built at epoch 0: a law moves it to a different epoch and back.
    return stack.on(stack.view.shuffle(seed, epoch).at_epoch(0), [stack.samples[i] for i in order])


def _repeated(draw: st.DrawFn, stack: Stack) -> Stack:
    times = draw(st.integers(0, 2))
    return stack.on(stack.view.repeat(times), stack.samples * times)


def _sharded(draw: st.DrawFn, stack: Stack) -> Stack:
    shards = draw(st.integers(1, 4))
    rank = draw(st.integers(0, shards - 1))
    return stack.on(stack.view.shard(shards, rank), stack.samples[rank::shards])


def _sorted(draw: st.DrawFn, stack: Stack) -> Stack:
    reverse = draw(st.booleans())
    if "number" not in _names(stack) or not stack.samples:
        return stack
    by: Any = draw(st.sampled_from(["number", _number]))
    return stack.on(stack.view.sort_by(by, reverse=reverse), sorted(stack.samples, key=_number, reverse=reverse))


def _filtered(draw: st.DrawFn, stack: Stack) -> Stack:
    if "number" not in _names(stack) or not stack.samples:
        return stack
    kept = [sample for sample in stack.samples if _is_high(sample)]
    ways = [
        lambda view: view.filter(_is_high),
        lambda view: view.filter((">", 10), column="number"),
        lambda view: view.filter(_are_high, column="number"),
    ]
    return stack.on(draw(st.sampled_from(ways))(stack.view), kept)


def _interleaved(draw: st.DrawFn, stack: Stack) -> Stack:
    others = [step(draw, stack) for step in draw(st.lists(st.sampled_from([_sliced, _masked]), max_size=2))]
    parts = [stack, *others]
    turns = [[part.samples[k] for part in parts if k < len(part.samples)] for k in range(len(stack.samples))]
    return stack.on(stack.view.interleave(*(part.view for part in others)), [s for turn in turns for s in turn])


def _mixed(draw: st.DrawFn, stack: Stack) -> Stack:
    other = _sliced(draw, stack)
    if not other.samples or len(stack.samples) > 50:
        return stack
    stop: Any = draw(st.sampled_from(["first", "all", 17]))
    view = stack.view.mix(other.view, weights=(2, 1), seed=1, stop=stop)
    both = [*stack.samples, *other.samples]
    mixture = Mixture([len(stack.samples), len(other.samples)], (2, 1), 1, stop)
    return stack.on(view, [both[i] for i in mixture.rows(slice(0, len(mixture)))])


def _renamed_in_part(draw: st.DrawFn, stack: Stack) -> Stack:
    name = draw(st.sampled_from(_names(stack)))
    if not stack.samples or name == "number":
        return stack
    pairs = [(f"{name}_new" if key == name else key, key) for key in stack.samples[0]]
    view = stack.view.rename(**{f"{name}_new": name})
    return stack.on(view, [{new: sample[old] for new, old in pairs} for sample in stack.samples])


def _cached(draw: st.DrawFn, stack: Stack) -> Stack:
    return stack.on(stack.view.cache(), stack.samples)


def _mapped_in_blocks(draw: st.DrawFn, stack: Stack) -> Stack:
    return stack.on(stack.view.map(_itself, batched=True), stack.samples)


def _part_of_a_split(draw: st.DrawFn, stack: Stack) -> Stack:
    seed, part = draw(st.integers(0, 3)), draw(st.integers(0, 1))
    rows = random_parts(len(stack.samples), (0.75, 0.25), seed)[part]
    return stack.on(stack.view.random_split((0.75, 0.25), seed=seed)[part], [stack.samples[i] for i in rows])


def _stratified(draw: st.DrawFn, stack: Stack) -> Stack:
    names = stack.view.classes.get("kind", ())
    return _divided(
        draw, stack, "kind", "stratified_split", lambda kinds, seed: stratified_parts(kinds, HALVES, seed, names)
    )


def _grouped(draw: st.DrawFn, stack: Stack) -> Stack:
    by = draw(st.sampled_from(["kind", "number"]))
    return _divided(draw, stack, by, "group_split", lambda groups, seed: group_parts(groups, HALVES, seed))


def _hashed(draw: st.DrawFn, stack: Stack) -> Stack:
    return _divided(
        draw, stack, "number", "hash_split", lambda keys, seed: hashed_parts(list(map(str, keys)), HALVES, seed)
    )


def _divided(draw: st.DrawFn, stack: Stack, by: str, split: str, rows_of: Callable[[Any, int], Sequence[Any]]) -> Stack:
    """Return a part of a split by a stream. If the plain function raises, the view must raise the same error."""
    values = _whole_numbers(stack, by)
    if values is None:
        return stack
    seed, part = draw(st.integers(0, 3)), draw(st.integers(0, 1))
    rows = _or_error(lambda: rows_of(np.array(values), seed)[part])
    view = _or_error(lambda: getattr(stack.view, split)(HALVES, by=by, seed=seed)[part])
    if isinstance(rows, str) or isinstance(view, str):
        assert view == rows
        return stack
    return stack.on(view, [stack.samples[i] for i in rows])


def _fold(draw: st.DrawFn, stack: Stack) -> Stack:
    size, seed, k = len(stack.samples), draw(st.integers(0, 3)), draw(st.integers(0, 1))
    if size < 4:
        return stack
    held_out = folds_of(size, 2, seed)[k]
    ways = [
        (stack.view.kfold(2, seed=seed)[k].held_out, held_out),
        (stack.view.nested_kfold(2, 2, seed=seed)[k].train, rest_of(size, held_out)),
    ]
    view, rows = draw(st.sampled_from(ways))
    return stack.on(view, [stack.samples[i] for i in rows])


def _mapped_at_random(draw: st.DrawFn, stack: Stack) -> Stack:
    seed = draw(st.integers(0, 2))
    if any("chance" in sample for sample in stack.samples):
        return stack
    samples = []
    for i, sample in enumerate(stack.samples):
        below, row = stack.view.traced(i)[0]
        chance = generator(seed, 0, f"map {below.dataset} {below.split} {below.origin.index}", row)
        samples.append(_with_chance(sample, chance))
    view = stack.view.map(_with_chance, random=True, seed=seed)
    blocks = stack.view.map(_with_chances, random=True, seed=seed, batched=True)
    return stack.on(draw(st.sampled_from([view, blocks])), samples)


def _encoded(draw: st.DrawFn, stack: Stack) -> Stack:
    values = _whole_numbers(stack, "number")
    if not values:
        return stack
    fitted = _or_error(lambda: stack.view.fit_encoders({"number": Ordinal()}))
    if isinstance(fitted, str):
        assert "random map" in fitted, fitted
        return stack
    known = sorted(set(values))
    return stack.on(stack.view.encode(fitted), [{**s, "number": known.index(s["number"])} for s in stack.samples])


def _with_other_targets(draw: st.DrawFn, stack: Stack) -> Stack:
    kinds = _whole_numbers(stack, "kind")
    if not kinds or stack.view.roles.get("target") != "kind" or not set(kinds) <= {0, 1}:
        return stack
    tag = stack.view.roles.get("tag")
    kept = _free(stack, "tag") if tag == "kind" else None
    beside = kept or _free(stack, "kind_class" if tag else "tag")
    ways: list[tuple[View, Callable[[int], Any], str | None]] = [
        (stack.view.map_targets({0: 1, 1: 0}), lambda kind: 1 - kind, kept),
        (stack.view.one_hot_targets(range(2)), lambda kind: np.eye(2, dtype=np.float32)[kind], beside),
    ]
    view, change, new = draw(st.sampled_from(ways))
    more: list[dict[str, Any]] = [{} if new is None else {new: sample["kind"]} for sample in stack.samples]
    return stack.on(view, [{**s, "kind": change(s["kind"]), **k} for s, k in zip(stack.samples, more)])


def _of_some_targets(draw: st.DrawFn, stack: Stack) -> Stack:
    kinds = _whole_numbers(stack, "kind")
    if not kinds or stack.view.roles.get("target") != "kind":
        return stack
    view = draw(st.sampled_from([stack.view.keep_targets(1), stack.view.drop_targets(0)]))
    return stack.on(view, [sample for sample in stack.samples if sample["kind"] == 1])


def _batched(draw: st.DrawFn, stack: Stack) -> Stack:
    n, drop_last = draw(st.integers(1, 5)), draw(st.booleans())
    view = stack.view.batch(n, drop_last=drop_last)
    pieces = [stack.samples[lo : lo + n] for lo in range(0, len(stack.samples), n)]
    pieces = [piece for piece in pieces if len(piece) == n or not drop_last]
    batches = [dict(stack.view.rows(slice(k * n, k * n + len(piece)))) for k, piece in enumerate(pieces)]
    for batch, piece in zip(batches, pieces):
        assert all(equal(values_of(block), [sample[name] for sample in piece]) for name, block in batch.items())
    return stack.on(view, batches, "batches")


def _tupled(draw: st.DrawFn, stack: Stack) -> Stack:
    names = draw(st.lists(st.sampled_from(_names(stack)), min_size=1, max_size=3))
    return stack.on(stack.view.tuples(*names), [tuple(s[name] for name in names) for s in stack.samples], "tuples")


def _kept(draw: st.DrawFn, stack: Stack) -> Stack:
    return stack.on(stack.view.map(_itself), stack.samples)


REARRANGED = (
    _sliced,
    _selected,
    _masked,
    _concatenated,
    _shuffled,
    _repeated,
    _sharded,
    _interleaved,
    _mixed,
    _cached,
    _kept,
    _part_of_a_split,
    _fold,
)
BY_STREAM = (
    _narrowed,
    _mapped,
    _zipped,
    _sorted,
    _filtered,
    _renamed_in_part,
    _mapped_in_blocks,
    _mapped_at_random,
    _stratified,
    _grouped,
    _hashed,
    _encoded,
    _with_other_targets,
    _of_some_targets,
    _tupled,
    _batched,
)
STEPS: dict[str, Sequence[Callable[[st.DrawFn, Stack], Stack]]] = {
    "single": (*REARRANGED, *BY_STREAM),
    "batches": (*REARRANGED, _narrowed, _tupled, _batched),
    "tuples": REARRANGED,
}


def _whole_numbers(stack: Stack, name: str) -> list[int] | None:
    """Return the values of a stream if every sample has a whole number there, else None."""
    values = [sample.get(name) for sample in stack.samples]
    return values if values and all(type(value) is int for value in values) else None


def _free(stack: Stack, name: str) -> str:
    while name in stack.view.streams:
        name += "_"
    return name


def _or_error(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except UsageError as error:
        return str(error)


def _with_chance(sample: Any, chance: np.random.Generator) -> Any:
    return {**sample, "chance": float(chance.random())}


def _with_chances(block: Any, chances: list[np.random.Generator]) -> Any:
    return {**block, "chance": [float(chance.random()) for chance in chances]}


def _names(stack: Stack) -> Sequence[str]:
    # The streams of an empty stack of mapped views are unknown; any name will do.
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


def _stack_of(view: View, depth: int = 0, drawn: set[int] | None = None) -> list[int]:
    drawn = set() if drawn is None else drawn
    lower = [] if id(view) in drawn else view.parents
    drawn.add(id(view))
    runs = [parent for k, parent in enumerate(lower) if not k or parent is not lower[k - 1]]
    return [depth, *(found for parent in runs for found in _stack_of(parent, depth + 1, drawn))]


def _arrays_in(batch: Mapping[str, Any]) -> list[Any]:
    blocks = [block if isinstance(block, list) else [block] for block in batch.values()]
    return [value for block in blocks for value in block if isinstance(value, np.ndarray)]
