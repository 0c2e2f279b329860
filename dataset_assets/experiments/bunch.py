"""Mappings whose values are attributes too: the fields of a run, and the data stores in them."""

from collections.abc import MutableMapping
from typing import Any, Callable, Iterator

from dataset_assets.errors import UsageError

DEEPEST = 20
"""Bunches are found in collections that are nested up to this depth."""


class Unread:
    """A stored value that was not read yet; `read` reads it."""

    __slots__ = ("document", "read")

    def __init__(self, document: dict[str, Any], read: Callable[[], Any]) -> None:
        self.document, self.read = document, read


class Bunch(MutableMapping[str, Any]):
    """A mapping whose values are attributes too: `fields.accuracy` is `fields["accuracy"]`.

    A name that is a method, such as `items`, cannot be set as an attribute: use `fields["items"]`.
    """

    __slots__ = ("__weakref__", "_changed", "_held")
    _held: dict[str, Any]
    _changed: bool

    def __init__(self, *mappings: Any, **values: Any) -> None:
        held = dict(*mappings, **values)
        for name in held:
            _check_name(name)
        object.__setattr__(self, "_held", held)
        object.__setattr__(self, "_changed", False)

    def __getitem__(self, name: str) -> Any:
        value = self._held[name]
        if isinstance(value, Unread):
            value = self._held[name] = value.read()
        return value

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        self._held[name] = value
        object.__setattr__(self, "_changed", True)

    def __delitem__(self, name: str) -> None:
        del self._held[name]
        object.__setattr__(self, "_changed", True)

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __getattr__(self, name: str) -> Any:
        # Called only for names that are not attributes. An object that is being unpickled holds nothing yet.
        if name in ("_held", "_changed") or name not in self._held:
            raise AttributeError(f"{type(self).__name__} holds no {name!r}")
        return self[name]

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(type(self), name):
            raise UsageError(f"{name} is a method of {type(self).__name__}. Set this value with [{name!r}] = ...")
        self[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self._held:
            raise AttributeError(f"{type(self).__name__} holds no {name!r}")
        del self[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._held]

    def __repr__(self) -> str:
        shown = {name: "..." if isinstance(value, Unread) else repr(value) for name, value in self._held.items()}
        return f"{type(self).__name__}({', '.join(f'{name}={value}' for name, value in shown.items())})"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)


def _check_name(name: Any) -> None:
    if not isinstance(name, str):
        raise UsageError(f"The name {name!r:.80} is not text. Use text as the name of a value.")


class DataStore(Bunch):
    """Values that lie in the storage, beside the record of their run; each is read when it is touched, and only it.

    >>> store = DataStore(a=1)
    >>> store.a
    1
    """

    __slots__ = ()


def held(bunch: Bunch) -> dict[str, Any]:
    """Return what a bunch holds; values that were not read stay `Unread`."""
    return bunch._held


def was_changed(bunch: Bunch) -> bool:
    """Say whether a value was set or removed, here or in a bunch below. Lists and arrays that changed are not seen."""
    return bunch._changed or any(map(was_changed, bunches_in([*bunch._held.values()])))


def settle(bunch: Bunch) -> None:
    """Count a bunch, and those below it, as unchanged."""
    object.__setattr__(bunch, "_changed", False)
    for below in bunches_in([*bunch._held.values()]):
        settle(below)


def bunches_in(value: Any, depth: int = 0) -> Iterator[Bunch]:
    """Yield the bunches in a value: itself, or in lists, tuples and dictionaries. Those in a bunch are not."""
    if isinstance(value, Bunch):
        yield value
    elif depth <= DEEPEST and type(value) in (list, tuple, dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from bunches_in(item, depth + 1)
