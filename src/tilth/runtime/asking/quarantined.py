"""The table `tilth.quarantined_rows`: rows that refreshes held back, read from the files that keep them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.core.time import naive
from tilth.ml.data.snapshots import file_rows
from tilth.runtime.record import refreshes
from tilth.runtime.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

_ONCE = """
SELECT max(refresh) AS refresh, dataset, row, arg_max(reasons, refresh) AS reasons, origin, min(since) AS since
FROM (SELECT *, row_number() OVER (PARTITION BY refresh, dataset, row, origin) AS nth FROM held)
GROUP BY dataset, row, origin, nth ORDER BY refresh, dataset, origin, row
"""
"""Rows that are alike in one file are as many as they were."""


def table(work: Workspace) -> pa.Table:
    """The rows held back, each once: what they were (JSON, or the raw line), and why; the refresh that kept it last, and since when it is held."""
    import pyarrow as pa

    kinds = (pa.int64(), pa.string(), pa.string(), pa.list_(pa.string()), pa.string(), pa.timestamp("us"))
    schema = pa.schema(zip(("refresh", "dataset", "row", "reasons", "origin", "since"), kinds, strict=True))
    found = [schema.empty_table()]
    for kept in refreshes.quarantine(work.state):
        rows = file_rows(work.blobs.path(kept.blob))
        said = {
            "refresh": pa.repeat(pa.scalar(kept.refresh, pa.int64()), len(rows)),
            "dataset": pa.repeat(pa.scalar(kept.dataset, pa.string()), len(rows)),
            "since": pa.repeat(pa.scalar(naive(kept.at), pa.timestamp("us")), len(rows)),
        }
        columns = {n: said[n] if n in said else rows[n] for n in schema.names}
        found.append(pa.table(columns, schema=schema))
    return work.engine.stream(_ONCE, {"held": pa.concat_tables(found)}).read_all()
