"""A forecast is fitted, kept as files and asked: of known groups, of newer history, of groups that it does not know."""

import json
import time
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from series_made import days, hours, months, table, wave

from tilth.core.errors import DataError, InputError, MissingExtraError, TamperError
from tilth.ml.forecasting import files
from tilth.ml.forecasting.fitting import Fitted, fit
from tilth.ml.forecasting.forecaster import Forecaster
from tilth.ml.forecasting.spec import Limits, Options, Spec

QUICK = ("last", "drift", "mean", "seasonal", "cycles", "smoothing", "theta", "decomposed", "linear")
SMALL = Limits(pairs=2_000)


def spec(horizon: int = 4, members: tuple[str, ...] = QUICK, **more: Any) -> Spec:
    return Spec("t", ("y",), horizon, ("g",), options=Options(members=members), limits=SMALL, **more)


def three() -> pa.Table:
    return table(
        *(
            (g, days(60), wave(60, 7, level, seed=i))
            for i, (g, level) in enumerate((("a", 50), ("b", 100), ("c", 900)))
        )
    )


@cache
def whole() -> Fitted:
    return fit(three(), spec(members=Options().members))


@cache
def quick() -> Fitted:
    return fit(three(), spec())


def column(answers: pa.Table, name: str = "y") -> np.ndarray:
    return answers.column(name).to_numpy()


def test_every_group_is_answered_from_its_end_with_an_interval() -> None:
    answers = whole().forecaster.forecast().table
    assert answers.schema.names == ["g", "t", "y", "y_lower", "y_upper"]
    assert answers.schema.field("t").type == pa.date32()
    assert answers.column("g").to_pylist() == [g for g in "abc" for _ in range(4)]
    assert answers.column("t").to_pylist() == days(4, date(2024, 3, 1)) * 3
    assert (column(answers, "y_lower") < column(answers)).all()
    assert (column(answers) < column(answers, "y_upper")).all()
    truth = np.concatenate([wave(64, 7, level, noise=0.0)[60:] for level in (50, 100, 900)])
    assert np.abs(column(answers) - truth).mean() < 2


def test_what_is_read_from_files_answers_the_same() -> None:
    kept = whole().files()
    read = files.read(kept)
    assert files.written(read) == kept
    assert read.forecast().table.equals(whole().forecaster.forecast().table)
    assert read.forecast(history=three()).table.equals(whole().forecaster.forecast(history=three()).table)


def test_kept_answers_are_those_that_are_computed_anew() -> None:
    kept = whole().forecaster.forecast().table
    anew = whole().forecaster.forecast(history=three()).table
    assert anew.drop_columns(["y", "y_lower", "y_upper"]).equals(
        kept.drop_columns(["y", "y_lower", "y_upper"])
    )
    for name in ("y", "y_lower", "y_upper"):
        assert column(anew, name) == pytest.approx(column(kept, name))


def test_equal_rows_and_seeds_give_equal_bytes() -> None:
    assert (
        fit(three(), spec(members=("seasonal", "linear", "trees"))).files()
        == fit(three(), spec(members=("seasonal", "linear", "trees"))).files()
    )


def _spoiled(kept: dict[str, bytes], how: str) -> dict[str, bytes]:
    head = json.loads(kept[files.HEAD])
    if how == "no head":
        return {k: v for k, v in kept.items() if k != files.HEAD}
    if how == "no arrays":
        return {**kept, files.ARRAYS: b"PK"}
    if how == "cut groups":
        return {**kept, files.GROUPS: kept[files.GROUPS][:20]}
    if how == "format":
        head["format"] = 99
    if how == "members":
        head["states"][0]["members"].append("last")
    if how == "horizon":
        head["spec"]["horizon"] = 7
    if how == "unknown member":
        head["states"][0]["members"][0] = "prophet"
    if how in {"compressed", "group", "numbers"}:
        arrays = files._unpacked(kept[files.ARRAYS])
        if how == "compressed":
            import io

            np.savez_compressed(buffer := io.BytesIO(), **arrays)
            return {**kept, files.ARRAYS: buffer.getvalue()}
        arrays["0_members"] = arrays["0_members"] + (3 if how == "group" else 0.5)
        return {**kept, files.ARRAYS: files._packed(arrays)}
    if how == "text":
        name = next(k for k in kept if k.endswith(".txt"))
        return {k: v for k, v in kept.items() if k != name}
    if how == "pickle":
        return {**kept, files.ARRAYS: files._packed({"keys": np.array([object()], dtype=object)})}
    return {**kept, files.HEAD: json.dumps(head).encode()}


