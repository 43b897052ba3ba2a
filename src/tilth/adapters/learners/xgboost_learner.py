"""Grows gradient-boosted trees with XGBoost, inside a training worker; they are written as a LightGBM text, which serves.

Anytime: the best rounds so far are what a deadline leaves. Deterministic: the same rows, options and seed give the same
bytes, on however many threads. Codes are categories to XGBoost, and a gap in a code is one more side of a split.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tilth.adapters.learners import boosting
from tilth.adapters.learners.boosting import Asked, Base, Boosted, Pace
from tilth.adapters.learners.xgboost_trees import tree_of
from tilth.core.engines import Engine, Form, Option, Span
from tilth.core.errors import ResourceLimitError, TrainingError
from tilth.ports.learning import Task
from tilth.ports.portable import Tree

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ports.adopting import Foreign

    Matrix = npt.NDArray[np.float64]
    Report = Callable[[str, float | None], None]

ROUNDS = 400
SMALL = 2_000  # rows for which several threads cost more than they give
DEEPEST = 32
OBJECTIVES = {"regression": "reg:squarederror", "binary": "binary:logistic", "multiclass": "multi:softprob"}
LOSSES = {"regression": "rmse", "binary": "logloss", "multiclass": "mlogloss"}
OPTIONS = (
    Option("rounds", Form.WHOLE, 1, stops=True),
    Option("patience", Form.WHOLE, 1, stops=True),
    Option("learning_rate", least=0, most=1, span=Span(0.02, 0.2, log=True)),
    Option("max_depth", Form.WHOLE, 1, DEEPEST, span=Span(3, 10)),
    Option("max_leaves", Form.WHOLE, 0),
    Option("min_child_weight", least=0, span=Span(1, 50, log=True)),
    Option("min_split_loss", least=0),
    Option("reg_lambda", least=0, span=Span(0.1, 100, log=True)),
    Option("reg_alpha", least=0, span=Span(1e-3, 10, log=True)),
    Option("subsample", least=0, most=1, span=Span(0.5, 1)),
    Option("colsample_bytree", least=0, most=1, span=Span(0.3, 1)),
    Option("max_bin", Form.WHOLE, 2),
    Option("max_cat_to_onehot", Form.WHOLE, 1),
    Option("max_cat_threshold", Form.WHOLE, 1),
    Option("scale_pos_weight", least=0),
)


class XGBoostLearner(Boosted):
    """Implements `ports.learning.Learner`; the extra `xgboost` has the library."""

    engine = Engine(
        "xgboost",
        boosting.package("xgboost", "xgboost-cpu"),
        options=OPTIONS,
        best=True,
        monotone=True,
        weighs=True,
        fault=boosting.absent("xgboost", "xgboost"),
        mend=boosting.install("xgboost"),
        seeded=True,
    )

    @staticmethod
    def warm() -> None:
        """Load the library."""
        boosting.require("xgboost", "xgboost")
        import xgboost  # noqa: F401

    @staticmethod
    def adopt(payload: bytes, about: Mapping[str, Any]) -> Foreign:
        """See `ports.adopting.Adopts`."""
        from tilth.adapters.learners.xgboost_adopted import adopt

        return adopt(payload, about)

    @staticmethod
    def run(asked: Asked) -> _Run:
        """One fit."""
        return _Run(asked)


class _Run:
    """One fit: the booster, and the parts that were watched."""

    def __init__(self, asked: Asked) -> None:
        task, x, y, options = asked.task, asked.x, asked.y, asked.options
        boosting.check("XGBoost", OPTIONS, options)
        boosting.require("xgboost", "xgboost")
        import xgboost

        own = asked.budget.weights
        self.task, self.base = task, Base.of(task, y, None if own is None else own.teach)
        self._threads = 1 if len(x) < SMALL else asked.budget.threads
        params = _parameters(task, len(x), asked.budget.seed, self._threads) | boosting.given(options)
        self.rate = params["learning_rate"]
        self.pace = boosting.pace_of(options, len(x), ROUNDS, asked.budget.deadline)
        asked.report("binning", None)
        try:
            teach, watched = (
                (None, [None] * len(asked.stops)) if own is None else (own.teach, list(own.stops))
            )
            bins = int(str(params["max_bin"]))
            data = self._data(xgboost.QuantileDMatrix, x, y, weight=teach, max_bin=bins)
            self._parts = [
                self._data(xgboost.DMatrix, *part, weight=w)
                for part, w in zip(asked.stops, watched, strict=False)
            ]
            self.booster = xgboost.Booster(params, [data, *self._parts])
            _grow(self.booster, data, self._parts, self.pace, self.base.scale, asked.report)
        except (xgboost.core.XGBoostError, ValueError) as error:
            raise _told(error) from error

    def _data(self, kind: Any, x: Matrix, y: Matrix, **more: object) -> Any:
        """The rows as XGBoost keeps them; sums begin at 0 and the start is added to them here."""
        import numpy as np

        types = ["c" if n in self.task.categorical else "q" for n in range(x.shape[1])]
        width = self.task.classes if self.task.kind == "multiclass" else 1
        shape = (len(x), width) if width > 1 else len(x)
        start = np.array(self.base.start, dtype=np.float32) if self.task.kind != "regression" else np.zeros(1)
        return kind(
            _coded(self.task, x),
            label=self.base.label(self.task, y).astype(np.float32),
            base_margin=np.broadcast_to(start, shape).astype(np.float32),
            feature_types=types,
            enable_categorical=True,
            missing=np.nan,
            nthread=self._threads,
            **more,
        )

    def scores(self, rounds: int, part: int) -> Matrix:
        """The answers of a watched part after so many rounds."""
        return self._asked(rounds, self._parts[part])

    def answer(self, rounds: int, x: Matrix) -> Matrix:
        """The answers to other rows."""
        import numpy as np
        import xgboost

        return self._asked(rounds, self._data(xgboost.DMatrix, x, np.zeros(len(x))))

    def _asked(self, rounds: int, data: Any) -> Matrix:
        import numpy as np

        start = np.zeros(1) if self.task.kind == "regression" else np.array(self.base.start, dtype=np.float32)
        if rounds == 0:
            return self.base.scores(self.task, np.zeros((data.num_row(), len(self.base.start))))
        found = self.booster.predict(data, output_margin=True, iteration_range=(0, rounds))
        sums = found.reshape(data.num_row(), -1).astype(np.float64) - start[None, :]
        return self.base.scores(self.task, sums)

    def trees(self, rounds: int) -> list[Tree]:
        """The start and the trees of the first rounds."""
        model = json.loads(bytes(self.booster[:rounds].save_raw("json")))
        grown = model["learner"]["gradient_booster"]["model"]["trees"]
        cardinality = dict(zip(self.task.categorical, self.task.cardinality, strict=True))
        return [*self.base.trees(), *(tree_of(one, self.base.scale, cardinality) for one in grown)]


def _parameters(task: Task, rows: int, seed: int, threads: int) -> dict[str, object]:
    """Defaults: steps as small as LightGBM's here, shallower trees the fewer rows there are."""
    values: dict[str, object] = {
        "objective": OBJECTIVES[task.kind],
        "eval_metric": "mae"
        if task.kind == "regression" and task.metric in {"mae", "mape"}
        else LOSSES[task.kind],
        "tree_method": "hist",
        "learning_rate": 0.08 if rows > 20_000 else 0.05,
        "max_depth": 6 if rows > 5_000 else 4,
        "min_child_weight": max(1, min(20, rows // 500)) if task.kind == "regression" else 1,
        "subsample": 0.8,
        "colsample_bytree": 0.8 if len(task.columns) < 10 else 0.6,
        "max_bin": 256,
        "seed": seed,
        "nthread": threads,
        "verbosity": 0,
    }
    if task.monotone:
        values["monotone_constraints"] = f"({','.join(map(str, task.monotone))})"
    return values | ({"num_class": task.classes} if task.kind == "multiclass" else {})


def _coded(task: Task, x: Matrix) -> Any:
    """float32 rows in which what is no code of a category is a gap."""
    import numpy as np

    out = boosting.narrow(x).astype(np.float32)
    for index, count in zip(task.categorical, task.cardinality, strict=True):
        column = out[:, index]
        column[~((column >= 0) & (column < count))] = np.nan
    return out


def _grow(booster: Any, data: Any, parts: Sequence[Any], pace: Pace, scale: float, report: Report) -> None:
    named = [(part, f"p{n}") for n, part in enumerate(parts)]
    for number_ in range(pace.rounds):
        booster.update(data, number_)
        said = booster.eval_set(named, number_) if named else ""
        losses = [scale * float(one.rpartition(":")[2]) for one in said.split("\t")[1:]]
        if pace.ends(losses, time.monotonic()):
            return
        if (number_ + 1) % 20 == 0:
            report(f"round {number_ + 1}", (number_ + 1) / pace.rounds)


def _told(error: Exception) -> Exception:
    words = str(error).strip().partition("\n")[0]
    if "bad_alloc" in str(error) or "out of memory" in str(error).lower():
        return ResourceLimitError(
            "XGBoost ran out of memory.",
            hint="Give the model more: USING memory = '8 GB', or fewer columns.",
        )
    return TrainingError(f"XGBoost refused: {words}", hint="Check the engine options in USING (...).")
