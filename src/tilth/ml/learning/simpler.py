"""What simpler models would be like: a linear one, one of few small trees, and the same of fewer columns.

Each is fitted as the model was, judged on the same rows, and compared with it as a gate compares: paired, by blocks. So a
report can say what the model's size buys. The nearest is the simplest that is not shown to be worse; where all are, the one
that loses least. How long a row takes is measured beside the bundle, whose bytes no clock may change.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tilth.core.errors import TilthError
from tilth.ml.judging.evidence import Evidence, numbered
from tilth.ml.judging.resampled import told
from tilth.ml.learning.monotone import cut
from tilth.ml.learning.taking import scorer_of
from tilth.ml.model.metrics import decided, evaluate, measured
from tilth.ports.learning import BASELINE, Budget, Fitted, Scorer, Task, Weights

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ml.learning.judged import Judged
    from tilth.ml.learning.made import Made, Tools
    from tilth.ml.learning.rows import Rows

    Array = npt.NDArray[np.float64]
    Fold = tuple[Array, Array, Array, Array, Weights | None, npt.NDArray[np.intp]]

TREES = "lightgbm"
SMALL: Mapping[str, object] = {"rounds": 40, "num_leaves": 4, "learning_rate": 0.15}
MOST_OF_IT = 0.8  # of the importance is in the columns that are kept
MOST_ROWS = 20_000  # that each is fitted on, and judged on
NUMBERS = 20_000_000  # of a matrix that is fitted on
STOPS = 8  # of a part's others, each eighth row says when to stop
REPLICATES = 200
TIMED = 24  # rows


@dataclass(frozen=True, slots=True)
class Asked:
    """A simpler model: its engine, the matrix columns that it takes, and the engine's options."""

    name: str
    engine: str
    places: tuple[int, ...]
    options: Mapping[str, object]
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Simpler:
    """What is told of them, JSON-able, and their scorers with the columns that each takes."""

    plain: dict[str, Any]
    scorers: tuple[tuple[str, Scorer, tuple[int, ...]], ...] = ()

    def row_us(self, x: Array) -> dict[str, float]:
        """How many microseconds one row takes each of them, alone and without its preparation."""
        return {name: _timed(scorer, x[:TIMED, list(places)]) for name, scorer, places in self.scorers}


def simpler(
    task: Task,
    data: Rows,
    made: Made,
    judged: Judged,
    importance: Mapping[str, float],
    blocks: npt.NDArray[np.generic] | None,
    tools: Tools,
    threshold: float,
) -> Simpler:
    """Fit and judge them all; one that cannot be made says why."""
    every = tuple(range(data.x.shape[1]))  # scores of texts too, which only what serves may read
    rows = _spaced(len(judged.y), MOST_ROWS)
    blocks = None if blocks is None else blocks[rows]
    judged = replace(
        judged, y=judged.y[rows], scores=judged.scores[rows], x=judged.x[rows],
        part=None if judged.part is None else judged.part[rows],
        linear=None if judged.linear is None else judged.linear[rows],
        weight=None if judged.weight is None else judged.weight[rows],
    )  # fmt: skip
    bench = _Bench(task, data, judged, tools, threshold, numbered(len(judged.y), blocks)[0])
    out: list[dict[str, Any]] = []
    scorers = [("this", made.scorer, every)]
    for asked in _asked(data, made, importance):
        said, scorer = bench.of(asked)
        out.append(said)
        if scorer is not None:
            scorers.append((asked.name, scorer, asked.places))
    plain = {
        "bytes": sum(m.fitted.size for m in made.members),
        "metric": measured(task.metric, judged.y, judged.scores, threshold, judged.weight),
        "rows": len(rows),
        "models": out,
        "nearest": _nearest(out),
    }
    return Simpler(plain, tuple(scorers))


@dataclass(frozen=True, slots=True)
class _Bench:
    """What every simpler model is fitted with and judged on."""

    task: Task
    data: Rows
    judged: Judged
    tools: Tools
    threshold: float
    block: npt.NDArray[np.intp]

    def of(self, asked: Asked) -> tuple[dict[str, Any], Scorer | None]:
        """What is told of it, and its scorer; a model that cannot be made harms no other: it says why."""
        import numpy as np

        inputs = len(set(_of(self.data, asked.places)))
        said: dict[str, Any] = {"name": asked.name, "engine": asked.engine, "inputs": inputs}
        if asked.inputs:
            said["kept"] = list(asked.inputs)
        if time.monotonic() > self.tools.deadline:
            return {**said, "why": "the time limit was reached"}, None
        try:
            known = self.judged.linear if asked.engine == BASELINE and not asked.inputs else None
            scores, fitted, scorer = _made(asked, self.task, self.data, self.judged, self.tools, known)
            return {**said, **self._against(scores), "bytes": len(fitted.payload)}, scorer
        except TilthError as error:
            return {**said, "why": error.message}, None
        except (MemoryError, np.linalg.LinAlgError) as error:
            return {**said, "why": f"it could not be fitted: {type(error).__name__}"}, None

    def _against(self, scores: Array) -> dict[str, Any]:
        """Its metric, and what is lost against the model; DataError where these rows do not define the metric."""
        metric, y, worth = self.task.metric, self.judged.y, self.judged.weight
        ours, theirs = (decided(metric, s, self.threshold) for s in (self.judged.scores, scores))
        gain = Evidence(metric, y, self.block, REPLICATES, 0, worth).gain(ours, theirs)
        return {"metric": evaluate(metric, y, theirs, weight=worth), "loses": told(gain)}


def _spaced(rows: int, most: int) -> npt.NDArray[np.intp]:
    """At most so many of the rows, evenly spaced."""
    import numpy as np

    return np.linspace(0, rows - 1, min(rows, most)).astype(np.intp)


