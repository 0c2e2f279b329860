"""Definitions: a dataset, its files, streams and splits, as frozen values that are checked when they are created."""

from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Iterator, Mapping, Self
from urllib.parse import urlsplit

from dataset_assets.core.axes import Axis
from dataset_assets.core.frozen import FrozenMapping
from dataset_assets.core.names import (
    check_dataset_name,
    check_identifier,
    file_identifier,
    is_folder_name,
    is_member,
    plain_name,
)
from dataset_assets.core.ratios import sizes_of
from dataset_assets.definition import check_names
from dataset_assets.definition.arguments import check_picklable, check_signature, fresh_copy, plain_copy
from dataset_assets.definition.check_names import OPTIONAL_CHECKS, SKIPPED, Check, check_distinct
from dataset_assets.definition.divided import part_of, rows_of
from dataset_assets.definition.file_checks import (
    check_file_identifier,
    without_secrets,
)
from dataset_assets.definition.links import FileOf
from dataset_assets.definition.path_arguments import check_paths
from dataset_assets.definition.remote_file import RemoteFile as RemoteFile
from dataset_assets.definition.roles import Roles
from dataset_assets.errors import DefinitionError, NameNotAllowed, UsageError, nearest
from dataset_assets.formats import FORMATS, Format

Function = Callable[..., Iterable[Any]]


@dataclass(frozen=True, init=False)
class SplitOf:
    """Another split as an argument: the function gets its view. `SplitOf("all")` is a split of the same dataset.

    `SplitOf("org.example.reviews", "train")` is one of another dataset, as it is released when the split is made. The
    methods divide it as those of a `View` do, into splits that are stored and versioned like any other split. With
    `materialize=False` such a split stores only the numbers of its rows, and is read from the files of the other.

    >>> SplitOf("all").random_split({"train": 0.9, "validation": 0.1}, seed=1)["validation"]
    Split(part_of, whole, operation, ratios, part, seed)
    """

    split: str
    dataset: str | None = None

    def __init__(self, *names: str) -> None:
        if len(names) not in (1, 2) or not all(isinstance(name, str) for name in names):
            raise DefinitionError(f"SplitOf{names!r}: write SplitOf('split'), or SplitOf('other.dataset', 'split').")
        object.__setattr__(self, "split", names[-1])
        object.__setattr__(self, "dataset", check_dataset_name(names[0]) if names[1:] else None)

    def random_split(
        self, ratios: Mapping[str, float], *, seed: int = 0, materialize: bool = True
    ) -> "dict[str, Split]":
        """Return splits by name with these shares of the samples; the ratios sum to 1."""
        return self._divided("random_split", ratios, materialize, seed=seed)

    def stratified_split(
        self, ratios: Mapping[str, float], *, by: str | None = None, seed: int = 0, materialize: bool = True
    ) -> "dict[str, Split]":
        """Return splits with the same share of each class: of the stream `by`, or else of the target."""
        return self._divided("stratified_split", ratios, materialize, by=by, seed=seed)

    def group_split(
        self, ratios: Mapping[str, float], *, by: str, seed: int = 0, materialize: bool = True
    ) -> "dict[str, Split]":
        """Return splits of about these ratios that keep all samples with one value of a stream together."""
        return self._divided("group_split", ratios, materialize, by=by, seed=seed)

    def hash_split(
        self, ratios: Mapping[str, float], *, by: str, seed: int = 0, materialize: bool = True
    ) -> "dict[str, Split]":
        """Return splits decided by a hash of a stream's value: no sample moves when others are added or removed."""
        return self._divided("hash_split", ratios, materialize, by=by, seed=seed)

    def _divided(
        self, operation: str, ratios: Mapping[str, float], materialize: bool, **given: Any
    ) -> "dict[str, Split]":
        if not materialize and self.dataset is not None:
            raise DefinitionError(f"{self!r} is of another dataset, so its values are copied. Use materialize=True.")
        if not isinstance(ratios, Mapping) or not all(isinstance(one, (int, float)) for one in ratios.values()):
            raise UsageError(f'{ratios!r:.200} is not a share for each split. Write {{"train": 0.8, "test": 0.2}}.')
        shares = list(ratios.values())
        sizes_of(1, shares)
        return {
            name: Split(
                part_of if materialize else rows_of, whole=self, operation=operation, ratios=shares, part=part, **given
            )
            for part, name in enumerate(ratios)
        }


