"""What is learnt of objects that stay where they are after their index was made: their SHA-256, by reading them whole.

It lies in the home of the reader, because nobody else need believe it.
"""

from pathlib import Path

from dataset_assets.core import files
from dataset_assets.core.canonical import sha256_hex
from dataset_assets.core.documents import Unfit, digest
from dataset_assets.core.settings import settings
from dataset_assets.reading.placed_parts import state_of
from dataset_assets.storage.outside import opened, replaced
from dataset_assets.storage.placed import PlacedObject


def compare_content(one: PlacedObject, learns: bool = False) -> None:
    """Hash an object whose SHA-256 is known, and raise `ObjectReplaced` if it has another.

    With `learns` one whose SHA-256 is not known is hashed too, and it is noted for the next time.
    """
    known = one.sha256 or _learnt(one)
    if not known and not learns:
        return
    with opened(one.url, state_of(one)) as file:
        found = files.sha256_in(file)
    if known and found != known:
        raise replaced(one.url, f"has sha256 {found}, not {known}")
    if not known:
        place = _place(one)
        files.make_folder(place.parent)
        with files.whole(place) as note:
            note.write(found.encode())


def _learnt(one: PlacedObject) -> str:
    try:
        return str(digest(_place(one).read_text("ascii")))
    except (OSError, UnicodeDecodeError, Unfit):
        return ""


def _place(one: PlacedObject) -> Path:
    name = sha256_hex(f"{one.url}\n{one.bytes}\n{one.etag}\n{one.version}".encode())
    return settings().home / "learnt" / name[:2] / name
