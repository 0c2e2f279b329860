"""The identity of a callable: everything that decides its result, as data for a digest.

For a function: its source, defaults, closure, and the globals of its own module that it names. For a partial: its
arguments. For a bound method or a callable object: its class and state. Code of Python and of this library counts by
its name.
"""

import dis
import functools
import logging
import operator
import re
import sys
import sysconfig
import threading
import types
from types import MappingProxyType
from typing import Any, Callable, Collection, Iterator, Mapping, NamedTuple

import numpy as np

from dataset_assets.core.source_code import codes_of, text_of
from dataset_assets.core.value_digest import NoDigest, digest_of_value


class _Pair(NamedTuple):
    one: int


_GLOBAL = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_BUILTIN = (types.BuiltinFunctionType, types.MethodWrapperType)
# Descriptors belong to a class, not to an object.
_DESCRIPTOR = (types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType)
_SLOT = (types.MemberDescriptorType, types.GetSetDescriptorType, type(_Pair.one))
# These objects have no effect on samples.
_INERT = (
    logging.Logger, type(threading.Lock()), type(threading.RLock()), threading.Event, threading.Condition,
    threading.Semaphore, threading.local,
)  # fmt: skip
_GETTER = (operator.itemgetter, operator.attrgetter, operator.methodcaller)
Counted = Mapping[type, Callable[[Any], Any]]
"""Type -> a function that returns the data that stands for its values in a digest."""


def identity_of(function: Callable[..., Any], counted: Counted = MappingProxyType({})) -> str:
    """Return a digest of everything that decides the result of a callable. Raises `NoDigest` if it cannot be read."""
    return digest_of_value(function, _Parts(counted))


def state_digest(value: Any, counted: Counted, without: Collection[str] = ()) -> str:
    """Return a digest of an object: its class, and its attributes except those in `without`. Raises `NoDigest`."""
    kept = {name: item for name, item in vars(value).items() if name not in without}
    return digest_of_value([type(value), _attributes(kept, type(value))], _Parts(counted))


def by_reference(counted: Counted) -> Callable[[Any], Any]:
    """Return a function that represents objects by the names of their classes and their state."""
    return _Parts(counted, code=False)


class _Named:
    """A value and its name. If it is `loose` and has no digest, its type stands for it."""

    def __init__(self, name: str, value: Any, loose: bool = False) -> None:
        self.name, self.value, self.loose = name, value, loose


class _Parts:
    """Returns the data for a function, class or object in a digest. Objects that refer to each other count once."""

    def __init__(self, counted: Counted, code: bool = True) -> None:
        self.counted, self.code = counted, code
        self.done: dict[int, str] = {}
        self.path: list[int] = []
        self.kept: list[Any] = []

    def __call__(self, value: Any) -> Any:
        if isinstance(value, _Named):
            return self._named(value)
        key = id(value)
        if key in self.done:
            return self.done[key]
        if key in self.path:
            return ["again", self.path.index(key)]
        self.path.append(key)
        # Keep a reference, so that no new value gets the same id.
        self.kept.append(value)
        try:
            self.done[key] = digest_of_value(self._parts(value), self)
        finally:
            self.path.pop()
        return self.done[key]

    def _named(self, named: _Named) -> Any:
        try:
            return [named.name, digest_of_value(named.value, self)]
        except NoDigest as error:
            if named.loose:
                return [named.name, _reference(type(named.value))]
            raise NoDigest(f"{error} in {named.name}" if " in " not in str(error) else str(error)) from error

    def _parts(self, value: Any) -> Any:
        kind = type(value)
        for each, how in self.counted.items():
            if isinstance(value, each):
                return ["counted", how(value)]
        if isinstance(value, types.FunctionType):
            return _reference(value) if _home(value.__module__) == "python" else list(self._function(value))
        if isinstance(value, functools.partial):
            return ["partial", value.func, value.args, sorted(value.keywords.items(), key=_by_name)]
        if isinstance(value, types.MethodType):
            own = _home(value.__module__) != "python"
            return ["method", value.__func__, value.__self__] if own or not _is_global(value) else _reference(value)
        if isinstance(value, _BUILTIN):
            return self._builtin(value)
        if isinstance(value, _DESCRIPTOR):
            return ["descriptor", value.__objclass__, value.__name__]
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, types.ModuleType):
            return ["module", value.__name__]
        return self._special(value, kind)

    def _special(self, value: Any, kind: type) -> Any:
        if isinstance(value, (staticmethod, classmethod)):
            return [kind.__name__, value.__func__]
        if isinstance(value, property):
            return ["property", value.fget, value.fset]
        if isinstance(value, functools.cached_property):
            return ["property", value.func]
        if isinstance(value, re.Pattern):
            return ["pattern", value.pattern, value.flags]
        if isinstance(value, _GETTER):
            return [kind.__name__, *value.__reduce__()[1]]
        if isinstance(value, _INERT):
            return ["inert", _reference(kind), str(getattr(value, "name", ""))]
        if isinstance(value, np.ufunc) and getattr(np, getattr(value, "__name__", ""), None) is value:
            return ["numpy", getattr(value, "__name__", "")]
        if hasattr(value, "cache_info") and hasattr(value, "__wrapped__"):
            return ["cached", value.__wrapped__]
        if kind.__name__ == "cython_function_or_method":
            return _reference(value)
        if kind.__module__ in ("typing", "types"):
            return ["type", repr(value)]
        return self._object(value, kind)

    def _builtin(self, value: Any) -> Any:
        owner = getattr(value, "__self__", None)
        if owner is None or isinstance(owner, types.ModuleType) or _is_global(value):
            return _reference(value)
        return ["method", value.__name__, owner]

    def _function(self, function: types.FunctionType) -> Iterator[Any]:
        # pytest rewrites the asserts of test modules before it compiles them.
        yield text_of(function.__code__, "@pytest_ar" in function.__globals__)
        names = {name for code in codes_of(function.__code__) for name in code.co_names}
        # The source has the expression of a default, but not its value when the function was defined.
        yield [_Named("a default", value) for value in function.__defaults__ or ()]
        yield [_Named(name, value) for name, value in sorted((function.__kwdefaults__ or {}).items())]
        yield [_Named(name, value) for name, value in sorted(vars(function).items()) if name in names]
        cells = zip(function.__code__.co_freevars, function.__closure__ or ())
        yield [_Named(name, cell.cell_contents) for name, cell in cells if cell != types.CellType()]
        loose = _home(function.__module__) != "own"
        for name in sorted(_globals_of(function.__code__) & function.__globals__.keys()):
            yield _Named(name, self._global(function.__globals__[name], function), loose)

    def _global(self, value: Any, function: types.FunctionType) -> Any:
        """Return the data for a global. A function or class of another module counts by its name."""
        if isinstance(value, (types.FunctionType, type)) and value.__module__ != function.__module__:
            return _reference(value)
        return value

    def _class(self, kind: type) -> Any:
        home = _home(kind.__module__) if self.code else "python"
        if home == "python":
            return _reference(kind)
        if home == "own":
            return [kind.__qualname__, list(kind.__bases__), *self._members(kind)]
        # The text of a library's class is enough: the names that its methods use may lead to half of the library.
        methods = [(name, value) for name, value in sorted(vars(kind).items()) if isinstance(value, types.FunctionType)]
        return [_reference(kind), list(kind.__bases__), [[name, text_of(value.__code__)] for name, value in methods]]

    def _members(self, kind: type) -> Iterator[Any]:
        for name, value in sorted(vars(kind).items()):
            special = name.startswith("__") and name.endswith("__") or name.startswith("_abc_")
            code = isinstance(value, (types.FunctionType, staticmethod, classmethod, property))
            if code or not special and not isinstance(value, _SLOT):
                yield _Named(f"{kind.__qualname__}.{name}", value)

    def _object(self, value: Any, kind: type) -> Any:
        if not _is_readable(value, kind):
            raise NoDigest(f"a {kind.__module__}.{kind.__qualname__}")
        try:
            reduced = value.__reduce_ex__(2)
        # State in C, such as that of a lock or a generator, cannot be read.
        except TypeError as error:
            raise NoDigest(f"a {kind.__module__}.{kind.__qualname__}") from error
        if isinstance(reduced, str):
            return _reference(kind), reduced
        made, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        items, pairs = (None if given is None else list(given) for given in (items, pairs))
        return ["object", kind, _reference(made), arguments, _attributes(state, kind), items, pairs]


