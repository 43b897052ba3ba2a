"""What an engine gives is looked at where it comes in: a stranger's learner may return anything, its scorer answer anything.

Each fault is told with the engine's name and what should be there, before any figure is made of it.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING, Any

from tilth.core.errors import TilthError, TrainingError
from tilth.ml.learning.made import Getter
from tilth.ports.learning import Fitted, Task, scored
from tilth.ports.texts import Reading

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

_HINT = "That is a fault of the engine's package: tilth.ports.learning says what it must give."
_NUMBERS = "Look for values of extreme size in the dataset's columns; without them, it is a fault of the engine's package."
_SUFFIX = re.compile(r"[a-z][a-z0-9]{0,15}\Z")


def scorer_of(engine: str, made: object, task: Task, scorers: Getter, threads: int, x: Matrix) -> Any:
    """The scorer of what the engine `engine` gave, which answers the rows `x` as it should; else TrainingError."""
    if wrong := _wrong(made):
        raise TrainingError(f"The engine `{engine}` gave {wrong}.", hint=_HINT)
    assert isinstance(made, Fitted)
    try:
        scorer = _loaded(made, task, scorers, threads)
        asked = x.copy()
        before, found = seen(asked), scorer.score(asked)
    except (TilthError, MemoryError):
        raise
    except Exception as error:
        raise TrainingError(
            f"The format `{made.scorer}` does not read or score what the engine `{engine}` made:"
            f" {type(error).__name__}: {error}",
            hint=_HINT,
        ) from error
    if seen(asked) != before:
        raise TrainingError(f"The format `{made.scorer}` changes the rows that it scores.", hint=_HINT)
    if unfit := _unfit(found, task, len(x)):
        raise TrainingError(
            f"The format `{made.scorer}` of the engine `{engine}` answers {unfit}.",
            hint=_NUMBERS if unfit.endswith("finite number") else _HINT,
        )
    return scorer


def _loaded(made: Fitted, task: Task, scorers: Getter, threads: int) -> Any:
    """The scorer of rows as the engine saw them."""
    if not made.texts:
        return scorers(made.scorer).load(made.payload, task, threads)
    if task.texts is None:
        raise TrainingError("The engine learned from texts that it was not given.", hint=_HINT)
    return Reading(
        scorers(made.scorer).load(made.payload, scored(task, made.texts), threads), task.texts, made.texts
    )


def seen(*arrays: Matrix) -> int:
    """A number that tells whether a fit has changed what it was given."""
    found = 0
    for array in arrays:
        found = zlib.crc32(array.data, found)
    return found


def unchanged(engine: str, before: int, *arrays: Matrix) -> None:
    """Raise when a fit has changed what it was given: what is measured on it afterwards would be of other rows."""
    if seen(*arrays) != before:
        raise TrainingError(
            f"The engine `{engine}` changed the rows that it was given to learn from.",
            hint="That is a fault of the engine's package: it must work on a copy.",
        )


def _wrong(made: object) -> str:
    """What is wrong with what a fit returned; empty when nothing is."""
    if not isinstance(made, Fitted):
        return f"{_a(made)} and not a Fitted"
    if not isinstance(made.scorer, str):
        return f"scorer = {made.scorer!r}, which should be the name of a format"
    if not isinstance(made.suffix, str) or not _SUFFIX.match(made.suffix):
        return f"suffix = {made.suffix!r}, which should be a file's suffix without the point, such as 'json'"
    if not isinstance(made.payload, bytes):
        return f"{_a(made.payload)} as payload, which should be bytes"
    pairs = isinstance(made.notes, tuple) and all(isinstance(n, tuple) and len(n) == 2 for n in made.notes)
    return "" if pairs else "notes that are not a tuple of pairs"


def _unfit(found: object, task: Task, rows: int) -> str:
    """What is wrong with the answers for so many rows; empty when nothing is."""
    import numpy as np

    shape = (rows, task.classes) if task.kind == "multiclass" else (rows,)
    if not isinstance(found, np.ndarray) or found.dtype != np.float64:
        kind = f"an array of {found.dtype}" if isinstance(found, np.ndarray) else _a(found)
        return f"with {kind}, which should be an array of float64"
    if found.shape != shape:
        return f"in the shape {found.shape} where {shape} is asked for"
    if odd := int((~np.isfinite(found)).reshape(rows, -1).any(axis=1).sum()):
        return f"{odd:,} of {rows:,} rows with what is no finite number"
    if task.kind != "regression" and rows and not (found.min() >= -1e-9 and found.max() <= 1 + 1e-9):
        return f"with {found.min():g} to {found.max():g}, which should be probabilities"
    return ""


def _a(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