@pytest.mark.parametrize(
    "how",
    [
        "no head",
        "no arrays",
        "cut groups",
        "format",
        "members",
        "horizon",
        "text",
        "pickle",
        "unknown member",
        "compressed",
        "group",
        "numbers",
    ],
)
def test_files_that_do_not_fit_together_are_refused(how: str) -> None:
    with pytest.raises(TamperError):
        files.read(_spoiled(whole().files(), how))


# --- asking ------------------------------------------------------------------------------------------------


def names(*groups: str) -> pa.Table:
    return pa.table({"g": list(groups)})


@pytest.mark.parametrize(
    ("asked", "groups", "last"),
    [
        ({}, "abc", 4),
        ({"groups": names("b")}, "b", 4),
        ({"groups": names("c", "a", "c")}, "ca", 4),
        ({"horizon": 2}, "abc", 2),
        ({"horizon": 9}, "abc", 9),
        ({"until": date(2024, 3, 2)}, "abc", 2),
        ({"until": datetime(2024, 3, 3, 23)}, "abc", 3),
        ({"until": date(2024, 2, 1)}, "", 0),
        ({"horizon": 3, "until": date(2024, 3, 2)}, "abc", 2),
    ],
)
def test_what_is_asked_is_answered(asked: dict[str, Any], groups: str, last: int) -> None:
    answers = quick().forecaster.forecast(**asked)
    assert answers.table.column("g").to_pylist() == [g for g in groups for _ in range(last)]
    if groups:
        assert answers.table.column("t").to_pylist() == days(last, date(2024, 3, 1)) * len(groups)
    assert [n.reason for n in answers.notices] == (["far"] if last > 4 else [])


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"groups": names("d")}, "knows no group g = d"),
        ({"groups": pa.table({"h": ["a"]})}, "`g` is missing"),
        ({"groups": names("aa")}, "Did you mean 'a'"),
        ({"horizon": 0}, "1 step or more"),
        ({"horizon": 41}, "answers 40 at most"),
        ({"until": date(2030, 1, 1)}, "answers 40 at most"),
        ({"history": pa.table({"g": ["a"], "t": [date(2024, 3, 1)]})}, "`y` is missing"),
    ],
)
def test_what_cannot_be_answered_is_refused(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        quick().forecaster.forecast(**asked)


def test_intervals_grow_beyond_what_was_judged() -> None:
    answers = quick().forecaster.forecast(groups=names("a"), horizon=16).table
    width = column(answers, "y_upper") - column(answers, "y_lower")
    assert (np.diff(width[4:]) > 0).all()
    assert width[15] >= width[3]


def test_newer_rows_go_on_after_what_is_known() -> None:
    newer = table(("b", days(5, date(2024, 3, 1)), wave(65, 7, 100, seed=1)[60:]))
    answers = quick().forecaster.forecast(history=newer)
    assert answers.table.column("g").to_pylist() == ["b"] * 4
    assert answers.table.column("t").to_pylist() == days(4, date(2024, 3, 6))
    truth = wave(69, 7, 100, noise=0.0)[65:]
    assert np.abs(column(answers.table) - truth).mean() < 3


def test_a_newer_level_is_followed() -> None:
    moved = [v + 500 for v in wave(100, 7, 100, seed=1)[60:]]
    answers = quick().forecaster.forecast(history=table(("b", days(40, date(2024, 3, 1)), moved))).table
    assert column(answers).min() > 500


def test_a_group_that_is_not_known_is_answered_by_its_own_history() -> None:
    new = table(
        ("new", days(50, date(2022, 5, 2)), wave(50, 7, 3_000)), ("newer", days(4), [5.0, 6.0, 7.0, 8.0])
    )
    answers = whole().forecaster.forecast(history=new)
    assert answers.table.column("g").to_pylist() == ["new"] * 4 + ["newer"] * 4
    assert answers.table.column("t").to_pylist() == days(4, date(2022, 6, 21)) + days(4, date(2024, 1, 5))
    assert np.abs(column(answers.table)[:4] - wave(54, 7, 3_000, noise=0.0)[50:]).mean() < 5
    assert not np.isnan(column(answers.table)).any()


def test_a_short_history_is_left_out_and_told() -> None:
    answers = quick().forecaster.forecast(
        history=table(("new", days(2), [1.0, 2.0]), ("b", days(1, date(2024, 3, 1)), [90.0]))
    )
    assert set(answers.table.column("g").to_pylist()) == {"b"}
    assert [(n.reason, n.left_out) for n in answers.notices] == [("short", True)]


def test_a_history_of_another_step_is_refused() -> None:
    with pytest.raises(DataError, match="no regular step"):
        quick().forecaster.forecast(history=table(("new", hours(30), wave(30, 7))))


def test_a_history_beside_the_times_of_the_training_is_refused() -> None:
    hours = [datetime(2024, 1, 1) + timedelta(hours=n) for n in range(40)]
    model = fit(table(("a", hours, range(40))), spec(2)).forecaster
    late = [h + timedelta(minutes=7) for h in hours]
    with pytest.raises(DataError, match="beside the times of the training"):
        model.forecast(history=table(("a", late, range(40))))


def test_a_group_that_was_left_out_is_told_when_it_is_asked() -> None:
    found = fit(pa.concat_tables([three(), table(("short", days(2), [1.0, 2.0]))]), spec()).forecaster
    answers = found.forecast(groups=names("short", "a"))
    assert set(answers.table.column("g").to_pylist()) == {"a"}
    assert [(n.reason, n.examples, n.left_out) for n in answers.notices] == [("none", (("short",),), True)]
    assert found.forecast(groups=names("short")).table.num_rows == 0


def test_no_group_asked_is_no_row() -> None:
    assert quick().forecaster.forecast(groups=names("a").slice(0, 0)).table.num_rows == 0


def test_a_group_that_ended_long_ago_does_not_keep_others_from_an_answer() -> None:
    rows = pa.concat_tables([three(), table(("old", days(30, date(2020, 1, 1)), wave(30, 7)))])
    answers = fit(rows, spec()).forecaster.forecast(until=date(2024, 3, 2))
    assert answers.table.column("g").to_pylist() == [*"aabbcc", *["old"] * 40]
    assert [(n.reason, n.examples) for n in answers.notices if n.reason == "early"] == [
        ("early", (("old",),))
    ]


# --- rules -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "said"),
    [([7.0] * 30, 7.0), ([0.0] * 30, 0.0), ([-3.0] * 30, -3.0)],
)
def test_a_series_that_never_moved_goes_on(values: list[float], said: float) -> None:
    answers = fit(
        pa.concat_tables([three(), table(("flat", days(30), values))]), spec(members=Options().members)
    )
    own = answers.forecaster.forecast(groups=names("flat")).table
    for name in ("y", "y_lower", "y_upper"):
        assert column(own, name).tolist() == [said] * 4
    alone = (
        fit(table(("flat", days(30), values)), spec(members=Options().members)).forecaster.forecast().table
    )
    assert column(alone).tolist() == [said] * 4


