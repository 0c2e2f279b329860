"""Text of others in a line, or below a message, of a terminal; what would steer the terminal is shown as an escape."""

from dataset_assets.errors import visible


def in_line(text: str) -> str:
    r"""Return the text as part of one line: lines and tabs are escaped too.

    >>> print(in_line("one\ntwo"))
    one\ntwo
    """
    return visible(text).replace("\n", r"\n").replace("\t", r"\t")


def indented(text: str) -> str:
    r"""Return a message with its later lines indented, so that none looks like a message of its own.

    >>> indented("first\ndataset-assets: done")
    'first\n    dataset-assets: done'
    """
    return visible(text).replace("\n", "\n    ")
