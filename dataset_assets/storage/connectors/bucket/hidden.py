"""A password that does not show itself."""


class Hidden(str):
    """A string whose repr is not its content, for what is held by something that may be printed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"
