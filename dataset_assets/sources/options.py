"""What decoders and formats say of their options, in the words of those who call `dataset_from`."""

import re
from ast import literal_eval
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from dataset_assets.errors import DatasetAssetsError
from dataset_assets.sources.literal import literal

_VALUE = r"""'[^']*'|"[^"]*"|\[[^\]]*\]|\.\.\.|-?\w+"""


@contextmanager
def in_options(names: Iterable[str]) -> Iterator[None]:
    """Let errors of the package say `options={"encoding": "latin-1"}` where they say `encoding='latin-1'`."""
    try:
        yield
    except DatasetAssetsError as error:
        if error.args and isinstance(error.args[0], str):
            error.args = (as_options(error.args[0], names), *error.args[1:])
        raise


def as_options(message: str, names: Iterable[str]) -> str:
    """Return a message in which arguments of these names are options.

    >>> as_options("Name the fields: header=False, columns=['a'].", ["header", "columns"])
    'Name the fields: options={"header": False, "columns": ["a"]}.'
    """
    one = rf"\b(?:{'|'.join(map(re.escape, names))})=(?:{_VALUE})"
    return re.sub(f"{one}(?:, {one})*", _options, message) if names else message


def _options(found: re.Match[str]) -> str:
    given = re.findall(rf"(\w+)=({_VALUE})", found[0])
    return f"options={{{', '.join(f'{literal(name)}: {_value(text)}' for name, text in given)}}}"


def _value(text: str) -> str:
    try:
        return literal(literal_eval(text))
    except (ValueError, SyntaxError):
        return text
