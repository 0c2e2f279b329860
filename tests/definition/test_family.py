"""Families: a function whose signature is the axes; a member is made only when it is named."""

from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_registry import Plugins, installed

from dataset_assets import Array, Dataset, Family, Split
from dataset_assets.definition import registry, search
from dataset_assets.definition.scaffold import scaffold
from dataset_assets.errors import DefinitionError, NameNotAllowed, UnknownDataset, UsageError

__all__ = ["installed"]
NAME = "org.example.reviews"
calls: list[dict[str, Any]] = []


def rows(lang: str, size: str) -> Any:
    yield {"x": len(lang) + len(size)}


def made(lang: str = "en", size: str = "small", name: str = NAME, **more: Any) -> Dataset:
    return Dataset(name, "x", {"x": Array()}, {"all": Split(rows, lang=lang, size=size)}, tags=("text",), **more)


def reviews(lang: Literal["en", "fr"], size: Literal["small", "large"] = "small", mirror: str = "eu") -> Dataset:
    calls.append({"lang": lang, "size": size, "mirror": mirror})
    return made(lang, size)


FAMILY = Family(NAME, "Reviews.", reviews, not_identity=("mirror",))

CODE = """
from typing import Literal
from dataset_assets import Family
def reviews(lang: Literal["en", "fr"], size: Literal["small", "large"] = "small"):
    return made("org.example.reviews")
family = Family("org.example.reviews", "Reviews in two languages.", reviews)
"""

VAST = """
from typing import Literal
from dataset_assets import Family
Number = Literal[tuple(range(10_000))]
def vast(a: Number, b: Number, c: Number, d: Number):
    return made("org.example.vast")
family = Family("org.example.vast", "Very many.", vast)
"""


def test_a_member_is_the_dataset_of_its_values_with_a_canonical_name():
    calls.clear()
    found = FAMILY(size="large", lang="fr", mirror="us")
    assert calls == [{"lang": "fr", "size": "large", "mirror": "us"}]
    assert found.name == f"{NAME}[lang=fr,size=large]"
    assert found.splits["all"].plain == {"lang": "fr", "size": "large"}
    assert FAMILY.named(f"{NAME}[lang=fr]").name == f"{NAME}[lang=fr,size=small]"
    assert FAMILY.named(f"{NAME}[mirror=us,lang=fr]").name == f"{NAME}[lang=fr,size=small]"


def test_members_are_listed_without_a_call():
    calls.clear()
    assert [*FAMILY.members()] == [
        f"{NAME}[lang={lang},size={size}]" for lang in ("en", "fr") for size in ("small", "large")
    ]
    assert (FAMILY.count(), FAMILY.example_name) == (4, f"{NAME}[lang=en,size=small]")
    assert FAMILY.first_members(beginning=f"{NAME}[lang=f") == [*FAMILY.members()][2:]
    assert not calls


LETTERS = Literal["a", "b", "ab", "c,d", "]", "100%"]


def lettered(zone: LETTERS, lang: LETTERS, size: Literal["small", "large"] = "small", fast: bool = True) -> Dataset:
    return made(name="org.example.lettered")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_the_members_that_begin_so_are_those_of_all_members(data):
    family = Family("org.example.lettered", "Letters.", lettered)
    every = [*family.members()]
    whole = data.draw(st.sampled_from([*every, "org.example.lettered", "org.example.lettered[x", "com.other[a=1]"]))
    beginning = whole[: data.draw(st.integers(0, len(whole)))] + data.draw(st.sampled_from(["", "", ",", "]", "a"]))
    assert family.first_members(beginning=beginning) == [name for name in every if name.startswith(beginning)]


def test_very_many_members_are_not_listed_and_the_first_ones_are_found_at_once(installed: Plugins):
    installed.install("vast", VAST, "org.example.vast")
    vast = registry.family("org.example.vast")
    assert vast is not None and vast.count() == 10_000**4
    name = "org.example.vast[a=9999,b=9999,c=9999,d=9999]"
    assert registry.members("org.example.vast", name[:-1]) == [name]
    assert registry.members("org.example.vast", "org.example.vast[x") == []
    assert vast.first_members(most=2) == [f"org.example.vast[a=0,b=0,c=0,d={i}]" for i in (0, 1)]
    for listing in (vast.listed, lambda: registry.matching("org.example.vast[*]")):
        with pytest.raises(UsageError, match="has 10000000000000000 members, and at most 10000 are listed. Name one"):
            listing()
    with pytest.raises(NameNotAllowed, match="has no a=10000"):
        registry.find("org.example.vast[a=10000,b=1,c=1,d=1]")


