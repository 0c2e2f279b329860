"""Fitted: encoders by feature, with what they were fitted on, as plain JSON."""

import json
from dataclasses import dataclass
from typing import Any, Iterable, Mapping

from dataset_assets.core.documents import UNFIT, Count, parsed, read_as
from dataset_assets.encoding.encoder import Encoder, document_of, encoder_of
from dataset_assets.errors import Conflict, DecodeError

FORMAT = 1


@dataclass(frozen=True, order=True)
class FittedOn:
    """A split that encoders were fitted on, by the digests it was opened at."""

    dataset: str
    split: str
    index: str
    version: str | None = None


@dataclass(frozen=True)
class _Feature:
    feature: str
    encoder: str
    state: Mapping[str, Any]


@dataclass(frozen=True)
class _Splits:
    samples: Count
    splits: tuple[FittedOn, ...]


@dataclass(frozen=True)
class _Document:
    format: Count
    features: tuple[_Feature, ...]
    into: str | None
    fitted_on: _Splits


@dataclass(frozen=True)
class Fitted:
    """Encoders by feature: a stream's name, or "stream.field" for a field of a table.

    Features of one stream stand side by side in its place, in their order; with `into`, those of all streams, in a new
    one of that name.
    """

    encoders: Mapping[str, Encoder]
    into: str | None = None
    on: tuple[FittedOn, ...] = ()
    samples: int = 0

    def to_json(self) -> str:
        """Return all of it as JSON text, always in the same order."""
        return json.dumps(self.document(), sort_keys=True, allow_nan=False)

    def document(self) -> dict[str, Any]:
        """Return all of it as plain JSON."""
        features = [{"feature": name, **document_of(each)} for name, each in self.encoders.items()]
        splits = [vars(each) for each in self.on]
        on = {"samples": self.samples, "splits": splits}
        return {"format": FORMAT, "features": features, "into": self.into, "fitted_on": on}

    @classmethod
    def from_json(cls, document: "str | bytes | Mapping[str, Any]") -> "Fitted":
        """Return what `to_json` wrote. Raises `DecodeError` for anything else, or an encoder that is not known here."""
        try:
            found = parsed(document) if isinstance(document, (str, bytes)) else document
            if found["format"] != FORMAT:
                raise DecodeError(f"Encoders in format {found['format']!r}; this release reads {FORMAT}. Upgrade it.")
            told: _Document = read_as(_Document, found)
            encoders = {each.feature: encoder_of(each.encoder, each.state) for each in told.features}
            return cls(encoders, told.into, told.fitted_on.splits, told.fitted_on.samples)
        except DecodeError:
            raise
        except UNFIT as error:
            raise DecodeError(f"These are no fitted encoders ({error!r}). Write them with to_json().") from error

    def check(self, splits: Iterable[FittedOn]) -> None:
        """Raise `Conflict` if one of these splits is of another version of a dataset that was fitted on."""
        for each in splits:
            for on in self.on:
                if each.dataset == on.dataset and _differ(each, on):
                    raise Conflict(
                        f"The encoders were fitted on {on.dataset}@{on.version or on.index} {on.split}, and this is "
                        f"{each.dataset}@{each.version or each.index} {each.split}. Fit again, or take "
                        "any_version=True."
                    )


def _differ(one: FittedOn, other: FittedOn) -> bool:
    if one.split == other.split and one.index and other.index:
        return one.index != other.index
    return None not in (one.version, other.version) and one.version != other.version
