"""What a statement is performed with, and what it answers: a prompt has one project, one environment and one principal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tilth.core.principals import Principal
from tilth.ports.limits import Limits
from tilth.ports.progress import Progress
from tilth.ports.turns import Turn, Turns
from tilth.resources.graph import Graph
from tilth.runtime.act import Act
from tilth.runtime.asking.heeding import HeedingProgress
from tilth.runtime.asking.result import Result
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import Declaration

if TYPE_CHECKING:
    from tilth.ml.model.answerer import Answerer
    from tilth.runtime.applying.executor import Did


__all__ = ["Prompt", "Result"]


@dataclass(slots=True)
class Prompt:
    """A project as statements see it. `declared` is the graph of the files, `deployed` that of what was applied, `compiled`
    makes one of declarations; `loaded` are versions by model, version and threads.
    """

    work: Workspace
    environment: str
    principal: Principal
    declared: Callable[[], Graph]
    deployed: Callable[[str], Graph]
    compiled: Callable[[list[Declaration]], Graph]
    progress: Progress
    tell: Callable[[Did], None] | None = None
    loaded: dict[tuple[str, int, int | None], Answerer] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    room: Callable[[], None] = lambda: None  # raises ResourceLimitError while nothing may be made
    begin: Callable[[], Workspace] | None = None  # the workspace to act in, where `work` is one to look at
    may_drop: tuple[str, ...] = ()  # what serves and APPLY may drop, since somebody said so
    frames: Mapping[str, Any] = field(default_factory=dict)  # of a Python program, by name: `FROM $name`
    turns: Turns | None = None  # which statements of this process may be at work; None: all
    in_transaction: bool = False  # nothing may be made that a ROLLBACK could not undo
    door: str = ""  # from where it is asked, for the log of statements; empty: nothing is logged
    first: tuple[str, Limits] | None = None  # the environment and limits before the first SET
    client: dict[str, str] = field(
        default_factory=dict
    )  # settings that a door's clients know, and nothing here obeys
    client_first: Mapping[str, str] = field(default_factory=dict)  # the same as the session began

    def act(self, environment: str | None = None) -> Act:
        """What is done from here."""
        progress = HeedingProgress(self.progress, self.limits.turn)
        return Act(self.work, environment or self.environment, self.principal, progress)

    def cancel(self, by: str = "") -> None:
        """End the statement that is being performed, or whose rows are being read: it raises CancelledError there.

        Called from any thread. One that is over is not harmed, nor is the next.
        """
        self.limits.turn.cancel(by)

    def next_turn(self) -> Turn:
        """Begin a statement; who waits for its turn hears so by the progress."""
        turn = Turn(self.turns, self.progress.step)
        self.limits = replace(self.limits, turn=turn)
        return turn
