"""The usual row that answers are compared with where an estimator does not tell what each input added; kept in the bundle.

How it is used is in `ml.model.contributions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilth.ml.learning.rows import Rows
    from tilth.ports.learning import Scorer

ROWS, NUMBERS = 10_000, 8_000_000  # that medians are taken of


def usual_row(data: Rows, *scorers: Scorer) -> dict[str, list[float | None]]:
    """What `calibration.json` keeps beside a calibration, as `typical`: nothing where all scorers tell contributions."""
    import numpy as np

    from tilth.ml.model.walks import typical

    some = np.ascontiguousarray(data.x[:1])
    if all(scorer.contributions(some) is not None for scorer in scorers):
        return {}
    fitted = data.x
    rows = fitted[
        np.linspace(
            0, len(fitted) - 1, min(len(fitted), ROWS, max(100, NUMBERS // max(1, fitted.shape[1])))
        ).astype(np.intp)
    ]
    found: Any = typical(rows, [index for index, _ in data.preparation.categorical])
    return {"typical": [None if np.isnan(v) else float(v) for v in found]}
