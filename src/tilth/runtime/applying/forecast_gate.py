"""The gate of a candidate that forecasts: both versions at the same cut-offs, by series, in blocks of cut-offs.

The candidate said at each of its inner origins what it would have said, by weights that leave the origin out. The champion is
asked the same where it had not seen what lies behind the cut-off; at cut-offs that both had inside their training, what it had said
there itself stands for it. The comparison is `ml.judging.gates`', the record `recording`'s.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from tilth.core.errors import DataError, InputError, TilthError
from tilth.core.figures import figure
from tilth.core.metrics import BY_KIND
from tilth.ml.data import snapshots
from tilth.ml.data.identity import row_ids
from tilth.ml.forecasting import columns
from tilth.ml.forecasting.members.table import FITS
from tilth.ml.forecasting.predicting import ForecastPredictor
from tilth.ml.judging.gates import INCONCLUSIVE, GateResult, Holdout, Least, Rule, judge
from tilth.ml.learning.forecast import ORIGINS
from tilth.ml.model.metrics import evaluate
from tilth.ports.snapshots import Manifest
from tilth.runtime.act import Act
from tilth.runtime.applying import recording
from tilth.runtime.applying.recording import STATUS, Verdict
from tilth.runtime.loading import any_version_of, verified
from tilth.runtime.record.versions import Version
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import CreateModel, PromoteRule

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Array = npt.NDArray[np.float64]

KIND = "forecast"
FIRST, ENOUGH = Least(1, 0, 1), Least(20, 0, 4)  # to let a first version in; to tell two apart
MASE = "mase"


@dataclass(frozen=True, slots=True)
class _Case:
    """The rows of the candidate's origins, what the champion says of them (NaN where it cannot), and what is to be said of that."""

    rows: pa.Table
    held: Array | None
    remarks: tuple[str, ...] = ()
    stop: str | None = None


def gate(
    act: Act, declared: CreateModel, manifest: Manifest, candidate: Version, champion: Version | None
) -> Verdict:
    """Judge the candidate and record it; the version's status says what came out."""
    work = act.work
    metric = str(declared.objective.get("metric", BY_KIND[KIND][0]))
    fresh = any_version_of(work, candidate.model, candidate.version)
    assert isinstance(fresh, ForecastPredictor)
    case = _case(work, manifest, fresh, candidate, champion)
    marks = (*fresh.signature.groups, "target", "origin", "time")
    sketch = recording.sketch(row_ids(case.rows.combine_chunks(), marks))
    named = f"{manifest.dataset} by cut-offs"
    uses = recording.earlier(work, declared.name, named, sketch, ",".join(marks))
    rule = Rule(
        metric, declared.promote.rule.value, declared.promote.margin, _minimum(declared),
        float(str(declared.objective.get("confidence", 0.95))),
    )  # fmt: skip
    result = _judged(rule, case, uses)
    said = [*result.reasons, *case.remarks]
    if result.outcome == INCONCLUSIVE and act.environment == work.serving:
        manual = declared.promote.rule is PromoteRule.MANUAL
        if manual or case.stop is not None or result.blocks < ENOUGH.blocks:
            said.append(
                f"PROMOTE MODEL {declared.name} VERSION {candidate.version} takes it{'' if manual else ' all the same'}."
            )
    result = replace(result, reasons=tuple(said))
    beaten = champion.version if champion is not None and result.champion_metric is not None else None
    verdict = Verdict(candidate.version, beaten, STATUS[result.outcome], metric, result.reason, result)
    recording.record(act, declared, verdict, named, sketch, ",".join(marks), None)
    return verdict


def _minimum(declared: CreateModel) -> float | None:
    found = declared.objective.get("minimum")
    return float(found) if isinstance(found, int | float) else None


def _case(
    work: Workspace,
    manifest: Manifest,
    fresh: ForecastPredictor,
    candidate: Version,
    champion: Version | None,
) -> _Case:
    """What judges the candidate, with the champion beside it where there is one that can be asked."""
    rows = origins_of(work, candidate)
    remarks = _naive(rows)
    if champion is None:
        return _Case(rows, None, remarks)
    try:
        held = any_version_of(work, champion.model, champion.version)
    except TilthError as error:
        return _Case(
            rows,
            None,
            remarks,
            f"Version {champion.version} cannot be loaded and is not compared: {error.message}",
        )
    other = _other(fresh, held, champion.version)
    if other is not None:
        return _Case(rows, None, (*remarks, other))
    assert isinstance(held, ForecastPredictor)
    said = _said(work, manifest, held, champion, rows, fresh)
    return _Case(rows, said, (*remarks, *_left_out(rows, said, champion)))


