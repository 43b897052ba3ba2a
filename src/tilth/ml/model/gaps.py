"""Gaps where training had none, and inputs far out of it: what is said of them, and counted. One rule at every door.

An input that never was missing in training must be given; where it is given as NULL or NaN it is answered as a gap (a number
counts as the median of training, a text as one never seen), and that is told. `OBJECTIVE (strict = true)` refuses such a
row and no other. What is far out is in `ml.model.outside`.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tilth.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]


class GapWarning(UserWarning):
    """Rows were answered although an input was missing that never was in training; or refused, by a strict model."""


class OutsideWarning(UserWarning):
    """Rows were answered although an input was far out of what training had."""


@dataclass(slots=True)
class Gaps:
    """Of the rows that a model was asked: how many lacked which input or had it far out, and how many it refused.

    Threads may share it.
    """

    model: str
    strict: bool = False
    rows: int = 0
    lacking: dict[str, int] = field(default_factory=dict)
    far: dict[str, int] = field(default_factory=dict)
    how: dict[str, str] = field(default_factory=dict)  # in which way they are, in words
    refused: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def see(self, rows: int, masks: Mapping[str, Mask]) -> Mask | None:
        """Count these rows; which of them a strict model refuses, None when none."""
        import numpy as np

        hit = np.logical_or.reduce(list(masks.values())) if masks and self.strict else None
        with self._lock:
            self.rows += rows
            for name, mask in masks.items():
                self.lacking[name] = self.lacking.get(name, 0) + int(mask.sum())
            self.refused += int(hit.sum()) if hit is not None else 0
        return hit

    def see_far(self, name: str, rows: int, how: str) -> None:
        """Count rows in which an input is far out of what training had."""
        with self._lock:
            self.far[name] = self.far.get(name, 0) + rows
            self.how[name] = how

    def words(self) -> tuple[str, ...]:
        """What people should know, a line for each input."""
        return (*self._gaps(), *self._far())

    def _far(self) -> tuple[str, ...]:
        return tuple(
            f"{self.model}: `{name}` {self.how[name]} in {count:,} of {self.rows:,} rows"
            for name, count in self.far.items()
        )

    def _gaps(self) -> tuple[str, ...]:
        end = "and was refused" if self.strict else "and was answered as a gap"
        return tuple(
            f"{self.model}: `{name}` is missing in {count:,} of {self.rows:,} rows, never was in training, {end}"
            for name, count in self.lacking.items()
        )

    def warn(self) -> None:
        """The same as Python's warnings."""
        for words in self._gaps():
            warnings.warn(words, GapWarning, stacklevel=4)
        for words in self._far():
            warnings.warn(words, OutsideWarning, stacklevel=4)


def notice(names: Sequence[str], far: Iterable[str] = ()) -> list[str]:
    """What stands beside the answer to one row; `far` says which inputs are far out."""
    missing = [f"`{name}` is missing, which it never was in training: answered as a gap" for name in names]
    return [*missing, *far]


def refusal(model: str, names: Sequence[str]) -> InputError:
    """The error for a row that a strict model does not answer."""
    listed = ", ".join(f"`{n}`" for n in names)
    return InputError(
        f"{listed} {'is' if len(names) == 1 else 'are'} missing, which never was so in training, and `{model}` is strict.",
        hint="Give a value, or train on rows with such gaps; OBJECTIVE (strict = false) answers them as gaps.",
    )


def blank(made: Any, refused: Mask | None) -> Any:
    """The outputs with NULL in the rows that were refused."""
    if refused is None or not refused.any():
        return made
    import pyarrow as pa

    places = pa.array([None if gone else i for i, gone in enumerate(refused.tolist())], pa.int64())
    return made.take(places)
