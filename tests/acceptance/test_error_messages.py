"""What goes wrong is said: one typed error with its exit code, that names the place, what was found and what to do."""

import errno
import re
import shutil
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterator

import numpy as np
import pytest
import tiny
from conftest import url

from dataset_assets import (
    Array,
    Columns,
    Dataset,
    DerivedFile,
    RemoteFile,
    Split,
    Table,
    Text,
    load,
    prepare,
)
from dataset_assets.core.names import RESERVED
from dataset_assets.decoding import csv_rows, idx
from dataset_assets.errors import (
    CheckFailed,
    DatasetAssetsError,
    DecodeError,
    DefinitionError,
    DigestMismatch,
    NameNotAllowed,
    NoSpace,
    NotPrepared,
    RetrievalError,
    SchemaError,
    SplitFailed,
    StorageError,
    StoredFileDamaged,
    UnknownDataset,
    UnknownSplit,
)
from dataset_assets.testing import FaultyServer, Html, Status, failing
from dataset_assets.testing.datasets import gzipped, idx_bytes

NAME = "org.example.said"
SHA256 = "sha256:" + "0" * 64


def defined(function: Callable[..., Any], streams: dict[str, Any] | None = None, **arguments: Any) -> Dataset:
    return Dataset(NAME, "Samples.", streams or {"x": Array()}, {"all": Split(function, **arguments)})


def said(kind: type[DatasetAssetsError], code: int, *parts: str, act: Callable[[], object]) -> DatasetAssetsError:
    """See that an act raises one error of this very class, with this exit code and these parts of a text."""
    with pytest.raises(DatasetAssetsError) as caught:
        act()
    error = caught.value
    assert type(error) is kind, repr(error)
    assert error.exit_code == code
    text = str(error)
    for part in parts:
        assert part in text, text
    assert re.search(r"[.?]$|: dataset-assets [a-z]+( --[a-z]+)?( \S+)?$", text), f"it is no sentence: {text}"
    assert re.search(r"[.?:] .", text), f"it does not say what to do: {text}"
    return error


def refused(kind: type[DatasetAssetsError], code: int, *parts: str, dataset: Dataset) -> DatasetAssetsError:
    """See that preparing raises such an error, naming the dataset, and releases nothing."""
    error = said(kind, code, dataset.name, *parts, act=lambda: prepare(dataset))
    with pytest.raises(NotPrepared):
        load(dataset.name)
    return error


@pytest.fixture
def server(home: Path) -> Iterator[FaultyServer]:
    with FaultyServer() as server:
        yield server


# --- names that are unknown


def test_an_unknown_dataset(home: Path) -> None:
    said(
        UnknownDataset, 3, "com.lecun.minst", "Did you mean 'com.lecun.mnist'?", act=lambda: prepare("com.lecun.minst")
    )


def test_a_dataset_that_is_not_prepared(home: Path) -> None:
    act = lambda: load("com.lecun.mnist")  # noqa: E731
    with pytest.raises(
        NotPrepared, match=r"com.lecun.mnist is not in file://.*Make it with: dataset-assets prepare com.lecun.mnist"
    ):
        act()


def test_an_unknown_split(home: Path, dataset: Dataset) -> None:
    prepare(dataset)
    with pytest.raises(UnknownSplit, match="org.example.tiny has no split 'tain'. Did you mean 'train'?") as caught:
        load(tiny.NAME, "tain")
    assert caught.value.exit_code == 3


# --- names that are not allowed


@pytest.mark.parametrize(
    "name",
    [
        "mnist",
        "Com.lecun",
        "com.lecun.",
        "com..lecun",
        "com.lecun.raw",
        "../com.x",
        "com.le cun",
        "com.a__b",
        "com.x\0",
        "",
        7,
        "a." + "b" * 300,
    ],
)
def test_a_name_of_a_dataset(name: Any) -> None:
    act = lambda: Dataset(name, "Samples.", {"x": Array()}, {"all": Split(few)})  # noqa: E731
    with pytest.raises(NameNotAllowed) as caught:
        act()
    assert caught.value.exit_code == 2


