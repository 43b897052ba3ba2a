"""Scores with a scikit-learn estimator kept as a skops file, of which every name and array was looked at first.

No pickle is read, and skops itself only gets what `skops_file` wrote anew from names on the exact lists of `skops_types`;
`skops_insides` looks at what came out before a row is scored. Only projects that use `engine = 'sklearn'` ever import
scikit-learn in the serving process. Training is in `sklearn_learner`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Self

from tilth.adapters.scorers import skops_insides
from tilth.adapters.scorers.skops_file import HINT, Read, read
from tilth.core.errors import ResourceLimitError, TamperError
from tilth.ports.learning import Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]


WIDEST = 1e30  # of an input; scikit-learn adds up columns in 32 bits


def strangers(payload: bytes) -> tuple[str, ...]:
    """What the file names and must not, sorted: types, and what would call them. TamperError for no skops file."""
    return read(payload).refused


class SkopsScorer:
    """A loaded estimator; scikit-learn's predict methods do not change it, so threads may share it."""

    def __init__(self, estimator: Any, task: Task) -> None:
        self._estimator = estimator
        self._task = task

    @staticmethod
    def warm() -> None:
        """Load the libraries."""
        for name in ("sklearn.ensemble", "sklearn.pipeline", "sklearn.compose", "sklearn.impute", "skops.io"):
            importlib.import_module(name)

    @classmethod
    def load(cls, payload: bytes, task: Task, threads: int | None = None) -> Self:  # noqa: ARG003  # the port has it
        """Read the file; TamperError names what is not allowed, or says what does not fit together."""
        found = read(payload)
        if found.refused:
            raise TamperError(
                f"The model file holds types that are not allowed: {', '.join(found.refused[:20])}.",
                hint="Only estimators of scikit-learn that can be kept without code are read. " + HINT,
            )
        scorer = cls(estimator_of(found), task)
        _answers(scorer, task)
        return scorer

    def score(self, x: Matrix) -> Matrix:
        import numpy as np

        x = narrow(x)
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


def narrow(x: Matrix) -> Matrix:
    """The numbers within what scikit-learn can add up in 32 bits, which is what its trees are grown and asked with."""
    import numpy as np

    return np.clip(x, -WIDEST, WIDEST)


def estimator_of(found: Read) -> Any:
    """The estimator; its parts fit together, and its methods are those of its class. It is asked by matrices, without names."""
    from skops.io import loads

    try:
        estimator = loads(found.payload, trusted=list(found.names))
        skops_insides.check(estimator)
    except MemoryError as error:
        raise ResourceLimitError("The model file does not fit into memory.", hint=HINT) from error
    except Exception as error:  # skops, numpy and scikit-learn fail in many ways, all of them the file's
        why = (
            str(error) if isinstance(error, skops_insides.UnfitError) else f"{type(error).__name__}: {error}"
        )
        raise TamperError(f"The model file does not fit together: {why[:300]}.", hint=HINT) from error
    if not callable(getattr(type(estimator), "predict", None)):
        raise TamperError(
            f"The model file holds a {type(estimator).__name__}, which answers nothing.", hint=HINT
        )
    for one in (estimator, *(step for _, step in getattr(estimator, "steps", ()))):
        vars(one).pop("feature_names_in_", None)  # or each answer warns that a matrix has none
    return estimator


def _answers(scorer: SkopsScorer, task: Task) -> None:
    """Return when one row is answered as the task wants; what was never fitted is found here."""
    import numpy as np

    try:
        found = scorer.score(np.zeros((1, len(task.columns))))
    except MemoryError as error:
        raise ResourceLimitError("The model needs more memory than there is.", hint=HINT) from error
    except Exception as error:  # whatever scikit-learn says, the file's estimator cannot answer
        raise TamperError(
            f"The model file's estimator does not answer: {type(error).__name__}: {str(error)[:200]}.",
            hint=HINT,
        ) from error
    if found.shape != ((1, task.classes) if task.kind == "multiclass" else (1,)):
        raise TamperError("The model file's estimator answers something else than the task.", hint=HINT)
