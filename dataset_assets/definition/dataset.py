"""What a user writes: a dataset, its files, its streams and its splits, as frozen values that are checked at once."""

import inspect
import json
import re
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Iterator, Mapping, Self
from urllib.parse import SplitResult, urlsplit

from dataset_assets.core.frozen import FrozenMapping
from dataset_assets.core.names import check_dataset_name, check_identifier, file_identifier
from dataset_assets.core.redact import redacted
from dataset_assets.core.splitting import sizes_of
from dataset_assets.errors import DefinitionError, NameNotAllowed, nearest
from dataset_assets.formats import Format

DIGEST_LENGTHS = {"md5": 32, "sha1": 40, "sha256": 64, "sha512": 128}
SEVERITIES = ("error", "warn", "off")
SPLIT_CHECKS = ("counts", "schema", "classes")
VERSION_CHECKS = ("leakage",)

Function = Callable[..., Iterable[Any]]
Check = Callable[[Mapping[str, Any]], "str | None"]


@dataclass(frozen=True)
class RemoteFile:
    """A file at a URL, or of one name at several mirrors, with the digest that its publisher states.

    A mirror that ends in "/" is a folder that holds the file under its name; any other is a whole URL. Without a
    digest the first retrieval records one.

    >>> RemoteFile("iris.csv", mirrors=("https://a.example/data/", "https://b.example/iris-v1.csv")).urls
    ('https://a.example/data/iris.csv', 'https://b.example/iris-v1.csv')
    """

    name: str
    mirrors: tuple[str, ...] = ()
    digest: str | None = None
    size: int | None = None
    identifier: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "mirrors", (self.mirrors,) if isinstance(self.mirrors, str) else tuple(self.mirrors))
        given = self.identifier or file_identifier(self.name)
        object.__setattr__(self, "identifier", _file_name(given))
        if self.digest is not None:
            object.__setattr__(self, "digest", _checked_digest(self.digest))
        if self.size is not None and (not isinstance(self.size, int) or self.size < 0):
            raise DefinitionError(f"The size of {self.identifier} is {self.size!r}. Write its bytes as a whole number.")
        for url in self.urls:
            _check_url(url, self.digest)

    @property
    def urls(self) -> tuple[str, ...]:
        """The places it can be had from, in the order in which they are tried."""
        if not self.mirrors:
            return (self.name,)
        return tuple(mirror + self.name if mirror.endswith("/") else mirror for mirror in self.mirrors)

    def __repr__(self) -> str:
        digest = f", {self.digest}" if self.digest else ""
        return f"RemoteFile({', '.join(map(redacted, self.urls))}{digest})"


@dataclass(frozen=True)
class SplitOf:
    """Another split of the same dataset, as an argument: the function is given its view.

    The methods divide it as those of a `View` do, into splits that are stored and versioned like any other.

    >>> SplitOf("all").random_split({"train": 0.9, "validation": 0.1}, seed=1)["validation"]
    Split(part_of, whole, operation, ratios, part, seed)
    """

    split: str

    def random_split(self, ratios: Mapping[str, float], *, seed: int = 0) -> "dict[str, Split]":
        """Return splits by name that have these shares of it; ratios sum to 1."""
        return self._divided("random_split", ratios, seed=seed)

    def stratified_split(
        self, ratios: Mapping[str, float], *, by: str | None = None, seed: int = 0
    ) -> "dict[str, Split]":
        """Return splits in which each class has its share: of a stream, or else of the target."""
        return self._divided("stratified_split", ratios, by=by, seed=seed)

    def group_split(self, ratios: Mapping[str, float], *, by: str, seed: int = 0) -> "dict[str, Split]":
        """Return splits of about these ratios that keep all samples with one value of a stream together."""
        return self._divided("group_split", ratios, by=by, seed=seed)

    def hash_split(self, ratios: Mapping[str, float], *, by: str, seed: int = 0) -> "dict[str, Split]":
        """Return splits decided by a hash of a stream's value: no sample moves when others are added or removed."""
        return self._divided("hash_split", ratios, by=by, seed=seed)

    def _divided(self, operation: str, ratios: Mapping[str, float], **given: Any) -> "dict[str, Split]":
        shares = list(ratios.values())
        sizes_of(1, shares)
        return {
            name: Split(part_of, whole=self, operation=operation, ratios=shares, part=part, **given)
            for part, name in enumerate(ratios)
        }


def part_of(whole: Any, operation: str, ratios: list[float], part: int, **given: Any) -> Any:
    """Return one part of a view that is divided by the operation of this name."""
    # This code is in the recipe of every such split: a change makes all of them anew.
    return getattr(whole, operation)(ratios, **given)[part]


