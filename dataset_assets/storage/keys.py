"""The keys of a storage: what each key is, and the key of each thing. No other module takes keys apart."""

import functools
import re
from dataclasses import dataclass, field
from typing import Iterable, Literal

from dataset_assets.core.names import VARIANTS, check_dataset_name, storage_key
from dataset_assets.errors import NameNotAllowed
from dataset_assets.storage.storage import Entry, Stat

Kind = Literal[
    "pointer", "version", "pin", "excluded", "collector", "source", "raw", "recipe", "index", "part", "stream"
]

_HEX = "[0-9a-f]{64}"
_PART = r"[A-Za-z0-9_]+"
_SPLIT = rf"(?!(?:raw|versions|meta)/){_PART}"
_STREAM = rf"(?!(?:index|versions)/){_PART}"
_PATTERNS: dict[Kind, str] = {
    "pointer": r"current\.json",
    "version": rf"versions/(?P<digest>{_HEX})\.json",
    "pin": rf"meta/pins/(?P<digest>{_HEX})\.json",
    "excluded": r"meta/excluded\.json",
    "collector": r"meta/collector\.json",
    "source": rf"raw/(?P<name>{_PART})/source\.json",
    "raw": rf"raw/(?P<name>{_PART})/(?P<digest>{_HEX})",
    "recipe": rf"(?P<name>{_SPLIT})/index/(?P<digest>{_HEX})\.{_HEX}\.json",
    "index": rf"(?P<name>{_SPLIT})/index/(?P<digest>{_HEX})\.json",
    "part": rf"(?P<name>{_SPLIT})/parts/(?P<digest>{_HEX})\.json",
    "stream": rf"(?P<name>{_SPLIT})/{_STREAM}/(?P<digest>{_HEX})(\.\w+)*",
}
_ALIAS = r"aliases/(?P<name>.+)\.json"


@functools.cache
def _rules() -> dict[Kind, "re.Pattern[str]"]:
    # They take milliseconds to compile, and only listings need them.
    return {kind: re.compile(f"(?P<dataset>.+)/{rest}") for kind, rest in _PATTERNS.items()}


@dataclass(frozen=True)
class Place:
    """What is at a key: its dataset and kind, and the name and digest if the kind has them.

    The name is that of a raw file or of a split; the digest of a part is that of its recipe.
    """

    key: str
    dataset: str
    kind: Kind
    name: str = ""
    digest: str = ""
    stat: Stat | None = field(default=None, compare=False)
    """Its size and age, if a listing showed them."""

    def goes_with(self, dataset: str) -> str:
        """Return the key with which it stays or goes: that of its index for a note on a recipe, else its own."""
        return index_key(dataset, self.name, self.digest) if self.kind == "recipe" else self.key


@dataclass
class Contents:
    """The keys of one dataset, by kind."""

    dataset: str
    places: list[Place] = field(default_factory=list)

    def of(self, kind: Kind) -> list[Place]:
        """Return the places of a kind."""
        return [place for place in self.places if place.kind == kind]

    def keys(self) -> set[str]:
        """Return the keys, `folded`."""
        return {folded(place.key) for place in self.places}


def place_of(key: str, stat: Stat | None = None) -> Place | None:
    """Return what is at a key, or None for a key that dataset_assets does not write.

    >>> place_of("com/lecun/mnist/current.json").kind
    'pointer'
    """
    for kind, rule in _rules().items():
        if found := rule.fullmatch(key):
            parts = found.groupdict()
            try:
                dataset = check_dataset_name(parts.pop("dataset").replace("/", "."))
            except NameNotAllowed:
                return None
            return Place(key, dataset, kind, **parts, stat=stat)
    return None


def folded(key: str) -> str:
    """Return the form in which keys are compared: a file system may list a name in the case in which it was first used.

    >>> folded("com/lecun/mnist/Train/current.json") == folded("com/lecun/mnist/train/current.json")
    True
    """
    return key.casefold()


def contents(listed: Iterable[str | Entry]) -> tuple[dict[str, Contents], list[str]]:
    """Group keys by dataset, each once; return also the keys that dataset_assets does not write."""
    found: dict[str, Contents] = {}
    strange = []
    stats = dict((one, None) if isinstance(one, str) else (one.key, one.stat) for one in listed)
    for key in sorted(stats):
        place = place_of(key, stats[key])
        if place is None:
            strange.append(key)
        else:
            found.setdefault(place.dataset, Contents(place.dataset)).places.append(place)
    return found, strange


