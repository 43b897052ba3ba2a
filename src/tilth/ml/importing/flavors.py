"""Which file of an MLflow folder is the model, and whether it may be read: pickles are refused, with what to write instead.

A folder has flavors: the library that wrote it, and `python_function`, which runs code to load it and is never used here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from tilth.core.errors import UnsupportedError

OURS, FILE = "tilth", "MLmodel"
READ = ("lightgbm", "xgboost", "sklearn")  # flavors that are read, each by the engine of its name
KEYS = ("data", "pickled_model", "model_data_subpath", "model_data")  # what says which file it is
BOOSTED = {
    "lightgbm": "mlflow.lightgbm.save_model(model.booster_, path, signature=signature)",
    "xgboost": "mlflow.xgboost.save_model(model.get_booster(), path, model_format='json', signature=signature)",
}
SKOPS = "mlflow.sklearn.save_model(model, path, serialization_format='skops', signature=signature)"
RUNS = frozenset(("python_function", "pyfunc", "pytorch", "statsmodels", "spark", "langchain", "prophet", "pmdarima", "fastai",
                  "diviner", "johnsnowlabs", "spacy", "paddle", "openai", "dspy", "crate"))  # fmt: skip
TEXTS = {
    "onnx": "tilth serves trees and estimators and has no runtime of ONNX: import the LightGBM or XGBoost model that it was made of.",
    "catboost": "Train it here: USING (engine = 'catboost').",
}


@dataclass(frozen=True, slots=True)
class Found:
    """What is imported: the flavor, the file or folder that holds it, what is said of it, and what it is asked with.

    `inputs` are the names of the signature in order, empty where the folder has none; `made_at` is when it says that it was
    made, as it says it: nobody has checked that.
    """

    flavor: str
    path: str
    about: Mapping[str, Any]
    inputs: tuple[str, ...]
    made_at: str | None


def found(said: Mapping[str, Any]) -> Found:
    """What an MLmodel says is there; UnsupportedError with the reason for what is not read."""
    flavors = said.get("flavors")
    if not isinstance(flavors, dict) or not flavors:
        _refuse("names no flavor", "Name the folder that MLflow's save_model has written.")
    name = next((f for f in (OURS, *READ) if isinstance(flavors.get(f), dict)), None)
    if name is None:
        _strange(flavors)
    about = flavors[name]
    path = next((about[k] for k in KEYS if isinstance(about.get(k), str)), None)
    if path is None or path in {"", ".", ".."} or "/" in path or "\\" in path or "\0" in path:
        _refuse(
            f"does not say which file beside it holds the `{name}` model", "Save the model again with MLflow."
        )
    if name == "sklearn" and about.get("serialization_format") != "skops":
        kept = str(about.get("serialization_format", "a pickle"))
        _refuse(
            f"keeps its scikit-learn model as {kept[:40]}, which runs what it holds when it is loaded",
            f"Where it was made: {SKOPS}.",
        )
    return Found(name, path, about, _inputs(said), _made_at(said))


def no_pickle(flavor: str, payload: bytes) -> None:
    """UnsupportedError for a file that is a pickle, whatever its name."""
    if payload[:1] == b"\x80":  # a pickle of protocol 2 and later; an older one is no file of these flavors
        hint = BOOSTED.get(flavor, SKOPS)
        _refuse(
            "has a pickle as its model, which runs what it holds when it is loaded",
            f"Where it was made: {hint}.",
        )


def _strange(flavors: Mapping[str, Any]) -> NoReturn:
    names = sorted(str(f)[:40] for f in flavors)
    told = next((TEXTS[n] for n in names if n in TEXTS), None)
    if told is None and set(names) <= RUNS:
        _refuse(
            f"has no flavor but {', '.join(names)}: to load it is to run what it holds",
            f"Import a folder of {', '.join(READ)}; for scikit-learn: {SKOPS}.",
        )
    _refuse(
        f"has the flavors {', '.join(names)}, which are not read",
        told or f"Flavors that are: {', '.join(READ)}.",
    )


def _refuse(why: str, hint: str) -> NoReturn:
    raise UnsupportedError(f"The folder {why}.", hint=hint)


def _inputs(said: Mapping[str, Any]) -> tuple[str, ...]:
    """The named columns of the signature."""
    signature = said.get("signature")
    if not isinstance(signature, dict):
        return ()
    try:
        listed = json.loads(signature.get("inputs") or "[]")
        names = tuple(one.get("name") for one in listed)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return ()
    return names if all(isinstance(n, str) for n in names) else ()


def _made_at(said: Mapping[str, Any]) -> str | None:
    at = said.get("utc_time_created")
    return at if isinstance(at, str) and at else None
