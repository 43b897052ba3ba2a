"""What a PostgreSQL table holds by day, in one grouped scan; and the days of rows whose transactions ended after a mark.

A row names the transaction that wrote it (`xmin`). The mark is the oldest transaction that had not ended (`pg_snapshot_xmin`):
what was written by it or by a later one may not have been seen then. It is taken before the scan, so a row is at worst
seen twice. Transactions in PostgreSQL are numbered in 32 bits that begin anew, and are compared as such.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from tilth.adapters.sources.postgres.types import Column
from tilth.core.errors import TilthError
from tilth.core.names import literal, quoted
from tilth.ports.source import AskedDays, Days

if TYPE_CHECKING:
    import pyarrow as pa

Ask = Callable[[str], "pa.Table"]
_TIMES = frozenset({"date", "timestamp", "timestamptz"})
_FAR = 2**30  # transactions after which numbers of 32 bits cannot be told apart safely


def by_day(asked: AskedDays, columns: Sequence[Column], schema: str, ask: Ask) -> Days | None:
    """The rows by day; None when the column is none of times."""
    known = {c.name: c for c in columns}
    event = next((c for c in columns if c.name.lower() == asked.column.lower()), None)
    if event is None or event.kind not in _TIMES or event.declared is not None:
        return None
    table = f"{quoted(schema)}.{quoted(asked.scan.table)}"
    marked = _marked(schema, asked.scan.table, ask)
    late = _late(asked.mark, marked)
    counts = _Counts(asked, event, known, table)
    rows = ask(counts.sql(late)).to_pylist() if asked.counted or late not in (None, "false") else []
    found = {r["day"]: (int(r["rows"]), str(r["content"])) for r in rows if r["counted"]}
    seen: frozenset[date] = frozenset(r["day"] for r in rows if r["late"])
    return Days(found, None if late is None else seen, marked.mark, marked.why)


class _Marked:
    """Up to where the transactions of a table have ended, or why that cannot be told of its rows."""

    def __init__(self, place: str = "", low: int = 0, why: str = "") -> None:
        self.place, self.low, self.why = place, low, why

    @property
    def mark(self) -> str | None:
        return None if self.why else f"{self.place}:{self.low}"


def _marked(schema: str, table: str, ask: Ask) -> _Marked:
    sql = (
        "SELECT c.relkind::text AS kind, c.oid::text AS oid, d.oid::text AS base, SYSTEM AS system,"
        " pg_snapshot_xmin(pg_current_snapshot())::text AS low,"
        " EXISTS (SELECT FROM pg_partition_tree(c.oid) p JOIN pg_class k ON k.oid = p.relid WHERE k.relkind = 'f') AS foreign"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, pg_database d"
        f" WHERE n.nspname = {literal(schema)} AND c.relname = {literal(table)} AND d.datname = current_database()"
    )
    system = "(SELECT system_identifier::text FROM pg_control_system())"  # which a role may be kept from
    found: dict[str, Any] | None = None
    for of in (system, "''::text"):
        try:
            found = ask(sql.replace("SYSTEM", of)).to_pylist()[0]
        except TilthError:
            continue
        break
    if found is None:
        return _Marked(why="this server does not tell which transactions have ended")
    if found["kind"] not in "rpm" or found["foreign"]:
        what = "a view" if found["kind"] == "v" else "a foreign table, or has one as a partition"
        return _Marked(why=f"it is {what}, whose rows do not say by which transaction they were written")
    return _Marked(f"{found['system']}.{found['base']}.{found['oid']}", int(found["low"]))


def _late(mark: str | None, marked: _Marked) -> str | None:
    """SQL that is true for a row written since the mark; None when it cannot be told of which rows that is so."""
    if mark is None or marked.why:
        return "false"
    place, _, low = mark.rpartition(":")
    if place != marked.place or not 0 <= marked.low - int(low) < _FAR:
        return None
    number = "xmin::text::bigint"
    return f"({number} > 2 AND (({number} - {int(low) % 2**32}) & 4294967295) < 2147483648)"


class _Counts:
    """The query that counts."""

    def __init__(self, asked: AskedDays, event: Column, known: dict[str, Column], table: str) -> None:
        self._asked, self._event, self._table = asked, quoted(event.name), table
        names = asked.scan.columns if asked.scan.columns is not None else tuple(known)
        listed = ", ".join(
            quoted(c.name) for n in names for c in known.values() if c.name.lower() == n.lower()
        )
        self._content = f"hashtextextended(ROW({listed})::text, 0)"
        folded = {n.lower(): c for n, c in known.items()}
        self._tests = [folded[w.column.lower()].test(w) for w in asked.scan.where]

    def sql(self, late: str | None) -> str:
        """Grouped by day: rows and content of those counted, and whether one is late."""
        asked, event = self._asked, self._event
        since = f"{event} >= {literal(str(asked.since))}::timestamp" if asked.since is not None else "true"
        counted = since if asked.counted else "false"
        written = late if late is not None and asked.before is not None else "false"
        if written != "false":
            written = f"({event} < {literal(str(asked.before))}::timestamp AND {written})"
        wanted = " OR ".join(t for t in dict.fromkeys([counted, written]) if t != "false") or "false"
        tests = [f"isfinite({event})", *self._tests, f"({wanted})"]
        return (
            f"SELECT {event}::date AS day, bool_or({counted}) AS counted, count(*) AS rows,"
            f" sum({self._content})::text AS content, bool_or({written}) AS late"
            f" FROM {self._table} WHERE {' AND '.join(tests)} GROUP BY 1 ORDER BY 1"
        )