def alias_of(key: str) -> str | None:
    """Return the name whose alias is at a key, or None for any other key.

    >>> alias_of("aliases/com.example.digits.json")
    'com.example.digits'
    """
    found = re.fullmatch(_ALIAS, folded(key))
    try:
        return check_dataset_name(found["name"]) if found else None
    except NameNotAllowed:
        return None


def alias_key(name: str) -> str:
    """Return the key of an alias: another name of a dataset."""
    return f"aliases/{name}.json"


def raw_key(dataset: str, file: str, sha256: str) -> str:
    """Return the key of a raw file's bytes."""
    return storage_key(dataset, "raw", file, sha256)


def source_key(dataset: str, file: str) -> str:
    """Return the key of a raw file's record."""
    return storage_key(dataset, "raw", file, "source.json")


def stream_key(dataset: str, split: str, stream: str, sha256: str, suffix: str) -> str:
    """Return the key of a file of a stream."""
    return storage_key(dataset, split, stream, sha256 + suffix)


def index_key(dataset: str, split: str, digest: str) -> str:
    """Return the key of a split's index."""
    return storage_key(dataset, split, "index", f"{digest}.json")


def recipe_key(dataset: str, split: str, digest: str, recipe: str) -> str:
    """Return the key of a note: this recipe made this index of a split. It is found by its name, and not read."""
    return storage_key(dataset, split, "index", f"{digest}.{recipe}.json")


def part_key(dataset: str, split: str, recipe: str) -> str:
    """Return the key of the record of a part that this recipe made."""
    return storage_key(dataset, split, "parts", f"{recipe}.json")


def version_key(dataset: str, digest: str) -> str:
    """Return the key of a version."""
    return storage_key(dataset, "versions", f"{digest}.json")


def pointer_key(dataset: str) -> str:
    """Return the key of the pointer to the current version."""
    return storage_key(dataset, "current.json")


def axes_key(family: str) -> str:
    """Return the key of the axes of a family, as the member that was released last has them."""
    return storage_key(family, VARIANTS, "axes.json")


def is_axes_key(key: str) -> bool:
    """Say whether the axes of a family are at a key."""
    return folded(key).endswith(f"/{VARIANTS}/axes.json")


def pin_key(dataset: str, digest: str) -> str:
    """Return the key of a version's pin."""
    return storage_key(dataset, "meta", "pins", f"{digest}.json")


def excluded_key(dataset: str) -> str:
    """Return the key of the record of samples that were taken out on request."""
    return storage_key(dataset, "meta", "excluded.json")


def collector_key(dataset: str) -> str:
    """Return the key of a collector's lease."""
    return storage_key(dataset, "meta", "collector.json")


# Experiments, and the values that users manage themselves.

ExperimentKind = Literal["pointer", "runs", "value"]

_GENERATION = "[0-9a-f]{32}"
_IDENTIFIER = r"[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*"
_VALUE = rf"(?P<digest>{_HEX})(?:\.\w+)*"
_OF_EXPERIMENTS: dict[ExperimentKind, str] = {
    "pointer": rf"experiments/(?P<experiment>{_IDENTIFIER})/current\.json",
    "runs": rf"experiments/(?P<experiment>{_IDENTIFIER})/runs/(?P<generation>{_GENERATION})/(?P<digest>{_HEX})\.json",
    "value": rf"experiments/(?P<experiment>{_IDENTIFIER})/values/{_VALUE}",
}
_OWN_VALUE = rf"values/(?P<prefix>.+)/{_VALUE}"


@dataclass(frozen=True)
class ExperimentPlace:
    """What is at a key of an experiment."""

    key: str
    experiment: str
    kind: ExperimentKind
    generation: str = ""
    digest: str = ""


def experiment_place(key: str) -> ExperimentPlace | None:
    """Return what an experiment has at a key, or None for any other key.

    >>> experiment_place("experiments/mnist_cnn/current.json").kind
    'pointer'
    """
    for kind, rule in _OF_EXPERIMENTS.items():
        if found := re.fullmatch(rule, key):
            parts = found.groupdict()
            return ExperimentPlace(key, parts.pop("experiment"), kind, **parts)
    return None


def own_value(key: str) -> str | None:
    """Return the prefix of a value that its user manages, or None for any other key."""
    found = re.fullmatch(_OWN_VALUE, key)
    return found["prefix"] if found else None


def experiment_key(name: str, *rest: str) -> str:
    """Return a key below an experiment.

    >>> experiment_key("mnist_cnn", "current.json")
    'experiments/mnist_cnn/current.json'
    """
    return "/".join(("experiments", name, *rest))
