"""A definition as Python: running the text gives the same dataset."""

from pathlib import Path
from typing import Any

import pandas
import pytest

from dataset_assets import Dataset, RemoteFile, Split, SplitOf, Text, prepare
from dataset_assets.definition import registry
from dataset_assets.errors import UsageError
from dataset_assets.sources import dataset_from, source_of
from dataset_assets.storage import MemoryStorage


def run(text: str) -> Any:
    found: dict[str, Any] = {}
    exec(compile(text, "written.py", "exec"), found)
    return found["dataset"]


def test_the_text_of_what_was_inferred_defines_the_same_dataset(home: Path) -> None:
    frame = pandas.DataFrame({"x y": [1, 2, 3, 4], "kind": list("abab"), "d": pandas.to_datetime(["2020-01-01"] * 4)})
    for source, options in [
        (frame, {"target": "kind", "splits": {"train": 0.5, "test": 0.5}}),
        ({"train": frame, "test": frame.iloc[:1].assign(kind="b")}, {"license": 'CC "0"'}),
    ]:
        definition, storage = dataset_from(source, **options), MemoryStorage()
        text = source_of(definition, {"kind": "texts, as classes"})
        assert '"kind": ' in text and "# texts, as classes" in text
        # What a user keeps imports what is public.
        assert "from dataset_assets.sources import column_samples\n" in text
        again = run(text)
        assert again.license == definition.license and again.target == definition.target
        version = prepare(definition, storage=storage)[next(iter(definition.splits))].version  # type: ignore[attr-defined]
        assert prepare(again, storage=storage)[next(iter(definition.splits))].version == version  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["com.lecun.mnist", "io.github.allisonhorst.penguins"])
def test_a_shipped_definition_can_be_shown(name: str) -> None:
    definition = registry.find(name)
    again = run(source_of(definition))
    assert again.files == definition.files and again.streams == definition.streams
    assert {n: s.function for n, s in again.splits.items()} == {n: s.function for n, s in definition.splits.items()}


def _one() -> Any:
    yield {"x": "a"}


def test_what_is_no_text_is_refused() -> None:
    own = Dataset("a.b", "S.", {"x": Text()}, {"all": Split(_one)}, checks={"mine": lambda views: None})
    with pytest.raises(UsageError, match="has a check of its own"):
        source_of(own)
    local = Dataset("a.b", "S.", {"x": Text()}, {"all": Split(lambda: iter([]))})
    with pytest.raises(UsageError, match="cannot be imported. Put it in a module"):
        source_of(local)


def test_links_mirrors_and_digests_are_kept() -> None:
    file = RemoteFile(
        "a.csv", mirrors=("https://a.example/", "https://b.example/a.csv"), digest="md5:" + "0" * 32, size=3
    )
    made = Dataset("a.b", "S.", {"x": Text()}, {"all": Split(_two, file=file, other=SplitOf("c.d", "train"))})
    again = run(source_of(made))
    assert again.files == made.files and again.links == made.links


def _two(file: Any, other: Any) -> Any:
    yield from ()
