"""Writes stacks as JSON and reads them: a document lists the views of a stack by name, with their arguments.

    @operation("shuffle")
    class Shuffled(Selected):
        def arguments(self): return {"seed": self.seed, "epoch": self.epoch}

`arguments()` returns the values from which `build(arguments, parents)` makes the same view: numbers, text, lists and
mappings of these, and functions, ranges and arrays of rows, which have their own form in the document. The document,
the stored bytes and the functions together give the same samples in the same order.
"""

import base64
import functools
import hashlib
import importlib
import json
import zlib
from dataclasses import dataclass
from typing import Any, Callable, Iterable, Iterator, Literal, Mapping, Sequence, TypeVar, cast

import numpy as np

from dataset_assets.core.canonical import canonical, sha256_hex
from dataset_assets.core.documents import UNFIT, Count, checked_arguments, parsed, read_as
from dataset_assets.errors import DatasetAssetsError, DecodeError, DigestMismatch, Refused, UsageError, nearest
from dataset_assets.formats.columns import Indices
from dataset_assets.reading.views.bounds import Budget
from dataset_assets.reading.views.node import KNOWN, Node
from dataset_assets.reading.views.operations import OPERATIONS

FORMAT = 1
# How functions and values in memory count: "json" by what another process reads back, "code" by their content, and
# "name" as releases counted them that wrote loader states without the digests of functions.
By = Literal["json", "code", "name"]
# Attributes of our views that reading fills.
FOUND_LATER = ("_row_bytes", "_first", KNOWN)
AGAIN = "Write it again with view.to_json()."
Stack = TypeVar("Stack", bound=Node)
Document = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """A view in a document: its operation, its arguments, and the numbers of its parents."""

    op: str
    arguments: Mapping[str, Any]
    parents: tuple[Count, ...]


def document_of(view: Node, by: By = "json") -> Document:
    """Return a stack as plain JSON: its views, each once, after those it stands on; parents are their numbers.

    By "json", a function that no other process could import is refused by `UsageError`; by "code", one that has no
    digest is.
    """
    numbers: dict[int, int] = {}
    written: dict[bytes, int] = {}
    nodes: list[Document] = []
    for each in stack_of(view):
        name, arguments = _named(each, by)
        counted: By = "name" if by == "code" and getattr(each, "code_version", None) is not None else by
        plain = {key: _plain(value, counted, each) for key, value in arguments.items()}
        node = {"op": name, "arguments": plain, "parents": [numbers[id(parent)] for parent in each.parents]}
        # Two views that are equal are one, so that a document does not depend on who shares what in memory.
        numbers[id(each)] = written.setdefault(canonical(node), len(nodes))
        if numbers[id(each)] == len(nodes):
            nodes.append(node)
    return {"format": FORMAT, "views": nodes}


def to_json(view: Node) -> str:
    """Return a stack as JSON text. Raises `UsageError` for a stack that another process could not read."""
    return json.dumps(document_of(view), sort_keys=True, allow_nan=False)


def fingerprint(view: Node) -> str:
    """Return the sha256 of a stack's canonical JSON, in which functions count by their code.

    Raises `UsageError` for a function, or a value in memory, that has no digest.
    """
    return sha256_hex(canonical(document_of(view, "code")))


def fingerprint_by_name(view: Node) -> str:
    """Return the fingerprint as it was when functions counted by their names alone."""
    return sha256_hex(canonical(document_of(view, "name")))


def restored(
    document: "str | bytes | Mapping[str, Any]",
    stored: Callable[[Mapping[str, Any]], Stack],
    functions: Iterable[Callable[..., Any]] = (),
    trust: Iterable[str] = (),
) -> Stack:
    """Return the stack that a document describes; `stored` opens its stored splits.

    Functions must be in `functions`, or in a module of `trust`, which is imported and so runs. Raises `Refused` for any
    other function, `DecodeError` for anything but a document of a stack, and `DigestMismatch` for damaged rows.
    """
    entries = _entries(document)
    known, modules = {reference_of(function): function for function in functions}, frozenset(trust)
    views, budget = list[Stack](), Budget()
    for entry in entries:
        if entry.op not in OPERATIONS:
            raise DecodeError(f"There is no operation {entry.op[:80]!r} here.{nearest(entry.op, OPERATIONS)}")
        try:
            arguments = {name: _valued(value, known, modules, budget) for name, value in entry.arguments.items()}
            views.append(_built(entry, arguments, [views[k] for k in entry.parents], stored, budget))
        except DatasetAssetsError:
            raise
        except UNFIT as error:
            why = str(error)[:300] or type(error).__name__
            raise DecodeError(f"Invalid arguments for operation {entry.op!r}: {why}. {AGAIN}") from error
    return views[-1]


def stored_in(document: "str | bytes | Mapping[str, Any]") -> list[Document]:
    """Return the stored splits below a stack that a document describes; it opens nothing and calls nothing."""
    return [dict(entry.arguments) for entry in _entries(document) if entry.op == "stored"]


