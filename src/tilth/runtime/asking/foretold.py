"""What a report of a forecast shows beside its facts: series with what was said of them, inner windows, and errors by series.

The rows are those of the bundle and of the newest snapshot; nothing is fitted.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tilth.ml.forecasting.members.decomposing import moving_mean, taken_apart
from tilth.ml.forecasting.predicting import ForecastPredictor
from tilth.ml.learning.forecast import GROUPS, ORIGINS
from tilth.runtime.asking.ahead import ahead
from tilth.runtime.loading import any_version_of, newer, verified
from tilth.runtime.record.versions import Version
from tilth.runtime.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

DRAWN = 4  # series: the largest ones, and the two that are forecast worst
TAIL = 4  # horizons of the history that are drawn before a forecast, and at least
LEAST = 24  # points
WORST = 20  # series that are listed


def shown(work: Workspace, row: Version, snapshot: str | None) -> dict[str, Any]:
    """Series to draw, errors by series, the worst first, and how many there are."""
    model = any_version_of(work, row.model, row.version)
    assert isinstance(model, ForecastPredictor)
    files = verified(work, row).files
    groups, origins = _table(files[GROUPS]), _table(files[ORIGINS])
    worst = sorted(groups.to_pylist(), key=lambda g: -(g["mase"] if g["mase"] is not None else -1.0))
    came = newer(work, model, snapshot)
    said = ahead(model, came, None, _ahead())
    names = model.signature.groups
    picked = _picked(worst, groups.to_pylist())
    return {
        "series": groups.num_rows,
        "worst": [{**g, "name": _name(g, names)} for g in worst[:WORST]],
        "drawn": [_drawn(model, g, origins, said.table, came) for g in picked],
        "notices": [n.text for n in said.notices],
    }


def _ahead() -> Any:
    from tilth.ml.forecasting.times import AHEAD

    return AHEAD


def _picked(worst: list[dict[str, Any]], groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first series and those that are forecast worst."""
    out: list[dict[str, Any]] = []
    for one in [*groups[: DRAWN - 2], *worst[:2], *groups]:
        if one not in out and len(out) < DRAWN:
            out.append(one)
    return out


def _table(content: bytes) -> pa.Table:
    import pyarrow.parquet as pq

    return pq.read_table(io.BytesIO(content))


def _name(group: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return ", ".join(str(group[n]) for n in names) or "all rows"


def _drawn(
    model: ForecastPredictor, group: Mapping[str, Any], origins: pa.Table, said: pa.Table, came: pa.Table | None
) -> dict[str, Any]:  # fmt: skip
    """One series: its newest points, what was said of them at inner windows, and what is said of the steps ahead."""
    own = model.signature
    target = str(group["target"])
    state = next(s for s in model.forecaster.states if s.target == target)
    key = [group[g] for g in own.groups]
    known = model.forecaster.groups.to_pylist()
    member = (
        next((i for i, g in enumerate(known) if [g[n] for n in own.groups] == key), 0) if own.groups else 0
    )
    place = state.panel.members.tolist().index(member)
    start, length = int(state.panel.starts[place]), int(state.panel.lengths[place])
    first = int(state.panel.begins[place])
    points = dict(enumerate(state.panel.values[start : start + length].tolist(), first))
    points |= _later(model, group, target, came, int(state.panel.shifts[place]))
    last = max(points)
    places = range(max(first, last + 1 - max(LEAST, TAIL * own.horizon)), last + 1)
    times, values = _times(model, places, int(state.panel.shifts[place])), [points.get(p) for p in places]
    trend, cycles = _components([points.get(p) for p in range(first, last + 1)], state.setting.seasons)
    name = own.names[own.targets.index(target)]
    rows = _of(said, own.groups, key).to_pylist()
    windows = [r for r in _of(origins, own.groups, key).to_pylist() if r["target"] == target]
    cuts = sorted({w["origin"] for w in windows}, reverse=True)[:TAIL]
    apart = [w for w in windows if w["origin"] in _beside(cuts, windows)]
    return {
        "name": _name(group, own.groups), "target": target, "mase": group["mase"], "naive": group["naive_mase"],
        "history": [[t, v] for t, v in zip(times, values, strict=True)],
        "windows": [[str(w["time"]).replace(" ", "T"), w["forecast"]] for w in apart if str(w["time"]).replace(" ", "T") >= times[0][:19]],
        "trend": trend[-len(values) :], "seasons": cycles,
        "ahead": [[str(r[own.time]).replace(" ", "T"), r[name], r[f"{name}_lower"], r[f"{name}_upper"]] for r in rows],
    }  # fmt: skip


def _components(
    values: Sequence[float | None], seasons: Sequence[int]
) -> tuple[list[float], list[dict[str, Any]]]:
    """The level of a series without its seasons, and each season by its steps, from the step after the last on."""
    import numpy as np

    y = np.array([[np.nan if v is None else v for v in values]])
    rest, phases = taken_apart(y, seasons)
    width = max([3, *seasons[:1]])
    level = moving_mean(rest, width)[0]
    known = np.flatnonzero(~np.isnan(level))
    level = np.interp(np.arange(len(level)), known, level[known]) if len(known) else np.zeros(len(level))
    found = [{"season": s, "values": p[0].tolist()} for s, p in zip(seasons, phases, strict=True)]
    return level.tolist(), [f for f in found if any(f["values"])]


def _of(table: pa.Table, groups: Sequence[str], key: Sequence[Any]) -> pa.Table:
    """The rows of one series."""
    import pyarrow.compute as pc

    for name, value in zip(groups, key, strict=True):
        column = table.column(name)
        table = table.filter(pc.is_null(column) if value is None else pc.equal(column, value))
    return table


def _times(model: ForecastPredictor, places: range, shift: int) -> list[str]:
    import numpy as np

    at = model.forecaster.step.instants(np.array(places)) + shift
    return [str(t) for t in at.astype("datetime64[us]").astype(str).tolist()]


def _later(
    model: ForecastPredictor, group: Mapping[str, Any], target: str, came: pa.Table | None, shift: int
) -> dict[int, float]:
    """What came of the series after its training, by place."""
    import numpy as np
    import pyarrow.compute as pc

    if came is None:
        return {}
    came = _of(came, model.signature.groups, [group[n] for n in model.signature.groups])
    came = came.filter(pc.is_valid(came.column(target)))
    instants = np.array(came.column(model.signature.time).to_pylist(), "datetime64[us]").astype(np.int64)
    if not len(instants):
        return {}
    places, _ = model.forecaster.step.places(instants - shift)
    return dict(zip(places.tolist(), map(float, came.column(target).to_pylist()), strict=True))


def _beside(cuts: list[Any], windows: list[dict[str, Any]]) -> set[Any]:
    """Cut-offs, the newest first, whose windows do not lie over one another."""
    out: set[Any] = set()
    first: Any = None
    for cut in cuts:
        last = max(w["time"] for w in windows if w["origin"] == cut)
        if first is None or last <= first:
            out.add(cut)
            first = cut
    return out
