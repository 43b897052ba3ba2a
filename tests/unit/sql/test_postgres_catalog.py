"""Queries of PostgreSQL's catalog as those of the engine, and the types of a statement's parameters."""

import duckdb
import pytest

from tilth.core.errors import LanguageError, UnsupportedError
from tilth.core.schema import DataType
from tilth.sql.language.parameters import apart, bound
from tilth.sql.postgres import types
from tilth.sql.postgres.catalog import FUNCTIONS, INNER, LOOKED_UP, Server, concerns, inner, rewritten
from tilth.sql.postgres.parameters import count, inferred
from tilth.sql.postgres.relations import columns

SERVER = Server("PostgreSQL 15.0 (tilth)", "prod", "tilth", 7, {"search_path": "public"})
KINDS = {"text": "VARCHAR", "i8": "BIGINT", "i4": "INTEGER", "i2": "SMALLINT", "b": "BOOLEAN", "f": "DOUBLE", "t": "TIMESTAMP", "i2s": "SMALLINT[]", "i8s": "BIGINT[]", "s": "VARCHAR[]"}  # fmt: skip


@pytest.fixture(scope="module")
def engine() -> duckdb.DuckDBPyConnection:
    """An engine with every relation of the catalog, empty but for a type and a relation."""
    found = duckdb.connect()
    found.execute(f"CREATE SCHEMA {INNER}")
    for name, kinds in columns().items():
        listed = ", ".join(f'"{c}" {KINDS[k]}' for c, k in kinds.items())
        found.execute(f'CREATE TABLE {INNER}."{inner(name)}" ({listed})')
    for name in LOOKED_UP:
        found.execute(f"CREATE TABLE {INNER}.{name} (oid BIGINT, name VARCHAR)")
    found.execute(f"INSERT INTO {INNER}.names_of_types VALUES (20, 'bigint')")
    found.execute(f"INSERT INTO {INNER}.names_of_relations VALUES (20001, 'd')")
    return found


QUERIES = {
    "SELECT version()": [("PostgreSQL 15.0 (tilth)",)],
    "SELECT pg_catalog.version()": [("PostgreSQL 15.0 (tilth)",)],
    "SELECT current_database(), current_user, session_user, current_schema()": [("prod", "tilth", "tilth", "public")],
    "SELECT current_setting('search_path')": [("public",)],
    "SELECT pg_backend_pid()": [(7,)],
    "SELECT pg_catalog.format_type(20, -1)": [("bigint",)],
    "SELECT 20001::regclass": [("d",)],
    "SELECT 'd'::regclass::oid": [(20001,)],
    "SELECT 'pg_catalog.d'::pg_catalog.regclass::pg_catalog.oid": [(20001,)],
    "SELECT to_regtype('bigint'), to_regclass('nothere')": [(20, None)],
    "SELECT has_table_privilege('d', 'SELECT')": [(True,)],
    "SELECT 20001 IN (SELECT oid FROM pg_class)": [(False,)],
    "SELECT 'x' OPERATOR(pg_catalog.~) '^(x)$' COLLATE pg_catalog.default FROM pg_catalog.pg_type": [],
    "SELECT a.attname FROM pg_attribute a WHERE a.attnum = ANY ('{1,2}') AND a.attname !~* 'x'": [],
    "SELECT relname FROM pg_class WHERE relkind = ANY (ARRAY['r','v'])": [],
    "SELECT pg_catalog.pg_class.relname FROM pg_catalog.pg_class WHERE pg_catalog.pg_class.oid > 5": [],
    "WITH x AS (SELECT oid FROM pg_class) SELECT * FROM x": [],
    "SELECT n, (k).x FROM (SELECT 1 AS n, information_schema._pg_expandarray(indkey) AS k FROM pg_index) i": [],
    "SELECT typreceive <> 0 FROM pg_type": [],
    "SELECT array_upper(indkey, 1), generate_subscripts(indkey, 1) FROM pg_index": [],
    "SELECT array(SELECT option_name FROM pg_catalog.pg_options_to_table(ftoptions)) FROM pg_foreign_table": [],
    "SELECT col_description(1, 2), obj_description(1, 'pg_class'), shobj_description(1, 'x')": [(None, None, None)],
    "SELECT pg_get_indexdef(1, 0, true), pg_get_indexdef(1, 2, true), pg_get_expr('x', 1)": [(None, None, None)],
    "SELECT E'a\\nb' FROM information_schema.tables": [],
    "SELECT string_agg(word, ',') FROM pg_catalog.pg_get_keywords() WHERE word <> ALL ('{a,b}'::text[])": [(None,)],
    "SELECT pg_catalog.pg_stat_get_numscans(oid) FROM pg_class": [],
    "SELECT nspname::text, oid::int8, oid::regnamespace FROM pg_namespace": [],
}  # fmt: skip


@pytest.mark.parametrize("text", QUERIES)
def test_a_query_of_the_catalog_runs_on_the_engine(text: str, engine: duckdb.DuckDBPyConnection) -> None:
    assert concerns(text)
    found = rewritten(text, SERVER)
    assert found is not None
    sql, wanted = found
    assert wanted <= {inner(n) for n in columns()} | set(LOOKED_UP)
    assert engine.sql(sql).fetchall() == QUERIES[text]