def _built(
    entry: Entry, arguments: Document, parents: list[Stack], stored: Callable[[Document], Stack], budget: Budget
) -> Stack:
    kind = OPERATIONS[entry.op]
    if entry.op == "stored" and parents:
        raise ValueError("a stored view cannot have parents")
    arguments = checked_arguments(getattr(kind, "divided", kind), arguments)
    budget.join(kind, arguments, parents)
    view = stored(arguments) if entry.op == "stored" else kind.build(arguments, parents)
    batch = min(arguments["n"], max(1, len(parents[0]))) if entry.op == "batch" else 1
    budget.made(view, parents, batch)
    return view


def stack_of(view: Stack) -> Iterator[Stack]:
    """Yield the views of a stack, each once, after all views below it."""
    done: set[int] = set()
    waiting = [view]
    # Without recursion, because a stack of views may be deeper than Python's stack.
    while waiting:
        lower: Any = [parent for parent in waiting[-1].parents if id(parent) not in done]
        if lower:
            waiting += lower[::-1]
            continue
        ready = waiting.pop()
        if id(ready) not in done:
            done.add(id(ready))
            yield ready


def reference_of(function: Callable[..., Any]) -> str:
    """Return the reference "module:qualname" of a function. Raises `UsageError` if it cannot be imported by it.

    >>> reference_of(json.loads)
    'json:loads'
    """
    reference = described(function)
    if isinstance(function, functools.partial) or "<" in reference or _imported(reference) is not function:
        raise UsageError(
            f"{reference} cannot be imported by its name, so another process could not read this stack. Define the "
            "function at the top level of a module."
        )
    return reference


