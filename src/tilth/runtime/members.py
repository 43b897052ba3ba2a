"""Whether a bundle's files may be loaded where the key is: only after a jailed process has loaded them and scored rows.

A fresh bundle is tried before it is signed, and the signed statement says by which check; so nothing is tried again when
it is served. A bundle that was signed before there was this check, by another key, or by an older check, is tried once
when it is first loaded; the audit chain remembers it. How workers are locked up is in `workers` and `jail`.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilth.core.errors import (
    BusyError,
    ResourceLimitError,
    StorageError,
    TamperError,
    TilthError,
    TrainingError,
)
from tilth.core.principals import job
from tilth.core.time import show_instant
from tilth.ml.bundles.manifest import ENVELOPE, digests, read_folder
from tilth.ports import registry
from tilth.ports.jobs import Job
from tilth.ports.progress import Silent
from tilth.runtime.record import audit

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ml.bundles.signing import Verified
    from tilth.runtime.workspace import Workspace

    Matrix = npt.NDArray[np.float64]

CHECKER = 1  # raised when the check looks at more; what passed an older one is tried again
SECONDS = 60.0
MEMORY = 1 << 30  # and ten times the size of the files
MOST_FILES, MOST_BYTES = 64, 2 << 30
BY = job("check")
HINT = "Do not serve it. Train the model again; own estimators decide what their member's file holds."


def check(work: Workspace, folder: str) -> dict[str, object]:
    """Try a bundle's files in a jail. What a statement says of it; TamperError says what is wrong with them.

    The files' sha256 are under `files`: what was tried is what may be signed or loaded.
    """
    size = _few(folder)
    scorer = _scorer(folder)
    spec = {"folder": folder, "scorer": scorer}
    job = Job("check", spec, (folder,), "", MEMORY + 10 * size, SECONDS)
    try:
        said = work.jobs.run(job, Silent())
    except ResourceLimitError as error:
        raise TamperError(
            f"The model's files cannot be tried: {error.message}",
            hint=f"They must load and answer within {SECONDS:g} s. {HINT}",
        ) from error
    except TrainingError as error:
        raise TamperError(
            f"The model's files cannot be loaded: {error.message}", hint=HINT, detail=error.detail
        ) from error
    return {"by": "tilth", "checker": CHECKER, "rows": said["rows"], "files": said["files"]}


def require_checked(work: Workspace, found: Verified) -> None:
    """Return when the verified bundle may be loaded here; it is tried now if nobody of ours has done it."""
    if found.statement.checker >= CHECKER and found.key_id == work.keys.key_id:
        return
    if _remembered(work, found.digest):
        return
    if check(work, work.bundles.path(found.digest))["files"] != dict(found.statement.files):
        raise TamperError("The bundle's files changed while they were tried.", hint="Run `tilth verify`.")
    with (
        contextlib.suppress(StorageError, BusyError),  # then it is tried again next time
        work.state.change(BY, show_instant(work.clock.now())) as change,
    ):
        change.audit("check", found.digest, {"checker": CHECKER})


def _remembered(work: Workspace, digest: str) -> bool:
    return audit.checked(work.state, digest) >= CHECKER


def _few(folder: str) -> int:
    """The bytes of the folder's files; TamperError when they are more than a bundle can have."""
    with os.scandir(folder) as entries:
        sizes = [
            entry.stat(follow_symlinks=False).st_size
            for entry, _ in zip(entries, range(MOST_FILES + 1), strict=False)
        ]
    if len(sizes) > MOST_FILES or sum(sizes) > MOST_BYTES:
        raise TamperError("The worker left more than a bundle's files.", hint=HINT)
    return sum(sizes)


def _scorer(folder: str) -> str:
    """The format of the member, which says what the jailed process loads beforehand."""
    try:
        with open(os.path.join(folder, "calibration.json"), "rb") as file:
            name = json.loads(file.read(1 << 20))["scorer"]
        if name not in registry.names("tilth.scorers"):
            raise ValueError(f"no model format is called {str(name)[:40]!r}")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise TamperError(f"The bundle does not say what it is: {error}.", hint=HINT) from error
    return str(name)


# --- in the jail -------------------------------------------------------------------------------------------


def tried(folder: str) -> dict[str, object]:
    """Load the bundle in this process and score rows; how many, and the sha256 of what was read."""
    from tilth.ml.model.predictor import Predictor

    loaded: list[Any] = []

    class Kept:
        """Loads as the format does and keeps what was loaded: the model, and what says how wide its intervals are."""

        def __init__(self, name: str) -> None:
            self._of = registry.load("tilth.scorers", name)

        def load(self, payload: bytes, task: Any, threads: int | None) -> Any:
            loaded.append((self._of.load(payload, task, threads), task))
            return loaded[-1][0]

    files = read_folder(Path(folder))
    files.pop(ENVELOPE, None)  # beside the files of a sealed bundle
    try:
        predictor = Predictor.load(files, Kept, 0, "", 1)
        rows = max(_scored(*member) for member in loaded)
        predictor.warm()
    except (TilthError, MemoryError):
        raise
    except Exception as error:
        raise TamperError(
            f"The model's files do not answer: {type(error).__name__}: {str(error)[:300]}.", hint=HINT
        ) from error
    return {"rows": rows, "files": digests(files)}


def _scored(scorer: Any, task: Any) -> int:
    """Score rows of many sizes, of gaps and of every code; TamperError when the answers have another shape."""
    x = _rows(len(task.columns), task.categorical, task.cardinality)
    shape = (len(x), task.classes) if task.kind == "multiclass" else (len(x),)
    found = scorer.score(x)
    if found.shape != shape:
        raise TamperError(f"The model answers {found.shape} for rows of {shape}.", hint=HINT)
    for row in x[:4]:
        scorer.score_row(bytearray(row.tobytes()))
    scorer.contributions(x[:4])
    return len(x)


def _rows(columns: int, categorical: tuple[int, ...], cardinality: tuple[int, ...]) -> Matrix:
    import numpy as np

    random = np.random.default_rng(0)
    fixed = [np.full(columns, value) for value in (0.0, 1.0, -1.0, np.nan, 1e6, -1e6)]
    x = np.vstack([*fixed, random.normal(size=(26, columns)), random.normal(0, 1e3, (32, columns))])
    for index, count in zip(categorical, cardinality, strict=True):
        x[6:, index] = random.integers(0, max(1, count), len(x) - 6)
    return np.ascontiguousarray(x)
