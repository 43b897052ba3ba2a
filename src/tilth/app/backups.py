"""Backups put together: the archive's file, the project's folder and what the runtime says belongs into it.

Beside `app`, which opens projects: this is the other place that names adapters. `tilth backup` and `tilth restore` are
these functions, and so are they in Python.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from tilth import __version__
from tilth.adapters.files import archive, durable, own
from tilth.adapters.files.keys import PRIVATE, PUBLIC, LocalKeys, PublicKey
from tilth.adapters.files.locks import FileLocks
from tilth.adapters.state.sqlite.state import SqliteState
from tilth.app.project import Project
from tilth.core.errors import BusyError, ProjectError, StateChangedError, StorageError, TilthError
from tilth.core.sizes import show_size
from tilth.core.time import show_instant
from tilth.ports.progress import Progress, Silent
from tilth.runtime.applying.executor import MAKING
from tilth.runtime.serving.node import SERVED
from tilth.runtime.showing import backups

if TYPE_CHECKING:
    from tilth.ports.clock import Clock
    from tilth.ports.state import State
    from tilth.runtime.workspace import Workspace


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What a backup holds."""

    file: str
    bytes: int  # of the file
    audit_rows: int
    blobs: int
    bundles: int
    predictions: int  # files of the log
    keys: bool  # whether the private key is in it


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put in place."""

    file: str
    made_at: str
    audit_rows: int
    blobs: int
    bundles: int
    aside: str | None  # where the folder that was there before is now
    can_sign: bool


def backup(
    project: Project, path: str, *, with_keys: bool = False, progress: Progress | None = None
) -> BackedUp:
    """Everything of the project as it is at one instant in one new file, read back and found whole.

    Others go on serving, asking and applying meanwhile; only gc waits.
    """
    if not project.applied:
        raise ProjectError(
            f"There is nothing to keep in {project.root} yet.", hint="Run `tilth apply` first."
        )
    if os.path.lexists(path):
        raise StorageError(f"{path} is there already.", hint="Name a file that does not exist yet.")
    work = project.work()
    tell = progress or Silent()
    with work.locks.hold(MAKING, shared=True):
        folder = work.blobs.scratch()
        try:
            entries, facts = _gathered(project, work, folder, with_keys=with_keys)
            count = _Counted(tell, f"back up to {os.path.basename(path)}", entries)
            listing = archive.write(path, entries, facts, count)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    names = list(listing.files)
    return BackedUp(
        path,
        os.path.getsize(path),
        int(str(facts["audit_rows"])),
        sum(n.startswith("blobs/") for n in names),
        len({n.rpartition("/")[0] for n in names if n.startswith("bundles/")}),
        sum(n.startswith("predictions/") for n in names),
        with_keys,
    )


def _gathered(
    project: Project, work: Workspace, folder: str, *, with_keys: bool
) -> tuple[list[archive.Entry], dict[str, object]]:
    """The entries and the facts. The head is taken before the state, so it is never ahead of it."""
    entries: list[archive.Entry] = []
    head, state = os.path.join(project.home, "head.json"), os.path.join(folder, "state.db")
    if os.path.exists(head):
        shutil.copyfile(head, os.path.join(folder, "head.json"))
        entries.append(archive.Entry("head.json", os.path.join(folder, "head.json")))
    work.state.backup(state)
    copied = SqliteState(state)
    try:
        _whole(copied)
        then = replace(work, state=copied)
        facts = backups.facts(then, project.settings.name, __version__)
        kept = [archive.Entry(*one) for one in backups.content(then)]
    finally:
        copied.close()
    entries.append(archive.Entry("state.db", state))
    keys = os.path.join(project.home, "keys")
    with open(os.path.join(keys, PUBLIC), encoding="ascii") as file:
        facts["public_key"] = file.read()
    if with_keys:
        work.keys.ready()
        entries += [archive.Entry(f"keys/{n}", os.path.join(keys, n)) for n in (PRIVATE, PUBLIC)]
    for error in work.log.damaged():
        raise error
    log = os.path.join(project.home, "predictions")
    for number, (name, path, size, digest) in enumerate(backups.predictions(log)):
        held = os.path.join(folder, f"predictions-{number}")
        with suppress(
            FileNotFoundError
        ):  # a segment that became Parquet just now is listed as that, or next time
            os.link(path, held)  # it stays whole here whatever becomes of it there
            entries.append(archive.Entry(name, held, size, digest))
    return [*entries, *kept], facts


def restore(
    root: str, path: str, *, force: bool = False, progress: Progress | None = None, clock: Clock | None = None
) -> Restored:
    """Put a backup in the place of the folder's `.tilth`, after all of it was found whole.

    A `.tilth` that holds something is refused; with `force` it is moved aside and stays. End a server that runs first.
    """
    if not root:
        raise ProjectError("No folder is named.", hint="Name the project's folder; `.` is this one.")
    root = os.path.abspath(root)
    if not os.path.isdir(root):
        raise StorageError(f"There is no folder {root}.", hint="Make it, or give another with --project.")
    home = os.path.join(root, ".tilth")
    occupied = own.check(home, folder=True) and bool(os.listdir(home))
    if occupied and not force:
        raise ProjectError(
            f"{home} holds a state already: it is not overwritten.",
            hint="With --force it is moved aside (and kept), and the backup takes its place.",
        )
    with _alone(home) if occupied else nullcontext():
        return _restored(root, home, path, progress or Silent(), clock, occupied=occupied)


@contextmanager
def _alone(home: str) -> Iterator[None]:
    """While nobody serves the folder or makes content in it: a server would go on with what is moved aside."""
    locks = FileLocks(home)
    with ExitStack() as held:
        try:
            held.enter_context(locks.hold(SERVED))
        except BusyError as error:
            raise BusyError(
                "A server of this project is running: what it logs would be lost with the folder that is moved aside.",
                hint="End `tilth up`, then run the command again; nothing was changed.",
            ) from error
        held.enter_context(locks.hold(MAKING))
        yield


def _restored(
    root: str, home: str, path: str, tell: Progress, clock: Clock | None, *, occupied: bool
) -> Restored:
    listing = archive.read_listing(path)
    try:
        fresh = tempfile.mkdtemp(prefix=".tilth.restoring-", dir=root)
    except OSError as error:
        raise durable.refused(f"{home} cannot be made", root, error) from error
    project = Project(root, clock, home=fresh)
    try:
        archive.unpack(path, fresh, _Counted(tell, "unpack", (), listing.bytes))
        _give_keys(fresh, str(listing.facts.get("public_key") or ""), home if occupied else None)
        checked = project.verify(tell)
        can_sign = _can_sign(project)
        at = show_instant(project.clock.now())
        said: dict[str, object] = {"made_at": listing.facts.get("made_at"), "audit_rows": checked.audit_rows}
        backups.recorded(project.state(), project.by, "restore", at, said)
        project.close()
        aside = _placed(fresh, home, at, occupied=occupied)
    except BaseException:
        project.close()
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    made_at = str(listing.facts.get("made_at"))
    return Restored(path, made_at, checked.audit_rows, checked.blobs, checked.bundles, aside, can_sign)


def _give_keys(fresh: str, public: str, old: str | None) -> None:
    """The public key always; the private one of the folder that is moved aside, when it is the same pair."""
    keys = os.path.join(fresh, "keys")
    durable.make_folder(keys)
    if public and not os.path.exists(os.path.join(keys, PUBLIC)):
        durable.write_once(os.path.join(keys, PUBLIC), public.encode(), 0o644)
    if old is None or os.path.exists(os.path.join(keys, PRIVATE)):
        return
    with suppress(TilthError, OSError):
        pair = LocalKeys(os.path.join(old, "keys"), [old])
        pair.ready()
        if pair.key_id == PublicKey.read(keys).key_id:
            with open(os.path.join(old, "keys", PRIVATE), "rb") as file:
                durable.write_once(os.path.join(keys, PRIVATE), file.read())


def _can_sign(project: Project) -> bool:
    try:
        project.work().keys.ready()
    except StorageError:
        return False
    return True


def _placed(fresh: str, home: str, at: str, *, occupied: bool) -> str | None:
    """Give the folder its place; where the one before it is now."""
    aside = f"{home}.before-{at[:19].replace(':', '')}-{os.path.basename(fresh)[-4:]}" if occupied else None
    try:
        if aside is not None:
            durable.rename(home, aside, settle=False)
        elif os.path.isdir(home):
            os.rmdir(home)
        durable.rename(fresh, home)
    except OSError as error:
        raise durable.refused(f"{home} cannot be put in place", os.path.dirname(home), error) from error
    return aside


def new_head(project: Project) -> int:
    """Sign the state as it is, after its pages and its audit chain were found whole; the chain's length."""
    if not project.applied:
        raise ProjectError("There is no state to sign.", hint="Run `tilth apply` first.")
    state = project.state(trusted=True)
    _whole(state)
    state.verify_audit()
    project.work().keys.ready()
    length = state.new_head()
    backups.recorded(state, project.by, "head", show_instant(project.clock.now()), {"audit_rows": length})
    return length + 1


def _whole(state: State) -> None:
    if flaws := state.flaws():
        raise StateChangedError(f"The state's pages are damaged: {flaws[0]}.", hint="Run: tilth restore FILE")


class _Counted:
    """Bytes done, told as a share. Each is read to be hashed, written, and read back."""

    def __init__(
        self,
        progress: Progress,
        what: str,
        entries: list[archive.Entry] | tuple[()],
        total: int | None = None,
    ) -> None:
        sizes = (e.size if e.size is not None else os.path.getsize(e.path) for e in entries)
        self._total = max(1, 3 * sum(sizes) if total is None else total)
        self._progress, self._what, self._done = progress, what, 0

    def __call__(self, count: int) -> None:
        self._done += count
        self._progress.step(self._what, min(1.0, self._done / self._total), show_size(self._total))


def facts(found: BackedUp | Restored) -> dict[str, object]:
    """As plain values."""
    return asdict(found)
