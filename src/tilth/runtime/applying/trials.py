"""What a search of options is told of earlier ones, and how its trials are kept as they are made, whatever becomes of the training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tilth.core.errors import TrainingError
from tilth.ml.learning.trials import KEPT, NEW
from tilth.ml.model.spec import TrainingSpec
from tilth.resources.kinds import Resource
from tilth.resources.rules import duration_of
from tilth.runtime.act import Act
from tilth.runtime.record import trials
from tilth.runtime.record.rows import Reader
from tilth.runtime.record.trials import Trial
from tilth.sql.language.statements import CreateModel

ALWAYS = "always"


def asked(reader: Reader, resource: Resource, spec: TrainingSpec) -> TrainingSpec:
    """The training with its search, where there is one: a recipe is searched once, and its later trainings take what was found."""
    using = resource.as_(CreateModel).using
    search = using.get("search", "off")
    if search == "off":
        return spec
    known = trials.of(reader, resource.name)
    over = search != ALWAYS and any(t.recipe in resource.recipes and t.version for t in known)
    budget, most = duration_of(using.get("budget")), using.get("trials")
    return replace(
        spec,
        search=KEPT if over else NEW,
        budget=budget.total_seconds() if budget else spec.budget,
        trials=most if isinstance(most, int) else spec.trials,
        known=tuple(t.text for t in known),
    )


class Keeping:
    """A progress that keeps the trials that a worker tells of. Implements `ports.progress.Progress` and `Keeps`."""

    def __init__(self, act: Act, resource: Resource, snapshot: str) -> None:
        self._act, self._resource, self._snapshot = act, resource, snapshot

    def step(self, what: str, done: float | None = None, note: str = "") -> None:
        self._act.progress.step(what, done, note)

    def found(self, what: Mapping[str, object]) -> None:
        """One more trial, in a change of its own."""
        one, now, model = _trial(what), self._act.now(), self._resource.name
        with self._act.change(now) as change:
            trials.add(change, model, self._resource.recipe, self._snapshot, one, now)
            change.audit("try", model, {"engine": one.engine, "trial": one.number, "about": one.about})


def _trial(said: Mapping[str, Any]) -> Trial:
    """The trial as the worker says it; TrainingError for what is none."""
    try:
        loss = said["loss"]
        return Trial(
            "", str(said["about"]), str(said["engine"]), int(said["trial"]), dict(said["options"]),
            None if loss is None else float(loss), tuple(map(float, said["losses"])), float(said["seconds"]),
            str(said["status"]), None,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise TrainingError("The worker tells of a trial that is none.") from error
