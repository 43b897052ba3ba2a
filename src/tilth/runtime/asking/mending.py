"""FORGET, RELEASE QUARANTINE and HOLD QUARANTINE as statements: none waits for an apply under way, and all say what they did."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tilth.core.errors import ProjectError, StorageError, TilthError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.resources.graph import Graph
from tilth.runtime.applying import forgetting, holding, releasing
from tilth.runtime.applying.executor import MAKING
from tilth.runtime.asking import statements
from tilth.runtime.asking.prompt import Prompt, Result
from tilth.runtime.record import environments
from tilth.runtime.record.snapshots import manifest_of
from tilth.sql.language.mending import ForgetFrom, HoldQuarantine, ReleaseQuarantine
from tilth.sql.language.statements import Kind


def forget(at: Prompt, statement: ForgetFrom) -> Result:
    """Take rows out of all that is kept of a dataset."""
    graph = at.deployed(at.environment)
    target = _target(at, statement.name)
    with at.work.locks.hold(MAKING):
        schema = manifest_of(at.work.state, target).schema
        statements.write(at.work.state)
        try:
            with _written():
                found = forgetting.forget(at.act(), graph, statement.name, statement.where, schema)
        except TilthError as error:
            if error.where is None and statement.position is not None and not isinstance(error, StorageError):
                error.where = statement.position
            raise
    learned = f" Learned from by {', '.join(found.models)}." if found.models else ""
    said = f", the texts of {found.statements:,} statements of the log" if found.statements else ""
    text = (
        f"Forgotten from {statement.name}: {found.rows:,} row{'s' * (found.rows != 1)} of {len(found.snapshots):,}"
        f" snapshot{'s' * (len(found.snapshots) != 1)}, {found.quarantined:,} in quarantine, {found.predictions:,} predictions{said}.{learned}"
    )
    lines = [text, "Not reached:", *(f"  {line}" for line in found.unreached)]
    facts = {
        "dataset": statement.name, "rows": found.rows, "snapshots": sorted(found.snapshots), "quarantined": found.quarantined,
        "predictions": found.predictions, "statements": found.statements, "models": found.models, "unreached": found.unreached,
    }  # fmt: skip
    return Result(None, "\n".join(lines), facts)


def release(at: Prompt, statement: ReleaseQuarantine) -> Result:
    """Publish rows that are held back, repaired where that is asked for."""
    graph = _ready(at, statement)
    with _alone(at, statement):
        done = releasing.release(at.act(), graph, statement)
    rows = f"{done.rows:,} row{'s' * (done.rows != 1)}"
    text = f"{rows} of {statement.name} released: {at.environment} is at generation {done.generation}. It holds for each KEY until the source changes the row."
    facts = {
        "dataset": statement.name, "rows": done.rows, "snapshot": done.snapshot, "generation": done.generation,
        "environment": at.environment,
    }  # fmt: skip
    return Result(None, text, facts)


def hold(at: Prompt, statement: HoldQuarantine) -> Result:
    """Take back what was released: the checks judge again what the source gave."""
    graph = _ready(at, statement)
    with _alone(at, statement):
        done = holding.hold(at.act(), graph, statement)
    rows = f"{done.rows:,} released row{'s' * (done.rows != 1)}"
    text = (
        f"{rows} of {statement.name} taken back: {done.held:,} held back by the checks, {done.published:,} published as the source gave them."
        f" {at.environment} is at generation {done.generation}."
    )
    facts = {
        "dataset": statement.name, "rows": done.rows, "held": done.held, "published": done.published, "snapshot": done.snapshot,
        "generation": done.generation, "environment": at.environment,
    }  # fmt: skip
    return Result(None, text, facts)


def _ready(at: Prompt, statement: ReleaseQuarantine | HoldQuarantine) -> Graph:
    """What is deployed, where there is room on the disk and a snapshot of the dataset."""
    at.room()
    graph = at.deployed(at.environment)
    _target(at, statement.name)
    return graph


@contextmanager
def _alone(at: Prompt, statement: ReleaseQuarantine | HoldQuarantine) -> Iterator[None]:
    """While nobody else applies to the environment; errors point at the condition."""
    with at.work.locks.hold(MAKING, shared=True), at.work.locks.hold(f"apply-{at.environment}"):
        try:
            with _written():
                yield
        except TilthError as error:
            if error.where is None and statement.position is not None and not isinstance(error, StorageError):
                error.where = statement.position
            raise


@contextmanager
def _written() -> Iterator[None]:
    """A disk that refuses, as an instruction."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"Files of the project could not be written ({error.strerror or error}).",
            hint="Free some space on its disk, then run the statement again.",
        ) from error


def _target(at: Prompt, name: str) -> str:
    """The snapshot that the environment points at of a dataset."""
    _, pointers = environments.pointers_of(at.work.state, at.environment)
    known = {p.name: p.target for p in pointers if p.kind is Kind.DATASET}
    if name not in known:
        raise UnknownNameError(
            f"There is no dataset `{name}` in `{at.environment}`.", hint=did_you_mean(name, known, "datasets")
        )
    target = known[name]
    if target is None:
        raise ProjectError(
            f"Dataset `{name}` has no snapshot yet.", hint=f"REFRESH DATASET {name} collects it."
        )
    return target
