"""All that is known of one resource, as plain facts: what DESCRIBE and `tilth describe` show. `described` has the words.

What is deployed is described as it stands; what only the files declare is described as far as it is known, and says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any

from tilth.core.errors import TilthError
from tilth.core.schema import DataType
from tilth.core.time import show_instant
from tilth.ml.data.profile import Categorical, Numeric, Profile
from tilth.ml.model.joint import parts_of, signature_of
from tilth.ml.model.signature import Input, Joint, Signature
from tilth.ports.source import Offered
from tilth.resources.graph import Graph
from tilth.resources.kinds import Resource
from tilth.runtime import sources
from tilth.runtime.loading import verified
from tilth.runtime.record import (
    assumptions,
    declarations,
    endpoints,
    evidence,
    leakage,
    nodes,
    notices,
    refreshes,
    schedules,
    snapshots,
    versions,
)
from tilth.runtime.record.versions import Version
from tilth.runtime.showing import example, forecasts, looked_up
from tilth.runtime.showing.understood import KEYS
from tilth.runtime.workspace import Workspace
from tilth.sql.language.printer import check_names, show_check
from tilth.sql.language.statements import (
    CreateChannel,
    CreateDataset,
    CreateEndpoint,
    CreateModel,
    CreateSource,
    Kind,
)

REFRESHES = 5  # the last ones, shown of a dataset
TABLES = 200  # of a source that are described
VALUES = 12  # of a category that are listed
SERVED = "http://127.0.0.1:8439"  # where `tilth up` answers, unless it says otherwise
_CLASSES = {
    "": "the predicted class",
    "_confidence": "how likely the predicted class is",
    "_probability": "how likely {positive} is",
    "_probabilities": "how likely each class is (made when it is asked for)",
    "_explain": "what contributed most (made when it is asked for)",
}
MEANINGS: Mapping[str, Mapping[str, str]] = {
    "regression": {
        "": "the predicted value",
        "_confidence": "the share of true values that the interval holds",
        "_lower": "where the interval begins",
        "_upper": "where the interval ends",
        "_explain": _CLASSES["_explain"],
    },
    "binary": _CLASSES,
    "multiclass": _CLASSES,
}
"""What each output says, by the kind of task and by what its name adds to the target's."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is looked up: an environment, and the graph that names it. `version` is of a model, in place of the one that serves."""

    work: Workspace
    environment: str
    graph: Graph
    deployed: bool
    version: int | None = None


def describe(at: Place, one: Resource, *, differs: bool) -> dict[str, Any]:
    """The facts of a resource. `differs`: the files declare it otherwise than it is deployed."""
    above = [r.name for r in at.graph.upstream(one.name) if r.name != one.name]
    return {
        "kind": one.kind.value,
        "name": one.name,
        "environment": at.environment,
        "deployed": at.deployed,
        "files_differ": differs,
        "made_from": above,
        "used_by": [r.name for r in at.graph.downstream(one.name)],
        **_OF[one.kind](at, one),
        "definition": one.text,
    }


def _source(at: Place, one: Resource) -> dict[str, Any]:
    """Its tables with their columns; what cannot be read says why."""
    declared, tables, failed = one.as_(CreateSource), list[dict[str, Any]](), None
    try:
        with sources.opened(at.graph, at.work.root, [one.name]) as opened:
            found = opened[one.name]
            names = found.tables()
            for name in names[:TABLES]:
                tables.append(_table(found, name, one.name))
    except TilthError as error:
        names, failed = (), error.message
    return {
        "engine": declared.engine,
        "tables": tables,
        "more_tables": max(0, len(names) - TABLES),
        "error": failed,
    }


_COPIED = "its columns are told by what reads it: to look at it is to copy its files"


