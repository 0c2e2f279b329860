"""Text of others as a terminal may have it: what would steer the terminal is shown as an escape."""

LINES = "\n\t"


def visible(text: str) -> str:
    r"""Return the text with control, bidirectional and other unprintable characters as escapes; lines and tabs stay.

    >>> print(visible("red: \x1b[31m"))
    red: \x1b[31m
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in LINES else _escape(c) for c in text)


def in_line(text: str) -> str:
    r"""Return the text as part of one line: lines and tabs are escaped too.

    >>> print(in_line("one\ntwo"))
    one\ntwo
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in text)


def indented(text: str) -> str:
    r"""Return a message with its later lines indented, so that none looks like a message of its own.

    >>> indented("first\ndataset-assets: done")
    'first\n    dataset-assets: done'
    """
    return visible(text).replace("\n", "\n    ")


def _escape(character: str) -> str:
    return ascii(character)[1:-1]
