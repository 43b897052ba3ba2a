"""What a training works with, and what it makes: tools, members, the width of intervals, and all of it together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tilth.ml.model.calibration import Conformal
from tilth.ml.model.curve import Curve
from tilth.ports.learning import Fitted

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ml.learning.agreeing import Agreement
    from tilth.ml.learning.lead import Lead
    from tilth.ml.learning.trials import Searched

    Array = npt.NDArray[np.float64]
    Matrix = Array

Report = Callable[[str, float | None], None]
Getter = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Member:
    """A member that serves: how it is called, its engine, what was fitted on all rows, its weight in an answer."""

    name: str
    engine: str
    fitted: Fitted
    scorer: Any
    weight: float


@dataclass(frozen=True, slots=True)
class Tried:
    """A candidate that was asked about rows that it did not see: its mean loss, its weight, and what to say of its fits."""

    name: str
    engine: str
    loss: float
    weight: float
    why: str = ""  # why it does not serve


@dataclass(frozen=True, slots=True)
class Remark:
    """What else is to be said of a fit: a kind for programs, the text, and what to write if it was not meant so."""

    kind: str
    text: str
    option: str


@dataclass(frozen=True, slots=True)
class Spread:
    """The fitted model of the absolute error."""

    fitted: Fitted
    scorer: Any


@dataclass(frozen=True, slots=True)
class Interval:
    """What makes a value's ends, how much the widths were found to cover, and what is to be said of them."""

    conformal: Conformal
    spread: Spread | None
    covered: float
    told: str | None = None

    def half(self, x: Array) -> Array:
        """Half the width for each row of the matrix."""
        import numpy as np

        if self.spread is None:
            return np.full(len(x), self.conformal.radius)
        return self.conformal.half(self.spread.scorer.score(x))


@dataclass(frozen=True, slots=True)
class Tools:
    """What fitting is done with: how learners and scorers are found, and who is told."""

    learners: Getter
    scorers: Getter
    report: Report
    threads: int = 1
    seed: int = 0
    deadline: float = float("inf")  # on the monotonic clock: after it nothing is begun that could be left out

    keep: Callable[[Mapping[str, object]], None] = lambda _found: (
        None
    )  # told what outlives a training that is cut

    @property
    def quiet(self) -> Tools:
        """The same, for fits that are parts of a step that is told as a whole."""
        return replace(self, report=lambda _what, _done: None)


@dataclass(frozen=True, slots=True)
class Honest:
    """Answers to rows by what did not see them: places of the rows, calibrated answers, and those of the baseline.

    `part` tells which answers were made by the same models.
    """

    rows: npt.NDArray[np.intp]
    scores: Array
    linear: Array
    part: npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Made:
    """What serves, and what is known of it from rows that it was judged by."""

    members: tuple[Member, ...]
    tried: tuple[Tried, ...]
    scorer: Any  # the members as one
    curve: Curve
    judged: Honest  # the rows that judge
    asked: Honest  # the rows before the window, each answered by models of the others
    twin: str  # the sha256 of what answered the judging rows
    agreement: Agreement
    interval: Interval | None = None  # of a regression
    cut_short: tuple[str, ...] = ()  # what the limits left out, in words
    notes: dict[str, object] = field(default_factory=dict)
    worth: float = (
        1.0  # of an error that was seen, what is left of it in what serves: it learned from more rows
    )
    remarks: tuple[Remark, ...] = ()
    searched: Searched | None = None  # what a search of options found
    lead: Lead | None = None  # what a teacher is better by, and what is kept of that

    @property
    def engine(self) -> str:
        """That of the member with most weight."""
        return max(self.members, key=lambda m: m.weight).engine

    @property
    def engines(self) -> Sequence[str]:
        """Those of all members."""
        return tuple(dict.fromkeys(m.engine for m in self.members))

    def scores(self, x: Matrix) -> Matrix:
        """Calibrated scores of matrix rows."""
        found: Matrix = self.curve.apply(self.scorer.score(x))
        return found
