"""A candidate before its gate: the rows that neither it nor the champion was tuned on, both models' answers, the verdict.

The rows are `ml.judging.holdout`'s, the comparison is `ml.judging.gates`'; here are the answers, how often these rows
were looked at, and the record. A champion is named in the record only where it was compared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tilth.core.errors import UnknownNameError
from tilth.ml.data import identity
from tilth.ml.judging import answers, holdout, split
from tilth.ml.judging.gates import INCONCLUSIVE, GateResult, Holdout, Rule, judge
from tilth.ml.judging.holdout import Rows, Tuned
from tilth.ml.judging.together import together
from tilth.ml.learning import target, weights
from tilth.ml.learning.losses import dummy
from tilth.ml.model.joint import parts_of
from tilth.ml.model.metrics import decided
from tilth.ml.model.spec import TrainingSpec, check_metric
from tilth.ports.snapshots import Manifest
from tilth.runtime.act import Act
from tilth.runtime.applying import forecast_gate, held_back, imported, recording
from tilth.runtime.applying.answers import Answers, adverse, given, realigned
from tilth.runtime.applying.recording import STATUS, Verdict
from tilth.runtime.loading import verified, version_of
from tilth.runtime.record.snapshots import manifest_of
from tilth.runtime.record.versions import Version
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import CreateModel, PromoteRule

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from tilth.ml.model.predictor import Predictor

    Array = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

LUCK_OF_FOLDS = (
    0.7  # measured: 0.2 to 0.7 over 240 pairs of equal recipes, of 300 and 2,000 rows and three engines
)


@dataclass(frozen=True, slots=True)
class _Version:
    """One of the two: its row, the model, and what it was tuned on."""

    row: Version
    model: Predictor
    tuned: Tuned

    @property
    def number(self) -> int:
        return self.model.version


@dataclass(frozen=True, slots=True)
class _Case:
    """What is put before the gate: rows with their truth, both models' scores on them, and what is to be said of that."""

    rows: Rows
    truth: Array
    known: Array  # the target of all rows, which is what a baseline knows
    counts: Array | None  # what each of those counts; None: all the same
    fresh: Array
    held: Array | None
    remarks: tuple[str, ...]
    stop: str | None = None  # why the two cannot be compared at all
    weight: Array | None = None  # what each row that judges counts


@dataclass(frozen=True, slots=True)
class _Asked:
    """One target before the gate. `first`: the champion beside it predicts something else. `leaks`: what holds it in any case."""

    spec: TrainingSpec
    fresh: _Version
    held: _Version | None
    first: bool
    metric: str
    case: _Case
    leaks: str
    accepted: tuple[str, ...] = ()  # what of it the text accepts


def gate(
    act: Act,
    declared: CreateModel,
    spec: TrainingSpec,
    manifest: Manifest,
    candidate: Version,
    champion: Version | None,
) -> Verdict:
    """Judge the candidate and record it in `gates`; the version's status says what came out."""
    work = act.work
    if spec.forecast:
        return forecast_gate.gate(act, declared, manifest, candidate, champion)
    asked = _asked(work, declared, spec, manifest, candidate, champion)
    marks = tuple(identity.columns_of(spec.key, manifest.schema.names))
    sketch = recording.sketch(_ids([one.case.rows for one in asked]))
    named = ", ".join(dict.fromkeys(_named(one.fresh, one.held, manifest) for one in asked))
    uses = recording.earlier(work, declared.name, named, sketch, ",".join(marks))
    wins = len(asked) if declared.promote.rule is PromoteRule.BETTER else 1  # targets of which one lets it in
    rule = Rule(
        "", declared.promote.rule.value, declared.promote.margin, None,
        float(str(declared.objective.get("confidence", 0.95))), wins,
    )  # fmt: skip
    each = {one.spec.output: _of_target(declared, one, rule, uses) for one in asked}
    output, result = next(iter(each.items()))
    if several := len(asked) > 1:
        result, output = together(rule, each)
    said = list(result.reasons)
    if result.outcome == INCONCLUSIVE and not any(o.leaks for o in asked) and act.environment == work.serving:
        said += next((hand for one in asked if (hand := _by_hand(declared, one.fresh, one.case))), [])
    beaten = {
        one.held.number for one in asked if one.held and each[one.spec.output].champion_metric is not None
    }
    metric = next(one.metric for one in asked if one.spec.output == output)
    verdict = Verdict(
        candidate.version, next(iter(beaten), None), STATUS[result.outcome],
        f"{metric} of {output}" if several else metric, " ".join(said), result,
    )  # fmt: skip
    recording.record(act, declared, verdict, named, sketch, ",".join(marks), _listed(asked, each))
    return verdict


