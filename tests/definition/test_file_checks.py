"""The identifier, digest and URL of a file are checked when it is defined."""

import re
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.core.names import file_identifier
from dataset_assets.definition.file_checks import (
    DIGEST_LENGTHS,
    check_digest,
    check_file_identifier,
    check_url,
    without_secrets,
)
from dataset_assets.errors import DefinitionError, NameNotAllowed


@given(st.sampled_from(sorted(DIGEST_LENGTHS)), st.data())
def test_a_digest_has_the_length_of_its_algorithm_and_becomes_lower_case(algorithm: str, data: st.DataObject) -> None:
    length = DIGEST_LENGTHS[algorithm]
    value = data.draw(st.text("0123456789abcdefABCDEF", min_size=length, max_size=length))
    assert check_digest(f"{algorithm}:{value}") == f"{algorithm}:{value.lower()}"
    for wrong in (value, f"{algorithm}:{value}0", f"{algorithm}:{value[:-1]}", f"{algorithm}:{value[:-1]}g", ""):
        with pytest.raises(DefinitionError, match="is not a digest"):
            check_digest(wrong)


def test_plain_http_needs_a_digest_but_on_this_machine() -> None:
    for url in ("https://a.example/x", "http://127.0.0.1/x", "http://localhost:8000/x", "file:///x"):
        check_url(url, None)
    check_url("http://a.example/x", "sha256:" + "0" * 64)
    with pytest.raises(DefinitionError, match="^http://a.example/x is plain http"):
        check_url("http://ada:pw@a.example/x?token=1", None)


def test_an_identifier_is_what_is_made_from_a_name() -> None:
    assert check_file_identifier("train_csv") == "train_csv"
    with pytest.raises(NameNotAllowed, match="Use 'train_csv' instead"):
        check_file_identifier("train.csv")


@given(
    st.text() | st.sampled_from(["../x", "/etc", "a/b", ".", "", "%2e%2e", "a\0b", "a" * 10_000, "..\\x", "x?/../y"])
)
def test_no_url_makes_an_identifier_that_leaves_its_folder(name: str) -> None:
    """S3: of a name that may hold anything."""
    for url in (name, f"https://a.example/{name}", f"https://a.example/x/{name}?y=/../z"):
        try:
            identifier = file_identifier(url)
        except NameNotAllowed:
            continue
        assert re.fullmatch("[A-Za-z0-9_]{1,200}", identifier)


def test_a_url_is_shown_without_login_query_and_fragment() -> None:
    assert without_secrets(urlsplit("https://ada:pw@a.example:1/x?token=1#top")) == "https://a.example:1/x"
