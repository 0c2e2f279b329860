"""What `dataset-assets new` writes: a definition that works at once, its data and its test, for their author to change."""

from pathlib import Path

from dataset_assets.errors import Conflict
from dataset_assets.names import check_dataset_name

DEFINITION = '''"""{title}: a new dataset. Change the file, the function and the facts below."""

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

TEST = '''"""{name} keeps the contract of every dataset, on a small file in the publisher's format."""

import pytest

from dataset_assets.testing.datasets import DatasetTests
from {module} import {module}


class Test{title}(DatasetTests):
    @pytest.fixture
    def dataset(self):
        return {module}

    @pytest.fixture
    def raw_files(self):
        return {{"{module}_csv": b"text,kind\\na first sample,a\\na second one,b\\n"}}
'''


def scaffold(name: str, folder: Path) -> list[Path]:
    """Write a definition, its data and its test; return their paths, the test last. Nothing is overwritten."""
    module = check_dataset_name(name).rsplit(".", 1)[1]
    values = {"name": name, "module": module, "title": module.title().replace("_", "")}
    texts = {
        folder / f"{module}.csv": DATA,
        folder / f"{module}.py": DEFINITION.format(**values),
        folder / f"test_{module}.py": TEST.format(**values),
    }
    if there := [str(path) for path in texts if path.exists()]:
        raise Conflict(f"{', '.join(there)} is there already. Choose another name or folder.")
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        path.write_text(text)
    return list(texts)
