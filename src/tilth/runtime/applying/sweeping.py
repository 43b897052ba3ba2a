"""Deletes files of content that no row of the state names any more."""

from __future__ import annotations

from tilth.runtime.record import environments, refreshes, releases, schedules, snapshots, versions
from tilth.runtime.workspace import Workspace


def sweep(work: Workspace) -> tuple[int, int]:
    """Delete every file that no row names any more; how many, and their bytes."""
    blobs = {
        blob for one in snapshots.all_of(work.state) for part in one.manifest.parts for blob in part.blobs
    }
    blobs |= {q.blob for q in refreshes.quarantine(work.state)}
    blobs |= {r.blob for r in releases.all_of(work.state)}
    blobs |= schedules.blobs(work.state, environments.names(work.state))
    bundles = {v.digest for v in versions.all_of(work.state) if v.removed_at is None}
    files = freed = 0
    for digest, _ in tuple(work.blobs.digests()):
        if digest not in blobs:
            files, freed = files + 1, freed + work.blobs.delete(digest)
    for digest, _ in tuple(work.bundles.digests()):
        if digest not in bundles:
            files, freed = files + 1, freed + work.bundles.delete(digest)
    freed += work.blobs.tidy() + work.bundles.tidy()
    return files, freed
