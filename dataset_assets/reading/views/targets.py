"""Maps targets, encodes them as one-hot vectors, and selects samples by target."""

from dataclasses import dataclass, replace
from typing import Any, Iterable, Literal, Mapping, Sequence

import numpy as np

from dataset_assets.encoding import Fitted, OneHot, Remapped
from dataset_assets.encoding.encoder import check_choice
from dataset_assets.errors import UnknownStream, UsageError, nearest
from dataset_assets.reading.views.columns_whole import class_numbers
from dataset_assets.reading.views.encoded import Encoded
from dataset_assets.reading.views.selected import Selected
from dataset_assets.reading.views.streams import Narrowed
from dataset_assets.reading.views.view import View


def mapped_targets(
    view: View, mapping: Mapping[Any, Any], stream: str | None, unmapped: Literal["error", "keep", "drop"], tag: bool
) -> View:
    """Return the view with its target mapped, all values at once. The tag keeps its old values, unless `tag`.

    Of a target that is one-hot the classes are mapped, and it stays one-hot.
    """
    name = target_of(view, stream)
    if not isinstance(mapping, Mapping):
        raise UsageError(f"The mapping is {mapping!r:.60}. Give the new value of each old one: {{0: 1, 1: 0}}.")
    check_choice("unmapped", unmapped, ("error", "keep", "drop"))
    if unmapped == "drop":
        view, unmapped = chosen_by_target(view, mapping, name, "in"), "error"
    if (hot := _one_hot(view, name)) is not None:
        below = mapped_targets(hot.parent, mapping, name, unmapped, tag)
        old = [value for value in _categories(hot, name) if unmapped == "keep" or value in mapping]
        classes = None if name in below.classes else _ordered({mapping.get(value, value) for value in old})
        return _on(view, hot, _as_one_hot(below, _encoder(hot, name), classes, name, tag))
    return Encoded(view, Fitted({name: Remapped(mapping, unmapped)}), keep=_kept(view, name, tag))


def one_hot_targets(view: View, classes: Sequence[Any] | None, stream: str | None, tag: bool) -> View:
    """Return the view with its target as one-hot vectors, for the given classes or those of the dataset.

    The classes are kept as the tag, or as a stream beside it, unless `tag`.
    """
    name = target_of(view, stream)
    if classes is not None:
        classes = _checked("classes", classes)
    if (hot := _one_hot(view, name)) is not None:
        if classes is None or classes == _categories(hot, name):
            return view
        return _on(view, hot, _as_one_hot(hot.parent, _encoder(hot, name), classes, name, tag))
    return _as_one_hot(view, OneHot(), classes, name, tag)


def _as_one_hot(view: View, encoder: OneHot, classes: Sequence[Any] | None, name: str, tag: bool) -> View:
    """Return the view with its target as one-hot vectors, with an encoder's settings for values of no class."""
    keep = _kept(view, name, tag) or _beside(view, name, tag)
    hot = replace(encoder, categories=tuple(_classes(view, name) if classes is None else classes))
    return Encoded(view, Fitted({name: hot}), keep=keep)


