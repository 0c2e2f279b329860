"""Values come back exactly as they were, whatever holds them, and nothing that was stored is executed."""

import datetime
import decimal
import json
import os
import pickle
import uuid
import zoneinfo
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import polars
import pyarrow
import pytest
import torch
from exactly import same
from hypothesis import given, settings
from hypothesis import strategies as st
from places import TESTS

from dataset_assets.errors import DatasetAssetsError, DecodeError, Refused, SchemaError, UsageError
from dataset_assets.experiments import Bunch, Folder, StoredFolder, codec, load_experiment
from dataset_assets.experiments.encoded import Encoded
from dataset_assets.experiments.values import LEAVES, decode, encode

NAIVE = datetime.datetime(2026, 11, 29, 20, 15, 1, 17)
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
LISTS = pandas.ArrowDtype(pyarrow.list_(pyarrow.int8()))
STAMPS = pandas.date_range("2026-01-01", periods=3, freq="D")

PLAIN: dict[str, Any] = {
    "none": None,
    "bool": True,
    "large": 2**70,
    "negative": -(2**63),
    "digits": -(10**5000),
    "nan": float("nan"),
    "infinite": [float("inf"), float("-inf"), -0.0, 5e-324],
    "text": "a\0b",
    "surrogate": "\ud800 and \U0001f600",
    "bytes": b"\0\xff",
    "bytearray": bytearray(b"ab"),
    "complex": 1 - 2j,
    "decimal": decimal.Decimal("1.10"),
    "nested": {"a": [1, (2, {3, "x"}), frozenset({4})], "b": {"c": ()}},
    "keys": {1: "a", (2, "b"): "c", None: 1, "$int": "0x1", b"k": []},
    "marked": {"$int": "0x1"},
    "uuid": uuid.UUID(int=7),
    "date": datetime.date(1, 2, 3),
    "time": datetime.time(1, 2, 3, 4, datetime.UTC, fold=1),
    "moments": [
        NAIVE,
        NAIVE.replace(tzinfo=BERLIN),
        NAIVE.replace(tzinfo=datetime.timezone(datetime.timedelta(0, 90))),
    ],
    "timedelta": datetime.timedelta(-1, 2, 3),
    "range": [range(1, 9, 2), slice(None, 3)],
    "bunch": Bunch(a=1, b=Bunch(c=[2])),
}
ARRAYS: dict[str, Any] = {
    "plain": np.arange(6.0),
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "none": np.array(3),
    "empty": np.zeros((0, 4), "f4"),
    "no size": np.zeros(3, "U0"),
    "no characters": np.ndarray((2, 2), "U0"),
    "structured": np.array([(1, 2.0, "x")], [("a", "i2"), ("b", "<f8"), ("ä", "U3")]),
    "padded": np.zeros(2, np.dtype({"names": ["a"], "formats": ["u1"], "offsets": [3], "itemsize": 8})),
    "big-endian": np.arange(4, dtype=">i4"),
    "text": np.array(["a", "äöü", ""]),
    "times": np.array(["2026-01-01T00:00:00.000000001", "NaT"], "M8[ns]"),
    "steps": np.arange(10)[::2],
    "long": np.arange(3, dtype=np.longdouble),
    "inside": np.zeros(2, np.dtype(("f4", (2, 2)))),
    "masked": np.ma.masked_array([1, 2, 3], [0, 1, 0], fill_value=9),
    "no mask": np.ma.masked_array([1.5, 2.5]),
    "scalars": [np.float64(0.1), np.int8(-1), np.bool_(True), np.str_("ü"), np.bytes_(b""), np.complex64(1j)],
    "moment": [np.datetime64("2026-01-01T00:00:00.000000001"), np.datetime64("NaT"), np.timedelta64(3, "D")],
    "record": np.array([(1, 2.0)], [("a", "i2"), ("b", "f8")])[0],
}
PANDAS: dict[str, Any] = {
    "unnamed": pandas.Series([1, 2, 3]),
    "named": pandas.Series([1.5, None], name="x"),
    "numbered name": pandas.Series([True], name=0),
    "index of text": pandas.Series([1, 2], index=["b", "a"]),
    "category": pandas.Series(pandas.Categorical(["a", None, "b"], ["b", "a", "c"], ordered=True)),
    "times": pandas.Series(STAMPS, index=STAMPS),
    "zoned": pandas.Series(STAMPS.tz_localize("Europe/Berlin")),
    "periods": pandas.Series(pandas.period_range("2026-01", periods=3, freq="M")),
    "intervals": pandas.Series(pandas.interval_range(0, 3)),
    "missing": pandas.DataFrame({
        "i": pandas.array([1, None], "Int64"), "b": pandas.array([True, None], "boolean"),
        "f": pandas.array([1.5, None], "Float32"), "s": pandas.array(["a", None], "string"),
    }),
    "objects": pandas.DataFrame({"o": pandas.Series([1, "a", None, (2, 3)], dtype=object), "p": [1, 2, 3, 4]}),
    "text": pandas.DataFrame({"t": ["a", None, "ü"], "o": pandas.Series(["a", "b", "c"], dtype=object)}),
    "columns": pandas.DataFrame(np.ones((2, 2)), columns=pandas.MultiIndex.from_tuples([("a", 1), ("a", 2)])),
    "twice": pandas.DataFrame([[1, 2.0]], columns=["a", "a"]),
    "multi-index": pandas.DataFrame(
        {"x": [1.0, 2.0]}, index=pandas.MultiIndex.from_arrays([[1, 2], ["a", "b"]], names=["n", None])
    ),
    "arrow": pandas.DataFrame({"l": pandas.Series([[1], None], dtype=LISTS)}),
    "small numbers": pandas.DataFrame({"a": np.zeros(2, "i1"), "b": np.zeros(2, "f2"), "c": np.array([1, 2], "M8[s]")}),
    "nothing": [pandas.DataFrame(), pandas.DataFrame(index=[1, 2]), pandas.Series([], dtype="f4")],
    "indexes": [pandas.Index(["a"], name="n"), pandas.RangeIndex(1, 9, 2), STAMPS, pandas.Index([1, "a"])],
    "moments": [pandas.Timestamp("2026-01-01", tz="UTC"), pandas.Timestamp(1, unit="s"), pandas.Timedelta("1D")],
    "nothings": [pandas.NA, pandas.NaT],
    "arrays": [STAMPS.array, STAMPS.tz_localize("UTC").array, pandas.Categorical(["a"]), pandas.array([1, None])],
    "frequencies": [pandas.date_range("2026-01-01", periods=3, freq=freq) for freq in ("W-WED", "2h", "YE-MAR", "C")],
    "distances": pandas.timedelta_range(0, periods=3, freq="2h"),
}  # fmt: skip
OTHERS: dict[str, Any] = {
    "arrow": pyarrow.table({"a": [1, None], "s": ["x", "y"]}).replace_schema_metadata({"k": "v"}),
    "dictionary": pyarrow.table({"d": pyarrow.chunked_array([pyarrow.array(["a"]).dictionary_encode()] * 2)}),
    "batch": pyarrow.record_batch({"a": [[1], []]}),
    "array": pyarrow.array([{"a": 1}, None]),
    "chunks": pyarrow.chunked_array([["a"], ["b"]]),
    "polars": polars.DataFrame({"a": [1, None], "c": polars.Series(["x", "y"], dtype=polars.Categorical)}),
    "polars series": polars.Series("n", [[1], None]),
    "tensors": {"w": torch.arange(6).reshape(2, 3), "b": torch.ones(2, dtype=torch.bfloat16), "z": torch.zeros(0, 3)},
    "conjugate": torch.tensor(1j, dtype=torch.complex64).conj(),
}
VALUES = {**PLAIN, **ARRAYS, **PANDAS, **OTHERS}


