"""Declarations to a graph: names resolved, rules of the language checked, recipes computed. Reads no data.

A recipe changes exactly when what would be made changes: not with white space or comments, not with how often a dataset
is refreshed or when a model is retrained, and not when a source moves to another host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tilth.core.canonical import fingerprint
from tilth.core.errors import LanguageError, ProjectError, TilthError, UnknownNameError, UnsupportedError
from tilth.core.names import did_you_mean
from tilth.resources.graph import Graph
from tilth.resources.kinds import KIND_OF, Resource, TableRef
from tilth.sql.printer import show
from tilth.sql.statements import (
    CheckKind,
    CreateDataset,
    CreateEndpoint,
    CreateModel,
    CreateSource,
    DatasetRef,
    Declaration,
    Kind,
    NativeQuery,
    OnFail,
    Query,
)

OBJECTIVE = ("metric", "minimum", "cost_false_negative", "cost_false_positive", "label_delay", "slices")
METRICS = ("roc_auc", "log_loss", "accuracy", "f1", "brier", "rmse", "mae", "r2", "mape")
USING = ("engine", "estimator", "time_limit", "seed", "memory", "threads")
ENGINES = ("lightgbm", "linear", "estimator")


@dataclass(frozen=True, slots=True)
class Facts:
    """What the text cannot say: versions of engines, hashes of own code, engines of sources that are installed."""

    engines: Mapping[str, str] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reads:
    """What a query reads: tables of sources, and other datasets; `query` is its normal form."""

    tables: tuple[TableRef, ...]
    datasets: tuple[str, ...]
    query: str


def compile(declarations: Sequence[Declaration], facts: Facts) -> Graph:  # noqa: A001  # the word of the field
    """The graph of a project; ProjectError, UnknownNameError or CycleError with file, line and caret."""
    by_name: dict[str, Declaration] = {}
    for d in declarations:
        if (other := by_name.get(d.name)) is not None:
            raise _at(
                ProjectError(
                    f"`{d.name}` is declared twice; first at {other.position}.",
                    hint="Each name has one kind and one declaration: rename or remove one.",
                ),
                d,
            )
        by_name[d.name] = d
    draft = {n: _draft(d, by_name, facts) for n, d in by_name.items()}
    ordered = Graph.of(*(r for r, _ in draft.values()))
    recipes: dict[str, str] = {}
    for resource in ordered:
        own = draft[resource.name][1]
        upstream = [recipes[n] for n in resource.depends if resource.kind is not Kind.ENDPOINT]
        recipes[resource.name] = fingerprint({"kind": resource.kind, "own": own, "upstream": upstream})
    return Graph.of(*(_finished(r, recipes) for r in ordered))


def _finished(r: Resource, recipes: dict[str, str]) -> Resource:
    recipe = recipes[r.name]
    if r.kind is Kind.SOURCE:  # where a source lies is its own recipe, but not that of what is made from it
        recipe = fingerprint({"kind": r.kind, "text": r.text})
    return Resource(r.kind, r.name, r.declaration, r.depends, recipe, r.text, r.tables)


def _draft(d: Declaration, known: Mapping[str, Declaration], facts: Facts) -> tuple[Resource, object]:
    if isinstance(d, CreateSource):
        if facts.sources and d.engine not in facts.sources:
            raise _at(
                UnknownNameError(
                    f"`{d.engine}` is not an engine of sources.",
                    hint=did_you_mean(d.engine, facts.sources, "engines"),
                ),
                d,
            )
        return _resource(d, ()), [d.name, d.engine]
    if isinstance(d, CreateDataset):
        return _dataset(d, known)
    if isinstance(d, CreateModel):
        return _model(d, known, facts)
    return _endpoint(d, known)


def _resource(d: Declaration, depends: tuple[str, ...], tables: tuple[TableRef, ...] = ()) -> Resource:
    return Resource(KIND_OF[type(d)], d.name, d, tuple(sorted(set(depends))), "", show(d), tables)


def _dataset(d: CreateDataset, known: Mapping[str, Declaration]) -> tuple[Resource, object]:
    reads = _reads(d.query, d, known)
    if d.refresh.incremental and d.event_time is None:
        raise _at(
            ProjectError(
                f"Dataset `{d.name}` is INCREMENTAL but has no EVENT TIME.",
                hint="Add `EVENT TIME <column>`: new rows are found by it.",
            ),
            d,
        )
    more: list[str] = []
    for e in d.expect:
        if e.on_fail is OnFail.QUARANTINE and e.kind is not CheckKind.ROW:
            raise ProjectError(
                f"Only rows can be quarantined; this is a check of the set in `{d.name}`.",
                where=e.position,
                hint="Write ON FAIL STOP or ON FAIL WARN.",
            )
        if e.kind is CheckKind.FRESH and d.event_time is None:
            raise ProjectError(
                f"FRESH needs to know when rows happened, and `{d.name}` has no EVENT TIME.",
                where=e.position,
                hint="Add `EVENT TIME <column>`.",
            )
        if e.table is not None:
            _need(e.table[0], Kind.SOURCE, known, d)
            more.append(e.table[0])
    own = [reads.query, d.key, d.event_time, d.refresh.incremental, d.expect]
    depends = (*(t.source for t in reads.tables), *reads.datasets, *more)
    return _resource(d, depends, reads.tables), own


def _model(d: CreateModel, known: Mapping[str, Declaration], facts: Facts) -> tuple[Resource, object]:
    if d.window is not None or d.horizon is not None or d.order_by or d.group_by:
        raise _at(
            UnsupportedError(
                f"Model `{d.name}` asks for a forecast, which is not in this version of tilth.",
                hint="Leave out ORDER BY, GROUP BY, WINDOW and HORIZON to predict row by row.",
            ),
            d,
        )
    _check_options(d, facts)
    targets = {t.column.lower() for t in d.targets}
    for column in d.features.include:
        if column.lower() in targets:
            raise _at(
                ProjectError(
                    f"`{column}` is what model `{d.name}` predicts; it cannot be a feature too.",
                    hint="Take it out of FEATURES.",
                ),
                d,
            )
    engine = str(d.using.get("engine", "auto"))
    version = facts.engines.get(engine, "")
    code = facts.code.get(str(d.using.get("estimator", "")), "")
    depends, tables, query = _model_data(d, known)
    own = [d.targets, query, d.features, d.objective, d.using, engine, version, code]
    return _resource(d, depends, tables), own


def _model_data(
    d: CreateModel, known: Mapping[str, Declaration]
) -> tuple[tuple[str, ...], tuple[TableRef, ...], str]:
    if isinstance(d.source, DatasetRef):
        _need(d.source.name, Kind.DATASET, known, d)
        return (d.source.name,), (), d.source.name
    if isinstance(d.source, NativeQuery):
        _need(d.source.source, Kind.SOURCE, known, d)
        return (d.source.source,), (), d.source.sql
    reads = _reads(d.source, d, known)
    return (*(t.source for t in reads.tables), *reads.datasets), reads.tables, reads.query


def _check_options(d: CreateModel, facts: Facts) -> None:
    for key, _ in d.objective.items:
        if key not in OBJECTIVE:
            raise _at(
                UnknownNameError(
                    f"`{key}` is not an option of OBJECTIVE.", hint=did_you_mean(key, OBJECTIVE, "options")
                ),
                d,
            )
    metric = d.objective.get("metric")
    if metric is not None and metric not in METRICS:
        raise _at(
            UnknownNameError(
                f"`{metric}` is not a metric.", hint=did_you_mean(str(metric), METRICS, "metrics")
            ),
            d,
        )
    for key, _ in d.using.items:
        if key not in USING and key.partition(".")[0] not in ENGINES:
            raise _at(
                UnknownNameError(
                    f"`{key}` is not an option of USING.", hint=did_you_mean(key, USING, "options")
                ),
                d,
            )
    engine = d.using.get("engine", "auto")
    if facts.engines and engine not in facts.engines:
        raise _at(
            UnknownNameError(
                f"`{engine}` is not an engine of models.",
                hint=did_you_mean(str(engine), facts.engines, "engines"),
            ),
            d,
        )


def _endpoint(d: CreateEndpoint, known: Mapping[str, Declaration]) -> tuple[Resource, object]:
    _need(d.model, Kind.MODEL, known, d)
    if d.regions or d.replicas != 1:
        raise _at(
            UnsupportedError(
                f"Endpoint `{d.name}` asks for regions or replicas, which are not in this version of tilth.",
                hint="Leave out REGIONS and REPLICAS: one node serves it.",
            ),
            d,
        )
    depends = [d.model]
    if d.outcomes is not None:
        _need(d.outcomes.dataset, Kind.DATASET, known, d)
        depends.append(d.outcomes.dataset)
    return _resource(d, tuple(depends)), [d.model, d.rollout, d.outcomes]


def _need(name: str, kind: Kind, known: Mapping[str, Declaration], user: Declaration) -> None:
    found = known.get(name)
    if found is not None and KIND_OF[type(found)] is kind:
        return
    names = [n for n, d in known.items() if KIND_OF[type(d)] is kind]
    what = (
        f"`{name}` is a {KIND_OF[type(found)].value}, not a {kind.value}"
        if found
        else f"There is no {kind.value} `{name}`"
    )
    raise _at(
        UnknownNameError(
            f"{what}, which `{user.name}` needs.", hint=did_you_mean(name, names, f"{kind.value}s")
        ),
        user,
    )


def _reads(query: Query, user: Declaration, known: Mapping[str, Declaration]) -> Reads:
    """The tables of a query, by sqlglot; names of its own CTEs are not tables."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import ParseError

    try:
        tree = sqlglot.parse_one(query.sql, dialect="duckdb")
    except ParseError as error:
        first = error.errors[0] if error.errors else {}
        raise _at(
            LanguageError(
                f"The query of `{user.name}` cannot be read: {first.get('description') or error}.",
                hint="Queries are DuckDB SQL; try it with `SELECT`.",
            ),
            user,
        ) from error
    own = {c.alias.lower() for c in tree.find_all(exp.CTE)}
    tables: set[tuple[str, str]] = set()
    datasets: set[str] = set()
    for t in tree.find_all(exp.Table):
        if not isinstance(t.this, exp.Identifier):
            continue
        if t.db:
            _need(t.db, Kind.SOURCE, known, user)
            tables.add((t.db, t.name))
        elif t.name.lower() not in own:
            _need(t.name, Kind.DATASET, known, user)
            datasets.add(t.name)
    return Reads(
        tuple(TableRef(*t) for t in sorted(tables)),
        tuple(sorted(datasets)),
        tree.sql(dialect="duckdb", comments=False),
    )


def _at(error: TilthError, d: Declaration) -> TilthError:
    """The error at the declaration's place."""
    return error.at(d.position) if d.position is not None else error
