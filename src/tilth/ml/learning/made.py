"""What a training works with, and what it makes: tools, members, the width of intervals, and all of it together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tilth.ml.model.calibration import Conformal
from tilth.ml.model.curve import Curve
from tilth.ports.learning import Fitted

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]
    Matrix = Array

Report = Callable[[str, float | None], None]
Getter = Callable[[str], Any]


@dataclass(slots=True)
class Member:
    """A fitted engine, with its metric and its loss on the stop slice."""

    engine: str
    fitted: Fitted
    scorer: Any
    stop_metric: float | None
    stop_loss: float | None = None


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
    """What fitting is done with: how learners and scorers are found, when it must end, and who is told."""

    learners: Getter
    scorers: Getter
    deadline: float
    report: Report
    threads: int = 1
    seed: int = 0

    @property
    def quiet(self) -> Tools:
        """The same, for fits that are parts of a step that is told as a whole."""
        return replace(self, report=lambda _what, _done: None)


@dataclass(frozen=True, slots=True)
class Made:
    """All members that were fitted, the one that was chosen, and what is done to its scores."""

    members: dict[str, Member]
    chosen: Member
    curve: Curve
    interval: Interval | None = None  # of a regression
    options: Mapping[str, object] = field(default_factory=dict)  # what the chosen engine was given

    def scores(self, x: Matrix) -> Matrix:
        """Calibrated scores of matrix rows."""
        found: Matrix = self.curve.apply(self.chosen.scorer.score(x))
        return found
