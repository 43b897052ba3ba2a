"""Which way answers may go with a number, where OBJECTIVE (monotone = {income: 'up'}) says so.

An engine that cannot promise it takes no part, and a mean of members that all hold it holds it too; a calibration keeps order.
"""

from __future__ import annotations

from collections.abc import Sequence

from tilth.core.errors import DataError
from tilth.ml.learning.rows import Rows
from tilth.ml.model.spec import TrainingSpec

WAYS = {"up": 1, "down": -1}
SEEN_AS = {
    "category": "a category", "text": "a text", "list": "a list", "instant": "a time", "boolean": "true or false",
}  # fmt: skip


def of(spec: TrainingSpec, data: Rows) -> tuple[int, ...]:
    """1, -1 or 0 for each column of the matrix; nothing where all may go as they like. DataError for what has no such way."""
    if not spec.monotone:
        return ()
    if data.target.kind == "multiclass":
        raise DataError(
            f"`{spec.target}` has {len(data.target.classes)} classes, and answers rise or fall only where there are two, or numbers.",
            hint="Leave out monotone of OBJECTIVE.",
        )
    found = {c.name: c.kind for c in data.preparation.columns}
    for name, _ in spec.monotone:
        _is_number(name, found.get(name), dict(data.preparation.dropped).get(name))
    ways = dict(spec.monotone)
    return tuple(WAYS[ways[name]] if name in ways else 0 for name in data.preparation.owners())


def cut(ways: Sequence[int], places: Sequence[int]) -> tuple[int, ...]:
    """Those of some of the columns."""
    return tuple(ways[p] for p in places) if ways else ()


def _is_number(name: str, kind: str | None, why: str | None) -> None:
    if kind == "number":
        return
    said = f"is {SEEN_AS[kind]}" if kind else f"is not learned from: {why or 'it is no feature'}"
    raise DataError(
        f"Answers cannot be made to rise or fall with `{name}`, which {said}.",
        hint=f"Make it a number in the query, CAST({name} AS DOUBLE), or take it out of monotone of OBJECTIVE.",
    )
