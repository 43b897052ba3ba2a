"""A column may be called as a word of SQL: what is written for it is read back as that column, by our reader and by DuckDB."""

import duckdb
import pytest
from sqlglot import exp

from tilth.core.names import WORDS_OF_SQL, in_query
from tilth.sql.language.trees import tree

WORDS = sorted(
    {w for (w,) in duckdb.sql("SELECT keyword_name FROM duckdb_keywords()").fetchall()}
    | WORDS_OF_SQL
    | {"user", "date", "timestamp", "today", "count", "rowid", "a$b", "customer id", "Age", 'a"b'}
)


@pytest.mark.parametrize("word", WORDS)
def test_a_column_of_any_name_can_be_asked(word: str) -> None:
    said = in_query(word)
    condition = f"{said} IN ('a') AND ({said} BETWEEN 'a' AND 'b' OR {said} IS NULL)"
    read = tree(f"SELECT * FROM t WHERE {condition}")
    assert {c.name for c in read.find_all(exp.Column)} == {word}
    quoted = word.replace('"', '""')
    assert duckdb.sql(f"SELECT {condition} FROM (SELECT 'a' AS \"{quoted}\")").fetchall() == [(True,)]


@pytest.mark.parametrize("word", ["age", "year", "month", "day", "type", "status", "name", "value"])
def test_a_usual_name_stands_bare(word: str) -> None:
    assert in_query(word) == word
