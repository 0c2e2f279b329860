"""Tables inside of archives: each is named by the URL of the archive, and its path after a `#`."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, unquote

from dataset_assets.decoding import archive_members
from dataset_assets.decoding.archive import extracted
from dataset_assets.definition.archive_files import extracted_file
from dataset_assets.definition.dataset import DerivedFile, RemoteFile


def place_inside(archive: str, path: str) -> str:
    """Return what a file of an archive is called.

    >>> place_inside("https://example.org/birds.zip", "data/a b.csv")
    'https://example.org/birds.zip#data/a%20b.csv'
    """
    return f"{archive}#{quote(path)}"


def parted(place: str) -> tuple[str, str]:
    """Return the URL of an archive and the path in it; the path of a file that is in none is empty."""
    archive, _, path = place.partition("#")
    return archive, unquote(path)


def members(archive: Path) -> list[str]:
    """Return the paths of the files of an archive."""
    with archive.open("rb") as file:
        return [member.name for member in archive_members(file)]


def extract(archive: Path, path: str, into: Path) -> Path:
    """Write a file of an archive, and return its path."""
    with archive.open("rb") as file, into.open("wb") as out:
        for chunk in extracted(file, path=path, unwrap=False):
            out.write(chunk)
    return into


def defined(place: str, file: Callable[[str], RemoteFile], number: str = "") -> RemoteFile | DerivedFile:
    """Return a file as a definition has it; `file` is that of a URL. Files of one path in archives have a `number`."""
    archive, path = parted(place)
    name = f"{path.replace('/', '_')}{number}" if number else ""
    return extracted_file(file(archive), path, name=name) if path else file(archive)
