"""Encodes text as the numbers of its words."""

import re
from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Callable, ClassVar, Iterable

import numpy as np
from numpy.typing import NDArray

from dataset_assets.encoding.encoder import Values, check_choice, encoder, known_by
from dataset_assets.encoding.values import is_arrow
from dataset_assets.errors import SchemaError, UsageError

LONGEST = 1 << 24
_WORD = re.compile(r"\w+|[^\w\s]")

TOKENIZERS: dict[str, Callable[[str], Iterable[str]]] = {
    "words": lambda text: _WORD.findall(text.lower()),
    "whitespace": str.split,
    "characters": list,
}


@encoder("vocabulary")
@dataclass(frozen=True)
class Vocabulary:
    """Encodes text as the numbers of its words. Frequent words come first; equally frequent ones are alphabetical.

    The tokenizer "words" lowers the case and yields runs of letters and digits, and each other sign; "whitespace"
    splits at white space; "characters" yields each character. Words with fewer than `min_count` occurrences are left
    out, and so are those that do not fit in `size`, which includes the special words. The first of `special` is the
    padding and the second any unknown word; further ones are ordinary words with a fixed number. With `length`, a text
    is cut or padded to that many numbers, and a block is one array. Fitting keeps every distinct word in memory.
    """

    tokenizer: str = "words"
    size: int = 20_000
    min_count: int = 1
    length: int | None = None
    special: tuple[str, ...] = ("<pad>", "<unknown>")
    words: tuple[str, ...] | None = None

    name: ClassVar[str]

    def __post_init__(self) -> None:
        check_choice("tokenizer", self.tokenizer, TOKENIZERS)
        object.__setattr__(self, "special", tuple(self.special))
        if len(set(self.special)) < max(2, len(self.special)):
            raise UsageError(
                f"special={self.special} is not valid. Give at least two words, each once: padding, unknown."
            )
        if self.size < len(self.special):
            raise UsageError(f"size={self.size} does not hold the {len(self.special)} special words. Raise it.")
        if self.length is not None and self.length < 1:
            raise UsageError(f"length={self.length} is too small. Give 1 or more, or None for texts of any length.")
        if self.length is not None and self.length > LONGEST:
            raise UsageError(f"length={self.length} is more than {LONGEST}, too long for memory. Give less.")

    def learn(self, known: "Counter[str] | None", values: Values) -> "Counter[str]":
        """Count the words of a block."""
        counts = Counter() if known is None else known
        for tokens in self._tokens(values):
            counts.update(tokens)
        return counts

    def learnt(self, known: "Counter[str] | None") -> "Vocabulary":
        """Return an encoder with the most frequent words."""
        if not known:
            raise UsageError("There are no words to fit on. Fit on a view with texts.")
        often = [word for word, count in known.items() if count >= self.min_count and word not in self.special]
        ranked = sorted(often, key=lambda word: (-known[word], word))
        return replace(self, words=(*self.special, *ranked[: self.size - len(self.special)]))

    def apply(self, values: Values) -> "list[NDArray[np.int64]] | NDArray[np.int64]":
        """Return the numbers of each text's words.

        >>> Vocabulary(words=("<pad>", "<unknown>", "to", "be"), length=3).apply(["To be", "not to be so"])
        array([[2, 3, 0],
               [1, 2, 3]])
        """
        known = self._known
        rows = [np.array([known.get(word, 1) for word in tokens], np.int64) for tokens in self._tokens(values)]
        if self.length is None:
            return rows
        padded = np.zeros((len(rows), self.length), np.int64)
        for k, row in enumerate(rows):
            padded[k, : len(row)] = row[: self.length]
        return padded

    @cached_property
    def _known(self) -> dict[str, int]:
        return {word: k for k, word in enumerate(known_by(self, self.words))}

    def _tokens(self, values: Values) -> Iterable[Iterable[str]]:
        tokens = TOKENIZERS[self.tokenizer]
        for text in values.to_pylist() if is_arrow(values) else values:
            if not isinstance(text, str):
                raise SchemaError(
                    f"A value is a {type(text).__name__}, not text. Fill or drop it, or use a different encoder."
                )
            yield tokens(text)
