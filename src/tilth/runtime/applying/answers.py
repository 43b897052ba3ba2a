"""What a version says of rows that judge it, as arrays: by the model that serves, or for rows that it saw by what its bundle keeps.

Neighbours: `gate` compares two of these; `answering` gives answers to clients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tilth.core.errors import DataError, InputError
from tilth.ml.judging import split
from tilth.ml.judging.holdout import Rows, Tuned
from tilth.runtime.applying import imported

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ml.model.predictor import Predictor

    Array = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Answers:
    """Scores of rows; those it cannot answer, and those it saw and has no honest answer for, hold NaN.

    `why` is there when it can answer none.
    """

    scores: Array
    can: Mask
    seen: Mask
    remarks: tuple[str, ...] = ()
    why: str | None = None

    def refused(self, why: str) -> Answers:
        """The same of a version that cannot be asked."""
        return replace(self, can=self.can & False, why=why)

    def in_terms(self, change: Callable[[Array], Array]) -> Answers:
        """The same with other scores."""
        return replace(self, scores=change(self.scores))


def given(model: Predictor, tuned: Tuned, rows: Rows, seen: Mask) -> Answers:
    """The model's answers to the rows; `seen` are those it was tuned on."""
    import numpy as np

    remarks: tuple[str, ...] = ()
    if tuned.by == split.BY_IMPORT:
        remarks = (imported.remark(tuned),)
    elif tuned.manifest is None:
        remarks = (
            f"The rows that version {tuned.version} learned from are gone; it may know some of these, which favours it.",
        )
    try:
        scores, can = model.answers(rows.table)
    except (InputError, DataError) as error:
        shape = (
            len(rows.ids),
            *((len(model.signature.classes),) if model.signature.kind == "multiclass" else ()),
        )
        nothing = np.zeros(len(rows.ids), dtype=np.bool_)
        why = f"Version {tuned.version} cannot answer these rows and cannot be compared: {error.message}"
        return Answers(np.full(shape, np.nan), nothing, seen, remarks, why)
    if tuned.kept is None or not len(tuned.kept.ids):
        return Answers(scores, can, seen, remarks)
    place = np.where(seen, tuned.places(rows.table), -1)
    known = place >= 0
    scores[known], can[known] = tuned.kept.scores[place[known]], True
    return Answers(scores, can, seen & ~known, remarks)


def realigned(scores: Array, own: tuple[Any, ...], classes: tuple[Any, ...]) -> Array:
    """Scores over other classes, or in another order; a class that the version does not know has no probability."""
    import numpy as np

    if own == classes or not classes:
        return scores
    each = np.stack([1.0 - scores, scores], axis=1) if scores.ndim == 1 else scores
    out = np.zeros((len(each), len(classes)))
    for place, name in enumerate(classes):
        if name in own:
            out[:, place] = each[:, own.index(name)]
    return out[:, 1] if len(classes) == 2 else out


def adverse(scores: Array, can: Mask, truth: Array) -> Array:
    """Scores in which a row without an answer has the worst that the version gave to rows of that truth."""
    import numpy as np

    if can.all() or not can.any():
        return scores
    out = scores.copy()
    for place in np.flatnonzero(~can):
        out[place] = _worst(scores[can], truth[can], truth[place])
    return out


def _worst(scores: Array, truth: Array, true: float) -> Any:
    import numpy as np

    if scores.ndim > 1:
        return scores[int(scores[:, int(true)].argmin())]
    if set(np.unique(truth)) <= {0.0, 1.0} and ((scores >= 0) & (scores <= 1)).all():
        return scores.min() if true > 0.5 else scores.max()
    return true + float(np.abs(scores - truth).max())
