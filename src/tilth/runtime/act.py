"""Something that is done to a project, as what goes with it everywhere: the ports, where, by whom, and who is told of it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from tilth.core.principals import Principal
from tilth.core.time import Instant, show_instant
from tilth.ports.progress import Progress, Silent
from tilth.ports.state import Change
from tilth.runtime.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Act:
    """One act in one environment."""

    work: Workspace
    environment: str
    by: Principal
    progress: Progress = field(default_factory=Silent)

    def now(self) -> Instant:
        """What the project's clock says."""
        return self.work.clock.now()

    def change(self, at: Instant | None = None, *, keyless: bool = False) -> AbstractContextManager[Change]:
        """A change of the state by whoever acts, now or as of that instant; `keyless` as in `ports.state`."""
        when = show_instant(self.now() if at is None else at)
        return self.work.state.change(self.by, when, keyless=keyless)
