"""Scores with a LightGBM text file through its shared library; the `lightgbm` Python package is never imported.

One row goes through the single-row fast call with a configuration and buffers of the calling thread; many rows go
through the matrix call with several threads. Training is in `lightgbm_learner`.
"""

from __future__ import annotations

import ctypes
import os
import threading
from typing import TYPE_CHECKING, Self

from tilth.adapters.scorers import lightgbm_c as c
from tilth.adapters.scorers.lightgbm_read import read
from tilth.adapters.scorers.lightgbm_text import HINT, checked
from tilth.core.errors import InputError, TamperError, TrainingError
from tilth.ports.learning import Task
from tilth.ports.portable import Member

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

SMALL = 256  # rows below which several threads cost more than they give


class LightGBMScorer:
    """A loaded booster: immutable and safe to call from several threads."""

    pandas = False

    def __init__(self, booster: c.Booster, task: Task, threads: int) -> None:
        self._booster = booster
        self._columns = len(task.columns)
        self._width = task.classes if task.kind == "multiclass" else 1
        self._threads = threads
        self._local = _Local()

    @staticmethod
    def warm() -> None:
        """Load the library."""
        c.library()

    @classmethod
    def load(cls, payload: bytes, task: Task, threads: int | None = None) -> Self:
        """Read the model file, which is checked first. `threads` limits the matrix call; None uses all cores."""
        text = checked(payload, task)
        try:
            booster = c.Booster(None, b"", text)
        except TrainingError as error:
            raise TamperError(f"LightGBM does not read the model: {error.message}", hint=HINT) from error
        return cls(booster, task, threads or os.cpu_count() or 1)

    @staticmethod
    def portable(payload: bytes, task: Task) -> Member:
        """Its trees; see `ports.portable`."""
        return read(payload, task)

    def score(self, x: Matrix) -> Matrix:
        self._fits(x.shape[1])
        if not len(x):
            return x[:, 0] if self._width == 1 else x[:, : self._width]
        out = self._booster.predict(x, c.NORMAL, self._width, self._parameters(len(x)))
        return out[:, 0] if self._width == 1 else out

    def score_row(self, row: bytearray) -> tuple[float, ...]:
        call = self._local.call
        if call is None:
            call = self._local.call = _single_row(self._booster, self._columns, self._width)
        return call(row)

    def contributions(self, x: Matrix) -> Matrix | None:
        """SHAP values of the raw score (Lundberg 2018); for several classes those of the sum over classes are not
        defined, so the caller gets [rows, classes * (columns + 1)].
        """
        self._fits(x.shape[1])
        width = self._width * (self._columns + 1)
        return self._booster.predict(x, c.CONTRIB, width, self._parameters(len(x)))

    def _parameters(self, rows: int) -> bytes:
        return b"num_threads=%d" % (1 if rows < SMALL else self._threads)

    def _fits(self, columns: int) -> None:
        if columns != self._columns:
            raise InputError(
                f"The matrix has {columns} columns; the model was trained on {self._columns}.",
                hint="Prepare the rows with the bundle's own prepare.json.",
            )


class _Local(threading.local):
    call: Callable[[bytearray], tuple[float, ...]] | None = None


def _single_row(booster: c.Booster, columns: int, width: int) -> Callable[[bytearray], tuple[float, ...]]:
    """A function of one packed row, for the calling thread only: its configuration and buffers are not shared."""
    fast = _Fast(booster, columns)
    function = c.quick().LGBM_BoosterPredictForMatSingleRowFast
    handle, size = fast.handle, 8 * columns
    buffer = bytearray(max(size, 8))
    view = (ctypes.c_char * len(buffer)).from_buffer(buffer)
    address = ctypes.c_void_p(ctypes.addressof(view))
    length, values = ctypes.c_int64(), (ctypes.c_double * width)()
    by_length, by_values = ctypes.byref(length), ctypes.byref(values)

    def call(row: bytearray, _keep: tuple[object, ...] = (fast, view)) -> tuple[float, ...]:
        buffer[:] = row
        if function(handle, address, by_length, by_values):
            c.check(-1)
        return tuple(values)

    return call


class _Fast:
    """LightGBM's configuration for the single-row call; keeps its booster alive."""

    def __init__(self, booster: c.Booster, columns: int) -> None:
        self.handle = ctypes.c_void_p()
        self._booster = booster
        c.check(
            c.library().LGBM_BoosterPredictForMatSingleRowFastInit(
                booster.handle, c.NORMAL, 0, -1, c.FLOAT64, ctypes.c_int32(columns), b"num_threads=1",
                ctypes.byref(self.handle),
            )
        )  # fmt: skip

    def __del__(self) -> None:
        if getattr(self, "handle", None):
            c.library().LGBM_FastConfigFree(self.handle)