def through_bytes(value: Any) -> Any:
    encoded = encode(value, "value")
    return decode(encoded.codec, memoryview(bytearray(encoded.whole())))


@pytest.mark.parametrize("group", [PLAIN, ARRAYS, PANDAS, OTHERS], ids=["plain", "arrays", "pandas", "others"])
def test_a_value_comes_back_exactly_alone_and_inside_others(group: dict[str, Any]) -> None:
    lost = [name for name, value in group.items() if not same(through_bytes(value), value)]
    assert lost == []
    assert same(through_bytes(group), group)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    )
)
@settings(max_examples=60)
def test_any_plain_value_comes_back_exactly(value: Any) -> None:
    assert same(through_bytes(value), value)


def test_files_of_values_are_opened_by_the_tools_of_their_format(tmp_path: Path) -> None:
    array, table = np.arange(6.0).reshape(2, 3), pyarrow.table({"a": [1, 2]})
    (tmp_path / "a.npy").write_bytes(encode(array, "a").whole())
    assert same(np.load(tmp_path / "a.npy"), array)
    assert pyarrow.ipc.open_file(encode(table, "a").whole()).read_all().equals(table)
    assert polars.read_ipc(encode(polars.DataFrame({"a": [1]}), "a").whole())["a"].to_list() == [1]
    head = encode(torch.ones(2), "a").whole()
    assert json.loads(head[8 : 8 + int.from_bytes(head[:8], "little")])["value"]["dtype"] == "F32"


