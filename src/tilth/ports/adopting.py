"""A model that another tool has fitted, read from a file that executes nothing: what it is asked with, and what it answers.

A learner that reads files of its library offers `adopt(payload, about)`. It is called in a jailed process only: what a file
says is believed by no one before. What MLflow calls a flavor is an engine of the same name here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tilth.ports.learning import Fitted, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Foreign:
    """`kind` regression | binary | multiclass; `classes` of several ones, 0 where the file does not say how many.

    `columns` as the file calls them, empty where it names none; `width` how many there are. `levels`: the texts of a column
    that are codes to the model, in the order of the codes. `member` gives what serves here, once the task is known and rows
    of a data set are there to try it on; UnsupportedError where it would not answer as the library does.
    """

    kind: str
    classes: int
    columns: tuple[str, ...]
    width: int
    levels: Mapping[int, tuple[str, ...]]
    member: Callable[[Task, Matrix], Fitted]


class Adopts(Protocol):
    """What a learner also offers whose library's files are read."""

    @staticmethod
    def adopt(payload: bytes, about: Mapping[str, Any]) -> Foreign:
        """The model in the file; `about` is what its MLmodel says of the flavor.

        UnsupportedError with the reason for what is not read, TamperError for a file that is not whole.
        """
        ...
