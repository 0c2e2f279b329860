"""Splits and derived files: a function, and the files, splits and plain values that it is applied to."""

from dataclasses import dataclass
from typing import Any, Callable, Iterable, Iterator, Mapping, Self
from urllib.parse import urlsplit

from dataset_assets.core.frozen import FrozenMapping
from dataset_assets.core.names import check_dataset_name, file_identifier
from dataset_assets.core.ratios import sizes_of
from dataset_assets.definition.arguments import check_picklable, check_signature, fresh_copy, plain_copy
from dataset_assets.definition.divided import part_of, rows_of
from dataset_assets.definition.file_checks import check_file_identifier, without_secrets
from dataset_assets.definition.for_each import ForEach
from dataset_assets.definition.links import FileOf
from dataset_assets.definition.path_arguments import check_paths
from dataset_assets.definition.remote_file import RemoteFile, is_partitioned
from dataset_assets.errors import DefinitionError, UsageError

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


class Applied:
    """A function and its arguments: files, other splits, or plain JSON values. Those of a `ForEach` are among them."""

    function: Function
    arguments: Mapping[str, Any]

    def __init__(self, function: Function, /, **arguments: Any) -> None:
        # The arguments bound in a partial, or the state of a callable object, would not be recorded.
        if not callable(function) or not hasattr(function, "__qualname__"):
            raise DefinitionError(
                f"{function!r} is not a plain function. Give a function first, then all of its arguments by name."
            )
        check_signature(function, arguments)
        if len(each := [name for name, value in arguments.items() if isinstance(value, ForEach)]) > 1:
            raise DefinitionError(
                f"{' and '.join(each)} are both ForEach(...). Give one argument so, and the others to every call."
            )
        if one := next((name for name, value in arguments.items() if is_partitioned(value)), None):
            raise DefinitionError(f"{one} stands for a file of each partition. Write {one}=ForEach(RemoteFile(...)).")
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
        """The arguments that are files; those of a `ForEach` are `photo[0]`, `photo[1]`, ..."""
        found: dict[str, RemoteFile | DerivedFile] = {}
        for name, value in self.arguments.items():
            if isinstance(value, ForEach):
                found |= {f"{name}[{k}]": file for k, file in enumerate(value.files)}
            elif isinstance(value, (RemoteFile, DerivedFile)):
                found[name] = value
        return found

    @property
    def each(self) -> tuple[str, ForEach] | None:
        """The argument that is a `ForEach`, with its name; None if there is none."""
        return next(((name, value) for name, value in self.arguments.items() if isinstance(value, ForEach)), None)

    @property
    def pattern(self) -> str | None:
        """The URL of the pattern whose files its `ForEach` gives; None if there is none."""
        each = self.each
        return each[1].pattern.urls[0] if each and each[1].pattern is not None else None

    @property
    def remote_files(self) -> dict[str, "RemoteFile"]:
        """The files that are downloaded for it, also for its derived files, by identifier."""
        return {file.identifier: file for file in in_order(self) if isinstance(file, RemoteFile)}

    @property
    def splits(self) -> dict[str, SplitOf]:
        """The arguments that are splits of the same dataset."""
        return {n: link for n, link in self._links() if isinstance(link, SplitOf) and link.dataset is None}

    @property
    def links(self) -> "dict[str, SplitOf | FileOf]":
        """The arguments that are splits and files of other datasets."""
        return {name: link for name, link in self._links() if link.dataset is not None}

    def _links(self) -> "Iterator[tuple[str, SplitOf | FileOf]]":
        for name, value in self.arguments.items():
            link = value.split if isinstance(value, ForEach) else value
            if isinstance(link, (SplitOf, FileOf)):
                yield name, link

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


class Split(Applied):
    """A function that yields a split's samples, applied to open files: `Split(digits, images=RemoteFile(...))`.

    For another split as an argument, the function gets its view, and may return a view:
    `Split(easy, whole=SplitOf("all"))`. For a `ForEach` as an argument, the function is called with one file at a time.
    """


class DerivedFile(Applied):
    """A file made from other files by a function that yields its bytes: `DerivedFile("all.csv", join, a=..., b=...)`.

    With `keep=True` it is stored beside the raw files; otherwise it exists only while its splits are made.
    """

    name: str
    identifier: str
    keep: bool

    def __init__(self, name: str, function: Function, /, *, keep: bool = False, **arguments: Any) -> None:
        super().__init__(function, **arguments)
        if wrong := next((value for value in arguments.values() if isinstance(value, (SplitOf, ForEach))), None):
            what = "split" if isinstance(wrong, SplitOf) else "ForEach"
            raise DefinitionError(f"{name} has a {what} as an argument. Give it files, or write a Split instead.")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "identifier", check_file_identifier(file_identifier(name)))
        object.__setattr__(self, "keep", keep)


def links_of(applied: Applied) -> "Iterator[SplitOf | FileOf]":
    """Yield what a split or file takes from other datasets, also through its derived files."""
    yield from applied.links.values()
    for file in in_order(applied):
        if isinstance(file, DerivedFile):
            yield from file.links.values()


def in_order(applied: Applied) -> Iterator[RemoteFile | DerivedFile]:
    """Yield all files that it needs; a derived file comes after its inputs."""
    for file in applied.files.values():
        if isinstance(file, DerivedFile):
            yield from in_order(file)
        yield file


def shown(file: RemoteFile | DerivedFile) -> str:
    """Return a file for a message."""
    return without_secrets(urlsplit(file.urls[0])) if isinstance(file, RemoteFile) else file.name


def _frozen(name: str, value: Any) -> Any:
    return value if isinstance(value, _INPUTS) else plain_copy(name, value)


_INPUTS = (RemoteFile, DerivedFile, SplitOf, FileOf, ForEach)
