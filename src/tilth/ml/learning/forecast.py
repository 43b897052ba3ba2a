"""Trains a forecast: rows to a fitted forecaster, and that to a bundle's files. Runs inside a training worker.

What a forecast is, and how it is fitted, is in `ml.forecasting`; here it becomes what every training gives: files, facts, and
what is told of what was left out. The same spec on the same rows writes the same bytes.
"""

from __future__ import annotations

import functools
import io
import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tilth.core.errors import InputError, TargetError
from tilth.core.metrics import BY_KIND
from tilth.ml.bundles.manifest import bundle_digest, digests
from tilth.ml.forecasting import columns, fitting
from tilth.ml.forecasting.evidence import Evidence
from tilth.ml.forecasting.signature import ENGINE, LEARNING, Signature
from tilth.ml.forecasting.spec import Limits, Notice, Options, Spec
from tilth.ml.learning.dealing import Files
from tilth.ml.learning.write import text
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.arrow import data_type
from tilth.ports.jobs import Report
from tilth.ports.learning import version_of

if TYPE_CHECKING:
    import pyarrow as pa

ORIGINS, GROUPS = "origins.parquet", "by_group.parquet"
BY_ORIGINS = (
    "origins"  # how a forecast's rows are dealt: what lies behind an origin judges what was learned before it
)
BASELINE = "seasonal_naive"


def train(spec: TrainingSpec, files: Files, out: str, report: Report) -> dict[str, object]:
    """Write the bundle's files into `out`; the facts that `training.train` returns. InputError, DataError or TargetError."""
    began, cpu = time.monotonic(), time.process_time()
    report("reading rows", 0.02)
    asked = asked_of(spec)
    used = (asked.time, *asked.groups, *asked.targets, *asked.known, *asked.static)
    given = files.read(used)
    rows = columns.timed(given, asked.time)
    laps = {"read": round(time.monotonic() - began, 3)}

    def reported(what: str, share: float | None) -> None:
        report(what, 0.05 + 0.85 * (share or 0.0))

    try:
        fitted = fitting.fit(rows, asked, reported)
    except InputError as error:
        raise TargetError(error.message, hint=error.hint, detail=error.detail) from error
    laps["fit"] = round(time.monotonic() - began - laps["read"], 3)
    report("writing the bundle", 0.97)
    metrics = metrics_of(spec, asked, fitted.evidence, rows)
    signature = Signature(
        spec.model, asked.time, asked.groups, asked.targets, spec.outputs or asked.targets, asked.known, asked.static,
        asked.horizon, {c: data_type(rows.schema.field(c).type) for c in used},
    )  # fmt: skip
    written = _written(out, fitted, signature, metrics)
    seconds = {**laps, "total": round(time.monotonic() - began, 3)}
    return {
        "metrics": {**metrics, "cpu_seconds": round(time.process_time() - cpu, 3)},
        "start": None,
        "engine": ENGINE,
        "learning": LEARNING,
        "files": sorted(written),
        "artifact": bundle_digest(written),
        "rows": rows.num_rows,
        "rows_without_label": max(rows.column(t).null_count for t in asked.targets),
        "tuned_until": metrics["split"]["tuned_until"],
        "dropped_columns": {},
        "told": [
            *_read_as(given, rows, asked.time),
            *_unused(spec, files, used),
            *(_said(n) for n in fitted.evidence.notices),
        ],
        "notes": [],
        "searched": [],
        "seconds": seconds,
    }


def asked_of(spec: TrainingSpec) -> Spec:
    """The forecast that a training is asked for."""
    said: dict[str, Any] = json.loads(spec.forecast)
    limits = Limits(threads=spec.threads)
    if said["seconds"]:
        limits = replace(limits, seconds=float(said["seconds"]))
    return Spec(
        said["time"], spec.targets, int(said["horizon"]), tuple(said["groups"]), said["window"], tuple(said["known"]),
        tuple(said["static"]), spec.coverage or 0.9, Options.of(said["options"]), spec.seed, limits,
    )  # fmt: skip


