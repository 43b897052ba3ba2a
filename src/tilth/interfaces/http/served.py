"""What a server alone knows of what it serves, for the console's pages: its health, its routes, its counts since the start."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from tilth.adapters.jails.clean import environment
from tilth.interfaces.console.drawing_process import DrawingProcess
from tilth.interfaces.http.asking import Asking
from tilth.interfaces.http.console import Console
from tilth.interfaces.http.guard import Guard
from tilth.interfaces.http.listening import Place
from tilth.interfaces.http.metrics import Metrics
from tilth.interfaces.http.pulse import Pulse
from tilth.interfaces.public import unplaced
from tilth.runtime.serving.node import Node


@dataclass(frozen=True, slots=True)
class Served:
    """Facts of one node; all of them lie in memory."""

    node: Node
    counts: Metrics
    root: str

    def facts(self) -> dict[str, Any]:
        """The environment, its health, and by endpoint what answers and how often it did."""
        health = self.node.health()
        reasons = health["reasons"]
        assert isinstance(reasons, list)
        table = self.node.table
        routes = {} if table is None else table.routes
        return {
            "environment": self.node.environment,
            "health": {**health, "reasons": [unplaced(reason, self.root) for reason in reasons]},
            "endpoints": {name: self._endpoint(name) for name in routes},
        }

    def _endpoint(self, name: str) -> dict[str, Any]:
        table = self.node.table
        route = None if table is None else table.routes.get(name)
        rolling = None if route is None else route.rolling
        return {
            "requests": self.counts.requests(name),
            "rows_without_key": self.counts.without_key.get(name, 0),
            "answering": [] if route is None else [side.version for side in route.sides()],
            "stage": None if route is None else route.live_stage,
            "rollout": None if rolling is None else rolling.progress.counts(),
        }

    def mark(self) -> Hashable:
        """What stands still while nothing moves."""
        table = self.node.table
        return self.node.figures.moves, 0 if table is None else table.generation, tuple(self.node.troubles)

    def requests(self) -> Hashable:
        """How many there were."""
        return sum(series.requests for series in self.counts.series.values())

    def console(
        self, guard: Guard, asking: Asking | None, tell: Any, line: Sequence[str], place: Place
    ) -> Console:
        """The console over these facts; its pages are drawn by a process that `line` starts."""
        return Console(
            guard, DrawingProcess(line, environment(), tell), Pulse(self.mark, self.requests), self.facts, asking, tell,
            root=self.root, environment=self.node.environment, secure=place.context is not None or place.proxied,
        )  # fmt: skip
