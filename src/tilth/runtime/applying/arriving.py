"""READY WHEN: whether a dataset may be read. One that may not is written down with since when, and told; after WITHIN it is late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tilth.core.errors import DataError, TilthError
from tilth.ml.data import reading
from tilth.ml.data.apart import Apart
from tilth.ports.limits import Limits
from tilth.ports.snapshots import Manifest
from tilth.ports.source import Source
from tilth.resources.kinds import Resource
from tilth.runtime.act import Act
from tilth.runtime.record import notices, waits
from tilth.runtime.record.notices import Told
from tilth.runtime.record.waits import Wait
from tilth.sql.language.statements import CreateDataset, Ready
from tilth.sql.language.trees import shifted
from tilth.sql.queries import harmless

ASKING = Limits(seconds=600.0, memory=1_000_000_000, disk=10_000_000_000)  # of the query of a READY WHEN
LATE = "late"  # the kind of its notice
HINT = "Write a query that gives one truth: READY WHEN (SELECT count(*) > 0 FROM ops.loads WHERE day = current_date AND done)."


def waiting(
    act: Act, resource: Resource, sources: Mapping[str, Source], datasets: Mapping[str, Manifest]
) -> Wait | None:
    """Why the dataset is not read now; None when it may be."""
    declared = resource.as_(CreateDataset)
    known = waits.all_of(act.work.state).get(resource.recipe)
    if declared.ready is None or _holds(act, declared, declared.ready, sources, datasets):
        if known is not None:
            with act.change() as change:
                waits.forget(change, resource.recipe)
                change.audit("ready", declared.name, {"since": str(known.since)})
        return None
    now = act.now()
    since = known.since if known is not None else now
    within = declared.ready.within
    one = Wait(declared.name, resource.recipe, since, None if within is None else since + within, now)
    with act.change(now) as change:
        waits.put(change, one)
        stood = notices.of(change, notices.DATASET, declared.name, resource.recipe)
        told = [t for t in stood if t.kind != LATE]
        if one.late(now):
            told.append(Told(LATE, f"it is {one.words(now)}", declared.name))
        notices.put(change, notices.DATASET, declared.name, resource.recipe, told, now)
        change.audit("wait", declared.name, {"since": str(since), "late": one.late(now)})
    return one


def _holds(
    act: Act,
    declared: CreateDataset,
    ready: Ready,
    sources: Mapping[str, Source],
    datasets: Mapping[str, Manifest],
) -> bool:
    """What the query says; an error for one that fails, or gives anything but one truth."""
    act.progress.step(f"collect {declared.name}", None, "asking whether it is ready")
    engine = act.work.engine if harmless.query(ready.query.sql) else Apart(act.work.engine, ASKING)
    try:
        found = reading.query_rows(ready.query.sql, datasets, sources, engine, act.work.blobs).read_all()
    except TilthError as error:
        inner = error.where is not None and error.where.file is None
        error.where = shifted(error.where, ready.query.position) if inner else error.where
        error.where = error.where or ready.query.position
        error.detail = (
            *error.detail,
            f"This was the READY WHEN of dataset `{declared.name}`: it was not read.",
        )
        raise
    return _truth(declared, ready, found)


def _truth(declared: CreateDataset, ready: Ready, found: object) -> bool:
    import pyarrow as pa

    assert isinstance(found, pa.Table)
    where = ready.query.position
    if found.num_columns != 1 or not pa.types.is_boolean(found.schema.field(0).type):
        gives = ", ".join(f"{f.name} ({f.type})" for f in found.schema)
        raise DataError(
            f"The READY WHEN of dataset `{declared.name}` gives no truth: its columns are {gives}.",
            hint=HINT,
            where=where,
        )
    if found.num_rows != 1:
        raise DataError(
            f"The READY WHEN of dataset `{declared.name}` gives {found.num_rows:,} rows, and not one.",
            hint=HINT,
            where=where,
        )
    return found.column(0)[0].as_py() is True


def known(act: Act, resource: Resource) -> Wait | None:
    """Whether the dataset waits, as it was found last."""
    found = waits.all_of(act.work.state).get(resource.recipe)
    return None if found is None else replace(found, dataset=resource.name)
