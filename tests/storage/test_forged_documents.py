"""Documents that somebody forged: each field of each kind, as each type of JSON. Opening one is an error of ours.

They are opened in a child with limited memory and time.
"""

import copy
import json
import os
import select
import subprocess
import sys
from typing import Any, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from places import SUPPORT

from dataset_assets.core.documents import Unfit, parsed
from dataset_assets.encoding import Fitted
from dataset_assets.errors import DecodeError
from dataset_assets.reading.views.document import restored

SECONDS = 200
"""Longer than the child allows itself."""
DEEP: Any = []
for _ in range(300):
    DEEP = [DEEP]
VALUES: list[Any] = [
    None, True, -1, 0, 10**18, 10**30, 0.5, "", "x", "../../x", [], ["x"], [[1, 2], 3], {}, {"x": 1}, DEEP,
]  # fmt: skip
GONE = object()
ASKS: list[dict[str, Any]] = [
    {"$range": [0, 10**18, 1]},
    {"$rows": {"count": 10**9, "sha256": "0" * 64, "zlib": ""}},
    {"$function": "os:system"},
]
FEW = [None, True, -1, 10**30, "x", [[1, 2], 3], {}, *ASKS, GONE]


class Child:
    """A process that opens documents until one of them ends it."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        command = [sys.executable, str(SUPPORT / "forged_documents_child.py")]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True,
                                        env={**os.environ, "PYTHONWARNINGS": "ignore"})  # fmt: skip
        self.documents: dict[str, Any] = json.loads(self._line() or "{}")

    def open(self, kind: str, document: Any) -> str:
        """Return what came of a document, or how the child ended."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps([kind, document]) + "\n")
        self.process.stdin.flush()
        if line := self._line():
            return str(json.loads(line))
        self.end()
        code = self.process.returncode
        self.begin()
        return f"the child ended with {code}, or hung"

    def _line(self) -> str:
        assert self.process.stdout
        ready, _, _ = select.select([self.process.stdout], [], [], SECONDS)
        return self.process.stdout.readline() if ready else ""

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    found = Child()
    yield found
    found.end()


