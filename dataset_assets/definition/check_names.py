"""Checks the names in a definition: of streams and splits, and of the checks that it turns on or off."""

from typing import Any, Callable, Iterable, Mapping

from dataset_assets.core.names import check_identifier
from dataset_assets.errors import DefinitionError, NameNotAllowed, nearest

SEVERITIES = ("error", "warn", "off")
SPLIT_CHECKS = ("counts", "schema", "classes")
VERSION_CHECKS = ("leakage",)
OPTIONAL_CHECKS = ("nulls", "range", "balance", "drift")
"""The checks that are off unless a definition names them, and then warn unless it asks for more."""
SKIPPED = "skipped"
"""The check of a split whose samples may be bad: not more of them were skipped than the definition allows."""

Check = Callable[[Mapping[str, Any]], "str | None"]


def check_check(name: str, chosen: "str | Check") -> None:
    """Reject a check with an unknown name or severity, and one that is not a function."""
    known: tuple[str, ...] = (*SPLIT_CHECKS, *VERSION_CHECKS, SKIPPED)
    if isinstance(chosen, str):
        known = (*known, *OPTIONAL_CHECKS)
        if name == "range" and chosen != "off":
            raise DefinitionError("The check 'range' needs bounds: checks={'range': in_range({'age': (0, 120)})}.")
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


def check_on_error(chosen: Any) -> None:
    """Reject what is neither "raise", "skip", a count nor a share."""
    if chosen in ("raise", "skip") and isinstance(chosen, str):
        return
    if isinstance(chosen, bool) or not isinstance(chosen, (int, float)) or not chosen >= 0 or chosen != chosen:
        raise DefinitionError(f"on_error={chosen!r} is not known. Use 'raise', 'skip', a count, or a share below 1.")
    if isinstance(chosen, float) and chosen >= 1:
        raise DefinitionError(f"on_error={chosen!r} is no share. Give one below 1, or a whole number as a count.")


def check_distinct(what: str, names: Iterable[str]) -> None:
    """Reject names that would be the same folder on a case-insensitive filesystem."""
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(str(name).lower(), name)) != name:
            raise NameNotAllowed(
                f"{what.capitalize()}s {other!r} and {name!r} differ only in case. Rename one of them."
            )
