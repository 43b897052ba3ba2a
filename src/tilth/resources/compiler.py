"""Declarations to a graph: names resolved, rules checked, recipes computed. Reads no data and asks no source.

A recipe changes exactly when what would be made changes: not with white space or comments, not with how often a
dataset is refreshed or when a model is retrained, and not when a source moves to another host. What each kind's
recipe holds is in the `_..._recipe` functions; rules that one declaration can break alone are in `rules`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tilth.core.canonical import RECIPE, fingerprint, plain
from tilth.core.engines import Engine
from tilth.core.errors import Position, ProjectError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.resources import rules
from tilth.resources.graph import Graph
from tilth.resources.kinds import KIND_OF, Resource, TableRef
from tilth.sql.language.normal import normal
from tilth.sql.language.printer import show
from tilth.sql.language.statements import (
    CheckKind,
    CreateDataset,
    CreateEndpoint,
    CreateModel,
    CreateSource,
    DatasetRef,
    Declaration,
    Expectation,
    Kind,
    NativeQuery,
    Options,
    Query,
    Statement,
)
from tilth.sql.queries import gaps
from tilth.sql.queries.lineage import tables

MODEL_RECIPE = 2


@dataclass(frozen=True, slots=True)
class Facts:
    """What the text cannot say: engines of models and sources that are installed, hashes of own code.

    An empty `engines` or `sources` means that they are not known, and then names of engines are not checked.
    """

    engines: tuple[Engine, ...] = ()
    code: Mapping[str, str] = field(
        default_factory=dict
    )  # 'module:function' or 'module' -> hash of its content
    sources: tuple[str, ...] = ()
    code_before: Mapping[str, str] = field(
        default_factory=dict
    )  # the hashes of own code as recipe 1 made them


@dataclass(frozen=True, slots=True)
class _Draft:
    """A declaration with what it needs; its recipe waits for those of its datasets."""

    declaration: Declaration
    tables: tuple[TableRef, ...] = ()
    sources: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()  # their recipes go into this one's
    others: tuple[str, ...] = ()  # needed, but only by name

    @property
    def depends(self) -> tuple[str, ...]:
        return tuple(sorted({*self.sources, *self.datasets, *self.others}))


def compile(statements: Sequence[Statement], facts: Facts) -> Graph:  # noqa: A001 - the word of the field
    """The graph of a project; ProjectError, UnknownNameError or CycleError with file, line and caret."""
    known = _by_name(statements)
    drafts = {}
    for name, d in known.items():
        rules.check(d, facts.engines, facts.sources)
        drafts[name] = _draft(d, known)
    ordered = Graph.of(*(_resource(draft, "") for draft in drafts.values()))
    recipes: dict[str, str] = {}
    made = []
    for r in ordered:
        said = _recipe(drafts[r.name], known, recipes, facts)
        number = MODEL_RECIPE if r.kind is Kind.MODEL else RECIPE
        recipes[r.name] = fingerprint(said, number)
        earlier = (fingerprint({**said, **_before(r.as_(CreateModel), facts)}),) if number > RECIPE else ()
        made.append(_resource(drafts[r.name], recipes[r.name], show(r.declaration), earlier))
    return Graph(tuple(made))


def _by_name(statements: Iterable[Statement]) -> dict[str, Declaration]:
    known: dict[str, Declaration] = {}
    for s in statements:
        if not isinstance(s, CreateSource | CreateDataset | CreateModel | CreateEndpoint):
            raise ProjectError(
                f"A project only declares, and this is a {type(s).__name__}.",
                hint="Keep CREATE statements in files. To drop a resource, delete its CREATE statement.",
                where=getattr(s, "position", None),
            )
        if (first := known.get(s.name)) is not None:
            raise ProjectError(
                f"`{s.name}` is declared twice: as a {KIND_OF[type(first)]} at {first.position}, and here.",
                hint="Each name has one kind and one declaration: rename or remove one.",
                where=s.position,
            )
        known[s.name] = s
    return known


def _resource(draft: _Draft, recipe: str, text: str = "", earlier: tuple[str, ...] = ()) -> Resource:
    d = draft.declaration
    return Resource(KIND_OF[type(d)], d.name, d, draft.depends, recipe, text, draft.tables, earlier)


# --- what needs what ---------------------------------------------------------------------------------------


def _draft(d: Declaration, known: Mapping[str, Declaration]) -> _Draft:
    if isinstance(d, CreateSource):
        return _Draft(d)
    if isinstance(d, CreateDataset):
        return _dataset(d, known)
    if isinstance(d, CreateModel):
        return _model(d, known)
    _need(d.model, Kind.MODEL, known, d)
    outcomes = () if d.outcomes is None else (_need(d.outcomes.dataset, Kind.DATASET, known, d),)
    return _Draft(d, others=(d.model, *outcomes))


def _dataset(d: CreateDataset, known: Mapping[str, Declaration]) -> _Draft:
    reads = _reads(d, d.query, known)
    checked = [_need(e.table[0], Kind.SOURCE, known, d, e.position) for e in d.expect if e.table is not None]
    return _Draft(d, reads.tables, (*reads.sources, *checked), reads.datasets)


def _model(d: CreateModel, known: Mapping[str, Declaration]) -> _Draft:
    if isinstance(d.source, DatasetRef):
        return _Draft(d, datasets=(_need(d.source.name, Kind.DATASET, known, d, d.source.position),))
    if isinstance(d.source, NativeQuery):
        return _Draft(d, sources=(_need(d.source.source, Kind.SOURCE, known, d, d.source.position),))
    return _reads(d, d.source, known)


def _reads(d: CreateDataset | CreateModel, query: Query, known: Mapping[str, Declaration]) -> _Draft:
    found: set[TableRef] = set()
    datasets: set[str] = set()
    for use in tables(query.sql, query.position):
        if use.schema is not None:
            found.add(TableRef(_need(use.schema.lower(), Kind.SOURCE, known, d, use.position), use.name))
        else:
            datasets.add(_need(use.name.lower(), Kind.DATASET, known, d, use.position))
    refs = tuple(sorted(found, key=lambda t: (t.source, t.table)))
    return _Draft(d, refs, tuple({t.source: None for t in refs}), tuple(sorted(datasets)))


def _need(
    name: str, kind: Kind, known: Mapping[str, Declaration], user: Declaration, where: Position | None = None
) -> str:
    """The name, which is declared as that kind; UnknownNameError where it is used when it is not."""
    found = known.get(name)
    if found is not None and KIND_OF[type(found)] is kind:
        return name
    names = [n for n, d in known.items() if KIND_OF[type(d)] is kind]
    hint = did_you_mean(name, names, f"{kind}s")
    if found is None:
        message = f"There is no {kind} `{name}`, which `{user.name}` needs."
        if name == "tilth" and kind is Kind.SOURCE:
            hint = "Tables of the schema tilth can be asked, but not be made into data. " + hint
    else:
        message = f"`{name}` is a {KIND_OF[type(found)]}, not a {kind}, which `{user.name}` needs."
        if isinstance(found, CreateSource) and kind is Kind.DATASET:
            hint = f"Write the table too: {name}.<table>. " + hint
    raise UnknownNameError(message, hint=hint, where=where or user.position)


# --- recipes -----------------------------------------------------------------------------------------------


def _recipe(
    draft: _Draft, known: Mapping[str, Declaration], recipes: Mapping[str, str], facts: Facts
) -> dict[str, object]:
    d = draft.declaration
    own = (
        _source_recipe(d)
        if isinstance(d, CreateSource)
        else _dataset_recipe(d)
        if isinstance(d, CreateDataset)
        else _model_recipe(d, facts)
        if isinstance(d, CreateModel)
        else _endpoint_recipe(d)
    )
    own["kind"] = KIND_OF[type(d)]
    own["upstream"] = [recipes[n] for n in draft.datasets]
    own["sources"] = [
        (n, s.engine, *_read_as(s, draft))
        for n in sorted(set(draft.sources))
        if isinstance(s := known[n], CreateSource)
    ]
    return own


READING = ("format", "misfits", "tables")
"""Options of a source that say what its rows are, where the others say where it lies."""


def _read_as(source: CreateSource, draft: _Draft) -> tuple[object, ...]:
    """How the source reads the tables that the declaration names, if it says so."""
    named = {t.table.lower() for t in draft.tables if t.source == source.name}
    said: list[tuple[str, object]] = []
    for key in READING:
        value = source.options.get(key)
        if key == "tables" and isinstance(value, Options):
            value = Options(tuple((t, v) for t, v in value.items if t.lower() in named)) or None
        if value is not None:
            said.append((key, _by_key(value)))
    return (said,) if said else ()


def _by_key(value: object) -> object:
    """Options in braces whatever their order."""
    if isinstance(value, Options):
        return sorted((k, _by_key(v)) for k, v in value.items)
    return value


def _source_recipe(d: CreateSource) -> dict[str, object]:
    """Where it lies is its own recipe; what is made from it only knows its name and engine."""
    return {"engine": d.engine, "options": _sorted(d.options)}


def _dataset_recipe(d: CreateDataset) -> dict[str, object]:
    return {
        "query": normal(d.query.sql),
        "key": d.key,
        "event_time": d.event_time,
        "incremental": d.refresh.incremental,
        "expect": [_expectation(e) for e in d.expect],
    }


def _expectation(e: Expectation) -> list[object]:
    """What the check says, and which rule of truth it is read by where that makes a difference: 2, NULL and NaN do not hold."""
    expression = normal(e.expression) if e.expression else ""
    said: list[object] = [e.kind, e.on_fail, expression, e.table, e.columns, e.within]
    if e.expression and gaps.changed(e.expression, of_the_set=e.kind is CheckKind.SET):
        said.append(2)
    return said


def _model_recipe(d: CreateModel, facts: Facts) -> dict[str, object]:
    """Memory and threads say how it is made, not what; RETRAIN and PROMOTE say when.

    Which version of an engine learned is evidence in the bundle, and no part of it: a new release retrains nothing.
    """
    given = dict(rules.USING_DEFAULTS) | dict(d.using.items)
    estimator = str(given.get("estimator", ""))
    made_of: dict[str, object] = {
        "targets": [[t.column, t.output] for t in d.targets],
        "source": _data(d.source),
        "include": d.features.include,
        "exclude": sorted(c.lower() for c in d.features.exclude),
        "objective": [(k, v) for k, v in _sorted(d.objective) if k not in rules.GATING],
        "using": _sorted(Options(tuple((k, v) for k, v in given.items() if k not in ("memory", "threads")))),
        "code": facts.code.get(estimator, facts.code.get(estimator.partition(":")[0], "")),
    }
    if any(t.positive is not None for t in d.targets):
        made_of["positive"] = [t.positive for t in d.targets]
    if (
        d.accept is not None
    ):  # a version that waits for it is then made again, with the reason in its declaration
        made_of["accept"] = sorted(c.lower() for c in d.accept.columns)
    return made_of


_VERSIONS = {"auto": "4.7.0", "lightgbm": "4.7.0", "linear": "0.1.0", "sklearn": "1.9.1"}


def _before(d: CreateModel, facts: Facts) -> dict[str, object]:
    """What recipe 1 of a model held otherwise: versions of engines, those that were locked when it ended."""
    given = dict(rules.USING_DEFAULTS) | dict(d.using.items)
    engine = str(given["engine"])
    version: object = sorted(_VERSIONS.items()) if engine == "auto" else _VERSIONS.get(engine, "")
    return {"version": version, "code": facts.code_before.get(str(given.get("estimator", "")), "")}


def _data(source: DatasetRef | Query | NativeQuery) -> list[str]:
    if isinstance(source, DatasetRef):
        return ["dataset", source.name]
    if isinstance(source, NativeQuery):
        return ["native", source.source, source.sql]
    return ["query", normal(source.sql)]


def _endpoint_recipe(d: CreateEndpoint) -> dict[str, object]:
    """Without the model's recipe: an endpoint follows the model, it is not made anew with it."""
    return {
        "model": d.model,
        "regions": d.regions,
        "replicas": d.replicas,
        "rollout": _declared(d.rollout, "max_disagreement", "deadline"),
        "outcomes": _declared(d.outcomes, "require_key"),
    }


def _declared(value: object, *later: str) -> object:
    """The value in its plain form, without those fields that say nothing: a recipe from before they were there holds."""
    made = plain(value)
    if not isinstance(made, dict):
        return made
    return {k: v for k, v in made.items() if k not in later or v not in (None, False)}


def _sorted(options: Options) -> list[tuple[str, object]]:
    """Options whatever their order, with durations by their length."""
    durations = ("label_delay", "time_limit")
    return [
        (k, (rules.duration_of(v) if k in durations else None) or v)
        for k, v in sorted(options.items, key=lambda i: i[0])
    ]
