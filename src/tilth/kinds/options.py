"""Options as a recipe holds them: the same whatever their order and however a duration is written."""

from __future__ import annotations

from tilth.resources.rules import duration_of, size_of
from tilth.sql.language.statements import Options, Value

DURATIONS = ("label_delay", "time_limit", "cpu_limit", "max_row_time", "budget")
SIZES = ("max_bundle",)
MAPS = ("monotone", "metric", "minimum")


def in_order(options: Options) -> list[tuple[str, object]]:
    """Options whatever their order, with durations by their length and sizes by their bytes."""
    return [(k, _plain(k, v)) for k, v in sorted(options.items, key=lambda i: i[0])]


def _plain(name: str, value: Value) -> object:
    if name in DURATIONS:
        return duration_of(value) or value
    if name in MAPS and isinstance(value, Options):
        return sorted(value.items)
    return size_of(value) or value if name in SIZES else value
