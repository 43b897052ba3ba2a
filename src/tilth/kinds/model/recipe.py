"""What a model is made from: the data that it needs, and what its recipe holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tilth.core.names import quoted
from tilth.kinds.model.rules import GATING, PRESETS, RETRAINS, SEARCHES, USING_DEFAULTS
from tilth.kinds.needs import need, need_one, of_query
from tilth.kinds.options import in_order
from tilth.kinds.source import as_read
from tilth.kinds.view import query_over
from tilth.resources.facts import Facts
from tilth.resources.making import Known, Names, Needs
from tilth.sql.language.normal import normal
from tilth.sql.language.statements import CreateModel, DatasetRef, Kind, NativeQuery, Options, Query
from tilth.sql.queries import renaming

NUMBER = 2


def needs(d: CreateModel, known: Known) -> Needs:
    """Its dataset, or what its own query reads."""
    if isinstance(d.source, DatasetRef):
        name = need_one(d.source.name, (Kind.DATASET, Kind.VIEW), known, d, d.source.position)
        if known[name].kind is Kind.VIEW:
            return of_query(d, _all_of(d.source), known)
        return Needs((name,))
    if isinstance(d.source, NativeQuery):
        name = need(d.source.source, Kind.SOURCE, known, d, d.source.position)
        return Needs(sources=as_read((name,), known))
    return of_query(d, d.source, known)


def _all_of(source: DatasetRef) -> Query:
    return Query(f"SELECT * FROM {quoted(source.name)}", source.position)


def over(d: CreateModel, queries: Mapping[str, str], known: Known) -> CreateModel:
    """The same declaration with the queries of views in the place of their names, and AS OF as a join: FROM view is a query like another."""
    if isinstance(d.source, DatasetRef):
        named = d.source.name in queries
        return replace(d, source=query_over(_all_of(d.source), queries, known)) if named else d
    if isinstance(d.source, NativeQuery):
        return d
    found = query_over(d.source, queries, known)
    return d if found is d.source else replace(d, source=found)


def recipe(d: CreateModel, facts: Facts) -> dict[str, object]:
    """Memory and threads say how it is made, not what; RETRAIN and PROMOTE say when.

    Which version of an engine learned is evidence in the bundle, and no part of it: a new release retrains nothing.
    """
    given = dict(USING_DEFAULTS) | dict(d.using.items)
    estimator = str(given.get("estimator", ""))
    made_of: dict[str, object] = {
        "targets": [[t.column, t.output] for t in d.targets],
        "source": _data(d.source),
        "include": d.features.include,
        "exclude": sorted(c.lower() for c in d.features.exclude),
        "objective": [(k, v) for k, v in in_order(d.objective) if k not in GATING],
        "using": in_order(Options(tuple((k, v) for k, v in given.items() if _made(k, v)))),
        "code": facts.code.get(estimator, facts.code.get(estimator.partition(":")[0], "")),
    }
    if any(t.positive is not None for t in d.targets):
        made_of["positive"] = [t.positive for t in d.targets]
    if d.horizon is not None:
        made_of["forecast"] = {
            "time": [c.lower() for c in d.order_by], "groups": [c.lower() for c in d.group_by],
            "window": d.window, "horizon": d.horizon,
        }  # fmt: skip
    if d.group_key:
        made_of["group_key"] = sorted(c.lower() for c in d.group_key)
    if (
        d.accept is not None
    ):  # a version that waits for it is then made again, with the reason in its declaration
        made_of["accept"] = sorted(c.lower() for c in d.accept.columns)
    return made_of


def _made(name: str, value: object) -> bool:
    """Whether an option of USING says what is made; a preset that is written out is the one that goes without saying."""
    unsaid = ("preset", PRESETS[0]), ("search", SEARCHES[0]), ("retrain", RETRAINS[0])
    return name not in ("memory", "threads") and (name, value) not in unsaid


def renamed(d: CreateModel, names: Names) -> CreateModel:
    """The same declaration where resources have other names."""
    return replace(d, name=names.get(d.name, d.name), source=_renamed(d.source, names))


def _renamed(source: DatasetRef | Query | NativeQuery, names: Names) -> DatasetRef | Query | NativeQuery:
    if isinstance(source, DatasetRef):
        return replace(source, name=names.get(source.name, source.name))
    if isinstance(source, NativeQuery):
        return replace(source, source=names.get(source.source, source.source))
    return replace(source, sql=renaming.renamed(source.sql, names))


_VERSIONS = {"auto": "4.7.0", "lightgbm": "4.7.0", "linear": "0.1.0", "sklearn": "1.9.1"}


def before(d: CreateModel, facts: Facts) -> dict[str, object]:
    """What recipe 1 of a model held otherwise: versions of engines, those that were locked when it ended."""
    given = dict(USING_DEFAULTS) | dict(d.using.items)
    engine = str(given["engine"])
    version: object = sorted(_VERSIONS.items()) if engine == "auto" else _VERSIONS.get(engine, "")
    return {"version": version, "code": facts.code_before.get(str(given.get("estimator", "")), "")}


def _data(source: DatasetRef | Query | NativeQuery) -> list[str]:
    if isinstance(source, DatasetRef):
        return ["dataset", source.name]
    if isinstance(source, NativeQuery):
        return ["native", source.source, source.sql]
    return ["query", normal(source.sql)]
