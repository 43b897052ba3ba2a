"""From an engine's score to an answer: the fitted calibration, the decision threshold and the interval, as JSON.

One row and many take the same numpy functions, so that a prediction replayed in a batch is equal to the last bit.
How a calibration is fitted is in `ml.model.calibration`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tilth.ml.model.calibration import Conformal, Platt, Temperature

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    """What is done to scores. Each part is None where the task has none, or too few rows could fit it."""

    platt: Platt | None = None
    temperature: Temperature | None = None
    conformal: Conformal | None = None
    floor: float | None = None  # what no value and no interval is below: no target of the training was
    shift: float = 0.0  # what is added to a quantile, so that as many values are below it as should be
    threshold: float = 0.5  # a probability above it makes the positive class the answer
    rows: int = 0  # rows it was fitted on

    def apply(self, scores: Array) -> Array:
        """Calibrated scores: P(1), class probabilities [rows, classes], or values as they are."""
        if self.platt is not None:
            return self.platt.apply(scores)
        if self.shift:
            scores = scores + self.shift
        if self.floor is not None:
            return self._above(scores, self.floor)
        return self.temperature.apply(scores) if self.temperature is not None else scores

    def one(self, scores: tuple[float, ...]) -> tuple[float, ...]:
        """The same for one row."""
        if self.platt is not None:
            return (self.platt.one(scores[0]),)
        if self.shift:
            scores = (scores[0] + self.shift,)
        if self.floor is not None:
            return (max(self.floor, scores[0]),)
        if self.temperature is None:
            return scores
        import numpy as np

        return tuple(self.temperature.apply(np.array([scores]))[0].tolist())

    @staticmethod
    def _above(scores: Array, floor: float) -> Array:
        import numpy as np

        return np.where(scores > floor, scores, floor)

    def plain(self) -> dict[str, object]:
        """JSON-able values; `from_plain` reads them back."""
        return asdict(self)

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Curve:
        return cls(
            platt=Platt(**values["platt"]) if values["platt"] else None,
            temperature=Temperature(**values["temperature"]) if values["temperature"] else None,
            conformal=Conformal(**values["conformal"]) if values["conformal"] else None,
            floor=values.get("floor"),
            shift=float(values.get("shift", 0.0)),
            threshold=values["threshold"],
            rows=values["rows"],
        )


def threshold(false_negative: float | None, false_positive: float | None) -> float:
    """Above which probability saying yes costs less than saying no (Elkan 2001); 0.5 without costs."""
    if false_negative is None and false_positive is None:
        return 0.5
    fn = 1.0 if false_negative is None else false_negative
    fp = 1.0 if false_positive is None else false_positive
    return fp / (fp + fn) if fp + fn > 0 else 0.5
