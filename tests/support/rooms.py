"""The rooms of the package from the top floor down: their size, what they import, and totals. Run by `make graph`."""

import tomllib
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Iterator, Mapping

import grimp

ROOT = Path(__file__).resolve().parent.parent.parent
NAME = "dataset_assets"
PACKAGE = ROOT / NAME


@dataclass(frozen=True)
class Room:
    """A folder of the package, or `errors.py`: the floor that it is on, its files, and the rooms that it imports."""

    floor: int
    name: str
    files: tuple[Path, ...]
    imports: tuple[str, ...]

    @property
    def lines(self) -> int:
        """How many lines its files have."""
        return sum(len(path.read_text().splitlines()) for path in self.files)


def rooms() -> list[Room]:
    """Return the rooms from the top floor down."""
    arrows = arrows_of(grimp.build_graph(NAME, cache_dir=None))
    return [Room(floor, name, files_of(name), tuple(sorted(arrows[name]))) for floor, name in floors()]


def floors() -> Iterator[tuple[int, str]]:
    """Yield the floor and the name of each room, as the layers in pyproject.toml list them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    for number, layer in enumerate(layers):
        for name in layer.split(" : "):
            yield len(layers) - number, name


def files_of(room: str) -> tuple[Path, ...]:
    """Return the Python files of a room."""
    return tuple(sorted((PACKAGE / room).rglob("*.py"))) or (PACKAGE / f"{room}.py",)


def arrows_of(graph: grimp.ImportGraph) -> Mapping[str, set[str]]:
    """Return, for each child of the package, the other children that anything in it imports."""
    arrows: dict[str, set[str]] = {module.split(".")[1]: set() for module in graph.modules if "." in module}
    for module in graph.modules - {NAME}:
        room = module.split(".")[1]
        targets = graph.find_modules_directly_imported_by(module) - {NAME}
        arrows[room] |= {target.split(".")[1] for target in targets} - {room}
    return arrows


def circle(found: list[Room]) -> list[str]:
    """Return rooms of which each imports the one before it, the first the last; none if there is no circle."""
    try:
        TopologicalSorter({room.name: room.imports for room in found}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def printed(found: list[Room]) -> Iterator[str]:
    """Yield the lines that `make graph` prints."""
    yield f"{'floor':5}  {'room':13}  {'files':>5}  {'lines':>6}  imports"
    for room in found:
        size = f"{len(room.files):5}  {room.lines:6,}"
        yield f"{room.floor:5}  {room.name:13}  {size}  {', '.join(room.imports)}".rstrip()
    root = sorted(path.name for path in PACKAGE.glob("*.py"))
    arrows = sum(len(room.imports) for room in found)
    files, lines = sum(len(room.files) for room in found), sum(room.lines for room in found)
    yield f"\n{len(root)} files at the root of the package: {', '.join(root)}"
    yield f"{len(found)} rooms with {files} files and {lines:,} lines, and {arrows} arrows between them"
    yield f"circle: {' <- '.join(circle(found)) or 'none'}"


if __name__ == "__main__":
    print(*printed(rooms()), sep="\n")