def _other(fresh: ForecastPredictor, held: Any, number: int) -> str | None:
    """Why a champion is none of this forecast: it predicts something else, and the candidate passes as the first."""
    if not isinstance(held, ForecastPredictor):
        return f"Version {number} predicts row by row: this passes as the first that forecasts."
    if (
        set(held.signature.targets) != set(fresh.signature.targets)
        or held.signature.groups != fresh.signature.groups
    ):
        return f"Version {number} forecasts something else: the targets or groups were changed, so this passes as the first."
    if held.forecaster.step != fresh.forecaster.step:
        return f"Version {number} forecasts steps of {held.forecaster.step.words}: this passes as the first of {fresh.forecaster.step.words}."
    return None


def origins_of(work: Workspace, one: Version) -> pa.Table:
    """A row for each target, series, inner origin and step of a version: what was said, and what came."""
    import pyarrow.parquet as pq

    return pq.read_table(io.BytesIO(verified(work, one).files[ORIGINS]))


def _naive(rows: pa.Table) -> tuple[str, ...]:
    """How a seasonal naive does at the same cut-offs."""
    truth, said, naive, unit = (_numbers(rows, n) for n in ("actual", "forecast", "naive", "unit"))
    there = unit > 0
    if not there.any():
        return ()
    ours, theirs = (evaluate(MASE, truth[there] / unit[there], v[there] / unit[there]) for v in (said, naive))
    cuts = len(set(rows.column("origin").to_pylist()))
    of = "one cut-off" if cuts == 1 else f"{cuts} cut-offs"
    return (f"At {of} its MASE is {figure(ours)}, that of a seasonal naive {figure(theirs)}.",)


def _left_out(rows: pa.Table, said: Array, champion: Version) -> tuple[str, ...]:
    import numpy as np

    lost = int(np.isnan(said).sum())
    if not lost:
        return ()
    return (
        f"{lost:,} of {rows.num_rows:,} values are left out: version {champion.version} had learned from them, or has no such series.",
    )


# --- the champion ------------------------------------------------------------------------------------------


def _said(
    work: Workspace, manifest: Manifest, held: ForecastPredictor, champion: Version, rows: pa.Table, fresh: ForecastPredictor
) -> Array:  # fmt: skip
    """What the champion says of each row; NaN where it had seen what came, or knows no such series."""
    import numpy as np

    groups = held.signature.groups
    known = _by_key(origins_of(work, champion), groups, "forecast")
    keys = _keys(rows, groups)
    out = np.array([known.get(k, np.nan) for k in keys])
    end = datetime.fromisoformat(champion.tuned_until) if champion.tuned_until else None
    origin = rows.column("origin").to_pylist()
    new = sorted({o for o in origin if end is None or o >= _naive_of(end)})
    if not new:
        return out
    history = _history(work, manifest, held)
    asked: dict[tuple[Any, ...], float] = {}
    for cut in new:
        asked |= _at(held, history, cut, fresh.signature.horizon)
    for i, (key, at) in enumerate(zip(keys, origin, strict=True)):
        if end is None or at >= _naive_of(end):
            out[i] = asked.get(key, np.nan)
    return out


def _at(
    held: ForecastPredictor, history: pa.Table, cut: datetime, horizon: int
) -> dict[tuple[Any, ...], float]:
    """What it says at a cut-off, by target, series, origin and time."""
    import pyarrow as pa
    import pyarrow.compute as pc

    time, out = held.signature.time, dict[tuple[Any, ...], float]()
    instants = pc.cast(history.column(time), pa.timestamp("us"))
    before = history.filter(pc.less_equal(instants, pa.scalar(cut, pa.timestamp("us"))))
    if not before.num_rows:
        return out
    future = history if held.forecaster.spec.known else None
    try:
        found = held.forecaster.forecast(before, None, horizon, None, future, alone=True).table
    except (DataError, InputError):
        return out
    columns = [found.column(g).to_pylist() for g in held.signature.groups]
    times = pc.cast(found.column(time), pa.timestamp("us")).to_pylist()
    for target in held.signature.targets:
        for i, value in enumerate(found.column(target).to_pylist()):
            if value is not None:
                out[target, *(c[i] for c in columns), cut, times[i]] = value
    return out


