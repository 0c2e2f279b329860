"""Derived files in one line: a file of an archive, and a file that was published in parts."""

from dataset_assets.decoding.archive import concatenated, extracted
from dataset_assets.decoding.members import leads_out, normalised
from dataset_assets.definition.dataset import DerivedFile, RemoteFile
from dataset_assets.definition.links import FileOf
from dataset_assets.errors import DefinitionError

File = RemoteFile | DerivedFile | FileOf
MOST_PARTS = 10_000


def extracted_file(
    archive: File, path: str, *, unwrap: bool = False, name: str = "", keep: bool = False
) -> DerivedFile:
    """Return one file of an archive, zip or tar, as a derived file: `extracted_file(ARCHIVE, "data/train.csv")`.

    With `unwrap` all members of the archive must lie in one folder, whatever its name, which is left out of the path.
    Its identifier is made from `name`, by default the path. Raises `DefinitionError` for a path that leads out.
    """
    if not isinstance(path, str) or leads_out(path := normalised(path)):
        raise DefinitionError(f"path={path!r} is not the path of a file in an archive. Write it as 'data/train.csv'.")
    return DerivedFile(name or path.replace("/", "_"), extracted, keep=keep, archive=archive, path=path, unwrap=unwrap)


def joined_file(name: str, *parts: File, keep: bool = False) -> DerivedFile:
    """Return a file that was published in parts as one derived file: `joined_file("all.zip", PART_1, PART_2)`.

    The parts are joined in this order.
    """
    if not isinstance(name, str) or not name:
        raise DefinitionError(f"{name!r} is not the name of a file. Write joined_file('all.zip', FILE, ...).")
    if not 1 <= len(parts) <= MOST_PARTS or not all(isinstance(part, File) for part in parts):
        raise DefinitionError(
            f"{name} needs files as its parts, at most {MOST_PARTS}: joined_file({name!r}, FILE, ...)."
        )
    return DerivedFile(name, concatenated, keep=keep, **{f"part_{i:04}": part for i, part in enumerate(parts)})
