"""Lists and objects of one column: the JSON text that snapshots keep of them, and the numbers of lists of numbers.

A column whose every text is a JSON list or object is of type JSON, and takes lists and objects at every door. Lists of numbers
give their places where all are equally long, else what they have in common; all others are texts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tilth.core.schema import DataType
from tilth.ml.model.values import fitted

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

NAN = float("nan")
MOST_PLACES = 128  # of a list, up to which each is a feature
NO_NUMBERS = ("NaN", "Infinity", "-Infinity")  # as snapshots keep them
COMMON: dict[str, Callable[[Sequence[float]], float]] = {
    "length": len,  # also of what is missing
    "mean": lambda v: math.fsum(v) / len(v),
    "least": min,
    "greatest": max,
    "first": lambda v: v[0],
    "last": lambda v: v[-1],
}


def texts_of(values: Any) -> Any:
    """An Arrow column of lists or structs as texts."""
    import pyarrow as pa

    pairs = pa.types.is_map(values.type)
    rows = (dict(v) if pairs and v is not None else v for v in values.to_pylist())
    return pa.array([fitted(v, DataType.JSON) for v in rows], pa.string())


def read(text: str) -> Any:
    """The list or object that a text is; None for any other text."""
    if text[:1] not in {"[", "{"}:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def parts_of(found: Sequence[Any]) -> tuple[str, ...] | None:
    """The features of lists of numbers; None where one is no such list, or none differs from another."""
    if not all(map(is_list, found)) or all(v == found[0] for v in found):
        return None
    lengths = set(map(len, found))
    if len(lengths) == 1 and max(lengths) <= MOST_PLACES:
        return tuple(str(n) for n in range(1, max(lengths) + 1))
    return tuple(COMMON)


def is_list(value: Any) -> bool:
    """Whether it is a list of numbers, some of which may be missing."""
    return isinstance(value, list) and all(
        isinstance(v, int | float) or v is None or v in NO_NUMBERS for v in value
    )


def fits(value: Any, parts: Sequence[str]) -> bool:
    """Whether it is a list as those were that the parts were learned of."""
    return is_list(value) and (_common(parts) or len(value) == len(parts))


def features(value: Any, parts: Sequence[str]) -> list[float]:
    """The parts of a list of numbers; NaN for what it does not have, and for a list that does not fit."""
    if not fits(value, parts):
        return [NAN] * len(parts)
    numbers = [_number(v) for v in value]
    if not _common(parts):
        return numbers
    known = [v for v in numbers if v == v]  # noqa: PLR0124 - NaN is not itself
    return [float(len(numbers)), *(float(COMMON[p](known)) if known else NAN for p in parts[1:])]


def wanted(parts: Sequence[str]) -> str:
    """What the lists were in training."""
    return "lists of numbers" if _common(parts) else f"lists of {len(parts)} numbers"


def _common(parts: Sequence[str]) -> bool:
    return parts[0] in COMMON


def _number(value: Any) -> float:
    if not isinstance(value, int | float):
        return NAN
    try:
        return found if math.isfinite(found := float(value)) else NAN
    except OverflowError:
        return NAN


def matrix(texts: Sequence[str | None], parts: Sequence[str]) -> Matrix:
    """The features of texts [texts, parts]."""
    import numpy as np

    rows = [features(read(t) if t is not None else None, parts) for t in texts]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(parts))
