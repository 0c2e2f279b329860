"""Encoded: applies fitted encoders to streams when they are read. Also fits encoders on a view."""

from collections import Counter
from typing import Any, Iterator, Mapping, Sequence

import numpy as np

from dataset_assets.encoding import Encoder, Fitted, FittedOn, Remapped
from dataset_assets.errors import SchemaError, UnknownStream, UsageError, at, nearest
from dataset_assets.formats.columns import Columns, values_of
from dataset_assets.reading.views.document import stack_of
from dataset_assets.reading.views.mapped import Mapped, MappedBlocks
from dataset_assets.reading.views.operations import operation
from dataset_assets.reading.views.rows import Where
from dataset_assets.reading.views.view import View

HELD_OUT = ("test",)
# The largest block while fitting.
FIT_ROWS = 1 << 16
FIT_BYTES = 4 << 20


def fit_encoders(
    view: View, encoders: Mapping[str, Encoder], into: str | None = None, held_out: Sequence[str] = HELD_OUT
) -> Fitted:
    """Return the encoders, fitted on a view in one pass over their streams."""
    if not encoders:
        raise UsageError(
            "fit_encoders() needs at least one encoder. Name a feature with it: "
            "view.fit_encoders({'stream': OneHot()})."
        )
    on = check_fit_for_learning(view, held_out)
    sources = tuple(dict.fromkeys(_stream_and_field(view, feature)[0] for feature in encoders))
    known: dict[str, Any] = dict.fromkeys(encoders)
    step = min(max(int(FIT_BYTES / view.row_bytes(sources)), 1), FIT_ROWS) if len(view) else 1
    for lo in range(0, len(view), step):
        block = view.rows_of(sources, slice(lo, min(lo + step, len(view))))
        for feature, encoder in encoders.items():
            with at(_place(feature, view)):
                known[feature] = encoder.learn(known[feature], _values(block, feature, view))
    learnt = {}
    for feature, encoder in encoders.items():
        with at(_place(feature, view)):
            learnt[feature] = encoder.learnt(known[feature])
    return Fitted(learnt, into, on, len(view))


def check_fit_for_learning(view: View, held_out: Sequence[str]) -> tuple[FittedOn, ...]:
    """Return the splits below a view. Raises `UsageError` for a held-out split, and for random samples."""
    for each in stack_of(view):
        if isinstance(each, (Mapped, MappedBlocks)) and each.seed is not None:
            raise UsageError("Cannot fit on a random map: its samples change every epoch. Fit on the view below it.")
    on = splits_of(view)
    if leaked := [each for each in on if each.split in held_out]:
        raise UsageError(
            f"The view contains {leaked[0].dataset} {leaked[0].split}, which is held out: fitting on it would leak "
            "into the evaluation. Fit on a different split, or allow it with held_out=()."
        )
    return on


def splits_of(view: View) -> tuple[FittedOn, ...]:
    """Return the splits below a view, each once."""
    origins = [each.origin for each in stack_of(view) if not each.parents]
    splits = {(origin.dataset, origin.split, origin.index, origin.version) for origin in origins}
    return tuple(FittedOn(*each) for each in sorted(splits, key=lambda each: tuple(map(str, each))))


