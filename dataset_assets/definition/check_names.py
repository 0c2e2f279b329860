"""Checks the names in a definition: of streams and splits, and of the checks that it turns on or off."""

from typing import Any, Callable, Iterable, Mapping

from dataset_assets.core.names import check_identifier
from dataset_assets.errors import DefinitionError, NameNotAllowed, nearest

SEVERITIES = ("error", "warn", "off")
SPLIT_CHECKS = ("counts", "schema", "classes")
VERSION_CHECKS = ("leakage",)

Check = Callable[[Mapping[str, Any]], "str | None"]


def check_check(name: str, chosen: "str | Check") -> None:
    """Reject a check with an unknown name or severity, and one that is not a function."""
    known = (*SPLIT_CHECKS, *VERSION_CHECKS)
    if isinstance(chosen, str):
        if name not in known:
            raise DefinitionError(f"There is no check {name!r}.{nearest(name, known)}")
        if chosen not in SEVERITIES:
            raise DefinitionError(f"Check {name!r} is set to {chosen!r}.{nearest(chosen, SEVERITIES)}")
        return
    check_identifier(name, "check")
    if name in known:
        raise DefinitionError(
            f"{name!r} is a built-in check. Give your function a different name; to disable ours, set it to 'off'."
        )
    if not callable(chosen):
        raise DefinitionError(f"Check {name!r} is {chosen!r}. Give a function of the splits' views, or a severity.")


def check_distinct(what: str, names: Iterable[str]) -> None:
    """Reject names that would be the same folder on a case-insensitive filesystem."""
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(str(name).lower(), name)) != name:
            raise NameNotAllowed(
                f"{what.capitalize()}s {other!r} and {name!r} differ only in case. Rename one of them."
            )
