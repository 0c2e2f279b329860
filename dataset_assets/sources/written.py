"""Writes a definition as the Python that defines it."""

from dataclasses import MISSING, fields
from typing import Any, Mapping

import numpy

from dataset_assets.decoding.archive import extracted
from dataset_assets.definition.archive_files import extracted_file
from dataset_assets.definition.dataset import Dataset, DerivedFile, RemoteFile, Split, SplitOf
from dataset_assets.definition.divided import part_of, rows_of
from dataset_assets.definition.for_each import ForEach
from dataset_assets.definition.links import FileOf
from dataset_assets.errors import UsageError
from dataset_assets.formats import Format
from dataset_assets.sources.literal import literal
from dataset_assets.sources.split_functions import column_samples, file_samples, named_file_samples, objects_in_place

WIDTH = 110
OURS = (column_samples, file_samples, named_file_samples, objects_in_place)
_PLAIN = ("version", "sample", "target", "tag", "tags", "tasks", "license", "terms", "citation", "homepage", "owners",
          "refresh", "aliases")  # fmt: skip


def source_of(dataset: Dataset, why: Mapping[str, str] | None = None, variable: str = "dataset") -> str:
    """Return a definition as Python that sets `variable`; `why` says of a stream what it was inferred from.

    Raises `UsageError` for what has no such form: an own check, or a function that no other module can import.

    >>> print(source_of(dataset_from("birds.csv")))
    """
    if not isinstance(dataset, Dataset):
        raise UsageError(
            f"A {type(dataset).__name__} is no definition. Give one, such as source_of(dataset_from('birds.csv'))."
        )
    if any(callable(check) for check in dataset.checks.values()):
        raise UsageError(f"{dataset.name} has a check of its own, which is no text. Copy the file that defines it.")
    functions, lines = _Imports(), [f'"""{dataset.summary}"""', ""]
    body = [f"{variable} = Dataset(", f"    name={literal(dataset.name)},", f"    summary={literal(dataset.summary)},"]
    body += ["    streams={", *_streams(dataset, why or {}, functions), "    },"]
    body += ["    splits={", *_splits(dataset.splits, functions), "    },"]
    for name in _PLAIN:
        value = getattr(dataset, name)
        if value not in (None, (), "1" if name == "version" else None):
            body.append(f"    {name}={literal(value)},")
    if dataset.roles.keys() - {"sample", "target", "tag"}:
        body.append(f"    roles={literal(dict(dataset.roles))},")
    if dataset.checks:
        body.append(f"    checks={literal(dict(dataset.checks))},")
    return "\n".join([*lines, *functions.lines("Dataset"), "", "", *body, ")", ""])


class _Imports:
    """The names that a text uses, by the module that has them."""

    def __init__(self) -> None:
        self.used: dict[str, set[str]] = {}

    def add(self, module: str, name: str) -> str:
        self.used.setdefault(module, set()).add(name)
        return name

    def lines(self, *face: str) -> list[str]:
        for name in face:
            self.add("dataset_assets", name)
        return [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(self.used.items())]


def _streams(dataset: Dataset, why: Mapping[str, str], imports: _Imports) -> list[str]:
    return [
        f"        {literal(name)}: {_format(form, imports)},{f'  # {why[name]}' if name in why else ''}"
        for name, form in dataset.streams.items()
    ]


def _format(form: Format, imports: _Imports) -> str:
    kind = type(form)
    own = kind.__module__.startswith("dataset_assets.formats")
    name = imports.add("dataset_assets" if own else kind.__module__, kind.__qualname__)
    given = []
    for field in fields(form):  # type: ignore[arg-type]
        value = getattr(form, field.name)
        default = field.default if field.default is not MISSING else None
        if value != default:
            shown = dict(value) if field.name == "fields" else value
            shown = _dtype_name(value) if field.name == "dtype" else shown
            given.append(f"{field.name}={literal(shown)}")
    return f"{name}({', '.join(given)})"


def _dtype_name(text: str) -> str:
    try:
        return numpy.dtype(text).name
    except TypeError:  # a dtype of another package, such as bfloat16
        return text


