"""Checks against leaks that bytes do not show, and with thresholds, for `Dataset(checks={...})`.

A check takes a mapping of names to views, and returns what is wrong, or None. In a definition, these are the splits. To
compare the parts of a mixture, call it yourself:

>>> same_text("text")({"a": load("org.example.a", "train"), "b": load("org.example.b", "train")})
"""

from typing import TYPE_CHECKING

from dataset_assets.core.lazy import lazily

__all__ = ["against", "apart", "balance", "drift", "in_order", "in_range", "near_text", "nulls", "same_text"]

if TYPE_CHECKING:
    from dataset_assets.checks.equal_texts import same_text as same_text
    from dataset_assets.checks.groups import apart as apart
    from dataset_assets.checks.groups import in_order as in_order
    from dataset_assets.checks.other_datasets import against as against
    from dataset_assets.checks.similar_texts import near_text as near_text
    from dataset_assets.checks.thresholds import balance as balance
    from dataset_assets.checks.thresholds import drift as drift
    from dataset_assets.checks.thresholds import in_range as in_range
    from dataset_assets.checks.thresholds import nulls as nulls

__getattr__, __dir__ = lazily(
    globals(),
    {
        "against": "other_datasets",
        "apart": "groups",
        "balance": "thresholds",
        "drift": "thresholds",
        "in_order": "groups",
        "in_range": "thresholds",
        "nulls": "thresholds",
        "near_text": "similar_texts",
        "same_text": "equal_texts",
    },
)
