"""Names that are imported when they are first used: those of a package, and those of a table."""

from importlib import import_module
from typing import Any, Callable, Iterator, Mapping, MutableMapping, TypeVar

Value = TypeVar("Value")


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


class Table(MutableMapping[str, Value]):
    """A table whose values are imported when they are first looked up: `module:name` for each; more can be added.

    >>> table = Table({"tau": "math:tau"})
    >>> table["pi"] = 3.14
    >>> {**table}
    {'tau': 6.283185307179586, 'pi': 3.14}
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = dict(places)
        self._values: dict[str, Value] = {}

    def __getitem__(self, name: str) -> Value:
        if name not in self._values and name in self._places:
            module, _, attribute = self._places[name].partition(":")
            # A module that registers its own value looks it up while it is imported: it is not there yet.
            if hasattr(imported := import_module(module), attribute):
                self._values.setdefault(name, getattr(imported, attribute))
        return self._values[name]

    def __setitem__(self, name: str, value: Value) -> None:
        self._values[name] = value

    def __delitem__(self, name: str) -> None:
        value, place = self._values.pop(name, None), self._places.pop(name, None)
        if value is None and place is None:
            raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter({**self._places, **self._values})

    def __len__(self) -> int:
        return len({**self._places, **self._values})
