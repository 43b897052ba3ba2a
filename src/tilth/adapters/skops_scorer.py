"""Scores with a scikit-learn estimator kept as a skops file, whose types must all be on the allow-list.

No pickle is read. A file that names any other type is refused before anything of it is made. Only projects that use
`engine = 'sklearn'` ever import scikit-learn in the serving process. Training is in `sklearn_learner`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from tilth.core.errors import TamperError
from tilth.ports.learning import Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

ALLOWED = ("sklearn.", "numpy.", "scipy.")


def strangers(payload: bytes) -> tuple[str, ...]:
    """Types in the file that are neither trusted by skops nor of scikit-learn, numpy or scipy; sorted."""
    from skops.io import get_untrusted_types

    return tuple(sorted(t for t in get_untrusted_types(data=payload) if not t.startswith(ALLOWED)))


class SkopsScorer:
    """A loaded estimator; scikit-learn's predict methods do not change it, so threads may share it."""

    def __init__(self, estimator: Any, task: Task) -> None:
        self._estimator = estimator
        self._task = task

    @classmethod
    def load(cls, payload: bytes, task: Task, threads: int | None = None) -> Self:  # noqa: ARG003  # the port has it
        """Read the file; TamperError names the types that are not allowed."""
        from skops.io import get_untrusted_types, loads

        if found := strangers(payload):
            raise TamperError(
                f"The model file holds types that are not allowed: {', '.join(found)}.",
                hint="Only estimators of scikit-learn itself can be kept without pickle.",
            )
        return cls(loads(payload, trusted=get_untrusted_types(data=payload)), task)

    def score(self, x: Matrix) -> Matrix:
        import numpy as np

        if self._task.kind == "regression":
            return np.asarray(self._estimator.predict(x), dtype=np.float64).reshape(len(x))
        known = np.asarray(self._estimator.predict_proba(x), dtype=np.float64)
        out = np.zeros((len(x), max(2, self._task.classes)))
        out[:, self._estimator.classes_.astype(np.int64)] = (
            known  # a class the fit rows lacked has probability 0
        )
        return np.ascontiguousarray(out[:, 1]) if self._task.kind == "binary" else out

    def score_row(self, row: bytearray) -> tuple[float, ...]:
        import numpy as np

        return tuple(self.score(np.frombuffer(row, dtype=np.float64)[None, :]).ravel().tolist())

    def contributions(self, x: Matrix) -> Matrix | None:  # noqa: ARG002  # the port has it
        return None
