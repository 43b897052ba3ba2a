"""Leaks that show by statistics and not by one column's power (`leaks`): five more kinds, each with what it is recognised by.

`encoding`: means of the target within a column's values fit the values closer than luck lets figures known beforehand fit
(a mean that includes the row itself). `identifier`: rows of one value share their target, far beyond a target that is dealt
anew over rows (the permutation), or the column counts rows in the order of the target. `after_event`: gaps gather in the
newest rows, so what fills them comes later. `duplicates`: rows alike but for time and identifiers lie in several parts.
`time_split`: a probe knows random rows much better than later ones. Only the first holds a model (`holds`); the others
are told, and all of them are silent for columns that ACCEPT LEAK names.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilth.ml.learning import leaks
from tilth.ml.learning.leaks import Leak
from tilth.ml.learning.losses import dummy
from tilth.ml.learning.permuted import losses
from tilth.ml.learning.simpler import TREES
from tilth.ml.learning.taking import scorer_of
from tilth.ports.learning import Budget, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ml.learning.made import Tools
    from tilth.ml.learning.rows import Rows
    from tilth.ml.model.spec import TrainingSpec

    Array = npt.NDArray[np.float64]
    Codes = npt.NDArray[np.int64]

LEAST_ROWS = 200
MOST_ROWS = 20_000
MOST_INPUTS = 500
CHANCE = 1e-5  # of so close a fit, or of so gathered gaps, by luck
LEAST_VALUES = 8
SHARED = 0.8  # of the way from what a permuted target reaches to all there is
COUNTED = 0.999  # of a column's values that are all different, in a range that is hardly wider
COUNTS = 0.4  # of the rank correlation of such a column with the target
NEWEST = 50  # parts of the rows in their order, of which the last one is looked at
TWICE = 0.03  # of the rows that have another alike in another part
ALONE = 0.3  # of a column's values that occur once, so that rows alike are no matter of few values
PROBED, APART = (
    3_000,
    0.35,
)  # rows of a probe; of what random rows are known by, the part that later ones lose
PROBE = {"rounds": 40, "num_leaves": 8, "learning_rate": 0.15, "min_data_in_leaf": 10}


@dataclass(frozen=True, slots=True)
class _Seen:
    """The rows that are looked at: spread over all, in their order."""

    data: Rows
    rows: npt.NDArray[np.intp]
    y: Array
    kind: str

    def column(self, place: int) -> Array:
        found: Array = self.data.x[self.rows, place]
        return found


def every(spec: TrainingSpec, data: Rows, tools: Tools) -> tuple[Leak, ...]:
    """Those of one column's power, and of the other kinds what that does not show."""
    found = leaks.find(data)
    return (*found, *find(spec, data, tools, frozenset(one.column for one in found)))


def find(
    spec: TrainingSpec, data: Rows, tools: Tools, known: frozenset[str] = frozenset()
) -> tuple[Leak, ...]:
    """What is suspicious beyond the columns `known`, those that hold a model first; nothing of fewer than 200 rows."""
    import numpy as np

    count = data.split.rows
    if count < LEAST_ROWS:
        return ()
    rows = np.linspace(0, count - 1, min(count, MOST_ROWS)).astype(np.intp)
    seen = _Seen(data, rows, data.y[rows], data.target.kind)
    found: list[Leak] = []
    own = data.preparation.owners()[: len(data.preparation.heads)]
    single = [(p, n) for p, n in enumerate(own) if own.count(n) == 1 and n != data.preparation.event_time]
    for place, name in [one for one in single if one[1] not in known][:MOST_INPUTS]:
        values = seen.column(place)
        found += (one for one in (
            _encoded(name, values, seen), _identifies(name, values, seen, spec), _gathered(name, values, spec),
        ) if one is not None)  # fmt: skip
    counts = frozenset(one.column for one in found if one.kind == "identifier")
    found += _duplicates(seen, single, counts)
    if spec.event_time is not None:
        found += _by_time(seen, tools)
    return tuple(sorted(found, key=lambda one: (not one.holds, one.kind, one.column)))


