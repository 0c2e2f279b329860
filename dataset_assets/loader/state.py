"""The state of a loader: plain JSON with its position, and with the settings and the data that the position is for."""

import difflib
import reprlib
from typing import Any, Callable, Mapping

from dataset_assets.core.canonical import canonical, sha256_hex
from dataset_assets.errors import Conflict
from dataset_assets.reading.views import View
from dataset_assets.reading.views.document import document_of

FORMAT = 1
# Raised when the library changes an order, so that no state continues with different samples.
MAJOR = 0
# The fields that must be equal. The position is in `epoch` and `consumed`.
SAME = ("format", "library", "stack", "seed", "shuffle", "bucket", "worker")
THEN = {
    "format": "Use the version of dataset_assets that wrote it",
    "library": "Use the version of dataset_assets that wrote it",
    "stack": "Load the same version and build the same stack",
}
MOST_LINES, LINE = 20, 140


def check_state(state: Mapping[str, Any], mine: Mapping[str, Any], by_name: Callable[[], str]) -> None:
    """Raise `Conflict` if a state does not belong to this loader; the message names the field that differs.

    `by_name` returns the digest of the stack as earlier releases computed it, with functions by their names.
    """
    if not isinstance(state, Mapping):
        raise Conflict(f"{reprlib.repr(state)} is not a loader state. Pass what state_dict() returned.")
    if state.get("stack") != mine["stack"] and state.get("stack") == by_name():
        raise Conflict(
            "The state was written before functions, and sequences in memory, counted by their content. So it does not "
            f"say whether those of this loader are the same: {'; '.join(mine['view'])}. Continue with the release of "
            "dataset_assets that wrote it, or begin anew."
        )
    for field in SAME:
        if field in state or field in mine:
            _check(field, state, mine)
    for field in ("epoch", "consumed"):
        if type(state.get(field)) is not int or state[field] < 0:
            raise Conflict(
                f"The state has {field} {state.get(field)!r}, not a whole number of at least 0. Pass what state_dict() "
                "returned, or start a new epoch."
            )


def check_place(state: Mapping[str, Any], samples: int) -> None:
    """Raise `Conflict` for a position after the end of its epoch."""
    if state["consumed"] > samples:
        raise Conflict(
            f"The state has consumed {state['consumed']} samples, but its epoch has {samples}. Pass what state_dict() "
            "returned, or start a new epoch."
        )


def _check(field: str, state: Mapping[str, Any], mine: Mapping[str, Any]) -> None:
    if state.get(field) == mine.get(field):
        return
    changed = _changed(state.get("view"), mine["view"]) if field == "stack" else ""
    raise Conflict(
        f"The state has {field} {_short(state.get(field))}, this loader has {_short(mine.get(field))}: it would not "
        f"continue with the same samples.{changed} {THEN.get(field, 'Build the loader as it was')}, or start a new "
        "epoch."
    )


def _short(value: Any) -> str:
    return value[:12] if isinstance(value, str) and len(value) == 64 else reprlib.repr(value)


def _changed(before: Any, now: list[str]) -> str:
    if not isinstance(before, list):
        return ""
    lines = [line for line in difflib.ndiff(list(map(str, before)), now) if line[:2] in ("- ", "+ ")]
    return " Its view was (-) and is now (+): " + "; ".join(line.strip() for line in lines) + "." if lines else ""


def drawn(view: View) -> list[str]:
    """Return the views of a stack as a few lines, for messages. Texts and rows are digests, so no secret is shown."""
    nodes = document_of(view, "code")["views"][::-1]
    lines = [f"{node['op']}({_shown(node['arguments'])})"[:LINE] for node in nodes[:MOST_LINES]]
    return lines + ([f"... and {len(nodes) - MOST_LINES} more"] if len(nodes) > MOST_LINES else [])


def _shown(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_value(name, value)}" for name, value in arguments.items() if value is not None)


def _value(name: str, value: Any) -> str:
    if isinstance(value, (bool, int, float)) or name in ("dataset", "split"):
        return str(value)
    if name in ("index", "version"):  # digests already
        return str(value)[:12]
    if isinstance(value, Mapping) and "$function" in value:
        return "#".join([str(value["$function"]), *([value["code"][:12]] if "code" in value else [])])
    if isinstance(value, Mapping) and value.keys() == {"$range"}:
        return ":".join(map(str, value["$range"]))
    return sha256_hex(canonical({name: value}))[:12]
