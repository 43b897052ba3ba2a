"""Columns to numbers: what is learned, what is left out, and that order never matters."""

import json
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.core.errors import InputError
from tilth.core.schema import DataType
from tilth.ml.model.preparation import Preparation
from tilth.ml.model.preparing import MOST_LEVELS

START = datetime(2013, 1, 30, 22, 15)
ROWS = 600
TABLE = pa.table(
    {
        "number": pa.array([None if n % 7 == 0 else n for n in range(ROWS)], pa.int32()),
        "amount": pa.array([Decimal(n) / 4 for n in range(ROWS)], pa.decimal128(12, 2)),
        "flag": pa.array([n % 3 == 0 for n in range(ROWS)]),
        "place": pa.array([["JFK", "LGA", None, "EWR"][n % 4] if n else "once" for n in range(ROWS)]),
        "coded": pa.array([["a", "b"][n % 2] for n in range(ROWS)]).dictionary_encode(),
        "at": pa.array(
            [START + timedelta(hours=7 * n, minutes=n % 60) for n in range(ROWS)], pa.timestamp("us")
        ),
        "due": pa.array(
            [START + timedelta(hours=7 * n, minutes=90 + n % 50) for n in range(ROWS)], pa.timestamp("ms")
        ),
        "bought": pa.array([START.date() - timedelta(days=n % 400) for n in range(ROWS)]),
        "ident": pa.array([f"row-{n}" for n in range(ROWS)]),
        "same": pa.array(["x"] * ROWS),
        "none": pa.nulls(ROWS, pa.float64()),
        "span": pa.array([timedelta(hours=n) for n in range(ROWS)]),
    }
)
NAMES = tuple(TABLE.schema.names)
FITTED = Preparation.fit(TABLE, NAMES, "at")


def column(name: str, of: Preparation = FITTED, table: pa.Table = TABLE) -> np.ndarray:
    return of.matrix(table)[:, of.features.index(name)]


def test_it_is_json_and_reads_back_as_the_same_value() -> None:
    assert Preparation.from_plain(json.loads(json.dumps(FITTED.plain()))) == FITTED


def test_what_is_left_out_says_why() -> None:
    assert dict(FITTED.dropped) == {
        "ident": "it looks like an identifier: 600 different values in 600 rows",
        "same": "it has one value only",
        "none": "every value is missing",
        "span": "values of type interval are not used for learning",
    }


def test_numbers_keep_their_values_and_gaps() -> None:
    assert np.isnan(column("number")[0])
    assert column("number")[1] == 1.0
    assert column("amount")[3] == 0.75
    assert column("flag")[:4].tolist() == [1.0, 0.0, 0.0, 1.0]


def test_levels_are_coded_by_frequency_and_rare_unseen_and_missing_ones_are_gaps() -> None:
    place = next(c for c in FITTED.columns if c.name == "place")
    assert place.levels == ("EWR", "LGA", "JFK")  # 150, 150, 149 rows; `once` occurs once
    codes = column("place")
    assert np.isnan(codes[0])
    assert np.isnan(codes[2])
    assert codes[3] == 0.0
    assert column("coded")[:2].tolist() == [0.0, 1.0]
    other = TABLE.slice(0, 2).set_column(3, "place", pa.array(["LHR", "JFK"]))
    assert np.isnan(column("place", table=other)[0])


def test_instants_give_the_parts_that_vary() -> None:
    parts = {c.name: c.parts for c in FITTED.columns if c.kind == "instant"}
    assert parts == {
        "at": ("dow", "hour"),  # less than a year of history: the day of the year would be a clock
        "due": ("dow", "hour", "month", "doy", "since_event"),
        "bought": ("day", "dow", "month", "doy", "since_event"),
    }
    assert (column("at.dow")[0], column("at.hour")[0]) == (2.0, 22.25)
    assert column("due.since_event")[1] == pytest.approx((90 + 1 - 1) / 60)
    alone = Preparation.fit(TABLE, ("due",), None)
    assert "epoch" in alone.columns[0].parts
    long = pa.table({"at": pa.array([START + timedelta(days=n) for n in range(800)])})
    assert Preparation.fit(long, ("at",), "at").columns[0].parts == ("day", "dow", "month", "doy")


def test_many_levels_are_capped() -> None:
    values = [f"v{n % 1500}" for n in range(6000)]
    found = Preparation.fit(pa.table({"c": values}), ("c",))
    assert len(found.columns[0].levels) == MOST_LEVELS