def _asked(
    work: Workspace,
    declared: CreateModel,
    spec: TrainingSpec,
    manifest: Manifest,
    candidate: Version,
    champion: Version | None,
) -> tuple[_Asked, ...]:
    """Each target with the rows and answers that judge it; a champion's part that predicts the same stands beside it."""
    held = () if champion is None else _versions(work, champion)
    fresh = [_fair(work, spec, manifest, one) for one in _versions(work, candidate)]
    out = []
    for own, one in zip(spec.of_each(), fresh, strict=True):
        same = next((h for h in held if h.model.signature.target == own.target), held[0] if held else None)
        metric = check_metric(own.metric, one.model.signature.kind)
        first = same is not None and _other_task(one, same)
        case = _case(work, own, manifest, one, None if first else same, metric)
        stops = held_back.leaks(one.row, declared) or held_back.later(work.state, manifest, one.row, declared)
        stops = stops or held_back.apart(one.row)
        let = held_back.accepted(one.row, declared)
        out.append(_Asked(own, one, same, first, metric, case, stops, let))
    return tuple(out)


def _ids(rows: Sequence[Rows]) -> Any:
    import numpy as np

    return np.concatenate([one.ids for one in rows]) if len(rows) > 1 else rows[0].ids


def _of_target(declared: CreateModel, one: _Asked, shared: Rule, uses: int) -> GateResult:
    """What the gate says of one target, with all that is to be said of its rows among the reasons."""
    rule = replace(shared, metric=one.metric, minimum=one.spec.minimum)
    result = imported.held(one.fresh.tuned, declared.name, _judged(rule, one.spec, one.fresh, one.case, uses))
    if one.leaks:
        result = GateResult(
            INCONCLUSIVE,
            (one.leaks,),
            result.rows,
            result.blocks,
            result.uses,
            result.confidence,
            result.spent,
        )
    said = [*result.reasons, *one.case.remarks, *held_back.judged_by(one.fresh.row), *one.accepted]
    if one.first and one.held is not None:
        said.append(
            f"Version {one.held.number} predicts something else: the target was changed, so this passes as the first."
            if not one.spec.beside
            else f"Version {one.held.number} does not predict it, so it passes as the first."
        )
    return replace(result, reasons=tuple(said))


def _listed(asked: Sequence[_Asked], each: Mapping[str, GateResult]) -> str | None:
    """What is recorded of each of several targets, as JSON."""
    if len(asked) == 1:
        return None
    figures = (
        "candidate_metric",
        "champion_metric",
        "baseline_metric",
        "delta",
        "lower",
        "upper",
        "detectable",
        "rows",
    )
    out = []
    for one in asked:
        result = each[one.spec.output]
        known = {name: getattr(result, name) for name in figures}
        plain = {k: None if v is None or v != v else v for k, v in known.items()}  # noqa: PLR0124 - NaN
        said = {"target": one.spec.target, "output": one.spec.output, "metric": one.metric}
        out.append({**said, "outcome": result.outcome, **plain, "reason": result.reason})
    return json.dumps(out)


def unseen(
    work: Workspace, spec: TrainingSpec, manifest: Manifest, version: Version
) -> tuple[pa.Table, Array, Array]:
    """The rows of a snapshot that a version was not tuned on: with its inputs and target, their truth, its scores of them.

    Of one target, that of `spec`.
    """
    found = _versions(work, version)
    same = [one for one in found if one.model.signature.target == spec.target]
    fresh = _fair(work, spec, manifest, (same or found)[0])
    metric = "rmse" if fresh.model.signature.kind == "regression" else "log_loss"
    case = _case(work, spec, manifest, fresh, None, metric)
    return case.rows.table, case.truth, case.fresh


def _fair(work: Workspace, spec: TrainingSpec, manifest: Manifest, found: _Version) -> _Version:
    """The version that is judged."""
    if found.tuned.by != split.BY_IMPORT:
        return found
    return replace(found, tuned=imported.fair(found.tuned, work, spec, manifest))


def _versions(work: Workspace, row: Version) -> list[_Version]:
    """The version for each of its targets, with what it was tuned on, as its row and its bundle say."""
    files = parts_of(verified(work, row).files)
    each = zip(row.parts, version_of(work, row.model, row.version).parts, files, strict=True)
    return [_version(work, *one) for one in each]


