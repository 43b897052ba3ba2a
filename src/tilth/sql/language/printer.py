"""Statements to canonical text: one way to write each, which `parser` reads back to an equal statement.

Clauses stand in the order of the language reference; what equals its default is left out; queries are verbatim.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from tilth.core.errors import LanguageError
from tilth.core.names import is_bare, literal, quoted
from tilth.core.time import parse_duration, show_duration
from tilth.sql.language.statements import (
    ApplyStatement,
    CheckKind,
    Condition,
    CreateDataset,
    CreateEndpoint,
    CreateModel,
    CreateSource,
    DatasetRef,
    Drill,
    Drop,
    Expectation,
    ExplainPredict,
    Features,
    NativeQuery,
    Options,
    PlanStatement,
    Promote,
    PromoteEnvironment,
    Refresh,
    RefreshDataset,
    RetrainModel,
    RollbackEnvironment,
    Rollout,
    Secret,
    Select,
    Statement,
    Target,
    Value,
)
from tilth.sql.language.tokens import RESERVED

_STATE_WORDS = RESERVED | {"MODEL", "DATASET", "SOURCE", "ENDPOINT", "ENVIRONMENT"}


def show(statement: Statement) -> str:
    """The statement in its canonical form, ending in `;`."""
    return _SHOW[type(statement)](statement) + ";"


def show_check(e: Expectation) -> str:
    """An EXPECT item without its ON FAIL: what check results are called by."""
    if e.kind is CheckKind.REFERENCES and e.table is not None:
        return f"REFERENCES {_name(e.table[0])}.{_column(e.table[1])} ({_columns(e.columns)})"
    if e.kind is CheckKind.FRESH and e.within is not None:
        return f"FRESH WITHIN {span(e.within)}"
    return e.expression


def span(duration: timedelta) -> str:
    """A duration as a quoted text that reads back as exactly the same."""
    text = show_duration(duration)
    try:
        exact = parse_duration(text) == duration
    except LanguageError:
        exact = False
    return literal(text if exact else f"{round(duration / timedelta(microseconds=1))} microseconds")


def percent(share: float) -> str:
    """A share as '20%', exactly."""
    text = format(Decimal(repr(share)).scaleb(2), "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "%"


def show_value(value: Value) -> str:
    """A value as it is written in options; secrets stay references."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        return literal(value)
    if isinstance(value, Secret):
        return f"SECRET {literal(value.reference)}"
    if isinstance(value, Options):
        return "{" + ", ".join(f"{literal(k)}: {show_value(v)}" for k, v in value.items) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(show_value(v) for v in value) + "]"
    return repr(value)


def _name(name: str) -> str:
    """A resource's name: bare when it would be read back as it is."""
    plain = is_bare(name) and "$" not in name and name == name.lower() and name.upper() not in _STATE_WORDS
    return name if plain else quoted(name)


def _column(name: str) -> str:
    plain = is_bare(name) and "$" not in name and name.upper() not in RESERVED
    return name if plain else quoted(name)


def _columns(names: tuple[str, ...]) -> str:
    return ", ".join(_column(n) for n in names)


def _key(key: str) -> str:
    return ".".join(part if is_bare(part) and "$" not in part else quoted(part) for part in key.split("."))


def _options(options: Options) -> str:
    return ", ".join(f"{_key(k)} = {show_value(v)}" for k, v in options.items)


def _create(kind: str, s: CreateSource | CreateDataset | CreateModel | CreateEndpoint) -> str:
    replace = "OR REPLACE " if s.or_replace else ""
    exists = "IF NOT EXISTS " if s.if_not_exists else ""
    return f"CREATE {replace}{kind} {exists}{_name(s.name)}"


def _rows(head: str, *clauses: str | None) -> str:
    return "\n  ".join([head, *(c for c in clauses if c)])


def _source(s: CreateSource) -> str:
    head = f"{_create('SOURCE', s)} ENGINE {_name(s.engine)}"
    return _rows(head, f"WITH ({_options(s.options)})" if s.options else None)


def _refresh(r: Refresh) -> str | None:
    words = [
        f"EVERY {span(r.every)}" if r.every is not None else "",
        "ON CHANGE" if r.on_change else "",
        "INCREMENTAL" if r.incremental else "",
        f"LOOKBACK {span(r.lookback)}" if r.lookback is not None else "",
    ]
    return " ".join(["REFRESH", *(w for w in words if w)]) if any(words) else None


def _expect(items: tuple[Expectation, ...]) -> str | None:
    if not items:
        return None
    rows = ",\n    ".join(f"{show_check(e)} ON FAIL {e.on_fail.name}" for e in items)
    return f"EXPECT (\n    {rows}\n  )"


def _dataset(s: CreateDataset) -> str:
    tags = ", ".join(f"{_column(t.column)} = {literal(t.label)}" for t in s.tags)
    declared = _rows(
        _create("DATASET", s),
        f"KEY ({_columns(s.key)})" if s.key else None,
        f"EVENT TIME {_column(s.event_time)}" if s.event_time else None,
        _refresh(s.refresh),
        _expect(s.expect),
        f"TAG ({tags})" if tags else None,
    )
    return f"{declared}\nAS {s.query.sql}"


