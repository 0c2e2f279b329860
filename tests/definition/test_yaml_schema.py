"""The JSON Schema of definitions in YAML: what it refuses we refuse, and what we accept it accepts."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from test_yaml_file import FILES, LINES, TABLE

from dataset_assets import dataset_from_yaml
from dataset_assets.core.yaml_text import read_yaml
from dataset_assets.definition.scaffold_yaml import schema_text
from dataset_assets.definition.yaml_schema import yaml_schema
from dataset_assets.errors import DatasetAssetsError

VALID = Draft202012Validator(yaml_schema())


def test_the_published_schema_is_that_of_the_code() -> None:
    Draft202012Validator.check_schema(yaml_schema())
    assert Path("docs/dataset.schema.json").read_text() == schema_text()


@pytest.mark.parametrize("text", [TABLE, LINES, FILES])
def test_what_is_right_fits_the_schema(text: str) -> None:
    assert not [*VALID.iter_errors(read_yaml(text.encode()).value)]


@pytest.mark.parametrize("new", ["targte: stars", "job: yes", "owners: [1]"])
def test_the_schema_refuses_unknown_fields_and_other_types(new: str) -> None:
    assert not VALID.is_valid(read_yaml(TABLE.replace("target: stars", new).encode()).value)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return each mapping or list with each of its keys."""
    inner = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [(value, key) for key, _ in inner] + [place for _, item in inner for place in places(item)]


CHANGED = [None, True, -1, 0.5, "", "text", [], ["a"], {}, {"format": "array"}, [1]]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.sampled_from([TABLE, LINES, FILES]), st.sampled_from(["left out", "changed", "added"]))
def test_what_the_schema_refuses_is_refused(tmp_path: Path, data: st.DataObject, text: str, how: str) -> None:
    document = read_yaml(text.encode()).value
    holder, key = data.draw(st.sampled_from(places(document)), label="place")
    if how == "changed":
        holder[key] = data.draw(st.sampled_from(CHANGED), label="value")
    elif how == "added" and isinstance(holder, dict):
        holder[data.draw(st.sampled_from(["url", "format", "more"]), label="key")] = "text"
    else:
        del holder[key]
    if not VALID.is_valid(document):
        (tmp_path / "a.yaml").write_text(json.dumps(document))
        with pytest.raises(DatasetAssetsError):
            dataset_from_yaml(tmp_path / "a.yaml")
