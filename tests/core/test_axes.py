"""The axes of a family: what names write, and how it is completed."""

import doctest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.core import axes as axes_module
from dataset_assets.core import selectors
from dataset_assets.core.axes import Axis, completed, member_name
from dataset_assets.core.names import check_dataset_name, is_folder_name, key_parts, plain_name, split_member, split_pin
from dataset_assets.core.selectors import parsed, spelled
from dataset_assets.errors import NameNotAllowed, UsageError

FAMILY = "org.example.reviews"
AXES = (
    Axis("lang", "str"),
    Axis("seed", "int", "0"),
    Axis("share", "float", "0.5"),
    Axis("fast", "bool", "true", False),
)

names = st.from_regex(r"\A[a-z][a-z0-9]{0,4}\Z")
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
selections = st.dictionaries(names, texts, min_size=1, max_size=4)


def test_the_examples_in_the_docstrings_run():
    for module in (selectors, axes_module):
        found = doctest.testmod(module)
        assert found.attempted and not found.failed


@settings(max_examples=60)
@given(selections, st.randoms(use_true_random=False))
def test_a_member_has_one_name_and_one_folder_whatever_the_order(axes, random):
    items = [*axes.items()]
    random.shuffle(items)
    name = FAMILY + spelled(dict(items))
    assert parsed(name.removeprefix(FAMILY)) == axes
    assert name.isascii()
    assert name == FAMILY + spelled(axes)
    folders = key_parts(name, "train")
    assert folders[:4] == ("org", "example", "reviews", "variants")
    assert is_folder_name(plain_name(name))
    assert split_pin(f"{name}@{'0' * 64}") == (name, "0" * 64)
    assert split_member(name) == (FAMILY, axes)


@settings(max_examples=60)
@given(selections, selections)
def test_different_members_have_different_folders(one, other):
    same = one == other
    assert (key_parts(FAMILY + spelled(one)) == key_parts(FAMILY + spelled(other))) == same


def test_a_name_that_people_write_becomes_the_canonical_one():
    assert check_dataset_name(f"{FAMILY}[topic=natural language, lang=fr]") == (
        f"{FAMILY}[lang=fr,topic=natural%20language]"
    )
    assert check_dataset_name(f"{FAMILY}[a=x=y,b=%41]") == f"{FAMILY}[a=x%3Dy,b=A]"


@pytest.mark.parametrize(
    "selector",
    ["[]", "[lang]", "[=fr]", "[lang=fr,]", "[lang=fr,lang=en]", "[Lang=fr]", "[la ng=fr]", "[lang=a[b]", "[lang=%]",
     "[lang=%ff]", "[a__b=1]", "[lang=fr][size=small]", "[../x=1]", f"[lang={'x' * 400}]"],
)  # fmt: skip
def test_a_selector_that_says_no_member_is_refused(selector):
    with pytest.raises(NameNotAllowed):
        check_dataset_name(FAMILY + selector)


@pytest.mark.parametrize("name", ["reviews[lang=fr]", "[lang=fr]", "org.raw[lang=fr]", f"{FAMILY}[lang=fr]x"])
def test_the_family_of_a_member_needs_a_name_too(name):
    with pytest.raises(NameNotAllowed):
        check_dataset_name(name)


def test_values_are_completed_and_written_in_one_way():
    chosen = completed(FAMILY, AXES, {"lang": "0", "seed": "+007", "share": "1e-1", "fast": "FALSE"})
    assert chosen == {"lang": "0", "seed": "7", "share": "0.1", "fast": "false"}
    assert member_name(FAMILY, AXES, chosen) == f"{FAMILY}[lang=0,seed=7,share=0.1]"
    assert member_name(FAMILY, AXES, completed(FAMILY, AXES, {"lang": "fr"})) == f"{FAMILY}[lang=fr,seed=0,share=0.5]"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "Give a value for lang, as in org.example.reviews[lang=VALUE]"),
        ({"lang": "fr", "sed": "1"}, "no axis 'sed'. Did you mean 'seed'?"),
        ({"lang": "fr", "seed": "1.5"}, "seed=1.5 is not a whole number"),
        ({"lang": "fr", "seed": "9" * 400}, "is not a whole number"),
        ({"lang": "fr", "share": "nan"}, "share=nan is not a finite number"),
        ({"lang": "fr", "fast": "1"}, "fast=1 is not a truth value. Write true or false"),
    ],
)
def test_what_an_axis_does_not_have_is_said(given, says):
    with pytest.raises(NameNotAllowed) as raised:
        completed(FAMILY, AXES, given)
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("axis", "value"), [(0, 1), (0, "\ud800"), (1, True), (1, "1"), (2, float("inf")), (2, "1"), (3, 1)]
)
def test_a_value_of_another_type_is_refused(axis, value):
    with pytest.raises(UsageError, match="is not of its type"):
        AXES[axis].text(value)


def test_minus_zero_is_zero():
    assert AXES[2].text(-0.0) == "0.0" == AXES[2].text(0)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *((kind, value) for kind in ("int", "float", "bool", "str") for value in (10**400, [1], None)),
        *(("float", value) for value in (float("nan"), float("inf"), "1", True)),
        *(("int", value) for value in (1.0, "1", True)),
        *(("str", value) for value in ("\ud800", b"x", 1)),
        *(("bool", value) for value in (1, "true")),
    ],
)
def test_a_value_of_another_type_is_a_typed_error(kind, value):
    with pytest.raises(UsageError, match="of axis 'a' is not of its type. Give a"):
        Axis("a", kind).text(value)


@pytest.mark.parametrize("kind", ["int", "float", "bool", "str"])
def test_a_number_that_python_does_not_write_is_a_typed_error_too(kind):
    with pytest.raises(UsageError, match="The value of type int of axis 'a' is not of its type"):
        Axis("a", kind).text(-(10**5000))
