"""Citations: exactly what a stack uses, as BibTeX and as notices."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets import Array, Dataset, Family, Split, load, prepare, view_of
from dataset_assets.core.selectors import spelled
from dataset_assets.errors import DatasetAssetsError, DecodeError, NotFound, NotPrepared, UnknownDataset, UsageError
from dataset_assets.moving.cite import Cited, cite
from dataset_assets.moving.export import export
from dataset_assets.moving.export_readme import SourceData


def counted(to: int) -> Iterator[dict[str, int]]:
    for n in range(to):
        yield {"n": n}


def doubled(sample: dict[str, int]) -> dict[str, int]:
    raise AssertionError("citing calls no function")


OWN = Dataset(
    "org.example.own",
    "Numbers.",
    {"n": Array()},
    {"train": Split(counted, to=8), "test": Split(counted, to=4)},
    license="MIT",
    checks={"leakage": "off"},
)
ENTRY = "@article{own99,\n  title = {Numbers}\n}"


@pytest.fixture
def defined(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Definitions of two further datasets, one that states BibTeX and one whose text BibTeX would misread."""
    module = tmp_path / f"defined_for_{tmp_path.name}.py"
    module.write_text(
        "from dataset_assets import Array, Dataset, Split\n"
        "def counted(to):\n    for n in range(to):\n        yield {'n': n}\n"
        "def made(name, **more):\n"
        "    splits = {'train': Split(counted, to=3), 'test': Split(counted, to=2)}\n"
        "    return Dataset('org.example.' + name, 'Numbers, 100% & {more}_\\\\.', {'n': Array()}, splits, "
        "checks={'leakage': 'off'}, **more)\n"
        f"entry = made('entry', citation={ENTRY!r}, license='CC0-1.0')\n"
        "text = made('text', citation='A. Author.\\nNumbers #1.', homepage='https://example.org/{a}', license='MIT')\n"
    )
    monkeypatch.setenv("DATASET_ASSETS_DEFINITIONS", str(module))
    return module


def test_a_stack_is_cited_by_its_stored_splits_whatever_stands_on_them(defined: Path, tmp_path: Path) -> None:
    entry, text, own = prepare("org.example.entry"), prepare("org.example.text"), prepare(OWN)
    stack = entry["train"].concat(own["train"]).concat(entry["test"]).shuffle(seed=1).map(doubled)
    document = tmp_path / "VIEW.json"
    document.write_text(stack.to_json())
    for what in (stack, document, str(document)):
        found = {one.source.dataset: one for one in cite(what)}
        assert {name: (one.splits, one.source.license) for name, one in found.items()} == {
            "org.example.entry": (("test", "train"), "CC0-1.0"),
            "org.example.own": (("train",), "MIT"),
        }
        assert found["org.example.entry"].bibtex == ENTRY
        assert found["org.example.own"].notice.endswith("(train): licence MIT; its citation is not known here")
    assert [one.source.dataset for one in cite(text)] == ["org.example.text"]


def test_text_becomes_an_entry_that_bibtex_reads_as_it_is(defined: Path) -> None:
    prepare("org.example.text")
    [found] = cite("org.example.text")
    assert found.bibtex == (
        "@misc{org.example.text,\n"
        r"  title = {Numbers, 100\% \& \textbraceleft{}more\textbraceright{}\_\textbackslash{}.}," + "\n"
        "  url = {https://example.org/%7Ba%7D},\n"
        r"  note = {A. Author. Numbers \#1.}," + "\n"
        f"  version = {{{load('org.example.text', 'train').version[:12]}}},\n"
        "}"
    )
    assert found.bibtex.count("{") == found.bibtex.count("}")


def test_a_dataset_that_is_not_stored_is_cited_as_it_is_defined(defined: Path) -> None:
    [found] = cite("org.example.entry")
    assert (found.source.version, found.splits, found.bibtex) == (None, ("train", "test"), ENTRY)


def test_a_version_is_cited_with_the_licence_that_it_states(home: Path) -> None:
    old = prepare(OWN)["train"].version
    prepare(replace(OWN, license="CC0-1.0"))
    assert [one.source.license for one in cite(f"{OWN.name}@{old}")] == ["MIT"]
    assert [one.source.license for one in cite(OWN.name)] == ["CC0-1.0"]


names = st.sampled_from(["org.example.x", "org.example.x_y.z"])
values = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)


@given(st.lists(st.tuples(names, st.dictionaries(st.sampled_from("abc"), values, max_size=2)), max_size=6))
@settings(max_examples=60)
def test_different_datasets_have_different_keys_that_bibtex_takes(found: list[tuple[str, dict[str, str]]]) -> None:
    datasets = {name + (spelled(axes) if axes else "") for name, axes in found}
    keys = {Cited(SourceData(name, None, None, None, None, "s"), ("all",)).key for name in datasets}
    assert len({key.casefold() for key in keys}) == len(datasets)
    assert all(re.fullmatch(r"[a-z0-9][A-Za-z0-9._-]*", key) for key in keys)