class Own:
    """A type that nothing here knows."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own) and same(self.items, other.items)


LOOP: list[Any] = []
LOOP.append(LOOP)

HOLIDAYS = pandas.bdate_range("2026-01-01", periods=9, freq="C", holidays=["2026-01-06"])
OFFSETS = pandas.date_range("2026-01-01", periods=4, freq=pandas.DateOffset(months=1, days=2))

UNSUPPORTED: dict[str, Any] = {
    "value[0]": [Own([])],
    "value['a'][1]": {"a": [1, lambda: 1]},
    "value[0][0]": [[np.array([None])]],
    "value": np.rec.array([(1,)], dtype=[("a", "i4")]),
    "value[1]": [1, torch.ones(2, requires_grad=True)],
    "value[2]": (0, 0, pandas.DataFrame({"s": pandas.arrays.SparseArray([0, 1])})),
    "value[0][0][0]": LOOP,
    "value['holidays'] has the frequency": {"holidays": HOLIDAYS},
    "value['offsets']['index'] has the frequency": {"offsets": pandas.DataFrame({"a": range(4)}, index=OFFSETS)},
    "value['zone'] has the time zone tzfile": {"zone": pandas.Timestamp("2026-01-01", tz="dateutil/Europe/Berlin")},
    "value['zones'] has the time zone tzfile": {"zones": STAMPS.tz_localize("dateutil/Europe/Berlin")},
    "value['local'] has the time zone tzlocal": {"local": pandas.Timestamp("2026-01-01", tz="tzlocal()")},
}


@pytest.mark.parametrize("path", UNSUPPORTED)
def test_what_no_codec_writes_is_refused_by_its_path(path: str) -> None:
    with pytest.raises(SchemaError) as error:
        encode(UNSUPPORTED[path], "value")
    assert str(error.value).startswith(path) and "tore" in str(error.value)


TAKEN = (
    (Own, "uuid", "'uuid' is taken. Choose another name for Own"), (Own, "tuple", "taken"), (Own, "blob", "taken"),
    (Own, "test_point", "is taken by test_values.*Point. Choose"), (Own, "a b", "cannot name"), ("Own", "own", "type"),
    (uuid.UUID, "mine", "UUID are stored already"), (dict, "mine", "dict are stored already"),
    (np.float64, "mine", "stored already"), (pandas.Series, "mine", "stored already"),
    (pyarrow.Table, "mine", "stored already"), (polars.Series, "mine", "stored"), (torch.Tensor, "mine", "stored"),
)  # fmt: skip


def test_a_type_of_ones_own_is_stored_by_its_codec() -> None:
    class Point(Own):
        pass

    with pytest.raises(SchemaError, match="register a codec"):
        encode(Point([]), "value")
    codec(Point, "test_point", lambda value: value.items, Point)
    found = through_bytes({"p": Point([np.arange(3), (1,)])})
    assert type(found["p"]) is Point and same(found["p"].items, [np.arange(3), (1,)])
    codec(Point, "test_point", lambda value: value.items, Point)
    for kind, name, said in TAKEN:
        with pytest.raises(UsageError, match=said):
            codec(kind, name, str, str)  # type: ignore[arg-type]
    assert type(through_bytes([Point([])])[0]) is Point and same(through_bytes((1, {2})), (1, {2}))


def test_a_bunch_whose_names_were_not_checked_when_it_was_stored_is_read() -> None:
    assert {**decode("json", memoryview(b'{"$bunch": {"$dict": [[1, 2]]}}'))} == {1: 2}


def test_a_codec_that_is_not_registered_is_named() -> None:
    with pytest.raises(DecodeError, match="'elsewhere', which is not registered"):
        decode("json", memoryview(b'{"$elsewhere": 1}'))


class Evil:
    def __reduce__(self) -> Any:
        return os.mkdir, ("evil",)


def hostile() -> dict[str, Encoded]:
    evil = pickle.dumps(Evil())
    array = b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(127) + b"\n" + evil
    long = b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (2**60,), }".ljust(127) + b"\n"
    tree = encode({"a": np.arange(3)}, "a").whole()
    return {
        "pickle": Encoded("pickle", [evil]),
        "array": Encoded("npy", [array]),
        "expression": Encoded("npy", [long]),
        "scalar": Encoded("json", [b'{"$numpy": ["|O", "0000000000000001"]}']),
        "record": Encoded("json", [b'{"$numpy": [[["a", "|O"]], "0000000000000001"]}']),
        "outside": Encoded("tree", [tree.replace(b'["npy", 0, 152]', b'["npy", 9, 999]')]),
        "pickle inside": Encoded("tree", [tree.replace(b'["npy", 0,', b'["pickle",')]),
        "head": Encoded("tree", [tree[:8] + b"\xff" * 8 + tree[16:]]),
        "cut": Encoded("arrow", [encode(pyarrow.table({"a": ["x"] * 9}), "a").whole()[:-20]]),
        "deep": Encoded("json", [b"[" * 100_000]),
        "tensor": Encoded("safetensors", [encode(torch.ones(4), "a").whole()[:-4]]),
        "codec": Encoded("../../x", [b""]),
        "folder": Encoded("tree", [tree.replace(b'{"$blob": ["npy", 0, 152]}', b'{"$folder": {"../x":[0,1]}}')]),
        "date": Encoded("json", [b'{"$date": "yesterday"}']),
        "frame": Encoded("json", [b'{"$pandas.DataFrame": {}}']),
        "many bytes": Encoded("json", [b'{"$bytearray": 20000000000000}']),
        "large scalar": Encoded("json", [b'{"$numpy": ["|V2000000000000", ""]}']),
        "large text": Encoded("json", [b'{"$numpy": ["<U500000000", ""]}']),
    }


@pytest.mark.parametrize("name", hostile())
def test_hostile_bytes_are_an_error_and_run_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stored = hostile()[name]
    with pytest.raises((DecodeError, Refused)):
        decode(stored.codec, memoryview(bytearray(stored.whole())))
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("value", [STAMPS[0].tz_localize(BERLIN), pandas.Series(STAMPS.tz_localize(BERLIN))])
def test_the_name_of_a_time_zone_opens_no_file(value: Any) -> None:
    encoded = encode(value, "value")
    forged = encoded.whole().replace(b"Europe/Berlin", b"dateutil//etc")
    with pytest.raises(DecodeError, match="'dateutil//etc' is not the name of a time zone"):
        decode(encoded.codec, memoryview(bytearray(forged)))


def test_bytes_that_make_polars_panic_are_an_error() -> None:
    whole = encode(polars.DataFrame({"a": [1], "b": ["x"]}), "value").whole()
    refused = 0
    for at in range(len(whole) * 3 // 4, len(whole) * 5 // 6):
        try:
            decode("polars", memoryview(whole[:at] + b"\xff" + whole[at + 1 :]))
        except DecodeError:
            refused += 1
    assert refused > 20


@given(st.sampled_from([*VALUES]), st.data())
@settings(max_examples=150)
def test_flipped_bytes_are_read_as_a_value_or_an_error_of_ours(name: str, data: st.DataObject) -> None:
    encoded = encode(VALUES[name], "value")
    whole = bytearray(encoded.whole())
    at = data.draw(st.integers(0, max(len(whole) - 1, 0)))
    if whole:
        whole[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        decode(encoded.codec, memoryview(whole))
    except DatasetAssetsError:
        pass


def test_pickle_is_only_read_and_written_when_asked_for_at_both_ends() -> None:
    value = {"a": Own([1])}
    with pytest.raises(SchemaError, match="allow_pickle=True"):
        encode(value, "value")
    encoded = encode(value, "value", allow_pickle=True)
    assert encoded.codec == "pickle"
    with pytest.raises(Refused, match="allow_pickle=True"):
        decode("pickle", memoryview(encoded.whole()))
    assert decode("pickle", memoryview(encoded.whole()), allow_pickle=True) == value
    assert encode({"a": 1}, "value", allow_pickle=True).codec == "json"
    with pytest.raises(SchemaError, match="value cannot be pickled"):
        encode(lambda: 1, "value", allow_pickle=True)


def test_arrays_lie_where_their_buffer_lies_and_may_be_written_to() -> None:
    encoded = encode({"a": np.arange(1000.0), "b": [np.arange(3)]}, "value")
    buffer = bytearray(encoded.whole())
    found = decode(encoded.codec, memoryview(buffer))
    assert np.shares_memory(found["a"], np.frombuffer(buffer, np.uint8))
    found["a"][:] = 1
    assert all(found["b"][0] == range(3)) and found["a"].flags.aligned


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("a.txt", ".hidden", "sub/b.bin", "sub/deep/c.txt", "cache/x.tmp"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 3)
    return tmp_path / "tree"


def test_a_folder_is_one_value_chosen_by_globs_and_extracted_anew(tree: Path, tmp_path: Path) -> None:
    found = through_bytes(Folder(tree, exclude="cache/*"))
    assert isinstance(found, StoredFolder)
    assert found.names == [".hidden", "a.txt", "sub/b.bin", "sub/deep/c.txt"]
    assert through_bytes([Folder(tree, "**/*.txt")])[0].names == ["a.txt", "sub/deep/c.txt"]
    assert found.read("sub/b.bin") == b"sub/b.bin" * 3 and found.size("a.txt") == 15
    into = found.extract(tmp_path / "new")
    assert (into / "sub/deep/c.txt").read_bytes() == b"sub/deep/c.txt" * 3
    with pytest.raises(Refused, match="not an empty folder"):
        found.extract(into)
    (tree / "sub/empty").mkdir()
    assert through_bytes(Folder(tree, exclude="cache/*")).names == found.names
    with pytest.raises(UsageError, match="no file 'x'"):
        found.read("x")
    assert through_bytes(found).names == found.names


def test_links_and_files_that_change_are_refused(tree: Path) -> None:
    encoded = encode(Folder(tree), "value")
    (tree / "a.txt").write_bytes(b"changed meanwhile")
    with pytest.raises(UsageError, match="changed while it was stored"):
        encoded.whole()
    (tree / "link").symlink_to("/etc/passwd")
    with pytest.raises(SchemaError, match="value holds 'link', which is a link"):
        encode(Folder(tree), "value")
    assert "link" not in through_bytes(Folder(tree, exclude=("link",))).names
    with pytest.raises(UsageError, match="is not a folder"):
        Folder(tree / "a.txt")


def test_each_codec_of_files_is_used_by_a_value() -> None:
    assert {encode(value, "value").codec for value in VALUES.values()} >= {*LEAVES, "json", "tree"}


GOLDEN: dict[str, Any] = {
    "plain": {"a": [1, 2**70, float("nan"), (None, {"x"}), b"y"], 3: uuid.UUID(int=7)},
    "array": np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3)),
    "frame": pandas.DataFrame({"n": [1.5, 2.5], "c": pandas.Categorical(["a", "b"])}, index=["x", "y"]),
    "table": pyarrow.table({"a": [1, None]}),
}


def test_an_experiment_that_was_stored_once_is_read_for_ever() -> None:
    found = load_experiment("golden", storage=TESTS / "data" / "golden_experiments").runs.first()
    assert found.fields.lr == 0.1 and same(dict(found.fields.ds), GOLDEN)
