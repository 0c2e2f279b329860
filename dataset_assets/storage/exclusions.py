"""Exclusions: samples that were taken out of a dataset on request, and that no later version may hold.

The record of a dataset, `meta/excluded.json`, holds rules: a stream, and salted digests of values of it. A sample with
such a value is left out by every maker. A rule is *pending* until a version without its samples is released; then it is
*in force*, and what was made without it is not opened any more. Rules are added and never removed.
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Iterable, Mapping

from dataset_assets.core.canonical import digest_of, sha256_hex
from dataset_assets.core.commands import command
from dataset_assets.core.documents import Digest, Unfit, read_as
from dataset_assets.core.names import plain_name
from dataset_assets.errors import Conflict, DecodeError, NewerFormat, Refused, StoreDenied, UsageError
from dataset_assets.storage.keys import excluded_key
from dataset_assets.storage.manifest import DatasetName, SplitIndex, StreamName, sealed, unsealed
from dataset_assets.storage.stored_dataset import StoredDataset

MOST_BYTES = 8 << 20
"""The size limit of a record, which is about 120,000 values. Some databases hold no larger object in one piece."""
ATTEMPTS = 100


def _salt(value: str) -> str:
    if len(value) != 32 or not {*value} <= {*"0123456789abcdef"}:
        raise Unfit(f"is {value[:80]!r}, which is not a salt of 16 bytes in hex")
    return value


@dataclass(frozen=True)
class Rule:
    """Values of a stream of a dataset whose samples are excluded, as salted digests.

    It stands also in the records of the datasets that were made of that one; there it leaves out nothing by itself.
    """

    dataset: DatasetName
    stream: StreamName
    salt: Annotated[str, _salt]
    digests: tuple[Digest, ...]

    def has(self, value: Any) -> bool:
        """Say whether a value of the stream is excluded."""
        text = text_of(value)
        return text is not None and salted(self.salt, text) in self._digests

    @cached_property
    def _digests(self) -> frozenset[str]:
        return frozenset(self.digests)


@dataclass(frozen=True)
class Exclusions:
    """The rules of a dataset that are in force, and those that are pending."""

    rules: tuple[Rule, ...] = ()
    pending: tuple[Rule, ...] = ()

    @cached_property
    def every(self) -> tuple[Rule, ...]:
        """The rules that a maker applies: those in force and those that are pending."""
        return joined(self.rules, self.pending)

    @cached_property
    def digest(self) -> str:
        """What identifies the rules that a maker applies, in recipes and indexes; empty if there are none."""
        return _digest(self.every)

    def permit(self, made_with: str) -> bool:
        """Say whether a reader may open what was made with the rules of this digest."""
        return made_with in (self.digest, _digest(self.rules))


NONE = Exclusions()


def salted(salt: str, text: str) -> str:
    """Return the digest that stands for a value."""
    return sha256_hex(bytes.fromhex(salt) + text.encode("utf-8", "surrogatepass"))


def text_of(value: Any) -> str | None:
    """Return the text by which a value is compared: of a text itself, of a whole number its digits; else None.

    >>> text_of("ann"), text_of(17), text_of(17.0), text_of(0.5)
    ('ann', '17', '17', None)
    """
    if hasattr(value, "as_py"):  # a scalar of Arrow
        value = value.as_py()
    elif hasattr(value, "item") and not getattr(value, "ndim", 1):
        value = value.item()
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return str(int(value))
    return str(int(value)) if isinstance(value, int) or (isinstance(value, float) and value.is_integer()) else None


def joined(*rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return the union of rules, in one order."""
    found: dict[tuple[str, str, str], set[str]] = {}
    for rule in (rule for some in rules for rule in some):
        found.setdefault((plain_name(rule.dataset), rule.stream, rule.salt), set()).update(rule.digests)
    names = {plain_name(rule.dataset): rule.dataset for some in rules for rule in some}
    return tuple(Rule(names[key[0]], key[1], key[2], tuple(sorted(found[key]))) for key in sorted(found))


def are_within(rules: Iterable[Rule], others: Iterable[Rule]) -> bool:
    """Say whether all that is excluded by rules is excluded by others too."""
    others = tuple(others)
    return joined(others, rules) == joined(others)


def rules_for(stored: StoredDataset, values: Mapping[str, Iterable[str]]) -> tuple[Rule, ...]:
    """Return the rules that exclude values of streams.

    A stream of a dataset has one salt everywhere, so that records of several storages can be compared and joined.
    """
    known = {rule.stream: rule.salt for rule in own_rules(stored, exclusions(stored, fresh=True))}
    found = []
    for stream, texts in values.items():
        salt = known.get(stream) or sha256_hex(f"{plain_name(stored.name)}/{stream}".encode())[:32]
        found.append(Rule(stored.name, stream, salt, tuple(sorted({salted(salt, text) for text in texts}))))
    return joined(found)