def places(document: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where the values of a document are; of a list the first ones."""
    yield at
    items = document.items() if isinstance(document, dict) else enumerate(document[:2])
    for key, value in items if isinstance(document, (dict, list)) else ():
        yield from places(value, (*at, key)) if isinstance(value, (dict, list)) else [(*at, key)]


def changed(document: Any, at: tuple[Any, ...], value: Any) -> Any:
    """Return a document with another value at a place, or without it."""
    if not at:
        return {} if value is GONE else value
    found = copy.deepcopy(document)
    within = found
    for key in at[:-1]:
        within = within[key]
    if value is GONE:
        del within[at[-1]]
    else:
        within[at[-1]] = value
    return found


KINDS = ["index", "version", "pointer", "source", "note", "fitted", "state"]


def test_what_nobody_forged_is_opened(child: Child) -> None:
    said = {kind: child.open(kind, document) for kind, document in child.documents.items()}
    assert said == dict.fromkeys(said, "fine") and set(KINDS) < set(said)


@pytest.mark.parametrize("kind", KINDS)
def test_each_field_as_each_type_is_refused_or_harmless(child: Child, kind: str) -> None:
    document, wrong = child.documents[kind], {}
    for at in places(document):
        for value in [*VALUES, GONE]:
            said = child.open(kind, changed(document, at, value))
            if said not in ("fine", "refused"):
                wrong[f"{'.'.join(map(str, at))} = {value!r:.60}"] = said
    assert not wrong


def test_each_field_of_each_stack_as_each_type_is_refused_or_harmless(child: Child) -> None:
    wrong = {}
    for kind in [name for name in child.documents if name.startswith("view")]:
        document = child.documents[kind]
        # What is stored is the same in each.
        for at in places({"views": document["views"][kind != "view, select" :]}):
            for value in FEW if len(at) > 1 else []:
                shifted = ("views", at[1] + (kind != "view, select"), *at[2:])
                said = child.open(kind, changed(document, shifted, value))
                if said not in ("fine", "refused"):
                    wrong[f"{kind}: {'.'.join(map(str, shifted))} = {value!r:.60}"] = said
    assert not wrong


@given(data=st.data())
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_several_changes_at_once_are_refused_or_harmless(child: Child, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(child.documents)))
    document = child.documents[kind]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.sampled_from([*places(document)]))
        document = changed(document, at, data.draw(st.sampled_from([*VALUES, GONE])))
        if not isinstance(document, dict):
            break
    assert child.open(kind, document) in ("fine", "refused")


def test_values_of_any_depth_are_refused_or_harmless(child: Child) -> None:
    for kind, document in child.documents.items():
        for depth in (50, 99, 101, 400, 900):
            deep: Any = 1
            for _ in range(depth):
                deep = [deep]
            for name in document:
                assert child.open(kind, {**document, name: deep}) in ("fine", "refused"), (kind, name, depth)


# --- documents that ask for much


def on(child: Child, *more: dict[str, Any]) -> str:
    """Open a stack of these views on the six stored samples."""
    stored = child.documents["view, select"]["views"][0]
    return child.open("view", {"format": 1, "views": [stored, *more]})


def node(op: str, *parents: int, **arguments: Any) -> dict[str, Any]:
    return {"op": op, "arguments": arguments, "parents": list(parents or [0])}


LONG = node("repeat", times=10**8)
ASKING: dict[str, list[dict[str, Any]]] = {
    "70 doublings": [node("concat", k, k) for k in range(70)],
    "70 doublings in turn": [node("interleave", k, k) for k in range(70)],
    "doublings of wholes": [node("concat", *[k] * 100) for k in range(5)],
    "a million parents": [node("concat", *[0] * 1_000_000)],
    "repeat 10**18": [node("repeat", times=10**18)],
    "repeats of repeats": [node("repeat", k, times=1000) for k in range(20)],
    "all of a long view, sorted": [LONG, node("sort_by", 1, by="label", reverse=False)],
    "all of a long view, filtered": [LONG, node("filter", 1, where=["in", [0]], column="label")],
    "all of a long view, divided": [LONG, node("random_split", 1, ratios=[0.5, 0.5], seed=1, part=0)],
    "all of a long view, kept": [LONG, node("cache", 1)],
    "a fold of very many": [node("repeat", times=10**6), node("kfold", 1, folds=6 * 10**6, by=None, seed=1, part=1)],
    "batches of batches": [node("repeat", times=10**12), *(node("batch", k, n=10**6, drop_last=False) for k in (1, 2))],
    "a long range": [node("select", order={"$range": [0, 10**12, 1]})],
    "a long range from behind": [node("repeat", times=10**12), node("select", 1, order={"$range": [-(10**12), 0, 1]})],
    "many rows in few bytes": [node("select", order={"$rows": {**ASKS[1]["$rows"], "count": 1 << 31}})],
    "views on views": [node("only", k, streams=["label"]) for k in range(3000)],
    "shuffles on shuffles": [node("shuffle", k, seed=k, epoch=0) for k in range(5000)],
    "arguments in arguments": [node("select", order=DEEP)],
    "mixed by next to nothing": [node("mix", 0, 0, weights=[1e-300, 1e300], seed=1, stop="all", epoch=0)],
    "a batch of True": [node("batch", n=True, drop_last=False)],
}  # fmt: skip


@pytest.mark.parametrize("what", ASKING)
def test_a_stack_that_asks_for_very_much_is_refused_at_once(child: Child, what: str) -> None:
    assert on(child, *ASKING[what]) == "refused"


def test_stacks_as_people_build_them_are_opened(child: Child) -> None:
    assert on(child, node("repeat", times=10**6), node("shuffle", 1, seed=2**64 - 1, epoch=3)) == "fine"
    assert on(child, *(node("shuffle", k, seed=k, epoch=0) for k in range(100))) == "fine"
    assert on(child, *(node("concat", *[k] * 10) for k in range(3))) == "fine"
    assert on(child, *(node("select", k, order={"$range": [5, -1, -1]}) for k in range(50))) == "fine"


def test_what_is_no_json_of_ours_is_a_decode_error() -> None:
    for text in ("[" * 100_000, '{"a":' * 100_000, '{"format": 1, "format": 1}', '{"format": NaN}', "9" * 5000, "\x00"):
        with pytest.raises(ValueError) as caught:
            parsed(text)
        assert isinstance(caught.value, (Unfit, json.JSONDecodeError)) or "digits" in str(caught.value)
        for opened in (Fitted.from_json, lambda text: restored(text, lambda given: None)):  # type: ignore[arg-type]
            with pytest.raises(DecodeError):
                opened(text)
