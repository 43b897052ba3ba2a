"""What a statement is performed with, and what it answers: a prompt has one project, one environment and one principal."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tilth.core.principals import Principal
from tilth.ports.limits import Limits
from tilth.ports.progress import Progress
from tilth.resources.graph import Graph
from tilth.runtime.act import Act
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import Declaration

if TYPE_CHECKING:
    import pyarrow as pa

    from tilth.ml.model.answerer import Answerer
    from tilth.runtime.applying.executor import Did


@dataclass(frozen=True, slots=True)
class Result:
    """What a statement answered: rows for a question, words and facts for an act (which read as rows too)."""

    reader: pa.RecordBatchReader | None = None
    text: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    refused: bool = False  # a candidate did not pass its gate
    told: list[str] = field(default_factory=list)  # what to know of the rows, once they are read

    def arrow(self) -> pa.Table:
        """The rows as an Arrow table; a result can be read once."""
        import pyarrow as pa

        if self.reader is not None:
            return self.reader.read_all()
        flat = {
            k: v if isinstance(v, str | int | float | None) else json.dumps(v) for k, v in self.facts.items()
        }
        return pa.Table.from_pylist([flat] if flat else [])

    def rows(self) -> list[dict[str, Any]]:
        """The rows as mappings."""
        found: list[dict[str, Any]] = self.arrow().to_pylist(maps_as_pydicts="lossy")
        return found


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

    def act(self, environment: str | None = None) -> Act:
        """What is done from here."""
        return Act(self.work, environment or self.environment, self.principal, self.progress)
