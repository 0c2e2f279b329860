"""The formats: what they promise, each of them."""

import datetime
import json
from pathlib import Path
from typing import Any, Sequence

import numpy as np
import pyarrow
import pytest

from dataset_assets.errors import DecodeError, IntegrityError
from dataset_assets.formats import Array, Bytes, Files, Format, Json, Ragged, Table, Text, format_named
from dataset_assets.testing import FormatTests
from dataset_assets.testing.formats import digests, written


def arrow_table(path: Path) -> Any:
    """Return a file as Arrow's own reader does."""
    with pyarrow.OSFile(str(path)) as file:
        return pyarrow.ipc.open_file(file).read_all()


class NumpyTests(FormatTests):
    def read_elsewhere(self, path: Path) -> Sequence[Any]:
        return list(np.load(path, allow_pickle=False))


class ArrowTests(FormatTests):
    def read_elsewhere(self, path: Path) -> Sequence[Any]:
        return arrow_table(path).column("value").to_pylist()


class TestArrayOfPictures(NumpyTests):
    @pytest.fixture
    def format(self) -> Format:
        return Array()

    @pytest.fixture
    def values(self) -> list[Any]:
        return [np.arange(12, dtype=np.uint8).reshape(3, 4) + k for k in range(7)]


class TestArrayOfLabels(NumpyTests):
    @pytest.fixture
    def format(self) -> Format:
        return Array(classes=("cat", "dog"), dtype="uint8")

    @pytest.fixture
    def values(self) -> list[Any]:
        return [0, 1, 1, 0, 1, 0]


class TestArrayOfRecords(NumpyTests):
    @pytest.fixture
    def format(self) -> Format:
        return Array()

    @pytest.fixture
    def values(self) -> list[Any]:
        kind = np.dtype([("at", "<f4", (2,)), ("name", "<U3"), ("inner", [("flag", "?"), ("day", "<M8[D]")])])
        return [np.array(((k, 0.5), "äb"[: k % 3], (k % 2, f"2020-01-{k + 1:02}")), kind) for k in range(5)]

    def same(self, read: Any, written: Any) -> bool:
        return (read.dtype, read.tobytes()) == (written.dtype, written.tobytes())


class TestText(ArrowTests):
    @pytest.fixture
    def format(self) -> Format:
        return Text()

    @pytest.fixture
    def values(self) -> list[Any]:
        return ["plain", "", "ünï€ 🐈", "a\0b\n", "x" * 300, ""]


class TestBytes(ArrowTests):
    @pytest.fixture
    def format(self) -> Format:
        return Bytes()

    @pytest.fixture
    def values(self) -> list[Any]:
        return [b"plain", b"", bytes(range(256)), b"\0", b"x" * 300, b""]


class TestFiles(FormatTests):
    @pytest.fixture
    def format(self) -> Format:
        return Files()

    @pytest.fixture
    def values(self) -> list[Any]:
        return [("a.txt", b"hello"), ("b/ü.png", b""), ("a.txt", b"again"), ("", b"\0" * 99), ("../e", b"x")]

    def read_elsewhere(self, path: Path) -> Sequence[Any]:
        return [(row["name"], row["data"]) for row in arrow_table(path).to_pylist()]


class TestRagged(ArrowTests):
    @pytest.fixture
    def format(self) -> Format:
        return Ragged()

    @pytest.fixture
    def values(self) -> list[Any]:
        return [np.arange(k % 4, dtype=np.int32) + k for k in range(9)]

    def same(self, read: Any, written: Any) -> bool:
        return super().same(np.asarray(read, np.int32), written)


class TestRaggedPoints(FormatTests):
    @pytest.fixture
    def format(self) -> Format:
        return Ragged(dtype="float16", shape=(2, 1))

    @pytest.fixture
    def values(self) -> list[Any]:
        return [np.full((k % 3, 2, 1), k / 2, np.float16) for k in range(6)]


class TestRaggedFlags(FormatTests):
    @pytest.fixture
    def format(self) -> Format:
        return Ragged()

    @pytest.fixture
    def values(self) -> list[Any]:
        return [np.arange(k % 5) % 2 == 0 for k in range(9)]


class TestRaggedInEveryAxis(FormatTests):
    @pytest.fixture
    def format(self) -> Format:
        return Ragged(shape=(None, 2))

    @pytest.fixture
    def values(self) -> list[Any]:
        return [
            np.arange(h * w * 2, dtype=np.uint16).reshape(h, w, 2) for h, w in ((2, 3), (0, 3), (3, 1), (1, 0), (4, 4))
        ]


class TestJson(FormatTests):
    @pytest.fixture
    def format(self) -> Format:
        return Json()

    @pytest.fixture
    def values(self) -> list[Any]:
        return [{"b": 1, "a": [0.1, -0.0, 1e300, 2**200]}, [], None, {"a": {"ü": [{}, True]}}, "07", 5, 5.0]

    def read_elsewhere(self, path: Path) -> Sequence[Any]:
        return [json.loads(text) for text in arrow_table(path).column("value").to_pylist()]


class TestTable(FormatTests):
    @pytest.fixture
    def format(self) -> Format:
        return Table()

    @pytest.fixture
    def values(self) -> list[Any]:
        day = datetime.date(2020, 1, 31)
        moment = datetime.datetime(2020, 1, 31, 12, 0, 0, 5)
        return [
            {"a": 1, "b": "x", "c": True, "d": day, "e": 0.5, "f": moment, "g": b"\xff", "h": [1, 2]},
            {"a": None, "b": None, "c": None, "d": None, "e": None, "f": None, "g": None, "h": None},
            {"a": 3, "b": "", "c": False, "d": day, "e": float("inf"), "f": moment, "g": b"", "h": []},
            {"a": 2**62, "b": "ü", "c": None, "d": None, "e": -0.0, "f": None, "g": b"\0", "h": [None]},
            {"a": -5, "b": "yy", "c": True, "d": day, "e": None, "f": moment, "g": None, "h": [3]},
        ]

    @pytest.fixture
    def first(self, values: list[Any]) -> Any:
        return values[0]

    def read_elsewhere(self, path: Path) -> Sequence[Any]:
        return arrow_table(path).to_pylist()


