"""Moves a stack to a different epoch: rebuilds each view that depends on the epoch, and all views on top of it."""

# mypy: disable-error-code="no-any-return"

import operator

from dataset_assets.errors import UsageError
from dataset_assets.reading.views.batched import Batched
from dataset_assets.reading.views.document import stack_of
from dataset_assets.reading.views.parts import Part
from dataset_assets.reading.views.selected import Selected
from dataset_assets.reading.views.stored import Stored
from dataset_assets.reading.views.view import View


def at_epoch(view: View, epoch: int) -> View:
    """Return the stack with `epoch` in each view that has one; orders below a split stay the same.

    Raises `UsageError` if rows are selected from a mixture whose length differs in that epoch.
    """
    epoch = operator.index(epoch)
    if epoch < 0:
        raise UsageError(f"epoch is {epoch}, which is too small. Give 0 or more.")
    stack = list(stack_of(view))
    drawn = set[int]()
    for each in reversed(stack):
        if isinstance(each, Part) or id(each) in drawn:
            drawn |= {id(each), *map(id, each.parents)}
    moved: dict[tuple[int, bool], View] = {}
    for each in stack:
        for fixed in (False, True) if id(each) in drawn else (False,):
            below = fixed or isinstance(each, Part)
            parents = [moved[id(parent), below] for parent in each.parents]
            moved[id(each), fixed] = _moved(each, parents, epoch, below)
    return moved[id(view), False]


def epoch_of(view: View) -> int:
    """Return the epoch in which a stack is: the last one of its shuffles, mixtures and random maps, or 0."""
    return max([each.arguments().get("epoch", 0) for each in stack_of(view) if not isinstance(each, Stored)], default=0)


def _moved(view: View, parents: list[View], epoch: int, fixed: bool) -> View:
    # What values in memory are is asked for by a fingerprint, and not by an epoch.
    if isinstance(view, Stored):
        return view
    stays = all(new is old for new, old in zip(parents, view.parents))
    if fixed and isinstance(view, Selected):
        return view if stays else view.on(parents)
    arguments = view.arguments()
    if "epoch" in arguments and arguments["epoch"] != epoch:
        return view.build({**arguments, "epoch": epoch}, parents)
    if stays:
        return view
    if isinstance(view, Batched):
        return view.on(parents[0])
    if type(view) is not Selected:
        return view.build(arguments, parents)
    if len(parents[0]) != len(view.parents[0]):
        raise UsageError(
            f"Rows are selected from a view of {len(view.parents[0])} samples, which has {len(parents[0])} in epoch "
            f"{epoch}. Give mix() a number as stop, so that every epoch has the same number of samples."
        )
    return view.on(parents)