def metrics_of(spec: TrainingSpec, asked: Spec, evidence: Evidence, rows: pa.Table) -> dict[str, Any]:
    """What is known of the forecast: its errors at inner origins, by target, step and group, and those of a seasonal naive."""
    import pyarrow.compute as pc

    plain = evidence.plain()
    each = plain["targets"]
    came = functools.reduce(pc.or_, (pc.is_valid(rows.column(t)) for t in asked.targets))
    newest = pc.max(rows.column(asked.time).filter(came)).as_py()
    groups = evidence.by_group()
    mean = {name: _mean(t.get(name) for t in each) for name in ("mase", "naive_mase", "bias", "coverage")}
    return {
        "metric": spec.metric or BY_KIND["forecast"][0],
        "value": mean["mase"],
        "metrics": {k: v for k, v in (("mase", mean["mase"]),) if v is not None},
        "baselines": {BASELINE: {"mase": mean["naive_mase"]}},
        "rows": evidence.answers().num_rows,
        "coverage": mean["coverage"],
        "bias": mean["bias"],
        "split": {"by": BY_ORIGINS, "rows": rows.num_rows, "tuned_until": None if newest is None else newest.isoformat()},
        "forecast": {
            "time": asked.time, "groups": list(asked.groups), "horizon": asked.horizon, "window": asked.window,
            "confidence": asked.confidence, "series": groups.num_rows, "targets": each,
            "notices": [n.plain() for n in evidence.notices],
        },
    }  # fmt: skip


def _mean(values: Any) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def _written(
    out: str, fitted: fitting.Fitted, signature: Signature, metrics: Mapping[str, Any]
) -> dict[str, str]:
    """The bundle's files, written; the sha256 of each by name."""
    os.makedirs(out, exist_ok=True)
    files = {
        **fitted.files(),
        "signature.json": text(signature.plain()),
        "metrics.json": text(metrics),
        "MLmodel": f"flavors:\n  tilth:\n    data: forecast.json\n    tilth_version: {version_of('tilth')}\n".encode(),
        ORIGINS: packed(fitted.evidence.answers()),
        GROUPS: packed(fitted.evidence.by_group()),
    }
    for name, content in files.items():
        with open(os.path.join(out, name), "wb") as file:
            file.write(content)
    return digests(files)


def packed(table: pa.Table) -> bytes:
    """A Parquet file of the table; equal tables give equal bytes."""
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", store_schema=False)
    return sink.getvalue()


def _said(notice: Notice) -> dict[str, str | None]:
    """A notice as trainings tell them."""
    kind = "left_out" if notice.left_out else "guessed"
    shown = ", ".join("/".join(map(str, e)) for e in notice.examples)
    more = (
        f" ({shown}{', …' if notice.groups > len(notice.examples) else ''})"
        if shown and notice.groups
        else ""
    )
    return {"kind": kind, "column": None, "text": f"{notice.text}{more}", "option": ""}


def _read_as(given: pa.Table, rows: pa.Table, time: str) -> list[dict[str, str | None]]:
    """That times are texts, and what they were read as."""
    was, found = given.schema.field(time).type, rows.schema.field(time).type
    if was == found:
        return []
    text = f"`{time}` holds texts, which were read as {'days' if str(found) == 'date32[day]' else 'moments in UTC'}."
    return [
        {
            "kind": "guessed",
            "column": time,
            "text": text,
            "option": f"CAST({time} AS DATE) AS {time} in the query",
        }
    ]


def _unused(spec: TrainingSpec, files: Files, used: tuple[str, ...]) -> list[dict[str, str | None]]:
    """That columns are no part of the forecast: nobody said that they are known ahead."""
    idle = [n for n in files.schema().names if n not in {*used, *spec.key, spec.event_time}]
    if not idle:
        return []
    listed = ", ".join(f"`{n}`" for n in idle[:8]) + (f" and {len(idle) - 8} more" if len(idle) > 8 else "")
    return [
        {
            "kind": "left_out", "column": None, "text": f"No part of the forecast: {listed}.",
            "option": f"USING (known = ['{idle[0]}']) where its future values are known when asked, static = ['{idle[0]}'] where it says something of a series",
        }
    ]  # fmt: skip
