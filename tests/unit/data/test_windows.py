"""INCREMENTAL against the clock: the watermark, rows from the future, ties, and the same rows as a full collection."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from data_bench import NOW, Bench, check, dataset, make_bench
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.ml.data import merge, rows
from tilth.ports.snapshots import Manifest
from tilth.sql.language.statements import CheckKind, CreateDataset, Expectation, OnFail

START = datetime(2024, 1, 1)
DAY = 24 * 60
FAR = 75 * 365 * DAY  # minutes to 2098 or so
TIMES = {"us": pa.timestamp("us"), "ns": pa.timestamp("ns"), "date": pa.date32()}


def table(cells: list[tuple[int, int, float]], times: str = "us", more: int = 0) -> pa.Table:
    """Rows of (id, minutes since the start, x); `more` nanoseconds are added to each time."""
    at = pa.array([START + timedelta(minutes=m) for _, m, _ in cells], pa.timestamp("us"))
    if times == "ns":
        at = pa.array([v + more for v in at.cast("timestamp[ns]").cast("int64").to_pylist()], "int64").cast(
            "timestamp[ns]"
        )
    columns = {"id": [c[0] for c in cells], "at": at.cast(TIMES[times]), "x": [c[2] for c in cells]}
    return pa.table(columns, schema=pa.schema({"id": pa.int64(), "at": TIMES[times], "x": pa.float64()}))


def days(count: float) -> datetime:
    return (START + timedelta(days=count)).replace(tzinfo=UTC)


def incremental(key: tuple[str, ...] = (), lookback: timedelta = timedelta(0), *items: Any) -> CreateDataset:
    return dataset("SELECT * FROM ops.t", *items, key=key, event="at", lookback=lookback)


def cells(bench: Bench, manifest: Manifest) -> list[tuple[int, float]]:
    return sorted((r["id"], r["x"]) for r in bench.rows(manifest))


def test_a_row_of_the_future_hides_nothing_that_comes_before_it(bench: Bench) -> None:
    spec = incremental(("id",), timedelta(days=2))
    hours = [(h, h * 60, 0.0) for h in range(240)]
    bench.source.held["t"] = table([*hours, (9_999, FAR, 0.0)])
    first = bench.collect(spec, now=days(10))
    assert first.manifest.watermark == "2024-01-10T23:00:00.000000"
    told = next(r for r in first.results if r.kind == "future")
    assert (
        told.observed
        == "1 row is from the future, up to 2098-12-13 00:00:00: kept, and left out of the watermark"
    )
    assert (told.passed, told.on_fail, told.failed) == (False, "warn", 1)
    bench.source.held["t"] = table([*hours, (9_999, FAR, 0.0), *((h, h * 60, 0.0) for h in range(240, 264))])
    second = bench.collect(spec, first.manifest, now=days(11))
    assert second.manifest.rows == 265
    assert second.rows_read == 49 + 24 + 1
    assert second.manifest.watermark == "2024-01-11T23:00:00.000000"


def test_a_watermark_of_the_future_is_found_anew(bench: Bench) -> None:
    spec = incremental(("id",))
    bench.source.held["t"] = table([(1, 10, 0.0), (2, 20, 0.0), (3, FAR, 0.0)])
    first = bench.collect(spec, now=days(1)).manifest
    frozen = replace(first, watermark="2098-12-13T00:00:00.000000")
    bench.source.held["t"] = table([(1, 10, 0.0), (2, 20, 0.0), (3, FAR, 0.0), (4, 30, 0.0)])
    second = bench.collect(spec, frozen, now=days(1)).manifest
    assert [i for i, _ in cells(bench, second)] == [1, 2, 3, 4]
    assert second.watermark == "2024-01-01T00:30:00.000000"


@pytest.mark.parametrize("key", [(), ("id",)])
@pytest.mark.parametrize(
    "now_there",
    [
        pytest.param([], id="taken back"),
        pytest.param([(3, 5, 7.0)], id="corrected to before the window"),
        pytest.param([(3, 20, 7.0)], id="corrected to the watermark"),
        pytest.param([(3, FAR + 1, 7.0)], id="corrected to another day of the future"),
        pytest.param([(3, FAR, 7.0)], id="corrected in its value"),
        pytest.param([(3, FAR, 0.0), (3, FAR + 1, 7.0)], id="comes again"),
    ],
)
def test_a_row_of_the_future_that_changes_is_neither_doubled_nor_lost(
    bench: Bench, key: tuple[str, ...], now_there: list[tuple[int, int, float]]
) -> None:
    spec, past = incremental(key), [(1, 10, 0.0), (2, 20, 0.0)]
    bench.source.held["t"] = table([*past, (3, FAR, 0.0)])
    first = bench.collect(spec, now=days(1)).manifest
    bench.source.held["t"] = table([*past, *now_there])
    second = bench.collect(spec, first, now=days(1)).manifest
    assert cells(bench, second) == cells(bench, bench.collect(spec, now=days(1)).manifest)


def test_rows_that_a_source_let_go_stay_when_all_that_it_holds_is_read(bench: Bench) -> None:
    spec = incremental(("id",))
    bench.source.held["t"] = table([(1, 10, 0.0), (2, 20, 0.0), (3, 30, 0.0), (4, FAR, 0.0)])
    first = bench.collect(spec, now=days(1)).manifest
    bench.source.held["t"] = table([(3, 30, 0.0), (4, 25, 0.0)])  # 1 and 2 were archived, 4 was corrected
    assert [i for i, _ in cells(bench, bench.collect(spec, first, now=days(1)).manifest)] == [1, 2, 3, 4]


def test_rows_at_the_watermark_that_come_later_are_read(bench: Bench) -> None:
    bench.source.held["t"] = table([(i, i, 0.0) for i in range(60)])
    first = bench.collect(incremental()).manifest
    bench.source.held["t"] = table([*((i, i, 0.0) for i in range(60)), (60, 59, 0.0), (61, 59, 0.0)])
    assert bench.collect(incremental(), first).manifest.rows == 62


@pytest.mark.parametrize("more", [0, 1_000, 999_000])
def test_times_in_nanoseconds_are_read_once(bench: Bench, more: int) -> None:
    bench.source.held["t"] = table([(i, i - 30, 0.0) for i in range(50)], "ns", more)
    first = bench.collect(incremental()).manifest
    for _ in range(3):
        assert bench.collect(incremental(), first).manifest is first


@pytest.mark.parametrize("lookback", [timedelta(days=1_000_000), timedelta(days=3), timedelta.max])
@pytest.mark.parametrize("first_day", [datetime(1, 1, 1), datetime(1, 1, 2, 12), datetime(2024, 1, 1)])
@pytest.mark.parametrize("times", ["us", "date"])
def test_any_lookback_reaches_as_far_as_the_calendar(
    bench: Bench, lookback: timedelta, first_day: datetime, times: str
) -> None:
    spec = incremental((), lookback)
    at = pa.array([first_day], pa.timestamp("us")).cast(TIMES[times])
    bench.source.held["t"] = pa.table({"id": [1], "at": at})
    first = bench.collect(spec).manifest
    bench.source.held["t"] = pa.table({"id": [1, 2], "at": pa.concat_arrays([at, at])})
    assert [r["id"] for r in bench.rows(bench.collect(spec, first).manifest)] == [1, 2]


@pytest.mark.parametrize("years", [100, 500, 5_000])
def test_any_lookback_reaches_nanoseconds_too(bench: Bench, years: int) -> None:
    spec = incremental((), timedelta(days=365 * years))
    bench.source.held["t"] = table([(1, 10, 0.0)], "ns", 1_000)
    first = bench.collect(spec).manifest
    bench.source.held["t"] = table([(1, 10, 0.0), (2, 5, 0.0)], "ns", 1_000)
    assert cells(bench, bench.collect(spec, first).manifest) == [(1, 0.0), (2, 0.0)]


INFINITE = 2**63 - 1
BEYOND = {
    "infinity": pa.array([INFINITE], pa.int64()).cast("timestamp[us]"),
    "-infinity": pa.array([-INFINITE], pa.int64()).cast("timestamp[us]"),
    "year 10000": pa.array([253_402_300_800_000_000], pa.int64()).cast("timestamp[us]"),
    "year 0": pa.array([-62_135_596_800_000_001], pa.int64()).cast("timestamp[us]"),
    "infinite day": pa.array([2**31 - 1], pa.int32()).cast(pa.date32()),
    "day of year 10000": pa.array([2_932_897], pa.int32()).cast(pa.date32()),
}


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("name", BEYOND)
def test_an_event_time_that_no_calendar_holds_goes_to_quarantine(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str, many: bool
) -> None:
    if many:
        monkeypatch.setattr(rows, "MEMORY_ROWS", 1)
    bad = BEYOND[name]
    good = pa.array([START, START + timedelta(days=1)], pa.timestamp("us")).cast(bad.type)
    spec = incremental(("id",), timedelta(days=9))
    bench.source.held["t"] = pa.table({"id": [1, 2, 3], "at": pa.concat_arrays([good, bad])})
    made = bench.collect(spec)
    assert [r["id"] for r in bench.rows(made.manifest)] == [1, 2]
    assert made.quarantine is not None
    assert made.quarantine.rows == 1
    assert [r.check for r in made.results if not r.passed] == ["EVENT TIME at IS IN A YEAR FROM 1 TO 9999"]
    assert bench.collect(spec, made.manifest).manifest is made.manifest


def test_a_row_of_the_future_does_not_make_a_dataset_fresh(bench: Bench) -> None:
    fresh = Expectation(CheckKind.FRESH, OnFail.WARN, within=timedelta(hours=1))
    bench.source.held["t"] = table([(1, 10, 0.0), (2, FAR, 0.0)])
    found = bench.collect(dataset("SELECT * FROM ops.t", fresh, event="at"), now=days(1)).results
    assert [(r.kind, r.passed, r.observed) for r in found if r.kind != "future"] == [
        ("fresh", False, "newest row is 23 hours 50 minutes old")
    ]


@pytest.mark.parametrize("edge", ["least", "greatest", "only"])
def test_a_key_at_the_very_edge_of_a_file_is_replaced(bench: Bench, edge: str) -> None:
    old = {"least": [5, 6, 7], "greatest": [3, 4, 5], "only": [5]}[edge]
    spec = incremental(("id",))
    bench.source.held["t"] = table([*((i, n, 0.0) for n, i in enumerate(old)), (100, 50, 0.0)])
    first = bench.collect(spec).manifest
    one = bench.collect(replace(spec, query=replace(spec.query, sql="SELECT * FROM ops.t WHERE id < 100")))
    parted = replace(
        first, parts=one.manifest.parts
    )  # a file whose least or greatest key is the one that comes
    bench.source.held["t"] = table([(5, 60, 9.0)])
    merged = cells(bench, bench.collect(spec, parted).manifest)
    assert merged == sorted([*((i, 0.0) for i in old if i != 5), (5, 9.0)])


# --- the same rows as all at once --------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A row in its source from day to day: `then`, once it is corrected, stands in its place."""

    key: int
    at: int
    x: float
    come: float  # day
    gone: float = 1e9