def _checked(what: str, values: Any) -> tuple[Any, ...]:
    """Return classes or targets. Raises `UsageError` for anything but a sequence of numbers or texts."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise UsageError(f"{what} is {values!r:.60}, not a sequence. Give one of numbers or texts, such as [0, 1].")
    for value in (known := tuple(values)):
        if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
            raise UsageError(
                f"{what} has {value!r:.60}, a {type(value).__name__}. Each one is a number or text: write "
                "keep_targets(0, 1), or classes=[0, 1]."
            )
    return known


def _ordered(values: Iterable[Any]) -> list[Any]:
    known = list(values)
    try:
        return sorted(known)
    except TypeError as error:
        raise UsageError(
            f"The classes {known!r:.100} are of different types, so they have no order. Map all of them to numbers, or "
            "all to text."
        ) from error


def _classes(view: View, name: str) -> Sequence[Any]:
    """Return the classes of a target: the numbers that have names, or what a mapping makes."""
    if name in view.classes:
        return range(len(view.classes[name]))
    below = _encoded(view, name)
    encoder = below.fitted.encoders[name] if below is not None else None
    if isinstance(encoder, Remapped) and encoder.unmapped == "error":
        return _ordered(encoder.outputs())
    raise UsageError(
        f"{view.dataset} {view.split} has no classes for {name}. Pass them (classes=range(10)), or learn "
        f"them: view.fit_encoders({{{name!r}: OneHot()}})."
    )


def chosen_by_target(view: View, targets: Iterable[Any], stream: str | None, how: Literal["in", "not in"]) -> View:
    """Return the samples whose target is in `targets`, or not in it. Reads all targets at once.

    Of a target that is one-hot the class counts; a vector of no class is none of the targets.
    """
    name, chosen = target_of(view, stream), list(_checked("targets", targets))
    hot = _one_hot(view, name)
    column = name if hot is None else hot.keep.get(name)
    if hot is not None and column not in view.streams:
        return view.filter(_ClassIn(_categories(hot, name), tuple(chosen), how), column=name)
    assert column is not None
    if names := view.classes.get(column):
        chosen = class_numbers(view, column, chosen)
        if unknown := [value for value in chosen if value not in range(len(names))]:
            raise UsageError(
                f"{unknown[0]!r} is not a class of {name}. Classes are numbers from 0 to {len(names) - 1}, or names: "
                f"{', '.join(map(str, names[:12]))}."
            )
    return view.filter((how, chosen), column=column)


@dataclass(frozen=True)
class _ClassIn:
    """Tells for one-hot vectors whether their class is among some."""

    classes: tuple[Any, ...]
    chosen: tuple[Any, ...]
    how: str

    def __call__(self, vectors: Any) -> Any:
        vectors = np.asarray(vectors)
        chosen = np.array([each in self.chosen for each in self.classes], bool)
        # A value that the encoder ignores is all zeros.
        one = (np.count_nonzero(vectors, 1) == 1) & (vectors[:, chosen] == 1).any(1)
        return one == (self.how == "in")


def _encoded(view: View, name: str) -> Encoded | None:
    """Return the view below that encodes a stream by itself, if all above it only leave out samples and streams."""
    while isinstance(view, (Selected, Narrowed)):
        view = view.parents[0]
    return view if isinstance(view, Encoded) and view.encoded.get(name) == [name] else None


def _one_hot(view: View, name: str) -> Encoded | None:
    below = _encoded(view, name)
    return below if below is not None and type(below.fitted.encoders[name]) is OneHot else None


def _encoder(hot: Encoded, name: str) -> OneHot:
    encoder = hot.fitted.encoders[name]
    assert isinstance(encoder, OneHot)
    return encoder


def _categories(hot: Encoded, name: str) -> tuple[Any, ...]:
    return tuple(_encoder(hot, name).categories or ())


def _on(view: View, old: View, new: View) -> View:
    """Return the stack of `view` with `new` in the place of `old`, which has as many samples."""
    if view is old:
        return new
    below = _on(view.parents[0], old, new)
    return view.on([below]) if isinstance(view, Selected) else below.only(*view.streams)


def _beside(view: View, stream: str, tag: bool) -> dict[str, str]:
    """Return the name under which the class of a one-hot target is kept, if it is not the tag already."""
    # An empty view of a function's samples does not know its streams.
    if tag or not view.streams:
        return {}
    return {stream: _free(view, f"{stream}_class" if "tag" in view.roles else "tag")}


def target_of(view: View, stream: str | None) -> str:
    """Return `stream` if it is given, otherwise the target."""
    if stream is not None:
        return view._stream(stream)
    if "target" not in view.roles:
        raise UnknownStream(
            f"{view.dataset} {view.split} has no target stream. Name it: stream=...{nearest('', view.streams)}"
        )
    return view.roles["target"]


def _kept(view: View, stream: str, tag: bool) -> dict[str, str]:
    """Return the name under which the tag is kept, if the target is also the tag."""
    if tag or view.roles.get("tag") != stream:
        return {}
    return {stream: _free(view, "tag")}


def _free(view: View, name: str) -> str:
    while name in view.streams:
        name += "_"
    return name
