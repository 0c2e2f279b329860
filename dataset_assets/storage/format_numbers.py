"""The format numbers of indexes and versions: each has the lowest whose releases understand all that it says."""

FORMAT = 1
EXCLUDING = 2
"""The format of an index or a version from which samples were taken out: older releases must not read it."""
SKIPPING = 3
"""The format of an index that lists skipped samples, which older releases do not know."""
IN_PARTS = 4
"""The format of an index of a split that was made in parts, which older releases do not know."""
DIVIDED = 5
"""The format of an index that stores row numbers of another split; older releases would read all its rows."""
IN_PLACE = 6
"""The format of an index whose values lie in objects outside of the storage, which older releases do not know."""
NEWEST = IN_PLACE
"""The newest format that this release reads."""


def format_of(
    excluded: str, skipped: int = 0, *, in_parts: bool = False, divided: bool = False, placed: bool = False
) -> int:
    """Return the format of an index or a version, by what it says of its samples."""
    kinds = {IN_PLACE: placed, DIVIDED: divided, IN_PARTS: in_parts, SKIPPING: skipped, EXCLUDING: excluded}
    return next((number for number, is_so in kinds.items() if is_so), FORMAT)
