"""Brings a model that was fitted elsewhere before the gate of a model that is declared here. How it is read is in `applying.importing`."""

from __future__ import annotations

from tilth.core.errors import BusyError, UnsupportedError
from tilth.plan.actions import TrainModel
from tilth.runtime.applying import executor, importing
from tilth.runtime.asking import acting
from tilth.runtime.asking.prompt import Prompt, Result
from tilth.runtime.record import versions
from tilth.sql.language.statements import CreateDataset, CreateModel, DatasetRef, Kind


def bring(at: Prompt, model: str, path: str) -> Result:
    """Import the folder as a version of a deployed model, and have it judged against the one that serves.

    UnsupportedError with the reason for a folder that is not read; nothing is recorded then.
    """
    at.room()
    pointer = acting.pointer_of(at, Kind.MODEL, model)
    graph = at.deployed(at.environment)
    resource = graph.get(model)
    declared = resource.as_(CreateModel)
    if not isinstance(declared.source, DatasetRef):
        raise UnsupportedError(
            f"`{model}` reads a query of its own, of which no rows are kept.",
            hint="Declare the query as a dataset, and the model FROM it.",
        )
    folder = importing.looked_at(path)
    dataset = declared.source.name
    rows = acting.pointer_of(at, Kind.DATASET, dataset)
    waiting = versions.unjudged(at.work.state, model, resource.recipes, rows.target or "")
    if waiting is not None:
        raise BusyError(
            f"Version {waiting.version} of `{model}` waits for its gate.",
            hint=f"Judge it first: RETRAIN MODEL {model}.",
        )
    if at.begin is not None:
        at.work = at.begin()
    with at.work.locks.hold(executor.MAKING, executor.PROMPT_WAIT, shared=True):
        made = importing.brought(at.act(), resource, (graph.get(dataset).as_(CreateDataset), rows), folder)
    champion = int(pointer.target) if pointer.target else None
    done = acting.only(at, TrainModel(model, resource.recipe, made.reason, champion), graph)
    row = versions.require(at.work.state, model, made.version)
    facts = {"model": model, "version": row.version, "digest": row.digest, "status": row.status, **done.facts}
    return Result(None, done.text, facts, refused=done.refused)