@pytest.mark.parametrize(
    ("points", "horizon", "hint"),
    [(3, 1, "more rows"), (8, 12, "HORIZON 5 or less"), (15, 13, "HORIZON 12 or less")],
)
def test_a_horizon_longer_than_the_history_is_refused(points: int, horizon: int, hint: str) -> None:
    with pytest.raises(DataError, match=f"needs a series of at least {horizon + 3} values") as refused:
        fit(table(("a", days(points), range(points))), spec(horizon))
    assert hint in str(refused.value)


@pytest.mark.parametrize(("points", "origins"), [(6, 1), (9, 2), (40, 15)])
def test_few_inner_windows_are_told(points: int, origins: int) -> None:
    found = fit(table(("a", days(points), wave(points, 5))), spec(2)).evidence
    assert len(found.trials[0].offsets) == origins
    assert ("origins" in {n.reason for n in found.notices}) == (origins < 4)


def test_what_was_never_below_0_is_not_forecast_below_it() -> None:
    rng = np.random.default_rng(0)
    fading = np.maximum(0, 40 - np.arange(60) + rng.normal(0, 4, 60)).tolist()
    answers = fit(table(("a", days(60), fading)), spec(8)).forecaster.forecast().table
    assert column(answers).min() >= 0
    assert column(answers, "y_lower").min() >= 0
    moved = [v - 10 for v in fading]
    below = fit(table(("a", days(60), moved)), spec(8)).forecaster.forecast().table
    assert column(below, "y_lower").min() < -5


