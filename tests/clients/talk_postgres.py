"""What PostgreSQL's clients for Python get from the door at a port, as JSON: `talk_postgres.py PORT PASSWORD`.

Each function is a client, or one way of it; each says what it was answered, or the error that it should not have had.
"""

import asyncio
import json
import sys
import threading
import traceback
from typing import Any

PORT, PASSWORD = int(sys.argv[1]), sys.argv[2]
PLACE = {"host": "127.0.0.1", "port": PORT, "user": "tilth", "password": PASSWORD}
ROWS = "SELECT id, n, x, t, b, d, s FROM d WHERE id < 3 ORDER BY id"
PREDICTED = (
    "SELECT y, y_probability FROM m WHERE n = {} AND x = {} AND t = {} AND b = {} AND d = {} AND s = {}"
)
GIVEN = (3, 0.5, "a", True, "2023-07-01", "2023-07-01T10:00:00")
ENDLESS = "SELECT count(*) FROM range(100000000) a, range(100000) b"


def opened(**more: Any) -> Any:
    import psycopg

    return psycopg.connect(**PLACE, dbname="prod", **more)


def psycopg_simple() -> Any:
    with opened() as c:
        return c.execute(ROWS).fetchall()


def psycopg_binary() -> Any:
    with opened() as c:
        return c.cursor(binary=True).execute(ROWS).fetchall()


def psycopg_parameters() -> Any:
    with opened() as c:
        return c.execute("SELECT id FROM d WHERE id < %s AND t = ANY(%s) ORDER BY id", (20, ["a", "b"])).fetchall()  # fmt: skip


def psycopg_prepared() -> Any:
    from datetime import date, datetime

    given = (*GIVEN[:4], date(2023, 7, 1), datetime(2023, 7, 1, 10))
    with opened() as c:
        text = PREDICTED.format(*["%s"] * 6)
        return [c.execute(text, given, prepare=True).fetchone() for _ in range(3)]


def psycopg_pipeline() -> Any:
    with opened(autocommit=True) as c:
        with c.pipeline():
            cursors = [c.execute("SELECT id FROM d WHERE id = %s", (i,)) for i in range(4)]
        return [cursor.fetchone() for cursor in cursors]


def psycopg_pipeline_error() -> Any:
    import psycopg

    with opened(autocommit=True) as c:
        with c.pipeline() as pipeline:
            good = c.execute("SELECT 1")
            bad = c.execute("SELECT nope FROM d")
            after = c.execute("SELECT 2")
            try:
                pipeline.sync()
            except psycopg.Error as error:
                told = error.sqlstate
        del bad, after
        return [good.fetchone(), told, c.execute("SELECT 3").fetchone()]


def psycopg_cursor() -> Any:
    with opened() as c, c.cursor("held") as cursor:
        cursor.execute("SELECT id FROM d ORDER BY id")
        return [cursor.fetchmany(3), len(cursor.fetchall())]


def psycopg_copy() -> Any:
    with opened() as c:
        with c.cursor().copy("COPY (SELECT id, t, x, d FROM d WHERE id < 2 ORDER BY id) TO STDOUT") as copy:
            text = [list(row) for row in copy.rows()]
        query = "COPY (SELECT id, t, x, d FROM d WHERE id < 2 ORDER BY id) TO STDOUT (FORMAT binary)"
        with c.cursor().copy(query) as copy:
            copy.set_types(["int8", "text", "float8", "date"])
            binary = [list(row) for row in copy.rows()]
        with c.cursor().copy("COPY (SELECT id FROM d WHERE id < 0) TO STDOUT (FORMAT binary)") as copy:
            none = len(b"".join(copy))
    return [text, binary, none]


def psycopg_transactions() -> Any:
    import psycopg

    told = []
    with opened() as c:
        for text in ("SELECT nope FROM d", "SELECT 1"):
            try:
                c.execute(text)
            except psycopg.Error as error:
                told.append(error.sqlstate)
        c.rollback()
        with c.transaction():
            try:
                with c.transaction():
                    c.execute("SELECT nope FROM d")
            except psycopg.Error as error:
                told.append(error.sqlstate)
            told.append(c.execute("SELECT 5").fetchone()[0])
        try:
            c.execute("RETRAIN MODEL m")
        except psycopg.Error as error:
            told.append(error.sqlstate)
    return told


def psycopg_notices() -> Any:
    told: list[str] = []
    with opened(autocommit=True) as c:
        c.add_notice_handler(lambda d: told.append(d.message_primary))
        status = c.execute("RETRAIN MODEL m").statusmessage
    return [status, told[0]]


def psycopg_cancel() -> Any:
    import psycopg

    with opened() as c:
        threading.Timer(1.0, c.cancel_safe).start()
        try:
            c.execute(ENDLESS)
        except psycopg.Error as error:
            c.rollback()
            return [error.sqlstate, c.execute("SELECT 7").fetchone()[0]]


def psycopg_timeout() -> Any:
    import psycopg

    with opened(options="-c statement_timeout=500", autocommit=True) as c:
        try:
            c.execute(ENDLESS)
        except psycopg.Error as error:
            return error.sqlstate