def own_rules(stored: StoredDataset, found: Exclusions) -> tuple[Rule, ...]:
    """Return the rules of a record that are of the dataset itself, not of one that it is made of."""
    return tuple(rule for rule in found.every if plain_name(rule.dataset) == plain_name(stored.name))


def exclusions(stored: StoredDataset, fresh: bool = False) -> Exclusions:
    """Read the record of a dataset; one that was read before is remembered if the dataset remembers documents.

    Raises `DecodeError` if it is damaged: then nobody can say what must stay out. Raises `NewerFormat`.
    """
    data = stored.excluded(fresh)
    return _parsed(stored, data) if data else NONE


def add(stored: StoredDataset, rules: Iterable[Rule]) -> Exclusions:
    """Add rules to the pending ones, and return the record. Several processes may do so at once."""

    def added(found: Exclusions) -> Exclusions:
        new = joined(found.pending, rules)
        return found if are_within(new, found.every) else Exclusions(found.rules, new)

    return _changed(stored, added)


def take_over(stored: StoredDataset, theirs: Exclusions, released: bool) -> None:
    """Add the rules of a record in another storage: as pending ones, or once its version is `released` as they are."""

    def taken(found: Exclusions) -> Exclusions:
        rules = joined(found.rules, theirs.rules) if released else found.rules
        every = joined(found.every, theirs.every)
        return found if are_within(every, found.every) and rules == found.rules else _split(rules, every)

    _changed(stored, taken)


def _split(rules: tuple[Rule, ...], every: tuple[Rule, ...]) -> Exclusions:
    return Exclusions(rules, () if are_within(every, rules) else every)


def enforce(stored: StoredDataset, released: str) -> Exclusions:
    """Put the pending rules into force that a released version was made with. Raises `Conflict` if more were added."""

    def enforced(found: Exclusions) -> Exclusions:
        if found.digest != released:
            raise Conflict(
                f"More samples of {stored.name} were taken out while a version was made. Run the command again."
            )
        return Exclusions(found.every)

    return _changed(stored, enforced)


def see_permitted(stored: StoredDataset, index: SplitIndex) -> None:
    """Raise `Refused` for a split that was made before samples of it were taken out on request."""
    # Who may read only the objects of one version cannot ask; what was made before is removed, not only refused.
    with suppress(StoreDenied):
        # What was read first may be older than the index.
        if exclusions(stored).permit(index.excluded) or exclusions(stored, fresh=True).permit(index.excluded):
            return
        raise _refused(stored, index)


def _refused(stored: StoredDataset, index: SplitIndex) -> Refused:
    return Refused(
        f"{stored.name}, split {index.split}: samples were taken out on request, and this was made before, so it is "
        "not opened. Open the current version, without a digest, or make one with: "
        f"{command(f'prepare {stored.name}', stored.storage.url)}"
    )


def _changed(stored: StoredDataset, change: Any) -> Exclusions:
    """Replace the record by what `change` makes of it, however many processes change it."""
    for _ in range(ATTEMPTS):
        data = stored.excluded(fresh=True)
        before = _parsed(stored, data) if data else NONE
        after: Exclusions = change(before)
        if after == before:
            return before
        new = sealed({"rules": after.rules, "pending": after.pending})
        if len(new) > MOST_BYTES:
            raise UsageError(
                f"The record of what is excluded from {stored.name} would have {len(new)} bytes; at most {MOST_BYTES} "
                "are possible. Leave these samples out in the split's function."
            )
        if stored.storage.swap(excluded_key(stored.name), new, sha256_hex(data) if data else None):
            stored.excluded(fresh=True)
            return after
    raise Conflict(f"Many processes change what is excluded from {stored.name}. Run the command again.")


def _parsed(stored: StoredDataset, data: bytes) -> Exclusions:
    key, url = excluded_key(stored.name), stored.storage.url
    try:
        found: Exclusions = read_as(Exclusions, unsealed(data, key, stored.name, url))
        return found
    except NewerFormat:
        raise
    except (DecodeError, Unfit) as error:
        raise DecodeError(
            f"{key} in {url} is damaged, so it is not known which samples of {stored.name} must stay out, and none is "
            "opened. Restore this object from a copy of the storage."
        ) from error


def _digest(rules: tuple[Rule, ...]) -> str:
    return digest_of({"excluded": rules}) if rules else ""
