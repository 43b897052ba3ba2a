"""Checks that what is recorded is what tilth wrote, from the state's pages and audit chain down to every byte of content.

`check` looks at everything and tells all that is wrong at once, each with its next step; the reconciler's `scrubbing` looks
at the same content a slice at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from tilth.core.errors import DamagedError, StateChangedError, TilthError
from tilth.core.sizes import show_size
from tilth.core.time import Instant
from tilth.ml.data.identity import ID_BYTES
from tilth.plan.snapshot import Pointer
from tilth.ports.progress import Progress, Silent
from tilth.runtime.loading import verified
from tilth.runtime.record import (
    audit,
    endpoints,
    environments,
    forgets,
    names,
    refreshes,
    snapshots,
    versions,
)
from tilth.runtime.record.versions import Version
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import Kind

T = TypeVar("T")
BLOB, BUNDLE = "blob", "bundle"
RESTORE = "Put it back from a backup, or run: tilth restore FILE"


@dataclass(frozen=True, slots=True)
class Checked:
    """How much was checked and found whole. `behind`: rows of the audit chain that its signed head has not yet."""

    audit_rows: int = 0
    pointers: int = 0
    bundles: int = 0
    blobs: int = 0
    bytes: int = 0
    behind: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """A file or bundle that the state names."""

    kind: str
    digest: str
    owner: str  # what it belongs to, in words
    mend: str  # what to do when it is not whole
    bytes: int
    since: Instant  # when it was made
    version: Version | None = None


NOTHING: tuple[Item, ...] = ()
NOWHERE: tuple[int, tuple[Pointer, ...]] = 0, ()


def check(work: Workspace, progress: Progress | None = None, *, quick: bool = False) -> Checked:
    """All that holds; the error of what does not, with one line for each when it is more than one.

    `quick` looks at the state, and whether all files are there and as long as they should be, without reading them.
    """
    found: list[TilthError] = []
    tell = progress or Silent()
    tell.step("verify", None, "the state")
    found += [
        StateChangedError(f"The state's pages are damaged: {flaw}.", hint=RESTORE)
        for flaw in work.state.flaws(quick=quick)[:5]
    ]
    rows = _try(work.state.verify_audit, found, 0)
    behind = _try(work.state.verify_head, found, 0)
    pointers = _try(lambda: _pointers(work, found), found, 0)
    _try(partial(_renamed, work, found), found, None)
    items = _try(partial(content, work), found, NOTHING)
    _try(partial(_named_by_content, work, found), found, None)
    sizes = dict(work.blobs.digests()) if quick else {}
    total, done = sum(i.bytes for i in items) or 1, 0
    for item in items:
        tell.step("verify", done / total, f"{show_size(done)} of {show_size(total)}")
        error = present(work, item, sizes) if quick else examine(work, item)
        if error is not None:
            found.append(error)
        done += item.bytes
    if not quick:
        tell.step("verify", None, "predictions")
        found += work.log.damaged()
    if found:
        raise _all(found)
    kinds = [i.kind for i in items]
    return Checked(
        rows, pointers, kinds.count(BUNDLE), kinds.count(BLOB), sum(i.bytes for i in items), behind
    )


def content(work: Workspace) -> tuple[Item, ...]:
    """Everything that the state names and that is kept in files, each once."""
    found: dict[str, Item] = {}
    for item in (*_snapshots(work), *_quarantined(work), *_versions(work)):
        found.setdefault(item.digest, item)
    return tuple(found.values())


def examine(work: Workspace, item: Item) -> TilthError | None:
    """What is wrong with it; every byte is looked at."""
    try:
        if item.version is None:
            work.blobs.verified(item.digest)
        else:
            verified(work, item.version)
    except TilthError as error:
        return _named(item, error)
    return None


def present(work: Workspace, item: Item, sizes: dict[str, int]) -> TilthError | None:
    """What is wrong with it, as far as its being there and its length tell."""
    if item.version is not None:
        try:
            work.bundles.path(item.digest)
        except TilthError as error:
            return _named(item, error)
        return None
    have = sizes.get(item.digest)
    if have == item.bytes:
        return None
    what = "is missing" if have is None else f"is {have:,} bytes long and should be {item.bytes:,}"
    return _named(item, DamagedError(f"Blob {item.digest[:12]} {what}."))


def _named(item: Item, error: TilthError) -> TilthError:
    """The error with what it belongs to, and what to do."""
    return type(error)(f"{item.owner}: {error.message}", hint=item.mend, detail=error.detail)


def _snapshots(work: Workspace) -> Iterator[Item]:
    for kept in snapshots.all_of(work.state):
        manifest = kept.manifest
        mend = f'Run: tilth sql "REFRESH DATASET {manifest.dataset}"   or: tilth restore FILE'
        for part in manifest.parts:
            owner = f"dataset {manifest.dataset}, snapshot {kept.id[:12]}"
            at = kept.created_at
            yield Item(BLOB, part.blob, owner, mend, part.bytes, at)
            if part.ids is not None:
                yield Item(BLOB, part.ids, owner, mend, ID_BYTES * part.rows, at)


def _quarantined(work: Workspace) -> Iterator[Item]:
    for held in refreshes.quarantine(work.state):
        owner = f"rows of dataset {held.dataset} in quarantine"
        yield Item(BLOB, held.blob, owner, RESTORE, held.bytes, held.at)


def _versions(work: Workspace) -> Iterator[Item]:
    sizes = dict(work.bundles.digests())
    for one in versions.all_of(work.state):
        if one.status == "removed" or one.removed_at is not None:
            continue
        mend = f'Run: tilth restore FILE   or: tilth sql "RETRAIN MODEL {one.model}"'
        owner = f"model {one.model}, version {one.version}"
        yield Item(BUNDLE, one.digest, owner, mend, sizes.get(one.digest, 0), one.created_at, one)


def _pointers(work: Workspace, found: list[TilthError]) -> int:
    """How many pointers all environments have; what is wrong with one of them is added to what was found."""
    count = 0
    for name in environments.names(work.state):
        number, pointers = _try(partial(environments.pointers_of, work.state, name), found, NOWHERE)
        if number:
            _try(partial(_audited, work, name, number), found, None)
        count += len(pointers)
        found += [
            StateChangedError(
                f"`{name}` points at {p.kind.value} {p.name} {p.target}, which is not recorded.", hint=RESTORE
            )
            for p in pointers
            if p.target is not None and not _exists(work, name, p.kind, p.name, p.target)
        ]
    return count


def _renamed(work: Workspace, found: list[TilthError]) -> None:
    """Each name that leads to the history of another is one that somebody gave it."""
    given = audit.renamed(work.state)
    found += [
        StateChangedError(
            f"The name {name} of a {kind.value} leads to the history of {origin}, which nobody gave it.",
            hint=RESTORE,
        )
        for (kind, name), origin in names.origins(work.state).taken
        if (kind.value, name, origin) not in given
    ]


def _named_by_content(work: Workspace, found: list[TilthError]) -> None:
    """Each snapshot's id is that of what its manifest says, or its content what FORGET left of it."""
    thinned = forgets.contents(work.state)
    found += [
        StateChangedError(
            f"Snapshot {kept.id[:12]} of dataset {kept.dataset} is not what was published: the state file was edited.",
            hint=RESTORE,
        )
        for kept in snapshots.all_of(work.state)
        if kept.manifest.content != thinned.get(kept.id, kept.id)
        or kept.manifest.id != kept.id
        or kept.manifest.rows != kept.rows
    ]


