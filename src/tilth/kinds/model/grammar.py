"""CREATE MODEL as text: what it predicts, from what, how well it must do, and when it learns again.

Read after the word MODEL, and written in canonical form. Which options OBJECTIVE and USING have is in `rules`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

from tilth.core.errors import LanguageError, Position
from tilth.core.names import literal
from tilth.kinds.model import forecasting, rules
from tilth.sql.language import clauses, prefix, values, writing
from tilth.sql.language.mindsdb import learning
from tilth.sql.language.statements import (
    AcceptLeak,
    Condition,
    CreateModel,
    DatasetRef,
    Features,
    NativeQuery,
    Options,
    Promote,
    PromoteRule,
    Query,
    RenamedFrom,
    Scalar,
    Target,
)
from tilth.sql.language.tokens import Cursor

MOST_DRIFT = 100
SIGNALS = ("drift", "prediction_drift", "age", "new_rows", "quality")
_OPS = (">", ">=", "<", "<=")
_RULES = {r.name: r for r in PromoteRule}


@dataclass(slots=True)
class _Model:
    targets: tuple[Target, ...] = ()
    source: DatasetRef | Query | NativeQuery | None = None
    features: Features = field(default_factory=Features)
    objective: Options = field(default_factory=Options)
    using: Options = field(default_factory=Options)
    retrain: tuple[Condition, ...] = ()
    promote: Promote = field(default_factory=Promote)
    accept: AcceptLeak | None = None
    order_by: tuple[str, ...] = ()
    group_by: tuple[str, ...] = ()
    window: int | None = None
    horizon: int | None = None
    renamed_from: RenamedFrom | None = None
    group_key: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


def _predict(c: Cursor, m: _Model) -> None:
    targets = [_target(c)]
    while c.take(","):
        targets.append(_target(c))
    m.targets = tuple(targets)


def _target(c: Cursor) -> Target:
    where = c.position()
    column = c.name("the column to predict")
    alias = c.name("the target's alias") if c.take("AS") else None
    positive = _positive(c) if c.take("POSITIVE") else None
    return Target(column, None if alias == column else alias, positive, where)


def _positive(c: Cursor) -> Scalar:
    at = c.i
    found = values.value(c)
    if found is None or not isinstance(found, str | int | float):
        c.fail("A class is a string, a number, TRUE or FALSE.", "Write for example POSITIVE 'fraud'.", at=at)
    return found


def _from(c: Cursor, m: _Model) -> None:
    where = c.position()
    start = c.i
    if not c.at("("):
        name = prefix.resource(c, "a dataset's name")
        c.take("WITH")
        if not c.at("("):
            m.source = DatasetRef(name, where)
            return
        c.i = start
    m.source = clauses.rows_from(c)


def _features(c: Cursor, m: _Model) -> None:
    where = c.position()
    if not c.at("(", "*"):
        m.features = Features(c.names("a feature"), (), where)
        return
    c.expect("(", "*")
    exclude = c.names("a column") if c.take("EXCEPT") or c.take("EXCLUDE") else ()
    c.expect(")", hint="Write FEATURES (* EXCEPT (column, ...)).")
    m.features = Features((), exclude, where)


def _objective(c: Cursor, m: _Model) -> None:
    m.objective = values.option_list(c)


def _using(c: Cursor, m: _Model) -> None:
    where = c.position()
    found = learning.meant(values.using(c), (*rules.USING, *forecasting.MADE), where)
    m.using, m.left_out, m.told = found.using, found.left_out, (*m.told, *found.told)


def _retrain(c: Cursor, m: _Model) -> None:
    conditions = [_condition(c)]
    while c.take("OR"):
        at = c.i
        conditions.append(_condition(c))
        new = conditions[-1]
        if any(o.signal == new.signal and o.op[0] == new.op[0] for o in conditions[:-1]):
            c.fail(f"`{new.signal}` is given twice.", "Keep the condition that holds first.", at=at)
    if c.at("AND"):
        c.fail("Conditions of RETRAIN WHEN are joined by OR.", "Write each as its own reason to retrain.")
    m.retrain = tuple(conditions)


def _condition(c: Cursor) -> Condition:
    at = c.i
    signal = c.name("a signal", reserved=False).lower()
    if signal not in SIGNALS:
        raise c.unknown(f"`{signal}` is not a signal to retrain on.", signal, SIGNALS, "signals", at)
    if c.key not in _OPS:
        c.fail(f"Expected >, >=, < or <= after `{signal}`{c.instead()}.")
    if signal != "quality" and c.key[0] == "<":
        c.fail(f"A model retrains when `{signal}` is large, not small.", f"Write {signal} > ...")
    op = c.text_token()
    return Condition(signal, op, _threshold(c, signal))


def _threshold(c: Cursor, signal: str) -> float | timedelta:
    if signal == "age":
        return values.duration(c)
    at = c.i
    found = values.share(c)
    if signal == "new_rows" and not 0 < found <= 100:
        c.fail("`new_rows` is a share of the rows trained on.", "Write for example new_rows > '20%'.", at=at)
    if signal.endswith("drift") and not 0 < found <= MOST_DRIFT:
        c.fail(
            f"`{signal}` is measured from 0 (none) to about 1: a threshold is above 0 and at most {MOST_DRIFT}.",
            f"Write for example {signal} > 0.2; 0.1 is little and 0.25 much.",
            at=at,
        )
    return found


def _promote(c: Cursor, m: _Model) -> None:
    rule = clauses.choice(c, _RULES, "rule", "PROMOTE IF")
    margin = 0.0
    if rule is PromoteRule.NOT_WORSE_BY:
        c.expect("(", hint="Write PROMOTE IF not_worse_by(0.005).")
        at = c.i
        margin = values.share(c, "'0.5%'")
        if margin < 0:
            c.fail("The margin cannot be negative.", "Write for example not_worse_by(0.005).", at=at)
        c.expect(")")
    m.promote = Promote(rule, margin)


def _accept(c: Cursor, m: _Model) -> None:
    columns = c.names("a column")
    c.expect("BECAUSE", hint="Say why it was known before the target: ACCEPT LEAK (column) BECAUSE '...'.")
    at = c.i
    because = c.string("the reason")
    if not because.strip():
        c.fail("The reason is empty.", "Say why the column was known before the target.", at=at)
    m.accept = AcceptLeak(columns, because)


def _order_by(c: Cursor, m: _Model) -> None:
    out: list[str] = []
    while not out or c.take(","):
        out.append(c.name("a column"))
        if c.take("DESC"):
            m.told += (f"ORDER BY {out[-1]} is the order of time, which DESC does not turn round",)
        c.take("ASC")
    m.order_by = tuple(out)


def _group_by(c: Cursor, m: _Model) -> None:
    m.group_by = _columns(c)


def _columns(c: Cursor) -> tuple[str, ...]:
    out = [c.name("a column")]
    while c.take(","):
        out.append(c.name("a column"))
    return tuple(out)


def _group_key(c: Cursor, m: _Model) -> None:
    m.group_key = c.names("a column")


def _window(c: Cursor, m: _Model) -> None:
    m.window = values.whole(c, "window", 1)


def _horizon(c: Cursor, m: _Model) -> None:
    m.horizon = values.whole(c, "horizon", 1)


_CLAUSES = {
    "PREDICT": _predict,
    "FROM": _from,
    "FEATURES": _features,
    "OBJECTIVE": _objective,
    "USING": _using,
    "RETRAIN WHEN": _retrain,
    "PROMOTE IF": _promote,
    "ACCEPT LEAK": _accept,
    "ORDER BY": _order_by,
    "GROUP BY": _group_by,
    "GROUP KEY": _group_key,
    "WINDOW": _window,
    "HORIZON": _horizon,
    clauses.RENAMED: clauses.renamed,
}


def parse(c: Cursor, or_replace: bool, where: Position) -> CreateModel:
    """`[IF NOT EXISTS] name PREDICT ... FROM ...` with its clauses, in any order."""
    exists, name = clauses.head(c, "model")
    m = _Model()
    clauses.read(c, _CLAUSES, m, "CREATE MODEL")
    if not m.targets:
        raise LanguageError(
            f"Model `{name}` has no target column.",
            hint="Add PREDICT <column>, a column of its data.",
            where=where,
        )
    if m.source is None:
        raise LanguageError(
            f"Model `{name}` does not say what it learns from.",
            hint="Add FROM <dataset> or FROM (SELECT ...).",
            where=where,
        )
    if m.left_out:
        m.features = replace(m.features, exclude=(*m.features.exclude, *m.left_out))
    return CreateModel(
        name, m.targets, m.source, m.features, m.objective, m.using, m.retrain, m.promote,
        m.order_by, m.group_by, m.window, m.horizon, m.accept, or_replace, exists, where, m.renamed_from,
        m.group_key, m.told,
    )  # fmt: skip


# --- declared where it is asked ---


def _first_from(c: Cursor, m: _Model) -> None:
    """`FROM d`, `FROM (query)`, or `FROM source.table`, which is all of it."""
    start = c.i
    if not c.at("(") and not prefix.passed(c) and c.following == ".":
        source, table = prefix.resource_of_table(c), c.name("a table", reserved=False)
        m.source = Query(f"SELECT * FROM {writing.name(source)}.{writing.column(table)}")
        return
    c.i = start
    _from(c, m)
    if isinstance(m.source, NativeQuery):
        c.fail(
            "PREDICT does not learn from a query that a source answers itself.",
            f"Write it over its tables: FROM (SELECT ... FROM {m.source.source}.<table>); or CREATE MODEL.",
            at=start,
        )


_FIRST = {
    "FROM": _first_from,
    "FEATURES": _features,
    "OBJECTIVE": _objective,
    "USING": _using,
    "GROUP KEY": _group_key,
    "ACCEPT LEAK": _accept,
}


def first(c: Cursor, name: str, where: Position) -> CreateModel:
    """What stands in the parentheses of `FROM PREDICT (y FROM d USING (...))`, as the declaration of a model of that name."""
    m = _Model()
    _predict(c, m)
    clauses.read(c, _FIRST, m, "PREDICT (...)")
    if m.source is None:
        raise LanguageError(
            f"PREDICT ({m.targets[0].column}) does not say what it learns from.",
            hint="Write PREDICT (y FROM dataset), PREDICT (y FROM source.table) or PREDICT (y FROM (SELECT ...)).",
            where=where,
        )
    if m.left_out:
        m.features = replace(m.features, exclude=(*m.features.exclude, *m.left_out))
    return CreateModel(
        name, m.targets, m.source, m.features, m.objective, m.using, accept=m.accept, position=where, group_key=m.group_key, told=m.told,
    )  # fmt: skip


def show_first(s: CreateModel) -> str:
    """The same as it is written there."""
    said = show(s).split("\n", 1)[1].strip()
    return f"PREDICT ({said.removeprefix('PREDICT ')})"


# --- written ---


def _show_from(source: DatasetRef | Query | NativeQuery) -> str:
    return (
        f"FROM {writing.name(source.name)}" if isinstance(source, DatasetRef) else writing.rows_from(source)
    )


def _show_features(f: Features) -> str | None:
    if f.include:
        return f"FEATURES ({writing.columns(f.include)})"
    return f"FEATURES (* EXCEPT ({writing.columns(f.exclude)}))" if f.exclude else None


def _show_condition(c: Condition) -> str:
    if isinstance(c.value, timedelta):
        return f"{c.signal} {c.op} {writing.span(c.value)}"
    written = literal(writing.percent(c.value)) if c.signal == "new_rows" else repr(c.value)
    return f"{c.signal} {c.op} {written}"


def _show_promote(p: Promote) -> str | None:
    if p == Promote():
        return None
    return f"PROMOTE IF {p.text}"


def _show_target(t: Target) -> str:
    alias = f" AS {writing.column(t.alias)}" if t.alias else ""
    return (
        writing.column(t.column)
        + alias
        + (f" POSITIVE {writing.show_value(t.positive)}" if t.positive is not None else "")
    )


def show(s: CreateModel) -> str:
    """The declaration in its canonical form."""
    targets = ", ".join(_show_target(t) for t in s.targets)
    return writing.rows(
        writing.create(s),
        f"PREDICT {targets}",
        _show_from(s.source),
        f"GROUP KEY ({writing.columns(s.group_key)})" if s.group_key else None,
        f"ORDER BY {writing.columns(s.order_by)}" if s.order_by else None,
        f"GROUP BY {writing.columns(s.group_by)}" if s.group_by else None,
        f"WINDOW {s.window}" if s.window is not None else None,
        f"HORIZON {s.horizon}" if s.horizon is not None else None,
        _show_features(s.features),
        f"OBJECTIVE ({writing.options(s.objective)})" if s.objective else None,
        f"USING ({writing.options(s.using)})" if s.using else None,
        f"RETRAIN WHEN {' OR '.join(_show_condition(c) for c in s.retrain)}" if s.retrain else None,
        _show_promote(s.promote),
        f"ACCEPT LEAK ({writing.columns(s.accept.columns)}) BECAUSE {literal(s.accept.because)}"
        if s.accept
        else None,
        writing.renamed(s),
    )
