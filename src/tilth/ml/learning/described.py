"""What a training made of each column that it was offered: the table `tilth.columns` shows it. Which are not used, and why, `told` says too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tilth.ml.learning.rows import Rows

COUNTED = 200_000  # rows of which different values are counted


def columns(data: Rows) -> list[dict[str, Any]]:
    """A row a column, those that are learned from first, in the order of the inputs.

    `kind` is number | boolean | category | text | list | instant, `features` how many columns the engine sees of it, `missing` the share
    of rows without a value, `distinct` how many different ones the rows have (None where they are too many to count), and `why`
    is of one that is not used. Counted on the rows that tuned the model.
    """
    rows = data.table
    used = [
        {"name": c.name, "used": True, "kind": c.kind, "features": len(c.features), "why": None}
        for c in data.preparation.columns
    ]
    unused = [
        {"name": name, "used": False, "kind": None, "features": 0, "why": why}
        for name, why in data.preparation.dropped
    ]
    return [one | _counted(rows.column(str(one["name"]))) for one in (*used, *unused)]


def _counted(values: Any) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    missing = int(pc.sum(pc.is_null(values, nan_is_null=True)).as_py() or 0)
    countable = len(values) <= COUNTED and not pa.types.is_nested(values.type)
    return {
        "type": _type(values),
        "missing": missing / len(values) if len(values) else None,
        "distinct": pc.count_distinct(values).as_py() if countable else None,
    }


def _type(values: Any) -> str:
    from tilth.ports.arrow import data_type

    return data_type(values.type).value
