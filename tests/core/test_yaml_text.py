"""YAML text: the values of JSON, the line of each, and nothing that makes a short text large or runs code."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.core.yaml_text import MOST_BYTES, NotYaml, read_yaml


@pytest.mark.parametrize(
    "text, value",
    [
        ("no", "no"), ("Yes", "Yes"), ("2026-01-31", "2026-01-31"), ("1_000", "1_000"), ("0o17", "0o17"),
        ("0777", "0777"), ("1:30", "1:30"), (".nan", ".nan"), ("<<", "<<"), ("'1'", "1"), ('"null"', "null"),
        ("12", 12), ("-3", -3), ("1.5", 1.5), ("1e3", 1000.0), ("true", True), ("null", None), ("~", None),
        ("9" * 40, "9" * 40), ("[a, 1]", ["a", 1]), ("\ufeffa: {b: c}", {"a": {"b": "c"}}),
        ("a:\n- |\n  x\n", {"a": ["x\n"]}),
    ],
)  # fmt: skip
def test_words_are_read_as_in_yaml_1_2(text: str, value: object) -> None:
    assert read_yaml(text.encode()).value == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text("ab:#-'\" \n{[&*!|>%@`\u00e9\U0001f600"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.1", max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_json_is_yaml_and_means_the_same(value: object) -> None:
    assert read_yaml(json.dumps(value, ensure_ascii=False).encode()).value == value


@pytest.mark.parametrize(
    "text, line, why",
    [
        ("", 1, "empty"),
        ("a: 1\nb: &x 2\n", 2, "Anchors"),
        ("a: 1\nb: *x\n", 2, "alias"),
        ("a: !!python/object:os.system x", 1, "The tag 'tag:yaml.org,2002:python/object:os.system'"),
        ("a: 1\n\n\na: 2", 4, "The key 'a' is there twice"),
        ("a: 1\n---\nb: 2", 2, "not YAML"),
        ("? [a]\n: 1", 1, "A key is a list"),
        ("a:\n  b: 1\n c: 2\n", 3, "not YAML"),
        ("a:\n\t- b", 2, "not YAML"),
        ("[" * 101 + "]" * 101, 1, "nested more than 100"),
        ("[" * 100_000, 1, "nested more than 100"),
        ("a: 1\nb: \x07", 2, "not YAML"),
        ("- " * 100_000, 1, "nested more than 100"),
        ("{a: " * 100_000, 1, "nested more than 100"),
        ("#" * (MOST_BYTES + 1), 1, "longer than"),
    ],
)
def test_what_is_not_read_is_refused_by_its_line(text: str, line: int, why: str) -> None:
    with pytest.raises(NotYaml, match=why) as caught:
        read_yaml(text.encode())
    assert caught.value.line == line


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(NotYaml, match="not UTF-8") as caught:
        read_yaml(b"a: 1\nb: \xff")
    assert caught.value.line == 2


def test_each_place_has_its_line_and_an_unknown_place_that_of_what_is_around_it() -> None:
    document = read_yaml(b"a:\n  b:\n    - 1\n    - c: 2\nd: 3\n")
    lines = {place: document.line_of(place) for place in ("a", "a.b", "a.b.0", "a.b.1", "a.b.1.c", "d")}
    assert lines == {"a": 1, "a.b": 2, "a.b.0": 3, "a.b.1": 4, "a.b.1.c": 4, "d": 5}
    assert document.line_of("a.b.1.c.x.y") == 4 and document.line_of("z") == 1
