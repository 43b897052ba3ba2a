"""No judged answer comes from a model that was tuned on its row: over many datasets, and chains of retrained versions."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tilth.adapters.files.blobs import FileBlobs
from tilth.core.errors import TilthError
from tilth.ml.data import identity, snapshots
from tilth.ml.judging import holdout
from tilth.ml.judging.answers import Kept
from tilth.ml.judging.holdout import Tuned
from tilth.ml.learning.dealing import Files, dealt
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.arrow import schema_of
from tilth.ports.snapshots import Manifest

START = datetime(2024, 1, 1)


@dataclass
class World:
    """A source that grows, is corrected, loses columns and repeats itself, as its seed says."""

    seed: int
    rng: Any = field(init=False)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        flag = self.rng.random(8)
        self.keyed, self.timed, self.repeats, self.ties, self.corrects = flag[:5] < 0.5
        self.drops, self.retypes, self.delayed = flag[5] < 0.3, flag[6] < 0.2, flag[7] < 0.3
        self.grow(int(self.rng.integers(40, 1400)))

    def grow(self, count: int) -> None:
        """New rows, some of them exact copies of older ones."""
        begin = len(self.rows)
        for n in range(begin, begin + count):
            if self.repeats and self.rows and self.rng.random() < 0.2:
                self.rows.append({**self.rows[int(self.rng.integers(len(self.rows)))], "id": n})
                continue
            hours = n // 7 * 7 if self.ties else n
            self.rows.append({
                "id": n, "at": START + timedelta(hours=hours), "x": round(float(self.rng.normal()), 1) + 0.0,
                "place": "abcd"[int(self.rng.integers(4))], "note": f"n{self.rng.integers(60)}",
                "y": bool(self.rng.random() < 0.4),
            })  # fmt: skip

    def correct(self) -> None:
        """Some rows come again with other values; of those with a time, with a later one."""
        last = max(r["at"] for r in self.rows)
        for place in self.rng.integers(0, len(self.rows), 25):
            row = self.rows[int(place)]
            self.rows[int(place)] = {**row, "x": row["x"] + 1, "y": not row["y"], "at": last}

    def turn(self, number: int) -> None:
        """What happens between two trainings."""
        if self.corrects:
            self.correct()
        self.grow(int(self.rng.integers(1, 400)))

    def table(self, number: int) -> pa.Table:
        """What a query returns by then."""
        rows = sorted(self.rows, key=lambda r: (r["at"], r["id"])) if self.timed else self.rows
        table = pa.Table.from_pylist(rows)
        if not self.keyed:
            table = table.drop_columns(["id"])
        if self.drops and number > 1:
            table = table.drop_columns(["note"])
        if self.retypes and number > 1 and self.keyed:
            table = table.set_column(0, "id", table["id"].cast(pa.decimal128(20, 0)))
        return table

    def spec(self, table: pa.Table) -> TrainingSpec:
        """What is to be trained then; `note` is of no use to it."""
        key = ("id",) if self.keyed else ()
        return TrainingSpec(
            "m", ("y",), exclude=("note", "at"), key=key,
            slices=tuple(n for n in ("at", "note") if n in table.schema.names), event_time="at" if self.timed else None,
            label_delay=86_400.0 if self.delayed else 0.0, now=max(r["at"] for r in self.rows).isoformat() + "Z",
            identity=identity.columns_of(key, table.schema.names),
        )  # fmt: skip

    def what(self, rows: pa.Table, names: list[str]) -> list[Any]:
        """Which thing of the world each row tells of: its key, or all that two snapshots both know."""
        if self.keyed:
            return [int(i) for i in rows["id"].to_pylist()]
        return list(zip(*(rows[n].to_pylist() for n in names), strict=True))


@dataclass
class Version:
    tuned: Tuned
    knows: pa.Table


def snapshot(table: pa.Table, spec: TrainingSpec, folder: Path, number: int) -> tuple[Manifest, FileBlobs]:
    """Published as `collect` does it."""
    blobs = FileBlobs(str(folder / "blobs"))
    plain = table.cast(snapshots.plain_schema(table.schema))
    marks = snapshots.Marks(spec.event_time, identity.written(spec.key, spec.event_time, plain.schema.names))
    (folder / "new").mkdir(exist_ok=True)
    written = snapshots.write_parts(plain.to_batches(200), plain.schema, str(folder / "new"), marks)
    parts = tuple(w.put(blobs) for w in written)
    return Manifest("d", f"1:{number}", schema_of(plain.schema), parts), blobs


def train(world: World, number: int, folder: Path) -> tuple[Version, Any]:
    """A version as far as its rows go, and what is needed to judge it."""
    table = world.table(number)
    spec = world.spec(table)
    manifest, blobs = snapshot(table, spec, folder, number)
    files = Files(snapshots.paths(manifest, blobs), [p.ids and blobs.path(p.ids) for p in manifest.parts])
    data = dealt(spec, files)
    told_by = ("at", "id", "place", "x", "y") if spec.key else tuple(sorted(table.schema.names))
    own = np.unique(files.ids_at(data.places[data.judging], told_by))
    kept = Kept(own, np.zeros(len(own)))
    tuned = Tuned(
        number, manifest, data.split.by, data.split.tuned_until, spec.key, spec.event_time, kept=kept,
        since=data.split.since, told_by=told_by,
    )  # fmt: skip
    return Version(tuned, data.table), (spec, manifest, blobs)


def judged(world: World, made: Any, *versions: Version) -> tuple[int, int]:
    """How many rows judge, and how many of them one of the versions knew."""
    spec, manifest, blobs = made
    rows = holdout.rows_of(manifest, blobs, spec, [v.tuned for v in versions])
    if spec.event_time and spec.label_delay:
        due = datetime.fromisoformat(spec.now or "").replace(tzinfo=None) - timedelta(
            seconds=spec.label_delay
        )
        assert all(at <= due for at in rows.table["at"].to_pylist())
    fair = np.ones(len(rows.ids), dtype=bool)
    known = np.zeros(len(rows.ids), dtype=bool)
    for version in versions:
        seen = holdout.seen(rows, version.tuned, manifest, blobs, spec)
        assert version.tuned.kept is not None
        by_folds = seen & (version.tuned.places(rows.table) >= 0)
        fair &= ~seen | by_folds
        names = sorted(set(version.knows.schema.names) & set(rows.table.schema.names))
        knows = set(world.what(version.knows, names))
        known |= np.array([t in knows for t in world.what(rows.table, names)], dtype=bool) & ~by_folds
    return int(fair.sum()), int((fair & known).sum())


def test_no_judged_row_was_known_to_a_model_that_answers_it(tmp_path: Path) -> None:
    """200 datasets, up to four versions each."""
    total = wrong = worlds = 0
    for seed in range(200):
        world, champion = World(seed), None
        folder = tmp_path / str(seed)
        folder.mkdir()
        for number in (1, 2, 3):
            try:
                version, made = train(world, number, folder)
            except TilthError:  # too short a history
                break
            count, bad = judged(world, made, version, *([champion] if champion else []))
            total, wrong = total + count, wrong + bad
            assert not bad, (seed, number, vars(world))
            if champion is None or world.rng.random() < 0.6:
                champion = version
            world.turn(number)
        worlds += number > 1
    assert worlds >= 150
    assert total >= 10_000
    assert wrong == 0


def test_the_ids_that_were_written_are_those_that_would_be_made_now(tmp_path: Path) -> None:
    world = World(3)
    world.keyed = False
    world.timed = False
    table = world.table(1)
    manifest, blobs = snapshot(table, world.spec(table), tmp_path, 1)
    (part,) = manifest.parts
    assert part.ids is not None
    columns = identity.columns_of((), manifest.schema.names)
    now = snapshots.file_ids(blobs.path(part.blob), None, columns)
    assert np.array_equal(snapshots.part_ids(part, blobs, columns), now)
    assert len(np.unique(now)) > 0.5 * len(now)


SHARES = [
    (1000, 1000, 1000),
    (1000, 1000, 500),
    (5000, 300, 300),
    (300, 300, 0),
    (40, 60, 30),
    (30_000, 30_000, 20_000),
]


@pytest.mark.parametrize(("first", "second", "both"), SHARES)
def test_how_many_rows_two_looks_share_is_known_well_enough(first: int, second: int, both: int) -> None:
    rng = np.random.default_rng(1)
    ids = rng.integers(0, 2**63, first + second, dtype=np.uint64)
    one, other = ids[:first], ids[first - both : first - both + second]
    told = holdout.shared(holdout.sketch(one), holdout.sketch(other))
    assert told == pytest.approx(both / min(first, second), abs=0.2 if first != second else 0.07)
