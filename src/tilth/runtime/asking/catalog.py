"""The schema `tilth`: all that the system knows, as tables that a query can read like those of any source.

Most are the state's own tables. `sources`, `datasets`, `models`, `views`, `endpoints`, `channels`, `jobs` and `triggers` say what each environment points at now,
`checks` what is expected of the datasets, `quarantined_rows` holds the rows that were held back, `predictions` is the
prediction log, and `engines` are those of models that are installed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tilth.core.errors import UnknownNameError
from tilth.core.names import did_you_mean
from tilth.core.time import naive
from tilth.plan import arrivals
from tilth.plan.arrivals import Pattern
from tilth.plan.snapshot import Pointer
from tilth.ports.predictions import BATCH
from tilth.runtime.asking import installed, quarantined, statements
from tilth.runtime.asking.made_tables import MadeTables
from tilth.runtime.loading import any_version_of
from tilth.runtime.record import (
    assumptions,
    declarations,
    endpoints,
    environments,
    messages,
    notices,
    snapshots,
    tables,
    versions,
)
from tilth.runtime.record.rows import instant
from tilth.runtime.record.snapshots import manifest_of
from tilth.runtime.record.versions import Version
from tilth.runtime.showing import arriving, elements, scheduled
from tilth.runtime.workspace import Workspace
from tilth.sql.language.printer import show_check
from tilth.sql.language.statements import CreateChannel, CreateDataset, CreateSource, Kind

if TYPE_CHECKING:
    import pyarrow as pa

NAME = "tilth"
_RENAMED = {
    "at": "recorded_at",
    "check": "expectation",
    "column": "input",
}  # DuckDB reserves the state's words
_TIMES = frozenset({"at", "watermark", "window_start", "window_end", "tuned_until"})


class SystemTables(MadeTables):
    """The schema `tilth`, over a project's state."""

    schema = NAME

    def __init__(self, work: Workspace) -> None:
        self._work = work

    def tables(self) -> tuple[str, ...]:
        return tuple(
            sorted({*tables.names(self._work.state), *_MADE, "engines", "predictions", "quarantined_rows"})
        )

    def read(self, table: str) -> pa.Table:
        name = table.lower()
        if name not in self.tables():
            raise UnknownNameError(
                f"There is no table `tilth.{table}`.",
                hint=did_you_mean(table, self.tables(), "tables of tilth"),
            )
        if name == "predictions":
            return _doors(_named(_timed(_scored(self._work, self._work.log.table(strict=True)[0]))))
        if name == "engines":
            return installed.table()
        if name == "quarantined_rows":
            return quarantined.table(self._work)
        if name in _MADE:
            columns, make = _MADE[name]
            return _table(
                columns, [r for env in environments.names(self._work.state) for r in make(self._work, env)]
            )
        columns = {c: _kind(c, t) for c, t in tables.columns(self._work.state, name).items()}
        rows = tables.rows(self._work.state, name, self._work.serving)
        if name == "statements":
            rows += [{"number": None, **asdict(s)} for s in statements.running(self._work.state)]
        if name == "notices":
            rows += [_undelivered(r) for r in self._rows("messages") if r["status"] == messages.DEAD]
        return _named(_table(columns, rows))

    def _rows(self, table: str) -> list[dict[str, Any]]:
        return tables.rows(self._work.state, table, self._work.serving)


