"""Qualified name <-> asset key <-> storage key."""

import doctest

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import dataset_assets.core.names as module
from dataset_assets.core.names import (
    LONGEST,
    RESERVED,
    check_dataset_name,
    check_identifier,
    file_identifier,
    key_parts,
    prefix_clash,
    split_pin,
    storage_key,
)
from dataset_assets.errors import NameNotAllowed
from dataset_assets.storage.keys import place_of

DIGEST = "0123456789abcdef" * 4
HOSTILE = ["", " ", ".", "..", "../x", "/etc", "a/b", "a\\b", "%2e%2e", "a%2fb", "a\0b", "x" * 10_000, "~", "~root"]
HOSTILE += ["C:x", "a b", "a\n", "\na", "a\u200b", "ä", "a__b", "_a", "a_", "-a", "a-b", "a*", "a:b", "a@b", "\ud800"]

words = st.lists(st.text("abc01", min_size=1, max_size=3), min_size=1, max_size=3).map("_".join)
pieces = st.lists(st.text("abA1", min_size=1, max_size=2), min_size=1, max_size=2)
identifiers = pieces.map(lambda found: f"x{'_'.join(found)}")
datasets = st.lists(words, min_size=2, max_size=4).map(".".join)
things = st.tuples(datasets, st.lists(identifiers, max_size=2).map(tuple))


def test_the_examples_in_the_docstrings_run():
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed


@given(things, things)
def test_two_things_never_share_a_key(one, other):
    """Unless one dataset's name begins the other's, which the registry refuses."""
    assume(one != other)
    assume(one[0] == other[0] or prefix_clash([one[0], other[0]]) is None)
    first, second = key_parts(one[0], *one[1]), key_parts(other[0], *other[1])
    assert first != second
    assert "__".join(first) != "__".join(second)
    assert storage_key(one[0], *one[1]) != storage_key(other[0], *other[1])


@given(things)
def test_what_the_law_is_about_is_what_is_allowed(thing):
    check_dataset_name(thing[0])
    for name in thing[1]:
        check_identifier(name, "split")


@given(things)
def test_a_key_taken_apart_is_the_same_key(thing):
    found = key_parts(thing[0], *thing[1])
    assert tuple("__".join(found).split("__")) == found
    assert tuple(storage_key(thing[0], *thing[1]).split("/")) == found


@given(st.lists(st.lists(st.sampled_from("ab"), min_size=2, max_size=4).map(".".join), max_size=5))
def test_a_clash_is_found_wherever_there_is_one(names):
    pairs = {(one, other) for one in names for other in names if other.startswith(f"{one}.")}
    assert bool(pairs) == (prefix_clash(names) is not None)
    assert prefix_clash(names) in (pairs or {None})


@pytest.mark.parametrize("name", ["com.lecun.mnist", "a.b", "io.github.x_y.z1", "1.2", "com.lecun." + "m" * 190])
def test_qualified_names_are_allowed(name):
    assert check_dataset_name(name) == name


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_refused_everywhere(name):
    for check in (check_dataset_name, split_pin, lambda name: check_identifier(name, "split")):
        with pytest.raises(NameNotAllowed) as caught:
            check(name)
        assert len(str(caught.value)) < 300
    for dotted in (f"com.{name}", f"{name}.com", f"com.{name}.mnist", f"com..{name}"):
        with pytest.raises(NameNotAllowed):
            check_dataset_name(dotted)


@pytest.mark.parametrize("name", ["mnist", "Com.lecun", "com.", ".com", "com..mnist", "com.mnist\n", "com.mni-st"])
def test_names_that_are_not_qualified_are_refused(name):
    with pytest.raises(NameNotAllowed, match="as in com.lecun.mnist"):
        check_dataset_name(name)


@pytest.mark.parametrize("name", [None, 5, b"com.lecun.mnist", ["com", "mnist"]])
def test_what_is_no_text_is_no_name(name):
    for check in (check_dataset_name, split_pin, lambda name: check_identifier(name, "stream")):
        with pytest.raises(NameNotAllowed):
            check(name)


