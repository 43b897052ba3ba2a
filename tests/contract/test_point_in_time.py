"""AS OF against a search through all rows: late corrections, backfills, ties, plans known before, and what is missing."""

from datetime import datetime, timedelta

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.sql.queries.pointintime import Timed, joined

NOON = datetime(2024, 3, 31, 0, 0)
times = st.one_of(st.none(), st.integers(0, 12).map(lambda n: NOON + timedelta(minutes=30 * n)))
rows = st.lists(st.tuples(st.integers(0, 2), times, times, st.integers(0, 3)), max_size=14)
asked = st.lists(st.tuples(st.integers(0, 2), times), min_size=1, max_size=8)

DATABASE = duckdb.connect()
KEYS = {
    "of its times": ("id", "t", "k"),
    "of its own": ("n",),
    "none": (),
}


@settings(max_examples=80, deadline=None)
@given(rows, asked, st.sampled_from([True, False]), st.sampled_from(sorted(KEYS)), st.booleans())
def test_it_is_what_a_search_through_all_rows_finds(
    rows: list[tuple[int, datetime | None, datetime | None, int]],
    asked: list[tuple[int, datetime | None]],
    late: bool,
    key: str,
    left: bool,
) -> None:
    """Of equal times the row with the greatest key is seen, or without one the greatest row."""
    if key == "of its times":  # as a dataset has it
        rows = list({(i, t, k if late else None): (i, t, k, v) for i, t, k, v in rows}.values())
    made = [(i, t, k, n, v) for n, (i, t, k, v) in enumerate(rows)]
    declared = KEYS[key] if late or key != "of its times" else ("id", "t")
    word = "LEFT JOIN" if left else "JOIN"
    sql = joined(
        f"SELECT e.m, p.n FROM e {word} p AS OF e.t ON p.id = e.id ORDER BY e.m",
        lambda: {"p": Timed("t", "k" if late else None, declared)},
    )
    with DATABASE.cursor() as c:
        c.execute("CREATE OR REPLACE TABLE p (id INT, t TIMESTAMP, k TIMESTAMP, n INT, v INT)")
        c.execute("CREATE OR REPLACE TABLE e (m INT, id INT, t TIMESTAMP)")
        for row in made:
            c.execute("INSERT INTO p VALUES (?, ?, ?, ?, ?)", row)
        for m, (i, t) in enumerate(asked):
            c.execute("INSERT INTO e VALUES (?, ?, ?)", (m, i, t))
        got = c.execute(sql).fetchall()
    wanted = [(m, _seen(made, i, t, late, key)) for m, (i, t) in enumerate(asked)]
    assert got == [w for w in wanted if left or w[1] is not None]


def _seen(
    made: list[tuple[int, datetime | None, datetime | None, int, int]],
    i: int,
    at: datetime | None,
    late: bool,
    key: str,
) -> int | None:
    """The number of the row that is seen of `i` at that time, by looking at each."""
    there = [
        r
        for r in made
        if at is not None and r[0] == i and r[1] is not None and r[1] <= at
        and (not late or (r[2] is not None and r[2] <= at))
    ]  # fmt: skip
    if not there:
        return None
    if key == "none" and not late:  # NULL is greater than any time, as DuckDB orders rows
        return max(there, key=lambda r: (r[1], r[2] is None, r[2] or NOON, r[3]))[3]
    return max(there, key=lambda r: (r[1], r[2] if late else NOON, r[3]))[3]
