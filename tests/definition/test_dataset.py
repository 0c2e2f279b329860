"""Definitions: frozen values, complete and checked when they are written. What is refused is in `test_errors_said`."""

import copy
import multiprocessing
import pickle
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from dataset_assets import Array, Dataset, DerivedFile, RemoteFile, Split, SplitOf, Text
from dataset_assets.definition import registry
from dataset_assets.errors import DefinitionError
from dataset_assets.making.recipe import split_code

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


def test_a_path_of_this_machine_is_a_file_url(tmp_path: Path) -> None:
    path = tmp_path / "my data.csv"
    for given in (path, PurePosixPath(path)):
        file = RemoteFile(given)  # type: ignore[arg-type]
        assert file == RemoteFile(path.as_uri())
        assert file.urls == (path.as_uri(),)
    assert RemoteFile("x.csv", mirrors=(tmp_path / "x.csv", "https://a.example/")).urls == (  # type: ignore[arg-type]
        (tmp_path / "x.csv").as_uri(),
        "https://a.example/x.csv",
    )
    assert RemoteFile("x.csv", mirrors=path).urls == (path.as_uri(),)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": Path("x.csv")}, {"name": "data/x.csv"}, {"name": "./x.csv"}, {"name": "/data/x.csv"},
        {"name": Path("~/x")},
        {"name": "x.csv", "mirrors": "data/"}, {"name": "x.csv", "mirrors": Path("x.csv")}, {"name": None}, {"name": 5},
        {"name": b"https://a.example/x"}, {"name": "x.csv", "mirrors": 5}, {"name": "x.csv", "mirrors": (None,)},
    ],
)  # fmt: skip
def test_another_name_of_a_file_is_an_error_that_says_how_a_file_of_this_machine_is_named(
    wrong: dict[str, Any],
) -> None:
    with pytest.raises(DefinitionError, match="file:///folder/"):
        RemoteFile(**wrong)


@pytest.mark.parametrize("wrong", [{"digest": 5}, {"digest": b"md5:"}, {"size": "5"}, {"size": True}, {"size": 1.5}])
def test_a_digest_or_size_of_another_type_is_an_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError):
        RemoteFile("https://a.example/x", **wrong)


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


def test_a_role_is_forgotten_with_its_field_and_further_ones_stay() -> None:
    streams = {"x": Array(), "y": Text()}
    named = dataset(streams=streams, sample="x", target="y", tag="y", roles={"weight": "x"})
    mapped = dataset(streams=streams, roles={"sample": "x", "target": "y", "tag": "y", "weight": "x"})
    assert (mapped.sample, mapped.target, mapped.tag) == ("x", "y", "y")
    for whole in (named, mapped, replace(mapped, summary="T."), pickle.loads(pickle.dumps(named))):
        assert dict(replace(whole, target=None).roles) == {"sample": "x", "tag": "y", "weight": "x"}
        assert dict(replace(whole, sample=None, tag=None, target="x").roles) == {"target": "x", "weight": "x"}
        assert dict(replace(whole, roles={}).roles) == {"sample": "x", "target": "y", "tag": "y"}


def test_the_recipe_of_roles_is_the_same_however_they_are_written() -> None:
    streams = {"x": Array(), "y": Text()}
    ways = (
        {"sample": "x", "target": "y"},
        {"roles": {"target": "y", "sample": "x"}},
        {"sample": "x", "roles": {"target": "y"}},
    )
    assert len({split_code(dataset(streams=streams, **way), "all") for way in ways}) == 1


def test_a_definition_pickles_and_is_copied_with_equal_fields() -> None:
    derived = DerivedFile("x.csv", function, keep=True, a=A)
    whole = dataset(
        splits={"all": Split(function, a=derived, options={"sizes": [1]}), "part": Split(function, a=SplitOf("all"))},
        sample="x",
        checks={"leakage": "warn", "mine": function},
    )
    for again in (pickle.loads(pickle.dumps(whole)), copy.copy(whole), copy.deepcopy(whole)):
        assert all(getattr(again, each.name) == getattr(whole, each.name) for each in fields(whole))
        assert split_code(again, "all") == split_code(whole, "all")
    with pytest.raises((AttributeError, TypeError)):
        pickle.loads(pickle.dumps(whole)).splits["new"] = Split(function, a=A)


def test_a_definition_goes_to_another_process() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(split_code, (dataset(), "all")) == split_code(dataset(), "all")


def test_every_definition_that_ships_pickles() -> None:
    for whole in registry.definitions():
        again = pickle.loads(pickle.dumps(whole))
        assert all(split_code(again, split) == split_code(whole, split) for split in whole.splits), whole.name


def test_a_function_that_cannot_be_imported_is_named_when_a_definition_is_pickled() -> None:
    def local(a: Any) -> Any:
        yield {"x": a}

    wrong = {
        "org.example.defined, split all,.*local": dataset(splits={"all": Split(local, a=A)}),
        "org.example.defined, split all,.* <lambda>|.*lambda": dataset(splits={"all": Split(lambda a: a, a=A)}),
        "org.example.defined, check mine,.*local": dataset(checks={"mine": local}),
        "split one,.*local": dataset(splits={"one": Split(function, a=DerivedFile("x", local, a=A))}),
    }
    for said, whole in wrong.items():
        with pytest.raises(DefinitionError, match=f"{said}.*Define it at the top of a module"):
            pickle.dumps(whole)
        assert copy.deepcopy(whole).splits == whole.splits
    with pytest.raises(DefinitionError, match="Define it at the top of a module"):
        pickle.dumps(Split(local, a=A))


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


def test_a_format_of_ones_own_has_a_name_of_its_own() -> None:
    class Mine(Text):
        pass

    class Other:
        name, suffix = "text", ".txt"

    assert dataset(streams={"a": Mine()}).streams["a"].name == "text"
    with pytest.raises(DefinitionError, match="whose name 'text' is that of a built-in format"):
        dataset(streams={"a": Other()})
