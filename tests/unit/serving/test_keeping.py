"""What is kept of rows to look up: of each key what can still be found, as JSON that the encoder of answers would write."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.adapters.engines.duckdb_engine import DuckDBEngine
from tilth.adapters.files.lookups import ProjectLookups
from tilth.core.errors import StorageError
from tilth.core.schema import DataType
from tilth.ml.data.keyed import KeyColumn
from tilth.ports.lookups import Kept, MemoryRows
from tilth.runtime.serving import keeping, making
from tilth.runtime.serving.looking_up import Store, encode, key_bytes, micros

MADE = datetime(2026, 1, 10, tzinfo=UTC)
FIRST = datetime(2026, 1, 1)


def history(folder: Path) -> tuple[pa.Table, list[str]]:
    """Rows of nine keys, one of them missing, over twenty days, known up to three days later; in two files."""
    random = Random(4)
    rows = []
    for n in range(400):
        at = None if n % 50 == 9 else FIRST + timedelta(hours=random.randrange(480), microseconds=n)
        known = None if n % 70 == 9 else (at or FIRST) + timedelta(hours=random.randrange(72), microseconds=n)
        key = None if n % 30 == 3 else random.randrange(8)
        rows.append(
            {"k": key, "at": at, "known": known, "v": f'{n} "\n ü\x00', "x": n / 7 if n % 5 else float("nan")}
        )
    types = {
        "k": pa.int64(),
        "at": pa.timestamp("us"),
        "known": pa.timestamp("us"),
        "v": pa.string(),
        "x": pa.float64(),
    }
    table = pa.Table.from_pylist(rows, pa.schema(types.items()))
    paths = [str(folder / f"{n}.parquet") for n in range(2)]
    for path, start in zip(paths, (0, 150), strict=True):
        pq.write_table(table.slice(start, 150 + 100 * (start > 0)), path)
    return table, paths


@pytest.mark.parametrize(("event", "known"), [("at", "known"), ("at", None), (None, "known"), (None, None)])
def test_what_can_be_found_is_what_all_rows_would_give(
    event: str | None, known: str | None, tmp_path: Path
) -> None:
    table, paths = history(tmp_path)
    store = Store("d", "s", "s", MADE, (KeyColumn("k", DataType.INTEGER),), ("v", "x"), event, known)
    kept = list(keeping.kept(store, paths, DuckDBEngine()))
    every = []
    for row in table.to_pylist():
        times = [row[c] for c in (event, known) if c]
        if row["k"] is not None and None not in times:
            at, seen = (micros(row[c].replace(tzinfo=UTC)) if c else 0 for c in (event, known))
            every.append(
                Kept(key_bytes([row["k"]]), at, seen, max(at, seen), encode({"v": row["v"], "x": row["x"]}))
            )
    if event is None:
        assert sorted(kept) == sorted(every)
        return
    assert len(kept) < len(every)
    assert not list(keeping.kept(store, [], DuckDBEngine()))
    some, whole = MemoryRows(kept), MemoryRows(every)
    assert len({(k.key, k.at, k.known) for k in every}) == len(every)
    for hours in range(0, 400, 7):
        now = micros(MADE + timedelta(hours=hours))
        for key in range(9):
            assert some.find(key_bytes([key]), now) == whole.find(key_bytes([key]), now)


def test_each_type_is_written_as_the_encoder_of_answers_writes_it(tmp_path: Path) -> None:
    columns = {
        "i": pa.array([1, None, -(2**63)]), "f": [0.1, float("inf"), 1e300], "b": [True, None, False], "t": ["a", "", None],
        "d": [date(2026, 1, 1), None, date(1, 1, 1)], "m": pa.array([Decimal("1.10"), None, Decimal(2)], pa.decimal128(9, 2)),
        "s": pa.array([datetime(2026, 1, 1, 2, 3, 4, 5), None, datetime(2026, 1, 1)], pa.timestamp("us")),
    }  # fmt: skip
    table = pa.table(columns)
    pq.write_table(table, tmp_path / "a.parquet")
    kinds = {"i": DataType.INTEGER, "t": DataType.STRING}
    store = Store(
        "d", "s", "s", MADE, tuple(KeyColumn(n, k) for n, k in kinds.items()), tuple(columns), None, None
    )
    kept = list(keeping.kept(store, [str(tmp_path / "a.parquet")], DuckDBEngine()))
    row = {**table.to_pylist()[0], "m": 1.1}
    assert kept == [Kept(key_bytes([1, "a"]), 0, 0, 0, encode(row))]
    bare = Store("d", "s", "s", MADE, (KeyColumn("t", DataType.STRING),), (), None, None)
    assert [k.row for k in keeping.kept(bare, [str(tmp_path / "a.parquet")], DuckDBEngine())] == [
        b"{}",
        b"{}",
    ]


def test_a_process_of_its_own_makes_the_same_and_says_what_is_wrong(tmp_path: Path) -> None:
    _, paths = history(tmp_path)
    store = Store("d", "s", "s", MADE, (KeyColumn("k", DataType.INTEGER),), ("v", "x"), "at", "known")
    making.made(str(tmp_path), store, paths, 400, lambda _line: None)
    made = ProjectLookups.opened(str(tmp_path)).opened(store.name)
    assert made is not None
    assert len(made) == len(list(keeping.kept(store, paths, DuckDBEngine())))
    found = made.find(key_bytes([3]), micros(MADE + timedelta(days=99)))
    assert found is not None
    assert set(json.loads(found)) == {"v", "x"}
    with pytest.raises(StorageError, match=r"gone\.parquet"):
        making.made(str(tmp_path), store, [str(tmp_path / "gone.parquet")], 400, lambda _line: None)
    (tmp_path / "cut.parquet").write_bytes(b"PAR1")
    with pytest.raises(StorageError, match="rows of `d` to look up could not be made"):
        making.made(str(tmp_path), store, [str(tmp_path / "cut.parquet")], 400, lambda _line: None)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "lookups").write_text("a file")
    with pytest.raises(StorageError, match="rows to look up"):
        making.made(str(tmp_path / "other"), store, paths, 400, lambda _line: None)
