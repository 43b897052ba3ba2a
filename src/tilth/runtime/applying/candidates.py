"""From a declaration and a snapshot to a sealed candidate: the spec for the worker, the bundle, the row of `versions`.

Training happens in a jailed worker that holds no key; what it made is sealed here, where the key is. Whether the
candidate may serve is asked in `gate`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from tilth.core.errors import TamperError, TilthError
from tilth.core.schema import Schema
from tilth.core.time import show_instant
from tilth.kinds.model import forecasting, several
from tilth.kinds.model.rules import USING_DEFAULTS
from tilth.ml.bundles.provenance import Subject
from tilth.ml.bundles.signing import seal
from tilth.ml.data import snapshots
from tilth.ml.data.identity import columns_of
from tilth.ml.learning import task
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.jobs import Job, Output
from tilth.ports.learning import FULL, tried
from tilth.ports.snapshots import Manifest
from tilth.resources.kinds import Resource
from tilth.resources.rules import duration_of, size_of
from tilth.runtime import members
from tilth.runtime.act import Act
from tilth.runtime.applying import trials, ways
from tilth.runtime.applying.binding import monotone_of, slices_of
from tilth.runtime.applying.notices import of_training
from tilth.runtime.applying.ways import Begun
from tilth.runtime.project import estimators
from tilth.runtime.record import notices, versions
from tilth.runtime.record.trials import made_into
from tilth.runtime.record.versions import Version
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import CreateDataset, CreateModel, Target

MOST_THREADS = 4  # of one training, unless USING says otherwise
MEMORY = "4 GB"
GRACE = 120.0  # seconds a worker may take beyond its time limit to start, read, judge and write


def train(
    act: Act,
    resource: Resource,
    data: CreateDataset | None,
    manifest: Manifest,
    reason: str,
    champion: Version | None = None,
) -> Version:
    """The row of a sealed candidate; one that was sealed for this recipe and snapshot and not yet judged is taken up again."""
    work = act.work
    waiting = versions.unjudged(work.state, resource.name, resource.recipes, manifest.id)
    if waiting is not None:
        return waiting
    declared = resource.as_(CreateModel)
    spec = trials.asked(work.state, resource, spec_of(work, declared, data, manifest.schema))
    start = ways.begun(work, resource, spec, manifest, champion)
    job, beside = _job(work, declared, start, manifest)
    try:
        with snapshots.damage_told(manifest):  # nothing is learned from damaged bytes
            output = work.jobs.run(job, trials.Keeping(act, resource, manifest.id), beside)
        try:
            return sealed(act, resource, manifest, output, reason)
        finally:
            shutil.rmtree(output.folder, ignore_errors=True)
    except TilthError as error:
        said = " ".join((error.message, *error.detail))
        meant = next((t for t in declared.targets if f"`{t.column}`" in said), declared.targets[0])
        raise error.at(meant.position) if meant.position else error from None


def spec_of(
    work: Workspace,
    declared: CreateModel,
    data: CreateDataset | None,
    schema: Schema,
) -> TrainingSpec:
    """Everything that decides what training makes, except the rows. Columns are named as the snapshot spells them."""

    def named(columns: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(schema.field(c).name for c in columns)

    first, one = declared.targets[0], len(declared.targets) == 1
    using: dict[str, Any] = dict(USING_DEFAULTS) | dict(declared.using.items)
    objective: dict[str, Any] = dict(declared.objective.items)
    engine = str(using["engine"])
    delay, limit = duration_of(objective.get("label_delay")), duration_of(using["time_limit"])
    cpu, row = duration_of(using.get("cpu_limit")), duration_of(using.get("max_row_time"))
    return TrainingSpec(
        model=declared.name,
        targets=named(tuple(t.column for t in declared.targets)),
        outputs=tuple(t.output for t in declared.targets),
        include=named(declared.features.include),
        exclude=named(declared.features.exclude),
        key=named(data.key) if data else (),
        weight=schema.field(str(objective["weight"])).name if "weight" in objective else None,
        monotone=tuple((schema.field(name).name, way) for name, way in monotone_of(declared)),
        group=named(declared.group_key),
        event_time=schema.field(data.event_time).name if data and data.event_time else None,
        metric=several.metric_of(declared, first) if one else None,
        minimum=several.minimum_of(declared, first) if one else None,
        metrics=() if one else _of_each(declared, named, several.metric_of),
        minimums=() if one else _of_each(declared, named, several.minimum_of),
        label_delay=delay.total_seconds() if delay else 0.0,
        slices=named(slices_of(declared)),
        cost_false_negative=objective.get("cost_false_negative"),
        cost_false_positive=objective.get("cost_false_positive"),
        engine=engine,
        estimator=using.get("estimator"),
        preset=str(using.get("preset", "fast")),
        time_limit=limit.total_seconds() if limit else 60.0,
        cpu_limit=cpu.total_seconds() if cpu else None,
        max_row_time=row.total_seconds() * 1e6 if row else None,
        max_bundle=size_of(using.get("max_bundle")),
        seed=int(using["seed"]),
        threads=int(using.get("threads") or min(os.cpu_count() or 1, MOST_THREADS)),
        options=_engine_options(using, engine),
        now=show_instant(work.clock.now()),
        identity=columns_of(named(data.key) if data else (), schema.names),
        teacher=str(using.get("teacher", "")),
        retrain=str(using.get("retrain", FULL)),
        positive=first.positive if one else None,
        positives=() if one else tuple(t.positive for t in declared.targets),
        coverage=objective.get("coverage"),
        strict=bool(objective.get("strict", False)),
        forecast=_forecast(declared, named),
    )


def _forecast(declared: CreateModel, named: Callable[[tuple[str, ...]], tuple[str, ...]]) -> str:
    """What a forecast is asked to be, as JSON; empty for a model that predicts row by row."""
    if declared.horizon is None:
        return ""
    using: dict[str, Any] = dict(declared.using.items)
    said = {name: using[name] for name in forecasting.MADE if name in using}
    known, static = (named(forecasting.listed(said.pop(name, None))) for name in ("known", "static"))
    limit = duration_of(using.get("time_limit"))
    return json.dumps(
        {
            "time": named(declared.order_by)[0], "groups": named(declared.group_by), "known": known, "static": static,
            "horizon": declared.horizon, "window": declared.window, "options": said,
            "seconds": limit.total_seconds() if limit else None,
        }
    )  # fmt: skip


def _of_each(
    declared: CreateModel,
    named: Callable[[tuple[str, ...]], tuple[str, ...]],
    of: Callable[[CreateModel, Target], Any],
) -> tuple[tuple[str, Any], ...]:
    """What OBJECTIVE says of each target, by its column."""
    found = ((named((t.column,))[0], of(declared, t)) for t in declared.targets)
    return tuple((column, value) for column, value in found if value is not None)


def _engine_options(using: Mapping[str, Any], engine: str) -> tuple[tuple[str, Any], ...]:
    """`lightgbm.num_leaves = 31` as an option of that engine; with `auto` each keeps the name of its engine."""
    found = [(*key.partition("."), value) for key, value in using.items()]
    return tuple(
        (f"{one.name}.{name}" if engine == "auto" else name, value)
        for one in tried(engine, str(using.get("preset", "fast")))
        for prefix, point, name, value in found
        if point and one.owns(prefix)
    )


def _job(
    work: Workspace, declared: CreateModel, start: Begun, manifest: Manifest
) -> tuple[Job, dict[str, str]]:
    """The training as a job, and where those of its files lie that are no blobs: own estimators, and a version to begin with."""
    spec = start.spec
    own = estimators.listed(os.path.join(work.root, estimators.FOLDER)) if spec.estimator else {}
    inputs = task.inputs(manifest.parts, {name: digest for name, (_, digest) in own.items()})
    memory = size_of(declared.using.get("memory", MEMORY))
    assert memory is not None, "the compiler has checked this"
    seconds = spec.time_limit + (spec.budget if spec.search else 0.0) + GRACE * len(spec.targets)
    job = Job("train", spec.plain(), inputs | start.inputs, memory, seconds)
    return job, start.beside | {digest: path for path, digest in own.values()}


def _accepted(resource: Resource) -> frozenset[str]:
    """The columns that ACCEPT LEAK names, in lower case."""
    declared = resource.declaration
    accept = declared.accept if isinstance(declared, CreateModel) else None
    return frozenset(c.lower() for c in accept.columns) if accept else frozenset()


def sealed(
    act: Act, resource: Resource, manifest: Manifest, output: Output, reason: str, deed: str = "train"
) -> Version:
    """Try, number, sign and store the candidate. The lock keeps two environments from taking one number."""
    work, model, now, facts = act.work, resource.name, act.now(), cast("Mapping[str, Any]", output.facts)
    said = {k: facts[k] for k in ("engine", "artifact", "rows", "tuned_until")}
    if facts.get("start"):
        said["start"] = facts["start"]  # the version that was gone on from, and the digest of its bundle
    each = facts["metrics"].get("targets") or [facts["metrics"]]
    if taught := next((one["teacher"] for one in each if one.get("teacher")), None):
        said["teacher"] = {k: taught.get(k) for k in ("name", "version", "license")}
    checked = members.check(work, output.folder, output.files)
    files = checked.pop("files")
    with work.locks.hold("versions", wait=60):
        number = versions.next_number(work.state, model)
        subject = Subject(resource.remembered, number, resource.recipe, manifest.id)
        bundle = seal(Path(output.folder), subject, work.keys, {**said, "checked": checked})
        if dict(bundle.files) != files:
            raise TamperError(
                "The model's files changed while they were tried.", hint="Run the command again."
            )
        work.bundles.put(bundle.digest, output.folder)
        made = Version(
            model, number, resource.recipe, manifest.id, bundle.digest, versions.CANDIDATE, str(facts["engine"]),
            int(facts["learning"]), int(facts["rows"]), facts["tuned_until"], json.dumps(facts["metrics"]), reason,
            float(facts["seconds"]["total"]), now, origin=resource.remembered,
        )  # fmt: skip
        with act.change(now) as change:
            versions.add(change, made)
            made_into(change, model, facts.get("searched", ()), number)
            notices.put(
                change, notices.MODEL, model, str(number), of_training(facts, _accepted(resource)), now
            )
            change.audit(deed, model, {"version": number, "digest": bundle.digest, "key": bundle.key_id})
    return made
