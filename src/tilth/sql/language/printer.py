"""Statements to canonical text: one way to write each, which `parser` reads back to an equal statement.

Clauses stand in the order of the language reference; what equals its default is left out; queries are verbatim. How a
CREATE is written is said by its kind; the parts that all share are in `writing`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from tilth.core.names import is_bare, literal, quoted
from tilth.sql.language import altering, mending, tables, usual
from tilth.sql.language.acts import (
    Alter,
    ApplyStatement,
    CancelRun,
    CancelStatement,
    CreateTable,
    CreateToken,
    Describe,
    Drill,
    DropToken,
    Evaluate,
    ExplainDataset,
    ExplainPredict,
    ExplainQuery,
    InsertInto,
    LookAt,
    Noted,
    PlanStatement,
    PromoteEnvironment,
    PromoteModel,
    RefreshDataset,
    ResetSetting,
    RetrainModel,
    RollbackEnvironment,
    RunJob,
    Select,
    SetSetting,
    ShowSetting,
    Statement,
    Summarize,
    UseEnvironment,
)
from tilth.sql.language.acts import Show as ShowStatement
from tilth.sql.language.mending import ForgetFrom, HoldQuarantine, ReleaseQuarantine
from tilth.sql.language.statements import CheckKind, Drop, Expectation, Options
from tilth.sql.language.writing import column, columns, name, options, rows_from, span

Show: TypeAlias = Callable[[Any], str]
"""A CREATE statement of one kind without its `;`."""


def show(statement: Statement, kinds: Mapping[type, Show]) -> str:
    """The statement in its canonical form, ending in `;`. `kinds` write the CREATE statements, by their class."""
    written = kinds.get(type(statement)) or _SHOW[type(statement)]
    return written(statement) + ";"


def show_check(e: Expectation) -> str:
    """An EXPECT item without its ON FAIL: what check results are called by."""
    if e.kind is CheckKind.REFERENCES and e.table is not None:
        return f"REFERENCES {name(e.table[0])}.{column(e.table[1])} ({columns(e.columns)})"
    if e.kind is CheckKind.FRESH and e.within is not None:
        return f"FRESH WITHIN {span(e.within)}"
    if e.usual is not None:
        return usual.show(e.usual)
    return e.expression


def check_names(e: Expectation) -> tuple[str, ...]:
    """What the results of an EXPECT item are called: one, but for what is usual of several things."""
    return (" ".join(show_check(e).split()),) if e.usual is None else e.usual.names


def _drop(s: Drop) -> str:
    return f"DROP {s.kind.keyword} {'IF EXISTS ' if s.if_exists else ''}{name(s.name)}"


def _plan(s: PlanStatement | ApplyStatement) -> str:
    verb = "PLAN" if isinstance(s, PlanStatement) else "APPLY"
    return f"{verb} FOR ENVIRONMENT {name(s.environment)}" if s.environment is not None else verb


def _rollback(s: RollbackEnvironment) -> str:
    to = f" TO GENERATION {s.generation}" if s.generation is not None else ""
    return f"ROLLBACK ENVIRONMENT {name(s.environment)}{to}"


def _retrain(s: RetrainModel) -> str:
    said = (*((("active", s.active),) if s.active is not None else ()), *s.using.items)
    return (
        f"RETRAIN MODEL {name(s.name)}"
        + ("" if s.source is None else f" {rows_from(s.source)}")
        + (f" USING ({options(Options(said))})" if said else "")
    )


def _evaluate(s: Evaluate) -> str:
    return f"EVALUATE {name(s.metric)} FROM ({s.query.sql})"


def _noted(s: Noted) -> str:
    return s.written


def _promote_environment(s: PromoteEnvironment) -> str:
    return f"PROMOTE ENVIRONMENT {name(s.source)} TO {name(s.target)}"


def _promote_model(s: PromoteModel) -> str:
    because = "" if s.because is None else f" BECAUSE {literal(s.because)}"
    return f"PROMOTE MODEL {name(s.name)} VERSION {s.version}{because}"


def _look(s: LookAt) -> str:
    return f"LOOK AT {s.kind.upper()} {name(s.name)}"


def _create_token(s: CreateToken) -> str:
    expires = "" if s.expires is None else f" EXPIRES {span(s.expires)}"
    return f"CREATE TOKEN {literal(s.name)} FOR {s.role}{expires}"


def _drop_token(s: DropToken) -> str:
    return f"DROP TOKEN {'IF EXISTS ' if s.if_exists else ''}{literal(s.name)}"


def _describe(s: Describe) -> str:
    version = "" if s.version is None else f".{s.version}"
    part = "" if s.part is None else f".{s.part}"
    return f"DESCRIBE {'' if s.kind is None else s.kind.keyword + ' '}{name(s.name)}{version}{part}"


def _list(s: ShowStatement) -> str:
    of = "" if s.source is None else f" FROM {name(s.source)}"
    return f"SHOW {s.what.upper()}{of}" + ("" if s.like is None else f" LIKE {literal(s.like)}")


def _summarize(s: Summarize) -> str:
    return f"SUMMARIZE {name(s.name)}"


def _explain(s: ExplainPredict) -> str:
    return f"EXPLAIN PREDICT {name(s.model)} ({options(s.inputs)})"


def _explain_dataset(s: ExplainDataset) -> str:
    return f"EXPLAIN DATASET {name(s.dataset)} FOR MODEL {name(s.model)}"


def _explain_query(s: ExplainQuery) -> str:
    return f"EXPLAIN {s.query.sql}"


def _refresh_dataset(s: RefreshDataset) -> str:
    days = "" if s.first is None else f" FROM '{s.first}' TO '{s.last}'"
    return f"REFRESH DATASET {name(s.name)}{days}"


def _cancel_statement(s: CancelStatement) -> str:
    return f"CANCEL STATEMENT {literal(s.statement)}"


def _set(s: SetSetting) -> str:
    return f"SET {_setting(s.name)} = {literal(s.value)}"


def _reset(s: ResetSetting) -> str:
    return f"RESET {'ALL' if s.name is None else _setting(s.name)}"


def _use(s: UseEnvironment) -> str:
    return f"USE {name(s.environment)}"


def _show_setting(s: ShowSetting) -> str:
    return f"SHOW {'ALL' if s.name == 'all' else _setting(s.name)}"


def _setting(said: str) -> str:
    """The name of a setting, part by part."""
    return ".".join(part if is_bare(part) else quoted(part) for part in said.split("."))


def _drill(s: Drill) -> str:
    return f"DRILL MODEL {name(s.model)} ({s.drill.value})"


def _run(s: RunJob) -> str:
    return f"RUN JOB {name(s.name)}"


def _cancel(s: CancelRun) -> str:
    return f"CANCEL RUN '{s.run}'"


def _select(s: Select) -> str:
    return s.sql


_SHOW: dict[type, Callable[[Any], str]] = {
    Alter: altering.show,
    Drop: _drop,
    PlanStatement: _plan,
    ApplyStatement: _plan,
    PromoteEnvironment: _promote_environment,
    PromoteModel: _promote_model,
    LookAt: _look,
    CreateToken: _create_token,
    CreateTable: tables.show_create,
    InsertInto: tables.show_insert,
    DropToken: _drop_token,
    Describe: _describe,
    ShowStatement: _list,
    Summarize: _summarize,
    RollbackEnvironment: _rollback,
    RefreshDataset: _refresh_dataset,
    RetrainModel: _retrain,
    Evaluate: _evaluate,
    Noted: _noted,
    ExplainDataset: _explain_dataset,
    ExplainPredict: _explain,
    ExplainQuery: _explain_query,
    Drill: _drill,
    ForgetFrom: mending.show_forget,
    ReleaseQuarantine: mending.show_release,
    HoldQuarantine: mending.show_hold,
    RunJob: _run,
    CancelRun: _cancel,
    CancelStatement: _cancel_statement,
    SetSetting: _set,
    ResetSetting: _reset,
    UseEnvironment: _use,
    ShowSetting: _show_setting,
    Select: _select,
}
