"""Run by the Python that has AutoGluon, which has no tilth: `python autogluon_side.py JAIL PARENT`, told what to do by lines of JSON.

Each line names a folder with `train.arrow`, `stop.arrow` and `asked.arrow`; AutoGluon is fitted on the first, chooses by the second,
and what it answers to the third is left as `answers.arrow`. What it writes lies in that folder and goes with it; no model
leaves this process. After the first line it is jailed as every worker is (`adapters/jails/jail`, which JAIL is the path of).
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
import warnings
from typing import Any


def main(jail_path: str, parent: str) -> None:
    """Do what each line of stdin says, until it ends; an answer a line."""
    say = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what AutoGluon prints is no answer
    jail = _module(jail_path)
    jail.die_with_parent(int(parent))
    warnings.simplefilter("ignore")
    from autogluon.tabular import TabularPredictor

    locked = None
    for line in sys.stdin:
        job = json.loads(line)
        try:
            if locked is None:
                locked = jail.enter(
                    [job["scratch"]], [job["scratch"], "/dev/null"], job["memory"], job["cpu"]
                )
            facts = fit(TabularPredictor, job)
            say.write(json.dumps({**facts, "jail": locked}) + "\n")
        except BaseException as error:
            say.write(json.dumps({"error": f"{type(error).__name__}: {str(error)[:500]}"}) + "\n")


def fit(predictor: Any, job: dict[str, Any]) -> dict[str, Any]:
    """Fit and answer; what is told of it."""
    from importlib.metadata import version

    folder = job["folder"]
    train, stop, asked = (_frame(folder, name, job["categorical"]) for name in ("train", "stop", "asked"))
    metric = "root_mean_squared_error" if job["kind"] == "regression" else "log_loss"
    path = os.path.join(folder, "models")
    made = predictor("y", problem_type=job["kind"], eval_metric=metric, path=path, verbosity=0)
    made.fit(
        train,
        tuning_data=stop,
        presets=job["preset"],
        time_limit=max(1.0, job["share"] * (job["until"] - time.monotonic())),
        num_cpus=job["threads"],
        num_gpus=0,
        fit_strategy="sequential",
        ag_args_fit={"random_seed": job["seed"]},
    )
    answers = _answers(made, asked.drop(columns="y", errors="ignore"), job["kind"])
    answers.to_feather(os.path.join(folder, "answers.arrow"), compression="uncompressed")
    return {"version": version("autogluon.tabular"), "models": made.model_names(), "best": made.model_best}


def _answers(made: Any, asked: Any, kind: str) -> Any:
    """One column, or one a class, called by its code."""
    if kind == "regression":
        return made.predict(asked).to_frame("y").reset_index(drop=True)
    shares = made.predict_proba(asked)
    shares.columns = [str(int(c)) for c in shares.columns]
    return shares.reset_index(drop=True)


def _frame(folder: str, name: str, categorical: list[str]) -> Any:
    import pandas as pd

    frame = pd.read_feather(os.path.join(folder, f"{name}.arrow"))
    for column in categorical:
        known = frame[column].notna()
        frame[column] = frame[column].fillna(0).astype(int).astype(str).where(known, None).astype("category")
    return frame


def _module(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("jail", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules["jail"] = found
    spec.loader.exec_module(found)
    return found


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