STORED: dict[str, tuple[Format, list[Any], str]] = {
    "array": (
        Array(),
        [np.arange(6, dtype=np.int16).reshape(2, 3), np.zeros((2, 3), np.int16)],
        "5c1c4f7f58a2b063f356d8eba881a02e4c4c6c7edd08a90cada060554cf8b681",
    ),
    "array of labels": (
        Array("uint8", classes=("cat", "dog")),
        [0, 1, 1],
        "0d3384f6f87ca04cc09ded856150225c97988e486492b16e2a24ca2002e8cc09",
    ),
    "array of records": (
        Array(),
        [np.array((1, "ab"), [("x", "<f4"), ("y", "<U2")])] * 2,
        "0175424321806725e3654d7ff6915b74e35094ca27d905948130e061dc853a4e",
    ),
    "text": (Text(), ["one", "zwölf", ""], "c818dc3b8d13df43f0507586afa91d3af4ca8c09775bd93f7fbd70fea14fab7e"),
    "bytes": (Bytes(), [b"\0\xff", b""], "5cf9d229182f79fa41b8177cf4d8df73be8d965d1b2eb5c02c5b2e3ccd41fd54"),
    "files": (
        Files(),
        [("a.txt", b"hello"), ("b", b"")],
        "05e809fc3e8ba7d22c7a62900d6cb5c53519e95f8b6e2b6548801ca71fee7690",
    ),
    "ragged": (Ragged("int64"), [[1, 2], [], [3]], "7badf1f8041340bffae64607e14163ca07d1d8b1bac37b2c0871cb253eda9665"),
    "ragged flags": (
        Ragged(shape=(2,)),
        [[[True, False]], []],
        "687cb9796c04408a2ed29367816cdeecebb8c6f7b5931ec50d226f52944fd0d6",
    ),
    "json_values": (
        Json(),
        [{"b": 1, "a": 0.5}, [], "ü"],
        "3667584af064084093209858242bcfb005c74d33e56cb77f9049009dff96c243",
    ),
    "ragged in every axis": (
        Ragged("int64", (None,)),
        [[[1, 2]], [], [[3], [4]]],
        "ec284fcd084b08f6c8318f1cc773555b845819de21b8ddaddd035e79396f9cba",
    ),
    "table": (
        Table(),
        [{"a": 1, "b": "x", "c": True}, {"a": None, "b": None, "c": None}, {"a": 3, "b": "", "c": False}],
        "5f151c617f852e8f887441f52fc6675bcfcb7431d98e1f51d4b930b5ec96eac7",
    ),
}


@pytest.mark.parametrize("name", STORED)
def test_the_bytes_that_are_written_have_not_changed(name: str, tmp_path: Path) -> None:
    format, values, digest = STORED[name]
    parts, _ = written(format, [values], tmp_path)
    assert digests(parts) == [digest], "stored datasets would be made anew; is that meant?"


def test_a_format_that_is_not_installed_is_named_with_its_neighbour() -> None:
    with pytest.raises(IntegrityError, match="No format 'arrray' is installed. Did you mean 'array'?"):
        format_named("arrray", {})


@pytest.mark.parametrize("parameters", [{"dtype": "nonsense"}, {"colour": "red"}, {"shape": [-1]}, {"shape": "x"}])
def test_parameters_that_cannot_be_are_an_integrity_error(parameters: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match="The format 'array' does not accept the parameters"):
        format_named("array", parameters)


WRONG = [
    (Array("int64"), [1, 2], Text()),
    (Array("int64"), [1, 2], Array("int32")),
    (Array("int64"), [1, 2], Array("int64", shape=(3,))),
    (Text(), ["a"], Bytes()),
    (Text(), ["a"], Ragged()),
    (Text(), ["a"], Files()),
    (Text(), ["a"], Table({"other": "string"})),
    (Bytes(), [b"a"], Array()),
    (Ragged("int64"), [[1]], Ragged("int32")),
    (Ragged("int64"), [[1]], Text()),
    (Table(), [{"value": 1}], Ragged()),
    (Table(), [{"value": "a"}], Text()),
]


@pytest.mark.parametrize(("wrote", "values", "reads"), WRONG)
def test_a_file_of_one_format_is_no_file_of_another(
    wrote: Format, values: list[Any], reads: Format, tmp_path: Path
) -> None:
    [part], _ = written(wrote, [values], tmp_path)
    with pytest.raises(DecodeError):
        reads.open([part.path.open("rb")])


def test_files_of_one_stream_are_of_one_kind(tmp_path: Path) -> None:
    [one], _ = written(Array(), [[1, 2]], tmp_path / "one")
    [other], _ = written(Array(), [[1.5]], tmp_path / "other")
    with pytest.raises(DecodeError, match="A file holds float64 of shape \\(\\), expected int64"):
        Array().open([one.path.open("rb"), other.path.open("rb")])
    [one], _ = written(Table(), [[{"a": 1}]], tmp_path / "table")
    [other], _ = written(Table(), [[{"b": 1}]], tmp_path / "other table")
    with pytest.raises(DecodeError, match="has the columns b: int64, expected a: int64"):
        Table().open([one.path.open("rb"), other.path.open("rb")])