def test_types_come_back_as_the_function_declares_them():
    seen = []

    def typed(n: int, share: float, flag: bool = False, kind: Literal[1, 2] = 2) -> Dataset:
        seen.append((n, share, flag, kind))
        return made()

    family = Family(NAME, "Typed.", typed, example={"n": 3, "share": 1})
    family.named(f"{NAME}[n=07,share=1,flag=true,kind=1]")
    assert seen == [(7, 1.0, True, 1)]
    assert [type(value) for value in seen[0]] == [int, float, bool, int]
    assert family.example_name == f"{NAME}[flag=false,kind=2,n=3,share=1.0]"
    assert family.first_members() == [] and family.count() is None
    with pytest.raises(UsageError, match="cannot be listed: n, share may have any value"):
        next(family.members())


def bad_axes(*, names: Any = None) -> Dataset:
    return made()


def no_axes() -> Dataset:
    return made()


def untyped(lang) -> Dataset:  # type: ignore[no-untyped-def]
    return made()


def mixed(lang: Literal["en", 1]) -> Dataset:
    return made()


def off(lang: Literal["en", "fr"] = "de") -> Dataset:  # type: ignore[assignment]
    return made()


def many(*langs: str) -> Dataset:
    return made()


def upper(Lang: str = "x") -> Dataset:
    return made()


def free(lang: str) -> Dataset:
    return made()


def undefined(lang: "Nowhere" = 1) -> Dataset:  # type: ignore[name-defined]  # noqa: F821
    return made()


def wrong_attribute(lang: "Path.nothing") -> Dataset:  # type: ignore[name-defined]
    return made()


def wrong_syntax(lang: "1 +") -> Dataset:  # type: ignore[syntax]  # noqa: F722
    return made()


def dividing(lang: "1 / 0") -> Dataset:  # type: ignore[valid-type]
    return made()


def immense(share: float = 10**400) -> Dataset:
    return made()


def endless(n: int = 10**5000) -> Dataset:
    return made()


def listing(lang: Literal["x", ["y"]]) -> Dataset:  # type: ignore[valid-type]
    return made()


@pytest.mark.parametrize(
    ("function", "options", "says"),
    [
        (wrong_attribute, {}, "cannot be read: AttributeError"),
        (wrong_syntax, {}, "cannot be read: SyntaxError"),
        (dividing, {}, "cannot be read: ZeroDivisionError"),
        (dict, {}, "cannot be read: ValueError"),
        (immense, {}, "of axis 'share' is not of its type. Give a finite number"),
        (endless, {}, "The value of type int of axis 'n' is not of its type"),
        (listing, {}, "one of these types"),
        (free, {"example": [1]}, "example=[1] gives no values to axes"),
        (free, {"example": {1: 2}}, "gives no values to axes"),
        (free, {"example": None}, "gives no values to axes"),
        (free, {"not_identity": (3,)}, "does not name axes"),
        (free, {"not_identity": 3}, "does not name axes"),
        (bad_axes, {}, "Annotate it with str"),
        (no_axes, {}, "needs an axis that is part of the identity"),
        (untyped, {}, "Annotate it with str"),
        (mixed, {}, "one of these types"),
        (off, {}, "not one of its values"),
        (many, {}, "is not an axis"),
        (upper, {}, "is not an axis"),
        (free, {}, "may have any value. Give a default, or one that is shown: example={'lang': ...}"),
        (free, {"not_identity": ("lang",)}, "part of the identity"),
        (free, {"example": {"lang": 1}}, "is not of its type"),
        (free, {"example": {"lnag": "x"}}, "Did you mean 'lang'?"),
        (undefined, {}, "cannot be read"),
        ("no function", {}, "a plain function"),
    ],
)
def test_a_function_that_is_no_family_is_refused(function, options, says):
    with pytest.raises(DefinitionError) as raised:
        Family(NAME, "A family.", function, **options)
    assert says in str(raised.value)
    assert str(raised.value).startswith(NAME)


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        (lambda: None, "Return a Dataset"),
        (lambda: made(name="org.other.x"), "Name it org.example.reviews in the function"),
        (lambda: made(aliases=("org.example.old",)), "an alias names one dataset only"),
    ],
)
def test_a_function_that_returns_something_else_is_refused(returned, says):
    def wrong(lang: Literal["en"]) -> Any:
        return returned()

    with pytest.raises(DefinitionError, match=says):
        Family(NAME, "A family.", wrong)(lang="en")