async def _asyncpg() -> Any:
    import asyncpg

    c = await asyncpg.connect(**PLACE, database="prod")
    rows = [
        list(r) for r in await c.fetch("SELECT id, t FROM d WHERE id < $1 AND t = $2 ORDER BY id", 20, "a")
    ]
    statement = await c.prepare("SELECT x FROM d WHERE id = $1 LIMIT $2")
    types = [t.name for t in statement.get_parameters()]
    value = await statement.fetchval(3, 1)
    async with c.transaction():
        seen = [r["id"] async for r in c.cursor("SELECT id FROM d WHERE id < $1 ORDER BY id", 7, prefetch=2)]
    from datetime import date, datetime

    given = (*GIVEN[:4], date(2023, 7, 1), datetime(2023, 7, 1, 10))
    said = list(await c.fetchrow(PREDICTED.format(*[f"${i}" for i in range(1, 7)]), *given))
    await c.close()
    return [rows, types, value, seen, said]


def asyncpg() -> Any:
    return asyncio.run(_asyncpg())


def pg8000() -> Any:
    import pg8000.native

    c = pg8000.native.Connection(**PLACE, database="prod")
    found = [c.run("SELECT id, t, x FROM d WHERE id < :most ORDER BY id", most=3), c.run("SELECT 1")]
    c.close()
    return found


def engine() -> Any:
    import sqlalchemy

    return sqlalchemy.create_engine(f"postgresql+psycopg://tilth:{PASSWORD}@127.0.0.1:{PORT}/prod")


def sqlalchemy_reflects() -> Any:
    import sqlalchemy as sa

    found = sa.inspect(engine())
    table = sa.Table("d", sa.MetaData(), autoload_with=engine())
    with engine().connect() as c:
        rows = c.execute(sa.select(table.c.id, table.c.t).where(table.c.id < 3).order_by(table.c.id)).all()
    return {
        "tables": found.get_table_names(),
        "views": found.get_view_names(),
        "schemas": found.get_schema_names(),
        "columns": [[c["name"], str(c["type"]), c["nullable"]] for c in found.get_columns("d")],
        "key": found.get_pk_constraint("d")["constrained_columns"],
        "of a model": [c["name"] for c in found.get_columns("m")],
        "of the system": "environment" in [c["name"] for c in found.get_columns("models", schema="tilth")],
        "rest": [found.get_foreign_keys("d"), found.get_check_constraints("d")],
        "rows": [list(r) for r in rows],
    }


async def _sqlalchemy_asyncpg() -> Any:
    import sqlalchemy as sa
    from sqlalchemy.ext.asyncio import create_async_engine

    made = create_async_engine(f"postgresql+asyncpg://tilth:{PASSWORD}@127.0.0.1:{PORT}/prod")
    async with made.connect() as c:
        rows = (
            await c.execute(sa.text("SELECT id, t FROM d WHERE id < :most ORDER BY id"), {"most": 3})
        ).all()
        names = await c.run_sync(lambda s: [x["name"] for x in sa.inspect(s).get_columns("d")])
    await made.dispose()
    return [[list(r) for r in rows], names]


def sqlalchemy_asyncpg() -> Any:
    return asyncio.run(_sqlalchemy_asyncpg())


def pandas() -> Any:
    import pandas as pd

    found = pd.read_sql(ROWS, engine())
    return [list(found.columns), len(pd.read_sql_table("d", engine())), found["x"].tolist()]


def polars() -> Any:
    import polars as pl

    uri = f"postgresql://tilth:{PASSWORD}@127.0.0.1:{PORT}/prod"
    found = pl.read_database_uri(ROWS, uri, engine="adbc")
    return [{n: str(t) for n, t in found.schema.items()}, found["x"].to_list()]


def adbc() -> Any:
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(f"postgresql://tilth:{PASSWORD}@127.0.0.1:{PORT}/prod") as c, c.cursor() as cursor:
        cursor.execute(ROWS)
        names = cursor.fetch_arrow_table().schema.names
        cursor.execute("SELECT count(*) FROM d WHERE n > $1", (30,))
        count = cursor.fetchall()[0][0]
        depth = c.adbc_get_objects(depth="tables").read_all().num_rows
        schema = {f.name: str(f.type) for f in c.adbc_get_table_schema("d")}
    return [names, count, depth > 0, schema]


def said(client: Any) -> Any:
    try:
        return client()
    except Exception:
        return {"failed": traceback.format_exc()[-1500:]}


CLIENTS = (
    psycopg_simple, psycopg_binary, psycopg_parameters, psycopg_prepared, psycopg_pipeline, psycopg_pipeline_error, psycopg_cursor, psycopg_copy,
    psycopg_transactions, psycopg_notices, psycopg_cancel, psycopg_timeout, asyncpg, pg8000, sqlalchemy_reflects, sqlalchemy_asyncpg, pandas, polars, adbc,
)  # fmt: skip

if __name__ == "__main__":
    print(json.dumps({c.__name__: said(c) for c in CLIENTS}, default=str))
