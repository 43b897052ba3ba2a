"""The tables of the page on gates are computed anew, and its query runs."""

import re
from pathlib import Path

from tilth.ml.judging.evidence import POWER, student
from tilth.ml.judging.gates import ENOUGH, FEWEST, FIRST, IN_A_SLICE, spent
from tilth.ml.learning.leaks import SURE

PAGE = (Path(__file__).parents[2] / "docs" / "gates.md").read_text("utf-8")
SPREAD = 0.35  # of the difference of two losses of a row, as a share of the mean loss


def test_the_table_of_looks_is_what_the_gate_does() -> None:
    rows = re.findall(r"^\| (\d+) \| ([\d.]+)% \| ([\d.]+)% \| (.*) \|$", PAGE, re.MULTILINE)
    assert len(rows) == 6
    for look, error, interval, needed in rows:
        alpha = spent(0.95, int(look) - 1)
        assert (float(error), float(interval)) == (round(100 * alpha, 4), round(100 * (1 - 2 * alpha), 2))
        reach = student(199, 1 - alpha) + student(199, POWER)
        told = [int(n.replace(",", "")) for n in needed.split(" | ")]
        assert told == [round((reach * SPREAD / gain) ** 2, -1) for gain in (0.01, 0.02, 0.05, 0.10)]


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    assert (
        f"Less than {ENOUGH.rows} rows, {ENOUGH.rarer} of the rarer class\n  or {ENOUGH.blocks} days" in PAGE
    )
    assert f"{FIRST.rows} rows, {FIRST.rarer} of the rarer class and {FIRST.blocks} days are enough" in PAGE
    assert f"at least {FEWEST.rows} rows ({FEWEST.rarer} of the rarer class)" in PAGE
    assert f"fewer than {IN_A_SLICE.rows} rows" in PAGE
    assert (
        f"area under the curve of {SURE['binary']}, avoids {SURE['multiclass']:.0%}".replace("95%", "95 %")
        in PAGE
    )
