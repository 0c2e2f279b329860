"""Buckets: the shared suite on an S3 and an Azure server, what only a network does wrong, and what is never shown."""

import io
import itertools
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from servers import AZURE_KEY, SECRET, Place, Proxy

from dataset_assets.core import files
from dataset_assets.errors import StorageError, UsageError
from dataset_assets.storage import Storage, open_storage, size_of
from dataset_assets.storage.connectors.bucket import fork_client
from dataset_assets.storage.connectors.bucket.address import bucket_of
from dataset_assets.storage.connectors.bucket.store import ObjectStorage
from dataset_assets.storage.object_file import WHOLE, Changed
from dataset_assets.testing import Drop, Lost, StorageTests, storage_state_machine
from dataset_assets.testing.proxy import Answer, Rule
from dataset_assets.testing.storage import VERBS, at_once, content, file_of, sha256, some_bytes

SETTINGS = settings(max_examples=8, stateful_step_count=20, deadline=None)
KEY = "com/lecun/mnist/current.json"
LARGE = some_bytes(3 * WHOLE + 5)
PARTS = some_bytes(20_000_000)
numbers = itertools.count()


def entered(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Put what opens a server's storages into the environment."""
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    return place


def fresh(place: Place) -> str:
    """Return the URL of an empty storage."""
    return f"{place.url}{os.getpid()}/{next(numbers)}"


@pytest.fixture
def s3(seaweed: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    return entered(seaweed, monkeypatch)


@pytest.fixture
def az(azurite: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    return entered(azurite, monkeypatch)


@pytest.fixture
def bucket(s3: Place) -> Storage:
    return open_storage(fresh(s3))


@pytest.fixture
def proxied(s3: Place, proxy: Proxy) -> ObjectStorage:
    """A storage behind the proxy, which asks twice again."""
    return ObjectStorage(bucket_of(f"{fresh(s3)}?endpoint={proxy.url}"), retries=2)


class TestS3(StorageTests):
    @pytest.fixture
    def storage(self, bucket: Storage) -> Storage:
        return bucket


class TestAzure(StorageTests):
    @pytest.fixture
    def storage(self, az: Place) -> Storage:
        return open_storage(fresh(az))


def test_s3_agrees_with_a_dict(s3: Place) -> None:
    run_state_machine_as_test(storage_state_machine(lambda: open_storage(fresh(s3))), settings=SETTINGS)


def test_azure_agrees_with_a_dict(az: Place) -> None:
    run_state_machine_as_test(storage_state_machine(lambda: open_storage(fresh(az))), settings=SETTINGS)


# Reading.


def test_a_small_object_takes_two_requests_and_its_size_one(proxied: ObjectStorage, proxy: Proxy) -> None:
    proxied.put(KEY, b"x" * 1000)
    proxy.requests.clear()
    assert size_of(proxied, KEY) == 1000
    assert [method for method, _ in proxy.requests] == ["HEAD"]
    assert content(proxied, KEY) == b"x" * 1000
    assert [method for method, _ in proxy.requests] == ["HEAD", "HEAD", "GET"]


def test_a_large_object_that_is_read_on_takes_one_request_more(proxied: ObjectStorage, proxy: Proxy) -> None:
    proxied.put("a", LARGE)
    proxy.requests.clear()
    with proxied.get("a") as file:
        assert b"".join(iter(lambda: file.read(70_001), b"")) == LARGE
    assert [method for method, _ in proxy.requests] == ["HEAD", "GET"]


def test_any_jumps_in_a_large_object_read_the_bytes_that_are_there(bucket: Storage) -> None:
    bucket.put("a", LARGE)
    expected, file = io.BytesIO(LARGE), bucket.get("a")
    for at, size in ((5, 3), (WHOLE, 200_000), (WHOLE + 200_000, 10), (0, WHOLE), (len(LARGE) - 2, 9), (7, 2 * WHOLE)):
        expected.seek(at), file.seek(at)
        assert file.read(size) == expected.read(size)
        assert file.tell() == expected.tell()
    assert file.seek(0, io.SEEK_END) == len(LARGE) and file.read() == b""
    file.close()


def test_a_large_object_that_is_replaced_meanwhile_is_never_two_contents_in_one(bucket: Storage) -> None:
    bucket.put("a", LARGE)
    with bucket.get("a") as file:
        file.seek(WHOLE)
        file.read(10)
        bucket.put("a", LARGE[::-1])
        file.seek(2 * WHOLE)
        with pytest.raises(Changed, match="was replaced while it was read. Open it again"):
            file.read(10)


def test_O1_a_broken_answer_is_continued_where_it_broke(proxied: ObjectStorage, proxy: Proxy) -> None:
    proxied.put("a", LARGE)
    proxy.requests.clear()
    proxy.fault = first(2, "GET", Drop(reset=False))
    assert content(proxied, "a") == LARGE
    assert proxy.count("GET") == 3


# Faults.


def first(count: int, method: str, fault: Answer, part: str = "") -> Rule:
    """Return a fault for the first requests of a kind."""
    left = [fault] * count
    return lambda asked, path: left.pop() if asked == method and part in path and left else None


def always(fault: Answer) -> Rule:
    return lambda method, path: fault


@pytest.mark.parametrize("verb", VERBS)
def test_O1_a_server_that_asks_to_slow_down_is_asked_again(proxied: ObjectStorage, proxy: Proxy, verb: str) -> None:
    VERBS["put"](proxied, "a")
    left = [503, 500]
    proxy.fault = lambda method, path: left.pop() if left else None
    VERBS[verb](proxied, "a")
    assert not left


@pytest.mark.parametrize("verb", VERBS)
def test_O1_a_server_that_goes_on_failing_is_one_error_in_bounded_time(
    proxied: ObjectStorage, proxy: Proxy, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATASET_ASSETS_STALL_SECONDS", "0")
    proxy.fault = always(503)
    begun = time.monotonic()
    with pytest.raises(StorageError, match="failed at .*503.*after 2 retries. Nothing was published") as caught:
        VERBS[verb](proxied, "a")
    assert len(proxy.requests) == 3
    assert time.monotonic() - begun < 120
    assert caught.value.exit_code == 6


def test_a_server_that_is_not_there_is_said(s3: Place) -> None:
    storage = ObjectStorage(bucket_of("s3://datasets?endpoint=http://127.0.0.1:9"), retries=1)
    with pytest.raises(StorageError, match=r"endpoint=http://127.0.0.1:9 failed at 'a': no answer \(Connect, "):
        storage.get("a")


def test_O3_a_lost_answer_to_a_put_does_no_harm(proxied: ObjectStorage, proxy: Proxy) -> None:
    proxy.fault = first(1, "PUT", Lost())
    proxied.put("a", b"x")
    proxy.fault = first(1, "POST", Lost(), "uploadId=")
    proxied.put("b", PARTS)
    assert content(proxied, "a") == b"x" and content(proxied, "b") == PARTS


@pytest.mark.parametrize("expected", [None, b"old"])
def test_O6_a_lost_answer_to_a_swap_is_found_out(proxied: ObjectStorage, proxy: Proxy, expected: bytes | None) -> None:
    if expected:
        proxied.put("a", expected)
    proxy.fault = first(1, "PUT", Lost())
    assert proxied.swap("a", b"new", expected and sha256(expected))
    assert content(proxied, "a") == b"new"


def test_a_swap_that_was_lost_to_another_is_not_taken_for_set(proxied: ObjectStorage, proxy: Proxy) -> None:
    others = ObjectStorage(bucket_of(proxied.url.partition("?")[0]))

    def overtake(method: str, path: str) -> None:
        if method == "PUT" and not others.exists("a"):
            others.put("a", b"another")

    proxy.fault = overtake
    assert not proxied.swap("a", b"new", None)
    assert content(others, "a") == b"another"


# Uploads of several parts.


def test_an_upload_is_seen_when_all_of_it_has_arrived(proxied: ObjectStorage, proxy: Proxy) -> None:
    proxied.put("a", b"old")
    others = ObjectStorage(bucket_of(proxied.url.partition("?")[0]))
    seen = []

    def look(method: str, path: str) -> None:
        if "uploadId=" in path:
            seen.append((content(others, "a"), others.exists("b")))

    proxy.fault = look
    proxied.put("a", PARTS)
    proxied.put("b", PARTS)
    assert len(seen) >= 8 and all(old in (b"old", PARTS) and not there for old, there in seen)
    assert seen[2][0] == b"old"


def test_O3_an_upload_that_fails_is_given_up(proxied: ObjectStorage, proxy: Proxy, tmp_path: Path) -> None:
    proxied.put("a", b"old")
    proxy.fault = lambda method, path: 500 if "partNumber=2" in path else None
    with pytest.raises(StorageError):
        proxied.put("a", file_of(tmp_path, PARTS))
    assert content(proxied, "a") == b"old"
    assert proxy.count("DELETE", "uploadId=") == 1


KILLED = """
import sys
from pathlib import Path
from dataset_assets.storage import open_storage
open_storage({url!r}).put("a", Path({source!r}))
"""


def test_O3_an_upload_that_is_killed_after_part_3_of_5_leaves_what_was_there(
    proxied: ObjectStorage, proxy: Proxy, tmp_path: Path
) -> None:
    proxied.put("a", b"old")
    code = KILLED.format(url=proxied.url, source=str(file_of(tmp_path, 2 * PARTS)))

    def kill(method: str, path: str) -> int | None:
        # Parts come in odd orders: at the latest it is killed when it says that it has sent all.
        last = method == "POST" and "uploadId=" in path
        if proxy.count("PUT", "partNumber=3") and (last or "partNumber=4" in path or "partNumber=5" in path):
            child.kill()
            return 500
        return None

    proxy.fault = kill
    child = subprocess.Popen([sys.executable, "-c", code])
    assert child.wait(200) == -signal.SIGKILL
    proxy.fault = lambda method, path: None
    assert content(proxied, "a") == b"old" and list(proxied.list("")) == ["a"]
    proxied.put("a", PARTS)
    assert content(proxied, "a") == PARTS


# Listing.


def test_what_is_no_key_or_beside_the_prefix_is_not_listed(s3: Place) -> None:
    import obstore

    place = fresh(s3)
    one, other = open_storage(f"{place}/one"), open_storage(f"{place}/one-more")
    one.put("a", b"x")
    other.put("b", b"x")
    assert isinstance(one, ObjectStorage)
    store = one.clients.current("")
    for name in ("with space", ".hidden", "-dash", "a/.b"):
        obstore.put(store, f"{one.bucket.prefix}/{name}", b"x")
    assert list(one.list("")) == ["a"] and list(other.list("")) == ["b"]
    assert sorted(open_storage(place).list("")) == ["one-more/b", "one/a"]


def test_a_thousand_objects_and_more_are_listed(bucket: Storage) -> None:
    at_once(8, lambda i: [bucket.put(f"a/{i}/{n}", b"") for n in range(140)])
    assert len(set(bucket.list("a"))) == 8 * 140
    assert len(list(bucket.list("a/3"))) == 140


# URLs and credentials.


@pytest.mark.parametrize(
    "url, again",
    [
        ("s3://bucket", "s3://bucket"),
        ("S3://bucket/", "s3://bucket"),
        ("s3://bucket/a/b/", "s3://bucket/a/b"),
        ("gs://bucket/a", "gs://bucket/a"),
        (
            "s3://bucket/a?region=eu-west-1&endpoint=https%3A%2F%2Fhost:9000/",
            "s3://bucket/a?endpoint=https://host:9000&region=eu-west-1",
        ),
        (
            "az://container?account=me&endpoint=http://127.0.0.1:1/me",
            "az://container?account=me&endpoint=http://127.0.0.1:1/me",
        ),
    ],
)
def test_the_url_says_what_is_needed_and_opens_it_again(url: str, again: str) -> None:
    assert open_storage(url).url == again
    assert open_storage(again).url == again


@pytest.mark.parametrize(
    "url, says",
    [
        ("s3://key:pa55word@bucket/a", "takes no user, password"),
        ("s3://bucket/a#pa55word", "takes no user, password"),
        (
            "s3://bucket/a?secret_access_key=pa55word",
            "'secret_access_key' is not an option of this storage URL. Use endpoint or region",
        ),
        ("az://container?sas_key=pa55word", "'sas_key' is not an option of this storage URL. Use endpoint or account"),
        (
            "s3://bucket?endpoint=https://me:pa55word@host",
            "endpoint of this storage URL is not valid. Write it like https://host:port",
        ),
        ("s3://bucket?endpoint=https://host?token=pa55word", "endpoint of this storage URL is not valid"),
        ("s3://bucket?region=eu%20pa55word", "region of this storage URL is not valid. Write it like eu-west-1"),
        ("s3://", "is not the name of a bucket"),
        ("az:///a", "is not the name of a container"),
        ("s3://bucket/../a", "is not valid. Use names of letters"),
        ("s3://bucket/a b", "is not valid. Use names of letters"),
    ],
)
def test_what_is_no_bucket_is_said_without_what_may_be_secret(url: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_storage(url)
    assert says in str(caught.value)
    assert "pa55word" not in "".join(traceback.format_exception(caught.value))


def test_an_endpoint_in_the_url_goes_before_that_of_the_environment(
    s3: Place, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    open_storage(f"{fresh(s3)}?endpoint={proxy.url}").put("a", b"x")
    assert proxy.count("PUT") == 1


def test_O2_a_change_of_the_environment_is_seen_by_the_next_call(
    bucket: Storage, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("a", b"x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    bucket.put("a", b"x")
    assert proxy.count("PUT") == 1


SERVICES = {
    "s3": ("AWS_SECRET_ACCESS_KEY", "wrong-secret-pa55word", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    "az": ("AZURE_STORAGE_ACCOUNT_KEY", "d3JvbmcgcGE1NXdvcmQ=", "AZURE_STORAGE_ACCOUNT_KEY"),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("service", SERVICES)
def test_O2_wrong_credentials_are_one_error_that_says_so_and_does_not_show_them(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, service: str, verb: str
) -> None:
    place = request.getfixturevalue(service)
    variable, wrong, says = SERVICES[service]
    monkeypatch.setenv(variable, wrong)
    with pytest.raises(StorageError) as caught:
        VERBS[verb](open_storage(f"{place.url}never"), "a")
    assert "refused the request" in str(caught.value) and "403" in str(caught.value)
    assert f"Look at {says}" in str(caught.value) or says in str(caught.value)
    expect_nothing_secret(caught.value, wrong, *place.secrets)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("service", ["s3", "az"])
def test_a_bucket_that_is_missing_is_not_taken_for_an_object_that_is(
    request: pytest.FixtureRequest, service: str, verb: str
) -> None:
    place = request.getfixturevalue(service)
    with pytest.raises(StorageError, match="There is no (bucket|container) 'nowhere' at http") as caught:
        VERBS[verb](open_storage(f"{service}://nowhere/a"), "a")
    expect_nothing_secret(caught.value, *place.secrets)


def test_O2_without_credentials_it_is_said_where_they_come_from(
    s3: Place, monkeypatch: pytest.MonkeyPatch, proxy: Proxy
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    # Where a machine of the provider asks who it is; here nobody knows.
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", proxy.url)
    proxy.fault = always(404)
    with pytest.raises(StorageError, match="There are no credentials for s3://datasets. Set AWS_ACCESS_KEY_ID and"):
        ObjectStorage(bucket_of("s3://datasets"), retries=0).get("a")


def test_a_key_that_cannot_be_read_is_said_without_it(az: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "pa55word!")
    with pytest.raises(StorageError, match="Invalid Access Key") as caught:
        open_storage("az://datasets").get("a")
    expect_nothing_secret(caught.value, "pa55word!")


def test_neither_what_is_shown_nor_what_is_pickled_holds_a_secret(bucket: Storage, az: Place) -> None:
    for storage in (bucket, open_storage(fresh(az))):
        storage.put("a", b"x")
        pickled = pickle.dumps(storage)
        with storage.get("a") as file:
            shown = f"{storage} {storage!r} {vars(storage)} {file!r} {vars(file)}"
        for secret in (SECRET, AZURE_KEY):
            assert secret.encode() not in pickled and secret not in shown
        assert content(pickle.loads(pickled), "a") == b"x"


def expect_nothing_secret(error: BaseException | None, *secrets: str) -> None:
    """Look at an error, and at all from which it came."""
    shown = "".join(traceback.format_exception(error)) if error else ""
    while error is not None:
        shown += f"{error!r} {error} {error.args} {vars(error)}"
        error = error.__cause__ or error.__context__
    assert not [secret for secret in secrets if secret in shown]


# Processes.


def tried_there(storage: Storage, opened: Any, results: Any) -> None:
    """Use a storage in another process, with every verb."""
    storage.put("b", b"put there")
    found = [content(storage, "b"), opened.read() == LARGE[WHOLE:], storage.swap("b", b"swapped", sha256(b"put there"))]
    with storage.get("a") as file:
        found += [file.read() == LARGE, file.seek(5), file.read(3) == LARGE[5:8]]
    storage.delete("b")
    found += [storage.exists("b"), sorted(storage.list(""))]
    for act in (lambda: storage.get("b"), lambda: storage.put("../x", b"")):
        try:
            act()
        except Exception as error:
            found += [type(error).__name__]
    results.put(found)


USED = [b"put there", True, True, True, 5, True, False, ["a"], "FileNotFoundError", "NameNotAllowed"]


def test_a_forked_child_whose_parent_used_a_bucket_may_use_it(bucket: Storage) -> None:
    bucket.put("a", LARGE)
    with bucket.get("a") as opened:
        opened.seek(WHOLE)
        context: Any = multiprocessing.get_context("fork")
        results = context.SimpleQueue()
        child = context.Process(target=tried_there, args=(bucket, opened, results))
        child.start()
        child.join(200)
        assert child.exitcode == 0 and results.get() == USED
        assert opened.read() == LARGE[WHOLE:]


def test_what_helps_a_forked_child_ends_with_it(bucket: Storage) -> None:
    bucket.put("a", b"x")
    context: Any = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=helped, args=(bucket, results))
    child.start()
    helper = results.get()
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    with suppress(psutil.NoSuchProcess):
        ending = psutil.Process(helper)
        until = time.monotonic() + 60
        while ending.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < until
            time.sleep(0.02)


def helped(storage: Storage, results: Any) -> None:
    content(storage, "a")
    [helper] = [one.process.pid for (process, _), one in fork_client._helpers.items() if process == os.getpid()]
    results.put(helper)
    time.sleep(250)


FORKED_FIRST = """
import os, sys
from dataset_assets.storage import open_storage
from dataset_assets.storage.connectors.bucket import store as object_store
storage = open_storage({url!r})
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
with storage.get("a") as file:
    os._exit(0 if file.read() == b"x" else 1)
"""


def test_a_child_that_is_forked_before_a_bucket_was_used_may_use_it(bucket: Storage) -> None:
    bucket.put("a", b"x")
    code = FORKED_FIRST.format(url=bucket.url)
    assert subprocess.run([sys.executable, "-c", code], timeout=250, check=False).returncode == 0


WITHOUT = """
import sys
sys.modules[{module!r}] = None
from dataset_assets.storage import open_storage
try:
    open_storage({url!r})
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(
    "module, url, extra",
    [
        ("obstore", "s3://bucket", "object-store"),
        ("psycopg2", "postgresql://host/database", "sql"),
        ("sqlalchemy", "postgresql+psycopg2://host/database", "sql"),
        ("pymongo", "mongodb://host/database", "mongodb"),
    ],
)
def test_without_its_package_a_connector_says_what_to_install(module: str, url: str, extra: str) -> None:
    code = WITHOUT.format(module=module, url=url)
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.startswith("UsageError ") and f"pip install 'dataset_assets[{extra}]'" in said


def test_an_upload_reads_its_source_once_and_in_pieces(bucket: Storage, tmp_path: Path) -> None:
    source = tmp_path / "source"
    with open(source, "wb") as file:
        for _ in range(4):
            file.write(PARTS)
    bucket.put("a", source)
    with bucket.get("a") as found:
        assert files.sha256_in(found) == files.sha256_of(source)
