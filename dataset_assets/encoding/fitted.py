"""Fitted encoders by feature, with the splits that they were fitted on, as plain JSON."""

import json
from dataclasses import dataclass
from typing import Any, Iterable, Mapping

from dataset_assets.core.documents import UNFIT, Count, parsed, read_as
from dataset_assets.encoding.encoder import Encoder, document_of, encoder_of
from dataset_assets.errors import Conflict, DecodeError

FORMAT = 1


@dataclass(frozen=True, order=True)
class FittedOn:
    """A split that encoders were fitted on, with the digests of its index and its version."""

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

    The features of one stream are concatenated, in order, and replace it. With `into`, the features of all streams are
    concatenated into a new stream of that name.
    """

    encoders: Mapping[str, Encoder]
    into: str | None = None
    on: tuple[FittedOn, ...] = ()
    samples: int = 0

    def to_json(self) -> str:
        """Return the encoders as JSON text, always in the same order."""
        return json.dumps(self.document(), sort_keys=True, allow_nan=False)

    def document(self) -> dict[str, Any]:
        """Return the encoders as plain JSON."""
        features = [{"feature": name, **document_of(each)} for name, each in self.encoders.items()]
        splits = [vars(each) for each in self.on]
        on = {"samples": self.samples, "splits": splits}
        return {"format": FORMAT, "features": features, "into": self.into, "fitted_on": on}

    @classmethod
    def from_json(cls, document: "str | bytes | Mapping[str, Any]") -> "Fitted":
        """Return the encoders that `to_json` wrote. Raises `DecodeError` for anything else, or an unknown encoder."""
        try:
            content = parsed(document) if isinstance(document, (str, bytes)) else document
            if content["format"] != FORMAT:
                raise DecodeError(
                    f"The encoders are in format {content['format']!r}; this release reads {FORMAT}. Upgrade "
                    "dataset_assets."
                )
            read: _Document = read_as(_Document, content)
            encoders = {each.feature: encoder_of(each.encoder, each.state) for each in read.features}
            return cls(encoders, read.into, read.fitted_on.splits, read.fitted_on.samples)
        except DecodeError:
            raise
        except UNFIT as error:
            raise DecodeError(f"This is not a document of encoders ({error!r}). Write one with to_json().") from error

    def check(self, splits: Iterable[FittedOn]) -> None:
        """Raise `Conflict` if a split is from a different version of a dataset that the encoders were fitted on."""
        for each in splits:
            for on in self.on:
                if each.dataset == on.dataset and _differ(each, on):
                    raise Conflict(
                        f"The encoders were fitted on {on.dataset}@{on.version or on.index} {on.split}, but this is "
                        f"{each.dataset}@{each.version or each.index} {each.split}. Fit again, or use "
                        "any_version=True."
                    )


def _differ(one: FittedOn, other: FittedOn) -> bool:
    if one.split == other.split and one.index and other.index:
        return one.index != other.index
    return None not in (one.version, other.version) and one.version != other.version
