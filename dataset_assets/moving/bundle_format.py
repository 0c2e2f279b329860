"""What a bundle looks like: a plain tar whose first two members list the others. Equal content gives equal bytes."""

import tarfile
from typing import Iterable, NamedTuple

FORMAT, WITH_EXPERIMENTS = 1, 2
"""Releases that read format 1 refuse a bundle with experiments, which has format 2."""
SUMS, MANIFEST = "SHA256SUMS", "bundle.json"
LARGEST_LIST = 256 << 20
"""The size limit of a bundle's list of objects, in bytes. It is read into memory."""


class Member(NamedTuple):
    """An object in a bundle; a document carries its data."""

    key: str
    size: int
    sha256: str
    data: bytes | None = None


class Experiment(NamedTuple):
    """An experiment in a bundle: its pointer's fields, and its objects."""

    name: str
    id: str
    generation: str
    members: tuple[Member, ...] = ()


def sums_of(members: Iterable[Member]) -> bytes:
    """Return the list that `sha256sum -c` reads."""
    return "".join(f"{member.sha256}  {member.key}\n" for member in members).encode()


def header_of(key: str, size: int) -> bytes:
    """Return the header of a member."""
    info = tarfile.TarInfo(key)
    info.size = size
    try:
        return info.tobuf(tarfile.USTAR_FORMAT)
    except ValueError:
        # The old format cannot hold this name or size.
        return info.tobuf(tarfile.PAX_FORMAT)


def filling_of(size: int) -> bytes:
    """Return what fills the last block of a member."""
    return bytes(-size % tarfile.BLOCKSIZE)


def end_of(length: int) -> bytes:
    """Return the end of a tar that is so long without it."""
    two = 2 * tarfile.BLOCKSIZE
    return bytes(two + -(length + two) % tarfile.RECORDSIZE)
