"""The reconciler as a process of its own, started and supervised by `tilth up`; not meant to be started by hand."""

from __future__ import annotations

import os
import signal
import threading

import click

from tilth.interfaces.cli import lines
from tilth.interfaces.cli.options import CLOCK, ENV, PROJECT, opened


@click.command(hidden=True)
@PROJECT
@ENV
@click.option("--log", "form", type=click.Choice(lines.FORMS))
@CLOCK
def reconcile(project: str, environment: str | None, form: str | None, clock: str | None) -> None:
    """Keep an environment as it was applied, until stopped; one line on standard error for each thing done.

    Example: tilth reconcile --project flights
    """
    from tilth.adapters.jobs.jail import die_with_parent
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
    )
    say(f"reconciling {name}")
    reconciler.run(stop)
    found.close()
    say("stopped")


def _end(stop: threading.Event) -> None:
    stop.set()


class _Stoppable:
    """Passes nothing on; long work ends at its next step once the process is to stop."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def step(self, what: str, done: float | None = None, note: str = "") -> None:  # noqa: ARG002  # the port has it
        if self._stop.is_set():
            raise KeyboardInterrupt
