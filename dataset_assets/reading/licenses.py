"""Licences: the setting `allow_licenses` says which ones data may have that is opened."""

from fnmatch import fnmatchcase
from typing import Sequence

from dataset_assets.core.settings import settings
from dataset_assets.errors import Refused
from dataset_assets.storage.manifest import SplitIndex


def see_allowed(index: SplitIndex) -> None:
    """Raise `Refused` if the setting `allow_licenses` does not allow the licence of a split."""
    check_license(f"{index.dataset}, split {index.split},", index.license)


def check_license(what: str, stated: str | None) -> None:
    """Raise `Refused` if the setting `allow_licenses` does not allow a licence; None is one that is not stated."""
    allowed = settings().allow_licenses
    if allowed and not is_allowed(stated, allowed):
        named = f"has the licence {stated!r}" if stated else "states no licence"
        raise Refused(
            f"{what} {named}, and the setting allow_licenses allows only {', '.join(allowed)}. Add the licence to the "
            "setting, or leave the dataset out."
        )


def is_allowed(stated: str | None, allowed: Sequence[str]) -> bool:
    """Say whether a licence, or an SPDX expression without brackets, is among those allowed.

    >>> is_allowed("MIT OR GPL-3.0-only", ["mit", "cc-by-*"]), is_allowed("MIT AND GPL-3.0-only", ["mit"])
    (True, False)
    """
    if stated is None:
        return False
    if _matches(stated, allowed):
        return True
    return any(all(_matches(one, allowed) for one in each.split(" AND ")) for each in stated.split(" OR "))


def _matches(stated: str, allowed: Sequence[str]) -> bool:
    return any(fnmatchcase(stated.strip().casefold(), one.casefold()) for one in allowed)
