"""Writes the reference of the public doors from their docstrings, one page each, while the documentation is built.

The source is read by griffe; only the list of a door's names, its `__all__`, is taken from the package itself.
"""

import re
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import griffe
from properdocs.config.defaults import ProperDocsConfig
from properdocs.exceptions import PluginError
from properdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
FACE = "dataset_assets"
ROOMS = (
    "decoding", "checks", "encoding", "formats", "loader", "experiments", "storage", "retrieval", "sources", "testing",
    "orchestration", "errors",
)  # fmt: skip
DOORS = (FACE, *(f"{FACE}.{room}" for room in ROOMS))
WIDTH = 96

EXAMPLE = re.compile(r"^>>> .*(?:\n.+)*", re.MULTILINE)
FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"`(\w+)`")


def on_files(files: Files, config: ProperDocsConfig) -> Files:
    """Add the pages to those that lie in the folder."""
    for door in DOORS:
        files.append(File.generated(config, f"api/{door.rpartition('.')[2]}.md", content=page(door)))
    return files


def page(door: str) -> str:
    """Return the page of a door in Markdown. Raises `PluginError` for a name without a docstring."""
    names = import_module(door).__all__
    parts = [f"# {door}", _text(door, _source(door))]
    for name in names:
        described = _described(door, name)
        parts += _entry(2, f"{door}.{name}", name, described)
        if isinstance(described, griffe.Class):
            for member in _members(described):
                parts += _entry(3, f"{door}.{name}.{member.name}", f"{name}.{member.name}", member)
    return "\n\n".join(parts) + "\n"


def _entry(rank: int, path: str, title: str, described: griffe.Object) -> list[str]:
    """Return a heading, whose anchor is the path by which the name is imported, a signature and the docstring."""
    return [f"{'#' * rank} {title} {{#{path}}}", f"```python\n{_signature(described)}\n```", _text(path, described)]


@cache
def _package(name: str) -> Any:
    return griffe.load(name, search_paths=[ROOT, *sys.path])


def _source(path: str) -> Any:
    name, _, below = path.partition(".")
    return _package(name)[below] if below else _package(name)


def _real(found: Any) -> Any:
    return found.final_target if found.is_alias else found


def _described(door: str, name: str) -> griffe.Object:
    """Return what a door's name stands for, from the module that defines it."""
    found: griffe.Object = _real(_source(f"{door}.{name}"))
    if found.is_module:  # griffe takes a function for the module of the same name
        found = _source(f"{getattr(import_module(door), name).__module__}.{name}")
    return found


def _members(described: griffe.Class) -> list[griffe.Object]:
    """Return the public members that have a docstring, of the class and of its bases in this package."""
    every = [_real(member) for name, member in described.all_members.items() if not name.startswith("_")]
    return [member for member in every if member.docstring and member.path.startswith(FACE)]


def _signature(described: griffe.Object) -> str:
    if isinstance(described, griffe.Function):
        return _wrapped(described.signature())
    if isinstance(described, griffe.Class):
        return _class(described)
    annotation, value = getattr(described, "annotation", None), getattr(described, "value", None)
    line = f"{described.name}: {annotation}" if annotation else f"{described.name} = {value}"
    return line if len(line) < WIDTH else line[: WIDTH - 4] + " ..."


def _class(described: griffe.Class) -> str:
    if begun := described.all_members.get("__init__"):
        return "class " + _wrapped(_real(begun).signature(return_type=False, name=described.name))
    bases = ", ".join(str(base) for base in described.bases)
    fields = [f"    {name}: {member.annotation}" for name, member in described.attributes.items() if _is_field(member)]
    head = f"class {described.name}" + (f"({bases})" if bases else "")
    return "\n".join([f"{head}:" if fields else head, *fields])


def _is_field(member: griffe.Attribute) -> bool:
    return bool(member.annotation) and not member.name.startswith("_") and "property" not in member.labels


def _wrapped(signature: str) -> str:
    """Return a signature with a parameter a line, if it is too long for one."""
    if len(signature) < WIDTH:
        return signature
    name, _, rest = signature.partition("(")
    pieces, depth, end = [""], 1, 0
    while depth:
        letter, end = rest[end], end + 1
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 1:
            pieces.append("")
        elif depth:
            pieces[-1] += letter
    return f"{name}(\n" + "".join(f"    {piece.strip()},\n" for piece in pieces) + ")" + rest[end:]


def _text(path: str, described: griffe.Object) -> str:
    """Return a docstring in Markdown: its examples as code, and names of the doors as links."""
    if not described.docstring or not described.docstring.value.strip():
        raise PluginError(f"{path} has no docstring. Write one: the reference is made of them.")
    text = EXAMPLE.sub(lambda found: f"```pycon\n{found[0]}\n```", described.docstring.value.strip())
    parts = FENCE.split(text)
    return "".join(part if part.startswith("```") else NAME.sub(_linked, part) for part in parts)


def _linked(found: "re.Match[str]") -> str:
    place = _places().get(found[1])
    return f"[{found[0]}]({place})" if place else found[0]


@cache
def _places() -> dict[str, str]:
    """Return where the classes of the doors, and the names of the face, are described; where several do, the first."""
    places: dict[str, str] = {}
    for door in DOORS:
        for name in import_module(door).__all__:
            if name[0].isupper() or door == FACE:
                places.setdefault(name, f"{door.rpartition('.')[2]}.md#{door}.{name}")
    return places