def test_reserved_words_are_refused_where_they_would_be_a_folder_of_ours() -> None:
    for what in ("split", "stream"):
        for word in RESERVED[what]:
            for written in (word, word.title()):
                with pytest.raises(NameNotAllowed, match=f"{written} is reserved and cannot be the name of a {what}"):
                    check_identifier(written, what)
    for word in RESERVED["last part of a dataset's name"]:
        with pytest.raises(NameNotAllowed, match=f"{word} is reserved and cannot be the last part"):
            check_dataset_name(f"com.lecun.{word}")
        assert check_dataset_name(f"com.{word}.mnist")
    for word in RESERVED["first part of a dataset's name"]:
        with pytest.raises(NameNotAllowed, match=f"{word} is reserved and cannot be the first part"):
            check_dataset_name(f"{word}.lecun.mnist")


@pytest.mark.parametrize("word", ["data", "meta", "raw", "variants"])
def test_words_that_are_reserved_elsewhere_may_be_streams(word: str) -> None:
    assert check_identifier(word, "stream") == word
    key = f"com/lecun/mnist/train/{word}/{'0' * 64}.npy"
    place = place_of(key)
    assert place and (place.kind, place.dataset, place.name) == ("stream", "com.lecun.mnist", "train")


def test_names_have_a_longest_length():
    assert check_identifier("a" * LONGEST, "split")
    with pytest.raises(NameNotAllowed, match=r"a\.\.\. \(\d+ characters\)"):
        check_identifier("a" * (LONGEST + 1), "split")
    for check, name in (
        (check_dataset_name, "com." + "a" * LONGEST),
        (lambda name: check_identifier(name, "split"), "a" * 201),
    ):
        with pytest.raises(NameNotAllowed, match=r"is longer than 200 characters\. Choose a shorter name"):
            check(name)


@given(st.text(max_size=40))
def test_a_file_identifier_is_allowed_in_a_key_or_refused(text):
    try:
        found = file_identifier(text)
    except NameNotAllowed:
        return
    assert found.replace("_", "").isalnum()
    assert found.isascii()
    assert "__" not in found
    assert found == found.strip("_")


@pytest.mark.parametrize(
    "text, identifier",
    [("http://x.org/b.tar.gz#f?x=1/2", "b_tar_gz"), ("http://x.org/a/", "a"), ("..a..", "a"), ("Ünï1.csv", "n_1_csv")],
)
def test_a_file_identifier_is_the_last_part_of_the_url(text, identifier):
    assert file_identifier(text) == identifier


@pytest.mark.parametrize("text", ["", "/", "///", "...", "é", "a" * (LONGEST + 1)])
def test_a_url_without_a_usable_last_part_needs_a_name(text):
    with pytest.raises(NameNotAllowed, match="Pass identifier="):
        file_identifier(text)


def test_a_pin_is_a_whole_digest():
    assert split_pin("com.lecun.mnist") == ("com.lecun.mnist", None)
    assert split_pin(f"com.lecun.mnist@{DIGEST}") == ("com.lecun.mnist", DIGEST)
    assert split_pin(f"com.lecun.mnist@sha256:{DIGEST}") == ("com.lecun.mnist", DIGEST)
    assert split_pin(f"org.example.mails[to=a@b]@{DIGEST}") == ("org.example.mails[to=a%40b]", DIGEST)


@pytest.mark.parametrize("digest", ["", "main", DIGEST[:9], DIGEST.upper(), DIGEST + "0", f"../{DIGEST}", f"{DIGEST}@"])
def test_another_pin_is_refused_and_says_where_digests_are_shown(digest):
    with pytest.raises(NameNotAllowed, match="dataset-assets versions com.lecun.mnist"):
        split_pin(f"com.lecun.mnist@{digest}")