@operation("encode")
class Encoded(View):
    """The parent's samples with some streams encoded, and all others unchanged.

    `keep` maps streams to new names under which their original values are kept beside the encoded ones.
    """

    def __init__(
        self, parent: View, fitted: Fitted, any_version: bool = False, keep: Mapping[str, str] | None = None
    ) -> None:
        if not any_version:
            fitted.check(splits_of(parent))
        self.parents = (parent,)
        self.parent, self.fitted, self.any_version, self.keep = parent, fitted, any_version, dict(keep or {})
        sources = {feature: _stream_and_field(parent, feature)[0] for feature in fitted.encoders}
        self.encoded: dict[str, list[str]] = {}
        for feature, source in sources.items():
            self.encoded.setdefault(fitted.into or source, []).append(feature)
        self._sources = sources
        left = [name for name in parent.streams if name not in sources.values()]
        if twice := [name for name, n in Counter([*left, *self.encoded, *self.keep.values()]).items() if n > 1]:
            raise UsageError(f"Two streams would be named {', '.join(twice)}. Choose a different name for the new one.")
        self._streams = (*self._in_their_places(), *self.keep.values())
        self._olds = {new: old for old, new in self.keep.items()}
        self._all_needed = self._needed(self._streams)

    def arguments(self) -> dict[str, Any]:
        return {"fitted": self.fitted.document(), "any_version": self.any_version, "keep": self.keep}

    def _kinds(self) -> tuple[type, ...]:
        return tuple(type(each) for each in self.fitted.encoders.values())

    @classmethod
    def build(cls, arguments: Mapping[str, Any], parents: Sequence[View]) -> "Encoded":
        fitted = Fitted.from_json(arguments["fitted"])
        return cls(parents[0], fitted, bool(arguments["any_version"]), dict(arguments["keep"]))

    def __len__(self) -> int:
        return len(self.parent)

    @property
    def streams(self) -> tuple[str, ...]:
        return self._streams

    @property
    def roles(self) -> Mapping[str, str]:
        roles = {}
        for role, stream in self.parent.roles.items():
            kept = role == "tag" and stream in self.keep
            roles[role] = self.keep[stream] if kept else self._new_name(stream)
        # What is kept of a target is its tag, if it had none.
        if "tag" not in roles and (target := self.parent.roles.get("target")) in self.keep:
            roles["tag"] = self.keep[str(target)]
        return roles

    @property
    def classes(self) -> Mapping[str, tuple[str, ...]]:
        """The names of classes by stream: those of mapped targets too, and none of other encoded streams."""
        classes = self.parent.classes.items()
        left = {stream: names for stream, names in classes if stream not in self._sources.values()}
        left |= {self.keep[stream]: names for stream, names in classes if stream in self.keep}
        for stream, names in classes:
            encoder = self.fitted.encoders.get(stream)
            if isinstance(encoder, Remapped) and stream in self.encoded and (mapped := encoder.classes(names)):
                left[stream] = mapped
        return left

    @property
    def declared(self) -> Mapping[Any, Any]:
        """The declared forms of streams that are not encoded, and of what is kept of those that are."""
        declared = self.parent.declared
        names = {name: self._olds.get(name, name) for name in self._streams if name not in self.encoded}
        return {name: declared[old] for name, old in names.items() if old in declared}

    def sample(self, i: int) -> Any:
        return self._encoded_sample(self.parent.sample_of(self._all_needed, i), self._streams)

    def sample_of(self, streams: Sequence[str], i: int) -> dict[str, Any]:
        return self._encoded_sample(self.parent.sample_of(self._needed(streams), i), streams)

    def rows(self, where: Where) -> Columns:
        return self.rows_of(self._streams, where)

    def rows_of(self, streams: Sequence[str], where: Where) -> Columns:
        return self._encoded(self.parent.rows_of(self._needed(streams), where), streams)

    def each(self, where: Where) -> Iterator[Any]:
        if not self.computed:
            return super().each(where)
        return (self._encoded_sample(sample, self._streams) for sample in self.parent.each(where))

    def row_bytes(self, streams: Sequence[str] | None = None) -> float:
        return self.parent.row_bytes(None if streams is None else self._needed(streams))

    def columns(self, stream: str) -> tuple[str, ...]:
        """Return the names of an encoded stream's columns; a feature with several columns has them numbered."""
        names: list[str] = []
        for feature in self.encoded[stream]:
            encoder: Any = self.fitted.encoders[feature]
            if hasattr(encoder, "columns"):
                names += encoder.columns(feature)
                continue
            width = int(np.prod(getattr(encoder, "shape", ()), dtype=int))
            names += [feature] if width == 1 else [f"{feature}[{k}]" for k in range(width)]
        return tuple(names)

    def _encoded(self, block: Columns, streams: Sequence[str]) -> Columns:
        columns: dict[str, Any] = {}
        for stream in streams:
            if stream in self.encoded:
                columns[stream] = self._concatenated(block, self.encoded[stream])
            else:
                columns[stream] = block[self._olds.get(stream, stream)]
        return Columns(columns)

    def _encoded_sample(self, sample: Any, streams: Sequence[str]) -> dict[str, Any]:
        """Return one sample; values that are not encoded stay the same objects."""
        values = {}
        for name in streams:
            if name in self.encoded:
                block = {source: _block_of_one(sample[source]) for source in self._sources_of(name)}
                values[name] = values_of(self._concatenated(block, self.encoded[name]))[0]
            else:
                values[name] = sample[self._olds.get(name, name)]
        return values

    def _sources_of(self, stream: str) -> list[str]:
        return [self._sources[feature] for feature in self.encoded[stream]]

    def _concatenated(self, block: Mapping[str, Any], features: Sequence[str]) -> Any:
        parts = []
        for feature in features:
            with at(_place(feature, self.parent)):
                parts.append(self.fitted.encoders[feature].apply(_values(block, feature, self.parent)))
        if len(parts) == 1 and self.fitted.into is None:
            return parts[0]
        for feature, part in zip(features, parts):
            if not isinstance(part, np.ndarray) or part.dtype.kind not in "biuf":
                raise SchemaError(
                    f"{_place(feature, self.parent)}: only numeric features can be combined into one stream. Leave it "
                    "out, or encode it as numbers."
                )
        flat = [part.reshape(len(part), int(np.prod(part.shape[1:], dtype=int))) for part in parts]
        return np.concatenate(flat, 1, dtype=np.float32, casting="unsafe")

    def _in_their_places(self) -> list[str]:
        """Return the streams in the parent's order; an encoded stream takes the place of its first source."""
        return list(dict.fromkeys(map(self._new_name, self.parent.streams)))

    def _new_name(self, stream: str) -> str:
        return self.fitted.into or stream if stream in self._sources.values() else stream

    def _needed(self, streams: Sequence[str]) -> tuple[str, ...]:
        needed = []
        for name in streams:
            needed += self._sources_of(name) if name in self.encoded else [self._olds.get(name, name)]
        return tuple(dict.fromkeys(needed))

    def _line(self) -> str:
        what = ", ".join(f"{feature}: {type(each).__name__}" for feature, each in self.fitted.encoders.items())
        return f"Encoded({len(self)}, {what})"


def _stream_and_field(view: View, feature: str) -> tuple[str, str]:
    stream, _, field = feature.partition(".")
    # `_stream` accepts any name for an empty view of mapped samples, whose streams are unknown.
    return view._stream(stream), field


def _place(feature: str, view: View) -> str:
    return f"feature {feature} of {view.dataset} {view.split}"


def _values(block: Mapping[str, Any], feature: str, view: View) -> Any:
    """Return a feature's values in a block: those of a stream, or of a field of a table or of mappings."""
    stream, _, field = feature.partition(".")
    values = block[stream]
    table = hasattr(values, "column_names")
    if table and field in values.column_names:
        return values.column(field)
    if field and isinstance(values, list) and all(isinstance(value, Mapping) and field in value for value in values):
        return [value[field] for value in values]
    if not table and not field:
        return values
    if not table:
        raise UnknownStream(
            f"Stream {stream} of {view.dataset} {view.split} is not a table, so it has no field {field!r}. Name the "
            "stream alone."
        )
    raise UnknownStream(
        f"Stream {stream} of {view.dataset} {view.split} is a table: name one of its fields, as in {stream}."
        f"{values.column_names[0]}.{nearest(field, values.column_names)}"
    )


def _block_of_one(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value[None]
    return [value]