# --- means that include the row itself -----------------------------------------------------------------------


def _encoded(name: str, values: Array, seen: _Seen) -> Leak | None:
    """Whether the mean target of rows with a value is closer to the value than the scatter of so few rows allows."""
    import numpy as np

    if seen.kind == "multiclass":
        return None
    known = np.isfinite(values)
    y, v = seen.y[known], values[known]
    if len(v) < LEAST_ROWS or not float(y.min()) <= float(v.min()) <= float(v.max()) <= float(y.max()):
        return None
    levels, code, counts = np.unique(v, return_inverse=True, return_counts=True)
    if not LEAST_VALUES <= len(levels) <= len(v) / 2:
        return None
    total = np.bincount(code, weights=y)
    spread = np.bincount(code, weights=(y - (total / counts)[code]) ** 2)
    if seen.kind == "binary":
        scatter = counts * levels * (1 - levels)
    else:
        freedom = max(1, len(v) - len(levels))
        scatter = counts * float(spread.sum()) / freedom
    used = (counts > 1) & (scatter > 1e-12)
    if used.sum() < LEAST_VALUES:
        return None
    off = (total - counts * levels)[used]
    chance = _below_chi2(float((off**2 / scatter[used]).sum()), int(used.sum()))
    if chance > CHANCE:
        return None
    return Leak(
        name, 1.0 - chance, f"it is the mean target of rows that include the row itself: {int(used.sum())} of its values fit their own rows "
        "closer than figures known beforehand could", "encoding",
    )  # fmt: skip


def _below_chi2(value: float, freedom: int) -> float:
    """The chance of so small a chi-square: Wilson and Hilferty's cube root (1931)."""
    from math import erfc, sqrt

    part = 2.0 / (9.0 * freedom)
    z = ((value / freedom) ** (1 / 3) - (1 - part)) / sqrt(part)
    return 0.5 * erfc(-z / sqrt(2))


# --- columns that name rows ------------------------------------------------------------------------------------


def _identifies(name: str, values: Array, seen: _Seen, spec: TrainingSpec) -> Leak | None:
    import numpy as np

    known = np.isfinite(values)
    v, y = values[known], seen.y[known]
    if len(v) < LEAST_ROWS or not (v == np.floor(v)).all():
        return None
    levels, code = np.unique(v, return_inverse=True)
    if len(levels) >= COUNTED * len(v):
        return _counts(name, v, y, levels, seen)
    if spec.group or not len(v) / 200 <= len(levels) <= len(v) / 2:
        return None
    reached = _by_level(code, y, seen.kind)
    dealt = np.random.default_rng(0).permutation(len(y))
    luck = _by_level(code, y[dealt], seen.kind)
    if reached < luck + SHARED * (1.0 - luck) or reached <= leaks.alone(v, y, seen.kind) + 0.05:
        return None
    return Leak(
        name, reached, f"rows of one value share their target ({len(levels):,} values of {len(v):,} rows; a permuted target reaches "
        f"{luck:.2f}, this one {reached:.2f}): it names who they are of, GROUP KEY ({name}) keeps those together", "identifier", False,
    )  # fmt: skip


def _counts(name: str, v: Array, y: Array, levels: Array, seen: _Seen) -> Leak | None:
    """A column that numbers the rows, and that the target follows: rows were sorted by it before they were numbered."""
    import numpy as np

    wide = float(levels[-1] - levels[0] + 1) > 3.0 * seen.data.split.rows
    if wide or seen.kind == "multiclass":
        return None
    ranks = np.argsort(np.argsort(v)).astype(np.float64)
    told = (
        abs(float(np.corrcoef(ranks, np.argsort(np.argsort(y, kind="stable")))[0, 1]))
        if seen.kind == "regression"
        else (abs(2 * leaks.alone(v, y, seen.kind) - 1))
    )
    if told < COUNTS:
        return None
    return Leak(
        name,
        told,
        "it numbers the rows, and the target follows their numbers: they were sorted by it",
        "identifier",
        False,
    )


