"""RUN JOB and CANCEL RUN, and a run of a job or trigger as whoever finds it due asks for it. What a run does is in `turns`.

The same job never runs twice at once: a lock that dies with its process.
"""

from __future__ import annotations

from tilth.core.errors import CancelledError, ProjectError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.resources.kinds import Resource
from tilth.runtime.asking.prompt import Prompt, Result
from tilth.runtime.asking.turns import ACTION, NOTHING, Ran, Turning, Why
from tilth.runtime.record import schedules
from tilth.sql.language.acts import CancelRun, RunJob
from tilth.sql.language.statements import Kind

__all__ = ["Ran", "Why", "cancel", "run", "run_job"]


def run_job(at: Prompt, statement: RunJob) -> Result:
    """Run a job now, or go on with the turn that it is at."""
    graph = at.deployed(at.environment)
    found = graph.find(statement.name)
    if found is None or found.kind is not Kind.JOB:
        names = [r.name for r in graph.of_kind(Kind.JOB)]
        raise UnknownNameError(
            f"There is no job `{statement.name}` in `{at.environment}`.",
            hint=did_you_mean(statement.name, names, "jobs") if names else "CREATE JOB makes one.",
        )
    at.room()
    ran = run(at, found, Why(f"asked for by RUN JOB ({at.principal.text})", asked=True))
    if ran.error is not None:
        raise ran.error
    if ran.status == schedules.CANCELLED:
        raise CancelledError(f"{ran.text}.", hint="RUN JOB runs it again; its times come as ever.")
    return Result(None, ran.text, {"job": found.name, "run": ran.run, "status": ran.status})


def cancel(at: Prompt, statement: CancelRun) -> Result:
    """Ask a run of a job or trigger to stop; it does between two batches of rows, or two steps of a training."""
    found = schedules.run(at.work.state, statement.run)
    if found is None or found.kind not in ACTION:
        what = (
            "There is no run"
            if found is None
            else f"No job and no trigger is the run ({found.kind} {found.name})"
        )
        raise UnknownNameError(
            f"{what} `{statement.run}`.",
            hint="SELECT id, kind, name FROM tilth.runs WHERE status = 'running' AND kind IN ('job', 'trigger')",
            where=statement.position,
        )
    if found.status != "running":
        raise ProjectError(
            f"Run {statement.run} of {found.kind} `{found.name}` is over: {found.status}.",
            hint=f"DROP {found.kind.keyword} ends it for good.",
            where=statement.position,
        )
    with at.act(found.environment).change() as change:
        schedules.cancel(change, statement.run, at.work.clock.now())
        change.audit("cancel", found.name, {"run": statement.run})
    text = f"Run {statement.run} of {found.kind} `{found.name}` was asked to stop."
    return Result(None, text, {"run": statement.run, "name": found.name})


def run(at: Prompt, resource: Resource, why: Why) -> Ran:
    """Do what is to be done; a failure is in the result, and written down. BusyError while another runs the same."""
    if at.environment != at.work.serving:
        raise ProjectError(
            f"{resource.kind.value.capitalize()}s run in `{at.work.serving}` alone, and this is `{at.environment}`.",
            hint="What it would do can be done by hand: its statements stand in DESCRIBE.",
        )
    with at.work.locks.hold(f"{resource.kind}-{at.environment}-{resource.remembered}"):
        found = schedules.get(at.work.state, at.environment, resource.kind, resource.remembered)
        if found is None or found.recipe != resource.recipe:
            return Ran(NOTHING, f"`{resource.name}` is declared otherwise meanwhile.")
        if (
            why.due is not None
            and found.turn is None
            and found.last_due is not None
            and found.last_due >= why.due
        ):
            return Ran(NOTHING, f"`{resource.name}` was run meanwhile.", quiet=True)
        if resource.kind is Kind.JOB and found.turn is None and why.due is None and not why.asked:
            return Ran(NOTHING, f"`{resource.name}` has nothing left to do.", quiet=True)
        return Turning(at, resource, found, why).whole()
