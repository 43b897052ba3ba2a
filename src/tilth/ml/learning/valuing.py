"""What each column is worth to a model: what answers to held-out rows lose when its values are dealt to other rows.

A probe of small trees is fitted twice, each time on half of the rows and on copies of columns whose values were shuffled
(shadows, as Kursa and Rudnicki's Boruta, 2010, has them), and asked about the other half. A column is proposed to be dropped
when the upper end of what it is worth is a fiftieth of all that was learned, or when another
column says all of it; and only when a probe without all proposed columns does not lose more than that. Where the end of the
interval lies above, the column is `unsure`, and stays.

At most a fifth of the training's CPU is spent; how much it was is told with the figures, which so are facts of this
training and no file of the bundle. Rows count alike here, whatever `weight` says.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tilth.core.errors import TilthError
from tilth.ml.data import identity
from tilth.ml.judging import split
from tilth.ml.judging.resampled import Blocks, rounded
from tilth.ml.learning.alike import Twin, stability, twins
from tilth.ml.learning.losses import dummy
from tilth.ml.learning.permuted import LOSSES, RISES, losses
from tilth.ml.learning.simpler import TREES
from tilth.ml.learning.taking import scorer_of
from tilth.ports.learning import Budget, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ml.judging.evidence import Gain
    from tilth.ml.learning.made import Tools
    from tilth.ml.learning.rows import Rows
    from tilth.ml.model.spec import TrainingSpec

    Array = npt.NDArray[np.float64]
    Picked = npt.NDArray[np.intp]

SHARE = 0.2  # of the training's CPU
LEAST_CPU = 0.3  # seconds, of a training that takes next to none
MOST_INPUTS = 200
MOST_ROWS = 20_000
NUMBERS = 4_000_000  # of the matrix that a probe is fitted on
LEAST_ROWS = 200
SHADOWS = 20
DEALS = 2
LEAST_ASKED = 100
OVER = 1.2  # of the time to ask a row: it is dealt, too
SPARE = 0.05  # CPU seconds that the last fits may be late
LEAST_DAYS = 10
JUDGED = 4_000  # rows of a half that are asked
CELL, ASKED = (
    0.6e-6,
    6.0e-6,
)  # CPU seconds that a number of the fits, and an asked row of a column, were seen to take
STOPS = 5  # each fifth row says when to stop
PROBE: Mapping[str, object] = {
    "rounds": 80,
    "num_leaves": 8,
    "learning_rate": 0.12,
    "min_data_in_leaf": 40,
    "cat_smooth": 40,
    "cat_l2": 30,
}
MANY = 40  # rounds, where each has a tree for every class
SLIGHT = 0.02  # of what was learned: what a column may be worth that is proposed
SAME = 0.98  # of a column that another one says
EACH_SIDE = 0.025
LATE = "the time limit of the training left too little to measure it"
USELESS, REDUNDANT, NEEDED, UNSURE, UNUSED = "useless", "redundant", "needed", "unsure", "unused"


@dataclass(frozen=True, slots=True)
class _Half:
    """A fitted probe and the held-out rows that it is asked about."""

    scorer: Any
    x: Array
    y: Array
    before: Array  # the loss of each row as it is
    blind: Array
    day: Any


def days_of(spec: TrainingSpec, data: Rows) -> npt.NDArray[np.int64] | None:
    """The group or day of each row; None where rows have no time, or are of few days."""
    import numpy as np

    if spec.group:
        return split.group_blocks(identity.row_ids(data.table, spec.group))
    if spec.event_time is None:
        return None
    days = split.micros(data.table, spec.event_time) // 86_400_000_000
    return days if len(np.unique(days)) >= LEAST_DAYS else None


def valued(
    task: Task, data: Rows, days: npt.NDArray[np.int64] | None, tools: Tools, spent: float
) -> dict[str, Any]:
    """JSON-able: what each column is worth. `spent` is the CPU of the training so far; `days` the block of each row or None.

    A probe that cannot be made harms nothing: `why` says what was not measured.
    """
    began = time.process_time()
    found = _Valuing(task, data, days, tools, began + max(LEAST_CPU, SHARE * spent))
    try:
        columns, more = found.columns()
    except (TilthError, MemoryError, ValueError) as error:
        columns, more = [], {"why": f"It could not be measured: {getattr(error, 'message', error)}"}
    used = time.process_time() - began
    said = {"cpu_seconds": round(used, 3), "cpu_share": round(used / max(spent, 1e-9), 4)}
    return {"columns": columns, "loss": LOSSES[task.kind], **more, **said}


@dataclass(slots=True)
class _Valuing:
    task: Task
    data: Rows
    days: npt.NDArray[np.int64] | None
    tools: Tools
    until: float  # of this process's CPU

    pace: float = 0.0  # CPU seconds of one fit of a half
    row: float = 0.0  # CPU seconds of one row that is asked

    def columns(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """What is told of each column, and of the measuring."""
        import numpy as np

        places = self._places()
        measured = {n: p for n, p in list(places.items())[:MOST_INPUTS] if p}
        shaded = list(measured)[:: max(1, -(-len(measured) // SHADOWS))]
        width = sum(len(p) for p in measured.values()) + sum(len(measured[n]) for n in shaded)
        rows = self._rows(width)
        more: dict[str, Any] = {
            "rows": len(rows), "confidence": 1 - 2 * EACH_SIDE,
            "not_measured": len(places) - len(measured),
        }  # fmt: skip
        if len(rows) < LEAST_ROWS or not measured:
            return self._unsure(places), {**more, "why": f"fewer than {LEAST_ROWS} rows, or no column"}
        if self._late:
            return self._unsure(places), {**more, "why": LATE}
        x, near = self.data.x, twins(self.data.x[rows], measured)
        shadows = [measured[n] for n in shaded]
        halves = [self._half(rows, part, measured, shadows) for part in self._parts(rows)]
        if self._late:  # a probe that was cut short knows too little of what a column is worth
            return [*self._unsure(places), *self._unused()], {**more, "why": LATE}
        names = [*(("shadow", n) for n in shaded), *measured]
        gains, learned = self._rises(halves, names, measured, shaded)
        said = self._said(measured, shaded, gains, learned, near)
        said, drop = self._proposed(said, rows, measured, shadows, halves, learned.value)
        timed = self.data.preparation.event_time is not None
        for one in said:
            first = measured[one["name"]][0]
            one["stability"] = stability(x[rows, first]) if timed else None
        left = self._unsure({n: p for n, p in places.items() if n not in measured})
        return [*said, *left, *self._unused()], {
            **more, "learned": rounded(learned.value), **drop,
            "cut": bool(np.any([g is None for g in gains.values()])),
        }  # fmt: skip

    @property
    def _late(self) -> bool:
        """Whether the training's time limit is over: a fit that begins or ends now is cut short."""
        return time.monotonic() > self.tools.deadline

    # --- what is measured on -------------------------------------------------------------------------------

    def _places(self) -> dict[str, list[int]]:
        """The features of each input that a probe may read: scores of texts are made of all rows, and are none."""
        owners = self.data.preparation.owners()[: len(self.data.preparation.heads)]
        out: dict[str, list[int]] = {c.name: [] for c in self.data.preparation.columns}
        texts = self.data.preparation.texts
        for place, owner in enumerate(owners):
            if owner not in texts:
                out[owner].append(place)
        return out

    def _rows(self, width: int) -> Picked:
        """Evenly spaced, and no more than the CPU that is left would pay four fits and the asking for."""
        import numpy as np

        rows, width = self.data.split.rows, max(1, width)
        left = max(0.0, self.until - time.process_time())
        outputs = self.task.classes if self.task.kind == "multiclass" else 1
        paid = int(left / (width * outputs * CELL + width * ASKED * outputs))
        most = min(rows, MOST_ROWS, NUMBERS // width, max(LEAST_ROWS, paid))
        return np.linspace(0, rows - 1, most).astype(np.intp)

    def _parts(self, rows: Picked) -> list[npt.NDArray[np.bool_]]:
        """Halves made of tenths of the rows in their order, or of whole blocks."""
        import numpy as np

        tenth = np.arange(len(rows)) * 10 // len(rows) if self.days is None else self.days[rows]
        one = np.unique(tenth, return_inverse=True)[1].reshape(-1) % 2 == 0
        return [one, ~one]

    def _half(
        self,
        rows: Picked,
        mine: npt.NDArray[np.bool_],
        measured: Mapping[str, Sequence[int]],
        shadows: Sequence[Sequence[int]],
    ) -> _Half:
        import numpy as np

        taught, asked = rows[mine], rows[~mine]
        asked = asked[np.linspace(0, len(asked) - 1, min(len(asked), JUDGED)).astype(np.intp)]
        rng = np.random.default_rng(self.tools.seed)
        columns = [p for places in measured.values() for p in places]
        fit, held = (self._beside(r, columns, shadows, rng) for r in (taught, asked))
        task = self._task([*columns, *(p for one in shadows for p in one)])
        began = time.process_time()
        scorer = self._fitted(task, fit, self.data.y[taught])
        self.pace = max(self.pace, time.process_time() - began)
        y = self.data.y[asked]
        classes = max(self.task.classes, 2)
        blind = dummy(self.task.kind, classes, self.data.y[taught], len(y), self.task.metric, None)
        day = None if self.days is None else self.days[asked]
        began = time.process_time()
        before = losses(self.task.kind, y, scorer.score(held))
        self.row = max(self.row, (time.process_time() - began) / len(y))
        return _Half(scorer, held, y, before, losses(self.task.kind, y, blind), day)

    def _beside(
        self, rows: Picked, columns: Sequence[int], shadows: Sequence[Sequence[int]], rng: np.random.Generator
    ) -> Array:
        import numpy as np

        own = self.data.x[rows[:, None], np.array(columns, np.intp)]
        shuffled = [
            self.data.x[rng.permutation(rows)[:, None], np.array(places, np.intp)] for places in shadows
        ]
        return np.ascontiguousarray(np.concatenate([own, *shuffled], axis=1))

    def _task(self, places: Sequence[int]) -> Task:
        sizes = dict(zip(self.task.categorical, self.task.cardinality, strict=True))
        codes = [(at, sizes[p]) for at, p in enumerate(places) if p in sizes]
        return Task(
            self.task.kind, self.task.classes, tuple(f"c{i}" for i in range(len(places))),
            tuple(at for at, _ in codes), tuple(n for _, n in codes),
            "rmse" if self.task.kind == "regression" else "log_loss",
        )  # fmt: skip

    def _fitted(self, task: Task, x: Array, y: Array) -> Any:
        import numpy as np

        stop = np.arange(len(y)) % STOPS == STOPS - 1
        budget = Budget(self.tools.deadline, self.tools.threads, self.tools.seed)
        held = np.ascontiguousarray(x[stop])
        options = {**PROBE, "rounds": MANY} if self.task.kind == "multiclass" else PROBE
        fitted = self.tools.learners(TREES)().fit(
            task,
            np.ascontiguousarray(x[~stop]),
            y[~stop],
            held,
            y[stop],
            budget,
            options,
            lambda _w, _d: None,
        )
        return scorer_of(TREES, fitted, task, self.tools.scorers, self.tools.threads, held)

    # --- what is measured ----------------------------------------------------------------------------------

    def _rises(
        self,
        halves: Sequence[_Half],
        names: Sequence[Any],
        measured: Mapping[str, Sequence[int]],
        shaded: Sequence[str],
    ) -> tuple[dict[Any, Gain | None], Gain]:
        """How much the loss rises without each column or shadow (None: no CPU was left for it), and what was learned at all."""
        import numpy as np

        halves = self._paid(halves, len(names))
        day = None if self.days is None else np.concatenate([h.day for h in halves])
        drawn = Blocks.of(sum(len(h.y) for h in halves), day)
        before = np.concatenate([h.before for h in halves])
        finish = RISES[self.task.kind]

        def gain(after: Array) -> Gain:
            return drawn.gain(np.stack([after, before], axis=1), finish)

        ends = np.cumsum([0, *(len(measured[n]) for n in (*measured, *shaded))])
        at_of = {name: at for at, name in enumerate([*measured, *(("shadow", n) for n in shaded)])}
        out: dict[Any, Gain | None] = {}
        for name in names:
            if time.process_time() > self.until - 2 * self.pace:
                out[name] = None
                continue
            places = list(range(ends[at_of[name]], ends[at_of[name] + 1]))
            out[name] = gain(np.concatenate([self._dealt(h, places) for h in halves]))
        return out, gain(np.concatenate([h.blind for h in halves]))

    def _paid(self, halves: Sequence[_Half], names: int) -> list[_Half]:
        """The halves with as many rows as there is CPU to ask about for each name, with two more fits to come."""
        import numpy as np

        left = self.until - time.process_time() - 2 * self.pace
        each = int(left / max(1e-12, self.row * DEALS * OVER * names * len(halves)))
        out = []
        for one in halves:
            at = np.linspace(0, len(one.y) - 1, min(len(one.y), max(LEAST_ASKED, each))).astype(np.intp)
            day = None if one.day is None else one.day[at]
            out.append(
                replace(
                    one,
                    x=np.ascontiguousarray(one.x[at]),
                    y=one.y[at],
                    before=one.before[at],
                    blind=one.blind[at],
                    day=day,
                )
            )
        return out

    def _dealt(self, half: _Half, places: list[int]) -> Array:
        """The loss of each row with these features of other rows, the mean of all deals."""
        import numpy as np

        total, other = np.zeros(len(half.y)), half.x.copy()
        for deal in range(DEALS):
            order = np.random.default_rng(deal).permutation(len(half.y))
            other[:, places] = half.x[order][:, places]
            total += losses(self.task.kind, half.y, half.scorer.score(other))
        return total / DEALS

    def _said(
        self,
        measured: Mapping[str, Sequence[int]],
        shaded: Sequence[str],
        gains: Mapping[Any, Gain | None],
        learned: Gain,
        near: Mapping[str, Twin],
    ) -> list[dict[str, Any]]:
        null = [g.value for n in shaded if (g := gains["shadow", n]) is not None]
        limit = max(null, default=0.0)
        slight = SLIGHT * learned.value
        sure = learned.spread == learned.spread and learned.within(EACH_SIDE)[0] > 0
        out = []
        for name in measured:
            one, twin = gains[name], near.get(name)
            low, high = (None, None) if one is None else one.within(EACH_SIDE)
            verdict = UNSURE
            if one is not None and low is not None and high is not None and sure:
                if high <= slight:
                    verdict = USELESS
                elif low > max(0.0, limit):
                    verdict = NEEDED
            out.append(
                {
                    "name": name, "verdict": verdict, "drop": verdict == USELESS,
                    "relevance": None if one is None else rounded(one.value),
                    "low": rounded(low), "high": rounded(high), "null": rounded(limit),
                    "redundant_with": None if twin is None else twin.column,
                    "redundancy": None if twin is None else rounded(twin.share, 4),
                    **self._cost(name), "why": None,
                }
            )  # fmt: skip
        return self._doubled(out)

    def _doubled(self, said: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Of two columns that say the same the one of less worth is proposed; the other one then stays."""
        by_name = {one["name"]: one for one in said}
        kept: set[str] = set()
        for one in sorted(said, key=lambda o: (o["relevance"] is not None, o["relevance"] or 0.0)):
            other = by_name.get(one["redundant_with"] or "")
            whole = (one["redundancy"] or 0.0) >= SAME
            if not whole or other is None or other["drop"] or one["drop"] or one["name"] in kept:
                continue
            if one["relevance"] is None or one["name"] == self.data.preparation.event_time:
                continue
            one["verdict"], one["drop"] = REDUNDANT, True
            kept.add(other["name"])
        return said

    def _proposed(
        self,
        said: list[dict[str, Any]],
        rows: Picked,
        measured: Mapping[str, Sequence[int]],
        shadows: Sequence[Sequence[int]],
        halves: Sequence[_Half],
        learned: float,
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The same, with nothing proposed that a probe without it misses: what all proposed columns lose together."""
        import numpy as np

        drop = [one for one in said if one["drop"]]
        rest = {n: p for n, p in measured.items() if n not in {one["name"] for one in drop}}
        if not drop or not rest:
            return said, {}
        if time.process_time() + 2 * self.pace > self.until + SPARE:
            return self._withdrawn(drop, said, "no CPU was left to try a model without it"), {}
        without = [self._half(rows, part, rest, shadows) for part in self._parts(rows)]
        day = None if self.days is None else np.concatenate([h.day for h in halves])
        after, before = (np.concatenate([h.before for h in some]) for some in (without, halves))
        found = Blocks.of(len(before), day).gain(np.stack([after, before], axis=1), RISES[self.task.kind])
        low, high = found.within(EACH_SIDE)
        lost = {"loses": {"value": rounded(found.value), "low": rounded(low), "high": rounded(high)}}
        if low > 0 and found.value > SLIGHT * learned:
            return self._withdrawn(drop, said, "a model without the proposed columns was worse"), lost
        return said, lost

    @staticmethod
    def _withdrawn(
        drop: Sequence[dict[str, Any]], said: list[dict[str, Any]], why: str
    ) -> list[dict[str, Any]]:
        for one in drop:
            one["verdict"], one["drop"], one["why"] = UNSURE, False, why
        return said

    # --- what is told beside it ----------------------------------------------------------------------------

    def _cost(self, name: str) -> dict[str, Any]:
        """Bytes of a row in memory, and microseconds to make its features, by a thousand rows."""
        rows = self.data.table.slice(0, 1000)
        one = rows.select([name])
        alone = next(c for c in self.data.preparation.columns if c.name == name)
        took = time.perf_counter()
        try:
            type(self.data.preparation)((alone,), (), None).matrix(one)
        except (TilthError, KeyError, TypeError, ValueError):  # it is counted from another column
            return {"bytes": round(one.nbytes / max(1, one.num_rows), 2), "row_us": None}
        took = time.perf_counter() - took
        return {
            "bytes": round(one.nbytes / max(1, one.num_rows), 2),
            "row_us": round(took * 1e6 / max(1, one.num_rows), 4),
        }

    def _unsure(self, places: Mapping[str, Sequence[int]]) -> list[dict[str, Any]]:
        texts = self.data.preparation.texts
        return [
            {
                "name": name, "verdict": UNSURE, "drop": False,
                "why": "what a text is worth is not measured" if name in texts else "it was not measured",
            }
            for name in list(places)[: MOST_INPUTS]
        ]  # fmt: skip

    def _unused(self) -> list[dict[str, Any]]:
        """Columns that were offered and that no model can use: constant, empty, too many values."""
        return [
            {"name": name, "verdict": UNUSED, "drop": True, "why": why}
            for name, why in self.data.preparation.dropped[:MOST_INPUTS]
        ]
