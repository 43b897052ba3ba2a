"""Days that were read again, put between the days of the snapshot that were not.

What stands in the snapshot from the first of these days on is made anew of both and then put in by `merge`. Of a KEY the latest row
stands in the snapshot, so a day's rows depend on other days: where a key is gone, an older row of it may come back, and where a
row was moved, another of its key may be gone. `more` names the days that are to be read for that. Days that are not compared with
the source are read again only for rows that came: what the source let go of them stays, where a KEY tells rows apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from tilth.core.names import literal, quoted
from tilth.ml.data import rows as kept
from tilth.ml.data import snapshots
from tilth.ml.data.checks import Checks
from tilth.ml.data.healing import Healing, Span
from tilth.ml.data.rows import Rows
from tilth.ml.data.snapshots import event_text
from tilth.ports.blobs import Blobs
from tilth.ports.engine import QueryEngine, Relation
from tilth.ports.snapshots import Manifest

ROUNDS = 3  # of reading more days; after that all from the first on are read


def patched(
    parent: Manifest, fresh: Rows, healing: Healing, checks: Checks, engine: QueryEngine, blobs: Blobs, folder: str
) -> Rows:  # fmt: skip
    """All rows from the first day that was read again on: those that were read, and the snapshot's of other days."""
    old = _old(parent, healing, blobs)
    if not old:
        return fresh
    where = _stays(healing, checks)
    sql = f"SELECT * FROM old o WHERE {where} UNION ALL SELECT * FROM new"
    reader = engine.stream(sql, {"old": old, "new": fresh.relation})
    return kept.spool(snapshots.plain_batches(reader, fresh.schema), fresh.schema, folder, "patched", checks)


def more(
    parent: Manifest, fresh: Rows, healing: Healing, checks: Checks, engine: QueryEngine, blobs: Blobs
) -> set[date]:
    """Days that are to be read as well, since keys went from or came to days that are read again."""
    old = _old(parent, healing, blobs)
    if not checks.key or not old:
        return set()
    inputs: dict[str, Relation] = {"old": old, "new": fresh.relation}
    return _moved(healing, checks, engine, inputs) | _uncovered(healing, checks, engine, inputs)


def _moved(healing: Healing, checks: Checks, engine: QueryEngine, inputs: dict[str, Relation]) -> set[date]:
    """Days that were not compared and hold a later row of a key that came: it may be gone from there."""
    event = quoted(_event(checks))
    since = f" AND {event} < {_moment(healing.since)}" if healing.since is not None else ""
    sql = (
        f"SELECT DISTINCT {event}::DATE AS day FROM old o WHERE {_between(healing, checks)}{since}"
        f" AND EXISTS (SELECT 1 FROM new n WHERE {_same(checks)} AND n.{event} < o.{event})"
    )
    return set(engine.stream(sql, inputs).read_all()["day"].to_pylist())


def _uncovered(
    healing: Healing, checks: Checks, engine: QueryEngine, inputs: dict[str, Relation]
) -> set[date]:
    """Compared days of which the source holds other rows than the snapshot, where a key is gone from the days that were read."""
    answer = healing.answer
    if answer is None or not healing.asking.counted or healing.since is None or healing.low is None:
        return set()
    event = quoted(_event(checks))
    read = f"({_within(healing.spans, event)} OR {event} >= {_moment(healing.low)})"
    sql = (
        f"SELECT 1 FROM old o WHERE {read} AND NOT EXISTS (SELECT 1 FROM new n WHERE {_same(checks)}) LIMIT 1"
    )
    if not engine.stream(sql, inputs).read_all().num_rows:
        return set()
    counted = f"SELECT {event}::DATE AS day, count(*) AS rows FROM old o GROUP BY 1"
    found = {
        r["day"]: r["rows"] for r in engine.stream(counted, {"old": inputs["old"]}).read_all().to_pylist()
    }
    first, low = healing.since.date(), healing.low.date()
    known = {d for s in healing.spans for d in _days(s)}
    return {
        d for d, (rows, _) in answer.counts.items() if first <= d < low and d not in known and found.get(d, 0) != rows
    }  # fmt: skip


