"""Runs as a table: a row for each, a column for each field that any of them has."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any, Iterable

from dataset_assets.core import files
from dataset_assets.core.extras import needed
from dataset_assets.errors import UsageError
from dataset_assets.experiments.bunch import DataStore, held
from dataset_assets.experiments.run import COLUMNS, Run


def columns(runs: Iterable[Run]) -> dict[str, list[Any]]:
    """Return the values of each column; None where a run has no such field. Values in a `DataStore` are left out."""
    every = [*runs]
    names = dict.fromkeys(name for run in every for name in run.fields if not _only_stores(every, name))
    found: dict[str, list[Any]] = {name: [] for name in (*COLUMNS, *names)}
    for run in every:
        error = run.error and f"{run.error.get('type')}: {run.error.get('message')}"
        for name, value in zip(COLUMNS, (run.id_run, run.started, run.seconds, error)):
            found[name].append(value)
        for name in names:
            value = run.fields.get(name)
            found[name].append(None if isinstance(value, DataStore) else value)
    return found


def _only_stores(runs: list[Run], name: str) -> bool:
    return all(isinstance(held(run.fields)[name], DataStore) for run in runs if name in run.fields)


def frame(runs: Iterable[Run]) -> Any:
    """Return the runs as a pandas DataFrame; whole numbers stay whole where some runs have none.

    A column of values of several types has the dtype object, and so do whole numbers beside fractions if a float cannot
    hold one of them.
    """
    pandas = needed("pandas", "pandas")
    found = columns(runs)
    return pandas.DataFrame({name: _series(pandas, values) for name, values in found.items()}, columns=[*found])


def _series(pandas: Any, values: list[Any]) -> Any:
    kinds = {type(value) for value in values if value is not None}
    if None in values and kinds in ({int}, {bool}):
        return pandas.Series(values, dtype="Int64" if kinds == {int} else "boolean")
    plain = len(kinds) <= 1 or kinds == {int, float} and all(map(_is_exact, values))
    try:
        return pandas.Series(values, dtype=None if plain else object)
    except (OverflowError, ValueError, TypeError):
        return pandas.Series(values, dtype=object)


def _is_exact(value: Any) -> bool:
    """Say whether a whole number stays what it is as a float."""
    return type(value) is not int or -(2**53) <= value <= 2**53


def table(runs: Iterable[Run]) -> Any:
    """Return the runs as an Arrow table; a column that Arrow cannot hold is text, such as text beside numbers."""
    import pyarrow

    return pyarrow.table({name: _column(pyarrow, values) for name, values in columns(runs).items()})


def _column(pyarrow: Any, values: list[Any]) -> Any:
    values = [
        value.item()
        if type(value).__module__ == "numpy" and hasattr(value, "item") and getattr(value, "ndim", 1) == 0
        else value
        for value in values
    ]
    try:
        return pyarrow.array(values)
    except (pyarrow.ArrowException, OverflowError, TypeError, ValueError):
        return pyarrow.array([None if value is None else _text(value) for value in values], pyarrow.string())


def _text(value: Any) -> str:
    try:
        return value if isinstance(value, str) else json.dumps(value)
    except (TypeError, ValueError):
        return repr(value)


def rows_of(runs: Iterable[Run]) -> tuple[list[str], list[list[Any]]]:
    """Return the names of the columns, and the rows as plain JSON values."""
    found = table(runs)
    columns = [[_json(value) for value in found[name].to_pylist()] for name in found.column_names]
    return found.column_names, [list(row) for row in zip(*columns)]


def _json(value: Any) -> Any:
    if value is None or type(value) in (str, int, bool):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else str(value)
    return value.isoformat() if hasattr(value, "isoformat") else _text(value)


def write_table(runs: Iterable[Run], path: Path) -> None:
    """Write the runs into a new file; its suffix decides the format. Raises `UsageError` for any other suffix."""
    data = _written(runs, path.suffix)
    if path.exists():
        raise UsageError(f"{path} is there already. Name a new file, or remove it first.")
    with files.Written(path) as file:
        file.write(data)


def _written(runs: Iterable[Run], suffix: str) -> bytes:
    import pyarrow
    import pyarrow.csv
    import pyarrow.feather
    import pyarrow.parquet

    if suffix in (".csv", ".json"):
        names, rows = rows_of(runs)
        if suffix == ".json":
            return json.dumps([dict(zip(names, row)) for row in rows], indent=1).encode()
        lines = io.StringIO()
        csv.writer(lines).writerows([names, *rows])
        return lines.getvalue().encode("utf-8", "backslashreplace")
    out = io.BytesIO()
    if suffix not in (".parquet", ".arrow"):
        raise UsageError(f"{suffix or 'A name without a suffix'} is not known. Use .csv, .json, .parquet or .arrow.")
    write = pyarrow.parquet.write_table if suffix == ".parquet" else pyarrow.feather.write_feather
    try:
        write(table(runs), out)
    except pyarrow.ArrowException as error:
        raise UsageError(
            f"The runs cannot be written as {suffix}: {str(error).rstrip('.')}. Use .json or .csv."
        ) from error
    return out.getvalue()
