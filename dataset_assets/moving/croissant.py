"""Describes an exported folder as Croissant: files with their digests, and the columns of Parquet with their types.

The format: https://docs.mlcommons.org/croissant/docs/croissant-spec.html
"""

import json
from pathlib import Path
from typing import Any, Iterator, Mapping

from dataset_assets.core import files
from dataset_assets.moving.export_readme import SourceData
from dataset_assets.moving.export_values import encoded_view
from dataset_assets.reading.views import View

NAME = "croissant.json"
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_FORMATS = {".parquet": "application/x-parquet", ".tar": "application/x-tar", ".jsonl": "application/jsonlines"}


def write_croissant(
    root: Path, name: str, views: Mapping[str, View], sources: list[SourceData], *, tables: bool
) -> None:
    """Write `croissant.json` into an exported folder; with `tables`, its Parquet files are the splits, as records."""
    paths = [path for path in sorted(root.rglob("*")) if path.is_file() and path.suffix in _FORMATS]
    document = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "description": " ".join(source.summary or source.dataset for source in sources) or name,
        "url": next((source.homepage for source in sources if source.homepage), f"file:{name}"),
        "license": sorted({source.license for source in sources if source.license}) or None,
        "citeAs": "\n\n".join(source.citation for source in sources if source.citation) or None,
        "version": "1.0.0",
        "identifier": [f"{source.dataset}@{source.version}" for source in sources],
        "distribution": [_file_object(root, path) for path in paths],
        "recordSet": [_record_set(root, path, views) for path in paths if tables and path.suffix == ".parquet"],
    }
    with files.Written(root / NAME) as file:
        present = {key: value for key, value in document.items() if value is not None}
        file.write(json.dumps(present, indent=1, ensure_ascii=False).encode())


def _file_object(root: Path, path: Path) -> dict[str, Any]:
    place = path.relative_to(root).as_posix()
    return {
        "@type": "cr:FileObject",
        "@id": place,
        "name": place,
        "contentUrl": place,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": _FORMATS[path.suffix],
        "sha256": files.sha256_of(path),
    }


def _record_set(root: Path, path: Path, views: Mapping[str, View]) -> dict[str, Any]:
    split = path.name.removesuffix(".parquet").removesuffix("-00000-of-00001")
    fields = [*_fields(path, split, path.relative_to(root).as_posix(), views[split])]
    return {"@type": "cr:RecordSet", "@id": split, "name": split, "field": fields}


def _fields(path: Path, split: str, place: str, view: View) -> Iterator[dict[str, Any]]:
    from pyarrow import parquet

    kinds = encoded_view(view).kinds
    for field in parquet.read_schema(path):
        extract: dict[str, Any] = {"fileObject": {"@id": place}, "extract": {"column": field.name}}
        is_picture = kinds.get(field.name) == "image"
        if is_picture and field.type.num_fields:
            extract["transform"] = {"jsonPath": "bytes"}
        yield {
            "@type": "cr:Field",
            "@id": f"{split}/{field.name}",
            "name": field.name,
            "dataType": "sc:ImageObject" if is_picture else _type(field.type),
            **({"repeated": True} if _is_list(field.type) else {}),
            "source": extract,
        }


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _type(kind: Any) -> str:
    from pyarrow import types

    while _is_list(kind):
        kind = kind.value_type
    if types.is_boolean(kind):
        return "sc:Boolean"
    if types.is_integer(kind):
        return "sc:Integer"
    return "sc:Float" if types.is_floating(kind) or types.is_decimal(kind) else "sc:Text"