def changed(
    parent: Manifest, good: Rows, checks: Checks, since: datetime, until: datetime, engine: QueryEngine, blobs: Blobs
) -> set[date]:  # fmt: skip
    """Days in [since, until) whose rows in the snapshot are others than those that were read."""
    low = event_text(since) or ""
    old: Relation = [blobs.path(p.blob) for p in parent.parts if (p.event_max or "") >= low]
    if not old:
        old = snapshots.empty(parent.schema)
    event = quoted(_event(checks))
    listed = ", ".join(quoted(f.name) for f in checks.schema)
    tests = f"{event} >= {_moment(since)} AND {event} < {_moment(until)}"

    def days(of: str) -> str:
        return f"SELECT {event}::DATE AS day, count(*) AS n, sum(hash({listed})) AS h FROM {of} WHERE {tests} GROUP BY 1"

    sql = (
        f"SELECT coalesce(a.day, b.day) AS day FROM ({days('old')}) a FULL JOIN ({days('new')}) b ON a.day = b.day"
        " WHERE a.n IS DISTINCT FROM b.n OR a.h IS DISTINCT FROM b.h"
    )
    return set(engine.stream(sql, {"old": old, "new": good.relation}).read_all()["day"].to_pylist())


# --- SQL ---------------------------------------------------------------------------------------------------


def _old(parent: Manifest, healing: Healing, blobs: Blobs) -> list[str]:
    """The files with rows of the snapshot from the first day on."""
    assert healing.first is not None
    first = event_text(_lowest(healing)) or ""
    return [blobs.path(p.blob) for p in parent.parts if (p.event_max or "") >= first]


def _lowest(healing: Healing) -> datetime:
    """From when on files are looked into: a key that is gone may have older rows on any day that is compared."""
    assert healing.first is not None
    return min(healing.first, healing.since) if healing.since is not None else healing.first


def _stays(healing: Healing, checks: Checks) -> str:
    """SQL that is true for a row of the snapshot that stays."""
    between = _between(healing, checks)
    if not checks.key:
        return between
    event = quoted(_event(checks))
    spans = [s for s in healing.spans if healing.since is None or s.start < healing.since]
    if not spans:
        return between
    until = f" AND {event} < {_moment(healing.since)}" if healing.since is not None else ""
    if healing.asked is not None:
        until += f" AND NOT {_within((healing.asked,), event)}"
    gone = f"{_within(spans, event)}{until} AND NOT EXISTS (SELECT 1 FROM new n WHERE {_same(checks)})"
    return f"({between} OR ({gone}))"


def _between(healing: Healing, checks: Checks) -> str:
    """SQL that is true for a row of the snapshot between the first day and the window whose day was not read."""
    event = quoted(_event(checks))
    assert healing.first is not None
    assert healing.low is not None
    within = _within(healing.spans, event)
    return f"({event} >= {_moment(healing.first)} AND {event} < {_moment(healing.low)} AND NOT {within})"


def _within(spans: Sequence[Span], event: str) -> str:
    """SQL that is true for a time in one of the spans."""
    tests = [f"{event} >= {_moment(s.start)} AND {event} < {_moment(s.end)}" for s in spans]
    return "(" + (" OR ".join(f"({t})" for t in tests) or "false") + ")"


def _same(checks: Checks) -> str:
    return " AND ".join(f"n.{quoted(c)} = o.{quoted(c)}" for c in checks.key)


def _days(span: Span) -> list[date]:
    return [span.first + timedelta(days=n) for n in range((span.last - span.first).days + 1)]


def _event(checks: Checks) -> str:
    assert checks.event_time is not None
    return checks.event_time


def _moment(at: Any) -> str:
    return f"TIMESTAMP {literal(str(at))}"
