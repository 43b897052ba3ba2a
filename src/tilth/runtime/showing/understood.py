"""What training found out about a version, in sentences: what its decisions cost, whether its probabilities hold, what simpler models lose.

The figures are of `metrics.json`; versions of before have none of them. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tilth.core.figures import figure
from tilth.core.sizes import show_size as size

Facts = Mapping[str, Any]
KEYS = ("money", "calibration", "permuted", "weak", "simpler", "row_us")
"""What of a version's figures is told beyond metrics; None where a version has no such figure."""


def money(found: Facts | None) -> str:
    """What 1,000 decisions cost, beside those of others; '' without costs."""
    if not found:
        return ""
    others = ", ".join(f"{name} {figure(one['value'])}" for name, one in found["against"].items())
    return f"{found['per']:,} decisions cost {figure(found['value'])}{_ends(found)}; {others}."


def sentences(facts: Facts) -> Iterator[str]:
    """All of it, each in one sentence."""
    if said := money(facts.get("money")):
        yield said
    if found := facts.get("calibration"):
        yield calibration(found)
    if said := nearest(facts.get("simpler"), str(facts.get("metric"))):
        yield said


def calibration(found: Facts) -> str:
    """How far said and true shares are apart, and what luck makes of so few rows."""
    bins = len(found["bins"])
    return (
        f"Probabilities are off by {figure(found['ece'])} on average (ECE; {bins} bins, {found['rows']:,} rows): luck alone makes "
        f"{figure(found['luck'])}, without it {figure(found['debiased'])} is left."
    )


def nearest(found: Facts | None, metric: str) -> str:
    """The nearest simpler model and what it loses."""
    one = next((m for m in (found or {}).get("models", ()) if m["name"] == (found or {})["nearest"]), None)
    if one is None or found is None:
        return ""
    return (
        f"The nearest simpler model, {one['name']} of {one['inputs']} inputs, {loses(one['loses'], metric)}; it is "
        f"{size(one['bytes'])} instead of {size(found['bytes'])}."
    )


def loses(one: Facts, metric: str) -> str:
    """What is lost of a metric, or gained."""
    verb = "loses" if one["value"] >= 0 else "gains"
    sign = 1.0 if one["value"] >= 0 else -1.0
    ends = sorted(sign * v for v in (one["low"], one["high"]) if v is not None)
    spread = f" ({figure(ends[0])} to {figure(ends[1])})" if len(ends) == 2 else ""
    return f"{verb} {figure(abs(one['value']))} of {metric}{spread}"


def _ends(one: Facts) -> str:
    return "" if one["low"] is None else f" ({figure(one['low'])} to {figure(one['high'])})"


def weak_rows(found: Facts | None) -> list[tuple[Any, ...]]:
    """Each weak slice: its condition, rows, loss there and elsewhere, what was said and what came."""
    return [
        (
            s["where"],
            s["rows"],
            *(None if s[k] is None else figure(s[k]) for k in ("loss", "rest", "said", "came")),
        )
        for s in (found or {}).get("slices", ())
    ]


def simpler_rows(facts: Facts) -> list[tuple[Any, ...]]:
    """Each simpler model: its inputs, metric, what is lost, bytes, and how long a row takes; or why there is none."""
    metric, took, found = str(facts.get("metric")), facts.get("row_us") or {}, facts.get("simpler") or {}
    rows: list[tuple[Any, ...]] = []
    for one in found.get("models", ()):
        if "why" in one:
            rows.append((one["name"], one["inputs"], None, one["why"], None, None))
            continue
        rows.append(
            (one["name"], one["inputs"], figure(one["metric"]), loses(one["loses"], metric), size(one["bytes"]), _us(took.get(one["name"])))
        )  # fmt: skip
    if rows:
        value = found.get("metric")
        rows.append(
            (
                "this model",
                len(facts.get("inputs", ())),
                None if value is None else figure(value),
                "",
                size(found["bytes"]),
                _us(took.get("this")),
            )
        )
    return rows


def _us(value: float | None) -> str | None:
    return None if value is None else f"{figure(value, 2)} us"


WEAK = ("slice", "rows", "loss", "loss elsewhere", "said", "came")
SIMPLER = ("model", "inputs", "metric", "against this one", "size", "a row takes")
