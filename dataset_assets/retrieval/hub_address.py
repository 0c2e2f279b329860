"""Addresses of datasets on the Hugging Face Hub, and the token of the user.

`hf://datasets/OWNER/NAME@REVISION/path/file.parquet` is a file; with `/` at its end, a folder. The revision is a
commit, a branch or a tag; without one it is `main`. The server is that of `HF_ENDPOINT`.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from dataset_assets.core.loopback import is_readable_on_the_way
from dataset_assets.core.redact import redacted
from dataset_assets.errors import Refused, UsageError
from dataset_assets.retrieval.hosts import checked

_PLACE = re.compile(
    r"hf://datasets/(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>refs/(?:convert/[\w-]+|pr/[0-9]+)|[^/@?#]+))?"
    r"(?P<path>/[^?#]*)?"
)
_COMMIT = re.compile(r"[0-9a-f]{40}")


class HubAddress(NamedTuple):
    """A file or folder of a dataset on the Hub, at a revision.

    The path of a folder ends in `/` or is empty; a pattern has `*`.
    """

    repository: str
    revision: str
    path: str

    @property
    def is_folder(self) -> bool:
        """Whether this is a folder, the whole dataset, or a pattern of files."""
        return not self.path or self.path.endswith("/") or "*" in self.path

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a commit, which never changes."""
        return bool(_COMMIT.fullmatch(self.revision))

    @property
    def url(self) -> str:
        """The URL of this address."""
        return f"hf://datasets/{self.repository}@{quote(self.revision, safe='')}/{quote(self.path, safe='/*')}"

    def api(self, verb: str) -> str:
        """Return the URL of the interface for this revision: `revision`, `tree` or `paths-info`."""
        return f"{endpoint()}/api/datasets/{self.repository}/{verb}/{quote(self.revision, safe='')}"

    def resolve(self) -> str:
        """Return the URL of the bytes."""
        return f"{endpoint()}/datasets/{self.repository}/resolve/{quote(self.revision, safe='')}/{quote(self.path)}"


def address_of(url: str) -> HubAddress:
    """Return the address that a URL names. Raises `UsageError`."""
    found = _PLACE.fullmatch(url)
    path = unquote((found["path"] or "") if found else "").removeprefix("/")
    if not found or {".", ".."} & {*f"{found['repository']}/{path}".split("/")} or not path.isprintable():
        raise UsageError(
            f"{redacted(url)} is not a dataset on the Hugging Face Hub. Write "
            "hf://datasets/OWNER/NAME@REVISION/path/file; the revision is a commit, branch or tag."
        )
    return HubAddress(found["repository"], unquote(found["revision"] or "main"), path)


def endpoint() -> str:
    """Return the URL of the Hub: that of `HF_ENDPOINT`, or the public one. Raises `UsageError`."""
    url = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
    if urlsplit(url).scheme not in ("http", "https") or "@" in url:
        raise UsageError("HF_ENDPOINT is no http or https URL of a server. Set it such as https://huggingface.co.")
    return url


def login() -> dict[str, str]:
    """Return the header with the user's token, or none. Raises `Refused` if it would be sent unencrypted."""
    if not (token := _token()):
        return {}
    if is_readable_on_the_way(endpoint()):
        raise Refused(f"{redacted(endpoint())} would be sent your token unencrypted. Set HF_ENDPOINT to an https URL.")
    return {"Authorization": f"Bearer {checked(token, 'the token of the Hugging Face Hub')}"}


def _token() -> str:
    """Return the token as the Hub's own client finds it: in the environment, else in the user's file."""
    if os.environ.get("HF_HUB_DISABLE_IMPLICIT_TOKEN", "").upper() in ("1", "ON", "YES", "TRUE"):
        return ""
    if given := os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN"):
        return given.strip()
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{cache}/huggingface"
    path = Path(os.path.expandvars(os.environ.get("HF_TOKEN_PATH") or f"{home}/token")).expanduser()
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