def named(what: str, name: str) -> Dataset:
    streams, splits = (
        ({name: Array()}, {"all": Split(few)}) if what == "stream" else ({"x": Array()}, {name: Split(few)})
    )
    return Dataset(NAME, "Samples.", streams, splits)


@pytest.mark.parametrize("name", ["1st", "a b", "a-b", "a__b", "../x", "", "ä"])
@pytest.mark.parametrize("what", ["stream", "split"])
def test_a_name_of_a_stream_or_split(name: str, what: str) -> None:
    said(NameNotAllowed, 2, NAME, f"the name of a {what}", act=lambda: named(what, name))


@pytest.mark.parametrize("what", ["stream", "split"])
def test_a_name_that_is_reserved(what: str) -> None:
    for name in sorted(RESERVED[what]):
        said(
            NameNotAllowed,
            2,
            NAME,
            f"{name} is reserved and cannot be the name of a {what}",
            act=lambda name=name: named(what, name),
        )


@pytest.mark.parametrize("what", ["streams", "splits"])
def test_two_names_that_are_one_folder_on_some_disks(what: str) -> None:
    streams, splits = {"x": Array()}, {"train": Split(few)}
    twice = {"streams": {"x": Array(), "X": Array()}, "splits": {"train": Split(few), "Train": Split(few)}}
    both = {"streams": streams, "splits": splits} | {what: twice[what]}
    said(NameNotAllowed, 2, NAME, "differ only in case", act=lambda: Dataset(NAME, "Samples.", **both))


@pytest.mark.parametrize("identifier", ["a-b", "../x", "a/b", ".x", "a__b", "a b"])
def test_an_identifier_of_a_file(identifier: str) -> None:
    act = lambda: RemoteFile("https://example.org/x.csv", identifier=identifier)  # noqa: E731
    with pytest.raises(NameNotAllowed):
        act()


def test_two_files_of_one_identifier() -> None:
    one, other = RemoteFile("https://ada:pw@a.example/x.csv?key=s"), RemoteFile("https://b.example/X.csv")
    error = said(
        DefinitionError,
        2,
        NAME,
        "identifier 'X_csv'",
        "https://a.example/x.csv",
        "https://b.example/X.csv",
        "identifier=",
        act=lambda: defined(two, one=one, other=other),
    )
    assert "pw" not in str(error)
    assert "key" not in str(error)
    said(DefinitionError, 2, "identifier 'x_csv'", act=lambda: defined(two, one=one, other=DerivedFile("x.csv", few)))


def test_files_that_are_equal_may_be_written_twice() -> None:
    def derived() -> DerivedFile:
        return DerivedFile("y.csv", two, one=RemoteFile("https://a.example/x.csv"), other=1)

    assert defined(two, one=derived(), other=derived()).files.keys() == {"x_csv", "y_csv"}


def few() -> Iterator[Any]:
    yield {"x": 1}


def two(one: Any, other: Any) -> Iterator[Any]:
    yield {"x": 1}


# --- definitions that cannot be


