"""USUAL: what a dataset's history says of what came, on rows that a source gives."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from data_bench import Bench, check, dataset

from tilth.core.errors import CheckFailedError, InputError
from tilth.kinds import parse_one
from tilth.ml.data.collect import Collected
from tilth.ml.data.usual import calendar, counted, families
from tilth.ml.data.usual.calendar import DAY, HOUR, MONTH, WEEK
from tilth.ports.history import History, Past
from tilth.sql.language.statements import CheckKind, CreateDataset, Expectation, OnFail, Refresh

START = datetime(2025, 9, 1)  # a Monday
ALL = "USUAL (volume, freshness, nulls, distribution) FALSE ALARMS '1 per quarter'"


def item(text: str = ALL, on_fail: OnFail = OnFail.WARN) -> Expectation:
    made = parse_one(f"CREATE DATASET d EVENT TIME at EXPECT ({text} ON FAIL {on_fail.name}) AS SELECT 1")
    assert isinstance(made, CreateDataset)
    return made.expect[0]


def counts(days: int, seed: int = 1, usual: int = 300) -> list[int]:
    """Rows of each day: fewer at the weekend, growing slowly, within some 1.5 %."""
    rng = np.random.default_rng(seed)
    each = [usual * (0.6 if d % 7 > 4 else 1.0) * (1 + d / 1000) for d in range(days)]
    return [round(n * float(np.exp(0.015 * rng.normal()))) for n in each]


def rows(
    of_days: Sequence[int], *, gaps: Sequence[float] = (), shift: float = 0.0, odd: str = "b"
) -> pa.Table:
    """Rows spread over their days; of the last day `gaps` of y is missing, x lies higher, and a third of `kind` is odd."""
    rng = np.random.default_rng(7)
    out = []
    for d, n in enumerate(of_days):
        last = d == len(of_days) - 1
        at = np.datetime64(START, "us") + d * 86_400_000_000 + np.arange(n) * (86_400_000_000 // max(n, 1))
        gone = rng.random(n) < (gaps[0] if gaps and last else 0.02)
        out.append(
            pa.table(
                {
                    "id": np.arange(n) + d * 1_000_000,
                    "at": pa.array(at, pa.timestamp("us")),
                    "x": rng.normal(size=n) + (shift if last else 0.0),
                    "y": pa.array(rng.normal(size=n), mask=gone),
                    "kind": pa.array(np.where(rng.random(n) < 0.7, "a", odd if last else "b"), pa.string()),
                }
            )
        )
    return pa.concat_tables(out)


def day(of: float) -> datetime:
    return (START + timedelta(days=of)).replace(tzinfo=UTC)


def said(found: Collected, aspect: str) -> Any:
    return next(r for r in found.results if r.check == f"USUAL {aspect}")


def over(
    bench: Bench, table: pa.Table, days: float, expect: Expectation | None = None, **more: Any
) -> Collected:
    bench.source.held["t"] = table
    spec = dataset("SELECT * FROM ops.t", expect or item(), key=("id",), event="at")
    return bench.collect(spec, now=day(days), **more)


USUAL = counts(60)


@pytest.mark.parametrize(
    ("table", "aspect", "words"),
    [
        (rows([*USUAL[:-1], round(USUAL[-1] * 0.9)]), "volume", "rows came on Thursday 2025-10-30; usual on a Thursday is "),
        (rows([*USUAL[:-1], 0, 3][:61]), "volume", "0 rows came on Thursday 2025-10-30"),
        (rows([*USUAL[:-1], round(USUAL[-1] * 1.2)]), "volume", "usual on a Thursday is "),
        (rows(USUAL, gaps=[0.15]), "nulls", "% of y is missing on Thursday 2025-10-30; usual is "),
        (rows(USUAL, shift=0.7), "distribution", "% of x is at most "),
        (rows(USUAL, odd="c"), "distribution", "% of kind is 'b' on Thursday"),
    ],
)  # fmt: skip
def test_what_is_not_as_usual_is_told_with_what_is(
    bench: Bench, table: pa.Table, aspect: str, words: str
) -> None:
    found = over(bench, table, 60.2)
    failing = [r.check for r in found.results if not r.passed and r.kind == "usual"]
    assert failing == [f"USUAL {aspect}"]
    assert words in said(found, aspect).observed


def test_a_usual_day_passes_with_its_bounds_and_the_smallest_loss_that_would_be_seen(bench: Bench) -> None:
    found = over(bench, rows(USUAL), 60.2)
    volume = said(found, "volume")
    assert (volume.passed, volume.judged, volume.on_fail) == (True, True, "warn")
    assert volume.low < USUAL[-1] < volume.high
    assert round(volume.value) == USUAL[-1]
    loss = float(volume.observed.partition("a loss of ")[2].partition(" %")[0])
    assert 3 < loss < 10
    assert not [r for r in found.results if not r.passed]


def test_a_check_that_stops_publishes_nothing_and_says_where_it_stands(bench: Bench) -> None:
    table = rows([*USUAL[:-1], round(USUAL[-1] * 0.8)])
    with pytest.raises(CheckFailedError, match="USUAL volume does not hold") as caught:
        over(bench, table, 60.2, item(on_fail=OnFail.STOP))
    assert caught.value.where is not None


@pytest.mark.parametrize("days", [1, 3, 21])
def test_below_three_weeks_it_is_refused_and_said(bench: Bench, days: int) -> None:
    found = over(bench, rows(USUAL[:days]), days + 0.2)
    volume = said(found, "volume")
    assert not volume.judged
    assert volume.observed == f"not judged yet: {days - 1} of 21 days are there to learn from"
    assert any("is not judged yet" in t.text for t in found.told)


def test_each_day_is_judged_once_at_the_first_refresh_that_finds_it_complete(bench: Bench) -> None:
    table = rows([*USUAL[:-1], round(USUAL[-1] * 0.8)])
    past = History((Past(day(59.2), 1, (START + timedelta(days=59.19)).isoformat()),))
    assert not said(over(bench, table, 60.2, history=past), "volume").passed
    past = History((Past(day(60.2), 1, (START + timedelta(days=60)).isoformat()),))
    again = said(over(bench, table, 60.7, history=past), "volume")
    assert (again.judged, again.observed) == (False, "no day was completed since the last refresh")


def test_a_day_that_is_not_over_is_not_judged(bench: Bench) -> None:
    found = over(bench, rows([*USUAL, 20]), 60.3)
    assert "Thursday 2025-10-30" in said(found, "volume").observed
    assert said(found, "volume").passed


def test_only_new_files_are_counted(bench: Bench) -> None:
    spec = replace(
        dataset("SELECT * FROM ops.t", item(), key=("id",), event="at", lookback=timedelta(hours=1)),
        refresh=Refresh(incremental=True, lookback=timedelta(hours=1)),
    )
    big = counts(60, usual=1_500)  # more than a part that is joined with what comes next
    bench.source.held["t"] = rows(big[:-1])
    first = bench.collect(spec, now=day(59.1))
    kept = {k: v for k, (_, v) in first.states.items()}
    assert sorted(c is None for c, _ in first.states.values()) == [False, True]
    bench.source.held["t"] = rows(big)
    past = History((Past(day(59.1), 1, first.manifest.watermark),), kept)
    second = bench.collect(spec, first.manifest, now=day(60.1), history=past)
    whole = bench.collect(spec, now=day(60.1), history=History(past.refreshes))
    for aspect in ("volume", "nulls"):
        assert said(second, aspect).observed == said(whole, aspect).observed
    assert set(second.states).isdisjoint(first.states)


def test_the_order_of_rows_makes_no_difference(bench: Bench) -> None:
    table = rows(USUAL)
    mixed = table.take(np.random.default_rng(2).permutation(table.num_rows))
    one, other = over(bench, table, 60.2), over(bench, mixed, 60.2)
    assert [r.observed for r in one.results] == [r.observed for r in other.results]


def test_how_fresh_rows_are_is_judged_against_the_refreshes_before(bench: Bench) -> None:
    rng = np.random.default_rng(4)
    ages = [3 * float(np.exp(0.1 * rng.normal())) for _ in range(59)]
    past = History(
        tuple(
            Past(day(d + 1), 100, (START + timedelta(days=d + 1, hours=-age)).isoformat())
            for d, age in enumerate(ages)
        )
    )
    late = over(bench, rows(USUAL), 60.6, item("USUAL (freshness)"), history=past)
    fresh = said(late, "freshness")
    assert not fresh.passed
    assert "the newest row is 14 hours" in fresh.observed
    assert said(over(bench, rows(USUAL), 60.13, item("USUAL (freshness)"), history=past), "freshness").passed


@pytest.mark.parametrize(("now", "passed"), [(1_010, True), (700, False)])
def test_without_an_event_time_each_refresh_is_a_period(bench: Bench, now: int, passed: bool) -> None:
    rng = np.random.default_rng(3)
    past = History(tuple(Past(day(d), 1000 + int(rng.integers(-9, 9)), None) for d in range(40)))
    bench.source.held["t"] = pa.table({"id": np.arange(now), "x": np.arange(now) % 7})
    found = bench.collect(
        dataset("SELECT * FROM ops.t", item("USUAL (volume)"), key=("id",)), now=day(40), history=past
    )
    assert said(found, "volume").passed is passed
    assert "rows are there; usual on a Saturday is" in said(found, "volume").observed


def test_gaps_and_values_of_refreshes_are_kept_for_the_next(bench: Bench) -> None:
    spec = dataset("SELECT * FROM ops.t", item("USUAL (nulls, distribution)"), key=("id",))
    past, states = [Past(day(-1), 1, None)], dict[str, bytes]()
    rng = np.random.default_rng(5)
    for d in range(30):
        gone = rng.random(2_000) < (0.01 if d < 29 else 0.2)
        bench.source.held["t"] = pa.table(
            {"id": np.arange(2_000), "x": pa.array(rng.normal(size=2_000), mask=gone)}
        )
        found = bench.collect(spec, now=day(d), history=History(tuple(past), states))
        states |= {k: v for k, (_, v) in found.states.items()}
        past.append(Past(day(d), 2_000, None))
        if d < 29:
            assert not [r for r in found.results if not r.passed], d
    assert not said(found, "nulls").passed
    assert "% of x is missing now; usual is" in said(found, "nulls").observed


@pytest.mark.parametrize(
    ("table", "days"),
    [
        (rows([100] * 60), 60.2),  # always the same
        (rows([1] * 60), 60.2),
        (rows([0 if d % 7 > 4 else 200 + d % 5 for d in range(60)]), 60.2),  # never at weekends
        (rows([*USUAL[:20], *[0] * 9, *USUAL[29:]]), 60.2),  # a gap
    ],
    ids=["constant", "one row", "zeros", "a gap"],
)
def test_odd_series_are_judged_quietly(bench: Bench, table: pa.Table, days: float) -> None:
    found = over(bench, table, days)
    assert not [r for r in found.results if not r.passed]
    assert said(found, "volume").judged


def test_what_lasts_becomes_usual_within_two_weeks(bench: Bench) -> None:
    table = rows([*USUAL[:40], *[round(n * 2) for n in USUAL[40:]]])
    past = History((Past(day(40.2), 1, (START + timedelta(days=40)).isoformat()),))
    found = said(over(bench, table, 60.2, item("USUAL (volume)"), history=past), "volume")
    assert 3 <= found.failed <= 14
    assert said(over(bench, table, 60.2, item("USUAL (volume)")), "volume").passed


def test_a_day_without_rows_is_seen_on_a_kind_of_day_that_was_not_seen_yet(bench: Bench) -> None:
    table = rows([*USUAL[:29], 0, 5])  # the first end of a month
    found = said(over(bench, table, 30.9), "volume")
    assert not found.passed
    assert "0 rows came on Tuesday 2025-09-30" in found.observed


def test_a_constant_series_goes_off_when_it_changes(bench: Bench) -> None:
    assert not said(over(bench, rows([*[100] * 59, 97]), 60.2), "volume").passed


@pytest.mark.parametrize(
    ("each", "judged"),
    [
        (19, {"volume"}),
        (24, {"volume", "nulls", "distribution"}),
    ],
)
def test_shares_of_periods_with_few_rows_are_not_judged_and_it_is_said(
    bench: Bench, each: int, judged: set[str]
) -> None:
    found = over(bench, rows([each] * 60), 60.2, item("USUAL (volume, nulls, distribution)"))
    usual = [r for r in found.results if r.kind == "usual"]
    assert {r.check.removeprefix("USUAL ") for r in usual if r.judged} == judged
    assert not [r.observed for r in usual if "nan" in r.observed or "inf" in r.observed]
    told = " ".join(n.text for n in found.told)
    assert ("20 rows or more, and a day has fewer here" in told) == (len(judged) == 1)


@pytest.mark.parametrize("place", ["XX", "DE-QQ"])
def test_a_place_without_holidays_is_an_error_at_the_first_refresh(bench: Bench, place: str) -> None:
    with pytest.raises(InputError, match="is no place"):
        over(bench, rows(USUAL[:3]), 3.2, item(f"USUAL (volume) HOLIDAYS '{place}'"))


def test_a_holiday_is_known_by_its_country_and_another_place_is_an_error(bench: Bench) -> None:
    thin = counts(120, usual=400)
    days = [(START + timedelta(days=d)).date() for d in range(120)]
    off = {date(2025, 9, 1), date(2025, 10, 13), date(2025, 11, 11), date(2025, 11, 27)}
    quiet = [
        round(n * (0.55 + 0.1 * (d.day % 2))) if d in off else n for d, n in zip(days, thin, strict=True)
    ]
    thanksgiving = days.index(date(2025, 11, 27))
    table = rows(quiet[: thanksgiving + 1])
    assert not said(over(bench, table, thanksgiving + 1.2, item("USUAL (volume)")), "volume").passed
    known = said(over(bench, table, thanksgiving + 1.2, item("USUAL (volume) HOLIDAYS 'US'")), "volume")
    assert known.passed
    assert "usual on a holiday is" in known.observed
    with pytest.raises(InputError, match="no place"):
        over(bench, table, thanksgiving + 1.2, item("USUAL (volume) HOLIDAYS 'XX'"))


def test_many_columns_are_watched_up_to_a_bound_that_is_said(bench: Bench) -> None:
    base = rows(counts(30, usual=40))
    more = {f"c{i}": pa.array(np.arange(base.num_rows) % 5) for i in range(520)}
    table = pa.table(
        {**{n: base[n] for n in base.column_names}, "select": base["x"], 'a"b': base["kind"], **more}
    )
    found = over(bench, table, 30.2)
    told = [t.text for t in found.told if t.kind == "left_out"]
    assert any("the first 500 columns alone" in t for t in told)
    assert any("distribution does not watch" in t and "more" in t for t in told)
    assert said(found, "nulls").judged


def test_values_of_tagged_columns_are_not_looked_at(bench: Bench) -> None:
    made = parse_one(
        "CREATE DATASET d KEY (id) EVENT TIME at TAG (kind = 'pii', x = 'pii') EXPECT (USUAL (distribution) ON FAIL WARN) AS SELECT * FROM ops.t"
    )
    assert isinstance(made, CreateDataset)
    bench.source.held["t"] = rows(USUAL)
    found = bench.collect(made, now=day(60.2))
    kept = next(v for k, (_, v) in found.states.items() if k.endswith(":watched"))
    watched = {c.name: c for c in counted.Watched.from_plain(kept).columns}
    assert (watched["kind"].values, watched["x"].edges) == ((), ())
    assert watched["y"].edges


def test_a_check_beside_others_keeps_their_order(bench: Bench) -> None:
    bench.source.held["t"] = rows(USUAL)
    spec = dataset(
        "SELECT * FROM ops.t",
        item(),
        check("x < 99"),
        check("count(*) > 1", kind=CheckKind.SET),
        key=("id",),
        event="at",
    )
    kinds = [r.kind for r in bench.collect(spec, now=day(60.2)).results]
    assert kinds == ["key", "row", "set", "usual", "usual", "usual", "usual"]


@pytest.mark.parametrize(
    ("grain", "moment", "index", "start"),
    [
        (DAY, datetime(2026, 3, 29, 1, 30), 20541, datetime(2026, 3, 29)),  # clocks change, days do not
        (HOUR, datetime(2026, 3, 29, 1, 30), 20541 * 24 + 1, datetime(2026, 3, 29, 1)),
        (WEEK, datetime(2026, 3, 29), 2933, datetime(2026, 3, 23)),
        (MONTH, datetime(2026, 3, 29), 674, datetime(2026, 3, 1)),
    ],
)
def test_periods_are_numbered(grain: calendar.Grain, moment: datetime, index: int, start: datetime) -> None:
    assert (grain.index(moment), grain.start(index)) == (index, start)


def test_a_period_is_named_as_people_do() -> None:
    assert calendar.words(datetime(2026, 11, 30), DAY) == (
        "Monday 2026-11-30",
        "on a Monday that ends a month",
    )
    assert calendar.words(datetime(2026, 12, 25), DAY, holiday=True)[1] == "on a holiday"
    assert calendar.words(datetime(2026, 11, 30, 7), HOUR)[0] == "Monday 2026-11-30 07:00"


@pytest.mark.parametrize("scale", [families.LOG, families.ROOT, families.LAG, families.SHARE])
def test_a_scale_is_undone(scale: str) -> None:
    value = 0.3
    made = {
        families.LOG: np.log(value + 1),
        families.ROOT: 2 * np.sqrt(value + 0.375),
        families.LAG: np.log(value + families.MOMENT),
        families.SHARE: np.arcsin(np.sqrt(value)),
    }
    assert families.plain(scale, float(made[scale])) == pytest.approx(value)


def test_shares_are_said_as_they_are_counted_and_columns_may_be_called_as_they_like(bench: Bench) -> None:
    table = rows(USUAL).rename_columns(["id", "at", "p", "y", "kind"])
    whole = table.set_column(3, "y", pa.array(np.zeros(table.num_rows)))
    found = over(bench, whole, 60.2)
    assert (said(found, "nulls").passed, said(found, "nulls").value) == (True, 0.0)
    assert "0 % of " in said(found, "nulls").observed
    assert said(found, "volume").observed.startswith(f"{USUAL[-1]} rows came on")
