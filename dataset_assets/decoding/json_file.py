"""Reads a JSON file that is one array of objects."""

from typing import Any, BinaryIO, Iterator

from dataset_assets.core.documents import parsed
from dataset_assets.core.limits import SMALL, limits, remedy
from dataset_assets.decoding.compressed import decompressed
from dataset_assets.decoding.streams import check_file, name_of
from dataset_assets.errors import DecodeError


def json_array(file: BinaryIO, *, key: str | None = None) -> Iterator[dict[str, Any]]:
    """Read a JSON file, compressed or not, that is an array of objects; with `key`, an object with that array.

    It is read at once: one of more than the setting `max_value_bytes` raises `DecodeError`, as does a key that an
    object has twice, and what is no object. JSON lines need no such limit.

    >>> import io
    >>> list(json_array(io.BytesIO(b'{"data": [{"text": "one"}]}'), key="data"))
    [{'text': 'one'}]
    """
    check_file(file)
    file.seek(0)
    stream, most = decompressed(file), limits().max_value_bytes
    data = stream.read(max(most, SMALL) + 1)
    if len(data) > max(most, SMALL):
        raise DecodeError(f"{name_of(file)} has more than {len(data) - 1} bytes. {remedy('max_value_bytes')}")
    try:
        value = parsed(data.removeprefix(b"\xef\xbb\xbf"), None)
    except ValueError as error:
        raise DecodeError(f"{name_of(file)} is not JSON: {error}. Correct it, or retrieve it again.") from error
    where = name_of(file)
    if key is not None:
        if not isinstance(value, dict) or key not in value:
            raise DecodeError(f"{where} is no object with the key {key!r}. Name the key of the array.")
        value, where = value[key], f"{key} of {where}"
    if not isinstance(value, list):
        raise DecodeError(f"{where} is {_kind(value)}, not an array.{_with_array(value)}")
    for number, item in enumerate(value):
        if not isinstance(item, dict):
            raise DecodeError(f"Item {number} of {where} is {_kind(item)}, not an object. Correct it.")
        yield item


def _kind(value: Any) -> str:
    """Return what JSON calls a value."""
    kinds = {dict: "an object", list: "an array", str: "a text", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")


def _with_array(value: Any) -> str:
    """Say which key of an object has an array, or what else to do."""
    arrays = {key: each for key, each in value.items() if isinstance(each, list)} if isinstance(value, dict) else {}
    keys = [key for key, each in arrays.items() if each and all(isinstance(one, dict) for one in each)]
    if keys:
        return f" Name the key of the array: key={keys[0]!r}."
    return " Write its rows as an array of objects, or read it with the module json."