def _by_level(code: Codes, y: Array, kind: str) -> float:
    """How well the other rows of its value tell a row's target, 0 to 1 (AUC, or the share of variance or errors)."""
    import numpy as np

    from tilth.ml.model.metrics import roc_auc

    count = np.bincount(code).astype(np.float64)
    if kind == "multiclass":
        size = int(y.max()) + 1
        table = np.zeros((len(count), size))
        np.add.at(table, (code, y.astype(np.int64)), 1.0)
        rest = table[code]
        rest[np.arange(len(y)), y.astype(np.int64)] -= 1.0
        several = count[code] > 1
        wrong = float((rest.argmax(axis=1) != y)[several].mean()) if several.any() else 1.0
        usual = 1.0 - float(np.bincount(y.astype(np.int64)).max()) / len(y)
        return max(0.0, 1.0 - wrong / max(1e-9, usual))
    total = np.bincount(code, weights=y)
    told = (total[code] - y + y.mean()) / count[code]
    several = count[code] > 1
    if not several.any():
        return 0.0
    if kind == "binary":
        truth = y[several]
        return float(roc_auc(truth, told[several])) if 0 < truth.sum() < len(truth) else 0.0
    whole = float(((y[several] - y.mean()) ** 2).mean())
    left = float(((y - told)[several] ** 2).mean())
    return max(0.0, 1.0 - left / whole) if whole > 0 else 0.0


# --- what comes after the event ----------------------------------------------------------------------------------


