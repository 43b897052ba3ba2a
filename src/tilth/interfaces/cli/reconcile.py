"""The reconciler as a process of its own, started and supervised by `tilth up`; not meant to be started by hand."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from tilth.interfaces.cli import lines
from tilth.interfaces.cli.options import CLOCK, ENV, PROJECT, opened

if TYPE_CHECKING:
    from tilth.app.project import Project
    from tilth.core.time import Instant
    from tilth.resources.kinds import Resource
    from tilth.runtime.keeping.scheduling import Run


@click.command(hidden=True)
@PROJECT
@ENV
@click.option("--log", "form", type=click.Choice(lines.FORMS))
@CLOCK
def reconcile(project: str, environment: str | None, form: str | None, clock: str | None) -> None:
    """Keep an environment as it was applied, until stopped; one line on standard error for each thing done.

    Example: tilth reconcile --project flights
    """
    from tilth.adapters.jails.jail import die_with_parent
    from tilth.runtime.keeping.reconciler import Reconciler

    die_with_parent(os.getppid())
    stop, say = threading.Event(), lines.teller(form)
    signal.signal(signal.SIGTERM, lambda _number, _frame: _end(stop))
    found = opened(project, clock)
    name = environment or found.settings.environment
    reconciler = Reconciler(
        found.work(),
        name,
        lambda: found.deployed(name),
        progress=_Stoppable(stop),
        tell=say,
        replay=clock is not None,
        room=_room(found, say),
        run=_running(found, name, stop),
    )
    say(f"reconciling {name}")
    reconciler.run(stop)
    found.close()
    say("stopped")


def _running(project: Project, environment: str, stop: threading.Event) -> Run:
    """Runs a job or trigger of the project."""
    from tilth.runtime.asking import running

    def run(resource: Resource, reason: str, due: Instant | None) -> running.Ran:
        project.room()
        session = project.session(environment, _Stoppable(stop), door=resource.kind.value)
        return running.run(session, resource, running.Why(reason, due))

    return run


LOOK = 60.0  # seconds between looks at the disk


def _room(project: Project, say: Callable[[str], None]) -> Callable[[], None]:
    """Raises while `.tilth` holds all that it may; looked at once a minute, where a limit is set."""
    if project.settings.limits.disk is None:
        return lambda: None
    seen: list[float] = [0.0]
    last = [project.disk()]

    def require() -> None:
        if time.monotonic() - seen[0] > LOOK:
            seen[0], last[0] = time.monotonic(), project.disk()
            if last[0].near:
                say(last[0].near)
        last[0].require()

    return require


def _end(stop: threading.Event) -> None:
    stop.set()


class _Stoppable:
    """Passes nothing on; long work ends at its next step once the process is to stop."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def step(self, what: str, done: float | None = None, note: str = "") -> None:  # noqa: ARG002  # the port has it
        if self._stop.is_set():
            raise KeyboardInterrupt
