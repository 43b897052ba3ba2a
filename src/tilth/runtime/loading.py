"""How every part gets a model: verified, tried in a jail at least once (`members`), and loaded from the bytes that were verified."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tilth.core.errors import (
    DataError,
    MissingExtraError,
    TamperError,
    TilthError,
    UnknownNameError,
    UnsupportedError,
)
from tilth.ml.bundles.provenance import Subject
from tilth.ml.bundles.signing import Verified, verify
from tilth.ml.data.snapshots import file_rows
from tilth.ml.forecasting import columns
from tilth.ports import registry
from tilth.runtime.members import require_checked
from tilth.runtime.record import versions
from tilth.runtime.record.snapshots import manifest_of
from tilth.runtime.record.versions import Version
from tilth.runtime.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

    from tilth.ml.forecasting.predicting import ForecastPredictor
    from tilth.ml.model.joint import JointPredictor
    from tilth.ml.model.predictor import Predictor


def version_of(
    work: Workspace, model: str, version: int, threads: int | None = None
) -> Predictor | JointPredictor:
    """As `any_version_of`, of a model that predicts row by row; UnsupportedError for one that forecasts."""
    from tilth.ml.forecasting.predicting import ForecastPredictor

    found = any_version_of(work, model, version, threads)
    if isinstance(found, ForecastPredictor):
        raise UnsupportedError(
            f"The model `{model}` forecasts, and this is of models that predict row by row.",
            hint=f"Write SELECT m.* FROM dataset t JOIN {model} m WHERE t.{found.signature.time} > LATEST; DESCRIBE {model} says what is known of it.",
        )
    return found


def any_version_of(
    work: Workspace, model: str, version: int, threads: int | None = None
) -> Predictor | JointPredictor | ForecastPredictor:
    """The version, verified and loaded; TamperError when its bundle is not the one that was sealed for it."""
    from tilth.ml.forecasting import predicting
    from tilth.ml.model import joint

    found = verified(work, versions.require(work.state, model, version))
    try:
        require_checked(work, found)
        if predicting.is_one(found.files):
            return predicting.load(found.files, version, found.digest, threads, model)
        return joint.load(
            found.files,
            lambda name: registry.load("tilth.scorers", name),
            version,
            found.digest,
            threads,
            model,
        )
    except UnknownNameError as error:  # no package that is installed has its format
        raise MissingExtraError(
            f"Version {version} of model `{model}` cannot be loaded: {error.message}",
            hint="Install the package that it was made with; to go on without it, declare the model under another name.",
        ) from error
    except (TilthError, MemoryError):
        raise
    except Exception as error:  # of a format, which may be a stranger's
        raise TamperError(
            f"Version {version} of model `{model}` does not load: {type(error).__name__}: {error}.",
            hint="Look whether the package of its format is the one that it was made with, or train the model again.",
        ) from error


def newer(work: Workspace, model: ForecastPredictor, snapshot: str | None) -> pa.Table | None:
    """The rows of a snapshot that came after the series that a forecast was trained on ended; None where there are none.

    With the columns that the forecast takes. DataError where one is not there any more.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    trained = versions.require(work.state, model.name, model.version).snapshot
    end = model.forecaster.ends
    if snapshot is None or snapshot == trained or end is None:
        return None
    manifest = manifest_of(work.state, snapshot)
    names = [i.name for i in model.inputs if manifest.schema.find(i.name) is not None]
    lacking = [i.name for i in model.inputs if i.name not in names and i.name not in model.signature.static]
    if lacking:
        raise DataError(
            f"Dataset `{manifest.dataset}` has no column `{lacking[0]}`, which version {model.version} of `{model.name}` takes.",
            hint="Keep it in the dataset's query, or train the model again.",
        )
    found, time = [], model.signature.time
    for part in manifest.parts:
        table = file_rows(work.blobs.path(part.blob), names)
        table = columns.timed(table, time)
        when = pc.cast(table.column(time), pa.timestamp("us"), safe=False)
        found.append(table.filter(pc.greater(when, pa.scalar(end, pa.timestamp("us")))))
    rows = pa.concat_tables(found) if found else None
    return rows if rows is not None and rows.num_rows else None


def verified(work: Workspace, one: Version) -> Verified:
    """The bundle of a version: its bytes, found to be what was signed for exactly this one."""
    if one.removed_at is not None:
        raise UnknownNameError(
            f"The bundle of version {one.version} of `{one.model}` was removed on {one.removed_at:%Y-%m-%d}, by `gc` or by age.",
            hint="Its row and its gate stay in tilth.versions and tilth.gates; RETRAIN the model to make another.",
        )
    subject = Subject(one.origin or one.model, one.version, one.recipe, one.snapshot)
    return verify(Path(work.bundles.path(one.digest)), subject, work.keys, one.digest)
