"""What a model goes by, where it is weak, what its decisions cost, whether its probabilities hold, and what simpler ones would be.

All of it is measured on the judged rows, whose answers came of models that did not see them, goes into `metrics.json` and
is the same for the same rows. One module makes each: `permuted`, `weak`, `money`, `simpler`, `judging.curves`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tilth.ml.data import identity
from tilth.ml.judging import curves, split
from tilth.ml.judging.resampled import Blocks, rounded
from tilth.ml.learning.money import money
from tilth.ml.learning.permuted import permuted
from tilth.ml.learning.simpler import Simpler, simpler
from tilth.ml.learning.weak import weak
from tilth.ml.model.losses import labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from tilth.ml.learning.judged import Judged
    from tilth.ml.learning.made import Made, Tools
    from tilth.ml.learning.rows import Rows
    from tilth.ml.model.spec import TrainingSpec
    from tilth.ports.learning import Task

    Array = npt.NDArray[np.float64]

WORK_SHARE = 0.5  # rows that may be scored to find importances, for each row that was fitted on


def understood(
    spec: TrainingSpec,
    task: Task,
    data: Rows,
    made: Made,
    judged: Judged,
    importance: Mapping[str, float],
    tools: Tools,
) -> tuple[dict[str, Any], Simpler]:
    """JSON-able, and the simpler models to be timed. `importance` is the share of each input in what moves answers."""
    days = days_of(spec, judged)
    y, limit = judged.y, made.curve.threshold
    owners = data.preparation.owners()
    ranked = sorted(importance, key=lambda n: (-importance[n], n))
    there = frozenset(judged.table.column_names)  # a list that is made anew each time it is asked for
    known = [n for n in dict.fromkeys([*ranked, *spec.slices]) if n in there]
    found = simpler(task, data, made, judged, importance, days, tools, limit)
    out = {
        "permuted": {
            **permuted(
                task.kind,
                made.scores,
                judged.x,
                y,
                owners,
                importance,
                days,
                int(WORK_SHARE * data.split.rows),
            ),
            "learned_from": True,  # what serves learned from every row
        },
        "weak": weak(task.kind, task.metric, judged.table, known, y, judged.scores, days, limit),
        "simpler": found.plain,
    }
    if task.kind != "regression":
        out["calibration"] = calibration(y, judged.scores)
    drawn = Blocks.of(len(y), days, own=judged.weight)
    paid = money(spec, y, judged.scores, limit, drawn) if task.kind == "binary" else None
    return out | ({} if paid is None else {"money": paid}), found


def days_of(spec: TrainingSpec, judged: Judged) -> npt.NDArray[np.int64] | None:
    """The group or day of each judged row, as a gate's blocks are; None where rows have no time, or are of few days."""
    import numpy as np

    if spec.group:
        return split.group_blocks(identity.row_ids(judged.table, spec.group))
    if spec.event_time is None:
        return None
    days = split.micros(judged.table, spec.event_time) // 86_400_000_000
    return days if len(np.unique(days)) >= 2 * split.FOLDS else None


def calibration(y: Array, scores: Array) -> dict[str, Any]:
    """The reliability of P(positive class), or of how likely the answer is among several classes."""
    import numpy as np

    if scores.ndim == 1:
        found = curves.reliability(y, scores)
    else:
        found = curves.reliability((labels(scores) == y).astype(np.float64), scores.max(axis=1))
    bins = [{k: v if k == "rows" else rounded(v) for k, v in one.items()} for one in found["bins"]]
    return {**{k: rounded(found[k]) for k in ("ece", "debiased", "luck")}, "rows": len(y), "bins": bins}