@pytest.mark.parametrize(
    ("parts", "make"),
    [
        (["plain http", "Use https, or state a digest"], lambda: RemoteFile("http://example.org/x.csv")),
        (["plain http", "http://example.org/x.csv "], lambda: RemoteFile("http://ada:pw@example.org/x.csv?token=1")),
        (["'x.csv' is not a URL", "mirrors"], lambda: RemoteFile("x.csv")),
        (["The URL of a file is not valid"], lambda: RemoteFile("https://[::1/x.csv")),
        (["is not a digest", "sha256:<64"], lambda: RemoteFile("https://a.example/x", digest="sha256:12")),
        (["is not a digest"], lambda: RemoteFile("https://a.example/x", digest="d41d8cd98f00b204e9800998ecf8427e")),
        (["size of x is -1"], lambda: RemoteFile("https://a.example/x", size=-1)),
        (["is not a plain function", "by name"], lambda: Split(partial(two, 1), other=2)),
        (["is not a plain function"], lambda: Split("few")),
        (["cannot be called with three", "missing a required argument"], lambda: Split(two, three=1)),
        (["Argument 'other' is (1, 2)", "no tuples"], lambda: Split(two, one=1, other=(1, 2))),
        (["Argument 'other'"], lambda: Split(two, one=1, other=float("nan"))),
        (["Argument 'other'"], lambda: Split(two, one=1, other="\ud800")),
        ([NAME, "needs a summary"], lambda: Dataset(NAME, "", {"x": Array()}, {"all": Split(few)})),
        ([NAME, "Stream 'x' is 1, not a format"], lambda: defined(few, {"x": 1})),
        ([NAME, "Split 'all' is", "Write Split("], lambda: Dataset(NAME, "S.", {"x": Array()}, {"all": few})),  # type: ignore[dict-item]
        ([NAME, "The sample is 'y'", "There are: x."], lambda: replace(defined(few), sample="y")),
        (
            [NAME, "no check 'leekage'", "Did you mean 'leakage'?"],
            lambda: replace(defined(few), checks={"leekage": "warn"}),
        ),
        ([NAME, "'leakage' is set to 'ward'", "'warn'"], lambda: replace(defined(few), checks={"leakage": "ward"})),
        ([NAME, "'counts' is a built-in check"], lambda: replace(defined(few), checks={"counts": len})),
        ([NAME, "Check 'mine' is 3"], lambda: replace(defined(few), checks={"mine": 3})),  # type: ignore[dict-item]
        ([NAME, "The version is 2"], lambda: replace(defined(few), version=2)),  # type: ignore[arg-type]
        ([NAME, "refresh='daily'", "cron"], lambda: replace(defined(few), refresh="daily")),
    ],
)
def test_a_definition_that_cannot_be(parts: list[str], make: Callable[[], object]) -> None:
    said(DefinitionError, 2, *parts, act=make)


def test_plain_http_with_a_digest_or_on_this_machine_is_allowed() -> None:
    assert RemoteFile("http://example.org/x.csv", digest=SHA256)
    assert RemoteFile("http://127.0.0.1:8000/x.csv")


# --- sources


def test_a_wrong_digest(server: FaultyServer) -> None:
    server.files["/x.csv"] = b"x\n1\n"
    file = RemoteFile(server.url + "/x.csv", digest=SHA256)
    refused(
        DigestMismatch,
        4,
        "file x_csv",
        server.url,
        "has sha256 ",
        f"not the {'0' * 64} it was defined with",
        "discarded",
        dataset=defined(rows, table=file),
    )


def test_a_wrong_size(server: FaultyServer) -> None:
    server.files["/x.csv"] = b"x\n1\n"
    refused(
        DigestMismatch,
        4,
        "file x_csv",
        "has 4 bytes, not 5",
        dataset=defined(rows, table=RemoteFile(server.url + "/x.csv", size=5)),
    )


def test_a_missing_file(server: FaultyServer) -> None:
    refused(
        RetrievalError,
        5,
        "file gone_csv",
        f"{server.url}/gone.csv answered 404 Not Found",
        "add a mirror",
        dataset=defined(rows, table=RemoteFile(server.url + "/gone.csv")),
    )


def test_a_web_page_instead_of_data(server: FaultyServer) -> None:
    server.files["/x.csv"] = b"x\n1\n"
    for digest in (None, SHA256):
        server.script("/x.csv", [Html("Sign in")])
        refused(
            RetrievalError,
            5,
            "file x_csv",
            "got an HTML page (title 'Sign in')",
            "a browser",
            dataset=defined(rows, table=RemoteFile(server.url + "/x.csv", digest=digest)),
        )


def test_mirrors_of_which_none_answers(server: FaultyServer) -> None:
    server.script("/a/x.csv", [Status(403)])
    file = RemoteFile("x.csv", mirrors=(server.url + "/a/", server.url + "/b/"))
    refused(
        RetrievalError,
        5,
        "None of 2 URLs",
        "/a/x.csv answered 403",
        "/b/x.csv answered 404",
        dataset=defined(rows, table=file),
    )


