"""Whether a bundle's files may be loaded where the key is: only after a jailed process has loaded them and scored rows.

A fresh bundle is tried before it is signed, and the signed statement says by which check; so nothing is tried again when
it is served. A bundle that was signed before there was this check, by another key, or by an older check, is tried once
when it is first loaded; the audit chain remembers it. What trying is, is in `ml.bundles.trial`.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tilth.core.errors import (
    BusyError,
    ResourceLimitError,
    StorageError,
    TamperError,
    TrainingError,
)
from tilth.core.principals import job
from tilth.core.time import show_instant
from tilth.ml.bundles.trial import HINT
from tilth.ports import registry
from tilth.ports.jobs import Job
from tilth.ports.progress import Silent
from tilth.runtime.record import audit

if TYPE_CHECKING:
    from tilth.ml.bundles.signing import Verified
    from tilth.runtime.workspace import Workspace

CHECKER = 1  # raised when the check looks at more; what passed an older one is tried again
CALIBRATION = "calibration.json"  # of a model of several targets one for each, with its place before
FORECAST, TREES = "forecast.json", "lightgbm"  # of a forecast, and the format of its trees
SECONDS = 60.0
MEMORY = 1 << 30  # and ten times the size of the files
BY = job("check")


def check(work: Workspace, folder: str, listed: Mapping[str, str]) -> dict[str, object]:
    """Try a bundle's files in a jail. What a statement says of it; TamperError says what is wrong with them.

    `listed` are the files of the folder that are tried, with the sha256 of each; those of what was tried are under
    `files`: what was tried is what may be signed or loaded.
    """
    paths = {name: os.path.join(folder, name) for name in listed}
    size = sum(os.lstat(path).st_size for path in paths.values())
    job = Job("check", {"scorers": _scorers(folder)}, listed, MEMORY + 10 * size, SECONDS, leaves=False)
    try:
        said = work.jobs.run(job, Silent(), {listed[name]: path for name, path in paths.items()}).facts
    except ResourceLimitError as error:
        raise TamperError(
            f"The model's files cannot be tried: {error.message}",
            hint=f"They must load and answer within {SECONDS:g} s. {HINT}",
        ) from error
    except TrainingError as error:
        raise TamperError(
            f"The model's files cannot be loaded: {error.message}", hint=HINT, detail=error.detail
        ) from error
    return {"by": "tilth", "checker": CHECKER, "rows": said["rows"], "files": said["files"]}


def require_checked(work: Workspace, found: Verified) -> None:
    """Return when the verified bundle may be loaded here; it is tried now if nobody of ours has done it."""
    if found.statement.checker >= CHECKER and found.key_id == work.keys.key_id:
        return
    if _remembered(work, found.digest):
        return
    listed = dict(found.statement.files)
    if check(work, work.bundles.path(found.digest), listed)["files"] != listed:
        raise TamperError("The bundle's files changed while they were tried.", hint="Run `tilth verify`.")
    with (
        contextlib.suppress(StorageError, BusyError),  # then it is tried again next time
        work.state.change(BY, show_instant(work.clock.now())) as change,
    ):
        change.audit("check", found.digest, {"checker": CHECKER})


def _remembered(work: Workspace, digest: str) -> bool:
    return audit.checked(work.state, digest) >= CHECKER


def _read(path: str) -> Any:
    with open(path, "rb") as file:
        return json.loads(file.read(1 << 20))


def _scorers(folder: str) -> list[str]:
    """The formats of the members, which say what the jailed process loads beforehand."""
    if os.path.exists(os.path.join(folder, FORECAST)):
        return [TREES]
    try:
        named = [n for n in sorted(os.listdir(folder)) if n == CALIBRATION or n.endswith(f".{CALIBRATION}")]
        kept = [_read(os.path.join(folder, name)) for name in named]
        found = [m["scorer"] for k in kept for m in k.get("members", (k,))]
        unknown = next((n for n in found if n not in registry.names("tilth.scorers")), None)
        if not found or unknown is not None:
            raise ValueError(f"no model format is called {str(unknown)[:40]!r}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise TamperError(f"The bundle does not say what it is: {error}.", hint=HINT) from error
    return list(dict.fromkeys(map(str, found)))
