"""Learns from texts: whether a column of them names rows, classes them or describes them, and the space of those that describe.

The space is that of latent semantic analysis (Deerwester et al. 1990): the leading right singular vectors of the TF-IDF
matrix, found by subspace iteration from a fixed start (Halko, Martinsson and Tropp 2011), with fixed signs and rounded, so
that the same texts give the same bytes on any number of threads. Nothing is known of the target. `ml.model.text` applies it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from tilth.ml.model.text import TextSpace, terms_of, words_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

FEW_LEVELS = 40  # a column of so many different texts classes rows, however they are worded
MOST_TEXTS = 10_000  # that are learned from
MOST_TERMS = 5_000
ALL_WEIGHTS = 360_000  # directions times terms of all text columns together: 1.9 MB in `prepare.json`
LONG = 8  # words of the middle text, from which on words are terms
DIRECTIONS, FEW_DIRECTIONS = 24, 10  # of long texts, of short ones
PASSES, SPARE = 5, 8  # of the subspace iteration: rounds, and vectors beyond those that are kept
DIGITS = 5  # of a direction's numbers: noise in the last bits of a library's sums does not reach the file
COMMON = 0.9  # the share of texts from which on a term tells them apart no more
SOME, MOST = 0.1, 0.5  # the shares of texts that have a word, or a part of one, in common with others
ONCE = 0.95  # different values a row, above which values do not repeat
_PART = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Wording:
    """How a column's different texts are worded: the shares of texts of several words, and of those that share some.

    `wordy`: texts of two words or more; `shared`: those among them with a word that others have too, and not all;
    `parts`: texts of which a run of letters is in others, and not in all.
    """

    wordy: float
    shared: float
    parts: float

    @property
    def describes(self) -> bool:
        """Whether texts that hardly repeat have in common what they are made of."""
        return self.shared >= SOME or self.parts >= MOST


def wording(texts: Sequence[str]) -> Wording:
    """Of different texts."""
    words = [{w for w in words_of(t) if not w.isdigit()} if _several(t) else set() for t in texts]
    parts = [{p for p in _PART.findall(t.lower()) if len(p) > 2 and p.isalpha()} for t in texts]
    wordy = sum(map(_several, texts))
    return Wording(wordy / len(texts), _shared(words), _shared(parts))


def _several(text: str) -> bool:
    return " " in text.strip() or (not text.isascii() and len(words_of(text)) > 1)


def _shared(terms: list[set[str]]) -> float:
    """The share of texts with a term that another has, and not (nearly) all."""
    counted: Counter[str] = Counter()
    for one in terms:
        counted.update(one)
    telling = {t for t, n in counted.items() if 1 < n <= COMMON * len(terms)}
    return sum(not telling.isdisjoint(one) for one in terms) / len(terms)


def sampled(texts: Any) -> list[str]:
    """At most MOST_TEXTS of an Arrow array of texts, evenly spaced."""
    found: list[str] = texts[:: -(-len(texts) // MOST_TEXTS) or 1].to_pylist()
    return found


def learned(texts: Sequence[str], columns: int = 1) -> TextSpace | None:
    """The space of different texts, in an order that their content decides; None where they have no term in common.

    `columns` are the text columns that share what a bundle may hold.
    """
    import numpy as np

    words = median(len(words_of(t)) for t in texts) >= LONG
    wanted = DIRECTIONS if words else FEW_DIRECTIONS
    most = min(MOST_TERMS, ALL_WEIGHTS // (columns * wanted))
    counted: Counter[str] = Counter()
    for text in texts:
        counted.update(set(terms_of(text, words)))
    least = 2 if len(texts) < 1_000 else 3
    kept = [(-n, t) for t, n in counted.items() if least <= n < len(texts) and "\n" not in t]
    if not kept:
        return None
    terms = tuple(t for _, t in sorted(kept)[:most])
    share = np.array([counted[t] for t in terms], np.float64)
    rarity = (np.log((1.0 + len(texts)) / (1.0 + share)) + 1.0).astype(np.float32)
    bare = TextSpace(words, terms, rarity, np.empty((len(terms), 0), np.float32), np.empty(0, np.float32))
    found = _directions(bare.tfidf(texts), wanted)
    return TextSpace(words, terms, rarity, found, np.zeros(found.shape[1], np.float32))


def _directions(tfidf: Any, wanted: int) -> npt.NDArray[np.float32]:
    """The leading right singular vectors [terms, at most `wanted`], the strongest first, the largest number of each positive."""
    import numpy as np

    width = min(wanted + SPARE, *tfidf.shape)
    basis = np.random.Generator(np.random.PCG64(7)).normal(size=(tfidf.shape[1], width))
    for _ in range(PASSES):
        basis = _turned(*_spectrum(tfidf.T @ (tfidf @ basis), 1e-12))
    found = _turned(basis, _spectrum(tfidf @ basis, 1e-9)[1][:, :wanted])
    found *= np.sign(found[np.abs(found).argmax(axis=0), np.arange(found.shape[1])])
    size = 10.0 ** (DIGITS - 1 - np.floor(np.log10(np.abs(found).max(axis=0))))
    short: npt.NDArray[np.float32] = (np.round(found * size) / size).astype(np.float32)
    return short


def _spectrum(of: Matrix, least: float) -> tuple[Matrix, Matrix, Matrix]:
    """It, and the principal axes of its columns [columns, axes] with their squared lengths, the longest first.

    Sums are numpy's own: a library's threads cost more than they save here, and each number of them sums in another order.
    """
    import numpy as np

    values, axes = np.linalg.eigh(np.einsum("ij,ik->jk", of, of))
    kept = [i for i in range(len(values) - 1, -1, -1) if values[i] > least * values[-1]]
    return of, axes[:, kept], values[kept]


def _turned(of: Matrix, axes: Matrix, lengths: Matrix | None = None) -> Matrix:
    """Its rows along these axes; with their squared lengths, the columns that come out have a length of one."""
    import numpy as np

    made: Matrix = np.einsum("ij,jk->ik", of, axes if lengths is None else axes / np.sqrt(lengths))
    return made