def test_groups_that_end_early_and_begin_late_are_answered_from_their_end() -> None:
    rows = table(
        ("early", days(40), wave(40, 7)),
        ("late", days(20, date(2024, 2, 10)), wave(20, 7)),
        ("whole", days(60), wave(60, 7)),
    )
    found = fit(rows, spec())
    first = dict(
        zip(
            reversed(found.forecaster.forecast().table.column("g").to_pylist()),
            reversed(found.forecaster.forecast().table.column("t").to_pylist()),
            strict=True,
        )
    )
    assert first == {"early": date(2024, 2, 10), "late": date(2024, 3, 1), "whole": date(2024, 3, 1)}
    assert [n.examples for n in found.evidence.notices if n.reason == "early"] == [(("early",),)]


@pytest.mark.parametrize(
    ("times", "after"),
    [
        (months(40, 31), months(3, 31, 40)),
        (months(40, 30), months(3, 30, 40)),
        (months(40)[::1], months(3, 1, 40)),
        (days(40, date(2024, 1, 20)), days(3, date(2024, 2, 29))),
        (hours(40, datetime(2024, 3, 29, 12)), hours(3, datetime(2024, 3, 31, 4))),
    ],
)
def test_the_next_times_are_those_of_the_calendar(times: list[date], after: list[date]) -> None:
    answers = fit(table(("a", times, wave(40, 4))), spec(3)).forecaster.forecast().table
    assert answers.column("t").to_pylist() == after


def test_several_targets_are_answered_side_by_side() -> None:
    rows = three()
    twice = pa.array([None if i % 60 > 56 else 2 * v for i, v in enumerate(rows.column("y").to_pylist())])
    found = fit(rows.append_column("z", twice), replace(spec(), targets=("y", "z")))
    answers = found.forecaster.forecast().table
    assert answers.schema.names == ["g", "t", "y", "y_lower", "y_upper", "z", "z_lower", "z_upper"]
    assert column(answers, "z") / column(answers) == pytest.approx(np.full(12, 2), rel=0.15)
    assert [t.target for t in found.evidence.trials] == ["y", "z"]


def test_a_series_without_groups() -> None:
    rows = three().slice(0, 60).drop_columns(["g"])
    found = fit(rows, replace(spec(), groups=()))
    loaded = files.read(found.files())
    assert loaded.forecast().table.schema.names == ["t", "y", "y_lower", "y_upper"]
    newer = pa.table({"t": days(2, date(2024, 3, 1)), "y": [40.0, 45.0]})
    assert loaded.forecast(history=newer).table.column("t").to_pylist() == days(4, date(2024, 3, 3))
    assert found.evidence.by_group().num_rows == 1


# --- covariates --------------------------------------------------------------------------------------------


