"""Binds LOOK UP of endpoints to the columns that are really there, before anything is collected or trained.

It is asked again whenever the endpoint, its model or the dataset is made anew: each of them can end that they fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tilth.core.errors import ProjectError, TilthError
from tilth.core.schema import Schema
from tilth.ml.data.keyed import columns_of, key_of
from tilth.plan.actions import CollectDataset, DeployEndpoint, Plan, TrainModel
from tilth.resources.graph import Graph
from tilth.sql.language.statements import CreateEndpoint, CreateModel, Kind, LookUp

Schemas = Callable[[CreateModel], Schema | None]
"""The columns that a model is trained on; None where only its source can tell."""


def check(plan: Plan, graph: Graph, known: Mapping[str, Schema], schema_of: Schemas) -> None:
    """ProjectError where an endpoint that the plan touches cannot complete a request."""
    anew = {a.name for a in plan.actions if isinstance(a, CollectDataset | TrainModel | DeployEndpoint)}
    for resource in graph.of_kind(Kind.ENDPOINT):
        declared = resource.as_(CreateEndpoint)
        one = declared.look_up
        if (
            one is None
            or one.dataset not in known
            or anew.isdisjoint((declared.name, declared.model, one.dataset))
        ):
            continue
        model = graph.get(declared.model).as_(CreateModel)
        try:
            _check(declared, one, known[one.dataset], model, schema_of(model))
        except TilthError as error:
            raise error.at(declared.position) if declared.position is not None else error from None


def _check(d: CreateEndpoint, one: LookUp, rows: Schema, model: CreateModel, trained: Schema | None) -> None:
    key = key_of(one.dataset, one.key, rows)
    if trained is None:
        return
    inputs = {f.name: f.type for f in trained.fields if _learned(model, f.name)}
    if not columns_of(rows, list(inputs.items()), key):
        raise ProjectError(
            f"Endpoint `{d.name}` looks up `{one.dataset}`, which has no input of model `{d.model}` beside its key.",
            hint=f"The dataset has {', '.join(rows.names)}; the model may take {', '.join(inputs) or 'nothing'}. Names bind as they are written.",
        )


def _learned(model: CreateModel, column: str) -> bool:
    """Whether a model may learn from a column, by what its text says."""
    folded = column.lower()
    out = {t.column.lower() for t in model.targets} | {c.lower() for c in model.features.exclude}
    chosen = {c.lower() for c in model.features.include}
    return folded not in out and (not chosen or folded in chosen)