def _table(found: Any, table: str, source: str) -> dict[str, Any]:
    """A table's columns with what people wrote of them, and the checks that are known elsewhere."""
    columns: list[dict[str, Any]] = []
    comments: dict[str, str] = {}
    offered: tuple[Offered, ...] = ()
    fault = unseen = None
    try:
        if getattr(found, "copies", False):
            unseen = _COPIED
        else:
            comments = dict(found.comments(table)) if hasattr(found, "comments") else {}
            low = {name.lower(): text for name, text in comments.items()}
            columns = [
                {"name": f.name, "type": f.type.value} | _said(low.get(f.name.lower()))
                for f in found.describe(table)
            ]
        offered = found.offered(table, source) if hasattr(found, "offered") else ()
    except TilthError as error:
        fault = error.message
    return (
        {
            "name": table,
            "columns": columns,
            "offered": [{"item": o.item, "was": o.was, "why": o.why} for o in offered],
            "error": fault,
        }
        | ({"unseen": unseen} if unseen else {})
        | _said(comments.get(""))
    )


def _said(comment: str | None) -> dict[str, str]:
    return {"comment": comment} if comment else {}


def _dataset(at: Place, one: Resource) -> dict[str, Any]:
    declared = one.as_(CreateDataset)
    with at.work.state.reading() as reader:
        found = snapshots.current(reader, at.environment).get(one.name) if at.deployed else None
        results = {r.check: r for r in refreshes.check_results(reader, one.recipe)}
        last = refreshes.recent(reader, one.recipe, REFRESHES)
        held = refreshes.rows_held(reader).get(one.recipe, 0)
        told = notices.of(reader, notices.DATASET, one.name, one.recipe)
        went = assumptions.history(reader, one.name)
        leaking = leakage.of(reader, one.recipe)
    tags = {t.column: t.label for t in declared.tags}
    checks = []
    for e in declared.expect:
        for name in check_names(e) if e.usual else (show_check(e),):
            said = results.get(name)
            known = {k: getattr(said, k, None) for k in ("passed", "failed", "rows", "observed")}
            if said is not None and not said.judged:
                known["passed"] = None
            went_so = next((a for a in went if a.expectation == name and a.until is None), None)
            known |= {k: getattr(went_so, k, None) for k in ("since", "room")}
            checks.append({"expectation": name, "kind": e.kind.value, "on_fail": e.on_fail.value, **known})
    return {
        "snapshot": None if found is None else found.id,
        "rows": None if found is None else found.rows,
        "bytes": None if found is None else found.bytes,
        "newest": None if found is None else found.watermark,
        "key": list(declared.key),
        "event_time": declared.event_time,
        "known_at": declared.known_at,
        "leakage": None if leaking is None else f"{leaking.verdict}: {leaking.why}",
        "refresh_every": None if declared.refresh.every is None else str(declared.refresh.every),
        "on_change": declared.refresh.on_change,
        "incremental": declared.refresh.incremental,
        "columns": [
            {"name": f.name, "type": f.type.value, "nullable": f.nullable, "tag": tags.get(f.name)}
            for f in (() if found is None else found.manifest.schema)
        ],
        "checks": checks,
        "refreshes": [
            {"at": show_instant(r.at), "status": r.status, "rows_read": r.rows_read,
             "rows_quarantined": r.rows_quarantined, "reason": r.reason, "days_checked": r.compared.checked,
             "days_healed": r.compared.healed, "checked_by": r.compared.by}
            for r in last
        ],
        "quarantined": held,
        "notices": list(notices.lines(told)),
    }  # fmt: skip


# --- models ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Known:
    """What a version keeps of itself: its signature, the profile of what it learned from, and its newest event time."""

    signature: Signature | Joint
    profile: Profile
    newest: str | None


def known(work: Workspace, one: Version) -> Known:
    """Read from the verified bundle; nothing of it is loaded."""
    files = verified(work, one).files
    each = (Profile.from_plain(json.loads(part["profile.json"])) for part in parts_of(files))
    profile = reduce(Profile.and_, each)
    snapshot = snapshots.get(work.state, one.snapshot)
    newest = None if snapshot is None else snapshot.watermark
    return Known(signature_of(files), profile, newest)


