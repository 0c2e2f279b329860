"""The files that `dataset-assets new` writes: a working definition, its data and its test."""

import keyword
import os
import shlex
import sys
from pathlib import Path
from typing import Mapping

from dataset_assets.core import files
from dataset_assets.core.names import check_dataset_name, is_member
from dataset_assets.errors import Conflict, NameNotAllowed

DEFINITION = '''\
"""{title}: a new dataset. Change the file, the function and the facts below."""

from pathlib import Path
from typing import Any, BinaryIO, Iterator

from dataset_assets import Array, Dataset, RemoteFile, Split, Text
from dataset_assets.decoding import csv_rows

# Put the publisher's https:// URL here, and its digest (sha256:..., md5:...) where one is published.
TABLE = RemoteFile(Path(__file__).with_name("{module}.csv").as_uri())
KINDS = ("a", "b")


def rows(table: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield a sample per row: a value for each stream."""
    for row in csv_rows(table):
        yield {{"text": row["text"], "kind": KINDS.index(row["kind"])}}


{module} = Dataset(
    name="{name}",
    summary="One sentence that says what it holds, and how much.",
    streams={{"text": Text(), "kind": Array("uint8", classes=KINDS)}},
    splits={{"train": Split(rows, table=TABLE)}},
    sample="text",
    target="kind",
    license="CC0-1.0",
    citation="Author. Title. Venue, year.",
    homepage="https://example.com",
    tags=("text",),
    tasks=("classification",),
)
'''

DATA = "text,kind\na first sample,a\na second one,b\n"

TEST = '''\
"""{name} keeps the contract of every dataset, on a small file in the publisher's format."""

import pytest

from dataset_assets.testing.datasets import DatasetTests
from {place} import {module}


class Test{title}(DatasetTests):
    ends_are_seen = False  # a table of text looks whole wherever it ends; state a digest where one is published

    @pytest.fixture
    def dataset(self):
        return {module}

    @pytest.fixture
    def raw_files(self):
        return {{"{module}_csv": b"text,kind\\na first sample,a\\na second one,b\\n"}}

    def test_its_files_can_be_retrieved_and_are_pinned_or_carried(self, dataset):
        """Remove this method when the file is at its publisher's URL: other machines cannot read a local file."""
'''

OFFER = '''\
Make it in Python{inside} with: from dataset_assets import prepare; from {place} import {module}; prepare({module})
To find it by its name: export DATASET_ASSETS_DEFINITIONS={path}
Or, for others too, add it to the pyproject.toml of your package and install the package (pip install -e .):

[project.entry-points."dataset_assets.datasets"]
"{name}" = "{place}"'''


def scaffold(name: str, folder: Path, in_yaml: bool = False) -> list[Path]:
    """Write a definition, its data and its test. Return their paths, the test last. Raises `Conflict` if one exists."""
    module = module_name(name)
    values = {
        "name": name,
        "module": module,
        "place": place_of(folder, module),
        "title": module.title().replace("_", ""),
    }
    texts = {folder / f"{module}.csv": DATA}
    if in_yaml:
        # It imports the formats, which the other form does not need.
        from dataset_assets.definition import scaffold_yaml

        texts[folder / f"{module}.yaml"] = scaffold_yaml.DEFINITION.format(**values)
        texts[folder / scaffold_yaml.SCHEMA] = scaffold_yaml.schema_text()
        texts[folder / f"test_{module}.py"] = scaffold_yaml.TEST.format(**values)
    else:
        texts[folder / f"{module}.py"] = DEFINITION.format(**values)
        texts[folder / f"test_{module}.py"] = TEST.format(**values)
    return write_new(texts)


def write_new(texts: Mapping[Path, str]) -> list[Path]:
    """Write new files, and return their paths. Raises `Conflict` if one exists; then none is written."""
    # lexists, because a dangling link counts too.
    if there := [str(path) for path in texts if os.path.lexists(path)]:
        exist = "exist" if there[1:] else "exists"
        raise Conflict(f"{', '.join(there)} already {exist}. Choose a different name or folder.")
    for path, text in texts.items():
        files.make_folder(path.parent)
        with files.Written(path) as file:
            file.write(text.encode())
    return list(texts)


def module_name(name: str) -> str:
    """Return the last part of a dataset's name as a module name that hides no other module.

    >>> module_name("com.example.birds"), module_name("com.example.json"), module_name("com.example.2021")
    ('birds', 'json_dataset', 'dataset_2021')
    """
    if is_member(check_dataset_name(name)):
        raise NameNotAllowed(f"{name} names a member of a family. Write the name of the family.")
    last = name.rpartition(".")[2]
    if last[0].isdigit():
        return f"dataset_{last}"
    return f"{last}_dataset" if keyword.iskeyword(last) or last in _TAKEN else last


def entry_point(name: str, folder: Path, in_yaml: bool = False) -> str:
    """Return instructions: how to make the dataset, and how to find it by its name."""
    module = module_name(name)
    if in_yaml:
        from dataset_assets.definition import scaffold_yaml

        written = str(folder.resolve() / f"{module}.yaml")
        return scaffold_yaml.OFFER.format(path=written, quoted=shlex.quote(written))
    path = shlex.quote(str(folder.resolve() / f"{module}.py"))
    place, root = place_of(folder, module), folder.resolve()
    for _ in range(place.count(".")):
        root = root.parent
    # Python imports modules from the folder that it is started in.
    inside = "" if root == Path.cwd() else f", in {root},"
    return OFFER.format(name=name, module=module, place=place, path=path, inside=inside)


def place_of(folder: Path, module: str) -> str:
    """Return the import name of a module in a folder, with the packages that the folder belongs to."""
    inner = folder.resolve()
    while (inner / "__init__.py").exists():
        module, inner = f"{inner.name}.{module}", inner.parent
    return module


_TAKEN = sys.stdlib_module_names | {"dataset_assets", "numpy", "pytest", "conftest"}
