"""The text of a function: its source without comments and layout, or its compiled code if there is no source."""

import inspect
import io
import tokenize
from functools import lru_cache
from types import CodeType
from typing import Any, Iterator

_LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}
_BLOCKS = {tokenize.INDENT: "{", tokenize.DEDENT: "}", tokenize.NEWLINE: ";"}
# Python 3.12 splits an f-string into tokens; 3.11 does not.
_OPENING, _CLOSING = getattr(tokenize, "FSTRING_START", -1), getattr(tokenize, "FSTRING_END", -1)


def tokens_of(source: str) -> str:
    """Return a source without comments and layout, but with its blocks; the same in every version of Python."""
    lines, found, depth, start = list(io.StringIO(source)), [], 0, (0, 0)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == _OPENING:
            start, depth = (start, depth + 1) if depth else (token.start, 1)
        elif depth:
            depth -= token.type == _CLOSING
            if not depth:
                found.append(_between(lines, start, token.end))
        elif token.type not in _LAYOUT:
            found.append(_BLOCKS.get(token.type, token.string))
    return " ".join(found)


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    if start[0] == end[0]:
        return lines[start[0] - 1][start[1] : end[1]]
    first, *middle, last = lines[start[0] - 1 : end[0]]
    return "".join([first[start[1] :], *middle, last[: end[1]]])


def codes_of(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and all code objects nested in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes_of(constant)


def compiled_text(code: CodeType) -> str:
    """Return compiled code as text. It differs between versions of Python."""
    return " ".join(f"{part.co_code.hex()} {part.co_names} {_constants(part)}" for part in codes_of(code))


def _constants(code: CodeType) -> list[Any]:
    plain = [constant for constant in code.co_consts if not isinstance(constant, CodeType)]
    return [sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value) for value in plain]


def text_of(code: CodeType, rewritten: bool = False) -> str:
    """Return the source that was compiled to this code, or the compiled code if no file holds that source any more.

    Code that was `rewritten` before it was compiled cannot be compared with the file, so its line numbers are trusted.
    """
    return _text(code.co_filename, code, rewritten)


@lru_cache(maxsize=4096)
def _text(file: str, code: CodeType, rewritten: bool) -> str:
    # One line may have several lambdas.
    if code.co_name != "<lambda>":
        try:
            return _source(file, code, rewritten)
        except (OSError, TypeError, ValueError, SyntaxError, IndexError, tokenize.TokenError):
            pass
    return _exact(code)


def _source(file: str, code: CodeType, rewritten: bool) -> str:
    """Return the tokens of a function's source. The file is compiled again, because it may have been edited since."""
    lines, _ = inspect.findsource(code)
    every = [code] if rewritten else _codes_in(file, "".join(lines))
    same = [each.co_firstlineno for each in every if _is_same(each, code)]
    first = min(same, key=lambda line: abs(line - code.co_firstlineno))
    return tokens_of(inspect.cleandoc("\n" + "".join(inspect.getblock(lines[first - 1 :]))))


@lru_cache(maxsize=64)
def _codes_in(file: str, source: str) -> tuple[CodeType, ...]:
    return tuple(codes_of(compile(source, file, "exec", dont_inherit=True)))


def _is_same(one: CodeType, other: CodeType) -> bool:
    return one.co_qualname == other.co_qualname and _exact(one) == _exact(other)


@lru_cache(maxsize=4096)
def _exact(code: CodeType) -> str:
    shapes = [
        f"{part.co_argcount} {part.co_posonlyargcount} {part.co_kwonlyargcount} {part.co_flags} {part.co_varnames} "
        f"{part.co_freevars} {part.co_cellvars}"
        for part in codes_of(code)
    ]
    return " ".join([compiled_text(code), *shapes])
