"""A bad sample: what a split's function yields in place of one that it could not make."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BadSample:
    """Why there is no sample, and what it is from, such as the name of a file: `yield BadSample(error, member.name)`.

    With `Dataset(on_error="skip")` or a limit it is left out and listed; otherwise it stops the making of the split.
    """

    why: object
    source: str = ""