def rows(table: Any) -> Iterator[Any]:
    for row in csv_rows(table):
        yield {"x": int(row["x"])}


# --- raw files that are not what they were taken for

IMAGES = idx_bytes(np.arange(48).reshape(3, 4, 4))


def images(file: Any) -> Iterator[Any]:
    yield Columns(x=idx(file))


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        (gzipped(IMAGES)[:-9], ["truncated", "at byte", "Retrieve it again"]),
        (gzipped(IMAGES)[:20], ["truncated", "at byte 20"]),
        (b"\0\0\x77\x03" + IMAGES[4:], ["type 0x77", "0x08"]),
        (b"PK\x03\x04" + IMAGES[4:], ["begins with the 4 bytes b'PK", "IDX"]),
        (IMAGES[:-1], ["ends early", "3 x 4 x 4 values, 48 bytes; there are 47"]),
        (IMAGES[:10], ["ends inside its IDX header, at byte 10"]),
        (b"", ["begins with the 0 bytes"]),
        (IMAGES + b"x", ["is too long", "1 bytes follow"]),
    ],
)
def test_an_idx_file_that_is_none(server: FaultyServer, data: bytes, parts: list[str]) -> None:
    server.files["/x.gz"] = data
    refused(DecodeError, 4, "split all", *parts, dataset=defined(images, file=RemoteFile(server.url + "/x.gz")))


# --- samples that do not fit


def yields(*values: Any) -> Callable[..., Iterator[Any]]:
    def function() -> Iterator[Any]:
        yield from values

    return function


TWO = {"x": Array(), "y": Array()}
MANY = 3000


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ([{"x": 1, "y": 1}, {"x": 1}], ["sample 1", "streams x; missing: y, unknown: none", "each declared stream"]),
        (
            [{"x": 1, "y": 1}] * MANY + [{"x": 1, "yy": 2}],
            [f"sample {MANY}", "missing: y, unknown: yy. Did you mean 'y'?"],
        ),
        ([{"x": 1, "y": 1, "z": 1}], ["sample 0", "missing: none, unknown: z"]),
        ([{}], ["streams none; missing: x, y"]),
        ([{"x": 1, "y": 1}, (1, 2)], ["sample 1", "yielded a tuple", "Yield a mapping"]),
        ([{"x": 1, "y": 1}, None], ["sample 1", "yielded a NoneType"]),
        (
            [{"x": 1, "y": 1}] * MANY + [{"x": 1.5, "y": 1}],
            [f"sample {MANY}", "stream x", "float64", "int64", "declare"],
        ),
        ([{"x": 1, "y": 1}, {"x": 1, "y": True}], ["sample 1", "stream y", "bool", "int64"]),
        ([{"x": np.zeros(2), "y": 1}, {"x": np.zeros(3), "y": 1}], ["sample 1", "stream x", "(3,)", "(2,)"]),
        (
            [Columns(x=np.zeros(2), y=np.zeros(2)), Columns(x=np.zeros(2, "f4"), y=np.zeros(2))],
            ["sample 2", "stream x", "float32"],
        ),
        ([Columns(x=[1], y=[1]), Columns(x=[1])], ["sample 1", "missing: y"]),
        ([], ["no values to take a dtype from", "Declare it"]),
    ],
    ids=lambda value: value[0][:30] if isinstance(value[0] if value else 0, str) else "",
)
def test_a_sample_that_does_not_fit(home: Path, values: list[Any], parts: list[str]) -> None:
    refused(SchemaError, 4, "split all", *parts, dataset=defined(yields(*values), TWO))


def test_a_shape_that_is_not_the_declared_one(home: Path) -> None:
    dataset = defined(yields({"x": [1, 2]}), {"x": Array(shape=(3,))})
    refused(SchemaError, 4, "stream x", "sample 0", "(2,)", "(3,)", dataset=dataset)


def test_a_value_that_the_declared_dtype_cannot_hold(home: Path) -> None:
    dataset = defined(yields({"x": 255}, {"x": 256}), {"x": Array("uint8")})
    refused(SchemaError, 4, "stream x", "sample 1", "256", "uint8", dataset=dataset)


