"""What a loss of power may leave of a recorded sequence of changes: every legal state, made anew in a folder of its own.

A change of a folder's entries (make, rename, link, remove) is certain once that folder was synced after it, bytes once
their file was; until then each may be kept or lost, independent of all others, and bytes may be there by half.
"""

import itertools
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

MOST = 48  # states of one prefix: all of them where there are fewer, else so many drawn at random


@dataclass(frozen=True)
class Op:
    what: str  # make_folder, make, write, rename, link, remove, sync, done
    path: str
    other: str = ""
    data: bytes = b""


@dataclass
class Recorder:
    """Given to `durable.watch`; what it finds changed without having been told of it counts as not synced."""

    root: Path
    ops: list[Op] = field(default_factory=list)
    known: set[str] = field(default_factory=set)

    def __call__(self, what: str, path: str, other: str = "") -> None:
        name = self._name(path)
        if what in ("sync", "write"):
            self._notice(path)
        if what in ("rename", "link"):
            assert name in self.known, f"{path} was given its name before it was synced"
        if what == "make":
            if name not in self.known:
                self._made(path)
            return
        if what == "write":
            self.ops.append(Op("write", name, data=Path(path).read_bytes()))
            return
        if what in ("rename", "link"):
            goal = self._name(other)
            if what == "rename":
                moved = {n for n in self.known if n == name or n.startswith(name + "/")}
                self.known = (self.known - moved) | {goal + n[len(name) :] for n in moved}
            else:
                self.known.add(goal)
            self.ops.append(Op(what, name, goal))
            return
        if what == "remove":
            self.known.discard(name)
        self.ops.append(Op(what, name))

    def done(self, what: str) -> None:
        """What was asked for has returned: from now on it must be there."""
        self.ops.append(Op("done", what))

    def _name(self, path: str) -> str:
        return os.path.relpath(path, self.root)

    def _notice(self, path: str) -> None:
        """Note what is at the path, around it and in it as made, where nobody told."""
        inside = (
            [os.path.join(at, n) for at, d, f in os.walk(path) for n in (*d, *f)]
            if os.path.isdir(path)
            else []
        )
        around = [str(p) for p in Path(path).parents if p.is_relative_to(self.root)]
        for one in (*reversed(around), path, *inside):
            if self._name(one) not in self.known:
                self._made(one)

    def _made(self, path: str) -> None:
        name = self._name(path)
        self.known.add(name)
        folder = os.path.isdir(path)
        if name != ".":
            self.ops.append(Op("make_folder" if folder else "make", name))
        if not folder and os.path.getsize(path):
            self.ops.append(Op("write", name, data=Path(path).read_bytes()))


def states(ops: list[Op], folder: Path, seed: int = 1) -> Iterator[tuple[Path, set[str]]]:
    """Each state that a crash may leave, and what had returned before it. The folder is made anew for each."""
    chance = random.Random(seed)
    for end in range(len(ops) + 1):
        prefix = ops[:end]
        returned = {o.path for o in prefix if o.what == "done"}
        open_ends = [
            i for i, o in enumerate(prefix) if o.what not in ("sync", "done") and not _certain(prefix, i)
        ]
        for fates in _fates(open_ends, prefix, chance):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            _replay(prefix, fates, folder)
            yield folder, returned


def _fates(open_ends: list[int], prefix: list[Op], chance: random.Random) -> Iterator[dict[int, str]]:
    choices = [("kept", "lost", "half") if prefix[i].what == "write" else ("kept", "lost") for i in open_ends]
    count = 1
    for c in choices:
        count *= len(c)
    if count <= MOST:
        for combined in itertools.product(*choices):
            yield dict(zip(open_ends, combined, strict=True))
        return
    yield dict.fromkeys(open_ends, "kept")
    yield dict.fromkeys(open_ends, "lost")
    for _ in range(MOST - 2):
        yield {i: chance.choice(c) for i, c in zip(open_ends, choices, strict=True)}


def _certain(prefix: list[Op], index: int) -> bool:
    """Whether a later sync of its folder (or, for bytes, of the file under any name it had) made it certain."""
    op = prefix[index]
    name = op.path if op.what == "write" else (op.other or op.path)
    for later in prefix[index + 1 :]:
        if later.what == "rename" and (name == later.path or name.startswith(later.path + "/")):
            name = later.other + name[len(later.path) :]
        if later.what == "sync" and later.path == (
            name if op.what == "write" else os.path.dirname(name) or "."
        ):
            return True
    return False


def _replay(prefix: list[Op], fates: dict[int, str], root: Path) -> None:
    for index, op in enumerate(prefix):
        fate, path = fates.get(index, "kept"), root / op.path
        if fate == "lost" or op.what in ("sync", "done"):
            continue
        try:
            if op.what == "make_folder":
                path.mkdir(mode=0o700)
            elif op.what == "make":
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            elif op.what == "write":
                with open(path, "r+b") as file:
                    file.write(op.data if fate == "kept" else op.data[: len(op.data) // 2])
            elif op.what == "rename":
                os.replace(path, root / op.other)
            elif op.what == "link":
                os.link(path, root / op.other)
            elif op.what == "remove":
                path.unlink()
        except (FileNotFoundError, FileExistsError):
            continue  # what it builds upon was lost