def promoted(count: int, first: int = 0) -> pa.Table:
    """Sales that double on days of a promotion, which no season tells."""
    rng = np.random.default_rng(3)
    promo = rng.random(200) < 0.3
    y = 100 * (1 + promo) + rng.normal(0, 2, 200)
    part = slice(first, first + count)
    at = days(count, date(2024, 1, 1) + timedelta(days=first))
    return pa.table({
        "g": ["a"] * count, "t": at, "y": y[part], "promo": ["yes" if p else "no" for p in promo[part]], "kind": ["shop"] * count,
    })  # fmt: skip


@cache
def known() -> Fitted:
    asked = replace(
        spec(members=("seasonal", "mean", "trees")),
        known=("promo",),
        static=("kind",),
        limits=Limits(pairs=8_000),
    )
    return fit(promoted(180), asked)


@pytest.mark.parametrize("loaded", [False, True])
def test_what_is_known_ahead_is_followed(loaded: bool) -> None:
    asked = files.read(known().files()) if loaded else known().forecaster
    ahead = promoted(4, 180)
    answers = asked.forecast(future=ahead.drop_columns(["y", "kind"])).table
    assert np.abs(column(answers) / column(ahead) - 1).max() < 0.2


def test_a_history_needs_no_covariate_of_the_past() -> None:
    newer = promoted(5, 180).select(["g", "t", "y"])
    ahead = promoted(4, 185)
    answers = known().forecaster.forecast(history=newer, future=ahead.drop_columns(["y", "kind"])).table
    assert np.abs(column(answers) / column(ahead) - 1).max() < 0.2


@pytest.mark.parametrize(
    ("future", "words"),
    [
        (None, "`promo` of a has no value, .* at 2024-06-29T00:00:00"),
        (promoted(2, 180).drop_columns(["y"]), "`promo` of a has no value, .* at 2024-07-01"),
        (promoted(4, 180).drop_columns(["promo"]), "`promo` is missing"),
        (
            promoted(4, 180).set_column(3, "promo", pa.array(["yes", "no", "maybe", "no"])),
            "never saw, at 2024-07-01",
        ),
    ],
)
def test_a_covariate_that_is_missing_for_the_future_is_refused(future: pa.Table | None, words: str) -> None:
    with pytest.raises(InputError, match=words):
        known().forecaster.forecast(future=future)


def without(rows: pa.Table, *places: int) -> pa.Table:
    return rows.take([i for i in range(rows.num_rows) if i not in places])


@pytest.mark.parametrize(
    ("future", "gaps"),
    [
        (promoted(4, 180), 0),
        (without(promoted(4, 180), 1), 1),
        (without(promoted(4, 180), 0, 2), 2),
        (without(promoted(6, 180), 3), 1),
    ],
)
def test_a_step_without_a_row_between_rows_is_a_gap_and_told(future: pa.Table, gaps: int) -> None:
    found = known().forecaster.forecast(future=future.drop_columns(["y", "kind"]))
    assert found.table.num_rows == 4
    assert [n.count for n in found.notices if n.reason == "unknown"] == ([gaps] if gaps else [])


def test_what_is_known_ahead_is_not_asked_for_behind_what_is_of_interest() -> None:
    two = promoted(2, 180).drop_columns(["y", "kind"])
    until = int(np.datetime64(two.column("t")[1].as_py(), "us").astype(np.int64))
    assert known().forecaster.forecast(future=two, upto={("a",): until}).table.num_rows == 4
    with pytest.raises(InputError, match="2024-07-01"):
        known().forecaster.forecast(future=two, upto={("a",): until + 86_400_000_000})


def test_steps_after_the_year_9999_are_refused() -> None:
    model = quick().forecaster
    end = date(9999, 12, 31)
    history = table(("late", [end - timedelta(days=n) for n in range(11, -1, -1)], range(12)))
    with pytest.raises(InputError, match="year 9999"):
        model.forecast(history=history)


@pytest.mark.parametrize("newer", [1, 2, 3, 5, 9])
def test_versions_that_are_trained_some_steps_apart_have_inner_windows_in_common(newer: int) -> None:
    def cuts(count: int) -> set[object]:
        found = fit(
            table(("a", days(count), [float(n % 7) for n in range(count)])),
            spec(members=("last", "seasonal")),
        )
        return set(found.evidence.answers().column("origin").to_pylist())

    before, after = cuts(160), cuts(160 + newer)
    assert len(before & after) >= len(after) - newer - 2, (sorted(map(str, before)), sorted(map(str, after)))