def _attributes(state: Any, kind: type) -> Any:
    """Return a state without cached properties. A state that is not a dict is returned unchanged."""
    if not isinstance(state, dict):
        return state
    kept = {name: value for name, value in state.items() if not _is_computed(kind, name)}
    return [_Named(f"{kind.__qualname__}.{name}", value) for name, value in sorted(kept.items(), key=_by_name)]


def _by_name(pair: tuple[Any, Any]) -> str:
    return str(pair[0])


def _is_computed(kind: type, name: Any) -> bool:
    found = (vars(base)[name] for base in kind.__mro__ if name in vars(base))
    return isinstance(next(found, None), functools.cached_property)


def _is_readable(value: Any, kind: type) -> bool:
    """Return True if the whole state of an object can be read as plain values: none is kept in C or on a device."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.nn.Module):
        return False
    own = (kind.__reduce_ex__, kind.__reduce__, getattr(kind, "__getstate__", None))
    plain = (object.__reduce_ex__, object.__reduce__, object.__getstate__)
    return all(isinstance(mine, types.FunctionType) or mine is known for mine, known in zip(own, plain))


def _globals_of(code: types.CodeType) -> set[str]:
    return {name for part in codes_of(code) for name in _named(part)}


@functools.lru_cache(maxsize=4096)
def _named(code: types.CodeType) -> frozenset[str]:
    found = (each for each in dis.get_instructions(code) if each.opname in _GLOBAL)
    return frozenset(each.argval for each in found if not each.argval.startswith(("__", "@")))


def _reference(value: Any) -> str:
    return f"{getattr(value, '__module__', None)}:{getattr(value, '__qualname__', repr(type(value)))}"


def _is_global(value: Any) -> bool:
    """Return True if a module of Python or of a library has this value under its name."""
    module = getattr(value, "__module__", None)
    found = getattr(sys.modules.get(str(module)), value.__name__, None)
    return found == value and _home(str(module)) != "own"


@functools.lru_cache(maxsize=4096)
def _home(module: str | None) -> str:
    """Return the origin of a module: "python" (the standard library), "library" (installed packages), or "own"."""
    if module == "__main__":
        return "own"
    # The version of this library identifies its code, and the state of a loader has that version.
    if module is None or module in sys.builtin_module_names or module.startswith("dataset_assets."):
        return "python"
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return "python" if module.partition(".")[0] in sys.stdlib_module_names else "own"
    places = sysconfig.get_paths()
    if any(file.startswith(places[name]) for name in ("purelib", "platlib")) or "site-packages" in file:
        return "library"
    return "python" if file.startswith((places["stdlib"], places["platstdlib"])) else "own"