class _Applied:
    """A function and its arguments: files, other splits, or plain JSON values."""

    function: Function
    arguments: Mapping[str, Any]

    def __init__(self, function: Function, /, **arguments: Any) -> None:
        # The arguments bound in a partial, or the state of a callable object, would not be recorded.
        if not callable(function) or not hasattr(function, "__qualname__"):
            raise DefinitionError(
                f"{function!r} is not a plain function. Give a function first, then all of its arguments by name."
            )
        check_signature(function, arguments)
        plain = {n: v for n, v in arguments.items() if not isinstance(v, _INPUTS)}
        check_paths(function.__qualname__, plain, has_files=len(plain) < len(arguments))
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
    def remote_files(self) -> dict[str, "RemoteFile"]:
        """The files that are downloaded for it, also for its derived files, by identifier."""
        return {file.identifier: file for file in _in_order(self) if isinstance(file, RemoteFile)}

    @property
    def splits(self) -> dict[str, SplitOf]:
        """The arguments that are splits of the same dataset."""
        found = {name: value for name, value in self.arguments.items() if isinstance(value, SplitOf)}
        return {name: value for name, value in found.items() if value.dataset is None}

    @property
    def links(self) -> "dict[str, SplitOf | FileOf]":
        """The arguments that are splits and files of other datasets."""
        found = {name: value for name, value in self.arguments.items() if isinstance(value, (SplitOf, FileOf))}
        return {name: value for name, value in found.items() if value.dataset is not None}

    @property
    def plain(self) -> dict[str, Any]:
        """The arguments that are plain values, copied, so that the function may change them."""
        return {name: fresh_copy(value) for name, value in self.arguments.items() if not isinstance(value, _INPUTS)}

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def __getstate__(self) -> dict[str, Any]:
        check_picklable(self.function, "A definition")
        return self.__dict__

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.function.__name__}, {', '.join(self.arguments)})"


class Split(_Applied):
    """A function that yields a split's samples, applied to open files: `Split(digits, images=RemoteFile(...))`.

    For another split as an argument, the function gets its view, and may return a view:
    `Split(easy, whole=SplitOf("all"))`.
    """


