"""Fits any scikit-learn estimator, a user's own choice or Extra Trees, inside a training worker.

The estimator is put behind an imputer and a one-hot encoder, so it never sees gaps or level codes. What comes out
is a skops file with normalised ids and times (the same fit gives the same bytes). Scoring is in `skops_scorer`.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import time
import zipfile
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tilth.adapters.learners.own_modules import open_folder
from tilth.core.engines import Engine
from tilth.core.errors import ResourceLimitError, TrainingError, UnsupportedError
from tilth.ports.learning import Budget, Fitted, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ports.adopting import Foreign

    Matrix = npt.NDArray[np.float64]

MOST_LEVELS = 60


class SklearnLearner:
    """Implements `ports.learning.Learner`; options `estimator` ('module:function') and `estimators` (a folder)."""

    engine = Engine(
        "sklearn",
        "scikit-learn",
        learning=3,
        options=None,
        prefixes=("estimator",),
        estimator=True,
        explains=False,
    )

    @staticmethod
    def warm() -> None:
        """Load the libraries."""
        for name in (
            "tilth.adapters.scorers.skops_scorer",
            "sklearn.ensemble",
            "sklearn.pipeline",
            "sklearn.compose",
            "sklearn.impute",
            "skops.io",
        ):
            importlib.import_module(name)

    @staticmethod
    def adopt(payload: bytes, about: Mapping[str, Any]) -> Foreign:
        """See `ports.adopting.Adopts`."""
        from tilth.adapters.learners import adopted

        return adopted.sklearn(payload, about)

    def fit(
        self,
        task: Task,
        x: Matrix,
        y: Matrix,
        x_stop: Matrix,  # noqa: ARG002  # scikit-learn estimators stop by themselves
        y_stop: Matrix,  # noqa: ARG002  # scikit-learn estimators stop by themselves
        budget: Budget,
        options: Mapping[str, object],
        report: Callable[[str, float | None], None],
    ) -> Fitted:
        from sklearn.pipeline import make_pipeline

        from tilth.adapters.scorers.skops_scorer import narrow

        report("making the estimator", None)
        wanted = options.get("estimator")
        given = {k: v for k, v in options.items() if k not in {"estimator", "estimators"}}
        model = _made(str(wanted), str(options.get("estimators", ""))) if wanted else _default(task)
        _check(model, task, str(wanted))
        _seed(model, budget, given)
        encoder = _encoder(task, x.shape[1])
        codes = y if task.kind == "regression" else y.astype("int64")
        report("fitting", None)
        try:
            encoded = encoder.fit_transform(narrow(x))
            if wanted:
                model.fit(encoded, codes)
            else:
                _grow(model, encoded, codes, budget.deadline, report)
        except (MemoryError, KeyboardInterrupt, TrainingError):
            raise
        except Exception as error:
            raise TrainingError(
                f"The estimator {type(model).__name__} did not fit: {type(error).__name__}: {error}",
                hint="Try it on a few rows in a Python shell; the worker gives it numbers without gaps.",
            ) from error
        payload = _payload(make_pipeline(encoder, model))
        return Fitted("skops", "skops", payload, (("estimator", type(model).__name__),))


def _grow(
    forest: Any, x: Matrix, y: Any, deadline: float, report: Callable[[str, float | None], None]
) -> None:
    """Add trees ten at a time until there are enough or the time is up. Other estimators cannot be interrupted."""
    enough = forest.n_estimators
    for count in range(10, enough + 1, 10):
        forest.set_params(n_estimators=count, warm_start=True).fit(x, y)
        report(f"{count} trees", count / enough)
        if time.monotonic() > deadline:
            break


def _made(path: str, folder: str) -> Any:
    """What the user's function returns; its module is looked for in the project's `estimators/`, then installed ones."""
    module, _, name = path.partition(":")
    if folder and os.path.isdir(folder):
        open_folder(folder)
    try:
        found = getattr(importlib.import_module(module), name or "make")
    except ModuleNotFoundError as error:
        raise TrainingError(
            f"There is no module `{error.name}` for the estimator `{path}`.",
            hint=f"Write {module.replace('.', '/')}.py with a function {name or 'make'}() into the folder estimators/.",
        ) from error
    except AttributeError as error:
        raise TrainingError(
            f"The module `{module}` has no `{name or 'make'}`.", hint="Write `estimator = 'module:function'`."
        ) from error
    try:
        return found()
    except (MemoryError, KeyboardInterrupt, TrainingError):
        raise
    except Exception as error:
        raise TrainingError(
            f"The function `{path}` did not return an estimator: {type(error).__name__}: {error}",
            hint="It is called with nothing, and must return an object with fit() and get_params(); try it in a Python shell.",
        ) from error


def _default(task: Task) -> Any:
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    if task.kind == "regression":
        return ExtraTreesRegressor(150, min_samples_leaf=3, max_features=0.6)
    return ExtraTreesClassifier(150, min_samples_leaf=3)


def _check(model: Any, task: Task, path: str) -> None:
    if not hasattr(model, "fit") or not hasattr(model, "get_params"):
        raise TrainingError(
            f"`{path}` gives a {type(model).__name__}, which is no scikit-learn estimator.",
            hint="The function must return an object with fit() and get_params().",
        )
    if task.kind != "regression" and not hasattr(model, "predict_proba"):
        raise UnsupportedError(
            f"{type(model).__name__} has no predict_proba, and tilth needs probabilities for classes.",
            hint="Wrap it: sklearn.calibration.CalibratedClassifierCV(estimator).",
        )


def _seed(model: Any, budget: Budget, given: Mapping[str, object]) -> None:
    """Options of USING become parameters; random_state takes the seed; jobs are threads of this process."""
    known = model.get_params()
    for name in given:
        if name not in known:
            raise TrainingError(
                f"{type(model).__name__} has no parameter `{name}`.",
                hint=f"Parameters: {', '.join(sorted(known))}.",
            )
    fixed: dict[str, object] = {k: budget.seed for k in known if k.split("__")[-1] == "random_state"}
    fixed |= {k: 1 for k in known if k.split("__")[-1] == "n_jobs"}
    model.set_params(
        **{k: v for k, v in (fixed | dict(given)).items() if known[k] is None or k in given or "n_jobs" in k}
    )


def _encoder(task: Task, columns: int) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    numeric = [i for i in range(columns) if i not in task.categorical]
    onehot = OneHotEncoder(
        handle_unknown="infrequent_if_exist", max_categories=MOST_LEVELS, sparse_output=False
    )
    gaps = SimpleImputer(strategy="constant", fill_value=-1.0)
    parts: list[tuple[str, Any, list[int]]] = []
    if numeric:
        fill = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
        parts.append(("numbers", fill, numeric))
    if task.categorical:
        parts.append(("levels", make_pipeline(gaps, onehot), list(task.categorical)))
    return ColumnTransformer(parts)


def _payload(pipeline: Any) -> bytes:
    from skops.io import dumps

    from tilth.adapters.scorers.skops_scorer import strangers

    try:
        raw = dumps(pipeline)
        found = strangers(raw)
    except (MemoryError, ResourceLimitError):
        raise
    except Exception as error:
        raise TrainingError(
            f"The fitted estimator cannot be kept without pickle: {error}",
            hint="Use estimators of scikit-learn itself, also inside pipelines.",
        ) from error
    if found:
        raise TrainingError(
            f"The fitted estimator holds types of its own: {', '.join(found[:20])}. A bundle keeps no executable code.",
            hint="Use the classifiers, regressors and transformers of scikit-learn that docs/language.md names, or "
            "write your own one as a learner plugin (tilth.learners).",
        )
    return _normal(raw)


def _normal(raw: bytes) -> bytes:
    """The same skops file with ids counted from 1 and one fixed time, so that equal fits are equal bytes."""
    source = zipfile.ZipFile(io.BytesIO(raw))
    schema = json.loads(source.read("schema.json"))
    ids: dict[int, int] = {}
    files: dict[str, str] = {}

    def walk(node: object) -> object:
        if isinstance(node, list):
            return [walk(v) for v in node]
        if not isinstance(node, dict):
            return node
        out: dict[Any, Any] = {}
        for key, value in node.items():
            if key == "__id__":
                out[key] = ids.setdefault(value, len(ids) + 1)
            elif key == "file" and isinstance(value, str):
                out[key] = files.setdefault(value, f"{len(files) + 1}.{value.rpartition('.')[2]}")
            else:
                out[key] = walk(value)
        return out

    normal = walk(schema)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as out:
        for old, new in files.items():
            out.writestr(zipfile.ZipInfo(new), source.read(old), zipfile.ZIP_DEFLATED)
        text = json.dumps(normal, separators=(",", ":"))
        out.writestr(zipfile.ZipInfo("schema.json"), text, zipfile.ZIP_DEFLATED)
    return target.getvalue()