def test_two_versions_of_one_dataset_have_two_keys(home: Path) -> None:
    old, new = prepare(OWN)["train"], prepare(replace(OWN, version="2"))["train"]
    found = cite(old.concat(new))
    assert {one.key for one in found} == {f"{OWN.name}-{view.version[:12]}" for view in (old, new)}
    assert [one.key for one in cite(new)] == [OWN.name]
    assert all(one.bibtex.startswith(f"@misc{{{one.key},") for one in found)


def test_a_notice_is_one_line() -> None:
    found = Cited(SourceData("org.example.x", None, "MIT\n@misc{evil}", None, None, "s"), ("all",))
    assert found.notice.splitlines() == ["org.example.x (all): licence MIT @misc{evil}; its citation is not known here"]


def test_a_name_may_end_as_the_file_of_a_view_does(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    named = replace(OWN, name="com.example.json")
    view = prepare(named)["train"]
    assert [one.source.dataset for one in cite(named.name)] == [named.name]
    assert export(named.name, tmp_path / "out", "parquet").is_dir()
    with pytest.raises(NotFound, match="There is no file com.example.json"):
        cite(Path(named.name))
    Path(named.name).write_text(prepare(OWN)["train"].to_json())
    assert [one.source.dataset for one in cite(named.name)] == [OWN.name]
    assert [one.source.version for one in cite(f"{named.name}@{view.version}")] == [view.version]
    for name in ("view.json", "VIEW.json", "x" * 5000 + ".json"):
        with pytest.raises(DatasetAssetsError):
            cite(name)


def test_a_stored_member_is_cited_though_its_family_no_longer_has_it(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / f"family_for_{tmp_path.name}.py"
    module.write_text(
        "from typing import Literal\nfrom dataset_assets import Dataset, Family\n"
        "def members(lang: Literal['en']) -> Dataset:\n    raise ValueError\n"
        "family = Family('org.example.members', 'x', members)\n"
    )
    monkeypatch.setenv("DATASET_ASSETS_DEFINITIONS", str(module))
    for lang in ("en", "fr"):
        member = Family("org.example.members", "x", of_language, example={"lang": "en"})(lang=lang)
        assert [one.source.license for one in cite(prepare(member))] == ["MIT"]


def of_language(lang: str) -> Dataset:
    return replace(OWN, name="org.example.members")


def test_an_export_names_the_licences_and_citations_of_all_that_went_in(defined: Path, tmp_path: Path) -> None:
    stack = prepare("org.example.entry")["train"].concat(prepare("org.example.text")["train"])
    root = export(stack, tmp_path / "out", "huggingface")
    sources = json.loads((root / "sources.json").read_text())
    assert [(one["dataset"], one["license"]) for one in sources] == [
        ("org.example.entry", "CC0-1.0"),
        ("org.example.text", "MIT"),
    ]
    assert 'license_name: "CC0-1.0 and MIT"' in (root / "README.md").read_text()


@pytest.mark.parametrize(
    "change, kind",
    [
        ({"dataset": "../x"}, DatasetAssetsError),
        ({"dataset": 5}, DatasetAssetsError),
        ({"split": "no split"}, DatasetAssetsError),
        ({"index": "0" * 63}, DecodeError),
        ({"index": "0" * 64}, NotPrepared),
        ({"version": 5}, DecodeError),
        ({"index": None}, UsageError),
    ],
)
def test_a_document_that_was_changed_is_one_clear_error(
    home: Path, tmp_path: Path, change: dict[str, Any], kind: type[DatasetAssetsError]
) -> None:
    document = json.loads(prepare(OWN)["train"].to_json())
    document["views"][0]["arguments"] |= change
    (tmp_path / "VIEW.json").write_text(json.dumps(document))
    with pytest.raises(kind):
        cite(tmp_path / "VIEW.json")
    del document["views"][0]["arguments"]["split"]
    (tmp_path / "VIEW.json").write_text(json.dumps(document))
    with pytest.raises(DatasetAssetsError):
        cite(tmp_path / "VIEW.json")


def test_what_has_no_citation_is_an_error(home: Path) -> None:
    with pytest.raises(UsageError, match="values in memory"):
        cite(view_of(n=[1]))
    with pytest.raises(UsageError, match="A list has no citation"):
        cite({"a": [1]})
    with pytest.raises(UnknownDataset):
        cite("org.example.unknown")
    for read in (cite, lambda what: export(what, home / "out", "parquet")):
        with pytest.raises(NotFound, match="There is no file .*VIEW.json. Write one with"):
            read(home / "VIEW.json")
    with pytest.raises(NotPrepared):
        cite(f"org.example.unknown@{'0' * 64}")
