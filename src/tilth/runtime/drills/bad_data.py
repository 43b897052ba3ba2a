"""The drill of bad data: the newest rows in another unit, with gaps and twice, through the dataset's own checks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tilth.core.errors import DataError
from tilth.ml.data import checks as checking
from tilth.ml.data import spoiling
from tilth.ml.data.spoiling import Mishap
from tilth.runtime.drills.subject import Shown, Subject

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]


def bad_data(subject: Subject) -> Shown:
    """The newest rows in another unit, with gaps and twice, through the dataset's own checks."""
    declared, rows, engine = subject.dataset, subject.newest(), subject.work.engine
    checks = checking.checks_of(declared, subject.manifest().schema, engine)
    if rows.num_rows == 0:
        raise DataError(f"Dataset `{declared.name}` holds no rows.", hint=f"REFRESH DATASET {declared.name}.")
    mine = {n.lower() for n in subject.columns()}
    columns = [n for n in rows.column_names if n.lower() in mine]
    found = spoiling.rehearse(rows, checks, columns, engine, subject.work.clock.now())
    whole, single = [m for m in found if not m.column], [m for m in found if m.column]
    silent = [m for m in single if not m.noticed]
    facts = {
        "dataset": declared.name,
        "rows": rows.num_rows,
        "checks": len(checks.items),
        "not_rehearsed": [checking.label(checks.items[i]) for i in checks.references],
        "mishaps": [_mishap_facts(m) for m in found],
        "unnoticed": [f"{m.kind} {m.column}" for m in silent],
    }
    words = [f"{rows.num_rows:,} newest rows of {declared.name}, spoiled in memory; nothing is published."]
    words += [_mishap_words(m) for m in whole]
    if silent:
        listed = ", ".join(f"{m.column} ({m.kind})" for m in silent)
        words.append(f"In one column alone, no check would notice: {listed}.")
    ok = all(m.noticed for m in whole)
    missed = ", ".join(KINDS[m.kind] for m in whole if not m.noticed)
    words.append(
        "Every mishap to the whole feed is noticed."
        if ok
        else f"Unnoticed: {missed}. Add EXPECT checks, or a KEY, to {declared.name}."
    )
    return ok, words, facts


KINDS = {
    "scaled": "all numbers sixty times larger",
    "missing": "a tenth of all values missing",
    "repeated": "every row twice",
}


def _mishap_words(m: Mishap) -> str:
    if not m.noticed:
        return f"{KINDS[m.kind]}: no check notices it"
    what = "nothing would be published" if m.stopped else f"{m.quarantined:,} rows held back"
    more = f" and {len(m.caught) - 3} more" if len(m.caught) > 3 else ""
    return f"{KINDS[m.kind]}: {what}; caught by {', '.join(m.caught[:3])}{more}"


def _mishap_facts(m: Mishap) -> dict[str, Any]:
    return {
        "kind": m.kind,
        "column": m.column or None,
        "caught": list(m.caught),
        "quarantined": m.quarantined,
        "stopped": m.stopped,
    }