def test_too_many_words_are_refused() -> None:
    rows = table(*((f"g{i}", days(5), range(5)) for i in range(1_001)))
    rows = rows.append_column("kind", rows.column("g"))
    with pytest.raises(InputError, match="1,001 different words"):
        fit(rows, replace(spec(1), static=("kind",)))


def test_words_where_there_were_numbers_are_refused() -> None:
    rows = promoted(180)
    degrees = rows.set_column(
        3, "promo", pa.array([float(p == "yes") for p in rows.column("promo").to_pylist()])
    )
    asked = replace(spec(members=("mean", "trees")), known=("promo",))
    found = fit(degrees, asked).forecaster
    with pytest.raises(InputError, match="trained with numbers"):
        found.forecast(future=promoted(4, 180))


# --- properties --------------------------------------------------------------------------------------------


def test_the_order_of_rows_and_groups_does_not_matter() -> None:
    rows = three()
    mixed = rows.take(pa.array(np.random.default_rng(1).permutation(rows.num_rows)))
    assert fit(mixed, spec()).files() == quick().files()


@pytest.mark.parametrize("factor", [0.001, 7.0, 1e6])
def test_a_scaled_target_scales_its_forecast(factor: float) -> None:
    rows = three()
    scaled = rows.set_column(2, "y", pa.array([v * factor for v in rows.column("y").to_pylist()]))
    answers = fit(scaled, spec()).forecaster.forecast().table
    for name in ("y", "y_lower", "y_upper"):
        assert column(answers, name) == pytest.approx(
            factor * column(quick().forecaster.forecast().table, name), rel=1e-6
        )


def test_another_group_changes_no_member_that_looks_back() -> None:
    members = ("last", "seasonal", "smoothing", "theta", "decomposed")
    alone = fit(three().slice(0, 60), spec(members=members)).forecaster
    beside = fit(
        pa.concat_tables([three(), table(("d", days(400), wave(400, 7, 5)))]), spec(members=members)
    ).forecaster
    for name in members:
        assert one(alone, name) == pytest.approx(one(beside, name))


def one(f: Forecaster, family: str) -> np.ndarray:
    """What a member alone says of group a."""
    s = f.states[0]
    name = "seasonal_7" if family == "seasonal" else family
    only = replace(
        s,
        unsure=False,
        members=(name,),
        weights=np.ones((1, len(s.panel))),
        pooled=np.ones(1),
        answers=s.answers[:0],
        halves=s.halves[:0],
    )
    return column(
        Forecaster(f.spec, f.groups, f.schema, f.step, (only,), f.covariates)
        .forecast(groups=names("a"))
        .table
    )


@pytest.mark.slow
def test_a_hundred_thousand_groups_of_five_points() -> None:
    groups = 100_000
    rng = np.random.default_rng(0)
    rows = pa.table({
        "g": np.repeat(np.arange(groups), 5), "t": np.tile(np.arange("2024-01-01", "2024-01-06", dtype="datetime64[D]"), groups),
        "y": rng.gamma(2, 10, 5 * groups),
    })  # fmt: skip
    began = time.process_time()
    found = fit(rows, spec(1, members=Options().members))
    answers = files.read(found.files()).forecast().table
    assert answers.num_rows == groups
    assert not np.isnan(column(answers)).any()
    assert time.process_time() - began < 60


def test_a_member_that_comes_too_late_is_left_out_and_told() -> None:
    found = fit(
        three(),
        replace(spec(members=("seasonal", "smoothing", "trees")), limits=Limits(pairs=2_000, seconds=0)),
    )
    assert [n.text for n in found.evidence.notices if n.reason == "time"] == [
        "The time was over before trees of `y` could be fitted."
    ]
    assert found.forecaster.forecast().table.num_rows == 12


