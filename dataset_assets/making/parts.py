"""The parts of a split: which files, or which samples of another split, each is made of."""

from collections.abc import Iterator
from dataclasses import dataclass

from dataset_assets.core.code_digest import json_digest
from dataset_assets.definition.dataset import Dataset, DerivedFile, RemoteFile
from dataset_assets.making.inputs import Inputs
from dataset_assets.making.recipe import split_recipe


@dataclass(frozen=True)
class Part:
    """A part: its recipe, its positions among the files or samples, and its files, if it has some."""

    recipe: str
    rows: range
    files: tuple[RemoteFile | DerivedFile, ...]

    @property
    def label(self) -> str:
        """What it is made of, for a message."""
        if not self.files:
            return f"samples {self.rows.start} to {self.rows.stop - 1}"
        first, last = self.files[0].identifier, self.files[-1].identifier
        return first if len(self.files) == 1 else f"{first} to {last} ({len(self.files)} files)"


def parts_of(dataset: Dataset, split: str, inputs: Inputs, excluded: str) -> Iterator[Part]:
    """Yield the parts of a split in order. A recipe depends on the part's own files, not on those of others."""
    defined = dataset.splits[split]
    assert defined.each is not None  # only such a split has parts
    argument, each = defined.each
    given = inputs.sources(defined)
    own = [f"{argument}[{k}]" for k in range(len(each.files))]
    code = split_recipe(dataset, split, {n: v for n, v in given.items() if n not in {*own}}, excluded)
    names = [file.identifier for file in each.files] if each.files else range(len(inputs.view(defined, argument)))
    for rows in each.runs(names):
        made_of = [given[own[k]] for k in rows] if each.files else [rows.start, rows.stop]
        yield Part(json_digest({"part_of": code, "each": made_of}), rows, each.files[rows.start : rows.stop])