def _nearest(models: Sequence[Mapping[str, Any]]) -> str | None:
    """The first, simplest first, that is not shown to be worse; else the one that loses least."""
    known = [m for m in models if "loses" in m]
    level = [m for m in known if m["loses"]["low"] is not None and m["loses"]["low"] <= 0]
    found = level[0] if level else min(known, key=lambda m: m["loses"]["value"], default=None)
    return None if found is None else str(found["name"])


def _asked(data: Rows, made: Made, importance: Mapping[str, float]) -> Iterator[Asked]:
    every = tuple(range(len(data.preparation.heads)))
    own = all(m.engine == BASELINE for m in made.members)
    baseline = next((m for m in made.members if m.engine == BASELINE), None)
    options = {} if baseline is None else _found(baseline.fitted)
    if not own:
        yield Asked("linear", BASELINE, every, options)
        yield Asked("small trees", TREES, every, SMALL)
    kept = _most_of_it(importance)
    if 0 < len(kept) < len(importance):
        places = tuple(i for i, owner in enumerate(data.preparation.owners()[: len(every)]) if owner in kept)
        name, engine = ("fewer columns", BASELINE) if own else ("small trees, fewer columns", TREES)
        yield Asked(name, engine, places, options if own else SMALL, kept)


def _found(fitted: Fitted) -> dict[str, object]:
    """The options that hold a fit where it stopped."""
    found = dict(fitted.notes).get("refit")
    return dict(found) if isinstance(found, dict) else {}


def _most_of_it(importance: Mapping[str, float]) -> tuple[str, ...]:
    out, heap = [], 0.0
    for name, weight in sorted(importance.items(), key=lambda item: (-item[1], item[0])):
        if heap >= MOST_OF_IT or weight <= 0:
            break
        out.append(name)
        heap += weight
    return tuple(out)


def _of(data: Rows, places: Sequence[int]) -> list[str]:
    owners = data.preparation.owners()
    return [owners[p] for p in places]


def _made(
    asked: Asked, task: Task, data: Rows, judged: Judged, tools: Tools, known: Array | None
) -> tuple[Array, Fitted, Scorer]:
    """Its answers to the judged rows, none of which it was fitted on, and one of what was fitted; `known`: these answers, already there."""
    import numpy as np

    mine = _part_of(task, asked.places)
    learner = tools.learners(asked.engine)
    scores = np.empty_like(judged.scores)
    for x, y, x_stop, y_stop, own, rows in _folds(data, judged, asked.places):
        budget = Budget(tools.deadline, tools.threads, tools.seed, own)
        fitted = learner().fit(mine, x, y, x_stop, y_stop, budget, asked.options, lambda _w, _d: None)
        scorer = scorer_of(asked.engine, fitted, mine, tools.scorers, tools.threads, x_stop)
        if known is not None:
            return known, fitted, scorer
        scores[rows] = scorer.score(np.ascontiguousarray(judged.x[rows][:, list(asked.places)]))
    return scores, fitted, scorer


def _folds(data: Rows, judged: Judged, places: Sequence[int]) -> Iterator[Fold]:
    """What is fitted on, what says when to stop, what these rows count, and which judged rows are then answered."""
    import numpy as np

    columns = list(places)

    def some(x: Array, y: Array, own: Array | None, mine: Any) -> tuple[Array, Array, Array | None]:
        at = np.arange(len(x))[mine]
        at = at[_spaced(len(at), min(MOST_ROWS, NUMBERS // max(1, len(columns))))]
        return np.ascontiguousarray(x[at][:, columns]), y[at], None if own is None else own[at]

    def fold(x: Array, y: Array, own: Array | None, fit: Any, stop: Any, asked: Any) -> Fold:
        taught, until = some(x, y, own, fit), some(x, y, own, stop)
        counts = None if taught[2] is None or until[2] is None else Weights(taught[2], (until[2],))
        return *taught[:2], *until[:2], counts, asked

    every = np.arange(len(judged.y))
    if judged.part is None:
        older = np.arange(data.split.window)
        stops = older % STOPS == STOPS - 1
        yield fold(data.x, data.y, data.weight, older[~stops], older[stops], every)
        return
    parts = np.unique(judged.part)
    if len(parts) == 1:  # the time was up before others were asked: the rows of the others teach all the same
        others = np.flatnonzero(data.part[: data.split.window] != parts[0])
        yield fold(data.x, data.y, data.weight, np.delete(others, np.s_[::STOPS]), others[::STOPS], every)
        return
    for part in parts:
        others = np.flatnonzero(judged.part != part)
        stop = others[::STOPS]
        fit = np.setdiff1d(others, stop)
        yield fold(judged.x, judged.y, judged.weight, fit, stop, np.flatnonzero(judged.part == part))


def _part_of(task: Task, places: Sequence[int]) -> Task:
    """The task with some of its columns."""
    at = {place: index for index, place in enumerate(places)}
    kept = [(at[c], n) for c, n in zip(task.categorical, task.cardinality, strict=True) if c in at]
    return replace(
        task,
        columns=tuple(task.columns[p] for p in places),
        categorical=tuple(c for c, _ in kept),
        cardinality=tuple(n for _, n in kept),
        monotone=cut(task.monotone, places),
    )


def _timed(scorer: Scorer, x: Array) -> float:
    """The median over rows, of the faster of two calls."""
    import numpy as np

    rows = [bytearray(np.ascontiguousarray(row).tobytes()) for row in x]
    taken = []
    for row in rows:
        each = []
        for _ in range(2):
            start = time.perf_counter()
            scorer.score_row(row)
            each.append(time.perf_counter() - start)
        taken.append(min(each))
    return round(float(np.median(taken)) * 1e6, 1)