def described(function: Callable[..., Any]) -> str:
    """Return the module and qualified name of a function, or of the class of any other object."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{getattr(named, '__module__', None)}:{named.__qualname__}"


def digest_of(rows: Indices) -> str:
    """Return the sha256 of row numbers, each as eight bytes."""
    return hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest()


def packed(rows: Indices) -> Document:
    """Return rows as JSON: the compressed differences, and a digest of the rows."""
    values = rows.astype("<i8")
    digest = digest_of(rows)
    data = zlib.compress(np.diff(values, prepend=0).astype("<i8").tobytes(), 6)
    return {"count": len(values), "sha256": digest, "zlib": base64.b64encode(data).decode()}


def unpacked(rows: Mapping[str, Any], budget: Budget | None = None) -> Indices:
    """Return the rows that `packed` wrote. Raises `DigestMismatch` if the digest differs, `DecodeError` for others."""
    try:
        count = read_as(Count, rows["count"])
        (budget or Budget()).spend(count)
        stream = zlib.decompressobj()
        # Limited to the announced count, so that a few bytes cannot fill the memory.
        data = stream.decompress(base64.b64decode(rows["zlib"], validate=True), count * 8 + 1)
        if len(data) != count * 8:
            raise ValueError(f"{len(data)} bytes or more for {count} rows")
        values = np.cumsum(np.frombuffer(data, "<i8"))
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise DecodeError(f"A document has rows that cannot be read ({error}). {AGAIN}") from error
    if (digest := hashlib.sha256(values.astype("<i8").tobytes()).hexdigest()) != rows.get("sha256"):
        raise DigestMismatch(f"Rows in a document have sha256 {digest}, expected {rows.get('sha256')}. {AGAIN}")
    return values.astype(np.intp)


def _named(view: Node, by: By) -> tuple[str, dict[str, Any]]:
    """Return the operation that a view is, and its arguments."""
    if OPERATIONS.get(view.op) is type(view):
        return view.op, view.arguments() if by != "code" else {**view.arguments(), **view._contents(), **_code(view)}
    if by == "json":
        raise UsageError(
            f"{type(view).__qualname__} has no name of its own among the operations. Give it one with @operation(...), "
            "from dataset_assets.reading.views."
        )
    counted: Document = {"samples": len(view)}
    return described(type(view)), counted if by == "name" else counted | {"code": _digest_of_view(view)}


def _code(view: Node) -> Document:
    """Return the digests of classes of others that make the samples: what is ours the version of the library says."""
    kinds = [kind for kind in (type(view), *view._kinds()) if not kind.__module__.startswith("dataset_assets.")]
    if view.code_version is not None:
        return {"$code": f"version {view.code_version}"} if kinds else {}
    return {"$code": [_digest_of(kind, view) for kind in kinds]} if kinds else {}


def _plain(value: Any, by: By, view: Node) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, range):
        return {"$range": [value.start, value.stop, value.step]}
    if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "iu":
        # What a library compresses rows to may change; their digest does not, and takes no time.
        return {"$rows": packed(value) if by == "json" else {"count": len(value), "sha256": digest_of(value)}}
    if isinstance(value, (list, tuple)):
        return [_plain(item, by, view) for item in value]
    if isinstance(value, Mapping) and not any(str(key).startswith("$") for key in value):
        return {str(key): _plain(item, by, view) for key, item in value.items()}
    if callable(value):
        return _plain_function(value, by, view)
    raise UsageError(f"A {type(value).__name__} cannot be an argument of an operation that is written as JSON.")


def _plain_function(function: Callable[..., Any], by: By, view: Node) -> Document:
    if by == "json":
        return {"$function": reference_of(function)}
    return {"$function": described(function)} | ({"code": _digest_of(function, view)} if by == "code" else {})


def _digest_of(function: Callable[..., Any], view: Node) -> str:
    # Reading samples needs no digests: they are imported when one is asked for.
    from dataset_assets.core.callables import identity_of
    from dataset_assets.core.value_digest import NoDigest

    try:
        return identity_of(function, counted_in(view))
    except NoDigest as error:
        raise UsageError(
            f"{described(function)} cannot be told from other functions: it uses {error}, whose content has no digest. "
            f"Say which it is, and another version when it changes: {_way_out(function, view)}."
        ) from error


def _way_out(function: Callable[..., Any], view: Node) -> str:
    if isinstance(function, type) and function in (type(view), *view._kinds()):
        return f'code_version = "1" in the class {type(view).__qualname__}'
    return f'{view.op or "map"}(..., version="1")'


def _digest_of_view(view: Node) -> str:
    from dataset_assets.core.callables import state_digest
    from dataset_assets.core.value_digest import NoDigest

    if view.code_version is not None:
        return f"version {view.code_version}"
    try:
        return state_digest(view, counted_in(view), FOUND_LATER)
    except NoDigest as error:
        raise UsageError(
            f"A {type(view).__qualname__} cannot be told from other views: it holds {error}, whose content has no "
            "digest. Give it @operation(...) and arguments(), from dataset_assets.reading.views."
        ) from error


def counted_in(view: Node) -> dict[type, Callable[[Any], Any]]:
    """Return what stands for views among the values of a view: of its own stack their numbers, else a fingerprint."""

    @functools.cache
    def numbers() -> dict[int, int]:
        return {id(below): number for number, below in enumerate(stack_of(view))}

    def how(found: Node) -> int | str:
        return numbers()[id(found)] if id(found) in numbers() else fingerprint(found)

    return {Node: how}


def _valued(value: Any, known: Mapping[str, Callable[..., Any]], trust: frozenset[str], budget: Budget) -> Any:
    if isinstance(value, list):
        return [_valued(item, known, trust, budget) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"$range"}:
        return _range(*read_as(tuple[int, int, int], value["$range"]))
    if value.keys() == {"$rows"}:
        return unpacked(value["$rows"], budget)
    if value.keys() == {"$function"}:
        return _function(read_as(str, value["$function"]), known, trust)
    return {name: _valued(item, known, trust, budget) for name, item in value.items()}


def _range(start: int, stop: int, step: int) -> range:
    rows = range(start, stop, step)
    if rows and min(rows[0], rows[-1]) < 0:
        raise ValueError(f"{rows} has negative rows")
    return rows


def _function(reference: str, known: Mapping[str, Callable[..., Any]], trust: frozenset[str]) -> Callable[..., Any]:
    if reference in known:
        return known[reference]
    module = reference.partition(":")[0]
    if module not in trust:
        raise Refused(
            f"The document uses the function {reference}, which is neither passed nor trusted. Pass functions=[...] "
            f"with it, or trust=[{module!r}], which imports and so runs that module."
        )
    if (function := _imported(reference)) is None:
        raise DecodeError(
            f"There is no function {reference} here. Install the release that the document was written with."
        )
    # A trusted module may have imported others, such as os, whose functions are not trusted with it.
    if described(function) != reference:
        raise Refused(f"{reference} is {described(function)}, imported from another module. Trust that module instead.")
    return cast(Callable[..., Any], function)


def _imported(reference: str) -> Any:
    """Import the object of a reference; return None if it does not exist."""
    module, _, qualname = reference.partition(":")
    try:
        return functools.reduce(getattr, qualname.split("."), importlib.import_module(module))
    except (ImportError, AttributeError, ValueError):
        return None


def _entries(document: "str | bytes | Mapping[str, Any]") -> Sequence[Entry]:
    try:
        content = parsed(document, most=None) if isinstance(document, (str, bytes)) else document
        written = content["format"]
        if type(written) is int and FORMAT < written < 1 << 63:
            raise DecodeError(
                f"The document has format {written}; this release reads up to {FORMAT}. Upgrade dataset_assets."
            )
        entries: tuple[Entry, ...] = read_as(tuple[Entry, ...], content["views"])
        if written != FORMAT or not entries:
            raise ValueError(f"format {written!r:.80} with {len(entries)} views")
        for k, entry in enumerate(entries):
            if not all(parent < k for parent in entry.parents):
                raise ValueError(f"view {k} has parents that do not come before it")
    except DecodeError:
        raise
    except UNFIT as error:
        raise DecodeError(f"This is not a document of a stack ({error}). {AGAIN}") from error
    return entries
