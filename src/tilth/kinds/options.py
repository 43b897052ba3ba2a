"""Options as a recipe holds them: the same whatever their order and however a duration is written."""

from __future__ import annotations

from tilth.resources.rules import duration_of
from tilth.sql.language.statements import Options


def in_order(options: Options) -> list[tuple[str, object]]:
    """Options whatever their order, with durations by their length."""
    durations = ("label_delay", "time_limit")
    return [
        (k, (duration_of(v) if k in durations else None) or v)
        for k, v in sorted(options.items, key=lambda i: i[0])
    ]
