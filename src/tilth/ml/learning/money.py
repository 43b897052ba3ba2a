"""What decisions cost, in the unit of the costs that OBJECTIVE names: per 1,000 decisions, with how sure that is.

Beside the decisions that are served there are those of someone who always says yes, of someone who always says no, and
those at a threshold of one half; what is saved against each is of the same rows, and so is its interval.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tilth.ml.judging.resampled import CONFIDENCE, Blocks, told

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ml.model.spec import TrainingSpec

    Array = npt.NDArray[np.float64]

DECISIONS = 1_000


def money(
    spec: TrainingSpec, y: Array, scores: Array, threshold: float, blocks: Blocks
) -> dict[str, Any] | None:
    """JSON-able; None where no costs are named. `scores` are P(1), `y` is 0 or 1."""
    import numpy as np

    if (spec.cost_false_negative is None and spec.cost_false_positive is None) or scores.ndim > 1:
        return None
    missed, false = (1.0 if c is None else c for c in (spec.cost_false_negative, spec.cost_false_positive))

    def cost(yes: Any) -> Array:
        out: Array = DECISIONS * np.where(y > 0.5, np.where(yes, 0.0, missed), np.where(yes, false, 0.0))
        return out

    ours = cost(scores > threshold)
    others = {
        "always yes": cost(np.ones(len(y), dtype=np.bool_)),
        "always no": cost(np.zeros(len(y), dtype=np.bool_)),
        "threshold 0.5": cost(scores > 0.5),
    }
    return {
        **told(blocks.gain(ours[:, None], lambda means: means[:, 0])),
        "per": DECISIONS,
        "rows": len(y),
        "confidence": CONFIDENCE,
        "threshold": threshold,
        "cost_false_negative": missed,
        "cost_false_positive": false,
        "against": {
            name: {
                "value": told(blocks.gain(each[:, None], lambda means: means[:, 0]))["value"],
                "saved": told(blocks.gain((each - ours)[:, None], lambda means: means[:, 0])),
            }
            for name, each in others.items()
        },
    }
