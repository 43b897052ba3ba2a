"""What the steps of the story share: the project with its clock, server and airline, the figures, and how a step fails."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tilth.core.errors import BusyError
from tilth.interfaces.demo import data
from tilth.interfaces.demo.serving import Answers, Client, DemoError, Server, total, wait_for_rest

if TYPE_CHECKING:
    from tilth.adapters.clocks import FileClock
    from tilth.app.project import Project
    from tilth.interfaces.demo.airline import Airline
    from tilth.ports.progress import Progress
    from tilth.runtime.applying.executor import Applied
    from tilth.runtime.record.versions import Version

START = datetime(2013, 5, 1)  # noqa: DTZ001  (local time)
END = datetime(2013, 10, 1)  # noqa: DTZ001
MODEL, ENDPOINT, DATASET, PROD = "late", "late_api", "departures", "prod"

FIGURES: tuple[str, ...] = (
    "seconds", "rows_collected", "rows_quarantined", "checks_run", "models_trained", "roc_auc_first",
    "roc_auc_last", "baseline_roc_auc", "batch_rows_per_second", "raw_model_rows_per_second", "http_requests",
    "http_failed", "swap_ms_p99", "rollback_ms", "retrains", "promotions", "refusals", "dev_models_trained",
    "dev_bytes_copied", "tamper_refused", "kill_recovered", "lost_acknowledged", "audit_chain_ok",
)  # fmt: skip
"""What the demo measures, in the order it is told."""


@dataclass
class Scene:
    """One telling of the story, in a folder of its own."""

    root: str
    project: Project
    clock: FileClock
    airline: Airline
    server: Server
    progress: Progress
    day: datetime = START
    answers: Answers = field(default_factory=Answers)  # of requests that nothing should disturb
    torn: Answers = field(default_factory=Answers)  # of requests while the server is killed
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def log(self) -> str:
        return os.path.join(self.root, "server.log")

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a query in tilth's SQL."""
        found: list[dict[str, Any]] = self.project.sql(sql).arrow().to_pylist()
        return found

    def number(self, sql: str) -> Any:
        """The one value of a query."""
        return next(iter(self.rows(sql)[0].values()))

    def versions(self, model: str | None = None) -> list[Version]:
        """All versions there are, or those of a model."""
        from tilth.runtime.record import versions

        return [v for v in versions.all_of(self.project.state()) if model in (None, v.model)]

    def target(self, kind: str, name: str, environment: str = PROD) -> str | None:
        """What the environment's pointer of that name points at."""
        pointers = self.project.current(environment).pointers
        return next((p.target for p in pointers if p.kind.value == kind and p.name == name), None)

    def generation(self) -> int:
        return self.project.current(PROD).generation

    def apply(self, environment: str | None = None) -> Applied:
        """Apply; while the reconciler is at work, wait for it."""
        until = time.monotonic() + 60
        while True:
            try:
                return self.project.apply(environment, self.progress)
            except BusyError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def edit(self, file: str, pattern: str, by: str) -> Callable[[], None]:
        """Change a file of the project; what puts it back as it was."""
        path = os.path.join(self.root, file)
        with open(path, encoding="utf-8") as opened:
            before = opened.read()
        after, count = re.subn(pattern, by, before, count=1, flags=re.DOTALL)
        hold(count == 1, f"{file} is not the template's: nothing matches {pattern!r}")
        _write(path, after)
        return lambda: _write(path, before)

    def all_answers(self) -> Answers:
        return total([self.answers, self.torn])


def hold(condition: object, words: str) -> None:
    """End the step unless the condition holds."""
    if not condition:
        raise DemoError(
            f"This did not hold: {words}.", hint="Run it again with --keep FOLDER and look there."
        )


def instant(local: datetime) -> datetime:
    """A local time as tilth's clock has it: read as UTC, as times without a zone are."""
    return local.replace(tzinfo=UTC)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def live(
    scene: Scene,
    client: Client,
    inputs: list[str],
    note: str,
    done: float | None = None,
    *,
    spoil: bool = False,
) -> None:
    """One day: its flights are asked about by the hour, they land, and the reconciler does what is due at midnight."""
    day, after = scene.day, scene.day + data.DAY
    scene.progress.step("replay", done, f"{note}: {day:%Y-%m-%d}, {scene.answers.rows:,} predictions")
    for body, rows in scene.airline.asks(day, inputs):
        client.ask(body, rows)
    scene.airline.lands(day, after, spoil=spoil)
    scene.clock.set(instant(after))
    wait_for_rest(scene.project.state(), instant(after), scene.server.pid)
    scene.day = after
