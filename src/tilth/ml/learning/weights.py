"""What rows count where OBJECTIVE (weight = 'w') says so: read from its column, checked, and 1 on average."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tilth.core.errors import DataError
from tilth.ml.judging.gates import FEWEST
from tilth.ml.model.spec import TrainingSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Array = npt.NDArray[np.float64]


def of(spec: TrainingSpec, table: pa.Table, part: npt.NDArray[np.int8]) -> Array | None:
    """[rows], or None where nothing says what rows count. `part` is of the rows before the judged window.

    DataError for a column that is no number, has gaps, or counts too few rows.
    """
    import numpy as np

    if spec.weight is None:
        return None
    name, found = spec.weight, read(spec.weight, table.column(spec.weight))
    counted = found > 0
    older = counted[: len(part)]
    if counted.sum() < FEWEST.rows or (len(np.unique(part[older])) < 2 and (part >= 0).all()):
        raise _refused(
            name,
            f"is above 0 in {int(counted.sum()):,} rows only, or in rows of one time only",
            "a column that more rows have",
        )
    share: Array = found / found.mean()
    return share


def read(name: str, column: Any) -> Array:
    """What each row counts, as the column says. DataError for one that is no number, has gaps, or says less than 0."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise _refused(name, f"is {kind}, and no number", f"CAST({name} AS DOUBLE)")
    found = np.asarray(pc.fill_null(pc.cast(column, pa.float64()), np.nan), dtype=np.float64)
    wrong = {"missing": np.isnan(found), "negative": found < 0, "infinite": np.isinf(found)}
    for word, rows in wrong.items():
        if rows.any():
            raise _refused(
                name, f"is {word} in {int(rows.sum()):,} rows", f"EXPECT ({name} >= 0 ON FAIL QUARANTINE)"
            )
    return found


def counted(name: str | None, table: pa.Table, some: npt.NDArray[np.bool_] | None = None) -> Array | None:
    """What the rows, or some of them, count, 1 on average; None where nothing says so."""
    if name is None or not table.num_rows:
        return None
    every = read(name, table.column(name))
    found = every if some is None else every[some]
    return found / found.mean() if found.any() else found


def mean(spec: TrainingSpec, table: pa.Table) -> float:
    """What `of` divides by."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if spec.weight is None:
        return 1.0
    return float(pc.mean(pc.cast(table.column(spec.weight), pa.float64())).as_py())


def unfit(name: str) -> DataError:
    """What is said of a weight that some row of a tall table has not."""
    return _refused(
        name, "is missing, negative or infinite in some row", f"EXPECT ({name} >= 0 ON FAIL QUARANTINE)"
    )


def _refused(name: str, what: str, hint: str) -> DataError:
    return DataError(
        f"The weight `{name}` {what}.",
        hint=f"A weight is a number of at least 0 in every row: {hint}, or leave out weight of OBJECTIVE.",
    )
