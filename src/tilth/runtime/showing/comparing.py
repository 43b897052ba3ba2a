"""How two versions of a model differ: what they were made from, what they take, how well they did, and which one won."""

from __future__ import annotations

import difflib
from datetime import datetime
from typing import Any

from tilth.core.time import show_instant
from tilth.ml.model.joint import signature_of
from tilth.runtime.loading import verified
from tilth.runtime.record import environments, evidence, versions
from tilth.runtime.record.versions import Version
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import Kind

FACTS = ("status", "engine", "recipe", "snapshot", "rows", "tuned_until", "created_at", "reason", "digest")


def compare(work: Workspace, first: tuple[str, int], second: tuple[str, int]) -> dict[str, Any]:
    """The differences as plain facts. Metrics are each version's own, on the rows that judged it then."""
    rows = [versions.require(work.state, *which) for which in (first, second)]
    inputs = [_inputs(work, row) for row in rows]
    metrics = [_metrics(row) for row in rows]
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


def _metrics(row: Version) -> dict[str, Any]:
    """Each metric; of several targets with the name of its output before it."""
    several = len(row.parts) > 1
    return {
        f"{one.facts['output']}: {name}" if several else name: value
        for one in row.parts
        for name, value in one.facts.get("metrics", {}).items()
    }


def _plain(value: object) -> object:
    """Instants as texts, as the state keeps them."""
    return show_instant(value) if isinstance(value, datetime) else value


def _short(key: str, value: object) -> object:
    """Digests and ids by their first twelve characters, which is what people compare."""
    return str(value)[:12] if key in ("digest", "snapshot") and value else value


def _inputs(work: Workspace, row: Version) -> dict[str, str]:
    signature = signature_of(verified(work, row).files)
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
