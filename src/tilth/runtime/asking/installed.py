"""The table `tilth.engines`: the engines of models that are installed here, ours and those of other packages.

What an engine says of itself is in `core.engines`; this only makes a table of it. Beside `catalog`, whose other tables
are of the project.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.ports.learning import engines, version_of

if TYPE_CHECKING:
    import pyarrow as pa


def table() -> pa.Table:
    """One row an engine; `auto` is its place among those that engine = 'auto' tries, `fault` why it cannot be used."""
    import pyarrow as pa

    types = {
        "name": pa.string(), "package": pa.string(), "version": pa.string(), "learning": pa.int64(), "auto": pa.int64(),
        "options": pa.list_(pa.string()), "estimator": pa.bool_(), "explains": pa.bool_(), "fault": pa.string(),
    }  # fmt: skip
    rows = [
        {
            "name": e.name,
            "package": e.package,
            "version": version_of(e.package),
            "learning": e.learning,
            "auto": e.rank,
            "options": None if e.options is None else [f"{o.name}: {o.words}" for o in e.options],
            "estimator": e.estimator,
            "explains": e.explains,
            "fault": e.fault or None,
        }
        for e in engines()
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema(types.items()))
