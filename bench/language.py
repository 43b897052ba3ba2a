"""The language against its goal: 250 us a statement at the median of the fixtures. Run it: `python bench/language.py`."""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

from result import Result, at_most

ROOT = Path(__file__).parents[1]

TURNS = 20


def statements() -> list[float]:
    """CPU microseconds to parse each statement of the language's fixtures."""
    sys.path.insert(0, str(ROOT / "tests" / "unit" / "sql"))
    from cases import pairs

    from tilth.kinds import parse_one

    took = []
    for _, text, _ in pairs("canonical.txt"):
        parse_one(text)
        start = time.process_time()
        for _ in range(TURNS):
            parse_one(text)
        took.append((time.process_time() - start) / TURNS * 1e6)
    return took


def run() -> list[Result]:
    took = statements()
    note = f"CPU, median of {len(took)} statements, sqlglot's interpreted build; the slowest takes {max(took):.0f} us"
    return [at_most("parsing a statement", statistics.median(took), 250, "us", note)]


if __name__ == "__main__":
    for found in run():
        print(found)
