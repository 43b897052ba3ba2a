"""A candidate before its gate: the rows that neither it nor the champion was tuned on, both models' scores, the verdict.

The comparison is `ml.learning.gates`; here are the rows, the bookkeeping of how often they were used, and the record.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from tilth.core.errors import DataError, InputError
from tilth.core.time import parse_instant, show_instant
from tilth.ml.data import snapshots
from tilth.ml.learning import split, target
from tilth.ml.learning.gates import GateResult, Holdout, Rule, judge
from tilth.ml.learning.judging import dummy
from tilth.ml.learning.spec import TrainingSpec, check_metric
from tilth.ports.snapshots import Manifest
from tilth.ports.state import Cell, Row
from tilth.runtime.workspace import Workspace, version_of
from tilth.sql.statements import CreateModel

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from tilth.ml.serving.predictor import Predictor

    Array = npt.NDArray[np.float64]

STATUS = {"pass": "promoted", "fail": "refused", "inconclusive": "held"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's result, the status that the version has now, and the number of the version it was compared with."""

    version: int
    champion: int | None
    status: str
    metric: str
    reason: str
    result: GateResult


def gate(
    work: Workspace,
    environment: str,
    declared: CreateModel,
    spec: TrainingSpec,
    manifest: Manifest,
    candidate: Row,
    champion: Row | None,
    actor: str,
) -> Verdict:
    """Judge the candidate and record it in `gates`; the version's status says what came out."""
    model, number = declared.name, int(candidate["version"] or 0)
    fresh = version_of(work, model, number)
    held = version_of(work, model, int(champion["version"] or 0)) if champion is not None else None
    after = max(
        (str(r["tuned_until"]) for r in (candidate, champion) if r and r["tuned_until"]), default=None
    )
    rows = _rows(work, spec, manifest, fresh, held, after)
    holdout = f"{manifest.dataset} after {after}" if after else f"{manifest.dataset} by hash of key"
    uses = int(work.state.read("holdout_uses", model=model, holdout=holdout)[0]["uses"] or 0)
    metric = check_metric(spec.metric, fresh.signature.kind)
    rule = Rule(metric, declared.promote.rule.value, declared.promote.margin, spec.minimum)
    against, remark = _champion_scores(held, fresh, rows.table)
    result = judge(
        rule,
        Holdout(fresh.signature.kind, rows.truth, rows.blocks, uses),
        fresh.scores(rows.table) if rows.table.num_rows else rows.truth,
        against,
        dummy(fresh.signature.kind, len(fresh.signature.classes), rows.known, len(rows.truth), metric),
        seed=spec.seed,
    )
    against_number = int(champion["version"] or 0) if champion else None
    reason = f"{result.reason} {remark}".strip()
    verdict = Verdict(number, against_number, STATUS[result.outcome], metric, reason, result)
    _record(work, environment, declared, verdict, holdout, actor)
    return verdict


@dataclass(frozen=True, slots=True)
class _Rows:
    """The judge rows with their truth and blocks; `known` is the truth of the rows that tuning saw."""

    table: pa.Table
    truth: Array
    blocks: npt.NDArray[np.int64] | None
    known: Array


def _rows(
    work: Workspace,
    spec: TrainingSpec,
    manifest: Manifest,
    fresh: Predictor,
    held: Predictor | None,
    after: str | None,
) -> _Rows:
    import numpy as np
    import pyarrow as pa

    inputs = {*fresh.signature.names, *(held.signature.names if held else ())}
    needed = {*inputs, spec.target, *spec.key, *([spec.event_time] if spec.event_time else [])}
    columns = [n for n in manifest.schema.names if n in needed]
    table = snapshots.read(manifest, work.blobs, columns).read_all()
    signature = fresh.signature
    meant = target.Target(signature.target, signature.target_type, signature.kind, signature.classes)
    truth = target.encode(table.column(spec.target), meant)
    due = _due(spec, table)
    judging = split.judge_mask(table, spec.key, spec.event_time, after)
    mine = judging & due & ~np.isnan(truth)
    kept = table.filter(pa.array(mine))
    blocks = split.blocks(kept, spec.key, spec.event_time) if kept.num_rows else None
    return _Rows(kept, truth[mine], blocks, truth[~judging & ~np.isnan(truth)])


def _due(spec: TrainingSpec, table: pa.Table) -> npt.NDArray[np.bool_]:
    """Rows whose label is due by now: those that came early would be judged by the quick ones alone."""
    import numpy as np

    if not spec.label_delay or spec.event_time is None or spec.now is None:
        return np.ones(table.num_rows, dtype=np.bool_)
    limit = show_instant(parse_instant(spec.now) - timedelta(seconds=spec.label_delay))
    return ~split.judge_mask(table, spec.key, spec.event_time, limit)


def _champion_scores(
    champion: Predictor | None, fresh: Predictor, table: pa.Table
) -> tuple[Array | None, str]:
    """The champion's scores in the candidate's terms; None, and why, when it cannot answer these rows."""
    if champion is None or not table.num_rows:
        return None, ""
    old, new = champion.signature, fresh.signature
    if old.kind != new.kind or (old.target != new.target):
        return None, f"Version {champion.version} predicts something else and cannot be compared."
    try:
        scores = champion.scores(table)
    except (InputError, DataError) as error:
        return (
            None,
            f"Version {champion.version} cannot answer these rows and is not compared: {error.message}",
        )
    if old.classes == new.classes or new.kind == "regression":
        return scores, ""
    return _realigned(scores, old.classes, new.classes), ""


def _realigned(scores: Array, old: tuple[object, ...], new: tuple[object, ...]) -> Array | None:
    """Class probabilities in another order; a class that the champion does not know has none."""
    import numpy as np

    if scores.ndim == 1:
        return None
    out = np.zeros((len(scores), len(new)))
    for place, name in enumerate(new):
        if name in old:
            out[:, place] = scores[:, old.index(name)]
    return out


def _record(
    work: Workspace,
    environment: str,
    declared: CreateModel,
    verdict: Verdict,
    holdout: str,
    actor: str,
) -> None:
    r, at = verdict.result, show_instant(work.clock.now())
    figures: dict[str, Cell] = {
        "candidate_metric": r.candidate_metric,
        "champion_metric": r.champion_metric,
        "baseline_metric": r.baseline_metric,
        "delta": r.delta,
        "lower": r.lower,
        "upper": r.upper,
        "confidence": r.confidence,
    }
    with work.state.change(actor, at) as change:
        change.write(
            "add_gate",
            model=declared.name,
            candidate=verdict.version,
            champion=verdict.champion,
            environment=environment,
            rule=declared.promote.rule.value,
            metric=verdict.metric,
            outcome=r.outcome,
            reason=verdict.reason,
            rows=r.rows,
            blocks=r.blocks,
            holdout=holdout,
            uses=r.uses,
            at=at,
            **{k: None if v is None or v != v else v for k, v in figures.items()},  # noqa: PLR0124 - NaN
        )
        change.write(
            "set_version_status", model=declared.name, version=verdict.version, status=verdict.status
        )
        detail = {"version": verdict.version, "outcome": r.outcome, "reason": verdict.reason}
        change.audit("gate", declared.name, detail)