@st.composite
def lines(draw: st.DrawFn) -> list[Line]:
    """Rows that come late, early, wrong by years and then corrected or taken back, or again with a later time."""
    out: list[Line] = []
    taken: set[tuple[int, int]] = set()  # of a key one row a time: "latest" is never a tie

    def add(line: Line) -> bool:
        free = (line.key, line.at // DAY) not in taken
        if free:
            taken.add((line.key, line.at // DAY))
            out.append(line)
        return free

    for _ in range(draw(st.integers(1, 40))):
        key, x = draw(st.integers(0, 12)), float(draw(st.integers(0, 9)))
        at = draw(st.integers(0, 5 * DAY // 60)) * 60  # by the hour: many are equal, also to the watermark
        come = (at + draw(st.integers(0, DAY))) / DAY
        kind = draw(
            st.sampled_from(["late", "late", "skewed", "planned", "typo", "typo taken back", "again"])
        )
        if kind == "skewed":
            add(Line(key, at, x, max(0.0, at / DAY - 0.5)))
        elif kind == "planned":
            add(Line(key, at + draw(st.integers(0, 3)) * DAY, x, come))
        elif kind.startswith("typo"):
            fixed = come + draw(st.integers(1, 3))
            if add(Line(key, at + FAR, min(x, 8.0), come, fixed)) and kind == "typo":
                add(Line(key, at, min(x, 8.0), fixed))
        else:
            add(Line(key, at, x, come))
            if kind == "again":
                later = draw(st.integers(1, 2)) * DAY
                add(Line(key, at + later, x, come + later / DAY))
    return out


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("key", [(), ("id",)])
@settings(max_examples=4, deadline=None)
@given(made=lines(), back=st.sampled_from([0.0, 0.75]))
def test_days_read_one_by_one_are_the_same_as_all_at_once(
    tmp_path_factory: pytest.TempPathFactory, key: tuple[str, ...], times: str, made: list[Line], back: float
) -> None:
    """Rows arrive up to a day after they happened, which the lookback covers; on day 4 the clock is set back."""
    bench = make_bench(Path(tmp_path_factory.mktemp("replay")))
    spec = incremental(key, timedelta(days=1), check("x < 9", OnFail.QUARANTINE))
    manifest: Manifest | None = None
    for day in range(1, 9):
        there = [(n.key, n.at, n.x) for n in made if n.come <= day < n.gone]
        if not any(x < 9 for _, _, x in there):
            continue
        now = days(day - (back if day == 4 else 0))
        bench.source.held["t"] = table(there, times, 1_000)
        manifest = bench.collect(spec, manifest, now=now).manifest
        if day in (4, 5, 8):
            whole = bench.collect(spec, now=now).manifest
            assert _sorted(bench.rows(manifest)) == _sorted(bench.rows(whole))
        assert manifest.watermark is None or manifest.watermark <= now.replace(tzinfo=None).isoformat(
            timespec="microseconds"
        )


def _sorted(found: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted((r["at"], r["id"], r["x"]) for r in found)


def test_daily_refreshes_around_rows_of_the_future_do_not_leave_a_file_each(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merge, "SMALL_ROWS", 50)
    spec = incremental(("id",), timedelta(minutes=5))
    far = [(9_000 + n, FAR + n, 0.0) for n in range(5)]
    bench.source.held["t"] = table([*((i, i, 0.0) for i in range(100)), *far])
    manifest = bench.collect(spec, now=NOW).manifest
    for day in range(1, 11):
        bench.source.held["t"] = table([*((i, i, 0.0) for i in range(100 + day * 10)), *far])
        manifest = bench.collect(spec, parent=manifest, now=NOW).manifest
    assert manifest.rows == 205
    assert len(manifest.parts) <= 4


def test_a_row_of_this_very_instant_is_not_of_the_future(bench: Bench) -> None:
    bench.source.held["t"] = table([(1, 0, 0.0), (2, DAY, 0.0), (3, FAR, 0.0)])
    found = bench.collect(incremental(("id",)), now=days(1))
    assert found.manifest.watermark == "2024-01-02T00:00:00.000000"
    assert [r.failed for r in found.results if r.kind == "future"] == [1]


def test_of_dates_a_part_of_a_day_that_is_looked_back_on_is_the_whole_day(bench: Bench) -> None:
    spec = incremental(("id",), timedelta(hours=12))
    bench.source.held["t"] = table([(n, n * DAY, 0.0) for n in range(5)], "date")
    first = bench.collect(spec, now=days(5))
    bench.source.held["t"] = table([(n, n * DAY, 1.0) for n in range(5)], "date")
    second = bench.collect(spec, first.manifest, now=days(5))
    assert cells(bench, second.manifest) == [(0, 0.0), (1, 0.0), (2, 0.0), (3, 1.0), (4, 1.0)]


def test_one_of_two_equal_rows_of_the_future_that_goes_back_in_time_is_found(bench: Bench) -> None:
    days_ = [(n, n * DAY, 0.0) for n in range(5)]
    bench.source.held["t"] = table([*days_, (9, FAR, 0.0), (9, FAR, 0.0)])
    first = bench.collect(incremental(), now=days(5))
    bench.source.held["t"] = table([*days_, (9, FAR, 0.0), (9, DAY, 0.0)])
    second = bench.collect(incremental(), first.manifest, now=days(5))
    assert sorted((r["id"], r["at"].year) for r in bench.rows(second.manifest))[-2:] == [(9, 2024), (9, 2098)]
