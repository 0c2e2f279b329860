"""Commands of ours in messages. Each works as printed: it names its storage, unless the settings name the same one."""

import re
import shlex
from pathlib import Path

from dataset_assets.core.settings import settings
from dataset_assets.errors import UsageError


def command(words: str, storage: str = "") -> str:
    """Return a command line for a storage, by its URL.

    >>> command("prepare com.lecun.mnist", "s3://bucket/assets")
    'dataset-assets prepare com.lecun.mnist --storage s3://bucket/assets'
    """
    return f"dataset-assets {_BRACKETS.sub(lambda found: shlex.quote(found[0]), words)}{_option(storage)}"


# A shell would take the axes in a name for a pattern.
_BRACKETS = re.compile(r"[^\s']+\[[^\s']*")


def _option(storage: str) -> str:
    # Objects in memory are those of one process.
    if not storage or storage.startswith("memory:"):
        return ""
    try:
        chosen = settings().storage
    except UsageError:
        chosen = ""
    chosen = Path(chosen).expanduser().absolute().as_uri() if chosen.startswith(("/", "~")) else chosen
    return "" if chosen == storage else f" --storage {shlex.quote(storage)}"