@pytest.mark.parametrize("name", sorted(columns()))
def test_every_relation_can_be_read(name: str, engine: duckdb.DuckDBPyConnection) -> None:
    found = rewritten(f"SELECT * FROM {name}", SERVER)
    assert found is not None
    assert engine.sql(found[0]).columns == list(columns()[name])


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_is_made_into_something(name: str) -> None:
    words = {"current_user", "session_user", "user", "current_catalog", "current_role"}
    none = {"version", "current_version", "current_database", "current_schema", "current_schemas"}
    text = (
        f"SELECT {name} FROM pg_class"
        if name in words
        else f"SELECT {name}({'' if name in none else 'a, 1, 2'}) FROM pg_class"
    )
    found = rewritten(text, SERVER)
    assert found is not None
    assert f"{name}(" not in found[0].lower().replace("json_object(", "")


@pytest.mark.parametrize(
    "text",
    ["SELECT 1", "SELECT age FROM people", "SELECT 'pg_class' FROM d", "SELECT * FROM late WHERE age = 3", "SELECT max(version) FROM d", "VALUES (1)"],
)  # fmt: skip
def test_what_is_none_of_the_catalog_is_left_alone(text: str) -> None:
    assert not concerns(text) or rewritten(text, SERVER) is None


@pytest.mark.parametrize("text", ["SELECT * FROM pg_class, d", "SELECT * FROM pg_authid", "SELECT * FROM pg_catalog.nothere", "SELECT (SELECT x FROM d) FROM pg_type"])  # fmt: skip
def test_a_mixture_and_what_is_not_there_is_refused(text: str) -> None:
    with pytest.raises(UnsupportedError):
        rewritten(text, SERVER)


# --- parameters --------------------------------------------------------------------------------------------

COLUMNS = {"n": DataType.INTEGER, "t": DataType.STRING, "d": DataType.DATE, "x": DataType.FLOAT, "b": DataType.BOOLEAN}  # fmt: skip
PARAMETERS = {
    "SELECT * FROM d WHERE n = $1 AND t = $2": {1: "int8", 2: "text"},
    "SELECT $1::int4, CAST($2 AS DATE)": {1: "int4", 2: "date"},
    "SELECT * FROM d WHERE n IN ($1, $2) AND d BETWEEN $3 AND $4": {1: "int8", 2: "int8", 3: "date", 4: "date"},
    "SELECT * FROM d LIMIT $1 OFFSET $2": {1: "int8", 2: "int8"},
    "SELECT * FROM d WHERE n = ANY($1) AND t = ANY ($2)": {1: "_int8", 2: "_text"},
    "SELECT * FROM d WHERE $1 < x AND (b = ($2))": {1: "float8", 2: "bool"},
    "SELECT * FROM d WHERE t LIKE $1 AND lower(t) = $2": {1: "text", 2: "text"},
    "SELECT n + $1, $2 || 'a', 1.5 * $3 FROM d": {1: "int8", 3: "float8"},
    "SELECT $1": {},
    "SELECT * FROM d WHERE nothere = $1": {},
    "SELECT count(*) FROM d HAVING count(*) > $1": {1: "int8"},
    "not a query $1": {},
}  # fmt: skip


@pytest.mark.parametrize("text", PARAMETERS)
def test_a_statement_tells_the_types_of_its_parameters(text: str) -> None:
    assert {n: t.name for n, t in inferred(text, COLUMNS).items()} == PARAMETERS[text]


@pytest.mark.parametrize(("text", "expected"), [("SELECT 1", 0), ("SELECT $2, $1, $2", 2), ("SELECT '$3'", 0)])  # fmt: skip
def test_parameters_are_counted(text: str, expected: int) -> None:
    assert count(text) == expected


@pytest.mark.parametrize(
    ("text", "spaced"),
    [("SELECT $1,$2 FROM d WHERE a IN($3,$4)", "SELECT $1 ,$2  FROM d WHERE a IN($3 ,$4 )"), ("SELECT '$1,$2',$1", "SELECT '$1,$2',$1 "), ("SELECT 1", "SELECT 1")],
)  # fmt: skip
def test_parameters_may_stand_side_by_side(text: str, spaced: str) -> None:
    assert apart(text) == spaced
    assert bound("SELECT $1,$2,$1,$2", [1, "$3,$4"]) == "SELECT 1,'$3,$4',1,'$3,$4'"
    assert bound("SELECT $$ $1,$2 $$, $1,$2", [1, 2]) == "SELECT $$ $1,$2 $$, 1,2"


@pytest.mark.parametrize("text", ["SELECT $name", "SELECT $0", "SELECT $99999999"])
def test_a_parameter_is_a_number(text: str) -> None:
    with pytest.raises(LanguageError, match="no parameter"):
        count(text)


def test_every_type_of_ours_is_one_of_postgresql() -> None:
    assert set(types.OF) == set(DataType)
