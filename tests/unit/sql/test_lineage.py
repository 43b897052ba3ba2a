"""Which columns an output is computed from, query by query; nothing is guessed."""

import pytest

from tilth.core.schema import DataType, Field, Schema
from tilth.sql.queries.lineage import lineage


def schema(*names: str) -> Schema:
    return Schema(tuple(Field(n, DataType.STRING) for n in names))


KNOWN = {"ops.f": schema("id", "a", "b", "t"), "wx.w": schema("t", "temp")}
CASES = [
    ("SELECT f.id, a + b AS s, upper(temp) AS u FROM ops.f f JOIN wx.w w ON f.t = w.t", "s", "f.a f.b"),
    ("SELECT f.id, a + b AS s, upper(temp) AS u FROM ops.f f JOIN wx.w w ON f.t = w.t", "u", "w.temp"),
    ("SELECT * FROM ops.f", "B", "f.b"),
    ("SELECT * EXCLUDE (a) FROM ops.f", "a", ""),
    ("SELECT f.*, w.temp FROM ops.f f ASOF JOIN wx.w w ON f.t >= w.t", "b", "f.b"),
    ("WITH c AS (SELECT id, sum(a) AS n FROM ops.f GROUP BY id) SELECT id, n * 2 AS m FROM c", "m", "f.a"),
    ("SELECT x FROM (SELECT a || b AS x FROM ops.f) q", "x", "f.a f.b"),
    ("SELECT id, a FROM ops.f UNION ALL SELECT t, temp FROM wx.w", "a", "f.a w.temp"),
    ("SELECT * REPLACE (a || b AS a) FROM ops.f", "a", "f.a f.b"),
    ("SELECT count(*) AS n FROM ops.f", "n", ""),
    ("SELECT lag(a) OVER (ORDER BY t) AS before FROM ops.f", "before", "f.a f.t"),
    ("SELECT CASE WHEN a > 1 THEN b END AS c FROM ops.f", "c", "f.a f.b"),
    ("SELECT a FROM elsewhere.unknown", "a", "unknown.a"),
    ("SELECT z FROM ops.f f, wx.w w", "z", ""),
    ("SELECT a FROM ops.f", "nothing", ""),
    ("WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT n FROM r", "n", ""),
]


@pytest.mark.parametrize(("sql", "output", "expected"), CASES)
def test_an_output_comes_from(sql: str, output: str, expected: str) -> None:
    found = lineage(sql, (output,), KNOWN)[output]
    assert " ".join(sorted(f"{table}.{column}" for _, table, column in found)) == expected
