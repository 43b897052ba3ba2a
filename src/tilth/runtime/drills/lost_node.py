"""The drill of a lost node. The server that is killed is started as a user would: by `interfaces.drills`, found by the registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tilth.core.errors import ProjectError
from tilth.ports import registry
from tilth.runtime.drills.subject import Shown, Subject, answerable
from tilth.runtime.loading import version_of
from tilth.sql.language.statements import Kind

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

SOME = 500  # different rows that are asked, again and again


def lost_node(subject: Subject) -> Shown:
    rows = subject.newest(SOME)
    predictor = version_of(subject.work, subject.model, subject.version)
    endpoint = next(
        (r.name for r in subject.graph.of_kind(Kind.ENDPOINT) if subject.model in r.depends), None
    )
    if endpoint is None:
        raise ProjectError(
            f"No endpoint serves the model `{subject.model}`.",
            hint=f"Declare one: CREATE ENDPOINT {subject.model}_api FOR MODEL {subject.model}.",
        )
    asked = answerable(rows, predictor)
    names = [i.name for i in (*predictor.inputs, *predictor.carried)]
    picked = asked.select([n for n in names if n in asked.column_names]).to_pylist()
    found: Shown = registry.load("tilth.parts", "lost_server")(
        subject.work, subject.environment, endpoint, picked
    )
    return found
