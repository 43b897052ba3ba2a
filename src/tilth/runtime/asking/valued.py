"""EXPLAIN DATASET d FOR MODEL m: what each column is worth to the model, and whether requests bring it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from tilth.core.errors import UnknownNameError
from tilth.core.names import did_you_mean
from tilth.core.time import show_instant
from tilth.runtime.asking.prompt import Prompt, Result
from tilth.runtime.record import leakage, versions
from tilth.runtime.record.snapshots import manifest_of
from tilth.runtime.showing import column_value
from tilth.sql.language.acts import ExplainDataset
from tilth.sql.language.statements import CreateDataset, CreateModel, Kind

REQUESTS = 5_000  # the newest ones that are looked at
DAYS = 30
LEFT_OUT = ("environment", "model", "version", "measured_rows", "cpu_seconds", "cpu_share")


def explained(at: Prompt, statement: ExplainDataset) -> Result:
    """A row a column; UnknownNameError where there is no such model here, or it does not learn from that dataset."""
    graph = at.deployed(at.environment)
    current = versions.current(at.work.state, at.environment)
    model = graph.find(statement.model)
    if model is None or model.kind is not Kind.MODEL or statement.model not in current:
        raise UnknownNameError(
            f"There is no model `{statement.model}` in `{at.environment}`.",
            hint=did_you_mean(statement.model, sorted(current), "models")
            if current
            else "Run `tilth apply` to train one.",
        )
    upstream = [r for r in graph.upstream(statement.model) if r.kind is Kind.DATASET]
    data = next((r for r in upstream if r.name == statement.dataset), None)
    if data is None:
        raise UnknownNameError(
            f"The model `{statement.model}` does not learn from a dataset `{statement.dataset}`.",
            hint=did_you_mean(statement.dataset, [r.name for r in upstream], "datasets it learns from")
            if upstream
            else "It reads a query; SELECT * FROM tilth.column_value shows its columns.",
        )
    version = current[statement.model]
    found = list(column_value.rows(version, column_value.tags_of(data.as_(CreateDataset))))
    given, requests = _given(at, statement.model)
    later = _later(at, version.snapshot)
    for row in found:
        name = row["column_name"]
        row["given"] = given.get(name, 0) / requests if requests else None
        row["known_later"] = name.lower() in later
    kinds = {**column_value.COLUMNS, "given": "float", "known_later": "bool"}
    left = {*LEFT_OUT, *(() if len(version.parts) > 1 else ("output",))}
    facts = {
        "model": statement.model, "version": version.version, "dataset": statement.dataset, "requests": requests,
        "proposed": list(column_value.proposed(version)), "columns": found,
    }  # fmt: skip
    return Result(
        _table(found, {k: v for k, v in kinds.items() if k not in left}), _words(at, facts, version), facts
    )


def _words(at: Prompt, facts: Mapping[str, Any], version: Any) -> str:
    name = facts["model"]
    said = version.parts[0].facts.get("column_value")
    if not said:
        return f"{name} version {version.version} was trained without measuring its columns; RETRAIN MODEL {name} does"
    measured = (
        f"{name} version {version.version}: {said['loss']} by which answers to {said.get('rows', 0):,} held-out rows get worse when a column's "
        f"values are dealt to other rows, with {round(100 * said.get('confidence', 0.95))} % intervals; shuffled columns reach `shuffled`. It took "
        f"{said['cpu_seconds']} CPU seconds, {said['cpu_share']:.0%} of the training's."
    )
    lines = [measured]
    if said.get("why"):
        lines.append(f"Not measured: {said['why']}.")
    if said.get("cut"):
        lines.append("Some columns were not measured: a fifth of the training's CPU was spent.")
    if said.get("not_measured"):
        lines.append(
            f"{said['not_measured']} columns were not measured: texts, and those beyond the first 200."
        )
    if facts["proposed"]:
        lines.append(
            f"Without {', '.join(facts['proposed'])} {column_value.saves(version, facts['proposed'])}."
        )
    if not facts["requests"]:
        lines.append(f"`given` is empty: no request was logged in {DAYS} days.")
    lines += _forbidden(at, facts)
    return "\n".join(lines)


def _forbidden(at: Prompt, facts: Mapping[str, Any]) -> list[str]:
    declared = at.deployed(at.environment).get(facts["model"]).as_(CreateModel)
    if declared.accept is None:
        return []
    return [
        f"Accepted as no leak: {', '.join(declared.accept.columns)}, because {declared.accept.because!r}."
    ]


def _given(at: Prompt, model: str) -> tuple[dict[str, int], int]:
    """In how many of the newest requests each input had a value, and how many requests those are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    since = show_instant(at.work.clock.now() - timedelta(days=DAYS))
    log: pa.Table = at.work.log.table(since=since)[0]
    mine = pc.and_(
        pc.and_(pc.equal(log["model"], model), pc.equal(log["environment"], at.environment)),
        pc.is_in(log["role"], value_set=pa.array(["champion", "canary"])),
    )
    texts = log.filter(mine)["inputs"].to_pylist()[-REQUESTS:]
    out: dict[str, int] = {}
    for text in texts:
        for name, value in json.loads(text).items():
            out[name] = out.get(name, 0) + (value is not None)
    return out, len(texts)


def _later(at: Prompt, snapshot: str) -> set[str]:
    """The columns that were another when later rows were taken away."""
    found = leakage.of(at.work.state, manifest_of(at.work.state, snapshot).recipe)
    return set() if found is None else {c.lower() for c in found.columns}


def _table(rows: list[dict[str, Any]], kinds: Mapping[str, str]) -> Any:
    import pyarrow as pa

    types = {"int": pa.int64(), "float": pa.float64(), "text": pa.string(), "bool": pa.bool_()}
    return pa.table({n: pa.array([r.get(n) for r in rows], types[k]) for n, k in kinds.items()}).to_reader()
