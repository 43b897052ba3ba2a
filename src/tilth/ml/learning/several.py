"""A training of several targets: each is learned as a model of its own would be, one after the other, into one bundle.

Time and CPU are shared: a target may take an equal share of what is left. `max_row_time` and `max_bundle` are of the whole
model, and are parted. No target is an input of another. A row that lacks one target teaches the others, and is told. What
of OBJECTIVE fits targets of one kind only goes to those; what fits none, or several where one is meant, is refused before
anything is learned. How the parts answer together is in `ml.model.joint`.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tilth.core.errors import ProjectError, TargetError
from tilth.core.metrics import BY_KIND
from tilth.ml.bundles.manifest import bundle_digest, digests, read_folder
from tilth.ml.judging import split
from tilth.ml.learning import target, training
from tilth.ml.learning.told import Told
from tilth.ml.learning.write import mlmodel_of_several, text
from tilth.ml.model.joint import SIGNATURE, prefix, signature_of
from tilth.ml.model.signature import Joint, outputs
from tilth.ml.model.spec import check_metric

if TYPE_CHECKING:
    from tilth.ml.learning.dealing import Files
    from tilth.ml.learning.made import Getter, Report
    from tilth.ml.model.spec import TrainingSpec

LEAST = 1.0  # seconds of a target for which nothing is left: a training ends by itself


@dataclass(frozen=True, slots=True)
class Ready:
    """The trainings of the targets; of how many rows at least one is known, and how many of those lack which."""

    each: tuple[TrainingSpec, ...]
    rows: int
    lacking: Mapping[str, int]


def train(
    spec: TrainingSpec, files: Files, out: str, learners: Getter, scorers: Getter, report: Report
) -> dict[str, object]:
    """As `training.train`; `metrics` are those of each target, a list under `targets`."""
    started = time.monotonic()
    found = ready(spec, files)
    made: list[dict[str, Any]] = []
    for place, one in enumerate(found.each):
        folder = os.path.join(out, "part")
        left = len(found.each) - place
        facts = training.train(
            _limited(one, spec, started, left), files, folder, learners, scorers,
            _Part(report, place, len(found.each), one.output),
        )  # fmt: skip
        for name in os.listdir(folder):
            os.rename(os.path.join(folder, name), os.path.join(out, prefix(place) + name))
        os.rmdir(folder)
        made.append(facts)
    written = _joined(out, made)
    engines = tuple(dict.fromkeys(str(one["engine"]) for one in made))
    until = [one["tuned_until"] for one in made if one["tuned_until"] is not None]
    return {
        "metrics": {"targets": [_named(s, m) for s, m in zip(found.each, made, strict=True)]},
        "engine": "+".join(engines),
        "learning": max(int(one["learning"]) for one in made),
        "files": sorted(written),
        "artifact": bundle_digest(written),
        "rows": found.rows,
        "rows_without_label": min(int(one["rows_without_label"]) for one in made),
        "tuned_until": max(until, default=None),
        "dropped_columns": {k: v for one in made for k, v in one["dropped_columns"].items()},
        "told": [*_lacking(found), *_told(found.each, [one["told"] for one in made])],
        "notes": {s.output: one["notes"] for s, one in zip(found.each, made, strict=True)},
        "searched": sorted({about for one in made for about in one["searched"]}),
        "seconds": {
            **{s.output: one["seconds"] for s, one in zip(found.each, made, strict=True)},
            "total": round(time.monotonic() - started, 3),
        },
    }


def _named(spec: TrainingSpec, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {"target": spec.target, "output": spec.output, **facts["metrics"]}


def _joined(out: str, made: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Write what the parts have in common; the sha256 of every file by name."""
    from pathlib import Path

    signature = signature_of(read_folder(Path(out)))
    assert isinstance(signature, Joint), "several targets have several signatures"
    for part in range(len(made)):
        os.remove(os.path.join(out, f"{prefix(part)}MLmodel"))
    for name, held in ((SIGNATURE, text(signature.plain())), ("MLmodel", mlmodel_of_several(signature))):
        with open(os.path.join(out, name), "wb") as file:
            file.write(held)
    return digests(read_folder(Path(out)))


class _Part:
    """The progress of one target, as that of the whole."""

    def __init__(self, report: Report, place: int, of: int, output: str) -> None:
        self._report, self._place, self._of, self._output = report, place, of, output
        self.found = training.keep_of(report)

    def __call__(self, what: str, done: float | None = None) -> None:
        whole = None if done is None else (self._place + done) / self._of
        self._report(f"{self._output}: {what}", whole)