def _exists(work: Workspace, environment: str, kind: Kind, name: str, target: str) -> bool:
    if kind is Kind.DATASET:
        return snapshots.get(work.state, target) is not None
    if kind is Kind.MODEL:
        return versions.get(work.state, name, int(target)) is not None
    if kind is Kind.ENDPOINT:
        return endpoints.get(work.state, environment, name, int(target)) is not None
    return True


def _audited(work: Workspace, environment: str, number: int) -> None:
    """The current generation is the one that the audit chain recorded last: its digest cannot be made to fit by hand."""
    have = environments.generation(work.state, environment, number)
    if have is None or audit.published(work.state, environment) != (number, have.digest):
        raise StateChangedError(
            f"Generation {number} of `{environment}` is not the one that the audit chain recorded: the state file was edited.",
            hint=f"Run ROLLBACK ENVIRONMENT {environment}, or: tilth restore FILE",
        )


def _try(look: Callable[[], T], found: list[TilthError], otherwise: T) -> T:
    """What the look gives; when it fails, its error is kept and the next look is taken."""
    try:
        return look()
    except TilthError as error:
        found.append(error)
        return otherwise


def _all(found: list[TilthError]) -> TilthError:
    """One error for all; its kind is the first one's."""
    if len(found) == 1:
        return found[0]
    lines = tuple(f"{e.message} {e.hint or ''}".strip() for e in found)
    return type(found[0])(
        f"{len(found)} things are not what tilth wrote.",
        hint="Each line says what to do. `tilth restore FILE` puts everything back from a backup.",
        detail=lines,
    )
