"""Whether rows of a dataset can hold what came after them: what its text proves and what a trial found, by recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tilth.core.time import Instant, show_instant
from tilth.ml.data.untimely import Judged
from tilth.runtime.record.rows import Change, Reader, decoded, text


@dataclass(frozen=True, slots=True)
class Leakage:
    """What is known of a recipe; `columns` says in how many rows each was another when later rows were taken away."""

    verdict: str
    why: str
    columns: Mapping[str, Any]


def of(reader: Reader, recipe: str) -> Leakage | None:
    """What is known of the recipe; None where it was never judged."""
    for r in reader.read("leakage_of", recipe=recipe):
        return Leakage(text(r, "verdict"), text(r, "why"), decoded(text(r, "columns")))
    return None


def put(change: Change, dataset: str, recipe: str, judged: Judged, snapshot: str | None, at: Instant) -> None:
    """In place of what was known."""
    change.write(
        "set_leakage", recipe=recipe, dataset=dataset, verdict=judged.verdict, why=judged.why,
        bounds=json.dumps([asdict(b) for b in judged.bounds]), columns=json.dumps(dict(judged.columns)),
        snapshot=snapshot, at=show_instant(at),
    )  # fmt: skip