def test_a_value_of_another_kind(home: Path) -> None:
    refused(SchemaError, 4, "stream x", "int", dataset=defined(yields({"x": "a"}, {"x": 5}), {"x": Text()}))
    row = defined(yields({"x": {"a": 1}}, {"x": {"b": 1}}), {"x": Table({"a": "int64"})})
    refused(SchemaError, 4, "stream x", "b", dataset=row)


def test_columns_of_different_lengths(home: Path) -> None:
    def uneven() -> Iterator[Any]:
        yield Columns(x=np.zeros(5), y=np.zeros(4))

    refused(
        SchemaError, 4, "split all", "x has 5, y has 4", "same number of values for each", dataset=defined(uneven, TWO)
    )


def test_a_column_that_ends_early_in_a_frame(home: Path) -> None:
    def frames() -> Iterator[Any]:
        import pandas

        yield pandas.DataFrame({"x": [1, 2]})
        yield pandas.DataFrame({"x": [1], "y": [2]})

    refused(SchemaError, 4, "sample 0", "missing: y", dataset=defined(frames, TWO))


# --- functions that fail


def test_a_function_that_raises_keeps_its_own_traceback(home: Path) -> None:
    def breaking() -> Iterator[Any]:
        for k in range(MANY):
            yield {"x": k}
        raise KeyError("width")

    error = refused(
        SplitFailed,
        1,
        "split all",
        "the function ",
        "breaking raised KeyError after 3000 samples",
        "test_error_messages.py:",
        "'width'",
        dataset=defined(breaking),
    )
    cause = error.__cause__
    assert isinstance(cause, KeyError)
    trace = cause.__traceback__
    names = []
    while trace:
        names.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert "breaking" in names


def test_a_function_that_raises_before_it_yields(home: Path) -> None:
    def at_once() -> Any:
        raise ValueError("no header")

    error = refused(SplitFailed, 1, "at_once raised ValueError after 0 samples", "no header", dataset=defined(at_once))
    assert isinstance(error.__cause__, ValueError)


def test_a_function_that_ends_the_process_does_not(home: Path) -> None:
    def ending() -> Any:
        yield {"x": 1}
        sys.exit(3)

    refused(SplitFailed, 1, "ending raised SystemExit after 1 sample", dataset=defined(ending))


@pytest.mark.parametrize(
    ("returned", "shown"),
    [
        (None, "returned None"),
        ({"x": 1}, "returned a dict"),
        (Columns(x=[1]), "returned a Columns"),
        (5, "returned a int"),
        ("x", "a str"),
    ],
)
def test_a_function_that_does_not_yield(home: Path, returned: Any, shown: str) -> None:
    def plain() -> Any:
        return returned

    refused(
        SchemaError, 4, "split all", "plain " + shown if "returned" in shown else shown, "yield", dataset=defined(plain)
    )


def test_a_function_that_returns_a_list_is_as_good(home: Path) -> None:
    def listed() -> list[Any]:
        return [{"x": 1}, {"x": 2}]

    assert len(prepare(defined(listed))["all"]) == 2


def test_a_derived_file_that_is_not_bytes(home: Path) -> None:
    def words() -> Iterator[Any]:
        yield "text"

    refused(
        SchemaError, 4, "file y_csv", "words yielded a str", dataset=defined(rows, table=DerivedFile("y.csv", words))
    )
    refused(SchemaError, 4, "returned a bytes", dataset=defined(rows, table=DerivedFile("y.csv", _at_once)))
    refused(SplitFailed, 1, "file y_csv", "after 2 bytes", dataset=defined(rows, table=DerivedFile("y.csv", _breaking)))


def _at_once() -> Any:
    return b"x\n1\n"


def _breaking() -> Iterator[bytes]:
    yield b"x\n"
    raise OSError("no more")


# --- the disk


def test_no_space(home: Path, dataset: Dataset) -> None:
    with failing(20, "ENOSPC"):
        error = said(
            NoSpace, 6, "No space left for", str(home), "MB free", "DATASET_ASSETS_HOME", act=lambda: prepare(dataset)
        )
    assert isinstance(error, OSError)
    assert error.errno == errno.ENOSPC