def test_an_error_of_the_function_names_its_values():
    def failing(lang: Literal["en"]) -> Dataset:
        raise KeyError(lang)

    with pytest.raises(DefinitionError, match=r"failing\(lang='en'\) raised KeyError"):
        Family(NAME, "A family.", failing)(lang="en")


def test_only_a_family_gives_the_name_of_a_member(tmp_path: Path):
    with pytest.raises(NameNotAllowed, match="Write the name of the family"):
        scaffold(f"{NAME}[lang=fr]", tmp_path)
    with pytest.raises(NameNotAllowed, match="Define it by a function"):
        made(name=f"{NAME}[lang=fr]")
    with pytest.raises(NameNotAllowed, match="without axes"):
        Family(f"{NAME}[lang=fr]", "A family.", reviews)


@pytest.fixture
def family(installed: Plugins) -> Plugins:
    installed.install("reviewing", CODE, "org.example")
    return installed


def test_the_registry_finds_members_by_name_in_any_order(family: Plugins):
    assert registry.find(f"{NAME}[size=large,lang=fr]").name == f"{NAME}[lang=fr,size=large]"
    assert registry.find(f"{NAME}[lang=fr]").name == f"{NAME}[lang=fr,size=small]"
    assert NAME not in [dataset.name for dataset in registry.definitions()]
    assert NAME in registry.names()
    assert len(registry.matching(f"{NAME}[*]")) == 4
    assert [found.name for found in registry.matching(f"{NAME}[lang=en]")] == [f"{NAME}[lang=en,size=small]"]


def test_what_is_no_member_is_answered_with_what_is(family: Plugins):
    with pytest.raises(NameNotAllowed, match=f"Give a value for lang.*dataset-assets info {NAME}"):
        registry.find(NAME)
    with pytest.raises(NameNotAllowed, match="has no lang=de"):
        registry.find(f"{NAME}[lang=de]")
    with pytest.raises(UnknownDataset, match="is one dataset, not a family"):
        registry.find("com.lecun.mnist[lang=fr]")
    with pytest.raises(UnknownDataset, match="Did you mean 'org.example.reviews'"):
        registry.find("org.example.review[lang=fr]")


def test_a_family_is_one_find_of_a_search(family: Plugins):
    found = [(dataset.name, dataset.summary) for dataset in search.search(["languages"], registry.searchable())]
    assert (NAME, "Reviews in two languages.") in found


def test_a_broken_family_hides_no_other(installed: Plugins, caplog: pytest.LogCaptureFixture):
    body = CODE.replace("return made(", 'raise OSError("gone")\n    return made(', 1)
    installed.install("reviewing", body, "org.example")
    assert "com.lecun.mnist" in [dataset.name for dataset in registry.searchable()]
    assert f"{NAME} is left out" in caplog.text


def test_a_family_and_a_dataset_of_one_name_clash(installed: Plugins, caplog: pytest.LogCaptureFixture):
    installed.install("reviewing", CODE, "org.example")
    installed.install("other", f'x = made("{NAME}")\ny = made("{NAME}.small")', "org.example")
    registry.definitions()
    assert f"{NAME}.small of" in caplog.text or f"{NAME} of" in caplog.text
    with pytest.raises(DefinitionError, match="cannot be used together"):
        registry.find(f"{NAME}[lang=fr]")


def test_an_alias_is_a_name_without_axes_and_not_that_of_a_family(family: Plugins, caplog: pytest.LogCaptureFixture):
    with pytest.raises(NameNotAllowed, match="has axes"):
        made(name="org.other.x", aliases=(f"{NAME}[lang=fr]",))
    assert registry.free_aliases(made(name="org.other.x", aliases=(NAME, "org.other.y"))) == ["org.other.y"]
    assert f"{NAME} is itself a dataset" in caplog.text


def test_a_module_may_name_a_member(installed: Plugins):
    installed.install("reviewing", CODE + '\nfrench = family(lang="fr")\n', "org.example")
    assert f"{NAME}[lang=fr,size=small]" in [dataset.name for dataset in registry.definitions()]
    assert registry.find(f"{NAME}[lang=fr]").name == f"{NAME}[lang=fr,size=small]"
