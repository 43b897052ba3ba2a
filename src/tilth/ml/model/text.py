"""A text as numbers: the terms it has, weighed by how rare they are (TF-IDF), seen in a few directions that most texts differ in.

Long texts count words and pairs of words, short ones runs of two to four characters. What was learned (terms, weights,
directions) is data, kept in `prepare.json`. One text and many take the same way (`TextSpace.seen`), so both give the same
bits; nothing but numpy is needed to answer. How a space is learned, and which columns are texts, is in `ml.model.wording`.
"""

from __future__ import annotations

import base64
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]
    Weights = npt.NDArray[np.float32]

SHORTEST, LONGEST = 2, 4  # characters of a run
MOST_READ = 20_000  # characters of a text, so that one answer takes no longer than milliseconds
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_]+")  # a sign of Chinese or Japanese is a word
_TIMES = tuple(1.0 + math.log(n) for n in range(1, 257))  # what a term counts that occurs so often


def words_of(text: str) -> list[str]:
    """Its words, in lower case.

    >>> words_of("Braund, Mr. Owen")
    ['braund', 'mr', 'owen']
    """
    return _WORD.findall(text[:MOST_READ].lower())


def terms_of(text: str, words: bool) -> list[str]:
    """Words and pairs of them, or the runs of characters of the text with one space before and after each word.

    >>> terms_of("a good day", True), terms_of("Ab", False)
    (['a', 'good', 'day', 'a good', 'good day'], [' a', 'ab', 'b ', ' ab', 'ab ', ' ab '])
    """
    if words:
        found = words_of(text)
        return found + [f"{a} {b}" for a, b in pairwise(found)]
    plain = f" {' '.join(text[:MOST_READ].lower().split())} "
    return [plain[i : i + n] for n in range(SHORTEST, LONGEST + 1) for i in range(len(plain) - n + 1)]


@dataclass(frozen=True, slots=True, eq=False)
class TextSpace:
    """What a text column learned. `words`: else runs of characters. `terms` in the order of their rows in `weights`.

    `rarity` is what each term weighs [terms]; `weights` [terms, features] are the directions, float32 as they are kept, and
    `bias` [features] is added; the last `scores` of them are raw scores of linear models.
    """

    words: bool
    terms: tuple[str, ...]
    rarity: Weights
    weights: Weights
    bias: Weights
    scores: int = 0
    _known: Mapping[str, int] = field(init=False, repr=False)
    _rare: Matrix = field(init=False, repr=False)
    _wide: Matrix = field(init=False, repr=False)
    _plus: Matrix = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_known", {term: at for at, term in enumerate(self.terms)})
        object.__setattr__(self, "_rare", self.rarity.astype("float64"))
        object.__setattr__(self, "_wide", self.weights.astype("float64"))
        object.__setattr__(self, "_plus", self.bias.astype("float64"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TextSpace) and self.plain() == other.plain()

    def __hash__(self) -> int:
        return hash((self.words, self.terms, self.weights.tobytes()))

    @property
    def features(self) -> tuple[str, ...]:
        """What the columns of its directions are called after the input's name."""
        return tuple(f"text{n}" for n in range(1, self.weights.shape[1] - self.scores + 1))

    @property
    def tails(self) -> tuple[str, ...]:
        """The same of its scores."""
        return tuple(f"score{n}" for n in range(1, self.scores + 1))

    @property
    def nothing(self) -> Matrix:
        """The features of a text without a known term."""
        return self._plus

    def entries(self, text: str) -> tuple[list[int], Matrix]:
        """The terms of a text that are known, and the weight of each; the squares of the weights sum to 1."""
        import numpy as np

        counts = Counter(map(self._known.get, terms_of(text, self.words)))
        counts.pop(None, None)
        at: list[int] = list(counts)  # type: ignore[arg-type]
        weights = self._rare.take(at) if at else np.empty(0)
        if len(at) != sum(counts.values()):
            weights *= [_TIMES[min(n, len(_TIMES)) - 1] for n in counts.values()]
        if at:
            weights /= math.sqrt(np.add.reduce(weights * weights))
        return at, weights

    def seen(self, text: str) -> Matrix:
        """The features of one text [features]; of a text without a known term they are the bias."""
        import numpy as np

        at, weights = self.entries(text)
        if not at:
            return self._plus
        found: Matrix = np.add.reduce(self._wide.take(at, axis=0) * weights[:, None], axis=0)
        return found + self._plus

    def many(self, texts: Sequence[str | None]) -> Matrix:
        """The features of texts [texts, features], NaN for None."""
        import numpy as np

        out = np.full((len(texts), len(self._plus)), np.nan)
        for at, text in enumerate(texts):
            if text is not None:
                out[at] = self.seen(text)
        return out

    def tfidf(self, texts: Iterable[str | None]) -> Any:
        """The weights of the known terms as a scipy CSR matrix [texts, terms] of float64; a row of None is empty."""
        import numpy as np
        from scipy.sparse import csr_matrix

        ends, places, values = [0], [np.empty(0, np.int32)], [np.empty(0)]
        for text in texts:
            at, weights = self.entries(text) if text is not None else ([], np.empty(0))
            places.append(np.array(at, np.int32))
            values.append(weights)
            ends.append(ends[-1] + len(at))
        shape = (len(ends) - 1, len(self.terms))
        found = csr_matrix((np.concatenate(values), np.concatenate(places), np.array(ends)), shape)
        found.sort_indices()
        return found

    def with_scores(self, weights: Matrix, bias: Matrix) -> TextSpace:
        """The same with a column more for each linear model on `tfidf`: weights [terms, models], bias [models].

        Kept as float32, and what is kept is what answers; a score is its raw one, before any link.
        """
        import numpy as np

        return TextSpace(
            self.words,
            self.terms,
            self.rarity,
            np.concatenate([self.weights, weights.astype(np.float32)], axis=1),
            np.concatenate([self.bias, bias.astype(np.float32)]),
            self.scores + weights.shape[1],
        )

    def plain(self) -> dict[str, object]:
        """JSON-able values: terms a line each, numbers as base64 of little-endian float32; `from_plain` reads them back."""
        return {
            "terms_are": "words" if self.words else "characters",
            "terms": "\n".join(self.terms),
            "rarity": _packed(self.rarity),
            "weights": _packed(self.weights),
            "bias": _packed(self.bias),
            "scores": self.scores,
        }

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> TextSpace:
        """ValueError where the parts do not fit together."""
        terms = tuple(values["terms"].split("\n")) if values["terms"] else ()
        rarity, bias = _unpacked(values["rarity"]), _unpacked(values["bias"])
        weights = _unpacked(values["weights"]).reshape(len(terms), len(bias))
        if len(rarity) != len(terms) or values["terms_are"] not in {"words", "characters"}:
            raise ValueError("the terms of a text and their weights differ in number")
        return cls(values["terms_are"] == "words", terms, rarity, weights, bias, int(values["scores"]))


def _packed(values: Weights) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode()


def _unpacked(text: str) -> Weights:
    import numpy as np

    return np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)