def test_a_scratch_folder_that_is_taken_away(home: Path, dataset: Dataset) -> None:
    def cleaning(numbers: Any) -> Iterator[Any]:
        yield {"x": 1}
        shutil.rmtree(home / "scratch")

    splits = {"a": Split(cleaning, numbers=dataset.remote_files["numbers_csv"])}
    dataset = replace(defined(few), splits={**splits, "b": Split(few)})
    said(StorageError, 6, str(home / "scratch"), "taken away", "run it again", act=lambda: prepare(dataset))
    with pytest.raises(NotPrepared):
        load(NAME)


@pytest.mark.parametrize(
    ("damage", "parts"), [(None, ["is gone"]), (b"x", ["has 1 bytes, not the "])], ids=["gone", "of another size"]
)
def test_a_stored_file_that_is_not_what_it_was(
    home: Path, dataset: Dataset, damage: bytes | None, parts: list[str]
) -> None:
    prepare(dataset)
    path = next((home / "storage").rglob("train/image/*.npy"))
    path.unlink()
    if damage is not None:
        path.write_bytes(damage)
    said(
        StoredFileDamaged,
        4,
        f"Stream image of {tiny.NAME}, split train, file",
        path.name,
        *parts,
        f"Repair it with: dataset-assets prepare {tiny.NAME}",
        act=lambda: load(tiny.NAME),
    )


# --- checks


def test_a_leak(home: Path, dataset: Dataset) -> None:
    same = replace(dataset, splits={"train": dataset.splits["train"], "test": dataset.splits["train"]})
    error = refused(
        CheckFailed, 9, "leakage: 6 samples of test are also in train: test[0] = train[0]", "checks={", dataset=same
    )
    refused_version = next(word for word in str(error).split() if word.startswith(f"{tiny.NAME}@"))
    assert len(load(refused_version.rstrip(";"))["test"]) == 6


def test_an_empty_split(home: Path) -> None:
    refused(
        CheckFailed, 9, "all.counts: The split has no samples", "@", dataset=defined(yields(), {"x": Array("int64")})
    )


def test_labels_out_of_range(home: Path) -> None:
    dataset = defined(yields({"x": 0}, {"x": 7}, {"x": -1}), {"x": Array(classes=("a", "b"))})
    refused(
        CheckFailed,
        9,
        "all.classes: x has 2 values that are none of its 2 classes, first 7 in sample 1",
        dataset=dataset,
    )


def test_a_check_of_ones_own_that_raises(home: Path) -> None:
    def mine(views: Any) -> str | None:
        return views["train"]  # type: ignore[no-any-return]

    dataset = replace(defined(yields({"x": 0})), checks={"mine": mine})
    error = said(CheckFailed, 9, "the check mine itself raised KeyError", act=lambda: prepare(dataset))
    assert isinstance(error.__cause__, KeyError)


@pytest.mark.parametrize("returned", [True, False, 0])
def test_a_check_of_ones_own_that_answers_neither_text_nor_none(home: Path, returned: Any) -> None:
    def mine(views: Any) -> Any:
        return returned

    dataset = replace(defined(yields({"x": 0})), checks={"mine": mine})
    said(DefinitionError, 2, f"the check mine returned {returned}", "or None", act=lambda: prepare(dataset))


def test_no_message_shows_a_secret(server: FaultyServer) -> None:
    host = server.url.removeprefix("http://")
    file = RemoteFile(f"http://ada:hidden@{host}/x.csv?token=hidden")
    error = refused(RetrievalError, 5, "404", dataset=defined(rows, table=file))
    assert "hidden" not in str(error)


def test_places_of_files_are_named_once(folder: Path, home: Path) -> None:
    (folder / "numbers.csv").write_bytes(b"zero,\n" * 10)
    error = refused(
        SplitFailed, 1, "split train", "samples raised ValueError after 0 samples", dataset=tiny.tiny(url(folder))
    )
    assert str(error).count(tiny.NAME) == 1
