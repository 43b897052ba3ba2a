"""The numbers, options and members that the page on forecasts names are those of the code."""

import re
from pathlib import Path

import pytest

from tilth.ml.forecasting import blending, columns, fitting, forecaster, holidays, series, spec, steps
from tilth.ml.forecasting.members import naive, table

PAGE = (Path(__file__).parents[2] / "docs" / "forecasts.md").read_text("utf-8")
LIMITS = spec.Limits()


@pytest.mark.parametrize(
    "told",
    [
        f"fewer than {series.LEAST} values",
        f"newest {LIMITS.points:,} points learn; fewer, but {spec.FEWEST} at least, where all series together have more than {LIMITS.total:,}",
        f"where no series has {fitting.LEAST_BEYOND} values more",
        f"up to {LIMITS.origins} origins",
        f"({LIMITS.origins // 2} where there are more than {fitting.MANY} series, {fitting.FEW} where these have more than {fitting.LARGE:,} values)",
        f"Fewer than {fitting.FEW} windows",
        f"as {['', 'one', 'two', 'three', 'four'][int(blending.OWN)]} more",
        f"{blending.LOSES} of the naive's error",
        f"{blending.NEAR} of the best member's",
        f"best {['', '', '', 'three', 'four', 'five'][blending.BEST]} that are left",
        f"{['', '', '', '', 'four', 'five'][naive.CYCLES]} cycles",
        f"fitted at {['', '', '', '', 'four'][table.FITS]} of them",
        f"(up to {['', 'ten'][forecaster.FARTHEST // 10]} times)",
        f"{['', 'ten'][holidays.AFTER // 10]} years more",
        f"beyond {columns.LARGEST:g}".replace("+", ""),
    ],
)
def test_a_number_is_that_of_the_code(told: str) -> None:
    assert told in PAGE


def test_members_and_options_are_those_that_there_are() -> None:
    rows = re.findall(r"^\| ((?:`[a-z_]+`(?:, )?)+) \|", PAGE, re.MULTILINE)
    assert [name for row in rows for name in re.findall(r"`([a-z_]+)`", row)] == list(spec.MEMBERS)
    for option in spec.Options.__dataclass_fields__:
        assert f"{option} = '" in PAGE, option
    for words in (spec.DUPLICATES[1:], spec.GAPS[1:], spec.RESAMPLE):
        for word in words:
            assert f"'{word}'" in PAGE


SEASONS = {
    "an hour": "1 hour", "a day": "1 day", "a business day": "1 business day", "a week": "1 week", "a month": "1 month",
    "a quarter": "1 quarter", "15 minutes": "15 minutes", "a minute": "1 minute",
}  # fmt: skip


@pytest.mark.parametrize("words", SEASONS)
def test_the_seasons_of_a_step_are_those_of_the_code(words: str) -> None:
    told = " and ".join(f"{s:,}" for s in steps.parse(SEASONS[words]).seasons)
    assert f"{words}: {told}" in PAGE.replace("\n", " ")
