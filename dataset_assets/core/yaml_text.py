"""Reads YAML that people write into the values that JSON has, with the line of each.

It is YAML 1.2 without anchors, tags and documents after the first: `no`, `1_000` and `2026-01-31` are text. PyYAML
parses it, and none of its constructors are used.
"""

import re
from dataclasses import dataclass
from typing import Any

from dataset_assets.core.documents import DEEPEST
from dataset_assets.core.extras import needed

MOST_BYTES = 1 << 20

_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]{0,18})")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][-+]?[0-9]{1,3})?")


@dataclass(frozen=True)
class Document:
    """The values of a YAML text, and the line of each by its place, such as `splits.train.url`."""

    value: Any
    lines: dict[str, int]

    def line_of(self, place: str) -> int:
        """Return the line of a place, or of the nearest one around it."""
        while place and place not in self.lines:
            place = place.rpartition(".")[0]
        return self.lines.get(place, 1)


class NotYaml(ValueError):
    """The text is not YAML, or uses what is not read; `line` says where."""

    def __init__(self, why: str, line: int) -> None:
        super().__init__(why)
        self.line = line


def read_yaml(data: bytes) -> Document:
    """Read a YAML text. Raises `NotYaml`, and `NotInstalled` without PyYAML."""
    if len(data) > MOST_BYTES:
        raise NotYaml(f"The file is longer than {MOST_BYTES} bytes.", 1)
    yaml = needed("yaml", "yaml")
    try:
        text = data.decode("utf-8-sig")
        _check(yaml.parse(text, Loader=yaml.SafeLoader), yaml)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise _not_yaml(error, text) from error
    except UnicodeDecodeError as error:
        raise NotYaml(f"The file is not UTF-8: {error.reason}.", 1 + data.count(b"\n", 0, error.start)) from error
    if node is None:
        raise NotYaml("The file is empty.", 1)
    lines: dict[str, int] = {}
    return Document(_value(node, "", lines), lines)


def _not_yaml(error: Any, text: str) -> NotYaml:
    """Return an error of PyYAML as one line; those of its reader have a position instead of a mark."""
    if hasattr(error, "position"):
        return NotYaml(f"This is not YAML: {error.reason}.", 1 + text.count("\n", 0, error.position))
    mark = error.problem_mark or error.context_mark
    return NotYaml(f"This is not YAML: {error.problem or error.context}.", 1 if mark is None else mark.line + 1)


def _check(events: Any, yaml: Any) -> None:
    """Refuse what makes a short text large, long to read, or code of a value. Events come while the text is read."""
    depth = 0
    for event in events:
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise NotYaml(f"The file is nested more than {DEEPEST} levels deep.", _of(event))
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise NotYaml(
                "Anchors (&) and aliases (*) are not read. Write the value out, or quote the text.", _of(event)
            )
        if tag := getattr(event, "tag", None):
            raise NotYaml(f"The tag {tag!r:.80} is not read. Leave it out, or quote the text.", _of(event))


def _value(node: Any, place: str, lines: dict[str, int]) -> Any:
    lines.setdefault(place, _of(node))
    if node.id == "scalar":
        return _scalar(node)
    inside = f"{place}." if place else ""
    if node.id == "sequence":
        return [_value(item, f"{inside}{k}", lines) for k, item in enumerate(node.value)]
    found: dict[str, Any] = {}
    for key, item in node.value:
        name = key.value if key.id == "scalar" else None
        if name is None:
            raise NotYaml("A key is a list or a mapping. Write a word.", _of(key))
        if name in found:
            raise NotYaml(f"The key {name!r:.80} is there twice.", _of(key))
        lines[f"{inside}{name}"] = _of(key)
        found[name] = _value(item, f"{inside}{name}", lines)
    return found


def _scalar(node: Any) -> Any:
    text = node.value
    if node.style is not None:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) and ("." in text or "e" in text.lower()) else text


def _of(node: Any) -> int:
    return int(node.start_mark.line) + 1
