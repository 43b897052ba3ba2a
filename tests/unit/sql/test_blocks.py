"""A query with models in several SELECTs, in parts."""

import pytest

from tilth.sql.queries.blocks import Blocks, blocks

MODELS = {"late", "slow"}
ONE = ["SELECT 1", "SELECT * FROM late", "SELECT * FROM d JOIN late m", "SELECT * FROM d JOIN late a JOIN slow b", "SELECT 'late', 'late' FROM d", "SELECT * FROM (SELECT * FROM late) t WHERE 'late' = 'late'"]  # fmt: skip


@pytest.mark.parametrize("sql", ONE)
def test_one_select_with_models_is_left_as_it_is(sql: str) -> None:
    assert blocks(sql, MODELS) is None


def parts(sql: str) -> Blocks:
    found = blocks(sql, MODELS)
    assert found is not None
    return found


def test_branches_of_a_union_are_asked_apart() -> None:
    found = parts("SELECT x FROM d JOIN late m UNION ALL SELECT x FROM d JOIN slow m ORDER BY 1")
    assert [b.sql for b in found.blocks] == [
        "SELECT x FROM d, late AS m",
        "SELECT x FROM d, slow AS m",
    ]
    assert (
        found.outer
        == 'SELECT * FROM "$"."tilth_select_0" UNION ALL SELECT * FROM "$"."tilth_select_1" ORDER BY 1'
    )
    assert [b.again for b in found.blocks] == [False, False]


def test_the_select_of_the_query_keeps_its_models() -> None:
    found = parts("SELECT t.x FROM (SELECT x FROM d JOIN late m) t JOIN slow m")
    assert [b.sql for b in found.blocks] == ["SELECT x FROM d, late AS m"]
    assert found.outer == 'SELECT t.x FROM (SELECT * FROM "$"."tilth_select_0") AS t, slow AS m'


def test_a_query_of_with_is_seen_by_what_stands_after_it() -> None:
    found = parts("WITH a AS (SELECT 1 AS x), p AS (SELECT x FROM a JOIN late m) SELECT * FROM p JOIN slow m")
    assert [b.sql for b in found.blocks] == ["WITH a AS (SELECT 1 AS x) SELECT x FROM a, late AS m"]
    assert found.blocks[0].again


def test_what_is_within_another_goes_with_it() -> None:
    found = parts("SELECT * FROM (SELECT * FROM (SELECT x FROM d JOIN late m) i JOIN slow m) o")
    assert [b.sql for b in found.blocks] == ["SELECT * FROM (SELECT x FROM d, late AS m) AS i, slow AS m"]
    assert parts(found.blocks[0].sql).blocks[0].sql == "SELECT x FROM d, late AS m"


def test_versions_stay_with_their_models() -> None:
    found = parts(
        "SELECT x FROM d FOR SNAPSHOT 'abc' JOIN late FOR VERSION 3 m UNION SELECT x FROM d JOIN late FOR VERSION 12 AS m"
    )
    assert [b.sql for b in found.blocks] == [
        'SELECT x FROM "d" FOR SNAPSHOT \'abc\' AS "d", "late" FOR VERSION 3 AS m',
        'SELECT x FROM d, "late" FOR VERSION 12 AS m',
    ]
