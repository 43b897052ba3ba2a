"""Reads models that LightGBM and scikit-learn have fitted elsewhere, in a jailed process: texts, and skops files.

What serves is the file as it is. XGBoost's are read by `xgboost_adopted`, which writes them anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tilth.adapters.scorers.lightgbm_text import OBJECTIVES, checked
from tilth.core.errors import TamperError, UnsupportedError
from tilth.ports.adopting import Foreign
from tilth.ports.learning import Fitted, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

AGAIN = "Save the model again, or train it here."
SHOWN = 60
_PANDAS = re.compile(rb"\npandas_categorical:([ -~]*)\n")


# --- LightGBM ----------------------------------------------------------------------------------------------


def lightgbm(payload: bytes, about: Mapping[str, Any]) -> Foreign:
    """A LightGBM text; see `ports.adopting.Adopts`."""
    del about
    if not payload.startswith(b"tree\n"):
        raise UnsupportedError(
            "The LightGBM model is no text as Booster.save_model writes it.",
            hint="Where it was made: mlflow.lightgbm.save_model(model.booster_, path, signature=signature).",
        )
    head = payload.partition(b"\nTree=")[0].decode("utf-8", "replace")
    said = dict(line.split("=", 1) for line in head.split("\n") if "=" in line)
    objective = said.get("objective", "")
    kind = next((k for k, known in OBJECTIVES.items() if re.fullmatch(known, objective)), None)
    if kind is None:
        raise UnsupportedError(
            f"The LightGBM model has the objective `{objective[:SHOWN] or 'none'}`, which is not served.",
            hint="Train it here; `docs/language.md` says what can be asked for.",
        )
    names = tuple(said.get("feature_names", "").split(" "))
    infos = said.get("feature_infos", "").split(" ")
    classes = int(objective.rpartition(":")[2]) if kind == "multiclass" else 0

    def member(task: Task, x: Matrix) -> Fitted:
        del x
        checked(payload, task)
        return Fitted("lightgbm", "txt", payload)

    return Foreign(kind, classes, names, len(names), _levels(payload, infos), member)


def _levels(payload: bytes, infos: list[str]) -> dict[int, tuple[str, ...]]:
    """The texts of each column of categories, as pandas had them when the model was fitted."""
    places = [n for n, info in enumerate(infos) if info != "none" and not info.startswith("[")]
    found = _PANDAS.search(payload, max(0, payload.find(b"\nend of trees\n")))
    try:
        listed = json.loads(found[1]) if found else None
    except (ValueError, RecursionError) as error:
        raise TamperError("The LightGBM model's `pandas_categorical` is no JSON.", hint=AGAIN) from error
    listed = listed if isinstance(listed, list) else []
    texts = all(isinstance(one, list) and all(isinstance(v, str) for v in one) for one in listed)
    if len(listed) != len(places) or not texts:
        raise UnsupportedError(
            f"The LightGBM model has {len(places)} columns of categories, and does not name their texts.",
            hint="Fit it on a DataFrame whose categories are texts, or train it here.",
        )
    return {place: tuple(levels) for place, levels in zip(places, listed, strict=True)}


# --- scikit-learn ------------------------------------------------------------------------------------------


def sklearn(payload: bytes, about: Mapping[str, Any]) -> Foreign:
    """A skops file of allowed types; see `ports.adopting.Adopts`."""
    from sklearn.base import is_classifier

    from tilth.adapters.scorers.skops_file import read
    from tilth.adapters.scorers.skops_scorer import SkopsScorer, estimator_of

    del about
    found = read(payload)
    if found.refused:
        raise UnsupportedError(
            f"The skops file names what is not on the list of what may be loaded: {', '.join(found.refused[:20])}.",
            hint="Only estimators of scikit-learn itself are read; `docs/language.md` names them.",
        )
    estimator = estimator_of(found)
    width = int(getattr(estimator, "n_features_in_", 0))
    _takes_gaps(estimator, width)
    kind, classes = "regression", 0
    if is_classifier(estimator):
        classes = _codes(estimator)
        kind = "binary" if classes == 2 else "multiclass"

    def member(task: Task, x: Matrix) -> Fitted:
        try:
            SkopsScorer.load(payload, task).score(x[:100])
        except Exception as error:  # whatever scikit-learn says of rows of numbers
            raise UnsupportedError(
                f"The {type(estimator).__name__} does not answer rows of numbers: {str(error)[:300]}.",
                hint="Fit it on a matrix of numbers: columns are not given by their names.",
            ) from error
        return Fitted("skops", "skops", payload)

    return Foreign(kind, classes, (), width, {}, member)


def _codes(estimator: Any) -> int:
    """How many classes an estimator answers by; they are codes from 0."""
    names = list(getattr(estimator, "classes_", ()))
    if len(names) < 2 or any(isinstance(n, str) or n != code for code, n in enumerate(names)):
        shown = ", ".join(map(str, names[:5]))
        raise UnsupportedError(
            f"The {type(estimator).__name__} answers by the classes {shown[:SHOWN]}: which code of the target each is, is not said.",
            hint="Fit it on codes 0, 1, ... of the classes, as the dataset's target has them.",
        )
    return len(names)


def _takes_gaps(estimator: Any, width: int) -> None:
    """Return when it answers rows with gaps, which every model that serves is asked."""
    import numpy as np

    try:
        estimator.predict(np.full((1, width), np.nan))
    except Exception as error:  # scikit-learn refuses gaps in many words
        raise UnsupportedError(
            f"The {type(estimator).__name__} answers no row with a gap.",
            hint="Put an imputer before it where it is fitted: make_pipeline(SimpleImputer(), model).",
        ) from error
