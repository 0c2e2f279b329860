"""Citations and notices of exactly the datasets that a stack uses."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator, Mapping, NamedTuple

from dataset_assets.core.canonical import sha256_hex
from dataset_assets.core.names import check_identifier, split_pin
from dataset_assets.core.settings import settings
from dataset_assets.definition.registry import find
from dataset_assets.errors import DatasetAssetsError, DecodeError, NotPrepared, UsageError
from dataset_assets.moving.export_readme import FACTS, SourceData, source_of
from dataset_assets.moving.view_file import is_view_file, view_file
from dataset_assets.reading.load import open_version
from dataset_assets.reading.stored_files import StoredFiles
from dataset_assets.reading.views import Stored, View
from dataset_assets.reading.views.document import AGAIN, stack_of, stored_in
from dataset_assets.storage import Storage, open_storage
from dataset_assets.storage.manifest import check_hex
from dataset_assets.storage.stored_dataset import StoredDataset

_ESCAPES = {"\\": r"\textbackslash{}", "{": r"\textbraceleft{}", "}": r"\textbraceright{}", "~": r"\textasciitilde{}"}
_ESCAPES |= {"^": r"\textasciicircum{}", **{mark: f"\\{mark}" for mark in "&%$#_"}}


@dataclass(frozen=True)
class Cited:
    """A version of a dataset, or its definition if `version` is None, and the splits of it that are used."""

    source: SourceData
    splits: tuple[str, ...]
    alone: bool = True
    """Whether no other version of the dataset is cited with it; else the key of its entry has the version."""

    @property
    def key(self) -> str:
        """The key of its entry: the name of the dataset, as BibTeX takes it."""
        name = self.source.dataset
        plain = re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-")
        # Members whose names differ in other characters only have different keys.
        unique = plain if plain == name else f"{plain}-{sha256_hex(name.encode())[:8]}"
        return unique if self.alone else f"{unique}-{self._version or 'defined'}"

    @property
    def bibtex(self) -> str:
        """Its citation, if that is BibTeX, or else an entry that has it as a note."""
        stated = (self.source.citation or "").strip()
        if re.match(r"@\w+\s*[{(]", stated):
            return stated
        fields = {"title": self.source.summary, "url": self.source.homepage, "note": stated, "version": self._version}
        lines = [f"  {name} = {{{_text(name, value)}}},\n" for name, value in fields.items() if value]
        return f"@misc{{{self.key},\n{''.join(lines)}}}"

    @property
    def notice(self) -> str:
        """Dataset, version, splits and licence in one line."""
        pin = f"@{self._version}" if self._version else ""
        lacking = "" if self.source.citation else "; its citation is not known here"
        stated = " ".join((self.source.license or "not stated").split())
        return f"{self.source.dataset}{pin} ({', '.join(self.splits)}): licence {stated}{lacking}"

    @property
    def _version(self) -> str:
        return (self.source.version or "")[:12]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**vars(self.source), "splits": [*self.splits], "bibtex": self.bibtex, "notice": self.notice}


def cite(what: "str | Path | View | Mapping[str, View]", *, storage: "str | Storage | None" = None) -> list[Cited]:
    """Return the datasets that a view, the file `VIEW.json` of one, or all splits of a dataset by its name are made of.

    Only stored splits of the stack count; no function of a file is called, and no terms are asked for. A dataset that
    is not stored is cited as it is defined. Raises `UnknownDataset` if it is neither.
    """
    store = open_storage(settings().storage if storage is None else storage)
    found: dict[SourceData, set[str]] = {}
    for used in _used(what, store):
        found.setdefault(source_of(*used[:3]), set()).add(used.split)
    versions = Counter(dataset for dataset, _ in {(source.dataset, source.version) for source in found})
    cited = [Cited(one, tuple(sorted(splits)), versions[one.dataset] == 1) for one, splits in found.items()]
    return cited or _as_defined(what, store)


class _Used(NamedTuple):
    stored: StoredDataset
    version: str | None
    license: str | None
    split: str


def _used(what: Any, store: Storage) -> Iterator[_Used]:
    if isinstance(what, (View, Mapping)):
        for view in [what] if isinstance(what, View) else what.values():
            yield from _below(view)
    elif is_view_file(what, store):
        yield from _written(view_file(what), store)
    else:
        name, pin = split_pin(str(what))
        try:
            stored, version, digest = open_version(StoredDataset(store, name), pin)
        except NotPrepared:
            if pin:
                raise
            return
        for split, index in version.splits.items():
            yield _Used(stored, digest, stored.index(split, index).license, split)


def _below(view: Any) -> Iterator[_Used]:
    if not isinstance(view, View):
        raise UsageError(f"A {type(view).__name__} has no citation. Pass views by split, as load(NAME) returns.")
    for one in stack_of(view):
        if isinstance(one, Stored) and isinstance(one.opener, StoredFiles):
            yield _Used(StoredDataset(one.opener.storage, one.dataset), one.version, one.opener.license, one.split)


def _written(document: bytes, store: Storage) -> Iterator[_Used]:
    for given in stored_in(document):
        if given.get("index"):  # else values in memory
            yield _of_entry(given, store)


def _of_entry(given: Mapping[str, Any], store: Storage) -> _Used:
    try:
        stored, split = StoredDataset(store, given["dataset"]), check_identifier(given["split"], "split")
        version = None if given["version"] is None else check_hex(given["version"])
        return _Used(stored, version, stored.index(split, check_hex(given["index"])).license, split)
    except DatasetAssetsError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise DecodeError(f"A stored split of the document cannot be read ({error}). {AGAIN}") from error


def _as_defined(what: Any, store: Storage) -> list[Cited]:
    if isinstance(what, (View, Mapping)) or is_view_file(what, store):
        raise UsageError("It is made of values in memory only, which have no citation. Cite what they were made of.")
    known = find(str(what), store)
    return [Cited(SourceData(known.name, None, *(getattr(known, name) for name in FACTS)), (*known.splits,))]


def _text(field: str, value: str) -> str:
    words = " ".join(value.split())
    if field == "url":
        return words.replace("{", "%7B").replace("}", "%7D")
    return "".join(_ESCAPES.get(letter, letter) for letter in words)
