"""The public doors and the script that writes their reference, which lies with the documentation."""

import importlib.util
from typing import Any

from places import ROOT

_SPEC: Any = importlib.util.spec_from_file_location("api_pages", ROOT / "docs" / "api_pages.py")
api_pages: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(api_pages)

DOORS: tuple[str, ...] = api_pages.DOORS
