"""Where exported data comes from: each stored split that went in, with licence, citation and homepage."""

import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Iterable, Mapping

from dataset_assets.core.files import Written
from dataset_assets.definition.dataset import Dataset
from dataset_assets.definition.registry import defined
from dataset_assets.errors import DatasetAssetsError
from dataset_assets.moving.folder_files import meta_of
from dataset_assets.reading.stored_files import StoredFiles
from dataset_assets.reading.views import Stored, View
from dataset_assets.reading.views.document import stack_of
from dataset_assets.storage.stored_dataset import StoredDataset

FACTS = ("license", "citation", "homepage", "summary")


@dataclass(frozen=True)
class SourceData:
    """A dataset that went into an export."""

    dataset: str
    version: str | None
    license: str | None
    citation: str | None
    homepage: str | None
    summary: str | None


def sources_of(views: Iterable[View]) -> list[SourceData]:
    """Return the datasets of all that views stand on, each version once."""
    found = {}
    for view in views:
        for one in stack_of(view):
            if isinstance(one, Stored):
                found[one.dataset, one.version] = source_of_view(one)
    return [found[key] for key in sorted(found, key=str)]


def source_of_view(view: Stored) -> SourceData:
    """Return where a stored split, or a view of values in memory, comes from."""
    if not isinstance(view.opener, StoredFiles):
        return SourceData(view.dataset, view.version, *(None for _ in FACTS))
    return source_of(StoredDataset(view.opener.storage, view.dataset), view.version, view.opener.license)


def source_of(stored: StoredDataset, version: str | None, license: str | None) -> SourceData:
    """Return a stored dataset with the licence that its split states; the rest is as its definition says now."""
    known, meta = _defined(stored.name), meta_of(stored, version) if version else {}
    said = {name: meta[name] for name in FACTS if isinstance(meta.get(name), str)}
    said |= {"license": license} if license else {}
    return SourceData(stored.name, version, *(said.get(name) or getattr(known, name, None) for name in FACTS))


def _defined(name: str) -> Dataset | None:
    """Return the definition of a dataset; None if there is none now, as for a value that its family no longer has."""
    with suppress(DatasetAssetsError):
        return defined(name)
    return None


def write_readme(root: Path, views: Mapping[str, View], sources: list[SourceData], *, huggingface: bool) -> None:
    """Write README.md, with the front matter that Hugging Face reads if asked for, and sources.json."""
    lines = _front_matter(views, sources) if huggingface else []
    for source in sources:
        lines += [f"# {source.dataset}", "", *([source.summary, ""] if source.summary else [])]
        facts = {"Version": source.version, "Licence": source.license, "Homepage": source.homepage}
        lines += [f"* {name}: {value}" for name, value in facts.items() if value] + [""]
        lines += (
            ["Citation:", "", *(f"    {line}" for line in source.citation.splitlines()), ""] if source.citation else []
        )
    _write(root / "README.md", "\n".join(lines))
    _write(root / "sources.json", json.dumps([asdict(source) for source in sources], indent=1) + "\n")


def _front_matter(views: Mapping[str, View], sources: list[SourceData]) -> list[str]:
    licenses = [source.license for source in sources if source.license]
    ids = [text.lower() for text in licenses if re.fullmatch(r"[A-Za-z0-9.-]+", text)]
    lines = ["---"]
    if licenses:
        # An identifier, or else any name beside the identifier `other`.
        one = len({*licenses}) == len(ids) == 1
        lines += (
            [f"license: {ids[0]}"] if one else ["license: other", f"license_name: {_quoted(' and '.join(licenses))}"]
        )
    lines += ["configs:", "- config_name: default", "  data_files:"]
    for split in views:
        lines += [f"  - split: {split}", f"    path: {_quoted(f'data/{split}-*.parquet')}"]
    return [*lines, "---", ""]


def _quoted(text: Any) -> str:
    # A string of JSON is one of YAML.
    return json.dumps(str(text))


def _write(path: Path, text: str) -> None:
    with Written(path) as file:
        file.write(text.encode())
