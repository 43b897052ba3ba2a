"""Which rows judge and which a version was tuned on, as a table over snapshots in memory; `test_holdout` has many at random."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tilth.adapters.files.memory import MemoryBlobs
from tilth.core.time import show_instant
from tilth.ml.data import identity, snapshots
from tilth.ml.judging import holdout, split
from tilth.ml.judging.holdout import Tuned
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.arrow import schema_of
from tilth.ports.snapshots import Manifest

START = datetime(2024, 1, 1)
ROWS, PART = 100, 30  # one row an hour
BLOBS = MemoryBlobs()
SPEC = TrainingSpec("m", ("y",), key=("id",), event_time="at")
KEYLESS = replace(SPEC, key=())
TIMELESS = TrainingSpec("m", ("y",), key=("id",))
ANY = TrainingSpec("m", ("y",))


def hour(number: int) -> str:
    return show_instant((START + timedelta(hours=number)).replace(tzinfo=UTC))


def table(first: int = 0, rows: int = ROWS, **columns: Any) -> pa.Table:
    """Rows of an hour each."""
    ids = range(first, first + rows)
    plain = {
        "id": pa.array(ids, pa.int64()),
        "at": pa.array([START + timedelta(hours=n) for n in ids], pa.timestamp("us")),
        "y": pa.array([float(n) for n in ids]),
    }
    return pa.table({n: c for n, c in {**plain, **columns}.items() if c is not None})


def stored(rows: pa.Table, spec: TrainingSpec) -> Manifest:
    plain = rows.cast(snapshots.plain_schema(rows.schema))
    marks = snapshots.Marks(spec.event_time, identity.written(spec.key, spec.event_time, plain.schema.names))
    parts = []
    for start in range(0, plain.num_rows, PART):
        batches = plain.slice(start, PART).to_batches(max_chunksize=PART)
        (written,) = snapshots.write_parts(batches, plain.schema, str(Path(BLOBS.scratch())), marks)
        parts.append(written.put(BLOBS))
    return Manifest("d", "1:d", schema_of(plain.schema), tuple(parts))


def tuned(until: int | None, by: str = split.BY_TIME, **more: Any) -> Tuned:
    said: dict[str, Any] = {"manifest": None, "key": ("id",), "event_time": "at"}
    return Tuned(1, by=by, until=None if until is None else hour(until), **said | more)


@dataclass(frozen=True)
class Judging:
    """Versions before the rows of a snapshot, and the hours of those that judge."""

    versions: tuple[Tuned, ...]
    hours: range
    spec: TrainingSpec = SPEC
    waiting: int = 0
    table: pa.Table = field(default_factory=table)


def due(now: int, delay: int) -> TrainingSpec:
    return replace(SPEC, now=hour(now), label_delay=delay * 3600.0)


FOLDS = tuned(99, split.BY_FOLDS)
TWIN = tuned(99, split.BY_TWIN, since=hour(89))
JUDGE = {
    "after one": Judging((tuned(39),), range(40, 100)),
    "after the later, which is the candidate": Judging((tuned(69), tuned(39)), range(70, 100)),
    "after the later, which is the champion": Judging((tuned(39), tuned(69)), range(70, 100)),
    "a champion of folds has no end": Judging((tuned(39), FOLDS), range(40, 100)),
    "a candidate of folds is judged on all": Judging((FOLDS, tuned(39)), range(100)),
    "a twin by the rows after those that taught it": Judging((TWIN, tuned(39)), range(90, 100)),
    "a champion that is a twin has no end": Judging((tuned(39), TWIN), range(40, 100)),
    "a version without an end": Judging((tuned(None),), range(100)),
    "as far as labels are due": Judging((tuned(39),), range(40, 90), due(99, 10), 10),
    "labels that wait are of rows that would judge": Judging((tuned(79),), range(80, 80), due(99, 70), 20),
    "without a delay all are due": Judging((tuned(39),), range(40, 100), replace(SPEC, now=hour(50))),
    "after the end of a part": Judging((tuned(PART - 1),), range(PART, 100)),
    "of no row": Judging((tuned(99),), range(100, 100)),
}  # fmt: skip


@pytest.mark.parametrize("case", JUDGE.values(), ids=JUDGE)
def test_rows_judge_that_are_due_and_later_than_both(case: Judging) -> None:
    found = holdout.rows_of(stored(case.table, case.spec), BLOBS, case.spec, case.versions)
    assert found.table["id"].to_pylist() == list(case.hours)
    assert found.ids.tolist() == identity.row_ids(found.table, ("id",)).tolist()
    assert found.when is not None
    assert len(found.when) == len(case.hours)
    assert found.immature == case.waiting


def test_without_a_time_the_last_tenth_of_ids_judges() -> None:
    rows = table(rows=1000)
    found = holdout.rows_of(stored(rows, TIMELESS), BLOBS, TIMELESS, [tuned(None, split.BY_ID)])
    ids = identity.row_ids(rows, ("id",))
    expected = [n for n, i in enumerate(ids) if int(i) >= int(0.9 * 2**64)]
    assert found.table["id"].to_pylist() == expected
    assert found.when is None


def test_labels_are_those_that_are_due() -> None:
    assert len(holdout.labels(stored(table(), SPEC), BLOBS, due(99, 10))) == 90
    assert len(holdout.labels(stored(table(), SPEC), BLOBS, SPEC)) == 100


def test_a_gap_is_a_slice_of_its_own_and_not_the_text_none() -> None:
    assert holdout.texts(pa.chunked_array([["None", None, "a"]])).tolist() == ["None", "(missing)", "a"]


LATER = table(at=table(50)["at"])  # the same keys, each fifty hours later
TEXTS = table(id=pa.array([str(n) for n in range(ROWS)]))
MORE = table(note=pa.array(["n"] * ROWS))


@dataclass(frozen=True)
class Seen:
    """A version, the rows of the snapshot that judges, and the keys of those that it was tuned on or may have been."""

    version: Tuned
    knows: pa.Table | None  # None: the snapshot that judges
    ids: range
    spec: TrainingSpec = SPEC
    judges: pa.Table = field(default_factory=table)
    own: TrainingSpec | None = None  # what it was trained by


NONE = range(0)
OTHER_TIME = table(came=table(7)["at"])
SEEN: dict[str, Seen] = {
    "of this snapshot the slices tell": Seen(tuned(39), None, NONE),
    "a row that came again later": Seen(tuned(39), table(), range(40), judges=LATER),
    "the last row that tuned": Seen(tuned(0), table(), range(1), judges=LATER),
    "a row that tuned none": Seen(tuned(39), table(200), NONE, judges=LATER),
    "rows without a key are as old as they are": Seen(
        tuned(39, key=()), table(), NONE, KEYLESS, judges=LATER
    ),
    "by another time": Seen(tuned(39, event_time="came"), OTHER_TIME, range(33), judges=OTHER_TIME),
    "a key of another type reads alike": Seen(tuned(39), TEXTS, range(40), judges=LATER),
    "whose rows are gone": Seen(tuned(39), None, NONE, judges=LATER),
    "all of folds": Seen(FOLDS, None, range(100)),
    "all of a twin": Seen(TWIN, None, range(100)),
    "of a twin those that were due": Seen(tuned(39, split.BY_TWIN), None, range(40)),
    "by id and now by time": Seen(
        tuned(None, split.BY_ID), None, range(100), own=TIMELESS
    ),
    "by id of a key of one type the slices tell": Seen(tuned(None, split.BY_ID, event_time=None), table(), NONE, TIMELESS),
    "by id of a key of another type": Seen(
        tuned(None, split.BY_ID, event_time=None), TEXTS, range(100), TIMELESS, own=TIMELESS
    ),
    "by id of all columns the slices tell": Seen(tuned(None, split.BY_ID, key=(), event_time=None), table(), NONE, ANY),
    "by id of more columns": Seen(
        tuned(None, split.BY_ID, key=(), event_time=None), MORE, range(100), ANY, own=ANY
    ),
    "by id of a key, and now of none": Seen(
        tuned(None, split.BY_ID, event_time=None), table(), range(100), ANY, own=TIMELESS
    ),
    "by ids that were made otherwise": Seen(
        tuned(None, split.BY_ID, key=(), event_time=None, how=1), MORE, NONE, ANY, own=ANY
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SEEN.values(), ids=SEEN)
def test_which_rows_a_version_was_tuned_on(case: Seen, request: pytest.FixtureRequest) -> None:
    manifest = stored(case.judges, case.spec)
    gone = "are gone" in request.node.name
    knows = manifest if case.knows is None else stored(case.knows, case.own or case.spec)
    version = replace(case.version, manifest=None if gone else knows)
    ids = identity.row_ids(case.judges, identity.columns_of(case.spec.key, case.judges.schema.names))
    rows = holdout.Rows(case.judges.cast(snapshots.plain_schema(case.judges.schema)), ids, None)
    found = np.flatnonzero(holdout.seen(rows, version, manifest, BLOBS, case.spec))
    expected = set(case.ids)
    if version.by == split.BY_ID and expected:  # the last tenth did not tune it
        dealt = identity.row_ids(
            (case.knows or case.judges),
            identity.columns_of(version.key, (case.knows or case.judges).schema.names),
        )
        expected = {n for n, i in enumerate(dealt) if int(i) < int(0.9 * 2**64)}
        assert 80 < len(expected) < 100
    assert set(found.tolist()) == expected


def test_ids_of_a_large_file_are_each_row_s_own() -> None:
    """Of more rows than are read at once."""
    count = 70_000
    plain = table(rows=count).cast(snapshots.plain_schema(table().schema))
    marks = snapshots.Marks(None, identity.written(("id",), None, plain.schema.names))
    (written,) = snapshots.write_parts(plain.to_batches(), plain.schema, str(BLOBS.scratch()), marks)
    known = Manifest("d", "1:d", schema_of(plain.schema), (written.put(BLOBS),))
    judges = stored(table(), ANY)
    version = tuned(None, split.BY_ID, event_time=None, manifest=known)
    last = plain.slice(count - 100)
    rows = holdout.Rows(last, identity.row_ids(last, last.schema.names), None)
    found = holdout.seen(rows, version, judges, BLOBS, ANY)
    dealt = identity.row_ids(last, ("id",))
    assert found.tolist() == [int(i) < int(0.9 * 2**64) for i in dealt]


# --- looks -------------------------------------------------------------------------------------------------


def ids(first: int, count: int) -> Any:
    return identity.mixed(np.arange(first, first + count, dtype=np.uint64))


SHARES = [(300, 300, 150), (300, 100, 100), (5000, 300, 300), (40_000, 5_000, 5_000), (5_000, 40_000, 2_500)]


@pytest.mark.parametrize(("first", "second", "both"), SHARES)
def test_the_share_is_of_the_smaller_look(first: int, second: int, both: int) -> None:
    one, other = holdout.sketch(ids(0, first)), holdout.sketch(ids(first - both, second))
    exact = first <= 300 and second <= 300
    assert holdout.shared(one, other) == pytest.approx(both / min(first, second), abs=1e-9 if exact else 0.35)
    assert holdout.shared(other, one) == pytest.approx(holdout.shared(one, other))


def test_rows_of_no_look_are_shared_by_none() -> None:
    assert holdout.shared(holdout.sketch(ids(0, 0)), holdout.sketch(ids(0, 9))) == 0.0
    assert holdout.shared(holdout.sketch(ids(0, 9)), holdout.sketch(ids(9, 9))) == 0.0


def test_a_sketch_holds_how_many_differ_and_the_least_hashes() -> None:
    rows = ids(0, 2000)
    kept = np.frombuffer(holdout.sketch(np.concatenate([rows, rows])), dtype="<u8")
    assert kept[0] == 2000
    assert kept[1:].tolist() == sorted(identity.mixed(rows).tolist())[:512]
