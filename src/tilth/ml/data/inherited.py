"""What a dataset inherits of the datasets that it is made of: rows that leak, or are unproven, are so wherever they are joined.

Neither the text of the query nor a trial of it can see it: both take the rows of its inputs for what could be seen then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from tilth.ml.data.untimely import LEAKS, PROVEN, TESTED, UNPROVEN, Judged
from tilth.sql.queries.taint import tainted


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an input: its verdict, why, and in how many rows its columns were another."""

    verdict: str
    why: str
    columns: Mapping[str, int]


def inherited(judged: Judged, sql: str, inputs: Mapping[str, Known], result: Collection[str]) -> Judged:
    """The same, with what the datasets that the query reads bring along, by name; `result` are its columns.

    It is never better than what it is made of: a leak stays one in the columns that are made of it, and what is unproven or tested is no more than that.
    """
    for name, known in inputs.items():
        if known.verdict == LEAKS:
            judged = _leak(judged, sql, name, known, result)
        elif known.verdict == UNPROVEN:
            judged = _less(judged, UNPROVEN, f"dataset {name} is unproven: {known.why}")
        elif known.verdict == TESTED:
            judged = _less(judged, TESTED, f"dataset {name} is tested, and not proven")
    return judged


def _leak(judged: Judged, sql: str, name: str, known: Known, result: Collection[str]) -> Judged:
    found = tainted(sql, name, known.columns, result)
    if not found.made:
        if not found.hidden:
            return judged
        return _less(
            judged,
            UNPROVEN,
            f"dataset {name} leaks in {', '.join(known.columns)}, which an inner query reads",
        )
    most = max(known.columns.values(), default=0)
    why = f"{', '.join(found.made)} made of {', '.join(known.columns)} of dataset {name}, which leaks: {known.why}"
    why = f"{judged.why}; {why}" if judged.verdict == LEAKS else why
    return replace(
        judged, verdict=LEAKS, why=why, columns={**dict.fromkeys(found.made, most), **judged.columns}
    )


def _less(judged: Judged, verdict: str, why: str) -> Judged:
    """At most this verdict, with why."""
    order = (PROVEN, TESTED, UNPROVEN, LEAKS)
    if order.index(judged.verdict) > order.index(verdict):
        return judged
    said = judged.why if judged.verdict == verdict and judged.why else ""
    return replace(judged, verdict=verdict, why=f"{said}; {why}" if said else why)
