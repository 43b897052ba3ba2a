"""Members: what each says of a plain series, that none sees what comes after an origin, seasons, blending and widths."""

import math
from typing import Any

import numpy as np
import pytest
from series_made import wave

from tilth.ml.forecasting import blending, intervals, seasons
from tilth.ml.forecasting.known import Covariates
from tilth.ml.forecasting.members import table
from tilth.ml.forecasting.members.linear import Lines
from tilth.ml.forecasting.members.table import Setting
from tilth.ml.forecasting.members.trees import Engine
from tilth.ml.forecasting.panel import Panel
from tilth.ml.forecasting.spec import MEMBERS
from tilth.ml.forecasting.steps import Step, parse
from tilth.ports import registry

DAILY = parse("1 day")
HORIZON = 5


def panel(*series: list[float], step: Step = DAILY) -> Panel:
    lengths = np.array([len(s) for s in series])
    zero = np.zeros(len(series), np.int64)
    return Panel.of(
        step,
        np.arange(len(series)),
        zero + 19_000,
        zero,
        lengths,
        np.concatenate([np.array(s, float) for s in series]),
    )


def setting(*found: int, horizon: int = HORIZON) -> Setting:
    return Setting(found, horizon, None, 1_000_000)


def engine() -> Engine:
    return Engine(
        registry.load("tilth.learners", "lightgbm"),
        registry.load("tilth.scorers", "lightgbm"),
        1,
        math.inf,
        3_000,
        0,
    )


def said(name: str, of: Panel, offsets: list[int], *found: int) -> np.ndarray:
    """[origins, series, horizon] of a member."""
    if table.learns(name):
        return table.learned_back(name, of, offsets, setting(*found), Covariates.none(len(of)), engine())[0]
    return table.looked_back(name, of, offsets, HORIZON, setting(*found))


T = np.arange(70)
LINE = (10.0 + 2.0 * T).tolist()
SEASON = np.tile([5.0, 1, 2, 9, 4, 4, 8], 10).tolist()
BOTH = (np.array(LINE) + np.array(SEASON)).tolist()
AHEAD = np.arange(70, 70 + HORIZON)


@pytest.mark.parametrize(
    ("name", "values", "answer"),
    [
        ("last", LINE, [148.0] * 5),
        ("drift", LINE, 10 + 2.0 * AHEAD),
        ("mean", LINE, [np.mean(LINE[-14:])] * 5),
        ("seasonal_7", SEASON, SEASON[:5]),
        ("cycles_7", SEASON, SEASON[:5]),
        ("smoothing", SEASON, SEASON[:5]),
        ("smoothing", BOTH, 10 + 2.0 * AHEAD + np.array(SEASON[:5])),
        ("theta", SEASON, SEASON[:5]),
        ("decomposed", SEASON, SEASON[:5]),
        ("linear", BOTH, 10 + 2.0 * AHEAD + np.array(SEASON[:5])),
        ("trees_seasonal_7", BOTH, 10 + 2.0 * AHEAD + np.array(SEASON[:5])),
    ],
)
def test_a_member_goes_on_with_a_plain_series(name: str, values: list[float], answer: Any) -> None:
    assert said(name, panel(values), [0], 7)[0, 0] == pytest.approx(
        np.array(answer, float), rel=0.03, abs=0.6
    )


@pytest.mark.parametrize("name", table.named(MEMBERS, (7,)))
def test_no_member_sees_what_comes_after_an_origin(name: str) -> None:
    values = wave(80, 7)
    other = [*values[: 80 - HORIZON], *(1e4 + v for v in values[80 - HORIZON :])]
    offsets = [HORIZON, HORIZON + 3, HORIZON + 9]
    assert said(name, panel(values, wave(60, 7, 5)), offsets, 7) == pytest.approx(
        said(name, panel(other, wave(60, 7, 5)), offsets, 7), nan_ok=True
    )


@pytest.mark.parametrize("name", [n for n in table.named(MEMBERS, (7,)) if not table.learns(n)])
def test_an_origin_is_answered_as_the_end_of_a_shorter_series(name: str) -> None:
    values = wave(80, 7)
    at_once = said(name, panel(values), [0, 4, 11], 7)
    for k, offset in enumerate((0, 4, 11)):
        assert at_once[k] == pytest.approx(said(name, panel(values[: 80 - offset]), [0], 7)[0])


@pytest.mark.parametrize("name", table.named(MEMBERS, (7,)))
def test_what_is_too_short_is_not_answered_rather_than_wrong(name: str) -> None:
    of = panel([3.0, 4.0], wave(60, 7))
    answers = said(name, of, [0], 7)
    assert not np.isnan(answers[0, 1]).any()
    assert np.isnan(answers[0, 0]).all() or np.abs(answers[0, 0] - 3.5).max() < 20


