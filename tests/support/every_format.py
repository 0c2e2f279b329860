"""A stream of every format, with a few values of each kind that it may hold."""

from typing import Any

import media
import numpy as np
import pyarrow as pa

from dataset_assets.formats import Array, Audio, Bytes, Files, Format, Image, Json, Ragged, Table, Text

WORDS = ["one", "", "zwölf", "🐈" * 5, "end"]
TABLE = pa.table(
    {
        "text": pa.array(["a", None, "ccc", "", "ee"]),
        "large": pa.array(WORDS, pa.large_string()),
        "bytes": pa.array([b"a", b"\xff", None, b"", b"12345"]),
        "list": pa.array([[1, 2], [], None, [3], [4, 5]]),
        "lists": pa.array([[["a"], []], None, [], [["bc", None]], [[]]]),
        "struct": pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": "yy"}, {"a": 4, "b": None}, {"a": 5, "b": ""}]),
        "map": pa.array([[("k", 1)], [], None, [("l", 2), ("m", None)], []], pa.map_(pa.string(), pa.int32())),
        "fixed": pa.array([[1, 2], [3, 4], None, [5, 6], [7, 8]], pa.list_(pa.int16(), 2)),
        "binary": pa.array([b"abc", None, b"def", b"ghi", b"jkl"], pa.binary(3)),
        "flag": pa.array([True, None, False, True, True]),
        "time": pa.array([0, None, 10**15, -5, 7], pa.timestamp("us", "Europe/Berlin")),
        "date": pa.array([0, 1, None, -1, 20000], pa.date32()),
        "decimal": pa.array([1, None, 2, 3, 4], pa.decimal128(10, 2)),
    }
)
MADE: dict[str, tuple[Format, Any]] = {
    "numbers": (Array(), np.arange(40, dtype="<i4").reshape(5, 8)),
    "records": (Array(), np.zeros(5, [("a", "<f4"), ("b", "S3")])),
    "text": (Text(), WORDS),
    "bytes": (Bytes(), [b"ab", b"", b"\0\xff", bytes(range(100)), b"e"]),
    "ragged": (Ragged(), [np.arange(k, dtype="<f4") for k in range(5)]),
    "points": (Ragged(shape=(2,)), [np.ones((k, 2), "<i2") * k for k in range(5)]),
    "flags": (Ragged(), [np.ones(k, bool) for k in range(5)]),
    "table": (Table(), TABLE),
    "json": (Json(), [{"a": [1, 2.5]}, None, "text", [], {}]),
    "any shape": (Ragged(shape=(None,)), [np.ones((k, 5 - k), "<i2") * k for k in range(5)]),
    "files": (Files(), [("a.txt", b"hello"), ("b", b""), ("c/d", bytes(50))]),
    "image": (Image(), [media.picture("PNG", seed=k) for k in range(2)]),
    "jpeg": (Image(), [media.picture("JPEG", seed=k) for k in range(2)]),
    "audio": (Audio(), [media.sound(seed=k) for k in range(2)]),
}
