"""What a training begins with: a version that serves, whose members are gone on from and not fitted anew.

Such a version has seen the labels of its rows, so only rows that it never saw tell anything of what comes of it: those judge,
and those say how far to go. Each is answered by members that were told of other new rows only. Where the version lacks what
is needed, or too few rows are new, the training is a full one, and says why. Neighbours: `resuming` goes on from members,
`retraining` chooses the way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tilth.core.errors import InputError
from tilth.ml.judging import split
from tilth.ml.learning import texts
from tilth.ml.learning.dealing import MOST_ANSWERS, MOST_ASKED, Files
from tilth.ml.learning.named import SEEN, SEEN_IDS, START
from tilth.ml.learning.rows import Rows, inputs
from tilth.ml.model.ensemble import members_in
from tilth.ml.model.preparation import Preparation
from tilth.ml.model.signature import Signature
from tilth.ml.model.spec import TrainingSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]

NEEDED = ("prepare.json", "signature.json", "calibration.json", "metrics.json")
FEW = 500  # new rows, below which nothing can be told of them
MOSTLY = 0.5  # of the rows that it learned from must still be there
UNKNOWN = 0.02  # of the new rows may have a category that it does not know


class NoStartError(Exception):
    """Why a version is not gone on from, in words."""


def _none() -> Mask:
    import numpy as np

    return np.empty(0, np.bool_)


@dataclass(frozen=True, slots=True)
class Kept:
    """A member as the version has it."""

    name: str
    engine: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Start:
    """A version that is gone on from; `fresh` are the rows that it never saw, among those of the training in their order."""

    version: int
    digest: str
    members: tuple[Kept, ...]
    preparation: Preparation
    signature: Signature
    metric: str
    turns: int  # how often it was gone on from since a full training
    way: str = ""
    fresh: Mask = field(default_factory=_none)

    def member(self, name: str) -> Kept | None:
        """Its member of that name."""
        return next((m for m in self.members if m.name == name), None)

    @property
    def judged_from(self) -> int:
        """How many rows it never saw."""
        return int(self.fresh.sum())


def read(spec: TrainingSpec, files: Mapping[str, str]) -> Start:
    """The version of the job's inputs. NoStartError where there is none, with what the spec says of it."""
    if not spec.start_version:
        raise NoStartError(spec.no_start)
    kept = {name.removeprefix(START): path for name, path in files.items() if name.startswith(START)}
    said = {name: _json(kept[name]) for name in NEEDED}
    calibration, metrics = said["calibration.json"], said["metrics.json"]
    if any(m.get("texts") for m in members_in(calibration)):
        raise NoStartError("it has a member that learned the terms of texts, which are weighed anew")
    served = [(str(m["name"]), str(m["engine"])) for m in metrics["members"] if m["weight"]]
    by_stem = {name.replace(".", "_"): (name, engine) for name, engine in served}
    members = []
    for one in members_in(calibration):
        stem = str(one["member"]).rpartition(".")[0]
        found = served[0] if stem == "member" and len(served) == 1 else by_stem.get(stem)
        if found is None:
            continue  # one more fit of a member that is there: the first one is gone on from
        with open(kept[str(one["member"])], "rb") as file:
            members.append(Kept(*found, file.read()))
    return Start(
        spec.start_version, spec.start_digest, tuple(members), Preparation.from_plain(said["prepare.json"]),
        Signature.from_plain(said["signature.json"]), str(metrics["metric"]),
        int(metrics.get("retraining", {}).get("turns", 0)),
    )  # fmt: skip


def _json(path: str) -> Any:
    with open(path, "rb") as file:
        return json.load(file)


def begun(spec: TrainingSpec, data: Rows, start: Start, files: Files, seen: Files) -> tuple[Rows, Start]:
    """The rows as the version reads them, dealt so that new ones judge, and which those are. NoStartError as above."""
    if data.tall is not None:
        raise NoStartError(
            f"of {data.taught:,} rows only some are in memory, and a start is told of new ones alone"
        )
    _same_task(spec, data, start)
    fresh = _fresh(spec, data, files, seen)
    if (count := int(fresh.sum())) < FEW:
        raise NoStartError(
            f"only {count:,} rows are new to it, and {FEW} are needed to judge what comes of it"
        )
    _known_levels(data, start.preparation, fresh)
    try:
        x = start.preparation.matrix(data.table)
    except InputError as error:
        raise NoStartError(f"its inputs are others: {error.message}") from error
    found = texts.of(spec, data.table, start.preparation)
    own = replace(
        data,
        x=x,
        preparation=start.preparation,
        texts=found,
        full=texts.named(x, found),
        **_dealt(spec, data, fresh),
    )
    return own, replace(start, fresh=fresh)