class DerivedFile(_Applied):
    """A file made from other files by a function that yields its bytes: `DerivedFile("all.csv", join, a=..., b=...)`.

    With `keep=True` it is stored beside the raw files; otherwise it exists only while its splits are made.
    """

    name: str
    identifier: str
    keep: bool

    def __init__(self, name: str, function: Function, /, *, keep: bool = False, **arguments: Any) -> None:
        super().__init__(function, **arguments)
        if any(isinstance(value, SplitOf) for value in arguments.values()):
            raise DefinitionError(f"{name} has a split as an argument. Give it files, or write a Split instead.")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "identifier", check_file_identifier(file_identifier(name)))
        object.__setattr__(self, "keep", keep)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset: where its files are, how its splits are made of them, and what its streams hold.

    `sample`, `target` and `tag` name the streams of these roles; pass further roles as `roles`. The attribute `roles`
    has all of them. `axes` are those of its family, which sets them. `terms` is a text that each user accepts before
    anything is retrieved. `on_error` says what a bad sample does: with "raise" it stops the making of its split; with
    "skip" it is left out and listed. With a count, or a share below 1, a split with more of them is refused. Pickling a
    dataset raises `DefinitionError` if a function cannot be imported.
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
    terms: str | None = None
    citation: str | None = None
    homepage: str | None = None
    owners: tuple[str, ...] = ()
    refresh: str | None = None
    checks: Mapping[str, "str | Check"] = field(default_factory=dict)
    on_error: "str | int | float" = "raise"
    job: bool = False
    aliases: tuple[str, ...] = ()
    axes: tuple[Axis, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", check_dataset_name(self.name))
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
        """All files that the splits need, by identifier; a derived file comes after its inputs."""
        files: dict[str, RemoteFile | DerivedFile] = {}
        for split in self.splits.values():
            for file in _in_order(split):
                files.setdefault(file.identifier, file)
        return files

    @property
    def remote_files(self) -> dict[str, RemoteFile]:
        """The files that are downloaded."""
        return {name: file for name, file in self.files.items() if isinstance(file, RemoteFile)}

    @property
    def links(self) -> "tuple[SplitOf | FileOf, ...]":
        """What the splits and derived files take from other datasets."""
        return tuple(dict.fromkeys(link for split in self.splits.values() for link in links_of(split)))

    @property
    def split_order(self) -> tuple[str, ...]:
        """The splits; a split comes after the splits that it is made from."""
        return tuple(dict.fromkeys(name for split in self.splits for name in (*self.sources_of(split), split)))

    def sources_of(self, split: str) -> tuple[str, ...]:
        """Return the splits that a split is made from, directly or through others; inputs come first."""
        direct = [source.split for source in self.splits[split].splits.values()]
        return tuple(dict.fromkeys(name for source in direct for name in (*self.sources_of(source), source)))

    def severity(self, check: str) -> str:
        """Return the severity of a failure of this check: "error" (the default), "warn" or "off"."""
        chosen = self.checks.get(check, "off" if check in OPTIONAL_CHECKS else "error")
        return chosen if isinstance(chosen, str) else str(getattr(chosen, "severity", "error"))

    @property
    def skips(self) -> bool:
        """Whether bad samples are left out."""
        return self.on_error != "raise"

    def split_checks(self, names: Iterable[str]) -> list[str]:
        """Return those of the checks of a split that are on, and that of its skipped samples."""
        return [name for name in (*names, *([SKIPPED] if self.skips else [])) if self.severity(name) != "off"]

    def _roles(self) -> Roles:
        # dataclasses.replace() passes the Roles of the old dataset, which repeat its fields.
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
                check_picklable(applied.function, f"{self.name}, split {name},")
        for name, check in self.checks.items():
            check_picklable(check, f"{self.name}, check {name},")
        return self.__dict__

    def _check(self) -> None:
        if not self.summary or not self.streams or not self.splits:
            raise DefinitionError("A dataset needs a summary, at least one stream and at least one split.")
        if is_folder_name(self.name) or is_member(self.name) and not self.axes:
            raise NameNotAllowed("This is the name of a member of a family. Define it by a function: Family(...).")
        check_distinct("stream", self.streams)
        check_distinct("split", self.splits)
        for name, stream in self.streams.items():
            check_identifier(name, "stream")
            if not isinstance(getattr(stream, "suffix", None), str):
                raise DefinitionError(f"Stream {name!r} is {stream!r}, not a format. Write Array(), Text(), ...")
            if not isinstance(stream, FORMATS.get(getattr(stream, "name", ""), object)):
                raise DefinitionError(
                    f"Stream {name!r} is {stream!r}, whose name {stream.name!r} is that of a built-in format. Give "
                    "your format a different name."
                )
        for name, split in self.splits.items():
            check_identifier(name, "split")
            if not isinstance(split, Split):
                raise DefinitionError(f"Split {name!r} is {split!r}. Write Split(function, argument=file, ...).")
        for role, named in self.roles.items():
            if named not in self.streams:
                raise DefinitionError(f"The {role} is {named!r}, which is not a stream.{nearest(named, self.streams)}")
        check_names.check_on_error(self.on_error)
        for check, chosen in self.checks.items():
            check_names.check_check(check, chosen)
        for alias in self.aliases:
            if is_member(check_dataset_name(alias)):
                raise NameNotAllowed(f"The alias {alias} has axes. Write a name without them.")
        for name in ("version", "license", "terms"):
            if not isinstance(value := getattr(self, name), str if name == "version" else (str, type(None))):
                raise DefinitionError(f"The {name} is {value!r}. Write it as a string.")
        if self.terms is not None and not self.terms.strip():
            raise DefinitionError("The terms are empty. Write their text, or leave them out.")
        if self.refresh is not None and len(self.refresh.split()) != 5:
            raise DefinitionError(f"refresh={self.refresh!r} is not a cron line of five fields, such as '0 3 * * 1'.")
        for link in self.links:
            if plain_name(str(link.dataset)) == plain_name(self.name):
                raise DefinitionError(f"{link!r} is of the same dataset. Write SplitOf('split'), or the file itself.")
        _check_one_file_each(self)
        _check_sources(self.splits)


def _check_sources(splits: Mapping[str, Split]) -> None:
    """Reject a split that refers to an unknown split, or to itself through others."""
    for name in splits:
        seen, waiting = set(), [name]
        while waiting:
            for source in splits[waiting.pop()].splits.values():
                if source.split not in splits:
                    hint = nearest(source.split, splits)
                    raise DefinitionError(f"Split {name!r} is made from the unknown split {source.split!r}.{hint}")
                if source.split == name:
                    raise DefinitionError(f"Split {name!r} is made from itself. Make one of them from files only.")
                if source.split not in seen:
                    seen.add(source.split)
                    waiting.append(source.split)


def _check_one_file_each(dataset: Dataset) -> None:
    """Reject two different files with the same identifier."""
    seen: dict[str, RemoteFile | DerivedFile] = {}
    for split in dataset.splits.values():
        for file in _in_order(split):
            other = seen.setdefault(file.identifier.lower(), file)
            if other != file:
                raise DefinitionError(
                    f"Two different files have the identifier {file.identifier!r}: {_shown(other)} and {_shown(file)}. "
                    "Give one of them a different one: RemoteFile(..., identifier=...)."
                )


def links_of(applied: _Applied) -> "Iterator[SplitOf | FileOf]":
    """Yield what a split or file takes from other datasets, also through its derived files."""
    yield from applied.links.values()
    for file in _in_order(applied):
        if isinstance(file, DerivedFile):
            yield from file.links.values()


def _in_order(applied: _Applied) -> Iterator[RemoteFile | DerivedFile]:
    for file in applied.files.values():
        if isinstance(file, DerivedFile):
            yield from _in_order(file)
        yield file


def _shown(file: RemoteFile | DerivedFile) -> str:
    return without_secrets(urlsplit(file.urls[0])) if isinstance(file, RemoteFile) else file.name


def _frozen(name: str, value: Any) -> Any:
    return value if isinstance(value, _INPUTS) else plain_copy(name, value)


_INPUTS = (RemoteFile, DerivedFile, SplitOf, FileOf)
