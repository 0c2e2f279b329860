"""Packages whose names are imported when they are first used."""

from importlib import import_module
from typing import Any, Callable, Mapping


def lazily(package: dict[str, Any], places: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and the `__dir__` of a package that imports its names when they are first used.

    `package` is its `globals()`; `places` gives, for each name, the module below the package that defines it.
    """
    own = package["__name__"]

    def getattribute(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {own!r} has no attribute {name!r}")
        package[name] = getattr(import_module(f"{own}.{places[name]}"), name)
        return package[name]

    return getattribute, lambda: sorted({*package, *places})
