"""Text as the numbers of its words."""

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
    """Text as the numbers of its words, the most frequent first; of equally frequent ones the first in the alphabet.

    The tokenizer "words" takes runs of letters and digits, and each other sign, in lower case; "whitespace" what stands
    between white space, as it is; "characters" each character. Words that occur less than `min_count` times are left
    out, and so are those that do not fit in `size`, which counts the special ones. The first of `special` pads, the
    second is any unknown word; what else is in it has a number and stands for itself. With `length`, a text is cut or
    padded to so many numbers, and a block is one array. Fitting holds every different word once.
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
            raise UsageError(f"special={self.special} has to be at least two different words: padding, unknown.")
        if self.size < len(self.special) or self.length is not None and self.length < 1:
            raise UsageError(f"A vocabulary of {self.size} words, or texts of {self.length}, cannot be. Give more.")
        if self.length is not None and self.length > LONGEST:
            raise UsageError(f"length={self.length} is more than {LONGEST}: a text would not fit in memory. Give less.")

    def learn(self, known: "Counter[str] | None", values: Values) -> "Counter[str]":
        """Count the words of a block."""
        found = Counter() if known is None else known
        for tokens in self._tokens(values):
            found.update(tokens)
        return found

    def learnt(self, known: "Counter[str] | None") -> "Vocabulary":
        """Return an encoder with the most frequent words."""
        if not known:
            raise UsageError("There are no words to fit on. Fit on a view that has some.")
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
        found = np.zeros((len(rows), self.length), np.int64)
        for k, row in enumerate(rows):
            found[k, : len(row)] = row[: self.length]
        return found

    @cached_property
    def _known(self) -> dict[str, int]:
        return {word: k for k, word in enumerate(known_by(self, self.words))}

    def _tokens(self, values: Values) -> Iterable[Iterable[str]]:
        tokens = TOKENIZERS[self.tokenizer]
        for text in values.to_pylist() if is_arrow(values) else values:
            if not isinstance(text, str):
                raise SchemaError(f"A text is a {type(text).__name__}. Fill or drop it, or encode it otherwise.")
            yield tokens(text)
