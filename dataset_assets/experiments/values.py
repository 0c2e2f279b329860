"""Values as bytes and back, exactly, and without executing anything that was stored.

Plain Python values are JSON; a node `{"$kind": ...}` is a value that JSON does not have. Arrays, tables and tensors are
files of their own formats. A value that holds any of these is a `tree`: JSON in which `{"$blob": [codec, at, bytes]}`
names a part of the bytes that follow it.
"""

import base64
import json
import math
import pickle
from typing import Any, Callable, NamedTuple

import numpy as np

from dataset_assets.errors import DatasetAssetsError, DecodeError, Refused, SchemaError
from dataset_assets.experiments import arrays, arrow_values
from dataset_assets.experiments.encoded import Encoded, size_of_part
from dataset_assets.experiments.folders import Folder, StoredFolder, parts_of
from dataset_assets.experiments.kinds import kind_named, kind_of

DEEPEST = 150
MAGIC = b"DATREE1\n"
ALIGNED = 64
PICKLE = "pickle"


class Leaf(NamedTuple):
    """A codec of one type: functions to buffers and back."""

    write: Callable[[Any, str], list[Any]]
    read: Callable[[memoryview], Any]


LEAVES = {
    "bytes": Leaf(lambda value, path: [value], bytes),
    "npy": Leaf(arrays.write_array, arrays.read_array),
    "arrow": Leaf(arrow_values.write_arrow, arrow_values.read_arrow),
    "polars": Leaf(arrow_values.write_polars, arrow_values.read_polars),
    "safetensors": Leaf(arrow_values.write_tensor, arrow_values.read_tensor),
}
"""The codecs whose bytes are a file that other tools open too."""

_LEAF_OF = {
    "pyarrow.lib.Table": "arrow", "pyarrow.lib.RecordBatch": "arrow", "pyarrow.lib.ChunkedArray": "arrow",
    "polars.dataframe.frame.DataFrame": "polars", "torch.Tensor": "safetensors",
}  # fmt: skip


def encode(value: Any, path: str, allow_pickle: bool = False) -> Encoded:
    """Return a value as bytes. Raises `SchemaError`, with the path of the part that no codec writes."""
    try:
        return _encoded(value, path)
    except SchemaError:
        if not allow_pickle:
            raise
    try:
        return Encoded(PICKLE, [pickle.dumps(value, protocol=5)])
    except Exception as error:
        raise SchemaError(f"{path} cannot be pickled: {type(error).__name__}: {error}") from error


