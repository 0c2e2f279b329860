"""Definitions: frozen values, complete and checked when they are written. What is refused is in `test_errors_said`."""

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest

from dataset_assets import Array, Dataset, DerivedFile, RemoteFile, Split, Text

A, B = RemoteFile("https://a.example/a.csv"), RemoteFile("https://b.example/b.csv", identifier="bee")


def function(a: Any, b: Any = None, options: Any = None) -> Any:
    yield {"x": 1}


def dataset(**fields: Any) -> Dataset:
    return Dataset(
        **{
            "name": "org.example.defined",
            "summary": "S.",
            "streams": {"x": Array()},
            "splits": {"all": Split(function, a=A)},
            **fields,
        }
    )


def test_files_are_named_by_the_last_part_of_their_url() -> None:
    assert A.identifier == "a_csv"
    assert B.identifier == "bee"
    assert RemoteFile("train-images.gz", mirrors=("https://a.example/x/",)).identifier == "train_images_gz"
    assert DerivedFile("joined.csv", function, a=A).identifier == "joined_csv"


def test_mirrors_are_folders_or_whole_urls() -> None:
    file = RemoteFile("a.csv", mirrors=("https://a.example/x/", "https://b.example/download?id=5"))
    assert file.urls == ("https://a.example/x/a.csv", "https://b.example/download?id=5")
    assert RemoteFile("a.csv", mirrors="https://a.example/").urls == ("https://a.example/a.csv",)  # type: ignore[arg-type]
    assert A.urls == ("https://a.example/a.csv",)


def test_digests_are_lower_case() -> None:
    assert RemoteFile("https://a.example/a", digest="md5:" + "AB" * 16).digest == "md5:" + "ab" * 16


def test_nothing_can_be_changed() -> None:
    defined = dataset()
    for change in (
        lambda: setattr(defined, "name", "x.y"),
        lambda: setattr(A, "digest", None),
        lambda: setattr(defined.splits["all"], "function", len),
        lambda: defined.splits.update({}),
        lambda: defined.streams.__setitem__("y", Array()),
        lambda: defined.splits["all"].arguments.__setitem__("a", B),
    ):
        with pytest.raises((FrozenInstanceError, AttributeError, TypeError)):
            change()


def test_plain_arguments_are_copies_in_both_directions() -> None:
    options = {"sizes": [1, 2]}
    split = Split(function, a=A, options=options)
    options["sizes"].append(3)
    split.plain["options"]["sizes"].append(4)
    assert split.plain == {"options": {"sizes": [1, 2]}}


def test_equal_splits_and_derived_files_are_equal() -> None:
    assert Split(function, a=A) == Split(function, a=RemoteFile("https://a.example/a.csv"))
    assert hash(Split(function, a=A)) == hash(Split(function, a=A))
    assert Split(function, a=A) != Split(function, a=B)
    assert Split(function, a=A) != DerivedFile("a.csv", function, a=A)
    assert DerivedFile("x.csv", function, a=A) != DerivedFile("x.csv", function, a=A, keep=True)
    assert len({DerivedFile("x.csv", function, a=A), DerivedFile("x.csv", function, a=A)}) == 1


def test_files_come_before_what_is_made_of_them_and_once() -> None:
    inner = DerivedFile("inner.csv", function, a=A)
    outer = DerivedFile("outer.csv", function, a=inner, b=B)
    defined = dataset(splits={"one": Split(function, a=outer), "two": Split(function, a=A, b=inner)})
    assert [*defined.files] == ["a_csv", "inner_csv", "bee", "outer_csv"]
    assert [*defined.remote_files] == ["a_csv", "bee"]
    assert defined.splits["two"].files == {"a": A, "b": inner}


def test_roles_are_written_short_or_long() -> None:
    short = dataset(streams={"x": Array(), "y": Text()}, sample="x", target="y", roles={"weight": "x"})
    assert dict(short.roles) == {"sample": "x", "target": "y", "weight": "x"}
    assert dict(replace(short, summary="T.").roles) == dict(short.roles)


def test_one_of_many_may_be_written_without_a_tuple() -> None:
    defined = dataset(tags="image", tasks=["a", "b"], owners="team:data", aliases="org.example.alias")
    assert (defined.tags, defined.tasks, defined.owners, defined.aliases) == (
        ("image",),
        ("a", "b"),
        ("team:data",),
        ("org.example.alias",),
    )


def test_severities_are_errors_unless_chosen() -> None:
    defined = dataset(checks={"leakage": "warn", "mine": lambda views: None})
    assert [defined.severity(check) for check in ("leakage", "counts", "mine")] == ["warn", "error", "error"]


def test_a_definition_shows_what_it_is() -> None:
    assert repr(Split(function, a=A, options=1)) == "Split(function, a, options)"
    assert repr(DerivedFile("x.csv", function, a=A)) == "DerivedFile(function, a)"


def test_a_remote_file_shows_no_secret_of_its_url() -> None:
    file = RemoteFile("https://ada:hidden@example.org/a.csv?token=alsohidden")
    assert repr(file) == "RemoteFile(https://example.org/a.csv?token=***)"
