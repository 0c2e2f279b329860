"""Imports go down: the floors of the house, and what training code may meet."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "dataset_assets"

FLOORS = {
    7: ["cli", "keeping", "shell", "trusting", "__main__", "testing"],
    6: ["orchestration", "verifying", "doctor"],
    5: [
        "collecting", "copying", "bundling", "usage", "preparing", "inputs", "making", "gathering", "publishing",
        "pointing", "describing", "scaffolding", "showing",
    ],
    4: ["retrieval", "registry", "searching", "datasets", "checking", "comparing", "loading", "loader", "views"],
    3: ["definition", "recipe", "index", "layout", "leases", "listing", "pins"],
    2: ["formats", "storage", "scratch", "cache", "cache_folder", "remote", "marks"],
    1: [
        "names", "errors", "samples", "orders", "mixing", "decoding", "encoding", "extras", "files", "interruptible",
        "limits", "locks", "loopback", "owners", "plugins", "pool", "paging", "progress", "redacting", "settings",
        "documents", "escaping", "project_file", "trust",
    ],
}  # fmt: skip
FLOOR = {room: floor for floor, rooms in FLOORS.items() for room in rooms}
READING = ("loading", "loader", "views")
MAKING = ("definition", "recipe", "registry", "datasets", "inputs", "making", "publishing", "preparing", "retrieval")
HEAVY = ("dagster", "torch", "pandas", "sqlalchemy", "requests", "obstore", "pyarrow")


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def face() -> dict[str, str]:
    import dataset_assets

    return dataset_assets._FACE


def imports_of(path: Path) -> set[str]:
    """Return the rooms that a file imports, anywhere in it; a name of the face counts as the room it is in."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {room_of(alias.name) for alias in node.names if alias.name.startswith("dataset_assets.")}
        elif isinstance(node, ast.ImportFrom) and node.module == "dataset_assets":
            found |= {face().get(alias.name, alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dataset_assets."):
            found.add(room_of(node.module or ""))
    return found - {""}


def files() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def own_room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    room = own_room(path)
    up = {other for other in imports_of(path) if other != room and FLOOR[other] > FLOOR[room]}
    assert not up, f"{room} (floor {FLOOR[room]}) reaches up to {up}"


def test_no_two_rooms_import_each_other_in_a_circle() -> None:
    arrows = {room: {o for p in files() if own_room(p) == room for o in imports_of(p)} - {room} for room in FLOOR}
    done: set[str] = set()

    def visit(room: str, trail: tuple[str, ...]) -> None:
        assert room not in trail, f"a circle: {' -> '.join([*trail, room])}"
        if room not in done:
            for other in arrows[room]:
                visit(other, (*trail, room))
            done.add(room)

    for room in arrows:
        visit(room, ())


@pytest.mark.parametrize("room", READING)
def test_reading_never_reaches_making(room: str) -> None:
    reached, open_ = set(), [room]
    while open_:
        current = open_.pop()
        reached.add(current)
        others = {other for path in files() if own_room(path) == current for other in imports_of(path)}
        open_ += [other for other in others if other not in reached]
    assert not reached & set(MAKING)


def test_only_orchestration_imports_dagster() -> None:
    guilty = [p for p in files() if own_room(p) not in ("orchestration", "testing") and "dagster" in imported_roots(p)]
    assert not guilty


def imported_roots(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {(node.module or "").split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}


def in_fresh_process(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_face_brings_nothing_heavy_and_starts_no_thread() -> None:
    code = (
        "import sys, threading, dataset_assets; "
        f"print([m for m in {HEAVY!r} if m in sys.modules], threading.active_count(), 'numpy' in sys.modules)"
    )
    assert in_fresh_process(code) == "[] 1 False"


def test_training_code_never_meets_dagster() -> None:
    code = (
        "import sys; from dataset_assets import load, View; import dataset_assets.reading.views; "
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    assert in_fresh_process(code) == "[]"


def test_a_definition_brings_nothing_heavy() -> None:
    code = f"import sys, dataset_assets.datasets.mnist; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert in_fresh_process(code) == "[]"


def test_no_file_of_the_dagster_room_defers_annotations() -> None:
    for path in (PACKAGE / "orchestration").glob("*.py"):
        assert "from __future__ import annotations" not in path.read_text(), path
