"""How two versions of a model differ: what they were made from, what they take, how well they did, and which one won."""

from __future__ import annotations

import difflib
from datetime import datetime
from typing import Any, TypeAlias

from tilth.core.time import show_instant
from tilth.ml.forecasting.signature import Signature as Forecast
from tilth.ml.model.joint import signature_of
from tilth.ml.model.signature import Joint, Signature
from tilth.runtime.loading import verified
from tilth.runtime.record import environments, evidence, versions
from tilth.runtime.record.versions import Version
from tilth.runtime.showing import forecasts
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import Kind

Known: TypeAlias = Signature | Joint | Forecast
FACTS = ("status", "engine", "recipe", "snapshot", "rows", "tuned_until", "created_at", "reason", "digest")


def compare(work: Workspace, first: tuple[str, int], second: tuple[str, int]) -> dict[str, Any]:
    """The differences as plain facts. Metrics are each version's own, on the rows that judged it then."""
    rows = [versions.require(work.state, *which) for which in (first, second)]
    known: list[Known] = [
        forecasts.known(work, row) if forecasts.is_one(row) else signature_of(verified(work, row).files)
        for row in rows
    ]
    inputs = [_inputs(one) for one in known]
    several = any(len(one.parts) > 1 for one in known)
    metrics = [_metrics(row, one, several=several) for row, one in zip(rows, known, strict=True)]
    names = [f"{model}@{number}" for model, number in (first, second)]
    added = sorted(n for n in inputs[1] if inputs[0].get(n) != inputs[1][n])
    removed = sorted(n for n in inputs[0] if inputs[1].get(n) != inputs[0][n])
    return {
        "first": names[0],
        "second": names[1],
        "facts": {k: [_short(k, _plain(getattr(row, k))) for row in rows] for k in FACTS},
        "metrics": {
            m: [metrics[0].get(m), metrics[1].get(m)] for m in dict.fromkeys([*metrics[0], *metrics[1]])
        },
        "inputs_added": [f"{n} {inputs[1][n]}" for n in added],
        "inputs_removed": [f"{n} {inputs[0][n]}" for n in removed],
        "definition": _definitions(work, rows, names),
        "gate": _gate(work, first, second),
    }


def _metrics(row: Version, signature: Known, *, several: bool) -> dict[str, Any]:
    """Each metric; with the name of its output before it, where one of the two has several targets."""
    parts: tuple[Signature | Forecast, ...] = signature.parts
    return {
        f"{of.output}: {name}" if several else name: value
        for one, of in zip(row.parts, parts, strict=True)
        for name, value in one.facts.get("metrics", {}).items()
    }


def _plain(value: object) -> object:
    """Instants as texts, as the state keeps them."""
    return show_instant(value) if isinstance(value, datetime) else value


def _short(key: str, value: object) -> object:
    """Digests and ids by their first twelve characters, which is what people compare."""
    return str(value)[:12] if key in ("digest", "snapshot") and value else value


def _inputs(signature: Known) -> dict[str, str]:
    return {i.name: i.type.value + ("" if i.required else "?") for i in signature.inputs}


def _definitions(work: Workspace, rows: list[Version], names: list[str]) -> list[str]:
    """The lines in which the declarations differ; empty when they are the same or no longer kept."""
    texts = []
    for row in rows:
        found = environments.definition_of(work.state, Kind.MODEL, row.model, row.recipe)
        texts.append(found.splitlines() if found else [])
    if not all(texts):
        return []
    return list(difflib.unified_diff(texts[0], texts[1], names[0], names[1], lineterm="", n=1))


def _gate(work: Workspace, first: tuple[str, int], second: tuple[str, int]) -> str:
    """What the gate said, if it compared the two."""
    for candidate, champion in ((second, first), (first, second)):
        found = evidence.last(work.state, *candidate)
        if found is not None and champion[0] == candidate[0] and found.champion == champion[1]:
            return f"Gate of version {candidate[1]} against {champion[1]}: {found.outcome}. {found.reason}"
    return ""
