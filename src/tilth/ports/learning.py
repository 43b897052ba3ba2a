"""Engines that fit (learners) and formats that score (scorers).

A learner runs only in a training worker. A scorer reads a non-executable file and runs in the serving process;
it must not import the library that trained the model where a lighter way exists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix: TypeAlias = "npt.NDArray[np.float64]"


@dataclass(frozen=True, slots=True)
class Task:
    """What is learned. `kind`: regression | binary | multiclass. `categorical` are indexes of code columns in X."""

    kind: str
    classes: int = 0
    columns: tuple[str, ...] = ()
    categorical: tuple[int, ...] = ()
    cardinality: tuple[int, ...] = ()  # codes of categorical[i] are 0 .. cardinality[i]-1, NaN is unknown
    metric: str = "log_loss"


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one fit: `deadline` on the worker's monotonic clock in seconds, and threads."""

    deadline: float
    threads: int = 1
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted member: which scorer reads it, its file's bytes, and what to say of the fit (rounds, stopped early ...)."""

    scorer: str
    suffix: str  # file suffix: txt | json | skops
    payload: bytes
    notes: tuple[tuple[str, object], ...] = ()


class Learner(Protocol):
    def fit(
        self,
        task: Task,
        x: Matrix,
        y: Matrix,
        x_stop: Matrix,
        y_stop: Matrix,
        budget: Budget,
        options: Mapping[str, object],
        report: Callable[[str, float | None], None],
    ) -> Fitted:
        """Fit on (x, y), stop early on (x_stop, y_stop), return by the deadline with the best so far.

        x is float64 [rows, columns] with NaN for missing; y is float64 [rows]: a value, 0/1, or a class code.
        """
        ...


def learning_of(learner: Any) -> int:
    """The number of a learner's way of learning, its attribute `learning`: raised when the same rows teach it something else.

    A raised number is told, and used at the next training; it never starts one.
    """
    return int(getattr(learner, "learning", 1))


class Scorer(Protocol):
    """A loaded member; immutable and safe to call from several threads.

    Made by `Scorer.load(payload, task, threads)`; `threads` None means all cores. Output is float64: value (regression), P(1) (binary), or one column a class.
    """

    def score(self, x: Matrix) -> Matrix:
        """[rows] or [rows, classes] for a C-contiguous float64 [rows, columns]."""
        ...

    def score_row(self, row: bytearray) -> tuple[float, ...]:
        """One row given as packed native float64s; a tuple of one value, or one a class."""
        ...

    def contributions(self, x: Matrix) -> Matrix | None:
        """Per-column contributions to the raw score, [rows, columns + 1] with the bias last; None if it has none."""
        ...