def _limited(one: TrainingSpec, spec: TrainingSpec, started: float, left: int) -> TrainingSpec:
    """The training with its share of what is left of the limits, of which it takes one of `left`."""
    of = len(spec.targets)
    wall = spec.time_limit / of if spec.search else (started + spec.time_limit - time.monotonic()) / left
    spent = time.process_time()
    return replace(
        one,
        time_limit=max(LEAST, wall),
        cpu_limit=None if spec.cpu_limit is None else spent + max(0.0, spec.cpu_limit - spent) / left,
        max_row_time=None if spec.max_row_time is None else spec.max_row_time / of,
        max_bundle=None if spec.max_bundle is None else spec.max_bundle // of,
        budget=spec.budget / of,
        trials=-(-spec.trials // of),
    )


# --- what fits which target --------------------------------------------------------------------------------


def ready(spec: TrainingSpec, files: Files) -> Ready:
    """Look at all targets before the first is learned. TargetError or ProjectError says what does not fit."""
    import numpy as np
    import pyarrow as pa

    event = [spec.event_time] if spec.event_time else []
    table = files.read(list(dict.fromkeys([*spec.targets, *event])))
    when = split.micros(table, spec.event_time) if spec.event_time else None
    mature = split.mature(when, spec.label_delay, spec.now)
    due = np.ones(table.num_rows, dtype=np.bool_) if mature is None else mature
    found: dict[str, target.Target] = {}
    lacking: dict[str, int] = {}
    each = spec.of_each()
    for one in each:
        column = table.column(one.target)
        known = target.known_rows(column, one.target, mature, [table.column(n) for n in one.beside])
        lacking[one.target] = int((due & ~known).sum())
        values = column.filter(pa.array(known))
        found[one.target] = target.inspect(values, one.target, one.metric)
    _metrics(each, found)
    _apart(each, found)
    fitting = _fitting(spec, each, found)
    for one in fitting:
        target.with_positive(found[one.target], one)
    return Ready(fitting, int(due.sum()), lacking)


def _metrics(each: Sequence[TrainingSpec], found: Mapping[str, target.Target]) -> None:
    for one in each:
        kind = found[one.target].kind
        try:
            check_metric(one.metric, kind)
        except ProjectError as error:
            own = ", ".join(f"{s.target}: '{BY_KIND[found[s.target].kind][0]}'" for s in each)
            raise ProjectError(
                f"The metric `{one.metric}` does not fit `{one.target}`, which is a {kind} target.",
                hint=f"Write one for each: OBJECTIVE (metric = {{{own}}}), or leave metric out: these are what each has then. "
                f"{error.hint or ''}".strip(),
            ) from error


def _apart(each: Sequence[TrainingSpec], found: Mapping[str, target.Target]) -> None:
    """TargetError where two targets would have outputs of one name."""
    names = [
        o.name.lower() for s in each for o in outputs(s.output, found[s.target].kind, found[s.target].type)
    ]
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise TargetError(
            f"Two targets of `{each[0].model}` would have an output called `{twice}`.",
            hint=f"Give one another name: PREDICT {each[0].target}, {each[-1].target} AS {each[-1].output}_2.",
        )


def _fitting(
    spec: TrainingSpec, each: Sequence[TrainingSpec], found: Mapping[str, target.Target]
) -> tuple[TrainingSpec, ...]:
    """Each with what of OBJECTIVE is about its kind."""
    numbers = [s.target for s in each if found[s.target].kind == "regression"]
    binary = [s.target for s in each if found[s.target].kind == "binary"]
    if spec.coverage is not None and not numbers:
        raise TargetError(
            "`coverage` is how many values lie in their interval, and none of the targets is a number.",
            hint="Leave coverage out of OBJECTIVE; the probabilities are calibrated by themselves.",
        )
    costs = [n for n in ("cost_false_negative", "cost_false_positive") if getattr(spec, n) is not None]
    if costs and len(binary) != 1:
        which = (
            f"{' and '.join(f'`{b}`' for b in binary)} have two classes" if binary else "none has two classes"
        )
        raise TargetError(
            f"`{costs[0]}` is what a wrong answer to one target of two classes costs, and {which}.",
            hint=f"Leave {' and '.join(costs)} out of OBJECTIVE{', or write one CREATE MODEL for each' if binary else ''}.",
        )
    return tuple(
        replace(
            s,
            coverage=spec.coverage if s.target in numbers else None,
            cost_false_negative=spec.cost_false_negative if s.target in binary else None,
            cost_false_positive=spec.cost_false_positive if s.target in binary else None,
        )
        for s in each
    )


# --- what is told ------------------------------------------------------------------------------------------


def _lacking(found: Ready) -> list[Told]:
    """The rows that teach some of the targets only."""
    out: list[Told] = []
    for name, count in found.lacking.items():
        if count:
            others = " and ".join(f"`{n}`" for n in found.lacking if n != name)
            words = f"`{name}` is missing in {count:,} of {found.rows:,} rows, which teach {others} alone."
            option = (
                f"If they should teach nothing, filter them in the dataset's query: WHERE {name} IS NOT NULL."
            )
            out.append({"kind": "labels", "column": name, "text": words, "option": option})
    return out


def _told(each: Sequence[TrainingSpec], said: Sequence[Sequence[Told]]) -> list[Told]:
    """What every target's training says is told once; what one says, with that target's name."""
    count = Counter(str(one["text"]) for all_of in said for one in all_of)
    out: dict[str, Told] = {}
    for spec, all_of in zip(each, said, strict=True):
        for one in all_of:
            words = str(one["text"])
            if count[words] < len(each) and f"`{spec.target}`" not in words:
                words = f"Of `{spec.target}`: {words}"
            out.setdefault(words, {**one, "text": words})
    return list(out.values())
