"""What a gate said, and how it is kept: the verdict, how often mostly these rows were looked at, and the record.

`gate` judges models that predict row by row, `forecast_gate` those that forecast; both say it here.
"""

from __future__ import annotations

from dataclasses import dataclass

from tilth.ml.judging import holdout
from tilth.ml.judging.gates import GateResult
from tilth.ml.judging.holdout import sketch
from tilth.runtime.act import Act
from tilth.runtime.record import evidence, versions
from tilth.runtime.record.evidence import Gate
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import CreateModel

__all__ = ["STATUS", "Verdict", "earlier", "record", "sketch"]

STATUS = {"pass": "promoted", "fail": "refused", "inconclusive": "held"}
MOSTLY = 0.5  # looks that share more of their rows than this spend of one error


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's result, the status that the version has now, and the number of the version it was compared with."""

    version: int
    champion: int | None
    status: str
    metric: str
    reason: str
    result: GateResult


def earlier(work: Workspace, model: str, named: str, sketch: bytes, marks: str) -> int:
    """How many looks there were at mostly these rows, whatever the holdout was called."""
    count = 0
    for look in evidence.looked_at(work.state, model):
        if look.judged is None:
            count += look.holdout == named
        elif look.identity != marks:  # rows that are told apart by other columns: they may be the same
            count += 1
        else:
            count += holdout.shared(look.judged, sketch) > MOSTLY
    return count


def record(
    act: Act,
    declared: CreateModel,
    verdict: Verdict,
    named: str,
    sketch: bytes,
    marks: str,
    targets: str | None,
) -> None:
    r, now = verdict.result, act.now()
    said = Gate(
        declared.name, verdict.version, verdict.champion, act.environment, declared.promote.text, verdict.metric,
        r.outcome, verdict.reason, r.rows, r.blocks, named, r.uses, now, r.candidate_metric, r.champion_metric,
        r.baseline_metric, r.delta, r.lower, r.upper, r.confidence, r.spent, r.detectable, targets,
    )  # fmt: skip
    with act.change(now) as change:
        evidence.add(change, said, sketch, marks)
        versions.set_status(change, declared.name, verdict.version, verdict.status)
        detail = {"version": verdict.version, "outcome": r.outcome, "reason": verdict.reason}
        change.audit("gate", declared.name, detail)
