"""A snapshot's files answer set checks alike, whether Arrow reads them for the engine or the engine itself."""

from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.adapters.engines.duckdb_engine import DuckDBEngine
from tilth.ml.data.snapshots import ARROWS_OWN, FEW_ROWS, opened

VALUES: dict[str, tuple[pa.DataType, list[Any], str]] = {
    # column: its type, its values, one of them in SQL
    "f": (pa.float64(), [0.0, -0.0, 1.5, float("inf"), float("-inf"), float("nan"), None], "1.5"),
    "i": (pa.int64(), [0, 2**63 - 1, -(2**63), None], "0"),
    "c": (pa.decimal128(10, 2), [Decimal("1.50"), Decimal("-99999999.99"), None], "1.5"),
    "w": (pa.decimal128(38, 0), [Decimal("1" * 38), Decimal(-1), None], "-1"),
    "d": (pa.date32(), [date(1, 1, 1), date(9999, 12, 31), date(2024, 2, 29), None], "DATE '2024-02-29'"),
    "t": (pa.time64("us"), [time(0), time(23, 59, 59, 999999), None], "TIME '00:00'"),
    "m": (pa.timestamp("us"), [datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999), None], "TIMESTAMP '0001-01-01'"),
    "s": (pa.string(), ["", "a", "\u00e9", "e\u0301", "\x00", None], "'a'"),
    "b": (pa.bool_(), [True, False, None], "true"),
    "a.b": (pa.int64(), [1, 2, None], "1"),
    'x"y': (pa.int64(), [1, 2, None], "1"),
    "rows": (pa.int64(), [1, 2, None], "1"),
    "tilth_item_0": (pa.int64(), [1, 2, None], "1"),
    "filename": (pa.int64(), [1, 2, None], "1"),
    **{name: (pa.int64(), [1, 2, None], "1") for name in sorted(ARROWS_OWN)},
}  # fmt: skip
ASKED = [
    "count(*)",
    "count({c})",
    "count(DISTINCT {c})",
    "min({c})",
    "max({c})",
    "count(*) FILTER (WHERE {c} = {v})",
    "count(*) FILTER (WHERE {c} <> {v})",
    "count(*) FILTER (WHERE {c} <= {v})",
    "(SELECT count(*) FROM rows WHERE {c} = {v})",
    "(SELECT count(*) FROM rows WHERE {c} IN ({v}, NULL))",
    "(SELECT count(*) FROM rows WHERE NOT ({c} = {v}))",
    "(SELECT count(*) FROM rows WHERE {c} IS NULL)",
    "(SELECT count(*) FROM rows a JOIN rows b ON a.{c} = b.{c})",
    "count(*) = (SELECT count(*) FROM rows WHERE {c} IS NOT NULL)",
]


@pytest.mark.parametrize("column", VALUES)
def test_arrow_and_the_engine_answer_alike(tmp_path: Path, column: str) -> None:
    kind, values, value = VALUES[column]
    files = []
    for part, own in enumerate((values, values[::-1] * 5, [None] * 3)):
        files.append(str(tmp_path / f"a={part}.parquet"))
        pq.write_table(pa.table({column: pa.array(own, kind)}), files[-1], row_group_size=4)
    name = '"' + column.replace('"', '""') + '"'
    asked = ", ".join(f"{a.format(c=name, v=value)} AS a{n}" for n, a in enumerate(ASKED))
    engine = DuckDBEngine([str(tmp_path)])
    few, many = (
        engine.stream(f"SELECT {asked} FROM rows", {"rows": opened(files, rows)}).read_all().to_pylist()
        for rows in (1, FEW_ROWS + 1)
    )
    assert repr(few).replace("-0.0", "0.0") == repr(many).replace("-0.0", "0.0")