def _undelivered(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message that its channel never took, as a row of notices."""
    return {
        "resource": Kind.CHANNEL.value, "name": message["channel"], "made": str(message["id"]), "kind": "undelivered",
        "text": f"That {message['subject']} {message['event']} was not delivered: {message['error']}",
        "at": message["settled_at"] or message["at"],
    }  # fmt: skip


def _doors(predictions: pa.Table) -> pa.Table:
    """With the door each came through: http, or batch for those that a statement wrote into a source."""
    import pyarrow.compute as pc

    batch = pc.equal(predictions.column("role"), BATCH)
    return predictions.append_column("door", pc.if_else(batch, "batch", "http"))


def _scored(work: Workspace, predictions: pa.Table) -> pa.Table:
    """The log without a greatest score where scores are of several targets, and so of several kinds."""
    import pyarrow as pa
    import pyarrow.compute as pc

    lists = predictions.column("scores").is_valid()
    asked = set(predictions.filter(lists).column("digest").unique().to_pylist())
    several = (
        [v.digest for v in versions.all_of(work.state) if v.digest in asked and len(v.parts) > 1]
        if asked
        else []
    )
    if not several:
        return predictions
    theirs = pc.is_in(predictions.column("digest"), value_set=pa.array(several))
    place = predictions.schema.get_field_index("score")
    score = pc.if_else(theirs, pa.scalar(None, pa.float64()), predictions.column("score"))
    return predictions.set_column(place, "score", score)


def _timed(predictions: pa.Table) -> pa.Table:
    """The prediction log with its instants as naive times in UTC."""
    import pyarrow as pa

    place = predictions.schema.get_field_index("at")
    moments = predictions.column(place).cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
    return predictions.set_column(place, "at", moments)


def _named(table: pa.Table) -> pa.Table:
    """The table with columns that a query can name without quotes."""
    return table.rename_columns([_RENAMED.get(n, n) for n in table.schema.names])


def _kind(column: str, declared: str) -> str:
    if declared == "TEXT" and (column in _TIMES or column.endswith("_at")):
        return "time"
    return {"INTEGER": "int", "REAL": "float"}.get(declared, "text")


def _table(columns: Mapping[str, str], rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as Arrow in the given types; an empty list keeps the types."""
    import pyarrow as pa

    types = {
        "int": pa.int64(),
        "float": pa.float64(),
        "text": pa.string(),
        "bool": pa.bool_(),
        "time": pa.timestamp("us"),
    }
    arrays = {
        name: pa.array([_cell(row.get(name), kind) for row in rows], types[kind])
        for name, kind in columns.items()
    }
    return pa.table(arrays)


def _cell(value: Any, kind: str) -> Any:
    return _moment(value) if kind == "time" else value


def _moment(value: Any) -> datetime | None:
    """An instant, its text, or the text of a naive time, as a naive time in UTC."""
    if value is None:
        return None
    if isinstance(value, datetime):
        return naive(value)
    return naive(instant({"time": value}, "time"))


# --- what environments point at ----------------------------------------------------------------------------

Made = Callable[[Workspace, str], list[dict[str, Any]]]


def _pointed(work: Workspace, environment: str, kind: Kind) -> list[Pointer]:
    return [p for p in environments.pointers_of(work.state, environment)[1] if p.kind is kind]


def _sources(work: Workspace, environment: str) -> list[dict[str, Any]]:
    out = []
    came = arriving.of_sources(work.state, environments.pointers_of(work.state, environment)[1])
    for p in _pointed(work, environment, Kind.SOURCE):
        declared = declarations.declared(p.text)
        assert isinstance(declared, CreateSource)
        out.append(
            {
                "environment": environment,
                "name": p.name,
                "engine": declared.engine,
                **arriving.facts(came.get(p.name, Pattern(0, None))),
                "definition": p.text,
            }
        )
    return out


def _datasets(work: Workspace, environment: str) -> list[dict[str, Any]]:
    current = snapshots.current(work.state, environment)
    came = arriving.refreshed(work.state, environments.pointers_of(work.state, environment)[1])
    return [
        {
            "environment": environment,
            "name": p.name,
            "snapshot": p.target,
            **_kept(current.get(p.name), "rows", "bytes", "watermark"),
            **arriving.facts(arrivals.pattern(came.get(p.recipe, ()))),
            "definition": p.text,
        }
        for p in _pointed(work, environment, Kind.DATASET)
    ]


def _kept(one: object, *names: str) -> dict[str, Any]:
    """These fields of what is recorded; Nones where nothing is."""
    return {n: getattr(one, n, None) for n in names}


def _models(work: Workspace, environment: str) -> list[dict[str, Any]]:
    current = versions.current(work.state, environment)
    return [
        {
            "environment": environment,
            "name": p.name,
            "version": int(p.target) if p.target else None,
            **_kept(current.get(p.name), "engine", "status", "rows", "created_at"),
            "metrics": getattr(current.get(p.name), "kept", None),
            "definition": p.text,
        }
        for p in _pointed(work, environment, Kind.MODEL)
    ]


def _trainings(work: Workspace, environment: str) -> list[dict[str, Any]]:
    """How each version was made: anew or from which other one, in what time, and what other ways lost on the same rows.

    Of several targets a row each; `seconds` are of all of them.
    """
    del environment
    out = []
    for one in (part for version in versions.all_of(work.state) for part in version.parts):
        facts = one.facts
        said, taught = facts.get("retraining") or {}, facts.get("teacher") or {}
        lost, start = said.get("losses") or {}, said.get("start") or {}
        out.append(
            {
                "model": one.model, "version": one.version, "output": facts.get("output"), "asked": said.get("asked", "full"), "way": said.get("way", "full"),
                "start_version": start.get("version"), "start_digest": start.get("digest"), "turns": said.get("turns"),
                "new_rows": said.get("new_rows"), "cpu_seconds": facts.get("cpu_seconds"), "fit_cpu_seconds": facts.get("fit_cpu_seconds"), "seconds": one.seconds,
                "why": said.get("why") or None, **{f"loss_{way}": lost.get(way) for way in WAYS},
                "teacher": taught.get("name"), "teacher_version": taught.get("version"), "teacher_license": taught.get("license"),
                "teacher_loss": taught.get("loss"), "student_loss": taught.get("student_loss"), "loss_without": taught.get("loss_without"),
                "loss_with": taught.get("loss_with"), "lead_kept": taught.get("kept"), "created_at": one.created_at,
            }
        )  # fmt: skip
    return out


def _endpoints(work: Workspace, environment: str) -> list[dict[str, Any]]:
    current = endpoints.current(work.state, environment)
    return [
        {
            "environment": environment,
            "name": p.name,
            "model": declarations.endpoint(p).model,
            **_kept(current.get(p.name), "revision", "version", "previous", "stage", "counts"),
            "definition": p.text,
        }
        for p in _pointed(work, environment, Kind.ENDPOINT)
    ]


def _channels(work: Workspace, environment: str) -> list[dict[str, Any]]:
    out = []
    for p in _pointed(work, environment, Kind.CHANNEL):
        declared = declarations.declared(p.text)
        assert isinstance(declared, CreateChannel)
        said = {"events": ", ".join(declared.events), "model": declared.model, "definition": p.text}
        out.append({"environment": environment, "name": p.name, **said})
    return out


def _views(work: Workspace, environment: str) -> list[dict[str, Any]]:
    return [
        {"environment": environment, "name": p.name, "definition": p.text}
        for p in _pointed(work, environment, Kind.VIEW)
    ]


def _checks(work: Workspace, environment: str) -> list[dict[str, Any]]:
    out = []
    for p in _pointed(work, environment, Kind.DATASET):
        declared = declarations.declared(p.text)
        assert isinstance(declared, CreateDataset)
        out += [
            {
                "environment": environment,
                "dataset": p.name,
                "expectation": show_check(e),
                "kind": e.kind.value,
                "on_fail": e.on_fail.value,
            }
            for e in declared.expect
        ]
    return out


def _assumptions(work: Workspace, environment: str) -> list[dict[str, Any]]:
    """For each check of each dataset the times in which it held, or was contradicted."""
    return [
        {"environment": environment, **asdict(one)}
        for p in _pointed(work, environment, Kind.DATASET)
        for one in assumptions.history(work.state, p.name)
    ]


def _columns(work: Workspace, environment: str) -> list[dict[str, Any]]:
    """The columns of each dataset; of each model its inputs, and what it was offered and does not use."""
    out: list[dict[str, Any]] = []
    for p in _pointed(work, environment, Kind.DATASET):
        fields = manifest_of(work.state, p.target).schema if p.target else ()
        said = {"environment": environment, "resource": "dataset", "name": p.name, "used": True}
        out += [{**said, "column_name": f.name, "type": f.type.value} for f in fields]
    current = versions.current(work.state, environment)
    for p in _pointed(work, environment, Kind.MODEL):
        if p.target is not None:
            said = {"environment": environment, "resource": "model", "name": p.name, "version": int(p.target)}
            learned = learned_of(current[p.name]) if p.name in current else []
            out += [{**said, **one} for one in learned or _of_before(work, p.name, p.target)]
    return out


def learned_of(version: Version) -> list[dict[str, Any]]:
    """What training made of each column; nothing where it did not say so yet. Of several targets what one of them uses is used."""
    parts = [one.facts for one in version.parts]
    weights, known = versions.importance_of(parts), dict[str, Mapping[str, Any]]()
    for c in (c for one in parts for c in one.get("columns", ())):
        if c["name"] not in known or (c["used"] and not known[c["name"]]["used"]):
            known[c["name"]] = c
    return [
        {
            "column_name": c["name"],
            "reason": c["why"],
            "distinct_values": c["distinct"],
            "importance": weights.get(c["name"]),
            **{k: c[k] for k in ("type", "used", "kind", "features", "missing")},
        }
        for c in known.values()
    ]


def _of_before(work: Workspace, name: str, target: str) -> list[dict[str, Any]]:
    """The same of a version that was trained before it was kept: its inputs, and the notices of what it does not use."""
    found = any_version_of(work, name, int(target)).inputs
    unused = (t for t in notices.of(work.state, notices.MODEL, name, target) if t.kind == DROPPED)
    return [
        *({"column_name": i.name, "type": i.type.value, "used": True} for i in found),
        *({"column_name": t.column, "used": False, "reason": t.text} for t in unused),
    ]


WAYS = ("refit", "warm", "full")
DROPPED = "dropped"  # the kind of a notice of a column that a model does not use

_MADE: Mapping[str, tuple[Mapping[str, str], Made]] = {
    "sources": (
        {
            **dict.fromkeys(("environment", "name", "engine"), "text"),
            **arriving.COLUMNS,
            "definition": "text",
        },
        _sources,
    ),
    "channels": (dict.fromkeys(("environment", "name", "events", "model", "definition"), "text"), _channels),
    "views": (dict.fromkeys(("environment", "name", "definition"), "text"), _views),
    **elements.TABLES,
    "jobs": (scheduled.JOBS, scheduled.jobs),
    "triggers": (scheduled.TRIGGERS, scheduled.triggers),
    "datasets": (
        {
            "environment": "text",
            "name": "text",
            "snapshot": "text",
            "rows": "int",
            "bytes": "int",
            "watermark": "time",
            **arriving.COLUMNS,
            "definition": "text",
        },
        _datasets,
    ),
    "models": (
        {
            "environment": "text",
            "name": "text",
            "version": "int",
            "engine": "text",
            "status": "text",
            "rows": "int",
            "metrics": "text",
            "created_at": "time",
            "definition": "text",
        },
        _models,
    ),
    "trainings": (
        {
            "model": "text",
            "version": "int",
            **dict.fromkeys(("output", "asked", "way"), "text"),
            "start_version": "int",
            "start_digest": "text",
            **dict.fromkeys(("turns", "new_rows"), "int"),
            **dict.fromkeys(("cpu_seconds", "fit_cpu_seconds", "seconds"), "float"),
            "why": "text",
            **{f"loss_{way}": "float" for way in WAYS},
            **dict.fromkeys(("teacher", "teacher_version", "teacher_license"), "text"),
            **dict.fromkeys(
                ("teacher_loss", "student_loss", "loss_without", "loss_with", "lead_kept"), "float"
            ),
            "created_at": "time",
        },
        _trainings,
    ),
    "endpoints": (
        {
            "environment": "text",
            "name": "text",
            "model": "text",
            "revision": "int",
            "version": "int",
            "previous": "int",
            "stage": "text",
            "counts": "text",
            "definition": "text",
        },
        _endpoints,
    ),
    "columns": (
        {
            **dict.fromkeys(("environment", "resource", "name"), "text"),
            "version": "int",
            **dict.fromkeys(("column_name", "type"), "text"),
            "used": "bool",
            **dict.fromkeys(("kind", "reason"), "text"),
            **dict.fromkeys(("features", "distinct_values"), "int"),
            **dict.fromkeys(("missing", "importance"), "float"),
        },
        _columns,
    ),
    "assumptions": (
        {
            **dict.fromkeys(("environment", "dataset", "expectation", "kind", "on_fail", "state"), "text"),
            **dict.fromkeys(("since", "until"), "time"),
            **dict.fromkeys(("refreshes", "failed"), "int"),
            **dict.fromkeys(("room", "value", "low", "high"), "float"),
            "observed": "text",
        },
        _assumptions,
    ),
    "checks": (dict.fromkeys(("environment", "dataset", "expectation", "kind", "on_fail"), "text"), _checks),
}
