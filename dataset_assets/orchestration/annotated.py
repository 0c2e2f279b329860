"""Inputs as their annotations ask for them: a view, a table, or a dataset of torch."""

import sys
from types import NoneType
from typing import Any, Callable, Iterator, Mapping, get_args, get_origin

from dataset_assets.errors import UsageError
from dataset_assets.reading.views import View

CONVERTED: Mapping[tuple[str, str], Callable[[View], Any]] = {
    ("pandas", "DataFrame"): View.to_pandas,
    ("pyarrow", "Table"): View.to_arrow,
    ("polars", "DataFrame"): lambda view: sys.modules["polars"].DataFrame(view),
    ("torch.utils.data", "Dataset"): View.to_torch,
    ("torch.utils.data", "IterableDataset"): lambda view: view.to_torch(iterable=True),
}
"""How a view becomes an instance of a class of another package."""


def as_annotated(found: Any, annotation: Any) -> Any:
    """Return a view, or a dict of views, as the annotation of an input asks for it; anything else as it is.

    Raises `UsageError` if a dataset of several splits is to be one value, or one split a mapping.
    """
    wanted = _without_none(annotation)
    is_mapping = _is_mapping(get_origin(wanted) or wanted)
    if isinstance(found, View):
        if is_mapping:
            raise UsageError(f"The input is one split, and its annotation is a mapping: {wanted}. Annotate it as View.")
        return _converted(found, wanted)
    if not isinstance(found, dict):
        return found
    if wanted is View or wanted in dict(_classes()):
        raise UsageError(
            f"The input is a dataset with the splits {', '.join(found)}, and its annotation is {wanted.__name__}. "
            f"Name a split, as in asset_in(name, split={next(iter(found), 'train')!r}), or annotate it as "
            f"dict[str, {wanted.__name__}]."
        )
    return {split: _converted(view, (get_args(wanted) or (Any,))[-1]) for split, view in found.items()}


def _without_none(annotation: Any) -> Any:
    """Return `X` of `X | None`."""
    parts = get_args(annotation)
    others = [part for part in parts if part is not NoneType]
    return others[0] if NoneType in parts and len(others) == 1 else annotation


def _is_mapping(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Mapping)


def _converted(view: View, wanted: Any) -> Any:
    convert = dict(_classes()).get(wanted) if isinstance(wanted, type) else None
    return convert(view) if convert else view


def _classes() -> Iterator[tuple[Any, Callable[[View], Any]]]:
    """Yield the classes of the packages that are imported; an annotation names no other."""
    for (package, name), convert in CONVERTED.items():
        if package in sys.modules:
            yield getattr(sys.modules[package], name), convert
