"""Raw files: bytes as a source sent them, stored by their digest, and the record of where they came from."""

from dataclasses import asdict, dataclass
from typing import Literal

from dataset_assets.core.documents import Count, Digest, Unfit, read_as
from dataset_assets.errors import IntegrityError, NewerFormat
from dataset_assets.storage.manifest import FileName, sealed, unsealed

State = Literal["", "provisional", "doubted"]
"""What is known of the bytes of a raw file without a declared digest.

* `""`: a split that was made of them was published. Different bytes are refused from then on.
* `"provisional"`: no such split was published yet. The next run asks the source whether it changed.
* `"doubted"`: they could not be decoded, or a check refused what was made of them. The next run retrieves them again.
"""


@dataclass(frozen=True)
class Source:
    """What is known of a source that was read once; all fields are JSON values."""

    url: str
    """The URL that was asked, through `redacted`."""
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True)
class RawFile:
    """A raw file: its content, and where it came from."""

    name: FileName
    sha256: Digest
    bytes: Count
    url: str
    digest: str | None
    """The digest that the definition states, or the recipe of a derived file."""
    source: Source
    retrieved: str = ""
    state: State = ""


def record_of(data: bytes, key: str, dataset: str) -> RawFile | None:
    """Read the record of a raw file; None if it is damaged. Raises `NewerFormat`."""
    try:
        record: RawFile = read_as(RawFile, unsealed(data, key, dataset))
        return record
    except NewerFormat:
        raise
    except (IntegrityError, Unfit):
        # The file is retrieved again, and recorded anew.
        return None


def record_bytes(raw: RawFile) -> bytes:
    """Return the record of a raw file as it is stored."""
    document = asdict(raw)
    # A record without a state is that of earlier releases.
    return sealed(document if raw.state else {name: document[name] for name in document if name != "state"})
