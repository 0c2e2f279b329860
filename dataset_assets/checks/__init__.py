"""Checks against leaks that bytes do not show, for `Dataset(checks={...})`.

A check takes a mapping of names to views, and returns what is wrong, or None. In a definition, these are the splits. To
compare the parts of a mixture, call it yourself:

>>> same_text("text")({"a": load("org.example.a", "train"), "b": load("org.example.b", "train")})
"""

from dataset_assets.checks.against import against
from dataset_assets.checks.groups import apart, in_order
from dataset_assets.checks.near_text import near_text
from dataset_assets.checks.same_text import same_text

__all__ = ["against", "apart", "in_order", "near_text", "same_text"]
