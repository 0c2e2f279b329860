"""The JSON Schema of definitions in YAML, for editors and for other programs: https://json-schema.org/draft/2020-12."""

import types
from collections import abc
from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, Any, Literal, Mapping, Union, get_args, get_origin, get_type_hints

from dataset_assets.core.documents import LARGEST
from dataset_assets.definition.yaml_model import Written
from dataset_assets.formats import FORMATS

_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    float: {"type": "number"},
    type(None): {"type": "null"},
    Any: {},
}


def yaml_schema() -> dict[str, Any]:
    """Return the schema of what `dataset_from_yaml` reads. What depends on other values, it does not say."""
    whole = _schema(Written)
    whole["properties"]["streams"]["additionalProperties"] = _stream()
    title = "A dataset, as dataset_assets reads it from YAML"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **whole}


def _schema(kind: Any) -> dict[str, Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind is int:
        return {"type": "integer"}
    if origin is Annotated:
        return {"type": "integer", "minimum": 0, "maximum": LARGEST}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(each) for each in arguments]}
    if origin is tuple:
        return {"type": "array", "items": _schema(arguments[0])}
    if origin is abc.Mapping:
        return {"type": "object", "additionalProperties": _schema(arguments[1])}
    return _object(kind)


def _object(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    known = [field for field in fields(kind) if field.init]
    return {
        "type": "object",
        "properties": {field.name: _schema(hints[field.name]) for field in known},
        "required": [field.name for field in known if field.default is field.default_factory is MISSING],
        "additionalProperties": False,
    }


def _stream() -> dict[str, Any]:
    """A stream is the name of a format, or a mapping with its parameters; those of plugins are not checked."""
    of_plugins = {"type": "object", "required": ["format"], "properties": {"format": {"not": {"enum": [*FORMATS]}}}}
    return {"anyOf": [{"type": "string"}, *map(_with_parameters, FORMATS), of_plugins]}


def _with_parameters(name: str) -> dict[str, Any]:
    described: dict[str, Any] = _object(FORMATS[name]) if is_dataclass(FORMATS[name]) else {"type": "object"}
    own: Mapping[str, Any] = {"format": {"const": name}, "from": {"type": ["string", "null"]}}
    return {**described, "properties": {**own, **described["properties"]}, "required": ["format"]}