def test_members_that_need_a_season_are_refused_where_there_is_none() -> None:
    at = [date(y, 1, 1) for y in range(1990, 2020)]
    with pytest.raises(InputError, match="has none"):
        fit(table(("a", at, wave(30, 3))), spec(members=("seasonal", "cycles")))


# --- holidays ----------------------------------------------------------------------------------------------


def closed(count: int, first: date = date(2021, 1, 1)) -> pa.Table:
    """A shop that sells a tenth on German holidays."""
    pytest.importorskip("holidays")
    from holidays import country_holidays

    free = country_holidays("DE", years=range(2021, 2027))
    rng = np.random.default_rng(2)
    at = days(count, first)
    return table(
        ("a", at, [(10 if d in free else 100) + v for d, v in zip(at, rng.normal(0, 1, count), strict=True)])
    )


def test_holidays_are_known_ahead_and_their_library_is_not_needed_to_answer() -> None:
    until = (date(2024, 12, 24) - date(2021, 1, 1)).days
    asked = spec(members=("mean", "trees"))
    asked = replace(asked, options=replace(asked.options, holidays="DE"), limits=Limits(pairs=20_000))
    said = fit(closed(until), asked).files()
    answers = files.read(said).forecast().table
    assert answers.column("t").to_pylist() == days(4, date(2024, 12, 24))
    assert column(answers) == pytest.approx(np.array([100, 10, 10, 100]), abs=15)


@pytest.mark.parametrize(
    ("place", "rows", "words"),
    [
        ("XX", three(), "no place"),
        ("DE-ZZ", three(), "no place"),
        ("DE", table(("a", months(40), wave(40, 12))), "a step is 1 month"),
    ],
)
def test_holidays_of_no_place_or_of_no_day_are_refused(place: str, rows: pa.Table, words: str) -> None:
    pytest.importorskip("holidays")
    asked = spec()
    with pytest.raises(InputError, match=words):
        fit(rows, replace(asked, options=replace(asked.options, holidays=place)))


def test_without_the_library_holidays_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "holidays", None)
    asked = spec()
    with pytest.raises(MissingExtraError, match="not installed") as refused:
        fit(three(), replace(asked, options=replace(asked.options, holidays="DE")))
    assert "tilth[forecast]" in str(refused.value)


# --- evidence ----------------------------------------------------------------------------------------------


def test_the_evidence_says_who_counts_and_how_wrong_it_was() -> None:
    found = whole().evidence
    told = found.plain()["targets"][0]
    assert (told["target"], told["step"], told["seasons"]) == ("y", "1 day", [7])
    assert told["mase"] < told["naive_mase"]
    assert 0.8 < told["coverage"] <= 1
    assert [s["step"] for s in told["steps"]] == [1, 2, 3, 4]
    lost = {m["member"]: m["why"] for m in told["members"] if not m["weight"]}
    assert "last" in lost
    assert all(lost.values())
    json.dumps(found.plain())


def test_the_answers_of_inner_windows_are_kept_with_what_came() -> None:
    rows = whole().evidence.answers()
    windows = len(whole().evidence.trials[0].offsets)
    assert rows.num_rows == 3 * windows * 4
    assert rows.column("lower").to_numpy().min() > 0
    truth = {(r["g"], r["t"]): r["y"] for r in three().to_pylist()}
    for r in rows.to_pylist():
        assert r["actual"] == truth[r["g"], r["time"].date()]
        assert r["lower"] <= r["forecast"] <= r["upper"]
        assert r["time"] - r["origin"] == timedelta(days=r["step"])
    groups = whole().evidence.by_group()
    assert groups.column("windows").to_pylist() == [windows] * 3
    assert groups.column("points").to_pylist() == [60] * 3
    for r in groups.to_pylist():
        own = [a for a in rows.to_pylist() if a["g"] == r["g"]]
        assert r["mase"] == pytest.approx(
            np.mean([abs(a["forecast"] - a["actual"]) / a["unit"] for a in own])
        )
        assert r["coverage"] == pytest.approx(np.mean([a["lower"] <= a["actual"] <= a["upper"] for a in own]))
