"""Sources that are listed by a service: datasets of the Hugging Face Hub, and prefixes and patterns of buckets."""

import re
from typing import Any, Mapping, NamedTuple
from urllib.parse import urlsplit

from dataset_assets.definition.plain_splits import is_junk
from dataset_assets.errors import UsageError
from dataset_assets.retrieval.bucket import is_several, objects_below
from dataset_assets.retrieval.hub_address import HubAddress, address_of
from dataset_assets.retrieval.listed import Listed
from dataset_assets.sources.folders import by_split
from dataset_assets.sources.kinds import TABLES, ending

BUCKETS = ("s3", "gs", "az")
_NO_DATA = re.compile(
    r"README(\.\w+)?|LICEN[CS]E(\.\w+)?|dataset_infos?\.json|dataset_dict\.json|state\.json|.*\.py", re.I
)


class Listing(NamedTuple):
    """The files of a source, the URL of all of them as one tar, and its splits if they are tables."""

    url: str
    files: list[Listed]
    tables: dict[str, list[Listed]] | None


def is_listed(source: Any) -> bool:
    """Say whether a source is a dataset of the Hub, or a prefix or pattern of a bucket."""
    if not isinstance(source, str):
        return False
    scheme = urlsplit(source).scheme
    return scheme == "hf" or (scheme in BUCKETS and is_several(source))


def listing_of(source: str, config: str | None) -> Listing:
    """List a source. Raises `RetrievalError`, and `UsageError` for a `config` that it does not have."""
    if urlsplit(source).scheme != "hf":
        if config is not None:
            raise UsageError("config= is that of a dataset of the Hugging Face Hub. Leave it out.")
        found = _with_data(objects_below(source))
        return Listing(source, found, _tables(found))
    # These import requests, which takes a while.
    from dataset_assets.retrieval.hub import file_at, files_below, pinned
    from dataset_assets.sources.dataset_card import configured

    address = pinned(_address(source))
    if not address.is_folder:
        one = file_at(address)
        return Listing(one.url, [one._replace(path=one.path.rpartition("/")[2])], {"all": [one]})
    every = files_below(address)
    found = _with_data(every)
    said = configured(every, config) if not address.path else None
    if said is None or not all(ending(one.path) in TABLES for some in said.values() for one in some):
        said = _tables(found)
    return Listing(address.url, found, said)


def _address(source: str) -> HubAddress:
    """Return the address of a source, in which `datasets/` may be left out, and `/` at the end of a folder."""
    rest = source.removeprefix("hf://")
    address = address_of(source if rest.startswith("datasets/") else f"hf://datasets/{rest}")
    name = address.path.rpartition("/")[2]
    return address if not name or "." in name or "*" in name else address._replace(path=f"{address.path}/")


def _with_data(found: list[Listed]) -> list[Listed]:
    """Return the files but those that hold no samples: hidden ones, and the description of a dataset."""
    return [one for one in found if not is_junk(one.path) and not _NO_DATA.fullmatch(one.path)]


def _tables(found: list[Listed]) -> dict[str, list[Listed]] | None:
    if not {ending(one.path) for one in found} <= {*TABLES}:
        return None
    known: Mapping[str, Listed] = {one.path: one for one in found}
    return {split: [known[path] for path in paths] for split, paths in by_split([*known]).items()}
