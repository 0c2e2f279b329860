"""Stored records are checked before anything of them is used: they may be damaged, or forged by another writer."""

import base64
from typing import Any

import numpy as np
import pytest

from dataset_assets.core.files import CHUNK
from dataset_assets.errors import DatasetAssetsError, DecodeError, DigestMismatch, UsageError
from dataset_assets.experiments import DataStore, create_experiment, load_experiment, who_used
from dataset_assets.experiments.record import Record
from dataset_assets.storage import MemoryStorage, stored_experiment
from dataset_assets.storage.stored_experiment import StoredExperiment, document_of

OBJECT = f"{'0' * 64}.pack"
PART = {"object": OBJECT, "codec": "bytes", "at": 0, "bytes": 3, "sha256": "0" * 64}
DATA = {"dataset": "org.example.x", "split": "all", "index": "0" * 64, "version": None, "share": 1}
RIGHT: dict[str, Any] = {
    "id": "0" * 32, "started": "2026-01-01T00:00:00+00:00", "seconds": 1.5, "error": None, "used": [{"data": [DATA]}],
    "fields": {"a": {"plain": 1}, "b": {"codec": "bytes", "base64": base64.b64encode(b"b").decode()}},
}  # fmt: skip


def loaded(**fields: Any) -> Any:
    storage = MemoryStorage()
    stored = StoredExperiment(storage, "x")
    stored.replace("0" * 32, document_of("x", [{**RIGHT, **fields}], set()), None)
    return load_experiment("x", storage=storage)


def test_a_right_record_is_read() -> None:
    (run,) = loaded().runs
    assert dict(run.fields) == {"a": 1, "b": b"b"} and run.seconds == 1.5 and {*RIGHT} == {*Record.__annotations__}


WRONG: dict[str, dict[str, Any]] = {
    "id": {"id": 5},
    "moment": {"started": "yesterday"},
    "moment without a zone": {"started": "2026-01-01T00:00:00"},
    "seconds": {"seconds": "1"},
    "error": {"error": "failed"},
    "error without a type": {"error": {"message": "failed"}},
    "used": {"used": [1]},
    "data without a dataset": {"used": [{"data": [{"index": 1}]}]},
    "fields": {"fields": []},
    "unknown": {"more": 1},
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_record_that_is_never_written_is_refused(name: str) -> None:
    with pytest.raises(DecodeError, match="A record of a run in experiments/x/values is not valid: "):
        loaded(**WRONG[name])


FIELDS: dict[str, Any] = {
    "nothing": {},
    "two": {"plain": 1, "value": PART},
    "outside": {"value": {**PART, "object": "../../../secret"}},
    "number": {"value": {**PART, "object": 5}},
    "no codec": {"value": {"object": OBJECT}},
    "compression": {"value": {**PART, "compression": "lzma"}},
    "negative": {"value": {**PART, "at": -1}},
    "far": {"value": {**PART, "at": 2**62}},
    "long": {"value": {**PART, "bytes": 2**40}},
    "digest": {"value": {**PART, "sha256": "x"}},
    "no digest": {"value": {"object": OBJECT, "codec": "bytes", "at": 0, "bytes": 3}},
    "kind": {"items": [{"plain": 1}], "kind": "set"},
    "inner": {"store": {"b": {"value": {**PART, "at": None, "object": "x"}}}},
    "entries": {"entries": {"b": 1}},
    "codec": {"codec": 3, "base64": ""},
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_that_is_never_written_is_refused(name: str) -> None:
    with pytest.raises(DecodeError, match="fields.a"):
        loaded(fields={"a": FIELDS[name]})


@pytest.mark.parametrize("field", [{"codec": "bytes", "base64": "!"}, {"plain": {"$date": 3}}, {"value": PART}])
def test_a_value_that_is_damaged_is_an_error_of_ours_when_it_is_touched(field: Any) -> None:
    fields = loaded(fields={"a": field, "b": {"plain": 1}}).runs[0].fields
    with pytest.raises(DatasetAssetsError):
        fields.get("a")
    assert fields.b == 1


def test_runs_of_another_experiment_are_not_read() -> None:
    storage = MemoryStorage()
    stored = StoredExperiment(storage, "x")
    stored.replace("0" * 32, document_of("y", [RIGHT], set()), None)
    with pytest.raises(DecodeError, match="is not an object of runs"):
        load_experiment("x", storage=storage)


def test_runs_beyond_the_size_limit_are_neither_written_nor_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = MemoryStorage()
    experiment = create_experiment("x", storage=storage)
    with experiment.run(**{f"f{k}": "a" * (CHUNK // 100) for k in range(200)}):
        pass
    experiment.persist()
    monkeypatch.setattr(stored_experiment, "MOST_BYTES", 1000)
    with pytest.raises(DigestMismatch):
        experiment.reload()
    with pytest.raises(UsageError, match="more than the limit of 1000. Persist fewer at once"):
        experiment.persist(if_exists="replace")


def test_many_small_values_share_an_object_far_beyond_their_sizes() -> None:
    storage = MemoryStorage()
    experiment = create_experiment("x", storage=storage)
    with experiment.run() as run:
        run.fields.ds = DataStore({f"v{k}": np.int8(k % 100) for k in range(3000)})
    fields = experiment.persist().reload().runs[0].fields
    assert fields.ds.v2999 == 99 and who_used("org.example.x", storage=storage) == []
