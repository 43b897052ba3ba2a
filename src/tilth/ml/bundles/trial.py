"""The task `check`: loads a bundle's files and scores rows, where it can do no harm.

Its inputs are the files of one bundle by their names; it says how many rows were answered and the sha256 of what it read.
Who asks for it, and when, is in `runtime.members`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilth.core.errors import TamperError, TilthError
from tilth.ml.bundles.manifest import digests
from tilth.ml.model.lean import spare_pandas
from tilth.ports import registry
from tilth.ports.jobs import Report

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

HINT = "Do not serve it. Train the model again; own estimators decide what their member's file holds."
ASKED_ALONE = 16  # rows whose answer alone is compared with that among others


def prepare(spec: Mapping[str, Any]) -> None:
    """Load what the members' formats need; `spec` says which they are: `scorers`."""
    scorers = [registry.load("tilth.scorers", name) for name in spec["scorers"]]
    if not any(getattr(scorer, "pandas", True) for scorer in scorers):
        spare_pandas()
    importlib.import_module("tilth.ml.model.joint")
    for scorer in scorers:
        warm = getattr(scorer, "warm", None)
        if warm is not None:
            warm()


def warm(spec: Mapping[str, Any]) -> None:
    """Load what answers rows, of whatever format."""
    del spec
    importlib.import_module("tilth.ml.model.predictor")


def run(
    spec: Mapping[str, Any],
    files: Mapping[str, str],
    out: str,
    report: Report,
) -> dict[str, object]:
    """Load the bundle in this process and score rows; how many, and the sha256 of what was read."""
    del spec, out, report
    return tried({name: Path(path).read_bytes() for name, path in sorted(files.items())})


def tried(files: Mapping[str, bytes]) -> dict[str, object]:
    """How many rows the bundle of these files has answered; TamperError says what is wrong with them."""
    from tilth.ml.forecasting import predicting
    from tilth.ml.model import joint

    if predicting.is_one(files):
        return {"rows": _ahead(files), "files": digests(files)}
    loaded: list[Any] = []

    class Kept:
        """Loads as the format does and keeps what was loaded: the model, and what says how wide its intervals are."""

        def __init__(self, name: str) -> None:
            self._of = registry.load("tilth.scorers", name)

        def load(self, payload: bytes, task: Any, threads: int | None) -> Any:
            loaded.append((self._of.load(payload, task, threads), task))
            return loaded[-1][0]

    try:
        predictor = joint.load(files, Kept, 0, "", 1)
        rows = max(_scored(*member) for member in loaded)
        predictor.warm()
    except (TilthError, MemoryError):
        raise
    except Exception as error:
        raise TamperError(
            f"The model's files do not answer: {type(error).__name__}: {str(error)[:300]}.", hint=HINT
        ) from error
    return {"rows": rows, "files": digests(files)}


def _ahead(files: Mapping[str, bytes]) -> int:
    """How many rows the forecast of these files says of what lies ahead."""
    from tilth.ml.forecasting import predicting

    try:
        model = predicting.load(files, 0, "", 1)
        if model.forecaster.spec.known:  # what is known of the future is not in the files
            return int(model.forecaster.groups.num_rows)
        return int(model.forecast().table.num_rows)
    except (TilthError, MemoryError):
        raise
    except Exception as error:
        raise TamperError(
            f"The model's files do not answer: {type(error).__name__}: {str(error)[:300]}.", hint=HINT
        ) from error


def _scored(scorer: Any, task: Any) -> int:
    """Score rows of many sizes, of gaps and of every code; TamperError when the answers have another shape."""
    import numpy as np

    x = _rows(len(task.columns), task.categorical, task.cardinality)
    shape = (len(x), task.classes) if task.kind == "multiclass" else (len(x),)
    found = scorer.score(x)
    if found.shape != shape:
        raise TamperError(f"The model answers {found.shape} for rows of {shape}.", hint=HINT)
    some = x[:: len(x) // ASKED_ALONE]
    for row, batch in zip(some, scorer.score(np.ascontiguousarray(some)), strict=True):
        alone = scorer.score_row(bytearray(row.tobytes()))
        if np.shape(alone) != np.shape(np.atleast_1d(batch)) or not _alike(alone, batch):
            raise TamperError(
                f"The model answers a row alone with {_shown(alone)} and among others with {_shown(batch)}.",
                hint=HINT,
            )
    told, each = scorer.contributions(x[:4]), x.shape[1] + 1
    wanted = (4, each * task.classes if task.kind == "multiclass" else each)
    if told is not None and np.shape(told) != wanted:
        raise TamperError(f"The model explains in {np.shape(told)} where {wanted} is asked for.", hint=HINT)
    return len(x)


def _alike(alone: Any, batch: Any) -> bool:
    """Whether two ways to add up the same numbers came to the same."""
    import numpy as np

    return bool(np.allclose(alone, batch, rtol=1e-6, atol=1e-9, equal_nan=True))


def _shown(answer: Any) -> str:
    import numpy as np

    return ", ".join(f"{v:g}" for v in np.atleast_1d(answer)[:5])


def _rows(columns: int, categorical: tuple[int, ...], cardinality: tuple[int, ...]) -> Matrix:
    import numpy as np

    random = np.random.default_rng(0)
    fixed = [np.full(columns, value) for value in (0.0, 1.0, -1.0, np.nan, 1e6, -1e6)]
    x = np.vstack([*fixed, random.normal(size=(26, columns)), random.normal(0, 1e3, (32, columns))])
    for index, count in zip(categorical, cardinality, strict=True):
        x[6:, index] = random.integers(0, max(1, count), len(x) - 6)
    return np.ascontiguousarray(x)
