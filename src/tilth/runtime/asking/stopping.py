"""How a run of a job or trigger learns that it is to stop: CANCEL RUN from any process, or the end of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tilth.core.errors import TilthError
from tilth.ports.progress import Progress
from tilth.runtime.asking.prompt import Prompt
from tilth.runtime.record import schedules
from tilth.runtime.record.rows import State

AGAIN = 0.2  # seconds between two looks whether a run is to stop, or a lock is free


class StoppedError(KeyboardInterrupt):
    """The process is to end; the turn stays as it is, and the next run goes on with it."""


class StoppedByError(KeyboardInterrupt):
    """Somebody wants the run to stop."""


class Watch:
    """Passes on how far it is, and learns that the run, or its process, is to stop: at each step, and in between by a thread that
    ends the statement under way.
    """

    def __init__(self, progress: Progress, state: State) -> None:
        self._progress, self._state = progress, state
        self._over = threading.Event()
        self.by: str | None = None  # who wants the run to stop

    def step(self, what: str, done: float | None = None, note: str = "") -> None:
        self.ask(what, done, note)

    def ask(self, what: str = "", done: float | None = None, note: str = "") -> None:
        """Raise when it is to stop."""
        if self.by is not None:
            raise StoppedByError(self.by)
        try:
            self._progress.step(what, done, note)
        except KeyboardInterrupt:
            raise StoppedError from None

    @contextmanager
    def over(self, run: int, at: Prompt) -> Iterator[None]:
        """Look, while the block goes on, whether the run is to stop."""
        thread = threading.Thread(target=self._look, args=(run, at), name="tilth-watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _look(self, run: int, at: Prompt) -> None:
        while not self._over.wait(AGAIN):
            with suppress(TilthError):  # the state cannot be read just now
                self.by = schedules.cancelled(self._state, run)
            if self.by is not None:
                at.cancel(self.by)
                return
