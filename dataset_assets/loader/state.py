"""The state of a loader: plain JSON that says where it is, and of what."""

import difflib
from typing import Any, Mapping

from dataset_assets.errors import Conflict
from dataset_assets.index import canonical, sha256_hex
from dataset_assets.views import View
from dataset_assets.views.operations import document_of

FORMAT = 1
# Of the library: raised when an order changes, so that no state goes on with other samples.
MAJOR = 0
# What has to be the same; where the loader is, is in `epoch` and `consumed`.
SAME = ("format", "library", "stack", "seed", "shuffle", "bucket", "worker")
MOST_LINES, LINE = 24, 96


def check_state(state: Mapping[str, Any], mine: Mapping[str, Any]) -> None:
    """Raise `Conflict` for a state that is not of this loader: it names the field that differs."""
    for field in SAME:
        if field in state or field in mine:
            _check(field, state, mine)
    for field in ("epoch", "consumed"):
        if type(state.get(field)) is not int or state[field] < 0:
            raise Conflict(f"The state has {field} {state.get(field)!r}, which is no position. Begin anew.")



def check_place(state: Mapping[str, Any], samples: int) -> None:
    """Raise `Conflict` for a position that lies beyond the samples of its epoch."""
    if state["consumed"] > samples:
        raise Conflict(f"The state has consumed {state['consumed']} of {samples} samples, which cannot be. Begin anew.")


def _check(field: str, state: Mapping[str, Any], mine: Mapping[str, Any]) -> None:
    if state.get(field) == mine.get(field):
        return
    changed = _changed(state.get("view"), mine["view"]) if field == "stack" else ""
    raise Conflict(
        f"The state has {field} {state.get(field)!r}, this loader {mine.get(field)!r}: it would not go on with the "
        f"same samples.{changed} Build the loader on the same version and stack, or begin anew."
    )


def _changed(before: Any, now: list[str]) -> str:
    if not isinstance(before, list):
        return ""
    lines = [line for line in difflib.ndiff(list(map(str, before)), now) if line[:2] in ("- ", "+ ")]
    return " In its view: " + "; ".join(line.strip() for line in lines) + "." if lines else ""


def drawn(view: View) -> list[str]:
    """Return a stack as a few lines, to say what changed: of texts and rows their digests, so no secrets."""
    nodes = document_of(view, exact=False)["views"][::-1]
    lines = [f"{node['op']}({_shown(node['arguments'])})"[:LINE] for node in nodes[:MOST_LINES]]
    return lines + ([f"... and {len(nodes) - MOST_LINES} more"] if len(nodes) > MOST_LINES else [])


def _shown(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_value(name, value)}" for name, value in arguments.items() if value is not None)


def _value(name: str, value: Any) -> str:
    if isinstance(value, (bool, int, float)) or name in ("dataset", "split"):
        return str(value)
    if isinstance(value, Mapping) and value.keys() == {"$function"}:
        return str(value["$function"])
    if isinstance(value, Mapping) and value.keys() == {"$range"}:
        return ":".join(map(str, value["$range"]))
    return sha256_hex(canonical({name: value}))[:12]
