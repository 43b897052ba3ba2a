"""Columns whose names differ only in case: the one that is named is read, what would mix them up is refused."""

import pytest

from tilth.core.errors import ProjectError
from tilth.core.schema import DataType, Field, Schema
from tilth.sql.queries.twins import settled

TWINS = Schema(tuple(Field(n, DataType.INTEGER) for n in ("id", "Amount", "amount", "Id2")))
ALONE = Schema((Field("id", DataType.INTEGER), Field("x", DataType.INTEGER)))


@pytest.mark.parametrize(
    ("sql", "left"),
    [
        ('SELECT id, "Amount" FROM pg.t', ("id", "Amount", "Id2")),
        ("SELECT id, amount FROM pg.t", ("id", "amount", "Id2")),
        ('SELECT t."Amount" FROM pg.t', ("id", "Amount", "Id2")),
        ('SELECT id FROM pg.t WHERE "Amount" > 1', ("id", "Amount", "Id2")),
        ("SELECT id FROM pg.t", ("id", "Id2")),
        ("SELECT ID2 FROM pg.t", ("id", "Id2")),
        ("SELECT count(*) FROM pg.t", ("id", "Id2")),
        ("SELECT o.x FROM pg.o AS o JOIN pg.t USING (amount)", ("id", "amount", "Id2")),
    ],
)
def test_the_column_that_is_named_is_the_one(sql: str, left: tuple[str, ...]) -> None:
    assert settled(sql, {"pg.t": TWINS})["pg.t"].names == left


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM pg.t",
        "SELECT t.* FROM pg.t",
        'SELECT "Amount", amount FROM pg.t',
        "SELECT AMOUNT FROM pg.t",
        'SELECT amount FROM pg.t WHERE "Amount" > 1',
    ],
)
def test_what_would_mix_them_up_names_both_and_says_what_to_do(sql: str) -> None:
    with pytest.raises(ProjectError) as caught:
        settled(sql, {"pg.t": TWINS})
    assert '"Amount", "amount"' in caught.value.message
    assert 'FROM pg (SELECT "Amount" AS amount_1, "amount" AS amount_2 FROM t)' in (caught.value.hint or "")


def test_tables_without_such_names_stay_as_they_are() -> None:
    assert settled("SELECT * FROM pg.o", {"pg.o": ALONE}) == {"pg.o": ALONE}