class _Applied:
    """A function and the arguments it will be given: files, other splits, or plain JSON values."""

    function: Function
    arguments: Mapping[str, Any]

    def __init__(self, function: Function, /, **arguments: Any) -> None:
        # What a partial or a callable object was given before would not be recorded.
        if not callable(function) or not hasattr(function, "__qualname__"):
            raise DefinitionError(
                f"{function!r} is not a plain function. Give a function first, then all its arguments by name."
            )
        _check_signature(function, arguments)
        object.__setattr__(self, "function", function)
        object.__setattr__(self, "arguments", FrozenMapping({n: _frozen(n, v) for n, v in arguments.items()}))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), self.function, tuple(self.arguments)))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a {type(self).__name__} cannot be changed")

    @property
    def files(self) -> dict[str, "RemoteFile | DerivedFile"]:
        """The arguments that are files."""
        return {name: value for name, value in self.arguments.items() if isinstance(value, (RemoteFile, DerivedFile))}

    @property
    def splits(self) -> dict[str, SplitOf]:
        """The arguments that are splits."""
        return {name: value for name, value in self.arguments.items() if isinstance(value, SplitOf)}

    @property
    def plain(self) -> dict[str, Any]:
        """The arguments that are plain values, as copies that a function may change."""
        others = self.files.keys() | self.splits.keys()
        return {name: _copied(value) for name, value in self.arguments.items() if name not in others}

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def __getstate__(self) -> dict[str, Any]:
        _check_picklable(self.function, "A definition")
        return self.__dict__

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.function.__name__}, {', '.join(self.arguments)})"


class Split(_Applied):
    """A function that yields a split's samples, applied to open files: `Split(digits, images=RemoteFile(...))`.

    Of another split it is given the view, and may return a view: `Split(easy, whole=SplitOf("all"))`.
    """


class DerivedFile(_Applied):
    """A file made of other files by a function that yields its bytes: `DerivedFile("all.csv", join, a=..., b=...)`.

    Kept, it is stored beside the raw files; else it lives only while the splits that need it are made.
    """

    name: str
    identifier: str
    keep: bool

    def __init__(self, name: str, function: Function, /, *, keep: bool = False, **arguments: Any) -> None:
        super().__init__(function, **arguments)
        if self.splits:
            raise DefinitionError(f"{name} is derived of a split. Give it files, or make a Split of that split.")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "identifier", _file_name(file_identifier(name)))
        object.__setattr__(self, "keep", keep)


