"""An immutable mapping that can be pickled."""

from typing import Any, Generic, Iterator, Mapping, TypeVar

Value = TypeVar("Value")


class FrozenMapping(Mapping[str, Value], Generic[Value]):
    """An immutable copy of a mapping, in its order. It can be pickled; types.MappingProxyType cannot.

    >>> FrozenMapping({"a": 1})
    {'a': 1}
    """

    def __init__(self, items: Mapping[str, Value]) -> None:
        self._items = dict(items)

    def __getitem__(self, name: str) -> Value:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**self, **other}

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**other, **self}

    def __copy__(self) -> "FrozenMapping[Value]":
        return self

    def __deepcopy__(self, memo: Any) -> "FrozenMapping[Value]":
        return self

    def __repr__(self) -> str:
        return repr(self._items)
