"""Listings of buckets: all keys, or a typed error, whatever a server answers and on whichever page."""

import os
from pathlib import Path
from typing import Any, Iterator

import pytest
from children import ended, in_child
from command_line import CommandLine
from listing_server import EXPIRED, HTML, PAGE, Lists, listing, rolled_up, s3_page

from dataset_assets.errors import ListingCut, StorageError, StoreDenied
from dataset_assets.storage.connectors.bucket.address import bucket_of
from dataset_assets.storage.connectors.bucket.pages import Listing
from dataset_assets.storage.connectors.bucket.store import ObjectStorage
from dataset_assets.storage.storage import level_in

KEYS = [f"a/k{i:04d}" for i in range(3500)]
PAGES = range(4)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith(("AWS_", "AZURE_")):
            monkeypatch.delenv(name)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "eHg=")


@pytest.fixture(params=["s3", "az"])
def lists(request: pytest.FixtureRequest) -> Iterator[Lists]:
    with listing(KEYS, request.param) as found:
        yield found


@pytest.fixture
def s3() -> Iterator[Lists]:
    with listing(KEYS) as found:
        yield found


def opened(lists: Lists) -> ObjectStorage:
    return ObjectStorage(bucket_of(lists.url), retries=1)


def once(page: int, answer: Any) -> Any:
    """Return a fault for the first request of a page."""
    left = [answer]
    return lambda number, asked: left.pop() if number == page and left else None


@pytest.mark.parametrize("page", PAGES)
def test_credentials_that_expire_before_any_page_are_renewed_and_the_listing_is_whole(lists: Lists, page: int) -> None:
    lists.fault = once(page, EXPIRED)
    assert [*opened(lists).list("")] == KEYS


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("page", PAGES)
def test_a_refusal_that_stays_is_an_error_on_any_page(lists: Lists, page: int, status: int) -> None:
    lists.fault = lambda number, asked: (status, b"") if len(lists.asked) > page else None
    with pytest.raises(StoreDenied, match="refused the request"):
        list(opened(lists).list(""))


WHOLE_OR_ERROR = {
    "failing": (500, b""),
    "reset": "reset",
    "half a page": (200, s3_page(KEYS[:PAGE], str(PAGE))[:-60]),
    "nothing": (200, b""),
    "a login": (200, HTML),
    "gone": (404, b""),
}


@pytest.mark.parametrize("answer", WHOLE_OR_ERROR)
@pytest.mark.parametrize("page", PAGES)
def test_what_is_no_page_is_an_error_wherever_it_comes(lists: Lists, page: int, answer: str) -> None:
    lists.fault = lambda number, asked: WHOLE_OR_ERROR[answer] if number >= page else None
    found: list[str] = []
    try:
        found = list(opened(lists).list(""))
    except StorageError:
        return
    # From the last key on S3 is asked once more.
    assert found == KEYS


def test_an_answer_that_is_no_listing_is_not_an_empty_bucket(lists: Lists) -> None:
    for body in (HTML, b"<Error><Code>InternalError</Code></Error>", b"{}"):
        lists.fault = lambda number, asked, body=body: (200, body)  # type: ignore[misc]
        with pytest.raises(StorageError):
            list(opened(lists).list(""))


def test_a_page_that_is_cut_and_names_no_next_one_is_gone_on_from(s3: Lists) -> None:
    s3.fault = lambda number, asked: None if "start-after" in asked else (200, s3_page(KEYS[:PAGE], None, True))
    assert [*opened(s3).list("")] == KEYS


def test_pages_that_come_again_and_again_are_an_error(s3: Lists) -> None:
    for number in (0, 2):
        s3.fault = (
            lambda page, asked, number=number: (  # type: ignore[misc]
                (200, s3_page(KEYS[:PAGE], str(PAGE * number))) if page >= number else None
            )
        )
        with pytest.raises(ListingCut, match="repeats its pages"):
            list(opened(s3).list(""))


def test_a_key_that_was_not_asked_for_is_an_error(lists: Lists) -> None:
    lists.keys = ["a/k1", "b/k2"]
    with pytest.raises(ListingCut, match="'b/k2', which is not in there"):
        list(opened(lists).list("a"))