def _history(work: Workspace, manifest: Manifest, held: ForecastPredictor) -> pa.Table:
    """The snapshot's rows with the columns that the champion takes."""
    import pyarrow as pa

    names = [i.name for i in held.signature.inputs]
    lacking = [n for n in names if manifest.schema.find(n) is None]
    if lacking:
        raise DataError(
            f"The rows have no column `{lacking[0]}` any more, which version {held.version} forecasts from.",
            hint="Keep it in the dataset, or PROMOTE the new version by hand.",
        )
    paths = snapshots.relation(manifest, work.blobs)
    rows = pa.concat_tables([snapshots.file_rows(p, names, mapped=True) for p in paths])
    return columns.timed(rows, held.signature.time)


def _naive_of(moment: datetime) -> datetime:
    from datetime import UTC

    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _keys(rows: pa.Table, groups: Sequence[str]) -> list[tuple[Any, ...]]:
    lists = [rows.column(n).to_pylist() for n in ("target", *groups, "origin", "time")]
    return list(zip(*lists, strict=True))


def _by_key(rows: pa.Table, groups: Sequence[str], name: str) -> Mapping[tuple[Any, ...], float]:
    return dict(zip(_keys(rows, groups), rows.column(name).to_pylist(), strict=True))


# --- the comparison ----------------------------------------------------------------------------------------


def _judged(rule: Rule, case: _Case, uses: int) -> GateResult:
    """Both on the rows that both answer, in units of their series where the metric is MASE."""
    import numpy as np

    truth, said, unit = (_numbers(case.rows, n) for n in ("actual", "forecast", "unit"))
    fair = np.ones(len(truth), bool) if case.held is None else ~np.isnan(case.held)
    if rule.metric == MASE:
        fair &= unit > 0
    if rule.metric == "mape":
        fair &= truth != 0
    stop = case.stop if fair.any() or case.held is not None else case.stop or _still(rule.metric)
    if stop is not None:
        return GateResult(INCONCLUSIVE, (stop,), len(truth), 0, uses)
    scale = unit[fair] if rule.metric == MASE else np.ones(int(fair.sum()))
    blocks = _blocks(case.rows.filter(_mask(fair)))
    asked = Holdout(KIND, truth[fair] / scale, blocks, uses, needs=(FIRST, ENOUGH))
    held = None if case.held is None else case.held[fair] / scale
    return judge(rule, asked, said[fair] / scale, held)


def _still(metric: str) -> str:
    """Why not one value can judge a first version."""
    if metric == MASE:
        return "No series moves from one season to the next, so its MASE has no unit; OBJECTIVE (metric = 'mae') needs none."
    return f"No value of the cut-offs has a {metric}."


def _mask(fair: Any) -> Any:
    import pyarrow as pa

    return pa.array(fair)


def _blocks(rows: pa.Table) -> Any:
    """The block of each row: cut-offs whose horizons do not lie over one another, and that no fit of a member has in common.

    Members that learn are fitted at `FITS` of the inner windows, and what such a fit is lucky or unlucky by lies in all that it answers.
    """
    import numpy as np

    origin = np.array(rows.column("origin").to_pylist(), "datetime64[us]").astype(np.int64)
    ends = np.array(rows.column("time").to_pylist(), "datetime64[us]").astype(np.int64)
    if not len(origin):
        return origin
    block: dict[int, int] = {}
    number, until = -1, np.iinfo(np.int64).min
    for cut in np.unique(origin).tolist():
        if cut >= until:
            number, until = number + 1, int(ends[origin == cut].max())
        block[cut] = number
    count = number + 1
    return np.array([block[o] * min(FITS, count) // count for o in origin.tolist()])


def _numbers(rows: pa.Table, name: str) -> Array:
    import numpy as np

    return np.asarray(rows.column(name).to_numpy(), np.float64)
