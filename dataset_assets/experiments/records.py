"""Runs as JSON: their records hold small values, and references to those that lie beside them."""

from datetime import datetime
from typing import Any, Callable

from dataset_assets.core.documents import UNFIT, read_as
from dataset_assets.errors import DatasetAssetsError, DecodeError, SchemaError
from dataset_assets.experiments.bunch import Bunch, DataStore, Unread, bunches_in, held
from dataset_assets.experiments.record import Document, Record
from dataset_assets.experiments.run import Run, check_fields
from dataset_assets.experiments.value_store import StoredValues, ValueWriter
from dataset_assets.experiments.values import encode, from_inline, inline

INLINE = 16 << 10
"""A value up to this size, in bytes, lies in the record of its run, if it is not in a `DataStore`."""


class RecordWriter:
    """Makes the records of runs; values that lie beside them go to a `ValueWriter`."""

    def __init__(self, values: ValueWriter, allow_pickle: bool, kept: Callable[[Unread], Document | None]) -> None:
        self.values, self.allow_pickle, self.kept = values, allow_pickle, kept
        self.named: set[str] = set()

    def record(self, run: Run, path: str) -> Document:
        """Return a run as JSON. Raises `SchemaError`, with the path of the value, before anything is written."""
        check_fields(run, path)
        fields = {name: self.field(value, f"{path}: {name}") for name, value in held(run.fields).items()}
        return {
            "id": run.id_run,
            "started": run.started.isoformat(),
            "seconds": run.seconds,
            "error": run.error,
            "used": run.used,
            "fields": fields,
        }

    def field(self, value: Any, path: str, beside: bool = False) -> Document:
        """Return a field as JSON; `beside`: its value does not lie in the record."""
        if isinstance(value, Unread):
            return self._unread(value, path, beside)
        if isinstance(value, DataStore):
            return {"store": {name: self.field(item, f"{path}.{name}", True) for name, item in held(value).items()}}
        if any(isinstance(one, DataStore) for one in bunches_in(value)):
            return self._collection(value, path, beside)
        encoded = encode(value, path, self.allow_pickle)
        if not beside and encoded.size <= INLINE:
            return inline(encoded)
        return {"value": self.values.add(encoded)}

    def _collection(self, value: Any, path: str, beside: bool) -> Document:
        if isinstance(value, (list, tuple)):
            items = [self.field(item, f"{path}[{k}]", beside) for k, item in enumerate(value)]
            return {"items": items, "kind": type(value).__name__}
        if not all(isinstance(name, str) for name in value):
            raise SchemaError(f"{path} holds a DataStore beside a key that is not text. Use text as its keys.")
        return {"entries": {name: self.field(item, f"{path}[{name!r:.40}]", beside) for name, item in value.items()}}

    def _unread(self, value: Unread, path: str, beside: bool) -> Document:
        """Return the document of a value that was not read: it lies where it lay, or is stored here too."""
        kept = self.kept(value)
        if kept is not None:
            self.named |= objects_of(kept)
            return kept
        return self.field(value.read(), path, beside or "value" in value.document)


def objects_of(document: Any) -> set[str]:
    """Return the names of the objects that the document of a field refers to."""
    if "value" in document:
        return {document["value"]["object"]}
    below = [*document.get("store", {}).values(), *document.get("items", []), *document.get("entries", {}).values()]
    return {name for one in below for name in objects_of(one)}


def run_from(record: Document, id_experiment: str, values: StoredValues, allow_pickle: bool) -> Run:
    """Return the run of a record; its values are read when they are touched. Raises `DecodeError`."""
    try:
        checked = read_as(Record, record)
    except UNFIT as error:
        raise DecodeError(
            f"A record of a run in {values.folder} is not valid: {error}. Read it with the release that wrote it."
        ) from error
    reader = _Fields(values, allow_pickle)
    fields = Bunch({name: reader.lazily(document) for name, document in checked.fields.items()})
    run = Run(id_experiment, fields, checked.id)
    run.started, run.seconds = datetime.fromisoformat(checked.started), checked.seconds
    run.error, run.used = checked.error, [*checked.used]
    run.settle()
    return run


class _Fields:
    """Makes the fields of a run from their documents."""

    def __init__(self, values: StoredValues, allow_pickle: bool) -> None:
        self.values, self.allow_pickle = values, allow_pickle

    def lazily(self, document: Document) -> Any:
        """Return a field; one that is not a plain scalar is read when it is touched."""
        plain = document.get("plain")
        if "plain" in document and not isinstance(plain, (dict, list)):
            return plain
        if "store" in document:
            return DataStore({name: self.lazily(one) for name, one in document["store"].items()})
        return StoredValue(document, self)

    def read(self, document: Document) -> Any:
        """Return the value of a field. Raises `DecodeError` if its document holds no such value."""
        try:
            return self._read(document)
        except DatasetAssetsError:
            raise
        except UNFIT as error:
            raise DecodeError(f"A value in {self.values.folder} cannot be read: {error}.") from error

    def _read(self, document: Document) -> Any:
        if "value" in document:
            return self.values.read(document["value"], self.allow_pickle)
        if "items" in document:
            items = [self.now(one) for one in document["items"]]
            return tuple(items) if document["kind"] == "tuple" else items
        if "entries" in document:
            return {name: self.now(one) for name, one in document["entries"].items()}
        return from_inline(document, self.allow_pickle)

    def now(self, document: Document) -> Any:
        """Return a field; only data stores in it are read later."""
        found = self.lazily(document)
        return found.read() if isinstance(found, Unread) else found


class StoredValue(Unread):
    """A value of a stored run that was not read yet."""

    __slots__ = ("values",)

    def __init__(self, document: Document, fields: _Fields) -> None:
        super().__init__(document, lambda: fields.read(document))
        self.values = fields.values