def _from(source: DatasetRef | NativeQuery | Any) -> str:
    if isinstance(source, DatasetRef):
        return f"FROM {_name(source.name)}"
    if isinstance(source, NativeQuery):
        return f"FROM {_name(source.source)} ({source.sql})"
    return f"FROM ({source.sql})"


def _features(f: Features) -> str | None:
    if f.include:
        return f"FEATURES ({_columns(f.include)})"
    return f"FEATURES (* EXCEPT ({_columns(f.exclude)}))" if f.exclude else None


def _condition(c: Condition) -> str:
    if isinstance(c.value, timedelta):
        return f"{c.signal} {c.op} {span(c.value)}"
    written = literal(percent(c.value)) if c.signal == "new_rows" else repr(c.value)
    return f"{c.signal} {c.op} {written}"


def _promote(p: Promote) -> str | None:
    if p == Promote():
        return None
    return f"PROMOTE IF {p.text}"


def _target(t: Target) -> str:
    alias = f" AS {_column(t.alias)}" if t.alias else ""
    return (
        _column(t.column) + alias + (f" POSITIVE {show_value(t.positive)}" if t.positive is not None else "")
    )


def _model(s: CreateModel) -> str:
    targets = ", ".join(_target(t) for t in s.targets)
    return _rows(
        _create("MODEL", s),
        f"PREDICT {targets}",
        _from(s.source),
        f"ORDER BY {_columns(s.order_by)}" if s.order_by else None,
        f"GROUP BY {_columns(s.group_by)}" if s.group_by else None,
        f"WINDOW {s.window}" if s.window is not None else None,
        f"HORIZON {s.horizon}" if s.horizon is not None else None,
        _features(s.features),
        f"OBJECTIVE ({_options(s.objective)})" if s.objective else None,
        f"USING ({_options(s.using)})" if s.using else None,
        f"RETRAIN WHEN {' OR '.join(_condition(c) for c in s.retrain)}" if s.retrain else None,
        _promote(s.promote),
        f"ACCEPT LEAK ({_columns(s.accept.columns)}) BECAUSE {literal(s.accept.because)}"
        if s.accept
        else None,
    )


def _rollout(r: Rollout) -> str | None:
    if r == Rollout():
        return None
    parts = [
        f"shadow = '{r.shadow_requests} requests'" if r.shadow_requests else "",
        f"canary = '{percent(r.canary_share)} for {r.canary_requests} requests'" if r.canary_requests else "",
        f"max_error_rate = '{percent(r.max_error_rate)}'"
        if r.max_error_rate != Rollout().max_error_rate
        else "",
        f"max_p99 = {span(r.max_p99)}" if r.max_p99 is not None else "",
        f"max_disagreement = '{percent(r.max_disagreement)}'" if r.max_disagreement is not None else "",
        f"deadline = {span(r.deadline)}" if r.deadline is not None else "",
    ]
    return f"ROLLOUT ({', '.join(p for p in parts if p)})"


def _endpoint(s: CreateEndpoint) -> str:
    o = s.outcomes
    return _rows(
        f"{_create('ENDPOINT', s)} FOR MODEL {_name(s.model)}",
        f"REGIONS ({', '.join(literal(r) for r in s.regions)})" if s.regions else None,
        f"REPLICAS {s.replicas}" if s.replicas != 1 else None,
        _rollout(s.rollout),
        f"OUTCOMES FROM {_name(o.dataset)} ({_columns((*o.key, o.column))}){' REQUIRE KEY' if o.require_key else ''}"
        if o
        else None,
    )


def _drop(s: Drop) -> str:
    return f"DROP {s.kind.name} {'IF EXISTS ' if s.if_exists else ''}{_name(s.name)}"


def _plan(s: PlanStatement | ApplyStatement) -> str:
    verb = "PLAN" if isinstance(s, PlanStatement) else "APPLY"
    return f"{verb} FOR ENVIRONMENT {_name(s.environment)}" if s.environment is not None else verb


def _rollback(s: RollbackEnvironment) -> str:
    to = f" TO GENERATION {s.generation}" if s.generation is not None else ""
    return f"ROLLBACK ENVIRONMENT {_name(s.environment)}{to}"


def _retrain(s: RetrainModel) -> str:
    return f"RETRAIN MODEL {_name(s.name)}" + (f" USING ({_options(s.using)})" if s.using else "")


def _promote_environment(s: PromoteEnvironment) -> str:
    return f"PROMOTE ENVIRONMENT {_name(s.source)} TO {_name(s.target)}"


def _explain(s: ExplainPredict) -> str:
    return f"EXPLAIN PREDICT {_name(s.model)} ({_options(s.inputs)})"


def _refresh_dataset(s: RefreshDataset) -> str:
    return f"REFRESH DATASET {_name(s.name)}"


def _drill(s: Drill) -> str:
    return f"DRILL MODEL {_name(s.model)} ({s.drill.value})"


def _select(s: Select) -> str:
    return s.sql


_SHOW: dict[type, Callable[[Any], str]] = {
    CreateSource: _source,
    CreateDataset: _dataset,
    CreateModel: _model,
    CreateEndpoint: _endpoint,
    Drop: _drop,
    PlanStatement: _plan,
    ApplyStatement: _plan,
    PromoteEnvironment: _promote_environment,
    RollbackEnvironment: _rollback,
    RefreshDataset: _refresh_dataset,
    RetrainModel: _retrain,
    ExplainPredict: _explain,
    Drill: _drill,
    Select: _select,
}
