"""Texts that are nearly equal: they share most of their pairs of neighbouring words.

The similarity of two texts is the Jaccard index of their sets of word pairs. MinHash (A. Broder, On the resemblance and
containment of documents, 1997) proposes pairs of texts; the index itself decides.
"""

import re
import zlib
from functools import partial
from typing import Any, Iterable, Iterator, Mapping, NamedTuple, Sequence

import numpy as np
from numpy.typing import NDArray

from dataset_assets.checks.equal_texts import plain
from dataset_assets.checks.pairs import Check, Rows, blocks_of, chosen, leaks, told
from dataset_assets.errors import DefinitionError
from dataset_assets.reading.views import View

# In scripts that are written without spaces, such as Chinese, Thai and Khmer, each character is a word.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7ff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
# 32 bands of 4 hashes propose two texts of similarity 0.7 with a chance of 0.9998, and those of 0.5 with 0.87.
_BANDS, _ROWS = 32, 4
_HASHES = _BANDS * _ROWS
# Four standard deviations of the similarity that 128 hashes estimate.
_SLACK = 0.17
_TRIES = 8
_PAIRS_AT_ONCE = 1 << 15
_MIX = np.uint64(0x9E3779B97F4A7C15)


class _Signatures(NamedTuple):
    """Of each text: a hash of each band, and 16 bits of each hash. An empty text has none."""

    bands: NDArray[np.uint64]
    hashes: NDArray[np.uint16]
    words: NDArray[np.bool_]


def near_text(stream: str, threshold: float = 0.7, *, splits: Sequence[str] | None = None) -> Check:
    """Return a check that no text of one split is nearly the same as one of another.

    `threshold` is the least similarity that counts, from 0.5 to 1: the share of pairs of neighbouring words that two
    texts have in common. One word changed in 20 gives 0.8. Case, white space and punctuation do not count. `splits`
    names those that are compared; without it, all are. A sample takes 0.5 KB of memory.

    >>> Dataset(..., checks={"near_copies": near_text("review", 0.8)})
    """
    if not isinstance(threshold, (int, float)) or not 0.5 <= threshold <= 1:
        raise DefinitionError(f"threshold is {threshold!r}. Give a number from 0.5 to 1.")
    return partial(_check, stream=stream, threshold=threshold, splits=None if splits is None else tuple(splits))


def _check(views: Mapping[str, Any], stream: str, threshold: float, splits: Sequence[str] | None) -> str | None:
    found = chosen(views, stream, splits)
    signed = {name: _signatures(blocks_of(view, stream)) for name, view in found.items()}

    def between(first: str, second: str) -> str | None:
        one, other = found[first], found[second]
        pairs = sorted(_near(one, signed[first], other, signed[second], stream, threshold).items())
        here, there = [i for _, i in pairs], [j for j, _ in pairs]
        what = "are nearly the same as one of"
        return told(what, first, second, here, there, other[there[0]][stream], "~") if pairs else None

    return leaks(found, between)


def _near(
    first: View, here: _Signatures, second: View, there: _Signatures, stream: str, threshold: float
) -> dict[int, int]:
    """Return rows of `second`, each with a row of `first` that is similar to it."""
    found: dict[int, int] = {}
    for band in range(_BANDS):
        order = np.argsort(here.bands[:, band], kind="stable")
        ordered = here.bands[order, band]
        rows = np.flatnonzero(there.words)
        rows = rows[~np.isin(rows, [*found])] if found else rows
        at = np.searchsorted(ordered, there.bands[rows, band])
        for further in range(_TRIES):
            rows, at = rows[at + further < len(ordered)], at[at + further < len(ordered)]
            same = ordered[at + further] == there.bands[rows, band]
            rows, at = rows[same], at[same]
            _decide(first, here, second, there, stream, threshold, order[at + further], rows, found)
    return found


def _decide(
    first: View, here: _Signatures, second: View, there: _Signatures, stream: str, threshold: float, ours: Rows,
    theirs: Rows, found: dict[int, int],
) -> None:  # fmt: skip
    """Add the proposed pairs that are similar."""
    for lo in range(0, len(ours), _PAIRS_AT_ONCE):
        some = slice(lo, lo + _PAIRS_AT_ONCE)
        alike = (here.hashes[ours[some]] == there.hashes[theirs[some]]).mean(axis=1) >= threshold - _SLACK
        for i, j in zip(ours[some][alike].tolist(), theirs[some][alike].tolist()):
            if j not in found and _similarity(first[i][stream], second[j][stream]) >= threshold:
                found[j] = i


def _similarity(one: str, other: str) -> float:
    first, second = _pairs(_words(one)), _pairs(_words(other))
    return len(first & second) / max(len(first | second), 1)


def _words(text: Any) -> list[str]:
    """Return the words of a text; its characters if it has no letter and no digit."""
    said = plain(text)
    return _WORD.findall(said) or [*said.replace(" ", "")]


def _pairs(words: list[str]) -> set[tuple[str, ...]]:
    return {*zip(words, words[1:])} or {tuple(words)}


def _signatures(blocks: Iterable[Any]) -> _Signatures:
    bands, hashes, words = [np.zeros((0, _BANDS), np.uint64)], [np.zeros((0, _HASHES), np.uint16)], [np.zeros(0, bool)]
    for pairs, starts, some in _hashed_pairs(blocks):
        least = _least(pairs, starts)
        odd = np.arange(1, 2 * _ROWS, 2, dtype=np.uint64) * _MIX
        bands.append((least.reshape(-1, _BANDS, _ROWS) * odd).sum(axis=2, dtype=np.uint64))
        hashes.append((least >> np.uint64(48)).astype(np.uint16))
        words.append(some)
    return _Signatures(np.concatenate(bands), np.concatenate(hashes), np.concatenate(words))


def _least(pairs: NDArray[np.uint64], starts: Rows) -> NDArray[np.uint64]:
    """Return, for each text, the least value of each hash function over its pairs of words."""
    chance = np.random.Generator(np.random.PCG64(11))
    factors = chance.integers(0, 2**63, _HASHES, np.uint64) * np.uint64(2) + np.uint64(1)
    found = np.empty((len(starts), _HASHES), np.uint64)
    for k, factor in enumerate(factors):
        mixed = pairs * factor
        mixed ^= mixed >> np.uint64(32)
        found[:, k] = np.minimum.reduceat(mixed, starts)
    return found


def _hashed_pairs(blocks: Iterable[Any]) -> Iterator[tuple[NDArray[np.uint64], Rows, NDArray[np.bool_]]]:
    """Yield hashes of the word pairs of some texts, where each text begins, and which have words."""
    numbers: list[int] = []
    starts: list[int] = []
    some: list[bool] = []
    for block in blocks:
        for text in block:
            starts.append(len(numbers))
            found = [zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in _words(text)]
            some.append(bool(found))
            numbers += _paired(found)
            if len(numbers) >= _PAIRS_AT_ONCE:
                yield _mixed(numbers), np.array(starts, np.intp), np.array(some)
                numbers, starts, some = [], [], []
    if starts:
        yield _mixed(numbers), np.array(starts, np.intp), np.array(some)


def _paired(words: list[int]) -> list[int]:
    """Return a number for each pair of neighbours; one for a single word, or for none."""
    if len(words) < 2:
        return words or [0]
    return [one << 32 | other for one, other in zip(words, words[1:])]


def _mixed(numbers: list[int]) -> NDArray[np.uint64]:
    found = np.array(numbers, np.uint64)
    found ^= found >> np.uint64(31)
    found *= _MIX
    found ^= found >> np.uint64(29)
    return found