def _model(at: Place, one: Resource) -> dict[str, Any]:
    with at.work.state.reading() as reader:
        if at.version is not None:
            found: Version | None = versions.require(reader, one.name, at.version)
        else:
            found = versions.current(reader, at.environment).get(one.name) if at.deployed else None
        gate = None if found is None else evidence.last(reader, one.name, found.version)
        told = () if found is None else notices.of(reader, notices.MODEL, one.name, str(found.version))
    if found is None:
        return {"version": None, "inputs": [], "outputs": [], "metrics": {}, "gate": None, "notices": []}
    plain = {
        "version": found.version,
        "status": found.status,
        "engine": found.engine,
        "digest": found.digest,
        "trained_at": show_instant(found.created_at),
        "rows": found.rows,
        "snapshot": found.snapshot,
        "gate": None if gate is None else _gate(gate),
        "notices": list(notices.lines(told)),
    }
    if forecasts.is_one(found):
        return plain | forecasts.facts(at.work, one.name, found)
    kept = known(at.work, found)
    body = example.row(kept.signature.inputs, kept.profile, kept.newest)
    return {
        **plain,
        **_figures(kept.signature, found),
        "inputs": _inputs(kept, found.importance),
        "outputs": [o for part in kept.signature.parts for o in _outputs(part)],
        "example": example.calls(one.name, body, _types(kept.signature), _asked(kept.signature)),
    }


FIGURES = (
    "metric",
    "value",
    "minimum",
    "higher_is_better",
    "metrics",
    "baselines",
    "slices",
    "search",
    *KEYS,
)


def _figures(signature: Signature | Joint, one: Version) -> dict[str, Any]:
    """What it predicts and how well; of several targets each under `targets`, since no figure is of all of them."""
    each = [
        {
            "output": part.output,
            "target": part.target,
            "task": part.kind,
            "classes": list(part.classes),
            "importance": own.facts.get("importance") or {},
            **{k: own.facts.get(k) for k in FIGURES},
        }
        for part, own in zip(signature.parts, one.parts, strict=True)
    ]
    if len(each) == 1:
        return {k: v for k, v in each[0].items() if k not in ("output", "importance")}
    named = {k: ", ".join(str(found[k]) for found in each) for k in ("target", "task")}
    return {**named, "classes": [], **dict.fromkeys(FIGURES), "targets": each}


def _gate(gate: evidence.Gate) -> dict[str, Any]:
    return {**asdict(gate), "at": show_instant(gate.at)}


def _inputs(kept: Known, importance: Mapping[str, float]) -> list[dict[str, Any]]:
    return [
        {
            "name": i.name,
            "type": i.type.value,
            "required": i.required,
            "gap": _gap(i, strict=kept.signature.strict),
            **_range(kept.profile.find(i.name), i.type),
            "importance": importance.get(i.name),
            "example": example.usual(i, kept.profile, kept.newest),
        }
        for i in kept.signature.inputs
    ]


def _gap(one: Input, *, strict: bool) -> str:
    """What becomes of a request without a value for it."""
    if not one.required:
        return "may be missing, as in training"
    return "refused" if strict else "an error when left out; a null is answered as a gap, and told"


def _whole(value: float | None, kind: DataType) -> float | int | None:
    return int(value) if kind is DataType.INTEGER and value is not None else value


def _range(known: Numeric | Categorical | None, kind: DataType) -> dict[str, Any]:
    """What training saw of it."""
    if isinstance(known, Numeric):
        return {
            "range": [_whole(v, kind) for v in (known.minimum, known.maximum)],
            "categories": None,
            "more_categories": False,
        }
    if isinstance(known, Categorical):
        more = known.other > 0 or len(known.values) > VALUES
        return {"range": None, "categories": list(known.values[:VALUES]), "more_categories": more}
    return {"range": None, "categories": None, "more_categories": False}


def _outputs(signature: Signature) -> list[dict[str, str]]:
    positive = json.dumps(signature.classes[-1]) if signature.classes else ""
    types = {o.name: o.type.value for o in signature.outputs}
    return [
        {
            "name": name,
            "type": types[name],
            "meaning": MEANINGS[signature.kind][spec.suffix].replace("{positive}", positive),
        }
        for name, spec in signature.specs.items()
    ]


def _types(signature: Signature | Joint) -> dict[str, Any]:
    return {i.name: i.type for i in signature.inputs}


def _asked(signature: Signature | Joint) -> list[str]:
    """The outputs of an example: the answer, and how likely or how wide it is; of several targets the answers."""
    if len(signature.parts) > 1:
        return [part.output for part in signature.parts]
    return [name for name, spec in signature.parts[0].specs.items() if not spec.heavy][:3]


