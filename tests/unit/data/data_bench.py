"""An engine and blobs in a temporary folder, and a source that holds Arrow tables and remembers what was asked of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from tilth.adapters.engines.duckdb_engine import DuckDBEngine
from tilth.adapters.files.blobs import FileBlobs
from tilth.core.names import quoted
from tilth.core.scan import Predicate, Scan
from tilth.core.schema import Schema
from tilth.ml.data.collect import Collected, collect
from tilth.ml.data.snapshots import plain_schema, read
from tilth.ports.arrow import schema_of
from tilth.ports.history import History
from tilth.ports.progress import Silent
from tilth.ports.snapshots import Manifest
from tilth.sql.language.statements import CheckKind, CreateDataset, Expectation, OnFail, Query, Refresh

NOW = datetime(2024, 6, 1, tzinfo=UTC)


@dataclass
class Tables:
    """A source in memory."""

    held: dict[str, pa.Table]
    engine: DuckDBEngine
    asked: list[Scan] = field(default_factory=list)
    lines: pa.Table | None = None

    def tables(self) -> tuple[str, ...]:
        return tuple(sorted(self.held))

    def describe(self, table: str) -> Schema:
        return schema_of(plain_schema(self.held[table].schema))

    def scan(self, scan: Scan) -> pa.RecordBatchReader:
        self.asked.append(scan)
        names = ", ".join(quoted(c) for c in scan.columns) if scan.columns else "*"
        where = " AND ".join(_sql(p) for p in scan.where) or "true"
        sql = f"SELECT {names} FROM t WHERE {where}"
        return self.engine.stream(sql, {"t": self.held[scan.table]})

    def native(self, sql: str) -> pa.RecordBatchReader:
        raise NotImplementedError

    def change_token(self, table: str) -> str | None:
        return None

    def close(self) -> None: ...

    def broken(self, table: str) -> pa.Table | None:
        return self.lines


def _sql(p: Predicate) -> str:
    if p.op.startswith("is_"):
        return f"{quoted(p.column)} {p.op.replace('_', ' ')}"
    values = p.value if isinstance(p.value, tuple) else (p.value,)
    shown = [str(v) if isinstance(v, int | float) else f"'{v}'" for v in values]
    return f"{quoted(p.column)} {p.op} " + (f"({', '.join(shown)})" if p.op == "in" else shown[0])


@dataclass
class Bench:
    """What a collection needs, with short ways to run one and to look at what came out."""

    engine: DuckDBEngine
    blobs: FileBlobs
    folder: Path
    source: Tables
    more: dict[str, Any] = field(default_factory=dict)

    def collect(
        self,
        spec: CreateDataset,
        parent: Manifest | None = None,
        recipe: str = "1:r",
        now: datetime = NOW,
        datasets: Mapping[str, Manifest] | None = None,
        history: History | None = None,
    ) -> Collected:
        sources = {"ops": self.source, **self.more}
        known, engine = datasets or {}, self.engine
        return collect(
            spec, recipe, sources, known, engine, self.blobs, parent, now, Silent(), history=history
        )

    def rows(self, manifest: Manifest) -> list[dict[str, Any]]:
        return read(manifest, self.blobs).read_all().to_pylist()

    def left(self) -> list[str]:
        """Temporary folders that were not removed."""
        return [p.name for p in self.folder.glob("blobs/*") if len(p.name) != 2]


def make_bench(folder: Path) -> Bench:
    engine = DuckDBEngine([str(folder)])
    return Bench(engine, FileBlobs(str(folder / "blobs")), folder, Tables({}, engine))


def dataset(
    sql: str = "SELECT * FROM ops.t",
    *expect: Expectation,
    key: tuple[str, ...] = (),
    event: str | None = None,
    lookback: timedelta | None = None,
) -> CreateDataset:
    refresh = Refresh(incremental=lookback is not None, lookback=lookback or None)
    return CreateDataset("d", Query(sql), key, event, refresh, expect)


def check(text: str, on_fail: OnFail = OnFail.STOP, kind: CheckKind = CheckKind.ROW) -> Expectation:
    return Expectation(kind, on_fail, text)
