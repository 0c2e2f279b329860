"""Checks a loader's arguments when it is made, so that a wrong one is refused by its name, not at the first batch."""

import operator
from typing import Any, Mapping

from dataset_assets.core.extras import needed
from dataset_assets.errors import UnknownStream, UsageError, nearest
from dataset_assets.reading.views import View


def a_view(view: Any) -> None:
    """Raise `UsageError` for anything but a view."""
    if isinstance(view, View):
        return
    if isinstance(view, Mapping):
        fix = "load() without split= returns all splits: pass one of them."
    elif type(view).__name__ == "Dataset" and hasattr(view, "splits"):
        fix = f"Make it first: prepare(dataset)[{next(iter(view.splits), 'all')!r}]."
    else:
        fix = "Make one with view_of(name=...)."
    raise UsageError(f"A loader needs a view; got a {type(view).__name__}. {fix}")


def whole(name: str, value: Any, least: int | None = None) -> int:
    """Return an argument as a Python integer. Raises `UsageError` if it is not a whole number of at least `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise UsageError(f"{name} is {value!r}, not a whole number. Give one, without quotes or a point.")
    if least is not None and number < least:
        raise UsageError(f"{name} is {number}, which is too small. Give {least} or more.")
    return int(number)


def seconds(timeout: Any) -> float:
    """Return a timeout in seconds. Raises `UsageError` if it is not a positive number."""
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
        raise UsageError(
            f"timeout is {timeout!r}, not a positive number. Give the seconds that a batch may take, or None."
        )
    return timeout


def a_stream(view: View, name: Any) -> None:
    """Refuse the name of a stream that the view does not have. The streams of a computed view are not known yet."""
    if not isinstance(name, str):
        raise UsageError(f"The stream is {name!r}, not a string. Give the name of a stream.")
    if not view.computed:
        known_stream(view, name)


def known_stream(view: View, name: str) -> None:
    """Refuse the name of a stream that the view does not have."""
    if name not in view.streams and (view.streams or len(view)):
        raise UnknownStream(f"{view.dataset} {view.split} has no stream {name!r}.{nearest(name, view.streams)}")


def a_device(device: Any) -> None:
    """Refuse a device that torch does not know, or that this machine does not have."""
    torch = needed("torch", "torch")
    try:
        known = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise UsageError(
            f"torch does not know device={device!r}. Use one that it knows, such as 'cuda', 'cuda:1' or 'cpu'."
        ) from error
    if known.type != "cuda":
        return
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        raise UsageError(
            f"device={device!r} is not available: torch finds no CUDA device. Leave device= out, or install a torch "
            "and a driver for CUDA."
        )
    if (known.index or 0) >= count:
        raise UsageError(
            f"device={device!r} is not available: torch finds {count} CUDA devices, counted from 0. Use one of them."
        )
