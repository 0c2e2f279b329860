"""Canonical JSON: equal documents have the same text, and so the same digest, on every machine.

Keys are sorted and text is UTF-8. A float is stored as its text, because programs print the same float differently. A
dataclass leaves out a field that has `omitted` in its metadata and is empty.
"""

import hashlib
import json
from typing import Any, Mapping


def canonical(document: Any) -> bytes:
    """Return a mapping or a dataclass as canonical JSON."""
    plain = _plain(document if isinstance(document, Mapping) else _fields(document))
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # Characters that UTF-8 cannot encode, such as half of a surrogate pair, become escapes that JSON can read.
    return text.encode("utf-8", "backslashreplace")


def digest_of(document: Any) -> str:
    """Return the sha256 of a document's canonical JSON, which is its name in a storage."""
    return sha256_hex(canonical(document))


def sha256_hex(data: bytes) -> str:
    """Return the sha256 of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def restored(value: Any) -> Any:
    """Return a value read from canonical JSON with its floats restored."""
    if isinstance(value, dict):
        return _float_in(value) if value.keys() == {"float"} else {key: restored(item) for key, item in value.items()}
    return [restored(item) for item in value] if isinstance(value, list) else value


def _float_in(value: dict[str, Any]) -> Any:
    try:
        number = float(value["float"])
    except (TypeError, ValueError):
        return value
    return number if repr(number) == value["float"] else value


def _fields(document: Any) -> dict[str, Any]:
    found = {name: getattr(document, name) for name in document.__dataclass_fields__}
    return {n: v for n, v in found.items() if v or "omitted" not in document.__dataclass_fields__[n].metadata}


def _plain(value: Any) -> Any:
    """Return the value with only objects, arrays, strings, integers, booleans and null; floats become text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return {"float": repr(value)}
    return _plain(_fields(value)) if hasattr(value, "__dataclass_fields__") else value
