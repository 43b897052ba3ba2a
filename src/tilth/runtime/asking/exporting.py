"""A version of a model as files of another format: what is read of the project, and what is tried before anything is written.

What the formats hold is in `ml.exporting`; where the files are put, the command says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilth.core.errors import UnknownNameError, UnsupportedError
from tilth.ml.bundles.manifest import ENVELOPE
from tilth.ml.bundles.signing import Verified
from tilth.ml.data import snapshots
from tilth.ml.exporting import mlflow_folder, onnx_file
from tilth.ml.forecasting.signature import ENGINE
from tilth.ml.model.ensemble import members_in
from tilth.ml.model.joint import parts_of
from tilth.ml.model.preparation import Preparation
from tilth.ports import registry
from tilth.runtime.loading import verified, version_of
from tilth.runtime.record import versions
from tilth.runtime.record.snapshots import manifest_of
from tilth.runtime.record.versions import Version
from tilth.runtime.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = ("mlflow", "onnx", "dbt")
"""Of `dbt` it is `exposing` that writes."""
TRIED = 5_000  # rows that an ONNX file answers before it is written


@dataclass(frozen=True, slots=True)
class Exported:
    """The files by their paths (one without a path: the file itself), and what is told of them."""

    files: Mapping[str, bytes]
    facts: Mapping[str, Any]


def exported(work: Workspace, model: str, version: int, form: str) -> Exported:
    """The version in that format, verified and tried; UnsupportedError, with the reason, for what cannot be told exactly."""
    row = versions.require(work.state, model, version)
    if row.engine == ENGINE:
        raise UnsupportedError(
            f"Version {version} of `{model}` forecasts, and there is no such format of forecasts here.",
            hint=f'Write what it says: tilth sql "SELECT * FROM {model}" --csv, or ask its endpoint.',
        )
    found = verified(work, row)
    facts = {"model": model, "version": version, "digest": row.digest, "format": form}
    if form == "mlflow":
        return Exported(_mlflow(work, row, found), facts)
    made, rows, off = _onnx(work, row, found)
    return Exported({"": made}, {**facts, "rows": rows, "off_by": off})


def _scorer(name: str) -> Any:
    return registry.load("tilth.scorers", name)


def _mlflow(work: Workspace, row: Version, found: Verified) -> dict[str, bytes]:
    version_of(work, row.model, row.version)  # what does not load here loads nowhere
    kept = [json.loads(part["calibration.json"]) for part in parts_of(found.files)]
    scorers = (str(m["scorer"]) for one in kept for m in members_in(one))
    packages = {"tilth", *(registry.package("tilth.scorers", name) for name in scorers)}
    about = mlflow_folder.About(row.model, row.version, row.digest, row.created_at, sorted(packages))
    envelope = (Path(work.bundles.path(row.digest)) / ENVELOPE).read_bytes()
    return mlflow_folder.files(about, {**found.files, ENVELOPE: envelope})


def _onnx(work: Workspace, row: Version, found: Verified) -> tuple[bytes, int, float]:
    """The file, how many rows it answered, and how far off it was at most."""
    if len(parts_of(found.files)) > 1:
        raise UnsupportedError(
            f"Version {row.version} of `{row.model}` predicts several targets, and an ONNX file of tilth's answers one.",
            hint="Export it as --format mlflow, or train a model of the one target.",
        )
    about = {"model": row.model, "version": str(row.version), "digest": row.digest}
    made = onnx_file.made(found.files, _scorer, about)
    (model,) = version_of(work, row.model, row.version).parts
    table = _rows(work, row, [i.name for i in model.inputs])
    preparation = Preparation.from_plain(json.loads(found.files["prepare.json"]))
    return made, len(table), onnx_file.checked(made, model, preparation, table)


def _rows(work: Workspace, row: Version, columns: list[str]) -> pa.Table:
    """Rows that the version was trained on, evenly, and some of them again with each input missing in turn."""
    import pyarrow as pa

    try:
        manifest = manifest_of(work.state, row.snapshot)
    except UnknownNameError as error:
        raise UnsupportedError(
            f"The rows that version {row.version} of `{row.model}` was trained on are gone, so no ONNX file of it can be tried.",
            hint="Export it as --format mlflow, or RETRAIN the model.",
        ) from error
    step = max(1, manifest.rows // TRIED)
    with snapshots.damage_told(manifest):
        parts = [
            batch.take(pa.array(range(0, len(batch), step)))
            for batch in snapshots.read(manifest, work.blobs, columns)
        ]
    table = pa.Table.from_batches(parts).select(columns)
    some = table.slice(0, 50)
    lacking = [some.set_column(n, f, pa.nulls(len(some), f.type)) for n, f in enumerate(table.schema)]
    return pa.concat_tables([table, *lacking])
