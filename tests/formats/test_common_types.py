"""Two Arrow types have one in common, whichever comes first, or none."""

import pyarrow
import pytest

from dataset_assets.formats import Misfit
from dataset_assets.formats.common_types import common_type

INT, TEXT, TOKYO = pyarrow.int64(), pyarrow.string(), "Asia/Tokyo"


@pytest.mark.parametrize(
    ("first", "second", "common"),
    [
        (pyarrow.null(), INT, INT),
        (pyarrow.int8(), pyarrow.uint8(), INT),
        (INT, pyarrow.float32(), pyarrow.float64()),
        (pyarrow.decimal128(5, 4), pyarrow.decimal128(4, 1), pyarrow.decimal128(7, 4)),
        (pyarrow.decimal128(38, 30), pyarrow.decimal128(38, 0), pyarrow.decimal256(68, 30)),
        (pyarrow.date32(), pyarrow.date64(), pyarrow.date64()),
        (pyarrow.time32("s"), pyarrow.time64("ns"), pyarrow.time64("ns")),
        (pyarrow.timestamp("s", TOKYO), pyarrow.timestamp("us", TOKYO), pyarrow.timestamp("us", TOKYO)),
        (pyarrow.timestamp("s", TOKYO), pyarrow.timestamp("us", "America/Lima"), pyarrow.timestamp("us", "UTC")),
        (pyarrow.binary(2), pyarrow.binary(3), pyarrow.binary()),
        (pyarrow.list_(INT, 2), pyarrow.list_(INT, 3), pyarrow.list_(INT)),
        (pyarrow.list_(INT, 2), pyarrow.list_(pyarrow.null(), 2), pyarrow.list_(INT, 2)),
        (pyarrow.map_(TEXT, INT), pyarrow.map_(TEXT, pyarrow.float64()), pyarrow.map_(TEXT, pyarrow.float64())),
        (
            pyarrow.struct([("b", INT), ("a", TEXT)]),
            pyarrow.struct([("a", TEXT), ("b", pyarrow.null())]),
            pyarrow.struct([("a", TEXT), ("b", INT)]),
        ),
    ],
    ids=str,
)  # fmt: skip
def test_two_types_have_one_in_common(first: pyarrow.DataType, second: pyarrow.DataType, common: object) -> None:
    assert common_type(first, second) == common_type(second, first) == common
    assert common_type(first, common) == common_type(common, second) == common


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        (INT, TEXT, "values are string in one part and int64 in another"),
        (INT, pyarrow.decimal128(5), "values are decimal128"),
        (pyarrow.decimal256(76, 70), pyarrow.decimal256(76, 0), "decimals need 146 digits"),
        (pyarrow.timestamp("s"), pyarrow.timestamp("s", "UTC"), "tz=UTC"),
        (pyarrow.struct([("a", INT)]), pyarrow.struct([("b", INT)]), "missing: a, unknown: b"),
        (pyarrow.list_(INT), pyarrow.map_(TEXT, INT), "values are map"),
    ],
    ids=str,
)
def test_two_types_may_have_none_in_common(first: pyarrow.DataType, second: pyarrow.DataType, why: str) -> None:
    with pytest.raises(Misfit, match=why):
        common_type(first, second)
    with pytest.raises(Misfit):
        common_type(second, first)
