"""The metadata of a folder: `meta.json`, a mapping."""

import json
from pathlib import Path
from typing import Any

from dataset_assets.errors import SchemaError


def parsed_meta(data: bytes, shown: "Path | str") -> dict[str, Any]:
    """Return metadata as a mapping. Raises `SchemaError` if it is not JSON, or not a mapping."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"{shown} is not JSON: {error or 'it is too deep'}. Correct the file.") from None
    if not isinstance(found, dict):
        raise SchemaError(f"{shown} holds a {type(found).__name__}, not a mapping. Write it as {{...}}.")
    return found