def _encoded(value: Any, path: str) -> Encoded:
    if (codec := leaf_of(value)) is not None:
        return Encoded(codec, LEAVES[codec].write(value, path))
    blobs: list[Any] = []
    text = json.dumps(_Writer(blobs).node(value, path)).encode()
    if not blobs:
        return Encoded("json", [text])
    # The blobs begin where an array may lie.
    head = text.ljust(-(-(len(text) + 16) // ALIGNED) * ALIGNED - 16)
    return Encoded("tree", [MAGIC + len(head).to_bytes(8, "little") + head, *blobs])


def decode(codec: str, data: memoryview, allow_pickle: bool = False) -> Any:
    """Return the value of these bytes. Raises `DecodeError`, and `Refused` for a pickle that was not asked for."""
    if codec == PICKLE:
        if not allow_pickle:
            raise Refused("The value is a pickle, which may run code. If you trust its writer, pass allow_pickle=True.")
        return pickle.loads(data)
    if codec in LEAVES:
        return LEAVES[codec].read(data)
    if codec not in ("json", "tree"):
        raise DecodeError(f"The codec {codec!r} is not known. Use the release that wrote the value.")
    try:
        if codec == "json":
            return _Reader(memoryview(b"")).value(json.loads(bytes(data)))
        return _from_tree(data)
    except DatasetAssetsError:
        raise
    # Functions that restore a value were not written for forged bytes.
    except Exception as error:
        raise DecodeError(f"A value of the codec {codec} cannot be read: {type(error).__name__}: {error}") from error


def _from_tree(data: memoryview) -> Any:
    node, body = tree_of(data)
    return _Reader(body).value(node)


def tree_of(data: memoryview) -> tuple[Any, memoryview]:
    """Return the JSON of a tree, and the bytes that its blobs are parts of."""
    length = int.from_bytes(data[8:16], "little")
    if bytes(data[:8]) != MAGIC or length > len(data) - 16:
        raise DecodeError("A value is not a tree of values: it begins otherwise, or ends inside its head.")
    return json.loads(bytes(data[16 : 16 + length])), data[16 + length :]


def leaf_of(value: Any) -> str | None:
    """Return the codec of a value that is a file of its own format; None for any other."""
    kind = type(value)
    if kind is bytes:
        return "bytes"
    if kind is np.ndarray or kind is np.memmap:
        return "npy"
    name = f"{kind.__module__}.{kind.__qualname__}"
    if name in _LEAF_OF:
        return _LEAF_OF[name]
    arrow = kind.__module__ == "pyarrow.lib" and kind.__name__.endswith("Array") and hasattr(value, "to_pylist")
    return "arrow" if arrow else None


class _Writer:
    """Turns values into JSON; buffers of arrays, tables and tensors are added to `blobs`."""

    def __init__(self, blobs: list[Any]) -> None:
        self.blobs, self.size = blobs, 0

    def node(self, value: Any, path: str, depth: int = 0) -> Any:
        """Return a value as JSON."""
        kind = type(value)
        if value is None or kind is bool or kind is str:
            return value
        if kind is int:
            return value if -(2**63) <= value < 2**63 else {"$int": hex(value)}
        if kind is float:
            return value if math.isfinite(value) else {"$float": repr(value)}
        if depth > DEEPEST:
            raise SchemaError(
                f"{path[:200]} is nested more than {DEEPEST} levels deep, or holds itself. Store it flat."
            )
        return self._other(value, kind, path, depth)

    def _other(self, value: Any, kind: type, path: str, depth: int) -> Any:
        if kind is list:
            return self._items(value, path, depth)
        if kind is dict:
            return self._mapping(value, path, depth)
        if kind is tuple:
            return {"$tuple": self._items(value, path, depth)}
        if kind in (set, frozenset):
            items = self._items([*value], path, depth)
            return {f"${kind.__name__}": sorted(items, key=lambda item: json.dumps(item, sort_keys=True))}
        if isinstance(value, np.generic):
            return self._scalar(value, path)
        if (codec := leaf_of(value)) is not None:
            return {"$blob": [codec, *self._blob(LEAVES[codec].write(value, path))]}
        if kind in (Folder, StoredFolder):
            return {"$folder": {name: self._blob([part]) for name, part in parts_of(value, path).items()}}
        return self._reduced(value, path, depth)

    def _items(self, items: Any, path: str, depth: int) -> list[Any]:
        if _are_plain(items):
            return list(items)
        return [self.node(item, f"{path}[{k}]", depth + 1) for k, item in enumerate(items)]

    def _mapping(self, value: dict[Any, Any], path: str, depth: int) -> Any:
        if all(type(name) is str for name in value) and not any(name[:1] == "$" for name in value):
            return {name: self.node(item, f"{path}[{name!r:.40}]", depth + 1) for name, item in value.items()}
        pairs = [
            [
                self.node(name, f"{path} key {name!r:.40}", depth + 1),
                self.node(item, f"{path}[{name!r:.40}]", depth + 1),
            ]
            for name, item in value.items()
        ]
        return {"$dict": pairs}

    def _scalar(self, value: Any, path: str) -> Any:
        if value.dtype.names or value.dtype.hasobject:
            return {"$scalar": {"$blob": ["npy", *self._blob(arrays.write_array(np.asarray(value), path))]}}
        array = np.asarray(value)
        return {"$numpy": [np.lib.format.dtype_to_descr(array.dtype), array.tobytes().hex()]}

    def _reduced(self, value: Any, path: str, depth: int) -> Any:
        found = kind_of(value)
        if found is None:
            kind = type(value)
            raise SchemaError(
                f"{path} is a {kind.__module__}.{kind.__qualname__}, which no codec writes. Store its parts, register "
                "a codec for its type, or pass allow_pickle=True."
            )
        try:
            simpler = found.reduce(value)
        except SchemaError as error:
            raise SchemaError(f"{path} {error}, store its parts, or pass allow_pickle=True.") from None
        return {f"${found.name}": self.node(simpler, path, depth + 1)}

    def _blob(self, parts: list[Any]) -> list[int]:
        """Add buffers, padded so that the next blob is aligned; return their place."""
        place = [self.size, sum(map(size_of_part, parts))]
        self.blobs += [*parts, bytes(-place[1] % ALIGNED)]
        self.size += place[1] + -place[1] % ALIGNED
        return place


def _are_plain(items: Any) -> bool:
    """Say whether JSON holds the items as they are, so that a long list needs no look at each."""
    kinds: set[type] = {*map(type, items)}
    if kinds == {float}:
        return all(map(math.isfinite, items))
    if kinds == {int}:
        return bool(min(items) >= -(2**63) and max(items) < 2**63)
    return kinds <= {str, bool, type(None)}


class _Reader:
    """Turns JSON back into values; blobs are parts of `body`."""

    def __init__(self, body: memoryview) -> None:
        self.body = body

    def value(self, node: Any) -> Any:
        """Return the value of a node."""
        if isinstance(node, list):
            return [item if item is None or type(item) in _PLAIN else self.value(item) for item in node]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((name, stored),) = node.items()
            if name[:1] == "$":
                return self._named(name[1:], stored)
        return {name: self.value(item) for name, item in node.items()}

    def _named(self, name: str, stored: Any) -> Any:
        if name == "blob":
            return LEAVES[stored[0]].read(self._slice(*stored[1:]))
        if name == "folder":
            return StoredFolder({file: self._slice(*place) for file, place in stored.items()})
        if name in _BUILT:
            return _BUILT[name](self.value(stored))
        found = kind_named(name)
        if found is None:
            raise DecodeError(
                f"A value was written by the codec {name!r:.60}, which is not registered here. Register it."
            )
        return found.restore(self.value(stored))

    def _slice(self, at: int, size: int) -> memoryview:
        if not 0 <= at <= at + size <= len(self.body):
            raise DecodeError(
                f"A value has a part at byte {at} of {size} bytes, outside of its {len(self.body)} bytes."
            )
        return self.body[at : at + size]


def _numpy_scalar(stored: Any) -> Any:
    dtype, data = np.lib.format.descr_to_dtype(stored[0]), bytes.fromhex(stored[1])
    if dtype.hasobject:
        raise DecodeError("A number is stored with a dtype of Python objects, which is never written.")
    # A text of no characters has no bytes.
    return np.frombuffer(data, dtype)[0] if dtype.itemsize else np.zeros((), dtype)[()]


_PLAIN = (str, int, float, bool)
_BUILT: dict[str, Callable[[Any], Any]] = {
    "int": lambda text: int(text, 16),
    "float": float,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "dict": lambda pairs: {name: item for name, item in pairs},
    "scalar": lambda array: array[()],
    "numpy": _numpy_scalar,
}


def inline(encoded: Encoded) -> dict[str, Any]:
    """Return a small value as JSON of its own: plain JSON as it is, any other bytes in base64."""
    if encoded.codec == "json":
        return {"plain": json.loads(encoded.whole())}
    return {"codec": encoded.codec, "base64": base64.b64encode(encoded.whole()).decode()}


def from_inline(document: dict[str, Any], allow_pickle: bool = False) -> Any:
    """Return the value that `inline` stored."""
    if "plain" in document:
        return decode("json", memoryview(json.dumps(document["plain"]).encode()))
    data = base64.b64decode(document["base64"], validate=True)
    return decode(document["codec"], memoryview(bytearray(data)), allow_pickle)
