"""What is known of a fitted forecast: members and weights, errors by group and step, what inner origins said, and notices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilth.ml.forecasting import intervals
from tilth.ml.forecasting.panel import Panel
from tilth.ml.forecasting.spec import Notice, Spec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """The inner windows of one target. Arrays are [origins, groups, horizon]: `actual`, `said` (by weights that leave the origin out), `naive`.

    `offsets`: points between an origin and the series' end. `unit` [groups] is the seasonal movement (of MASE), `moved`
    [origins, groups] the newest one before each origin (of intervals).
    """

    target: str
    panel: Panel
    offsets: tuple[int, ...]
    members: tuple[str, ...]
    ratio: Floats
    way: str
    weight: Floats
    actual: Floats
    said: Floats
    naive: Floats
    unit: Floats
    moved: Floats
    rounds: Mapping[str, int]
    seasons: tuple[int, ...]
    unsure: bool
    confidence: float

    def scores(self) -> Floats:
        """Absolute errors over movement; NaN where there is none."""
        import numpy as np

        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(
                (self.moved > 0)[:, :, None], np.abs(self.actual - self.said) / self.moved[:, :, None], np.nan
            )

    def bounds(self) -> tuple[Floats, Floats]:
        """Lower and upper ends at each origin, by widths that leave it out (its own where it is the only one)."""
        import numpy as np

        scores = self.scores()
        half = np.empty(scores.shape)
        number = len(self.offsets)
        for k in range(number):
            others = [o for o in range(number) if o != k] or [k]
            w = intervals.learned(scores[others], [self.offsets[o] for o in others], self.confidence)
            half[k] = w.quantile * w.steps[None, :] * (w.groups * self.moved[k])[:, None]
        return self.said - half, self.said + half

    def summary(self) -> dict[str, Any]:
        """As JSON-able values: members with their error against the naive's, their mean weight and why one has none; errors by step."""
        import numpy as np

        weight = self.weight.mean(axis=1) if self.weight.size else np.zeros(len(self.members))
        rows = [
            {
                "member": n,
                "against_naive": _plain(r),
                "weight": round(float(w), 4),
                "why": _why(r, w),
                "rounds": self.rounds.get(n),
            }
            for n, r, w in zip(self.members, self.ratio, weight, strict=True)
        ]
        return {
            "target": self.target, "step": self.panel.step.words, "seasons": list(self.seasons), "windows": list(self.offsets),
            "way": self.way, "halfway_to_naive": self.unsure, "members": rows, **self.totals(), "steps": self.steps(),
        }  # fmt: skip

    def totals(self) -> dict[str, float | None]:
        """MASE of the forecast and of the seasonal naive, bias (in the same unit) and coverage, over all inner windows."""
        import numpy as np

        with np.errstate(divide="ignore", invalid="ignore"):
            unit = np.where(self.unit > 0, self.unit, np.nan)[None, :, None]
            error, naive = (self.said - self.actual) / unit, (self.naive - self.actual) / unit
        low, high = self.bounds()
        hit = np.where(np.isnan(self.actual), np.nan, (self.actual >= low) & (self.actual <= high))
        return {
            "mase": _mean(np.abs(error)), "naive_mase": _mean(np.abs(naive)), "bias": _mean(error), "coverage": _mean(hit),
        }  # fmt: skip

    def steps(self) -> list[dict[str, float | None]]:
        """MASE, bias and coverage by step ahead."""
        import numpy as np

        unit = np.where(self.unit > 0, self.unit, np.nan)[None, :, None]
        error = (self.said - self.actual) / unit
        low, high = self.bounds()
        hit = np.where(np.isnan(self.actual), np.nan, (self.actual >= low) & (self.actual <= high))
        return [
            {
                "step": j + 1,
                "mase": _mean(np.abs(error[:, :, j])),
                "bias": _mean(error[:, :, j]),
                "coverage": _mean(hit[:, :, j]),
            }
            for j in range(self.actual.shape[2])
        ]


