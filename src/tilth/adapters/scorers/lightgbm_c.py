"""LightGBM's C interface by ctypes: what the learner and the scorer need, and nothing else.

The `lightgbm` package costs seconds of CPU to import since it pulls in scikit-learn, scipy and pandas; its shared
library loads in milliseconds. Handles are freed when their owner goes away. Neighbours: `lightgbm_learner`
(training) and `lightgbm_scorer` (prediction).
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
from functools import cache
from typing import TYPE_CHECKING

from tilth.core.errors import MissingExtraError, ResourceLimitError, TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

BINNED, ZERO = 200_000, 1e-35  # as LightGBM has them: rows that bins are made of, and what counts as 0
FLOAT32, FLOAT64, INT32 = 0, 1, 2
NORMAL, RAW, LEAF, CONTRIB = 0, 1, 2, 3


@cache
def library() -> ctypes.CDLL:
    """The shared library of the installed `lightgbm` package, silenced; its Python code is not run."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    spec = importlib.util.find_spec("lightgbm")
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    paths = [
        os.path.join(place, folder, name)
        for place in places
        for folder in ("lib", "bin", "")
        for name in ("lib_lightgbm.so", "lib_lightgbm.dylib", "lib_lightgbm.dll")
    ]
    path = next((p for p in paths if os.path.isfile(p)), None)
    if path is None:
        raise MissingExtraError("The library of LightGBM is not installed.", hint="Run: pip install lightgbm")
    try:
        lib = ctypes.CDLL(path)
    except OSError as error:
        raise MissingExtraError(
            f"The library of LightGBM does not load: {error}",
            hint="LightGBM needs the OpenMP runtime; on Debian: apt install libgomp1",
        ) from error
    lib.LGBM_GetLastError.restype = ctypes.c_char_p
    quiet = ctypes.CFUNCTYPE(None, ctypes.c_char_p)(lambda _text: None)  # kept alive by the library
    lib.LGBM_RegisterLogCallback(quiet)
    lib.__dict__["quiet"] = quiet
    return lib


@cache
def quick() -> ctypes.PyDLL:
    """The same library for calls of a few microseconds: the interpreter's lock is kept, since giving it up costs more."""
    return ctypes.PyDLL(library()._name)  # noqa: SLF001  # ctypes has no other way to ask


def check(status: int) -> None:
    """Raise LightGBM's own words when a call did not succeed."""
    if status != 0:
        words = (library().LGBM_GetLastError() or b"").decode(errors="replace")
        if "bad_alloc" in words or "bad allocation" in words:
            raise ResourceLimitError(
                "LightGBM ran out of memory.",
                hint="Give the model more: USING memory = '8 GB', or fewer columns.",
            )
        raise TrainingError(f"LightGBM refused: {words}", hint="Check the engine options in USING (...).")


def version() -> str:
    """The installed version, from the package's metadata."""
    from importlib.metadata import version as installed

    return installed("lightgbm")


def parameters(values: dict[str, object]) -> bytes:
    """`a=1 b=x` as LightGBM reads it; lists become comma-separated."""

    def text(value: object) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

    return " ".join(f"{k}={text(v)}" for k, v in values.items()).encode()


class Data:
    """A binned matrix with its labels; `reference` gives the bins of the training matrix to a validation matrix."""

    def __init__(
        self,
        x: Matrix,
        y: Matrix,
        params: bytes,
        reference: Data | None = None,
        weight: Matrix | None = None,
        begin: Matrix | None = None,
    ) -> None:
        self.handle = ctypes.c_void_p()
        lib = library()
        rows, columns = x.shape
        check(
            lib.LGBM_DatasetCreateFromMat(
                ctypes.c_void_p(x.ctypes.data), FLOAT64, ctypes.c_int32(rows), ctypes.c_int32(columns), 1, params,
                reference.handle if reference else None, ctypes.byref(self.handle),
            )
        )  # fmt: skip
        self._say(b"label", y)
        if weight is not None:
            self._say(b"weight", weight)
        if begin is not None:  # [rows, classes], which LightGBM wants class by class
            import numpy as np

            sums = np.asfortranarray(begin, dtype=np.float64)
            place = ctypes.c_void_p(sums.ctypes.data)
            check(
                lib.LGBM_DatasetSetField(self.handle, b"init_score", place, ctypes.c_int(sums.size), FLOAT64)
            )

    def _say(self, name: bytes, values: Matrix | npt.NDArray[np.float32]) -> None:
        """A number for each row."""
        import numpy as np

        narrow = np.ascontiguousarray(values, dtype=np.float32)
        place = ctypes.c_void_p(narrow.ctypes.data)
        check(library().LGBM_DatasetSetField(self.handle, name, place, ctypes.c_int(len(narrow)), FLOAT32))

    def __del__(self) -> None:
        if getattr(self, "handle", None):
            library().LGBM_DatasetFree(self.handle)


