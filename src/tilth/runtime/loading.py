"""How every part gets a model: verified, tried in a jail at least once (`members`), and loaded from the bytes that were verified."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tilth.core.errors import MissingExtraError, TamperError, TilthError, UnknownNameError
from tilth.ml.bundles.provenance import Subject
from tilth.ml.bundles.signing import Verified, verify
from tilth.ports import registry
from tilth.runtime.members import require_checked
from tilth.runtime.record import versions
from tilth.runtime.record.versions import Version
from tilth.runtime.workspace import Workspace

if TYPE_CHECKING:
    from tilth.ml.model.joint import JointPredictor
    from tilth.ml.model.predictor import Predictor


def version_of(
    work: Workspace, model: str, version: int, threads: int | None = None
) -> Predictor | JointPredictor:
    """The version, verified and loaded; TamperError when its bundle is not the one that was sealed for it."""
    from tilth.ml.model import joint

    found = verified(work, versions.require(work.state, model, version))
    try:
        require_checked(work, found)
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


def verified(work: Workspace, one: Version) -> Verified:
    """The bundle of a version: its bytes, found to be what was signed for exactly this one."""
    if one.removed_at is not None:
        raise UnknownNameError(
            f"The bundle of version {one.version} of `{one.model}` was removed on {one.removed_at:%Y-%m-%d}, by `gc` or by age.",
            hint="Its row and its gate stay in tilth.versions and tilth.gates; RETRAIN the model to make another.",
        )
    subject = Subject(one.origin or one.model, one.version, one.recipe, one.snapshot)
    return verify(Path(work.bundles.path(one.digest)), subject, work.keys, one.digest)
