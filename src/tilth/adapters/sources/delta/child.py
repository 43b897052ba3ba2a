"""The process that reads a Delta table: it opens one version by deltalake, has DuckDB apply the predicates exactly, and sends Arrow.

What it may reach is in `answering`; `source` is the other side.
"""

from __future__ import annotations

import contextlib

from tilth.adapters.sources.answering import Opened, Spec, main, of_version


def _load() -> None:
    """Have deltalake start its threads, which need a pair of sockets."""
    from deltalake import DeltaTable

    with contextlib.suppress(OSError):
        DeltaTable.is_deltatable("/dev/null")


def _opened(spec: Spec) -> Opened:
    import pyarrow as pa
    from deltalake import DeltaTable

    table = DeltaTable(spec["uri"], version=spec["version"], storage_options=spec["storage"] or None)
    rows = table.scan(columns=spec["columns"], predicate=" AND ".join(spec["early"]) or None)
    return Opened(pa.RecordBatchReader.from_stream(rows), table.version(), str(table.metadata().id))


if __name__ == "__main__":
    main(lambda spec: of_version(spec, _load, _opened))
