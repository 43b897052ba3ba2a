"""Write, audit, publish: what ends up in a snapshot, in quarantine, and in an error."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_bench import Bench, check, dataset

from tilth.core.errors import (
    CheckFailedError,
    DataError,
    Position,
    ProjectError,
    SourceError,
    UnknownNameError,
)
from tilth.core.scan import Predicate
from tilth.ml.data import merge, reading, rows, snapshots
from tilth.ports.snapshots import Manifest
from tilth.sql.language.statements import CheckKind, Expectation, OnFail

START = datetime(2024, 1, 1)
SCHEMA = pa.schema({"id": pa.int64(), "at": pa.timestamp("us"), "x": pa.float64()})


def table(cells: Sequence[tuple[int | None, int | None, float | None]]) -> pa.Table:
    """Rows of (id, minutes since the start, x)."""
    made = [{"id": i, "at": None if m is None else START + timedelta(minutes=m), "x": x} for i, m, x in cells]
    return pa.Table.from_pylist(made, SCHEMA)


def ids(bench: Bench, manifest: Manifest) -> list[Any]:
    return [r["id"] for r in bench.rows(manifest)]


def quarantined(bench: Bench, blob: str) -> list[dict[str, Any]]:
    return pq.read_table(bench.blobs.path(blob)).to_pylist()


def test_a_first_collection_publishes_all_rows_in_order(bench: Bench) -> None:
    bench.source.held["t"] = table([(3, 30, 1.0), (1, 10, 2.0), (2, 20, None)])
    made = bench.collect(dataset(key=("id",), event="at"))
    assert ids(bench, made.manifest) == [1, 2, 3]
    assert made.manifest.watermark == "2024-01-01T00:30:00.000000"
    assert [(r.check, r.passed) for r in made.results] == [("KEY (id)", True)]
    assert (made.rows_read, made.rows_quarantined, made.quarantine) == (3, 0, None)
    assert bench.left() == []


def test_the_same_rows_give_the_same_manifest(bench: Bench) -> None:
    spec = dataset(key=("id",), event="at")
    bench.source.held["t"] = table([(1, 10, 2.0), (2, 20, None)])
    first = bench.collect(spec).manifest
    bench.source.held["t"] = table([(2, 20, None), (1, 10, 2.0)])
    assert bench.collect(spec, parent=first).manifest is first
    assert bench.collect(spec).manifest.id == first.id
    bench.source.held["t"] = table([(2, 20, 0.0), (1, 10, 2.0)])
    changed = bench.collect(spec, parent=first).manifest
    assert changed.id != first.id
    assert changed.parent == first.id


def test_bad_rows_are_quarantined_whole_and_with_every_reason(bench: Bench) -> None:
    bench.source.held["t"] = table(
        [(1, 10, 5.0), (2, 20, 500.0), (3, None, 500.0), (None, 40, 1.0), (5, 50, None)]
    )
    spec = dataset("SELECT * FROM ops.t", check("x < 100", OnFail.QUARANTINE), key=("id",), event="at")
    made = bench.collect(spec)
    assert ids(bench, made.manifest) == [1]
    assert made.quarantine is not None
    assert made.rows_quarantined == made.quarantine.rows == 4
    held = quarantined(bench, made.quarantine.blob)
    assert [h["reasons"] for h in held] == [
        ["x < 100"],
        ["EVENT TIME at IS NULL", "x < 100"],
        ["KEY id IS NULL"],
        ["x < 100"],
    ]
    assert held[0]["row"] == '{"id":2,"at":"2024-01-01 00:20:00","x":500.0}'
    assert {r.check: r.failed for r in made.results if not r.passed} == {
        "KEY id IS NOT NULL": 1,
        "EVENT TIME at IS NOT NULL": 1,
        "x < 100": 3,
    }


def test_set_checks_see_the_rows_after_quarantine(bench: Bench) -> None:
    bench.source.held["t"] = table([(1, 10, 5.0), (2, 20, 500.0)])
    bad, mean = check("x < 100", OnFail.QUARANTINE), check("max(x) <= 5", kind=CheckKind.SET)
    made = bench.collect(dataset("SELECT * FROM ops.t", bad, mean))
    assert [(r.check, r.passed, r.observed) for r in made.results] == [
        ("x < 100", False, "1 of 2 rows fail"),
        ("max(x) <= 5", True, "max(x) = 5"),
    ]


def test_a_failed_stop_publishes_nothing_and_tells_all(bench: Bench) -> None:
    bench.source.held["t"] = table([(1, 10, 5.0), (2, 20, 500.0)])
    spec = dataset("SELECT * FROM ops.t", check("x < 100"), check("count(*) >= 3", kind=CheckKind.SET))
    with pytest.raises(CheckFailedError, match="2 rows") as caught:
        bench.collect(spec)
    assert [(r.check, r.passed) for r in caught.value.results] == [
        ("x < 100", False),
        ("count(*) >= 3", False),
    ]
    assert list(bench.blobs.digests()) == []
    assert bench.left() == []


def test_null_holds_in_no_check(bench: Bench) -> None:
    bench.source.held["t"] = table([(1, 10, None)])
    made = bench.collect(
        dataset(
            "SELECT * FROM ops.t",
            check("x < 100", OnFail.WARN),
            check("x IS NOT NULL", OnFail.WARN),
            check("avg(x) > 0", OnFail.WARN, CheckKind.SET),
        )
    )
    assert [(r.passed, r.observed) for r in made.results] == [
        (False, "1 of 1 rows fail, all of them since a value is missing"),
        (False, "1 of 1 rows fail"),
        (False, "avg(x) = null"),
    ]


def test_of_a_key_the_latest_row_stays(bench: Bench) -> None:
    bench.source.held["t"] = table([(1, 10, 1.0), (1, 30, 3.0), (1, 20, 2.0), (2, 5, 7.0), (2, 5, 8.0)])
    made = bench.collect(dataset(key=("id",), event="at"))
    assert [(r["id"], r["x"]) for r in bench.rows(made.manifest)] == [(2, 8.0), (1, 3.0)]
    assert made.results[0].observed == "3 rows superseded by a later one with the same key"


def test_without_event_time_a_repeated_key_stops(bench: Bench) -> None:
    bench.source.held["t"] = table([(1, 10, 1.0), (1, 30, 3.0)])
    with pytest.raises(CheckFailedError, match="repeat a key"):
        bench.collect(dataset(key=("id",)))


def test_a_bad_latest_row_leaves_the_good_one_before(bench: Bench) -> None:
    bench.source.held["t"] = table([(1, 10, 1.0), (1, 30, 300.0)])
    made = bench.collect(
        dataset("SELECT * FROM ops.t", check("x < 9", OnFail.QUARANTINE), key=("id",), event="at")
    )
    assert [r["x"] for r in bench.rows(made.manifest)] == [1.0]


@pytest.mark.parametrize("on_fail", [OnFail.WARN, OnFail.QUARANTINE])
def test_references_look_into_the_other_table(bench: Bench, on_fail: OnFail) -> None:
    bench.source.held["t"] = table([(1, 10, 1.0), (7, 20, 1.0), (None, 30, 1.0)])
    bench.source.held["known"] = pa.table({"id": [1, 2, 3]})
    item = Expectation(CheckKind.REFERENCES, on_fail, table=("ops", "known"), columns=("id",))
    made = bench.collect(dataset("SELECT * FROM ops.t", item))
    assert [(r.check, r.failed) for r in made.results] == [("REFERENCES ops.known (id)", 1)]
    assert ids(bench, made.manifest) == ([1, 7, None] if on_fail is OnFail.WARN else [1, None])


def test_freshness_is_against_the_clock_that_is_given(bench: Bench) -> None:
    bench.source.held["t"] = table([(1, 10, 1.0)])
    spec = dataset(
        "SELECT * FROM ops.t",
        Expectation(CheckKind.FRESH, OnFail.WARN, within=timedelta(hours=1)),
        event="at",
    )
    early, late = datetime(2024, 1, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, 2, tzinfo=UTC)
    assert bench.collect(spec, now=early).results[0].passed
    found = bench.collect(spec, now=late).results[0]
    assert (found.passed, found.observed) == (False, "newest row is 1 hour 50 minutes old")


def test_broken_lines_of_files_go_to_quarantine(bench: Bench) -> None:
    bench.source.held["t"] = table([(1, 10, 1.0)])
    bench.source.lines = pa.table({"line": [7], "text": ["1,2,3"], "reason": ["Too many columns"]})
    made = bench.collect(dataset())
    assert made.quarantine is not None
    assert quarantined(bench, made.quarantine.blob) == [
        {"row": "1,2,3", "reasons": ["Too many columns"], "origin": "ops.t:7"}
    ]


# --- errors ------------------------------------------------------------------------------------------------


def test_no_rows_is_an_error_that_says_where_to_look(bench: Bench) -> None:
    bench.source.held["t"] = table([])
    with pytest.raises(DataError, match=r"no rows[\s\S]*ops\.t"):
        bench.collect(dataset())


def test_all_rows_bad_is_an_error(bench: Bench) -> None:
    bench.source.held["t"] = table([(1, 10, 500.0)])
    with pytest.raises(CheckFailedError, match="x < 9"):
        bench.collect(dataset("SELECT * FROM ops.t", check("x < 9", OnFail.QUARANTINE)))


def test_a_misspelt_column_of_a_check_is_shown_in_its_place(bench: Bench) -> None:
    bench.source.held["t"] = table([(1, 10, 1.0)])
    place = Position(7, 5, 3, "datasets.sql", "    idd IS NOT NULL,")
    items = (check("x < 9"), Expectation(CheckKind.ROW, OnFail.STOP, "idd IS NOT NULL", position=place))
    with pytest.raises(UnknownNameError, match=r"datasets\.sql:7:5") as caught:
        bench.collect(dataset("SELECT * FROM ops.t", *items))
    assert "id" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("spec", "error", "says"),
    [
        (dataset(key=("idd",)), UnknownNameError, "KEY names `idd`"),
        (dataset(event="att"), UnknownNameError, "Did you mean `at`"),
        (dataset(event="x"), ProjectError, "CAST"),
        (dataset('SELECT id, id AS "ID" FROM ops.t'), ProjectError, "twice"),
        (dataset("SELECT * FROM ops.tt"), Exception, "tt"),
        (dataset("SELECT * FROM opps.t"), UnknownNameError, "Did you mean `ops`"),
        (dataset("SELECT * FROM other"), UnknownNameError, "no dataset `other`"),
        (dataset("SELECT idd FROM ops.t"), UnknownNameError, "Did you mean `id`"),
        (dataset("SELECT * FROM ops.t", check("idd > 0")), UnknownNameError, r"(?s)no column `idd`.*Did you mean `id`\? Columns: at, id, x"),
        (dataset("SELECT * FROM ops.t", check("max(elsewhere) > 0")), UnknownNameError, r"(?s)no column `elsewhere`.*Columns: at, id, x"),
        (dataset("SELECT * FROM ops.t", check("lenth(id) > 0")), UnknownNameError, "lenth"),
        (dataset("SELECT * FROM ops.t", Expectation(CheckKind.FRESH, OnFail.STOP, within=timedelta(1))), ProjectError, "EVENT TIME"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_before_anything_is_kept(
    bench: Bench, spec: Any, error: type[Exception], says: str
) -> None:
    bench.source.held["t"] = table([(1, 10, 1.0)])
    with pytest.raises(error, match=says):
        bench.collect(spec)
    assert list(bench.blobs.digests()) == []
    assert bench.left() == []


def test_a_source_that_goes_away_leaves_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(scan: object) -> pa.RecordBatchReader:
        def batches() -> Any:
            yield from table([(1, 10, 1.0)]).to_batches()
            raise SourceError("The server went away.")

        return pa.RecordBatchReader.from_batches(SCHEMA, batches())

    bench.source.held["t"] = table([(1, 10, 1.0)])
    monkeypatch.setattr(bench.source, "scan", broken)
    with pytest.raises(SourceError, match="went away"):
        bench.collect(dataset())
    assert bench.left() == []


# --- pushdown ----------------------------------------------------------------------------------------------


def test_a_source_is_asked_for_what_is_needed(bench: Bench) -> None:
    bench.source.held["t"] = table([(1, 10, 1.0), (2, 20, 2.0)])
    bench.collect(dataset("SELECT id FROM ops.t WHERE id >= 2"))
    (scan,) = bench.source.asked
    assert scan.columns == ("id",)
    assert scan.where == (Predicate("id", ">=", 2),)


def test_a_table_named_twice_is_scanned_once(bench: Bench) -> None:
    bench.source.held["t"] = table([(1, 10, 1.0), (2, 20, 2.0)])
    made = bench.collect(dataset("SELECT a.id, b.x FROM ops.t a JOIN ops.t b ON a.id = b.id + 1"))
    assert len(bench.source.asked) == 1
    assert ids(bench, made.manifest) == [2]


def test_only_a_table_that_is_read_alone_is_streamed(bench: Bench) -> None:
    bench.source.held["t"] = table([(1, 10, 1.0), (2, 20, 2.0)])
    bench.source.held["u"] = pa.table({"id": [1, 2], "tags": [["a"], ["b", "c"]]})

    def kinds(sql: str) -> dict[str, str]:
        sources = {"ops": bench.source}
        schemas = reading.schemas_of(sql, sources, {})
        found = reading.open_inputs(sql, schemas, sources, {}, bench.blobs)
        try:
            return {name: type(held).__name__ for name, held in found.inputs.items()}
        finally:
            found.close()

    assert kinds("SELECT id FROM ops.t") == {"ops.t": "RecordBatchReader"}
    both = kinds("SELECT t.id FROM ops.t JOIN ops.u USING (id)")
    assert both == {"ops.t": "Table", "ops.u": "Table"}


def test_lists_survive_being_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "HELD_ROWS", 1)
    bench.source.held["t"] = table([(1, 10, 1.0), (2, 20, 2.0)])
    bench.source.held["u"] = pa.table({"id": [1, 2], "tags": [["a"], ["b", "c"]]})
    made = bench.collect(dataset("SELECT t.id, len(u.tags) AS n FROM ops.t JOIN ops.u USING (id)"))
    assert sorted((r["id"], r["n"]) for r in bench.rows(made.manifest)) == [(1, 1), (2, 2)]
    assert bench.left() == []


def test_a_large_table_named_twice_is_kept_in_files(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "HELD_ROWS", 2)
    bench.source.held["t"] = table([(i, i, 1.0) for i in range(9)])
    made = bench.collect(dataset("SELECT a.id FROM ops.t a JOIN ops.t b USING (id)"))
    assert sorted(ids(bench, made.manifest)) == list(range(9))
    assert bench.left() == []


def test_datasets_and_sources_are_asked_alike(bench: Bench) -> None:
    bench.source.held["t"] = table([(1, 10, 1.0), (2, 20, 2.0)])
    made = bench.collect(dataset()).manifest
    sql = "SELECT d.id, t.x FROM d JOIN ops.t t USING (id) WHERE t.id > 1"
    found = reading.query_rows(sql, {"d": made}, {"ops": bench.source}, bench.engine, bench.blobs)
    assert found.read_all().to_pylist() == [{"id": 2, "x": 2.0}]
    assert bench.source.asked[-1].where == (Predicate("id", ">", 1),)
    assert bench.left() == []


# --- incremental -------------------------------------------------------------------------------------------


def test_a_refresh_reads_only_the_window(bench: Bench) -> None:
    spec = dataset(key=("id",), event="at", lookback=timedelta(minutes=15))
    bench.source.held["t"] = table([(i, i * 10, float(i)) for i in range(10)])
    first = bench.collect(spec)
    bench.source.held["t"] = table([(i, i * 10, float(i)) for i in range(12)])
    second = bench.collect(spec, parent=first.manifest)
    assert second.rows_read == 4
    assert bench.source.asked[-1].where == (Predicate("at", ">=", START + timedelta(minutes=75)),)
    assert ids(bench, second.manifest) == list(range(12))
    assert second.manifest.parent == first.manifest.id
    assert len(second.manifest.parts) == 1
    assert bench.collect(spec, parent=second.manifest).manifest is second.manifest


@pytest.mark.parametrize(
    "item",
    [
        check("x < 100"),
        check("x < 100", OnFail.QUARANTINE),
        check("x < 100", OnFail.WARN),
        check("count(*) = 10", kind=CheckKind.SET),
        check("max(x) = 9", kind=CheckKind.SET),
        Expectation(CheckKind.REFERENCES, OnFail.QUARANTINE, table=("ops", "known"), columns=("id",)),
        Expectation(CheckKind.FRESH, OnFail.STOP, within=timedelta(days=365)),
    ],
    ids=lambda item: f"{item.kind.value}-{item.on_fail.value}",
)
@pytest.mark.parametrize("key", [(), ("id",)])
def test_a_refresh_that_reads_no_rows_publishes_what_there_was(
    bench: Bench, item: Expectation, key: tuple[str, ...]
) -> None:
    spec = dataset("SELECT * FROM ops.t", item, key=key, event="at", lookback=timedelta())
    bench.source.held["known"] = pa.table({"id": list(range(10))})
    bench.source.held["t"] = table([(i, i * 10, float(i)) for i in range(10)])
    first = bench.collect(spec).manifest
    early = replace(first, watermark="2024-01-01T02:00:00.000000")
    second = bench.collect(spec, parent=early)
    assert second.manifest is early
    assert all(r.passed for r in second.results)
    assert bench.left() == []


def test_a_dataset_of_which_the_source_has_no_row_left_stays(bench: Bench) -> None:
    spec = dataset(key=("id",), event="at", lookback=timedelta(days=1))
    bench.source.held["t"] = table([(1, 10, 1.0), (2, 20, 2.0)])
    first = bench.collect(spec).manifest
    bench.source.held["t"] = table([])
    with pytest.raises(DataError, match="no rows; the snapshot there is stays"):
        bench.collect(spec, parent=first)


def test_many_rows_without_order_have_a_watermark_too(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MEMORY_ROWS", 3)
    spec = dataset(key=("id",), event="at", lookback=timedelta(minutes=15))
    bench.source.held["t"] = table([(i, i * 10, float(i)) for i in reversed(range(10))])
    first = bench.collect(spec).manifest
    assert first.watermark == "2024-01-01T01:30:00.000000"
    assert bench.collect(spec, parent=first).rows_read == 2


def test_a_query_that_ranks_rows_is_read_whole_and_cut_after(bench: Bench) -> None:
    sql = 'SELECT id, "at", row_number() OVER (ORDER BY "at") AS n FROM ops.t'
    spec = dataset(sql, key=("id",), event="at", lookback=timedelta(minutes=15))
    bench.source.held["t"] = table([(i, i * 10, float(i)) for i in range(10)])
    first = bench.collect(spec)
    bench.source.held["t"] = table([(i, i * 10, float(i)) for i in range(12)])
    second = bench.collect(spec, parent=first.manifest)
    assert bench.source.asked[-1].where == ()
    assert [r["n"] for r in bench.rows(second.manifest)] == list(range(1, 13))


def test_a_row_that_moved_into_the_window_leaves_its_old_place(bench: Bench) -> None:
    spec = dataset(key=("id",), event="at", lookback=timedelta(minutes=15))
    bench.source.held["t"] = table([(i, i * 10, float(i)) for i in range(500)])
    first = bench.collect(spec)
    moved = [(2, 4985, 9.0), *((i, i * 10, float(i)) for i in range(500) if i != 2)]
    bench.source.held["t"] = table(moved)
    second = bench.collect(spec, parent=first.manifest)
    assert ids(bench, second.manifest) == [0, 1, *range(3, 499), 2, 499]
    assert next(r["x"] for r in bench.rows(second.manifest) if r["id"] == 2) == 9.0


def test_another_recipe_reads_everything(bench: Bench) -> None:
    spec = dataset(key=("id",), event="at", lookback=timedelta(minutes=15))
    bench.source.held["t"] = table([(i, i * 10, float(i)) for i in range(10)])
    first = bench.collect(spec)
    assert bench.collect(spec, parent=first.manifest, recipe="1:other").rows_read == 10


def test_columns_that_changed_at_the_source_are_an_error(bench: Bench) -> None:
    spec = dataset(key=("id",), event="at", lookback=timedelta(minutes=15))
    bench.source.held["t"] = table([(1, 10, 1.0)])
    first = bench.collect(spec)
    bench.source.held["t"] = table([(1, 10, 1.0)]).append_column("y", pa.array([1]))
    with pytest.raises(DataError, match="other columns than before"):
        bench.collect(spec, parent=first.manifest)


def test_daily_refreshes_do_not_leave_a_file_each(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "SMALL_ROWS", 50)
    spec = dataset(key=("id",), event="at", lookback=timedelta(minutes=5))
    bench.source.held["t"] = table([(i, i, 0.0) for i in range(100)])
    manifest = bench.collect(spec).manifest
    for day in range(1, 31):
        bench.source.held["t"] = table([(i, i, 0.0) for i in range(100 + day * 10)])
        manifest = bench.collect(spec, parent=manifest).manifest
    assert ids(bench, manifest) == list(range(400))
    assert len(manifest.parts) <= 8
    assert sum(p.rows < 50 for p in manifest.parts) <= 1


@pytest.mark.parametrize("small", [True, False])
def test_large_and_small_collections_agree(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, small: bool
) -> None:
    if not small:
        monkeypatch.setattr(rows, "MEMORY_ROWS", 3)
        monkeypatch.setattr(snapshots, "PART_ROWS", 7)
    made = [(i * 7 % 40, i, float(i)) for i in range(60)]
    bench.source.held["t"] = table(made)
    spec = dataset("SELECT * FROM ops.t", check("x <> 41", OnFail.QUARANTINE), key=("id",), event="at")
    found = bench.collect(spec)
    assert len(found.manifest.parts) == (1 if small else 6)
    assert [r["x"] for r in bench.rows(found.manifest)] == [
        1.0,
        *(float(i) for i in range(20, 60) if i != 41),
    ]
    assert found.rows_quarantined == 1