class Streamed(Data):
    """Rows that are binned as they come: bins are those of some rows, of which at most `BINNED` are looked at."""

    def __init__(
        self,
        some: Matrix,
        y: npt.NDArray[np.float32],
        batches: Iterator[tuple[Matrix, Matrix | None]],
        params: bytes,
    ) -> None:
        import numpy as np

        self.handle = ctypes.c_void_p()
        some = some[:: -(-len(some) // BINNED)]
        told = [(np.abs(column) > ZERO) | np.isnan(column) for column in some.T]  # the others count as 0
        values = [np.ascontiguousarray(column[own]) for column, own in zip(some.T, told, strict=True)]
        places = [np.flatnonzero(own).astype(np.int32) for own in told]
        width = some.shape[1]
        check(
            library().LGBM_DatasetCreateFromSampledColumn(
                (ctypes.c_void_p * width)(*(v.ctypes.data for v in values)),
                (ctypes.c_void_p * width)(*(p.ctypes.data for p in places)),
                ctypes.c_int32(width), (ctypes.c_int * width)(*map(len, values)), ctypes.c_int32(len(some)),
                ctypes.c_int32(len(y)), ctypes.c_int64(len(y)), params, ctypes.byref(self.handle),
            )
        )  # fmt: skip
        weight = self._pushed(batches, len(y))
        self._say(b"label", y)
        if weight is not None:
            self._say(b"weight", weight)

    def _pushed(
        self, batches: Iterator[tuple[Matrix, Matrix | None]], rows: int
    ) -> npt.NDArray[np.float32] | None:
        """Bin all rows; what they count."""
        import numpy as np

        weight, at = None, 0
        for x, counts in batches:
            if at + len(x) > rows:
                raise TrainingError("There are more rows than were counted.", hint="Run the command again.")
            place = ctypes.c_void_p(x.ctypes.data)
            check(
                library().LGBM_DatasetPushRows(
                    self.handle, place, FLOAT64, ctypes.c_int32(len(x)), ctypes.c_int32(x.shape[1]), ctypes.c_int32(at)
                )
            )  # fmt: skip
            if counts is not None:
                weight = np.zeros(rows, np.float32) if weight is None else weight
                weight[at : at + len(x)] = counts
            at += len(x)
        if at != rows:
            raise TrainingError(
                f"There are {at:,} rows, and {rows:,} were counted.", hint="Run the command again."
            )
        return weight


class Booster:
    """A model that is being grown, or one read from its text."""

    def __init__(self, data: Data | None, params: bytes, text: bytes | None = None) -> None:
        self.handle = ctypes.c_void_p()
        self._data = data  # LightGBM keeps a pointer to it
        self._valid: list[Data] = []
        if data is not None:
            check(library().LGBM_BoosterCreate(data.handle, params, ctypes.byref(self.handle)))
        else:
            count = ctypes.c_int()
            check(
                library().LGBM_BoosterLoadModelFromString(
                    text, ctypes.byref(count), ctypes.byref(self.handle)
                )
            )

    def watch(self, data: Data) -> None:
        """Add a matrix on which the metric is evaluated after each round."""
        check(library().LGBM_BoosterAddValidData(self.handle, data.handle))
        self._valid.append(data)

    def merge(self, other: Booster) -> None:
        """Put the rounds of another one before its own; they count in its text and answers, not in what it watches."""
        check(library().LGBM_BoosterMerge(self.handle, other.handle))

    def grow(self) -> bool:
        """One more round; True when there is nothing left to split."""
        finished = ctypes.c_int()
        check(library().LGBM_BoosterUpdateOneIter(self.handle, ctypes.byref(finished)))
        return finished.value == 1

    def metric(self, which: int = 0) -> float:
        """The first metric on a watched matrix."""
        length, values = ctypes.c_int(), (ctypes.c_double * 16)()
        check(library().LGBM_BoosterGetEval(self.handle, which + 1, ctypes.byref(length), values))
        return float(values[0])

    def text(self, rounds: int = -1) -> bytes:
        """The model file of the first `rounds` rounds (all: -1)."""
        size = 1 << 20
        while True:
            length, buffer = ctypes.c_int64(), ctypes.create_string_buffer(size)
            check(
                library().LGBM_BoosterSaveModelToString(
                    self.handle, 0, rounds, 0, ctypes.c_int64(size), ctypes.byref(length), buffer
                )
            )
            if length.value <= size:
                return buffer.value
            size = length.value

    def predict(self, x: Matrix, kind: int, width: int, params: bytes, rounds: int = -1) -> Matrix:
        """float64 [rows, width] for a C-contiguous float64 matrix; `kind` is NORMAL, RAW or CONTRIB; of the first `rounds`."""
        import numpy as np

        rows, columns = x.shape
        out = np.empty((rows, width))
        length = ctypes.c_int64()
        check(
            library().LGBM_BoosterPredictForMat(
                self.handle, ctypes.c_void_p(x.ctypes.data), FLOAT64, ctypes.c_int32(rows),
                ctypes.c_int32(columns), 1, kind, 0, rounds, params, ctypes.byref(length),
                ctypes.c_void_p(out.ctypes.data),
            )
        )  # fmt: skip
        return out

    def __del__(self) -> None:
        if getattr(self, "handle", None):
            library().LGBM_BoosterFree(self.handle)