class Roles(FrozenMapping[str]):
    """The stream of each role: of the sample, the target and the tag as the fields say, and of further roles."""

    def __init__(self, fields: Mapping[str, str | None], further: Mapping[str, str]) -> None:
        self.further = {role: stream for role, stream in further.items() if role not in fields}
        named = {role: stream for role, stream in fields.items() if stream is not None}
        super().__init__(self.further | named)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset: where its files are, how its splits are made of them, and what its streams hold.

    `sample`, `target` and `tag` name the streams of these roles, and `roles` those of further ones; read, `roles` has
    all of them. A dataset pickles, its functions by reference: `DefinitionError` for one that cannot be imported.
    """

    name: str
    summary: str
    streams: Mapping[str, Format]
    splits: Mapping[str, Split]
    version: str = "1"
    sample: str | None = None
    target: str | None = None
    tag: str | None = None
    roles: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    license: str | None = None
    citation: str | None = None
    homepage: str | None = None
    owners: tuple[str, ...] = ()
    refresh: str | None = None
    checks: Mapping[str, "str | Check"] = field(default_factory=dict)
    job: bool = False
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_dataset_name(self.name)
        for name in ("streams", "splits", "checks"):
            object.__setattr__(self, name, FrozenMapping(getattr(self, name)))
        for name in ("tags", "tasks", "owners", "aliases"):
            value = getattr(self, name)
            object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
        object.__setattr__(self, "roles", self._roles())
        try:
            self._check()
        except (DefinitionError, NameNotAllowed) as error:
            raise type(error)(f"{self.name}: {error}") from error.__cause__

    @property
    def files(self) -> dict[str, "RemoteFile | DerivedFile"]:
        """Every file that the splits need, by identifier, those that others are made of first."""
        found: dict[str, RemoteFile | DerivedFile] = {}
        for split in self.splits.values():
            for file in _in_order(split):
                found.setdefault(file.identifier, file)
        return found

    @property
    def remote_files(self) -> dict[str, RemoteFile]:
        """The files that are retrieved."""
        return {name: file for name, file in self.files.items() if isinstance(file, RemoteFile)}

    @property
    def split_order(self) -> tuple[str, ...]:
        """The splits, those that others are made of first."""
        return tuple(dict.fromkeys(name for split in self.splits for name in (*self.sources_of(split), split)))

    def sources_of(self, split: str) -> tuple[str, ...]:
        """Return the splits that a split is made of, also by way of others; those that others are made of first."""
        direct = [source.split for source in self.splits[split].splits.values()]
        return tuple(dict.fromkeys(name for source in direct for name in (*self.sources_of(source), source)))

    def severity(self, check: str) -> str:
        """Return what a failure of this check means: "error" (the default), "warn" or "off"."""
        chosen = self.checks.get(check, "error")
        return chosen if isinstance(chosen, str) else "error"

    def _roles(self) -> Roles:
        # Those of another dataset, as dataclasses.replace() hands them on, hold what its fields said.
        further = self.roles.further if isinstance(self.roles, Roles) else dict(self.roles)
        for role in ("sample", "target", "tag"):
            if getattr(self, role) is None and role in further:
                object.__setattr__(self, role, further[role])
        return Roles({"sample": self.sample, "target": self.target, "tag": self.tag}, further)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def __getstate__(self) -> dict[str, Any]:
        for name, split in self.splits.items():
            for applied in (split, *(file for file in _in_order(split) if isinstance(file, DerivedFile))):
                _check_picklable(applied.function, f"{self.name}, split {name},")
        for name, check in self.checks.items():
            _check_picklable(check, f"{self.name}, check {name},")
        return self.__dict__

    def _check(self) -> None:
        if not self.summary or not self.streams or not self.splits:
            raise DefinitionError("A dataset needs a summary, at least one stream and at least one split.")
        _check_distinct("stream", self.streams)
        _check_distinct("split", self.splits)
        for name, stream in self.streams.items():
            check_identifier(name, "stream")
            if not isinstance(getattr(stream, "suffix", None), str):
                raise DefinitionError(f"Stream {name!r} is {stream!r}, not a format. Write Array(), Text(), ...")
        for name, split in self.splits.items():
            check_identifier(name, "split")
            if not isinstance(split, Split):
                raise DefinitionError(f"Split {name!r} is {split!r}. Write Split(function, argument=file, ...).")
        for role, named in self.roles.items():
            if named not in self.streams:
                raise DefinitionError(f"The {role} is {named!r}, which is no stream.{nearest(named, self.streams)}")
        for check, chosen in self.checks.items():
            _check_check(check, chosen)
        for alias in self.aliases:
            check_dataset_name(alias)
        for name in ("version", "license"):
            if not isinstance(value := getattr(self, name), str if name == "version" else (str, type(None))):
                raise DefinitionError(f"The {name} is {value!r}. Write it as a string.")
        if self.refresh is not None and len(self.refresh.split()) != 5:
            raise DefinitionError(f"refresh={self.refresh!r} is not a cron line of five fields, such as '0 3 * * 1'.")
        _check_one_file_each(self)
        _check_sources(self.splits)


def _check_picklable(function: Any, what: str) -> None:
    """Refuse a function that another process could not import."""
    import pickle

    try:
        pickle.dumps(function)
    # Whatever it is that the function, or the object that it is a method of, raises.
    except Exception as error:
        raise DefinitionError(
            f"{what} cannot be pickled: the function {getattr(function, '__qualname__', function)} cannot be imported "
            f"by its name ({error}). Define it at the top of a module."
        ) from error


def _check_sources(splits: Mapping[str, Split]) -> None:
    """Refuse a split that is made of one that there is not, or of itself by way of others."""
    for name in splits:
        found, waiting = set(), [name]
        while waiting:
            for source in splits[waiting.pop()].splits.values():
                if source.split not in splits:
                    hint = nearest(source.split, splits)
                    raise DefinitionError(f"Split {name!r} is made of {source.split!r}, which is no split.{hint}")
                if source.split == name:
                    raise DefinitionError(f"Split {name!r} is made of itself. Make one of the splits of files alone.")
                if source.split not in found:
                    found.add(source.split)
                    waiting.append(source.split)


def _check_check(name: str, chosen: "str | Check") -> None:
    known = (*SPLIT_CHECKS, *VERSION_CHECKS)
    if isinstance(chosen, str):
        if name not in known:
            raise DefinitionError(f"There is no check {name!r}.{nearest(name, known)}")
        if chosen not in SEVERITIES:
            raise DefinitionError(f"Check {name!r} is set to {chosen!r}.{nearest(chosen, SEVERITIES)}")
        return
    check_identifier(name, "check")
    if name in known:
        raise DefinitionError(
            f"{name!r} is a check of ours. Give your function another name; turn ours 'off' if need be."
        )
    if not callable(chosen):
        raise DefinitionError(f"Check {name!r} is {chosen!r}. Give a function of the splits' views, or a severity.")


def _check_distinct(what: str, names: Iterable[str]) -> None:
    """Refuse names that would be one folder where the filesystem does not tell cases apart."""
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(str(name).lower(), name)) != name:
            raise NameNotAllowed(
                f"{what.capitalize()}s {other!r} and {name!r} differ only in case. Rename one of them."
            )


def _check_one_file_each(dataset: Dataset) -> None:
    """Refuse two different files that would be stored under one identifier."""
    seen: dict[str, RemoteFile | DerivedFile] = {}
    for split in dataset.splits.values():
        for file in _in_order(split):
            other = seen.setdefault(file.identifier.lower(), file)
            if other != file:
                raise DefinitionError(
                    f"Two different files have the identifier {file.identifier!r}: {_shown(other)} and {_shown(file)}. "
                    "Give one of them another: RemoteFile(..., identifier=...)."
                )


def _in_order(applied: _Applied) -> Iterator[RemoteFile | DerivedFile]:
    for file in applied.files.values():
        if isinstance(file, DerivedFile):
            yield from _in_order(file)
        yield file


def _shown(file: RemoteFile | DerivedFile) -> str:
    return _without_secrets(urlsplit(file.urls[0])) if isinstance(file, RemoteFile) else file.name


def _file_name(identifier: str) -> str:
    if file_identifier(identifier) != identifier:
        raise NameNotAllowed(f"{identifier!r} cannot be a file's identifier; {file_identifier(identifier)!r} could.")
    # The folder of a raw file holds only digests and source.json, so no word is taken.
    return identifier


def _checked_digest(digest: str) -> str:
    algorithm, _, value = digest.partition(":")
    value = value.lower()
    if algorithm not in DIGEST_LENGTHS or not re.fullmatch(f"[0-9a-f]{{{DIGEST_LENGTHS[algorithm]}}}", value):
        raise DefinitionError(
            f"{digest[:90]!r} is not a digest. Write it as its publisher does, with the algorithm in front: sha256:<64 "
            f"hex digits> (or {', '.join(sorted(DIGEST_LENGTHS.keys() - {'sha256'}))})."
        )
    return f"{algorithm}:{value}"


def _check_url(url: str, digest: str | None) -> None:
    try:
        parts = urlsplit(url)
        loopback = parts.hostname in ("127.0.0.1", "localhost", "::1")
    except (ValueError, AttributeError, TypeError):
        raise DefinitionError("A file's URL cannot be taken apart. Correct its host.") from None
    if not parts.scheme:
        raise DefinitionError(f"{url!r} is not a URL. Write https://..., or give the file's mirrors.")
    if parts.scheme == "http" and not loopback and digest is None:
        raise DefinitionError(
            f"{_without_secrets(parts)} is plain http: anyone on the way can change it. Use https, or state a digest."
        )


def _without_secrets(url: SplitResult) -> str:
    return url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _check_signature(function: Function, arguments: Mapping[str, Any]) -> None:
    try:
        wanted = inspect.signature(function)
    except (TypeError, ValueError):  # some that are written in C do not tell
        return
    try:
        wanted.bind(**arguments)
    except TypeError as error:
        given = ", ".join(arguments) or "no arguments"
        raise DefinitionError(
            f"The function {function.__qualname__}{wanted} cannot be given {given}: {error}. Name each argument as the "
            "function does."
        ) from None


def _frozen(name: str, value: Any) -> Any:
    """Return a file or split as it is, and a copy of a plain value, which its owner might change later."""
    if isinstance(value, (RemoteFile, DerivedFile, SplitOf)):
        return value
    try:
        # Not only what JSON can say, also what UTF-8 can: the value is written into the index.
        copied = json.loads(json.dumps(value, allow_nan=False, ensure_ascii=False).encode())
        if copied == value:
            return copied
    except (TypeError, ValueError, RecursionError):
        pass
    raise DefinitionError(
        f"Argument {name!r} is {value!r}. Arguments are files, SplitOf(...), or plain JSON values (no tuples, no NaN)."
    )


def _copied(value: Any) -> Any:
    return json.loads(json.dumps(value)) if isinstance(value, (dict, list)) else value
