"""Imports optional packages when they are first used, with an error that says what to install."""

from importlib import import_module
from typing import Any

from dataset_assets.errors import NotInstalled


def needed(module: str, extra: str) -> Any:
    """Import a module. Raises `NotInstalled`, which names the extra that installs it, if it is missing."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise
        raise NotInstalled(
            f"{module} is needed here but not installed. Run: pip install 'dataset_assets[{extra}]'"
        ) from error