def _mean(values: Floats) -> float | None:
    import numpy as np

    told = values[~np.isnan(values)]
    return float(told.mean()) if len(told) else None


def _plain(value: float) -> float | None:
    return round(float(value), 4) if value < float("inf") else None


def _why(ratio: float, weight: float) -> str | None:
    from tilth.ml.forecasting.blending import LOSES

    if weight > 0:
        return None
    if ratio == float("inf"):
        return "it could answer no inner window"
    return f"it has {ratio:.2f} of the naive's error" if ratio > LOSES else "others were better"


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Of the whole forecast; `groups` is the table that panels' members are indexes of."""

    spec: Spec
    groups: pa.Table
    trials: tuple[Trial, ...]
    notices: tuple[Notice, ...]

    def plain(self) -> dict[str, Any]:
        """As JSON-able values, without what has a row a group."""
        return {"targets": [t.summary() for t in self.trials], "notices": [n.plain() for n in self.notices]}

    def by_group(self) -> pa.Table:
        """A row for each target and group: its points and span, windows, MASE, the naive's, bias and coverage."""
        import pyarrow as pa

        return pa.concat_tables([self._groups(t) for t in self.trials])

    def answers(self) -> pa.Table:
        """A row for each target, group, origin and step: what was said by weights that leave the origin out, and what came."""
        import pyarrow as pa

        return pa.concat_tables([self._answers(t) for t in self.trials])

    def _groups(self, t: Trial) -> pa.Table:
        import numpy as np
        import pyarrow as pa

        unit = np.where(t.unit > 0, t.unit, np.nan)[None, :, None]
        low, high = t.bounds()
        there = ~np.isnan(t.actual)
        number = there.sum(axis=(0, 2))

        def mean(values: Floats) -> pa.Array:
            total = np.where(there, np.nan_to_num(values), 0.0).sum(axis=(0, 2)) / np.maximum(number, 1)
            lost = (number == 0) | (t.unit <= 0)
            return pa.array(total, mask=lost)

        columns = {n: self.groups.column(n).take(pa.array(t.panel.members)) for n in self.spec.groups}
        first = t.panel.step.instants(t.panel.begins) + t.panel.shifts
        last = t.panel.step.instants(t.panel.ends - 1) + t.panel.shifts
        stamp = pa.timestamp("us")
        return pa.table({
            "target": pa.array([t.target] * len(t.panel)), **columns, "points": pa.array(t.panel.lengths),
            "first": pa.array(first).cast(stamp), "last": pa.array(last).cast(stamp),
            "windows": pa.array(there.any(axis=2).sum(axis=0)),
            "mase": mean(np.abs(t.said - t.actual) / unit), "naive_mase": mean(np.abs(t.naive - t.actual) / unit),
            "bias": mean((t.said - t.actual) / unit), "coverage": mean(((t.actual >= low) & (t.actual <= high)).astype(float)),
        })  # fmt: skip

    def _answers(self, t: Trial) -> pa.Table:
        import numpy as np
        import pyarrow as pa

        low, high = t.bounds()
        origin, group, step = np.nonzero(~np.isnan(t.actual))
        cell = (origin, group, step)
        columns = {n: self.groups.column(n).take(pa.array(t.panel.members[group])) for n in self.spec.groups}
        place = t.panel.ends[group] - np.array(t.offsets)[origin]
        last = t.panel.step.instants(place - 1) + t.panel.shifts[group]
        unit = t.unit[group]
        return pa.table({
            "target": pa.array([t.target] * len(origin)), **columns,
            "origin": pa.array(last).cast(pa.timestamp("us")), "step": pa.array(step + 1),
            "time": pa.array(t.panel.step.instants(place + step) + t.panel.shifts[group]).cast(pa.timestamp("us")),
            "actual": pa.array(t.actual[cell]), "forecast": pa.array(t.said[cell]), "naive": pa.array(t.naive[cell]),
            "lower": pa.array(low[cell]), "upper": pa.array(high[cell]), "unit": pa.array(unit),
        })  # fmt: skip
