"""What a drill is about: a model as an environment has it, with its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tilth.core.errors import DataError, ProjectError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.ml.data import snapshots
from tilth.ml.forecasting.predicting import signature_of
from tilth.ml.forecasting.signature import ENGINE
from tilth.ml.watching.logged import Watched
from tilth.ports.snapshots import Manifest
from tilth.resources.graph import Graph
from tilth.runtime.act import Act
from tilth.runtime.loading import verified
from tilth.runtime.record import environments, versions
from tilth.runtime.record.snapshots import manifest_of
from tilth.runtime.record.versions import Version
from tilth.sql.language.statements import CreateDataset, CreateModel, DatasetRef, Kind

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from tilth.ml.model.answerer import Answerer

    Array = npt.NDArray[np.float64]

ROWS = 20_000  # of the newest rows that a drill works on
Shown = tuple[bool, list[str], dict[str, Any]]
"""Whether it held, in words, and as facts."""


class Subject:
    """The model that a drill is about, as the environment has it."""

    def __init__(self, act: Act, graph: Graph, model: str) -> None:
        work, environment = act.work, act.environment
        self.act, self.work, self.environment, self.graph, self.model = act, work, environment, graph, model
        self.number, self.pointers = environments.pointers_of(work.state, environment)
        known = {p.name: p for p in self.pointers if p.kind is Kind.MODEL and p.target is not None}
        if model not in known:
            raise UnknownNameError(
                f"There is no model `{model}` in `{environment}` to drill.",
                hint=did_you_mean(model, known, "models") if known else "Run `tilth apply` first.",
            )
        self.pointer = known[model]
        self.version = int(self.pointer.target or 0)

    @property
    def declared(self) -> CreateModel:
        return self.graph.get(self.model).as_(CreateModel)

    @property
    def dataset(self) -> CreateDataset:
        source = self.declared.source
        if not isinstance(source, DatasetRef):
            raise ProjectError(
                f"The model `{self.model}` reads its own query; there is no dataset whose rows could be used.",
                hint="Declare the query as a DATASET and write FROM it.",
            )
        return self.graph.get(source.name).as_(CreateDataset)

    def manifest(self) -> Manifest:
        name = self.dataset.name
        found = next((p.target for p in self.pointers if p.kind is Kind.DATASET and p.name == name), None)
        if found is None:
            raise DataError(f"Dataset `{name}` has no snapshot.", hint=f"Run REFRESH DATASET {name}.")
        return manifest_of(self.work.state, found)

    @property
    def forecasts(self) -> bool:
        """Whether the version forecasts."""
        return self._row.engine == ENGINE

    @property
    def _row(self) -> Version:
        return versions.require(self.work.state, self.model, self.version)

    def watched(self) -> tuple[Watched, ...]:
        """What its bundle says of each target."""
        return Watched.of_each(verified(self.work, self._row).files)

    def columns(self) -> tuple[str, ...]:
        """The columns that it takes or predicts."""
        if self.forecasts:
            return tuple(i.name for i in signature_of(verified(self.work, self._row).files).inputs)
        known = [one.signature for one in self.watched()]
        return tuple(n for signature in known for n in (*signature.names, signature.target))

    def newest(self, count: int = ROWS) -> pa.Table:
        """The last rows of the snapshot, which lie in the order of their event time."""
        import pyarrow as pa

        manifest, parts, have = self.manifest(), list[Any](), 0
        for part in reversed(manifest.parts):
            if have >= count:
                break
            parts.insert(0, snapshots.file_rows(self.work.blobs.path(part.blob)))
            have += part.rows
        table = pa.concat_tables(parts) if parts else snapshots.empty(manifest.schema)
        return table.slice(max(0, table.num_rows - count)).combine_chunks()


def answerable(rows: pa.Table, predictor: Answerer) -> pa.Table:
    """Rows that have a value in every input that is required."""
    import pyarrow.compute as pc

    for i in predictor.inputs:
        if i.required and rows.column(i.name).null_count:
            rows = rows.filter(pc.is_valid(rows.column(i.name)))
    return rows
