"""What of a project belongs into a backup, and what a restored one needs before it is put in place.

Files and folders are the adapters' business (`adapters.files.archive`); `tilth.app.project` joins the two.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from tilth.core.principals import Principal
from tilth.core.time import show_instant
from tilth.runtime.record.rows import State
from tilth.runtime.showing import verifying
from tilth.runtime.workspace import Workspace

Kept = tuple[str, str, int | None, str | None]
"""Name in the backup, path, how many of its bytes (None: all), the digest that they must have (None: any)."""


def content(work: Workspace) -> Iterator[Kept]:
    """The files that the state of the workspace names, each bundle after it was verified: what is damaged is in no backup."""
    for item in verifying.content(work):
        place = f"{item.kind}s/{item.digest[:2]}/{item.digest[2:]}"
        if item.version is None:
            yield place, work.blobs.path(item.digest), None, item.digest
            continue
        if (error := verifying.examine(work, item)) is not None:
            raise error
        folder = work.bundles.path(item.digest)
        for name in sorted(os.listdir(folder)):
            yield f"{place}/{name}", os.path.join(folder, name), None, None


def predictions(folder: str) -> Iterator[Kept]:
    """The files of the prediction log; of one that is being written to, what was whole when it was looked at."""
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        path = os.path.join(folder, name)
        if name.endswith(".parquet"):
            yield f"predictions/{name}", path, None, None
        elif name.endswith(".jsonl"):
            yield f"predictions/{name}", path, _whole(path), None


def _whole(path: str) -> int:
    """The length up to the end of the last whole line."""
    with open(path, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - (1 << 16))
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
    return 0


def recorded(state: State, by: Principal, verb: str, at: str, detail: dict[str, object]) -> None:
    """The act in the audit chain; the head is signed anew where there is a key."""
    with state.change(by, at, keyless=True) as change:
        change.audit(verb, "project", detail)


def facts(work: Workspace, name: str, version: str) -> dict[str, object]:
    """What a backup says of itself."""
    return {
        "project": name,
        "tilth": version,
        "made_at": show_instant(work.clock.now()),
        "audit_rows": work.state.verify_audit(),
    }
