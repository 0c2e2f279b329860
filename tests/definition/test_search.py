"""Searching: what matches, and what comes first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets import Dataset, RemoteFile, Split, Text
from dataset_assets.definition.search import search
from dataset_assets.errors import UsageError


def samples(table):
    yield {"text": "x"}


def dataset(name: str, summary: str = "Samples.", url: str = "https://data.example.org/a.csv", **more) -> Dataset:
    splits = {"all": Split(samples, table=RemoteFile(url))}
    return Dataset(f"org.example.{name}", summary, {"text": Text()}, splits, **more)


DATASETS = [
    dataset("birds", "Pictures of Birds.", tags=("image", "biology"), tasks=("classification",), license="CC-BY-4.0"),
    dataset("birdsong", "Recordings.", tags=("audio",), license="CC0-1.0", url="https://songs.example.net/all.zip"),
    dataset("fish", "Fish and a few birds.", tags=("image",), tasks=("segmenting",), aliases=("net.example.poisson",)),
    dataset("stars", "Light curves.", citation="A. Bird, 1999.", homepage="https://example.org/stars"),
]


def found(*terms: str) -> list[str]:
    return [dataset.name.removeprefix("org.example.") for dataset in search(terms, DATASETS)]


def test_without_a_term_all_are_listed_by_name():
    assert found() == ["birds", "birdsong", "fish", "stars"]


def test_words_match_names_aliases_tags_tasks_summaries_and_what_else_is_stated():
    assert found("poisson") == ["fish"]
    assert found("audio") == ["birdsong"]
    assert found("segment") == ["fish"]
    assert found("curves") == ["stars"]
    assert found("1999") == ["stars"]
    assert found("cc0") == ["birdsong"]
    assert found("text") == ["birds", "birdsong", "fish", "stars"]  # a stream
    assert found("nothing") == []


def test_the_best_come_first():
    """The namesake, then a part of a name, then what is only mentioned."""
    assert found("birds") == ["birds", "birdsong", "fish"]
    assert found("bird") == ["birds", "birdsong", "fish", "stars"]


def test_upper_and_lower_case_are_alike():
    assert found("BIRDS") == found("birds")
    assert found("license:cc-by-4.0") == found("license:CC-BY") == ["birds"]
    assert found("id:BIRDS$") == ["birds"]


def test_all_terms_must_match():
    assert found("image", "birds") == ["birds", "fish"]
    assert found("tag:image", "task:classification") == ["birds"]
    assert found("tag:image", "audio") == []


def test_fields_look_only_where_they_say():
    assert found("tag:image") == ["birds", "fish"]
    assert found("tag:birds") == []
    assert found("task:segmenting") == ["fish"]
    assert found("source:songs.example.net") == ["birdsong"]
    assert found("license:cc") == ["birds", "birdsong"]


def test_an_id_is_a_regular_expression():
    assert found(r"id:\.birds$") == ["birds"]
    assert found("id:^org\\.example\\.(fish|stars)") == ["fish", "stars"]


def test_secrets_of_a_source_are_not_searched():
    hidden = dataset("hidden", url="https://ada:hunter2@example.org/a?token=abc123")
    assert search(["source:hunter2"], [hidden]) == search(["source:abc123"], [hidden]) == []


@pytest.mark.parametrize(
    "term, said",
    [
        ("tags:image", "Did you mean 'tag'?"),
        ("tag:", "tag:image"),
        ("id:(", "not a regular expression"),
        ("https://x", "the unknown field 'https'"),
    ],
)
def test_what_cannot_be_asked_is_said(term: str, said: str):
    with pytest.raises(UsageError) as caught:
        found(term)
    assert said in str(caught.value)


@given(st.lists(st.sampled_from(["bird", "image", "tag:image", "id:s$", "cc", "fish"]), max_size=4))
def test_terms_only_narrow_and_their_order_does_not_matter(terms: list[str]):
    assert found(*terms) == found(*reversed(terms))
    for n in range(len(terms)):
        assert set(found(*terms)) <= set(found(*terms[:n]))