def _splits(splits: Mapping[str, Split], imports: _Imports) -> list[str]:
    lines: list[str] = []
    divided: dict[str, tuple[str, dict[str, float]]] = {}
    for name, split in splits.items():
        if split.function not in (part_of, rows_of):
            lines += _split(name, split, imports)
            continue
        plain = dict(split.plain)
        part, ratios = plain.pop("part"), plain.pop("ratios")
        call = f"SplitOf({literal(split.splits['whole'].split)}).{plain.pop('operation')}"
        given = "".join(f", {key}={literal(value)}" for key, value in plain.items() if value not in (None, 0))
        given += ", materialize=False" if split.function is rows_of else ""
        divided.setdefault(call + given, (given, {}))[1][name] = ratios[part]
    for key, (given, shares) in divided.items():
        imports.add("dataset_assets", "SplitOf")
        lines.append(f"        **{key.removesuffix(given)}({literal(shares)}{given}),")
    return lines


def _split(name: str, split: Split, imports: _Imports) -> list[str]:
    function = split.function
    if "<" in function.__qualname__ or function.__module__ == "__main__":
        raise UsageError(
            f"The function {function.__qualname__} of split {name} cannot be imported. Put it in a module."
        )
    imports.add("dataset_assets", "Split")
    module = "dataset_assets.sources" if function in OURS else function.__module__
    shown = imports.add(module, function.__qualname__)
    lines = [f"        {literal(name)}: Split(", f"            {shown},"]
    for argument, value in split.arguments.items():
        lines.append(f"            {argument}={_argument(value, imports)},")
    return [*lines, "        ),"]


def _argument(value: Any, imports: _Imports) -> str:
    if isinstance(value, RemoteFile):
        imports.add("dataset_assets", "RemoteFile")
        fields = ("mirrors", "digest", "size", "after")
        given = [f"{name}={literal(getattr(value, name))}" for name in fields if getattr(value, name)]
        made = RemoteFile(value.name, value.mirrors)
        given += [f"keep={value.keep}"] if value.keep != made.keep else []
        given += [f"identifier={literal(value.identifier)}"] if value.identifier != made.identifier else []
        return f"RemoteFile({', '.join([literal(value.name), *given])})"
    if isinstance(value, ForEach):
        imports.add("dataset_assets", "ForEach")
        files = [_argument(file, imports) for file in value.files]
        each = f"[{', '.join(files)}]"
        if len(each) > WIDTH:
            inside = "".join(f"                {file},\n" for file in files)
            each = f"[\n{inside}            ]"
        if (pattern := value.pattern) is not None:
            each = literal(pattern.name)
            if not pattern.keep:
                imports.add("dataset_assets", "RemoteFile")
                each = f'RemoteFile({each}, identifier="pattern", keep=False)'
        step = f", {'samples' if value.split else 'files_per_part'}={value.step}" if value.step else ""
        return f"ForEach({_argument(value.split, imports) if value.split else each}{step})"
    if isinstance(value, SplitOf):
        imports.add("dataset_assets", "SplitOf")
        return f"SplitOf({', '.join(map(literal, filter(None, (value.dataset, value.split))))})"
    if isinstance(value, DerivedFile) and _is_extracted(value):
        imports.add("dataset_assets", "extracted_file")
        archive, path = value.arguments["archive"], value.plain["path"]
        name = "" if value == extracted_file(archive, path) else f", name={literal(value.name)}"
        return f"extracted_file({_argument(archive, imports)}, {literal(path)}{name})"
    if isinstance(value, (DerivedFile, FileOf)):
        raise UsageError(f"{value!r} has no form as text yet. Copy the file that defines it.")
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping):
        inside = "".join(f"                {literal(each)},\n" for each in value)
        return f"[\n{inside}            ]"
    if isinstance(value, Mapping) and len(repr(value)) > WIDTH:
        inside = "".join(f"                {literal(key)}: {literal(each)},\n" for key, each in value.items())
        return f"{{\n{inside}            }}"
    return literal(value)


def _is_extracted(file: DerivedFile) -> bool:
    """Say whether a derived file is one of an archive, as `extracted_file` makes it."""
    if file.function is not extracted:
        return False
    return file == extracted_file(file.arguments["archive"], file.plain["path"], name=file.name)