@settings(max_examples=30, deadline=None)
@given(st.permutations(NAMES), st.integers(1, 4))
def test_the_order_of_columns_and_the_chunks_never_matter(order: list[str], parts: int) -> None:
    pieces = [TABLE.select(order).slice(n * ROWS // parts, ROWS // parts) for n in range(parts)]
    mixed = pa.concat_tables(pieces)
    assert np.array_equal(FITTED.matrix(mixed), FITTED.matrix(TABLE.slice(0, len(mixed))), equal_nan=True)


def test_a_record_batch_gives_the_matrix_of_its_table() -> None:
    batch = TABLE.combine_chunks().to_batches()[0]
    x = FITTED.matrix(batch)
    assert x.flags["C_CONTIGUOUS"]
    assert np.array_equal(x, FITTED.matrix(TABLE), equal_nan=True)


def test_zoned_instants_are_read_in_utc() -> None:
    zoned = TABLE.set_column(
        5, "at", TABLE["at"].cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us", "Asia/Tokyo"))
    )
    assert np.array_equal(FITTED.matrix(zoned), FITTED.matrix(TABLE), equal_nan=True)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("number", pa.array(["1"] * ROWS), "`number` is integer; string was given"),
        ("place", pa.array([1] * ROWS), "`place` is string; integer was given"),
        ("flag", pa.array([1] * ROWS), "`flag` is boolean; integer was given"),
        ("at", pa.array([1.5] * ROWS), "`at` is timestamp; float was given"),
    ],
)
def test_another_type_is_refused_by_name_with_a_cast(name: str, values: pa.Array, words: str) -> None:
    table = TABLE.set_column(TABLE.schema.get_field_index(name), name, values)
    with pytest.raises(InputError, match=words) as caught:
        FITTED.matrix(table)
    assert "CAST(" in str(caught.value.hint)


def test_a_missing_column_is_refused_unless_it_may_be_missing() -> None:
    without = TABLE.drop_columns(["number"]).rename_columns(
        ["nomber" if n == "amount" else n for n in TABLE.schema.names if n != "number"]
    )
    with pytest.raises(InputError, match="`number`") as caught:
        FITTED.matrix(without)
    assert "nomber" in str(caught.value.hint)
    x = FITTED.matrix(TABLE.drop_columns(["number"]), frozenset({"number"}))
    assert np.isnan(x[:, FITTED.features.index("number")]).all()


def test_integers_fit_where_floats_were_and_types_are_kept() -> None:
    assert {c.name: c.type for c in FITTED.columns}["amount"] is DataType.DECIMAL
    table = TABLE.set_column(1, "amount", pa.array(range(ROWS)))
    assert column("amount", table=table)[5] == 5.0


def test_a_gap_counts_as_the_median_and_a_truth_is_never_a_half() -> None:
    halves = pa.table({"flag": [True, False] * 50, "most": [True] * 60 + [False] * 40, "x": [0.0, 1.0] * 50})
    fitted = Preparation.fit(halves, ("flag", "most", "x"))
    assert {c.name: c.fills for c in fitted.columns} == {"flag": (0.0,), "most": (1.0,), "x": (0.5,)}


@pytest.mark.parametrize(("rows", "known"), [(500, ("a", "b", "once")), (501, ("a", "b"))])
def test_a_level_that_occurs_once_is_known_in_a_small_table_alone(rows: int, known: tuple[str, ...]) -> None:
    place = ["once", *("ab"[n % 2] for n in range(rows - 1))]
    (column,) = Preparation.fit(pa.table({"place": place}), ("place",)).columns
    assert sorted(column.levels) == list(known)


@pytest.mark.parametrize(("levels", "kind"), [(60, "category"), (61, "text"), (114, "text"), (115, None)])
def test_a_code_of_one_word_that_hardly_repeats_is_a_text_and_one_that_never_does_no_input(
    levels: int, kind: str | None
) -> None:
    place = [f"v{n % levels:03}" for n in range(120)]
    found = Preparation.fit(pa.table({"place": place}), ("place",))
    assert [c.kind for c in found.columns] == ([kind] if kind else [])


@pytest.mark.parametrize("single", [False, True])
def test_many_rows_come_piece_by_piece_from_a_table_and_from_files(tmp_path: Path, single: bool) -> None:
    paths = [str(tmp_path / name) for name in ("a.parquet", "b.parquet")]
    for path, start in zip(paths, (0, 350), strict=True):
        pq.write_table(TABLE.drop_columns(["span"]).slice(start, 350), path, row_group_size=100)
    whole = FITTED.matrix(TABLE).astype(np.float32 if single else np.float64)
    for source in (TABLE, paths):
        pieces = list(FITTED.chunks(source, 64, single=single))
        assert max(map(len, pieces)) <= 64
        assert np.array_equal(np.concatenate(pieces), whole, equal_nan=True)