def _version(work: Workspace, row: Version, model: Predictor, files: Mapping[str, bytes]) -> _Version:
    dealt = row.dealt
    if dealt.by == split.BY_IMPORT:
        return _Version(row, model, imported.tuned(row, model.signature))
    kept = answers.read(files) if dealt.by in split.ALL_TEACH else None
    try:
        manifest = manifest_of(work.state, row.snapshot)
    except UnknownNameError:
        manifest = None
    signature = model.signature
    old = kept is not None and dealt.by == split.BY_FOLDS and not row.facts.get("agreement")
    told_by = () if manifest is None else answers.columns_of(signature, manifest.schema.names, old=old)
    tuned = Tuned(
        row.version, manifest, dealt.by, row.tuned_until, signature.key, signature.event_time, dealt.ids, kept,
        dealt.since, told_by,
    )  # fmt: skip
    return _Version(row, model, tuned)


def _other_task(fresh: _Version, held: _Version) -> bool:
    """Whether the declaration asks for another target: another column, or numbers where there were classes."""
    new, old = fresh.model.signature, held.model.signature
    if new.target != old.target:
        return True
    other = (new.kind == "regression") != (old.kind == "regression")
    return other and fresh.row.recipe != held.row.recipe


def _named(fresh: _Version, held: _Version | None, manifest: Manifest) -> str:
    """How people call the rows: the dataset, and after what, or by what, they were dealt."""
    if fresh.tuned.by == split.BY_FOLDS:
        return f"{manifest.dataset} by folds"
    if fresh.tuned.by == split.BY_IMPORT:
        return imported.named(fresh.tuned, manifest.dataset)
    if fresh.tuned.since:
        return f"{manifest.dataset} after {fresh.tuned.since}"
    until = [
        v.tuned.until
        for v in (fresh, held)
        if v is not None and v.tuned.by == split.BY_TIME and v.tuned.until
    ]
    return f"{manifest.dataset} after {max(until)}" if until else f"{manifest.dataset} by hash of key"


# --- the case ----------------------------------------------------------------------------------------------


def _case(
    work: Workspace,
    spec: TrainingSpec,
    manifest: Manifest,
    fresh: _Version,
    held: _Version | None,
    metric: str,
) -> _Case:
    """The rows that both can answer without having seen them; what only the candidate cannot answer counts against it."""
    import numpy as np

    versions = [fresh.tuned, *([held.tuned] if held else [])]
    rows = holdout.rows_of(manifest, work.blobs, spec, versions)
    remarks = [f"{rows.immature:,} newer rows wait for their labels."] if rows.immature else []
    classes = _classes(fresh, held)
    truth = _truth(rows, fresh, classes)

    def asked(version: _Version) -> Answers:
        return _answers(work, spec, manifest, version, rows, classes, metric)

    ours, theirs = asked(fresh), asked(held) if held is not None else None
    remarks += [r for a in (ours, theirs) if a is not None for r in a.remarks]
    unseen = ~ours.seen & ~np.isnan(truth)
    if theirs is not None:
        unseen &= ~theirs.seen & theirs.can
        if theirs.why is not None:
            none = unseen & False
            return _Case(
                rows.where(none), truth[none], truth, None, ours.scores[none], None, tuple(remarks), theirs.why
            )  # fmt: skip
    due = holdout.labels(manifest, work.blobs, spec)
    known = target.encode(due.column(spec.target), _meant(fresh, classes))
    labelled = ~np.isnan(known)
    fair = unseen if theirs is not None else unseen & ours.can
    if theirs is not None and (gaps := int((fair & ~ours.can).sum())):
        remarks.append(f"{gaps:,} rows that only version {fresh.number} cannot answer count against it.")
    scores = adverse(ours.scores[fair], ours.can[fair], truth[fair])
    judging = rows.where(fair)
    return _Case(
        judging, truth[fair], known[labelled], weights.counted(spec.weight, due, labelled), scores, theirs.scores[fair] if theirs else None,
        (*remarks, *_left_out(ours, theirs, rows, truth)), ours.why, weights.counted(spec.weight, judging.table),
    )  # fmt: skip


