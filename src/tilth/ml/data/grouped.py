"""Checks of one column of texts asked of its values, not of its rows: most columns of texts have few.

Whether values are few is seen in a part of the rows; where it was not so elsewhere, the answer is the same and takes longer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from tilth.core.names import quoted
from tilth.core.schema import DataType, Schema
from tilth.ports.engine import QueryEngine, Relation
from tilth.sql.language.trees import tree

ROWS = "rows"
LEAST_ROWS = 200_000  # below, one pass over the rows is as quick
SHARE = 0.1  # of the looked-at rows, up to which values are few
LOOKED = 65_536  # rows of a file


def count(
    tests: Mapping[int, str], schema: Schema, rows: Relation, engine: QueryEngine
) -> dict[int, tuple[int, int]]:
    """How many rows fail each test, and of how many it is NULL, for those tests that can be asked of values.

    `tests` are SQL of a row of ROWS, each true where it holds.
    """
    if isinstance(rows, str) or not isinstance(rows, Sequence) or not _many(rows):
        return {}
    by_column: defaultdict[str, list[int]] = defaultdict(list)
    for item, test in tests.items():
        if (column := _alone(test, schema)) is not None:
            by_column[column].append(item)
    found: list[int] = []
    parts: list[str] = []
    for column in _few(tuple(by_column), rows):
        items = by_column[column]
        found += items
        asked = ", ".join(f"({tests[i]})::BOOLEAN AS h{i}" for i in items)
        sums = ", ".join(
            f"coalesce(sum(n) FILTER (WHERE NOT coalesce(h{i}, false)), 0), coalesce(sum(n) FILTER (WHERE h{i} IS NULL), 0)"
            for i in items
        )
        values = (
            f"(SELECT {quoted(column)}, count(*) AS tilth_n FROM {ROWS} GROUP BY {quoted(column)}) AS {ROWS}"
        )
        parts.append(f"(SELECT [{sums}] FROM (SELECT {asked}, tilth_n AS n FROM {values}))")
    if not parts:
        return {}
    table = engine.stream(f"SELECT {', '.join(parts)}", {ROWS: rows}).read_all()
    said = [int(n) for c in table.columns for n in c[0].as_py()]
    return {i: (said[2 * n], said[2 * n + 1]) for n, i in enumerate(found)}


def _many(files: Sequence[str]) -> bool:
    import pyarrow.parquet as pq

    return bool(files) and sum(pq.read_metadata(f).num_rows for f in files) >= LEAST_ROWS


def _alone(test: str, schema: Schema) -> str | None:
    """The one column of texts that the test reads; None where it reads others, or more than a row."""
    from sqlglot import exp

    root = tree(test)
    if any(isinstance(node, exp.Query | exp.Lambda | exp.Star) for node in root.walk()):
        return None
    read = list(root.find_all(exp.Column))
    names = {c.name.lower() for c in read}
    if len(names) != 1 or any(len(c.parts) > 1 for c in read):
        return None
    column = schema.find(names.pop())
    return column.name if column is not None and column.type is DataType.STRING else None


def _few(columns: Sequence[str], files: Sequence[str]) -> list[str]:
    """The columns that have few values in the first rows of the first, the middle and the last file."""
    import pyarrow.parquet as pq

    left = list(columns)
    for path in dict.fromkeys((files[0], files[len(files) // 2], files[-1])):
        if not left:
            break
        with pq.ParquetFile(path) as file:
            rows = next(file.iter_batches(LOOKED, row_groups=[0], columns=left), None)
        if rows is not None:
            left = [c for c in left if len(rows.column(c).unique()) <= SHARE * rows.num_rows]
    return left