def _gathered(name: str, values: Array, spec: TrainingSpec) -> Leak | None:
    """Whether the newest rows have gaps that others do not have, and the row's column so is filled later."""
    import numpy as np

    if spec.event_time is None:
        return None
    gap = ~np.isfinite(values)
    if not 0 < gap.mean() < 0.5:
        return None
    part = np.arange(len(gap)) * NEWEST // len(gap)
    share = np.bincount(part, weights=gap) / np.bincount(part)
    before, last = share[: NEWEST // 2], float(share[-1])
    usual, spread = float(before.mean()), float(before.std())
    rows = int((part == NEWEST - 1).sum())
    luck = max(spread, (usual * (1 - usual) / rows) ** 0.5, 1.0 / rows)
    grows = float(share[-2:].mean()) >= 0.9 * float(share[NEWEST // 2 : -2].max())
    if last < 0.5 or last < usual + 6 * luck or not grows:
        return None
    return Leak(
        name, last, f"{last:.0%} of the newest rows have no value, and {usual:.1%} of older ones: it is filled after the event, and is not there "
        "when a prediction is asked for", "after_event", False,
    )  # fmt: skip


# --- rows alike, and time ------------------------------------------------------------------------------------------


def _duplicates(seen: _Seen, single: list[tuple[int, str]], skip: frozenset[str]) -> Iterator[Leak]:
    """Rows alike but for time and identifiers that lie in several parts, where one column hardly repeats by chance."""
    import numpy as np

    data, rows = seen.data, seen.rows
    x = {n: seen.column(p) for p, n in single if n not in skip}
    x = {n: v for n, v in x.items() if not _numbers_rows(v)}
    if not x or not len(data.part):
        return
    rare = max((_once(v) for v in x.values()), default=0.0)
    if rare < ALONE:
        return
    table = np.ascontiguousarray(np.nan_to_num(np.stack([*x.values(), seen.y], axis=1), nan=-1e300))
    key = table.view([("", table.dtype)] * table.shape[1]).reshape(-1)
    code = np.unique(key, return_inverse=True)[1].reshape(-1)
    part = np.where(rows >= data.split.window, 99, data.part[rows]).astype(np.int64)
    low, high = np.full(int(code.max()) + 1, 10**6), np.full(int(code.max()) + 1, -1)
    np.minimum.at(low, code, part)
    np.maximum.at(high, code, part)
    share = float((low[code] != high[code]).mean())
    if share >= TWICE:
        yield Leak(
            "", share, f"{share:.1%} of the rows have another that is alike but for time and identifiers in another part: they judge what "
            "was learned from themselves; GROUP KEY keeps those of one customer or order together, DISTINCT leaves one of them", "duplicates", False,
        )  # fmt: skip


def _numbers_rows(values: Array) -> bool:
    import numpy as np

    known = values[np.isfinite(values)]
    return (
        len(known) > 0 and bool((known == np.floor(known)).all()) and len(np.unique(known)) > 0.9 * len(known)
    )


def _once(values: Array) -> float:
    """The share of values that are no whole numbers and occur in one or two rows."""
    import numpy as np

    known = values[np.isfinite(values)]
    if not len(known) or (known == np.floor(known)).all():
        return 0.0
    counts = np.unique(known, return_counts=True)[1]
    return float(counts[counts <= 2].sum() / len(known))


def _by_time(seen: _Seen, tools: Tools) -> Iterator[Leak]:
    """How much of what a probe knows of random rows it knows of later ones; both learn from as many."""
    import numpy as np

    some = np.linspace(0, len(seen.rows) - 1, min(len(seen.rows), PROBED)).astype(np.intp)
    x = np.ascontiguousarray(seen.data.x[seen.rows[some]][:, : len(seen.data.preparation.heads)])
    y, count = seen.y[some], len(some)
    later = np.arange(count) >= count // 2
    dealt = np.random.default_rng(0).permutation(count) >= count // 2
    found = [_learned(seen, x, y, held, tools) for held in (dealt, later)]
    random, after = found
    if time.monotonic() > tools.deadline:
        return  # the time limit cut the probes short: they say nothing of the rows
    if random > 0.1 and after < (1 - APART) * random:
        yield Leak(
            "", 1 - max(0.0, after) / random, f"of what a probe knows of random rows ({random:.0%} of the loss without a model) it loses "
            f"{1 - max(0.0, after) / random:.0%} on later ones: columns tell which day or batch a row is of, or the world changed", "time_split", False,
        )  # fmt: skip


def _learned(seen: _Seen, x: Array, y: Array, held: npt.NDArray[np.bool_], tools: Tools) -> float:
    """The share of the loss without a model that a probe of the other rows takes away on these; 0 where it cannot be told."""
    import numpy as np

    kind, fit = seen.kind, ~held
    if kind != "regression" and len(np.unique(y[fit])) < len(np.unique(y)):
        return 0.0
    sizes = dict(seen.data.preparation.categorical)
    there = sorted(p for p in sizes if p < x.shape[1])
    task = Task(
        kind, len(seen.data.target.classes), tuple(f"c{i}" for i in range(x.shape[1])), tuple(there),
        tuple(sizes[p] for p in there), "rmse" if kind == "regression" else "log_loss",
    )  # fmt: skip
    own, own_y = np.ascontiguousarray(x[fit]), y[fit]
    stop = np.arange(len(own_y)) % 5 == 4
    held_x = np.ascontiguousarray(own[stop])
    fitted = tools.learners(TREES)().fit(
        task, np.ascontiguousarray(own[~stop]), own_y[~stop], held_x, own_y[stop],
        Budget(tools.deadline, tools.threads, tools.seed), PROBE, lambda _w, _d: None,
    )  # fmt: skip
    scorer = scorer_of(TREES, fitted, task, tools.scorers, tools.threads, held_x)
    blind = dummy(kind, max(2, len(seen.data.target.classes)), own_y, int(held.sum()), task.metric, None)
    before = float(losses(kind, y[held], blind).mean())
    after = float(losses(kind, y[held], scorer.score(np.ascontiguousarray(x[held]))).mean())
    return 1.0 - after / before if before > 0 else 0.0
