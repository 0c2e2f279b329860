"""Maps targets, encodes them as one-hot vectors, and selects samples by target."""

from typing import Any, Iterable, Literal, Mapping, Sequence

from dataset_assets.encoding import Fitted, OneHot, Remapped
from dataset_assets.errors import UnknownStream, UsageError, nearest
from dataset_assets.reading.views.encoded import Encoded
from dataset_assets.reading.views.operations import verb
from dataset_assets.reading.views.view import View


@verb
def mapped_targets(
    view: View, mapping: Mapping[Any, Any], stream: str | None, unmapped: Literal["error", "keep", "drop"], tag: bool
) -> View:
    """Return the view with its target mapped, all values at once. The tag keeps its old values, unless `tag`."""
    name = target_of(view, stream)
    if unmapped == "drop":
        view, unmapped = chosen_by_target(view, mapping, name, "in"), "error"
    return Encoded(view, Fitted({name: Remapped(mapping, unmapped)}), keep=_kept(view, name, tag))


@verb
def one_hot_targets(view: View, classes: Sequence[Any] | None, stream: str | None, tag: bool) -> View:
    """Return the view with its target as one-hot vectors, for the given classes or those of the dataset."""
    name = target_of(view, stream)
    if classes is None:
        if name not in view.classes:
            raise UsageError(
                f"{view.dataset} {view.split} has no classes for {name}. Pass them (classes=range(10)), or learn "
                f"them: view.fit_encoders({{{name!r}: OneHot()}})."
            )
        classes = range(len(view.classes[name]))
    return Encoded(view, Fitted({name: OneHot(tuple(classes))}), keep=_kept(view, name, tag))


@verb
def chosen_by_target(view: View, targets: Iterable[Any], stream: str | None, how: Literal["in", "not in"]) -> View:
    """Return the samples whose target is in `targets`, or not in it. Reads all targets at once."""
    name, chosen = target_of(view, stream), list(targets)
    names = view.classes.get(name)
    if names and (unknown := [value for value in chosen if value not in range(len(names))]):
        raise UsageError(
            f"{unknown[0]!r} is not a class of {name}. Classes are numbers from 0 to {len(names) - 1}."
            + (f" {unknown[0]!r} is {names.index(unknown[0])}." if unknown[0] in names else "")
        )
    return view.filter((how, chosen), column=name)


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
    name = "tag"
    while name in view.streams:
        name += "_"
    return {stream: name}
