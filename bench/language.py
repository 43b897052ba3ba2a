"""The language against its goals: 250 us a statement at the median of the fixtures. Run it: `python bench/language.py`."""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
TURNS = 20


def statements() -> dict[str, float]:
    """CPU microseconds to parse one statement: the median over the language's fixtures, and the slowest."""
    sys.path.insert(0, str(ROOT / "tests" / "unit" / "sql"))
    from cases import pairs

    from tilth.sql.parser import parse_one

    took = []
    for _, text, _ in pairs("canonical.txt"):
        parse_one(text)
        start = time.process_time()
        for _ in range(TURNS):
            parse_one(text)
        took.append((time.process_time() - start) / TURNS * 1e6)
    return {
        "statements": len(took),
        "median_us": round(statistics.median(took), 1),
        "slowest_us": round(max(took), 1),
        "goal_us": 250,
    }


if __name__ == "__main__":
    print(json.dumps(statements()))
