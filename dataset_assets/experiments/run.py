"""A run of an experiment: its fields, when it ran, its error if it raised, and the data that it used."""

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any, Iterable, overload

from dataset_assets.core.redact import redacted_text
from dataset_assets.core.settings import settings
from dataset_assets.errors import NotFound, UsageError
from dataset_assets.experiments.bunch import Bunch, settle, was_changed
from dataset_assets.experiments.used import markdown_of, sources_of, used_by
from dataset_assets.reading.views import View
from dataset_assets.storage import Storage, open_storage

LONGEST_MESSAGE = 4_000


class Run:
    """One run: its `fields`, `started`, `seconds`, and `error` if it raised.

    A run is made by `experiment.run()`. Once it is persisted, it is final.
    """

    def __init__(self, id_experiment: str, fields: Any = None, id_run: str | None = None) -> None:
        self.id_experiment, self.id_run = id_experiment, id_run or uuid.uuid4().hex
        self.fields = fields if isinstance(fields, Bunch) else Bunch(fields or {})
        self.started = datetime.now(UTC)
        self.seconds: float | None = None
        self.error: dict[str, str] | None = None
        self.used: list[dict[str, Any]] = []
        self._clock = perf_counter()
        self._stored = False
        self._settled = ""

    def uses(self, view: View) -> None:
        """Note that the run uses a view: its datasets with their versions, and the stack.

        A loader does it by itself with `ledger=Ledger(run)`, and notes which samples it handed out, too.
        """
        self.used.append(used_by(view))

    def sources(self, storage: "str | Path | Storage | None" = None) -> "Sources":
        """Return what went into the run: each split with its licence, share and files; as JSON or as Markdown."""
        return Sources(sources_of(self.used, open_storage(settings().storage if storage is None else storage)))

    def end(self, error: BaseException | None = None) -> None:
        """Note how long the run took, and its error."""
        self.seconds = perf_counter() - self._clock
        if error is not None:
            message = redacted_text(str(error))[:LONGEST_MESSAGE]
            self.error = {"type": f"{type(error).__module__}.{type(error).__qualname__}", "message": message}

    @property
    def is_stored(self) -> bool:
        """Whether the run is persisted as it is now."""
        return self._stored and not was_changed(self.fields) and self._settled == self._content()

    @property
    def was_changed(self) -> bool:
        """Whether the run was changed after it was persisted."""
        return self._stored and not self.is_stored

    def settle(self, stored: bool = True) -> None:
        """Count the run as persisted, or as new."""
        self._stored, self._settled = stored, self._content()
        settle(self.fields)

    def _content(self) -> str:
        """Return all that is stored of the run except its fields, as text."""
        return json.dumps([self.id_run, self.started.isoformat(), self.seconds, self.error, self.used])

    def __repr__(self) -> str:
        return f"Run({self.id_run[:8]}, {', '.join(self.fields)}{', failed' if self.error else ''})"


class Sources(list[dict[str, Any]]):
    """What went into a run: plain JSON, an object for each split that it used."""

    def to_markdown(self) -> str:
        """Return the sources as a document in Markdown."""
        return markdown_of(self)


class Runs(Sequence[Run]):
    """The runs of an experiment, the oldest first."""

    def __init__(self, runs: Iterable[Run] = ()) -> None:
        self._runs = [*runs]

    def add(self, run: Run) -> None:
        """Add a run."""
        self._runs.append(run)

    def first(self) -> Run:
        """Return the first run. Raises `NotFound` if there is none."""
        return self._at(0)

    def last(self) -> Run:
        """Return the last run. Raises `NotFound` if there is none."""
        return self._at(-1)

    def _at(self, k: int) -> Run:
        if not self._runs:
            raise NotFound("The experiment has no runs. Add one with: with experiment.run() as run: ...")
        return self._runs[k]

    def __len__(self) -> int:
        return len(self._runs)

    @overload
    def __getitem__(self, k: "int | str") -> Run: ...
    @overload
    def __getitem__(self, k: slice) -> "Runs": ...
    def __getitem__(self, k: "int | str | slice") -> "Run | Runs":
        """Return the run at a place or with an `id_run`; a slice gives runs."""
        if isinstance(k, slice):
            return Runs(self._runs[k])
        if isinstance(k, str):
            for run in self._runs:
                if run.id_run == k:
                    return run
            raise NotFound(f"No run has the id {k:.80}. `[run.id_run for run in experiment.runs]` lists them.")
        return self._runs[k]

    def __repr__(self) -> str:
        return f"Runs({len(self._runs)})"


def check_fields(run: Run, path: str) -> None:
    """Raise `UsageError` if the fields of a run are no mapping, or one has the name of a column of every run."""
    if not isinstance(run.fields, Bunch):
        raise UsageError(
            f"{path}: fields is a {type(run.fields).__name__}. Set single fields: run.fields.name = value."
        )
    for name in COLUMNS:
        if name in run.fields:
            raise UsageError(f"{path}: the field {name} is reserved for tables of runs. Give it another name.")


COLUMNS = ("id_run", "run_started", "run_seconds", "run_error")
"""The columns that every run has in a table, beside those of its fields."""
