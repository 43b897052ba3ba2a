"""What gates said, and at which rows they looked: whether a version won, and what an equal one may still win by luck."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tilth.core.time import Instant, show_instant
from tilth.runtime.record.rows import (
    Cell,
    Change,
    Reader,
    Row,
    instant,
    real_or_none,
    text,
    text_or_none,
    whole,
    whole_or_none,
)
from tilth.sql.language.statements import Promote, PromoteRule

PASS, INCONCLUSIVE = "pass", "inconclusive"
ALL = 1_000_000
FIGURES = (
    "candidate_metric", "champion_metric", "baseline_metric", "delta", "lower", "upper", "confidence", "spent",
    "detectable",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Gate:
    """One verdict. `outcome`: pass | fail | inconclusive; a champion is named only where it was compared."""

    model: str
    candidate: int
    champion: int | None
    environment: str
    rule: str  # what PROMOTE IF asked
    metric: str
    outcome: str
    reason: str
    rows: int
    blocks: int
    holdout: str
    uses: int  # how often mostly these rows were looked at, this time included
    at: Instant
    candidate_metric: float | None = None
    champion_metric: float | None = None
    baseline_metric: float | None = None
    delta: float | None = None
    lower: float | None = None
    upper: float | None = None
    confidence: float | None = None
    spent: float | None = None  # the one-sided error of this look
    detectable: float | None = None  # the true difference that four of five such looks would show
    targets: str | None = (
        None  # of several targets what was said of each, as JSON; the figures are those of the one that decided
    )


@dataclass(frozen=True, slots=True)
class LookedAt:
    """Rows at which two versions were compared: a sketch of their ids, which are made of the columns of `identity`."""

    holdout: str
    judged: bytes | None
    identity: str | None


def add(change: Change, one: Gate, judged: bytes, identity: str) -> None:
    """The verdict, with the rows that it was made on."""
    figures: dict[str, Cell] = {name: _known(getattr(one, name)) for name in FIGURES}
    change.write(
        "add_gate", model=one.model, candidate=one.candidate, champion=one.champion, environment=one.environment,
        rule=one.rule, metric=one.metric, outcome=one.outcome, reason=one.reason, rows=one.rows, blocks=one.blocks,
        holdout=one.holdout, uses=one.uses, at=show_instant(one.at), targets=one.targets, **figures,
    )  # fmt: skip
    change.write("add_look", judged=judged, identity=identity)


def _known(value: float | None) -> float | None:
    return None if value is None or value != value else value  # noqa: PLR0124 - NaN


def last(reader: Reader, model: str, candidate: int) -> Gate | None:
    """What was said of a version last."""
    found = reader.read("gate_of", model=model, candidate=candidate)
    return _gate(found[0]) if found else None


def gates_of(reader: Reader, model: str, limit: int = ALL) -> tuple[Gate, ...]:
    """The newest verdicts on a model, newest first."""
    return tuple(map(_gate, reader.read("gates_of", model=model, limit=limit)))


def newest(reader: Reader, environment: str) -> Mapping[str, Gate]:
    """The newest verdict on each model that the environment points at, wherever it was made, by model."""
    found = map(_gate, reader.read("newest_gates", environment=environment))
    return {g.model: g for g in found}


def looked_at(reader: Reader, model: str) -> tuple[LookedAt, ...]:
    """The rows of all comparisons of a model; each spent a part of what an equal candidate may win by luck."""
    return tuple(
        LookedAt(text(r, "holdout"), r["judged"] if isinstance(r["judged"], bytes) else None, text_or_none(r, "identity"))
        for r in reader.read("looks", model=model)
    )  # fmt: skip


def has_won(gates: Iterable[Gate], version: int, champion: int, rule: Promote) -> bool:
    """Whether the version was compared with this champion and passed what the rule asks, whatever was asked then."""
    return any(
        g.candidate == version and g.outcome == PASS and g.champion == champion and _passes(g, rule)
        for g in gates
    )


def _passes(gate: Gate, rule: Promote) -> bool:
    """Whether a comparison that passed also passes this rule. Bounds of 0 are of two that answer every row alike."""
    if rule.rule is PromoteRule.MANUAL:
        return False
    if gate.lower is None or gate.upper is None or gate.targets is not None:
        return gate.rule == rule.text
    return gate.lower > -rule.margin or gate.lower == gate.upper == 0


def _gate(row: Row) -> Gate:
    return Gate(
        text(row, "model"),
        whole(row, "candidate"),
        whole_or_none(row, "champion"),
        text(row, "environment"),
        text(row, "rule"),
        text(row, "metric"),
        text(row, "outcome"),
        text(row, "reason"),
        whole(row, "rows"),
        whole(row, "blocks"),
        text(row, "holdout"),
        whole(row, "uses"),
        instant(row, "at"),
        **{name: real_or_none(row, name) for name in FIGURES},
        targets=text_or_none(row, "targets"),
    )