def _left_out(ours: Answers, theirs: Answers | None, rows: Rows, truth: Array) -> tuple[str, ...]:
    """What the rows that do not judge have in common."""
    import numpy as np

    out = []
    known = ~np.isnan(truth)
    seen = ours.seen | (theirs.seen if theirs is not None else False)
    if count := int((seen & known).sum()):
        out.append(
            f"{count:,} rows are left out: a version had learned from them, or from what stood there before."
        )
    cannot = (~ours.can if theirs is None else ~theirs.can) & ~seen & known
    if count := int(cannot.sum()):
        out.append(
            f"{count:,} of {len(rows.ids):,} rows are left out: an input is missing that never was in training."
        )
    if count := int((~known).sum()):
        out.append(f"{count:,} rows have no label, or one that neither version knows.")
    return tuple(out)


def _classes(fresh: _Version, held: _Version | None) -> tuple[Any, ...]:
    """The candidate's classes, then those that only the champion knows."""
    mine = fresh.model.signature.classes
    others = held.model.signature.classes if held is not None and mine else ()
    return (*mine, *(c for c in others if c not in mine))


def _truth(rows: Rows, fresh: _Version, classes: tuple[Any, ...]) -> Array:
    """The target as numbers, over all classes that a version knows; NaN where it is missing or new to both."""
    return target.encode(rows.table.column(fresh.model.signature.target), _meant(fresh, classes))


def _meant(fresh: _Version, classes: tuple[Any, ...]) -> target.Target:
    signature = fresh.model.signature
    return target.Target(signature.target, signature.target_type, signature.kind, classes)


def _answers(
    work: Workspace,
    spec: TrainingSpec,
    manifest: Manifest,
    version: _Version,
    rows: Rows,
    classes: tuple[Any, ...],
    metric: str,
) -> Answers:
    """What the version says of the rows, in the terms of all classes; for metrics of decisions what it would have answered.

    Its threshold is about its own positive class, so that it decides before classes are put in order.
    """
    found = given(
        version.model, version.tuned, rows, holdout.seen(rows, version.tuned, manifest, work.blobs, spec)
    )
    signature = version.model.signature
    if found.why is None and (signature.kind == "regression") != (not classes):
        found = found.refused(
            f"Version {version.number} predicts another kind of target and cannot be compared."
        )
    if found.why is not None:
        return found
    threshold = version.model.threshold
    return found.in_terms(lambda s: realigned(decided(metric, s, threshold), signature.classes, classes))


def _judged(rule: Rule, spec: TrainingSpec, fresh: _Version, case: _Case, uses: int) -> GateResult:
    signature, truth = fresh.model.signature, case.truth
    slices = {
        c: holdout.texts(case.rows.table.column(c)) for c in spec.slices if c in case.rows.table.schema.names
    }
    kind = "multiclass" if case.fresh.ndim > 1 else signature.kind
    blocks = holdout.blocks_of(case.rows, spec.group, fresh.tuned.by == split.BY_FOLDS)
    asked = Holdout(
        kind, truth, blocks, uses, fresh.tuned.by == split.BY_FOLDS, slices, _luck(fresh, len(truth)), case.weight
    )  # fmt: skip
    if case.stop is not None:
        return GateResult(INCONCLUSIVE, (case.stop,), len(truth), 0, uses)
    classes = case.fresh.shape[1] if case.fresh.ndim > 1 else len(signature.classes)
    blind = dummy(kind, classes, case.known, len(truth), rule.metric, case.counts) if len(truth) else truth
    return judge(
        rule,
        asked,
        case.fresh,
        case.held,
        decided(rule.metric, blind, fresh.model.threshold),
        seed=spec.seed,
    )


def _luck(fresh: _Version, judged: int) -> float:
    """How much more two fits differ than the rows that judge tell, as a share of the variance.

    Of a window: its share of the rows that teach (Nadeau and Bengio 2003). Of parts that judge each other it was measured
    (`bench/luck.py`): their 1.25 is for the difference of two ways to learn, and hides a stale champion from a good candidate.
    """
    if fresh.tuned.by == split.BY_FOLDS:
        return LUCK_OF_FOLDS
    if not fresh.tuned.all_teach:
        return 0.0
    return judged / max(1, fresh.row.rows - judged)


def _by_hand(declared: CreateModel, fresh: _Version, case: _Case) -> list[str]:
    """How a person decides, where the gate leaves it to one, or can never tell."""
    manual = declared.promote.rule is PromoteRule.MANUAL
    if not manual and case.stop is None:
        return []
    return [
        f"PROMOTE MODEL {declared.name} VERSION {fresh.number} takes it{'' if manual else ' all the same'}."
    ]
