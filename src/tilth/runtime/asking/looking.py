"""LOOK AT: what the answers of a served model say now. It is not written down, and so decides nothing."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from tilth.core.errors import UnknownNameError, UnsupportedError
from tilth.core.names import did_you_mean
from tilth.ml.watching.monitoring import Look
from tilth.runtime.asking.prompt import Prompt, Result
from tilth.runtime.watching import watcher
from tilth.sql.language.acts import LookAt
from tilth.sql.language.statements import Kind

_FIGURES = (
    "model", "version", "at", "drift", "prediction_drift", "metric", "quality", "outcomes", "predictions", "new_rows",
    "window_start", "window_end", "left_out", "without_key", "gaps", "outside", "targets",
)  # fmt: skip


def look(at: Prompt, statement: LookAt) -> Result:
    """A row a column that moved, the one that moved most first; the figures of the look are the facts."""
    served = watcher.served(at.work, at.environment)
    names = {n for s in served for n in ([s.model] if statement.kind is Kind.MODEL else s.endpoints)}
    if statement.name not in names:
        raise _not_served(at, statement, names)
    taken = watcher.look_now(
        at.work, at.environment, at.work.clock.now(), at.deployed(at.environment), {statement.name}
    )
    rows = [row for one in taken for row in _columns(one)]
    facts = {
        "environment": at.environment,
        "looks": [_figures(one) for one in taken],
    }
    return Result(_table(rows).to_reader(), "\n".join(map(watcher.words, taken)), facts)


def _figures(one: Look) -> dict[str, Any]:
    found = {k: getattr(one, k) for k in _FIGURES}
    return found | {"targets": None if one.targets is None else json.loads(one.targets)}


def _not_served(at: Prompt, statement: LookAt, names: set[str]) -> UnknownNameError | UnsupportedError:
    what = f"{statement.kind.value}s that are served"
    found = at.deployed(at.environment).find(statement.name)
    if found is None or found.kind is not statement.kind:
        return UnknownNameError(
            f"There is no {statement.kind.value} `{statement.name}` in `{at.environment}`.",
            hint=did_you_mean(statement.name, names, what),
        )
    return UnsupportedError(
        f"Nothing was asked of `{statement.name}` in `{at.environment}`: no endpoint answers with it, and no batch was written.",
        hint=f"CREATE ENDPOINT {statement.name}_api FOR MODEL {statement.name}, then `tilth up`; or"
        f" CREATE TABLE source.scores AS SELECT ... FROM rows JOIN {statement.name}."
        if statement.kind is Kind.MODEL
        else "APPLY first: its model has no version yet.",
    )


def _columns(one: Look) -> list[dict[str, Any]]:
    """Each column with how far it moved; what cannot be told comes last."""
    ordered = sorted(one.columns, key=lambda c: (c.score is None, -(c.score or 0.0), c.column))
    return [{"model": one.model, "version": one.version, **asdict(c)} for c in ordered]


def _table(rows: list[dict[str, Any]]) -> Any:
    import pyarrow as pa

    kinds = {"model": pa.string(), "version": pa.int64(), "column": pa.string(), "rows": pa.int64()}
    names = list(rows[0]) if rows else ["model", "version", "column", "psi", "js", "score", "rows"]
    return pa.Table.from_pylist(rows, pa.schema([(n, kinds.get(n, pa.float64())) for n in names]))