@pytest.mark.parametrize("page", PAGES)
def test_a_page_without_its_last_tag_is_not_said_to_lack_credentials(s3: Lists, page: int) -> None:
    s3.fault = lambda number, asked: (200, s3_page(KEYS[:2], None)[:-19]) if number == page else None
    with pytest.raises(StorageError, match="failed at"):
        list(opened(s3).list(""))


def test_empty_pages_without_an_end_are_an_error(s3: Lists) -> None:
    s3.fault = lambda page, asked: (200, s3_page([], str(PAGE)))
    with pytest.raises(ListingCut, match="gave no key in 0 seconds"):
        list(Listing(opened(s3).clients, "", seconds=0.3))


def test_each_key_is_listed_once_and_in_any_order(lists: Lists) -> None:
    lists.keys = [*reversed(KEYS), *KEYS[:PAGE]]
    assert sorted(opened(lists).list("")) == KEYS


def test_a_listing_in_no_order_is_not_gone_on_with(s3: Lists) -> None:
    s3.keys = [*reversed(KEYS)]
    s3.fault = once(2, EXPIRED)
    with pytest.raises(StoreDenied):
        list(opened(s3).list(""))


def test_a_forked_child_is_told_of_a_refusal(s3: Lists) -> None:
    storage = opened(s3)
    assert len(list(storage.list(""))) == len(KEYS)
    s3.asked.clear()
    s3.fault = lambda number, asked: EXPIRED if len(s3.asked) > 2 else None

    def act() -> None:
        with pytest.raises(StoreDenied, match="refused the request"):
            list(storage.list(""))

    child = in_child(act, wait=False)
    assert ended(child) == 0


def test_an_object_that_may_not_be_looked_at_is_not_said_to_be_absent(s3: Lists) -> None:
    storage = opened(s3)
    for status in (401, 403, 500):
        s3.fault = lambda number, asked, status=status: (status, b"")  # type: ignore[misc]
        with pytest.raises(StorageError):
            storage.exists("a")


def test_no_verb_of_the_command_line_takes_a_refusal_for_an_empty_store(s3: Lists, tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    s3.fault = lambda number, asked: (403, b"")
    verbs = (["ls"], ["verify"], ["du"], ["gc"], ["versions", "a.b"], ["info", "a.b"], ["bundle", "--into", "x.tar"])
    for verb in [*verbs, ["copy", "--all", "--to", f"{tmp_path}/to"]]:
        option = "--from" if verb[0] == "copy" else "--storage"
        assert "refused the request" in line.run(*verb, option, s3.url, code=6).stderr


NAMES = ("current.json", "train/x")
FOLDERS = sorted([f"a/k{i:04d}/{name}" for i in range(2500) for name in NAMES] + ["a/note"])


@pytest.mark.parametrize("scheme", ["s3", "az"])
def test_one_level_of_a_folder_is_asked_for_without_what_is_below_it(scheme: str) -> None:
    with listing(FOLDERS, scheme) as lists:
        found = opened(lists).level("a")
        assert found == level_in("a", FOLDERS) and len(found.folders) == 2500
        assert len(lists.asked) == 4 or scheme == "az"


def keep(answer: Any, lists: Lists) -> Any:
    """Return a fault that answers from a page on: an answer, or the page without word of a next one, or all keys."""
    if answer == "cut":
        return lambda start, asked: (200, s3_page(rolled_up(lists.keys, "a/")[start * PAGE :][:PAGE], None))
    if answer == "no folders":
        return lambda start, asked: (200, s3_page(lists.keys, None))
    return lambda start, asked: answer


@pytest.mark.parametrize("answer", [*WHOLE_OR_ERROR.values(), "cut", "no folders"])
@pytest.mark.parametrize("page", range(3))
def test_one_level_is_whole_or_an_error_whatever_a_server_answers(page: int, answer: Any) -> None:
    with listing(FOLDERS) as lists:
        fault = keep(answer, lists)
        lists.fault = lambda number, asked: fault(number, asked) if "delimiter" in asked and number >= page else None
        try:
            assert opened(lists).level("a") == level_in("a", FOLDERS)
        except StorageError:
            assert answer not in ("cut", "no folders")