# --- endpoints ---------------------------------------------------------------------------------------------


def _endpoint(at: Place, one: Resource) -> dict[str, Any]:
    declared = one.as_(CreateEndpoint)
    with at.work.state.reading() as reader:
        revision = endpoints.current(reader, at.environment).get(one.name) if at.deployed else None
        number = None if revision is None else revision.answering or revision.version
        version = None if number is None else versions.get(reader, declared.model, number)
        urls = [n.url for n in nodes.of(reader, at.environment) if n.url]
    facts: dict[str, Any] = {
        "model": declared.model,
        "path": f"/predict/{one.name}",
        "version": number,
        "stage": None if revision is None else revision.stage,
        "outcomes": None if declared.outcomes is None else asdict(declared.outcomes),
    }
    if version is None:
        return {**facts, "look_up": None, "inputs": [], "outputs": [], "example": {}}
    url = (urls[-1] if urls else SERVED).partition("/#")[0].rstrip("/")
    if forecasts.is_one(version):
        return {**facts, **_ahead(at.work, one.name, declared.model, version, url)}
    kept = known(at.work, version)
    signature = kept.signature
    body = example.row(signature.inputs, kept.profile, kept.newest)
    model = at.graph.get(declared.model).as_(CreateModel)
    key = () if declared.outcomes is None else declarations.key_of(declared.outcomes.of(model.targets))
    carried = [i for i in signature.carried if i.name in key]
    looked = looked_up.facts(at.work, at.environment, declared.look_up, signature.inputs)
    usual = {**{i.name: example.usual(i, kept.profile, kept.newest) for i in carried}, **body}
    row = looked_up.asked(usual, looked)
    return {
        **facts,
        "look_up": looked,
        "inputs": _inputs(kept, version.importance),
        "outputs": [o for part in signature.parts for o in _outputs(part)],
        "body": row,
        "example": {
            **example.requests(url, one.name, declared.model, row, _types(signature), _asked(signature)),
            **example.calls(declared.model, body, _types(signature), _asked(signature)),
        },
    }


def _ahead(work: Workspace, endpoint: str, model: str, version: Version, url: str) -> dict[str, Any]:
    """What is asked of an endpoint that forecasts."""
    found, first = forecasts.facts(work, model, version), forecasts.groups(work, version)
    asked = forecasts.body(forecasts.known(work, version), first[0] if first else {})
    return {
        "inputs": found["inputs"],
        "outputs": found["outputs"],
        "body": asked,
        "example": {"curl": forecasts.curl(url, endpoint, asked), **found["example"]},
    }


def _channel(at: Place, one: Resource) -> dict[str, Any]:
    """What it tells; where to is in its definition, as a secret."""
    del at
    declared = one.as_(CreateChannel)
    return {"events": list(declared.events), "model": declared.model}


def _view(at: Place, one: Resource) -> dict[str, Any]:
    """The tables of sources that are read in its place."""
    del at
    return {"reads": [f"{t.source}.{t.table}" for t in one.tables]}


def _scheduled(at: Place, one: Resource) -> dict[str, Any]:
    """Where it runs, who declared it, and what became of its last run."""
    found = schedules.get(at.work.state, at.environment, one.kind, one.remembered) if at.deployed else None
    return {
        "runs_in": at.work.serving,
        "declared_by": None if found is None else found.declared_by,
        "last_done": None if found is None or found.last_done is None else show_instant(found.last_done),
        "last_run": None if found is None else found.last_run,
        "failures": 0 if found is None else found.failures,
        "error": None if found is None else found.error,
        "said": None if found is None else found.said,
    }


_OF: Mapping[Kind, Callable[[Place, Resource], dict[str, Any]]] = {
    Kind.SOURCE: _source,
    Kind.DATASET: _dataset,
    Kind.MODEL: _model,
    Kind.ENDPOINT: _endpoint,
    Kind.CHANNEL: _channel,
    Kind.VIEW: _view,
    Kind.JOB: _scheduled,
    Kind.TRIGGER: _scheduled,
}