def seen_in(files: Mapping[str, str]) -> Files:
    """The rows that the version learned from, among a job's inputs."""
    numbers = [name.removeprefix(SEEN) for name in sorted(files) if name.startswith(SEEN)]
    return Files([files[SEEN + n] for n in numbers], [files.get(SEEN_IDS + n) for n in numbers])


# --- whether it can be -------------------------------------------------------------------------------------


def _same_task(spec: TrainingSpec, data: Rows, start: Start) -> None:
    kind, classes = data.target.kind, data.target.classes
    if (start.signature.kind, start.signature.classes) != (kind, classes):
        raise NoStartError(f"`{spec.target}` has other classes, or is of another kind, than it learned")
    known = {*start.signature.names, *(name for name, _ in start.preparation.dropped)}
    if others := sorted(set(inputs(spec, data.table.schema.names)) ^ known):
        raise NoStartError(f"its inputs are others: `{'`, `'.join(others[:3])}`")
    if spec.group:
        raise NoStartError("rows of a GROUP KEY are dealt in whole groups, of which it has seen a part")


def _fresh(spec: TrainingSpec, data: Rows, files: Files, seen: Files) -> Mask:
    """Which rows it never saw, by their ids."""
    import numpy as np

    columns = spec.identity or spec.key or sorted(data.table.schema.names)
    known, mine = np.unique(seen.ids_of(columns)), files.ids_of(columns)
    if np.isin(known, mine).mean() < MOSTLY:
        raise NoStartError("most of the rows that it learned from are gone")
    fresh: Mask = ~np.isin(mine[data.places], known)
    return fresh


def _known_levels(data: Rows, preparation: Preparation, fresh: Mask) -> None:
    """A category that came since has no code; where more than a few rows have one, trees would not tell them apart."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from tilth.ml.model.columns import plain_strings

    new = {c.name: c for c in data.preparation.columns}
    for column in preparation.columns:
        if column.kind != "category" or column.name not in new or new[column.name].kind != "category":
            continue
        came = [level for level in new[column.name].levels if level not in set(column.levels)]
        values = plain_strings(data.table.column(column.name))
        rows = np.asarray(pc.is_in(values, value_set=pa.array(came, pa.string())))
        if (
            share := float(rows[fresh].mean()) - float(rows[~fresh].mean() if not fresh.all() else 0.0)
        ) > UNKNOWN:
            raise NoStartError(f"{share:.0%} of the new rows have a `{column.name}` that it does not know")


# --- which rows judge --------------------------------------------------------------------------------------


def _dealt(spec: TrainingSpec, data: Rows, fresh: Mask) -> dict[str, Any]:
    """`part` and `split`: with an event time the newest of what came after its rows judge, else each half of the new rows by
    the other.
    """
    import numpy as np

    rows = len(data.y)
    part = np.full(rows, -1, dtype=np.int8)
    most = min(MOST_ASKED, MOST_ANSWERS // max(1, len(data.target.classes)))
    if data.split.by == split.BY_FOLDS:
        asked = np.flatnonzero(fresh)[-most:]
        classes = data.y[asked] if data.target.kind != "regression" else None
        part[asked] = split.parts(np.arange(len(asked)), classes)
        return {"part": part, "split": data.split}
    first = int(np.flatnonzero(~fresh)[-1]) + 1 if not fresh.all() else 0
    if rows - first < FEW:
        raise NoStartError(
            f"only {rows - first:,} rows are newer than all that it learned from, and {FEW} are needed to judge what comes of it"
        )
    assert spec.event_time is not None, "rows with a window have a time"
    when = split.micros(data.table, spec.event_time)
    cut = split.later(data.split, when, max(data.split.window, first + (rows - first) // 2))
    begin = max(first, cut.window - most)
    part[begin : cut.window] = split.parts(when[begin : cut.window], None)
    return {"part": part, "split": cut}


def chosen(fresh: Mask, teach: Mask, every: bool) -> npt.NDArray[np.intp]:
    """The rows that a member is told of: of those that teach the new ones, with `every` as many of the others, evenly spaced."""
    import numpy as np

    mine = np.flatnonzero(teach & fresh)
    others = np.flatnonzero(teach & ~fresh)
    if not every or not len(others):
        return mine
    spaced = others[np.linspace(0, len(others) - 1, min(len(mine), len(others))).astype(np.intp)]
    return np.sort(np.concatenate([mine, spaced]))
