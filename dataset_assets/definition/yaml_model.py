"""What a definition in YAML may say. `yaml_schema.py` makes its JSON Schema of these classes."""

from dataclasses import dataclass, field
from typing import Any, Literal, Mapping

from dataset_assets.core.documents import Count
from dataset_assets.decoding.csv_dialect import CHECKED, Dialect, dialect

Kind = Literal["table", "json_lines", "files"]
Severity = Literal["error", "warn", "off"]


@dataclass(frozen=True)
class Source:
    """The file of a split. `member` is a file of the archive; of `files`, `members` are patterns of their paths."""

    url: str | tuple[str, ...]
    digest: str | None = None
    size: Count | None = None
    member: str | None = None
    members: str | tuple[str, ...] = "*"
    below: str = ""
    unwrap: bool = False


@dataclass(frozen=True)
class Division:
    """Parts of a split, which are splits too; `operation` is the method of `SplitOf`."""

    whole: str
    ratios: Mapping[str, float]
    operation: Literal["random_split", "stratified_split", "group_split", "hash_split"] = "random_split"
    by: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class Reading:
    """How a table is written: the options of `csv_rows`."""

    columns: tuple[str, ...] | None = None
    delimiter: str | None = ","
    encoding: str = "utf-8-sig"
    header: bool = True
    quoting: str | None = CHECKED
    skip: Count = 0
    comment: str | None = None
    decimal: str = "."
    nulls: tuple[str, ...] | None = None

    def checked(self) -> Dialect:
        """Check the options that do not depend on the file."""
        return dialect(self.delimiter, self.quoting, self.encoding, self.skip, self.comment, self.decimal, self.nulls)


@dataclass(frozen=True)
class Written:
    """What a file says. Fields that `Dataset` has too are those of `Dataset`."""

    name: str
    summary: str
    kind: Kind
    streams: Mapping[str, str | Mapping[str, Any]]
    splits: Mapping[str, Source]
    divisions: tuple[Division, ...] = ()
    read: Reading = Reading()
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
    checks: Mapping[str, Severity] = field(default_factory=dict)
    on_error: Literal["raise", "skip"] | int | float = "raise"
    job: bool = False
    aliases: tuple[str, ...] = ()
