"""Packages that only some uses need: imported when they are, with an error that says what to install."""

from importlib import import_module
from typing import Any

from dataset_assets.errors import NotInstalled


def needed(module: str, extra: str) -> Any:
    """Return a module; raise `NotInstalled`, which names our extra that brings it, if it is not there."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise
        raise NotInstalled(
            f"{module} is not installed, which this needs. Run: pip install 'dataset_assets[{extra}]'"
        ) from error