@pytest.mark.parametrize(("window", "width", "lags"), [(None, 14, 7), (20, 14, 7), (3, 3, 3), (1, 1, 1)])
def test_a_window_bounds_what_is_weighed(window: int | None, width: int, lags: int) -> None:
    of, asked = panel(wave(80, 7)), Setting((7,), HORIZON, window, 1_000_000)
    lines = table.fitted("linear", of, asked, Covariates.none(1), engine())
    assert isinstance(lines, Lines)
    assert lines.weights.shape == (width + 1, HORIZON)
    assert table.recipe("trees", asked).lags == lags


def mixed(count: int, *lengths: int, noise: float = 3.0) -> list[float]:
    t = np.arange(count)
    random = np.random.default_rng(0)
    return (
        sum(10 * np.sin(2 * np.pi * t / s) + 4 * np.cos(4 * np.pi * t / s) for s in lengths)
        + random.normal(0, noise, count)
    ).tolist()


@pytest.mark.parametrize(
    ("step", "values", "found"),
    [
        ("1 day", mixed(200, 7), (7,)),
        ("1 day", mixed(1500, 7, 365), (7, 365)),
        ("1 day", mixed(1500, 365), (365,)),
        ("1 day", mixed(300), ()),
        ("1 day", np.random.default_rng(0).normal(size=400).cumsum().tolist(), ()),
        ("1 day", mixed(12, 7), ()),
        ("1 hour", mixed(1000, 24, 168), (24, 168)),
        ("1 hour", mixed(1000, 24), (24,)),
        ("1 month", (np.array(mixed(120, 12)) + np.arange(120)).tolist(), (12,)),
        ("1 month", [4.0] * 60, ()),
        ("1 quarter", mixed(40, 4), (4,)),
    ],
)
def test_seasons_are_told_from_luck(step: str, values: list[float], found: tuple[int, ...]) -> None:
    of = panel(values, step=parse(step))
    assert seasons.found(of, of.step.seasons) == found


@pytest.mark.parametrize(
    ("errors", "counted"),
    [
        ([1.0, 0.9, 0.8, 0.95, 0.85, 0.99], [0, 1, 1, 1, 1, 1]),  # the best five
        ([1.0, 1.3, 0.9], [1, 0, 1]),  # one that loses to the naive by a quarter
        ([1.0, 0.3, 0.4, 0.9], [0, 1, 1, 0]),  # those that cannot see what the best sees have no vote
        ([1.0, 3.0, 2.0], [1, 0, 0]),
        ([1.0, np.nan, 0.9], [1, 0, 1]),
    ],
)
def test_who_counts(errors: list[float], counted: list[float]) -> None:
    every = np.array(errors)[:, None, None] * np.ones((1, 1, 6))
    inner = blending.Inner(every, np.ones((1, 6)))
    weight = blending.weights(blending.expected(inner, range(6)), blending.ratios(inner, range(6)))
    assert weight[:, 0].tolist() == counted


def test_a_group_of_its_own_mind_has_its_own_members() -> None:
    e = np.ones((7, 20, 12))
    e[:5] = 0.8
    e[5:, 0] = 0.1  # what all others do worse with is best here
    inner = blending.Inner(e, np.ones((20, 12)))
    weight = blending.weights(blending.expected(inner, range(12)), blending.ratios(inner, range(12)))
    assert weight[:, 0].tolist() == [0, 0, 0, 0, 0, 1, 1]
    assert weight[:, 1].tolist() == [1, 1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("said", "unsure"),
    [([0.9] * 8, False), ([1.1] * 8, True), ([1.2] * 7 + [0.01], False), ([1.2] * 7 + [0.5], True)],
)
def test_a_forecast_is_unsure_where_the_usual_window_does_not_win(said: list[float], unsure: bool) -> None:
    assert blending.unsure(np.array([said]), np.ones((1, 8))) == unsure


@pytest.mark.parametrize("groups", [1, 40])
def test_widths_cover_what_they_promise(groups: int) -> None:
    random = np.random.default_rng(1)
    sizes, steps = np.linspace(1, 3, groups)[None, :, None], np.sqrt(np.arange(1, 9))
    hits = []
    for _ in range(30):
        scores = np.abs(random.standard_t(4, (24, groups, 8))) * sizes * steps
        widths = intervals.learned(scores, [8 * k for k in range(1, 25)], 0.9)
        new = np.abs(random.standard_t(4, (200, groups, 8))) * sizes * steps
        hits.append((new <= widths.quantile * widths.steps * widths.groups[None, :, None]).mean())
    assert 0.89 < np.mean(hits) < 0.95


def test_few_scores_make_wide_intervals() -> None:
    scores = np.abs(np.random.default_rng(0).normal(size=(24, 1, 4)))
    few = intervals.learned(scores[:3], [4, 8, 12], 0.9)
    assert (few.quantile * few.steps * few.groups[0] >= scores[:3, 0].max(axis=0)).all()


def test_no_score_and_no_error_make_no_width() -> None:
    for scores in (np.full((4, 2, 3), np.nan), np.zeros((4, 2, 3))):
        assert intervals.learned(scores, [3, 6, 9, 12], 0.9).quantile == 0
