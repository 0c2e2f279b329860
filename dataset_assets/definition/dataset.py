"""Definitions: a dataset, its files, streams and splits, as frozen values that are checked when they are created."""

from dataclasses import dataclass, field
from typing import Any, Iterable, Mapping, Self

from dataset_assets.core.axes import Axis
from dataset_assets.core.frozen import FrozenMapping
from dataset_assets.core.names import check_dataset_name, check_identifier, is_folder_name, is_member, plain_name
from dataset_assets.definition import check_names
from dataset_assets.definition.arguments import check_picklable
from dataset_assets.definition.check_names import OPTIONAL_CHECKS, SKIPPED, Check, check_distinct
from dataset_assets.definition.links import FileOf
from dataset_assets.definition.remote_file import RemoteFile as RemoteFile
from dataset_assets.definition.roles import Roles
from dataset_assets.definition.split import DerivedFile as DerivedFile
from dataset_assets.definition.split import Split as Split
from dataset_assets.definition.split import SplitOf as SplitOf
from dataset_assets.definition.split import in_order, shown
from dataset_assets.definition.split import links_of as links_of
from dataset_assets.errors import DefinitionError, NameNotAllowed, nearest
from dataset_assets.formats import FORMATS, Format


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
            for file in in_order(split):
                files.setdefault(file.identifier, file)
        return files

    @property
    def remote_files(self) -> dict[str, RemoteFile]:
        """The files that are downloaded."""
        return {name: file for name, file in self.files.items() if isinstance(file, RemoteFile)}

    @property
    def has_patterns(self) -> bool:
        """Whether some of its files are known only when their source lists them."""
        return any(split.pattern is not None for split in self.splits.values())

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
            for applied in (split, *(file for file in in_order(split) if isinstance(file, DerivedFile))):
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
        for file in in_order(split):
            other = seen.setdefault(file.identifier.lower(), file)
            if other != file:
                raise DefinitionError(
                    f"Two different files have the identifier {file.identifier!r}: {shown(other)} and {shown(file)}. "
                    "Give one of them a different one: RemoteFile(..., identifier=...)."
                )
