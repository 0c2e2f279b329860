"""Reports: the content of a view and of each view below it."""

import json
import time
from dataclasses import dataclass, field, fields, replace
from typing import Any, Mapping

import numpy as np

from dataset_assets.core.extras import needed
from dataset_assets.formats.columns import values_of
from dataset_assets.reading.views.node import Node

# A target with more values than this is not counted.
MOST_CLASSES = 1000
MEASURED_SECONDS = 0.5


@dataclass(frozen=True)
class Report:
    """The content of a view. `targets` counts the values of the target; None if there is none, or too many."""

    kind: str
    dataset: str
    split: str
    version: str | None
    length: int
    streams: tuple[str, ...]
    roles: Mapping[str, str]
    targets: Mapping[str, int] | None
    samples_per_second: float | None = None
    parents: "tuple[Report, ...]" = field(default=())
    repeated: bool = False
    """True for a view that several others are on top of, but the first time: its parents are left out."""

    def to_dict(self) -> dict[str, Any]:
        """Return the report, and those of its parents, as plain values."""
        found = {each.name: json_like(getattr(self, each.name)) for each in fields(self)}
        if not found.pop("repeated"):
            return {**found, "parents": [parent.to_dict() for parent in self.parents]}
        return {**found, "parents": [], "repeated": True}

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps(self.to_dict(), indent=2)

    def to_yaml(self) -> str:
        """Return the report as YAML. Raises `NotInstalled` without PyYAML."""
        yaml = needed("yaml", "yaml")
        return str(yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True))


def report_of(view: Node, speed: bool = False) -> Report:
    """Return the report of a view and its parents."""
    return _report_of(view, speed, {})


def _report_of(view: Node, speed: bool, known: dict[int, Report]) -> Report:
    if (found := known.get(id(view))) is not None:
        return replace(found, parents=(), repeated=True) if view.parents else found
    known[id(view)] = report = Report(
        type(view).__name__,
        view.dataset,
        view.split,
        view.version,
        len(view),
        view.streams,
        dict(view.roles),
        targets_of(view),
        _speed_of(view) if speed else None,
        tuple(_report_of(parent, speed, known) for parent in view.parents),
    )
    return report


def targets_of(view: Node) -> dict[str, int] | None:
    """Count the values of the target, by the name of the class if it has one."""
    target = view.roles.get("target")
    if target not in view.streams:
        return None
    block = view.rows_of((target,), slice(0, len(view)))[target]
    if isinstance(block, np.ndarray) and block.ndim == 1 and block.dtype.kind in "biu":
        values, counts = np.unique(block, return_counts=True)
        pairs: dict[Any, int] | None = dict(zip(values.tolist(), counts.tolist()))
    else:
        pairs = _counted(values_of(block))
    if pairs is None or len(pairs) > MOST_CLASSES:
        return None
    names = view.classes.get(target, ())
    return {names[k] if isinstance(k, int) and 0 <= k < len(names) else str(k): n for k, n in pairs.items()}


def json_like(value: Any) -> Any:
    """Return a value with lists for tuples."""
    if isinstance(value, dict):
        return {name: json_like(item) for name, item in value.items()}
    return [json_like(item) for item in value] if isinstance(value, (list, tuple)) else value


def _counted(values: list[Any]) -> dict[Any, int] | None:
    counts: dict[Any, int] = {}
    for value in values:
        if not isinstance(value, (str, int, bool)) or len(counts) > MOST_CLASSES:
            return None
        counts[value] = counts.get(value, 0) + 1
    return dict(sorted(counts.items(), key=lambda pair: str(pair[0])))


def _speed_of(view: Node) -> float | None:
    """Return the number of samples read per second, measured for at most half a second."""
    start, count = time.perf_counter(), 0
    for count, _ in enumerate(view, 1):  # noqa: B007
        if time.perf_counter() - start > MEASURED_SECONDS:
            break
    return count / (time.perf_counter() - start) if count else None
