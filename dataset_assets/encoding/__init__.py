"""Encoders: fitted on one view, applied to any view, saved as plain JSON."""

from dataset_assets.encoding.categories import OneHot, Ordinal
from dataset_assets.encoding.dates import Dates
from dataset_assets.encoding.encoder import ENCODERS, Encoder, encoder, fitted_to
from dataset_assets.encoding.fitted import Fitted, FittedOn
from dataset_assets.encoding.scaled import Scaled
from dataset_assets.encoding.targets import Remapped
from dataset_assets.encoding.words import Vocabulary

__all__ = [
    "ENCODERS",
    "Dates",
    "Encoder",
    "Fitted",
    "FittedOn",
    "OneHot",
    "Ordinal",
    "Remapped",
    "Scaled",
    "Vocabulary",
    "encoder",
    "fitted_to",
]
