"""What a fitted member computes, said in plain values: trees, or a sum of terms. Formats of others are written from it.

A scorer class whose member can be said so offers `portable(payload, task)`; one without it is not exported to ONNX. Trees that
another library has grown are said in the same values, to be written as a text that we serve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from tilth.ports.learning import Task

LINKS = {"regression": "identity", "binary": "sigmoid", "multiclass": "softmax"}


@dataclass(frozen=True, slots=True)
class Split:
    """Values up to `threshold` go left, gaps where `gaps_left` says; or, with `codes`, those codes left and all else right."""

    feature: int
    left: Tree
    right: Tree
    threshold: float = 0.0
    gaps_left: bool = False
    codes: tuple[int, ...] = ()


Tree: TypeAlias = "Split | float | tuple[float, ...]"
"""What is no split is the value of a leaf; a tuple has one a class, of trees that are alike but for that (none in a `Forest`)."""


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees that are added up, one a round; of several classes one a class and round. `link`: identity | exp | sigmoid | softmax."""

    trees: tuple[Tree, ...]
    width: int
    link: str


@dataclass(frozen=True, slots=True)
class Levels:
    """What a code adds, one row a code and one number a class; the last row is for gaps and codes that are none."""

    weights: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Slope:
    """What a number adds: (value - center) / scale, within `clip` of 0, times the weight of each class; a gap adds `missing`.

    Beyond each of the `edges` the slope turns by a number a class; `start` is added to all but gaps.
    """

    center: float
    scale: float
    clip: float
    weights: tuple[float, ...]
    missing: tuple[float, ...]
    start: tuple[float, ...] = ()
    edges: tuple[float, ...] = ()
    turns: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Sums:
    """One term a column of the matrix, added to the bias of each class; links are those of `Forest`."""

    terms: tuple[Levels | Slope, ...]
    bias: tuple[float, ...]
    link: str


Member: TypeAlias = "Forest | Sums"


class Portable(Protocol):
    """What such a scorer class also offers."""

    @staticmethod
    def portable(payload: bytes, task: Task) -> Member:
        """What the member computes; TamperError for a file that is none of this task's, UnsupportedError where it cannot be said."""
        ...
