"""What a loader is given, looked at before it begins: what cannot be is refused by its name, not at the first batch."""

import operator
from typing import Any, Mapping

from dataset_assets.core.extras import needed
from dataset_assets.errors import UnknownStream, UsageError, nearest
from dataset_assets.reading.views import View


def a_view(view: Any) -> None:
    """Refuse what is no view."""
    if isinstance(view, View):
        return
    splits = isinstance(view, Mapping)
    then = "load() without split= gives all splits: take one of them." if splits else "Make one with view_of(name=...)."
    raise UsageError(f"A loader is of a view, not of a {type(view).__name__}. {then}")


def whole(name: str, value: Any, least: int | None = None) -> int:
    """Return an argument that has to be a whole number, of `least` at least, as Python's own."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise UsageError(f"{name} is {value!r}, which is no whole number. Give one, without quotes or a point.")
    if least is not None and number < least:
        raise UsageError(f"{name} is {number}, which cannot be. Give {least} or more.")
    return int(number)


def seconds(timeout: Any) -> float:
    """Return a timeout in which something can be done."""
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
        raise UsageError(f"timeout is {timeout!r}. Give the seconds that a batch may take, or None for any.")
    return timeout


def a_stream(view: View, name: Any) -> None:
    """Refuse the name of a stream that the view does not have; of one that a function makes, nobody knows yet."""
    if not isinstance(name, str):
        raise UsageError(f"The stream is {name!r}. Give its name.")
    if not view.computed:
        known_stream(view, name)


def known_stream(view: View, name: str) -> None:
    """Refuse the name of a stream that the view does not have."""
    if name not in view.streams and (view.streams or len(view)):
        raise UnknownStream(f"{view.dataset} {view.split} has no stream {name!r}.{nearest(name, view.streams)}")


def a_device(device: Any) -> None:
    """Refuse a device that torch does not know, or that is not in this machine."""
    torch = needed("torch", "torch")
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise UsageError(f"device={device!r} is none that torch knows, such as 'cuda', 'cuda:1' or 'cpu'.") from error
    if found.type != "cuda":
        return
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        raise UsageError(f"device={device!r} is not here: torch finds no CUDA device. Leave device= out, or see why.")
    if (found.index or 0) >= count:
        raise UsageError(f"device={device!r} is not here: torch finds {count} CUDA devices, counted from 0.")
