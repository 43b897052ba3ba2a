"""The drill of a lost node. The server that is killed is started as a user would: by `interfaces.drills`, found by the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tilth.core.errors import ProjectError, UnsupportedError
from tilth.ml.forecasting.predicting import ForecastPredictor
from tilth.ports import registry
from tilth.runtime.drills.subject import Shown, Subject, answerable
from tilth.runtime.loading import any_version_of, version_of
from tilth.sql.language.statements import Kind

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

SOME = 500  # different rows that are asked, again and again


def lost_node(subject: Subject) -> Shown:
    endpoint = next(
        (r.name for r in subject.graph.of_kind(Kind.ENDPOINT) if subject.model in r.depends), None
    )
    if endpoint is None:
        raise ProjectError(
            f"No endpoint serves the model `{subject.model}`.",
            hint=f"Declare one: CREATE ENDPOINT {subject.model}_api FOR MODEL {subject.model}.",
        )
    picked = _groups(subject) if subject.forecasts else _rows(subject)
    found: Shown = registry.load("tilth.parts", "lost_server")(
        subject.work, subject.environment, endpoint, picked
    )
    return found


def _rows(subject: Subject) -> list[dict[str, Any]]:
    """The newest rows that it can answer."""
    predictor = version_of(subject.work, subject.model, subject.version)
    asked = answerable(subject.newest(SOME), predictor)
    names = [i.name for i in (*predictor.inputs, *predictor.carried)]
    return list(asked.select([n for n in names if n in asked.column_names]).to_pylist())


def _groups(subject: Subject) -> list[dict[str, Any]]:
    """Series that it forecasts."""
    model = any_version_of(subject.work, subject.model, subject.version)
    assert isinstance(model, ForecastPredictor)
    if model.signature.known:
        raise UnsupportedError(
            f"The model `{subject.model}` asks for what is known ahead, and this drill knows nothing of it.",
            hint="Drill a model without USING (known = ...), or the endpoint by hand: kill -9 its server.",
        )
    return list(model.forecaster.groups.slice(0, SOME).to_pylist()) or [{}]
