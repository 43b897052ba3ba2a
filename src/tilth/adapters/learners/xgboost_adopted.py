"""Reads a model that XGBoost has fitted elsewhere (JSON or UBJSON), in a jailed process, and writes its trees as a LightGBM text.

XGBoost reads the file, since it alone knows its formats of all years; what it then says is compared with what serves.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from tilth.adapters.learners import boosting
from tilth.adapters.learners.boosting import Base
from tilth.adapters.learners.xgboost_trees import tree_of
from tilth.adapters.scorers.lightgbm_scorer import LightGBMScorer
from tilth.adapters.scorers.lightgbm_trees import written
from tilth.core.errors import TamperError, UnsupportedError
from tilth.ports.adopting import Foreign
from tilth.ports.learning import Fitted, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ports.portable import Tree

    Matrix = npt.NDArray[np.float64]

EXACT = 1e-5  # of an answer, times its size above 1
TRIED = 2_000  # rows that it is tried on
KINDS = {
    "reg:squarederror": "regression",
    "reg:absoluteerror": "regression",
    "reg:pseudohubererror": "regression",
    "binary:logistic": "binary",
    "multi:softprob": "multiclass",
    "multi:softmax": "multiclass",
}
AGAIN = "Save the model again with Booster.save_model('model.json'), or train it here: USING (engine = 'xgboost')."


def adopt(payload: bytes, about: Mapping[str, Any]) -> Foreign:
    """See `ports.adopting.Adopts`. A wrapper's model answers by its best round, a bare Booster by all."""
    boosting.require("xgboost", "xgboost")
    import xgboost

    booster = xgboost.Booster({"nthread": 1, "verbosity": 0})
    try:
        booster.load_model(bytearray(payload))
        said = json.loads(bytes(booster.save_raw("json")))["learner"]
        return _foreign(booster, said, wrapped="Booster" not in str(about.get("model_class", "")))
    except (xgboost.core.XGBoostError, ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        words = str(error).strip().partition("\n")[0]
        raise TamperError(f"The XGBoost model is not whole: {words[:200]}.", hint=AGAIN) from error


def _foreign(booster: Any, said: Mapping[str, Any], *, wrapped: bool) -> Foreign:
    objective, grown = str(said["objective"]["name"]), said["gradient_booster"]
    if objective not in KINDS:
        _refuse(f"has the objective `{objective[:60]}`")
    if grown["name"] != "gbtree":
        _refuse(f"is a `{str(grown['name'])[:60]}`, and no sum of trees")
    kind, about = KINDS[objective], said["learner_model_param"]
    classes = int(about["num_class"]) if kind == "multiclass" else 0
    width = max(1, classes)
    trees = grown["model"]["trees"]
    if grown["model"]["tree_info"] != [n % width for n in range(len(trees))]:
        _refuse("has several trees a round and class")
    if any(one["categories_nodes"] or int(one["tree_param"].get("size_leaf_vector", 1)) > 1 for one in trees):
        _refuse("splits on categories, whose texts the file does not name, or has leaves of several values")
    best = said.get("attributes", {}).get("best_iteration")
    rounds = int(best) + 1 if wrapped and best is not None else len(trees) // width
    start = _start(str(about["base_score"]), kind, width)

    def member(task: Task, x: Matrix) -> Fitted:
        found: list[Tree] = [*start, *(tree_of(one, 1.0, {}) for one in trees[: rounds * width])]
        payload = written(task, found, x)
        _alike(booster, rounds, Base(start), payload, task, x[:TRIED])
        return Fitted("lightgbm", "txt", payload)

    names = tuple(map(str, said.get("feature_names") or ()))
    return Foreign(kind, classes, names, int(about["num_feature"]), {}, member)


def _start(text: str, kind: str, width: int) -> tuple[float, ...]:
    """Where the sums begin; it is kept as a probability of two classes."""
    values = [float(v) for v in text.strip("[]").split(",")]
    found = values * width if len(values) == 1 else values
    if len(found) != width:
        _refuse("begins its sums in another number of classes")
    return tuple(math.log(v / (1.0 - v)) for v in found) if kind == "binary" else tuple(found)


def _alike(booster: Any, rounds: int, base: Base, payload: bytes, task: Task, x: Matrix) -> None:
    """Return when what serves answers the rows as XGBoost does."""
    import numpy as np
    import xgboost

    data = xgboost.DMatrix(boosting.narrow(x).astype(np.float32), missing=np.nan, nthread=1)
    data.feature_names = booster.feature_names
    margins = booster.predict(data, output_margin=True, iteration_range=(0, rounds))
    theirs = Base((0.0,) * len(base.start)).scores(task, margins.reshape(len(x), -1).astype(np.float64))
    ours = LightGBMScorer.load(payload, task, 1).score(x)
    worst = float((np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs))).max()) if len(x) else 0.0
    if not worst <= EXACT:
        _refuse(f"would answer otherwise here, by up to {worst:.2g}")


def _refuse(why: str) -> NoReturn:
    raise UnsupportedError(f"The XGBoost model {why}.", hint="Train it here: USING (engine = 'xgboost').")
