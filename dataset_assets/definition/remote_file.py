"""Remote files: where a file of a dataset is, and the digest that its publisher states."""

import re
from dataclasses import dataclass

from dataset_assets.core.names import file_identifier
from dataset_assets.core.redact import redacted
from dataset_assets.definition.file_checks import (
    check_digest,
    check_file_identifier,
    check_keep,
    check_partitioned,
    check_size,
    check_url,
    key_from,
    url_from,
    urls_from,
)

PARTITION = "{partition}"
"""What stands in a URL for the partition of the asset that writes the file."""


@dataclass(frozen=True)
class RemoteFile:
    """A file at a URL, or with one name at several mirrors, and the digest that its publisher states.

    A mirror that ends in "/" is a folder that holds the file under its name; any other mirror is the full URL of the
    file. Without a digest, the first download records one. A file of this machine may be an absolute `pathlib.Path`.
    `after` are the parts of the key of the asset in Dagster that writes the file, such as `("dbt", "orders")`: the
    source is asked again when that asset has changed.

    A file that stands for one of each partition of that asset has `{partition}` in its URL, and is given to a
    `ForEach`: `ForEach(RemoteFile("https://lake.example/orders/{partition}.csv", after=("dbt", "orders")))`.

    With `keep=False` the storage has no copy of the file, only its digest and source: what needs the file retrieves it.
    Bytes that are retrieved again must be those that were recorded. By default a registered folder is not kept, and all
    else is.

    >>> RemoteFile("iris.csv", mirrors=("https://a.example/data/", "https://b.example/iris-v1.csv")).urls
    ('https://a.example/data/iris.csv', 'https://b.example/iris-v1.csv')
    """

    name: str
    mirrors: tuple[str, ...] = ()
    digest: str | None = None
    size: int | None = None
    identifier: str = ""
    keep: bool | None = None
    after: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # `Path.as_uri` encodes the braces.
        object.__setattr__(self, "name", url_from(self.name).replace("%7Bpartition%7D", PARTITION))
        object.__setattr__(self, "mirrors", urls_from(self.mirrors))
        given = self.identifier or file_identifier(self.name)
        object.__setattr__(self, "identifier", check_file_identifier(given))
        if self.digest is not None:
            object.__setattr__(self, "digest", check_digest(self.digest))
        check_size(self.identifier, self.size)
        object.__setattr__(self, "keep", not is_tree(self) if self.keep is None else check_keep(self.keep))
        object.__setattr__(self, "after", key_from(self.after))
        for url in self.urls:
            check_url(url, self.digest)
        if self.after and any(PARTITION in url for url in self.urls):
            check_partitioned(self.urls, PARTITION, self.digest, self.size)

    @property
    def urls(self) -> tuple[str, ...]:
        """The URLs of the file, in the order in which they are tried."""
        if not self.mirrors:
            return (self.name,)
        return tuple(mirror + self.name if mirror.endswith("/") else mirror for mirror in self.mirrors)

    def __repr__(self) -> str:
        digest, keep = f", {self.digest}" if self.digest else "", "" if self.keep else ", keep=False"
        return f"RemoteFile({', '.join(map(redacted, self.urls))}{digest}{keep})"


def is_partitioned(file: object) -> bool:
    """Return whether a file stands for one of each partition of the asset that writes it."""
    return isinstance(file, RemoteFile) and bool(file.after) and PARTITION in file.urls[0]


def is_tree(file: object) -> bool:
    """Return whether a file is the tar of a registered folder, of which the splits hold all."""
    # A folder of the user's, which is stored, has a name without dots.
    return isinstance(file, RemoteFile) and bool(re.match(r"folder:[^/]*\.", file.urls[0]))
