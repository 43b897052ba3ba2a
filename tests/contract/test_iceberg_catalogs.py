"""Iceberg tables by a catalog: a REST server, a SQLite file, PostgreSQL; which tables there are, which snapshot, and what goes wrong."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.catalog.sql import SqlCatalog

import buckets
import catalogs
import servers
from tilth.adapters.sources.iceberg.source import IcebergSource
from tilth.core.errors import ProjectError, SourceError, TilthError, UnknownNameError, UnsupportedError
from tilth.core.scan import Predicate, Scan

ROWS = pa.table({"id": [1, 2, 3]})


def written(root: Path, uri: str = "", name: str = "main", **more: str) -> SqlCatalog:
    """A catalog with `sales.visits` and `sales.odd name`, and `sales.eu.orders`, in the folder `lake`."""
    where = {"uri": uri or f"sqlite:///{root}/catalog.db", "warehouse": f"file://{root}/lake", **more}
    catalog = SqlCatalog(name, **where)
    for space, table in (("sales", "visits"), ("sales", "odd name"), ("sales.eu", "orders")):
        catalog.create_namespace_if_not_exists(space)
        catalog.create_table((*space.split("."), table), schema=ROWS.schema).append(ROWS)
    return catalog


def ids(source: IcebergSource, table: str = "visits", *where: Predicate) -> list[int]:
    return sorted(source.scan(Scan(table, ("id",), where)).read_all()["id"].to_pylist())


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """PostgreSQL's own url, with a schema to keep a catalog in as where tables are looked for."""
    from adbc_driver_postgresql import dbapi

    schema = f"catalog_{uuid.uuid4().hex[:10]}"
    with dbapi.connect(servers.postgres_url(), autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {schema}")
        mark = "&" if "?" in servers.postgres_url() else "?"
        yield f"{servers.postgres_url()}{mark}options=-csearch_path%3D{schema}"
        cursor.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture(params=["rest", "credential", "sqlite", "postgres"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[SqlCatalog, dict[str, Any]]:
    """A catalog, and the options of a source of it."""
    catalog = written(tmp_path)
    if request.param == "sqlite":
        return catalog, {"catalog": "sqlite:///catalog.db"}
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
        copied(catalog, url)
        return catalog, {"catalog": url, "copied": True}
    by = {"token": catalogs.TOKEN} if request.param == "rest" else {"credential": catalogs.CREDENTIAL}
    return catalog, {"catalog": catalogs.started(catalog).url, "warehouse": "main", **by}


def copied(catalog: SqlCatalog, url: str) -> None:
    """The catalog's table into PostgreSQL, as its own client would keep it (which is not installed)."""
    from adbc_driver_postgresql import dbapi
    from sqlalchemy import text

    with catalog.engine.connect() as connection:
        found = connection.execute(text("SELECT * FROM iceberg_tables")).mappings().all()
    with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS iceberg_tables")
        cursor.execute(f"CREATE TABLE iceberg_tables ({', '.join(f'{n} VARCHAR(1000)' for n in found[0])})")
        for row in found:
            values = ", ".join(
                "NULL" if v is None else "'" + str(v).replace("'", "''") + "'" for v in row.values()
            )
            cursor.execute(f"INSERT INTO iceberg_tables VALUES ({values})")


def test_tables_are_those_of_the_namespace_and_a_snapshot_is_kept_to(tmp_path: Path, made: Any) -> None:
    catalog, options = made
    again = options.pop("copied", False)
    given = {**options, "namespace": "sales", "path": "lake"}
    source = IcebergSource.from_options(given, str(tmp_path))
    assert source.tables() == ("odd name", "visits")
    assert source.describe("VISITS").names == ("id",)
    assert ids(source, "odd name", Predicate("id", ">", 1)) == [2, 3]
    before = source.change_token("visits")
    assert ids(source) == [1, 2, 3]
    first = catalog.load_table("sales.visits")
    first.append(pa.table({"id": [4]}))
    if again:
        copied(catalog, options["catalog"])
    assert ids(source) == [1, 2, 3], "one snapshot is read until somebody asks what changed"
    assert source.change_token("visits") != before
    assert ids(source) == [1, 2, 3, 4]
    old = first.history()[0].snapshot_id
    assert ids(IcebergSource.from_options({**given, "snapshot": old}, str(tmp_path))) == [1, 2, 3]
    deeper = IcebergSource.from_options({**given, "namespace": "sales.eu"}, str(tmp_path))
    assert (deeper.tables(), ids(deeper, "orders")) == (("orders",), [1, 2, 3])
    with pytest.raises(UnknownNameError, match="no table `visit`") as caught:
        source.describe("visit")
    assert "visits" in str(caught.value.hint)
    with pytest.raises(UnknownNameError, match="no namespace `sale`") as caught:
        IcebergSource.from_options({**given, "namespace": "sale"}, str(tmp_path)).tables()
    assert "sales" in str(caught.value.hint)


def test_our_server_is_one_to_the_client_of_pyiceberg_too(tmp_path: Path) -> None:
    server = catalogs.started(written(tmp_path))
    other = RestCatalog("c", uri=server.url, token=catalogs.TOKEN)
    assert sorted(n[-1] for n in other.list_tables("sales")) == ["odd name", "visits"]
    assert other.load_table("sales.visits").scan().to_arrow()["id"].to_pylist() == [1, 2, 3]


def test_a_bucket_is_read_by_the_keys_that_the_catalog_lends(tmp_path: Path) -> None:
    name = buckets.new()
    given = buckets.options(name)
    storage = {"s3.access-key-id": given["key"], "s3.secret-access-key": given["secret"], "s3.endpoint": given["endpoint"], "s3.region": "us-east-1"}  # fmt: skip
    catalog = written(tmp_path, warehouse=f"s3://{name}/lake", **storage)
    server = catalogs.started(catalog, **storage, **{"py-io-impl": "os.nothing"})
    options = {"catalog": server.url, "namespace": "sales", "token": catalogs.TOKEN}
    assert ids(IcebergSource.from_options(options, "")) == [1, 2, 3]
    server.lent = {k: v for k, v in storage.items() if "key" not in k}
    own = {k: given[k] for k in ("key", "secret")}
    assert ids(IcebergSource.from_options({**options, **own}, "")) == [1, 2, 3]


REST: list[tuple[dict[str, Any], type[TilthError], str]] = [
    ({"namespace": None}, ProjectError, "needs a namespace"),
    ({"token": "wrong"}, SourceError, r"does not let this source in \(401\)"),
    ({"token": None}, SourceError, r"does not let this source in \(401\)"),
    ({"token": None, "credential": "reader:wrong"}, SourceError, r"does not let this source in \(401\)"),
    ({"warehouse": "other"}, SourceError, r"does not let this source in \(400\)"),
    ({"catalog": "http://127.0.0.1:9"}, SourceError, "cannot be reached"),
    ({"catalog": "http://127.0.0.1:9/?token=hunter2"}, ProjectError, "holds more than an address"),
    ({"catalog": "ftp://127.0.0.1"}, ProjectError, "no address of a catalog"),
    ({"catalog": "nothing"}, ProjectError, "no address of a catalog"),
    ({"catalog": "http://me:hunter2@127.0.0.1"}, ProjectError, "holds a name or a password"),
    ({"password": "x"}, ProjectError, "`password` is of a SQL catalog"),
    ({"catalog": "sqlite:///catalog.db"}, ProjectError, "`token` is of another catalog"),
    ({"catalog": "sqlite:///gone.db", "token": None}, SourceError, "no catalog at"),
    ({"catalog": "sqlite:///empty.db", "token": None}, SourceError, "no table `iceberg_tables`"),
    ({"catalog": "sqlite:///broken.db", "token": None}, SourceError, "cannot be read"),
    ({"catalog": "sqlite:///catalog.db", "token": None, "warehouse": "x"}, SourceError, "no Iceberg catalog `x`"),
    ({"catalog": "postgresql://tilth:hunter2@127.0.0.1:9/x", "token": None}, SourceError, "cannot be reached"),
    ({"url": "s3://a/b/c"}, UnknownNameError, "no option `url`"),
    ({"path": None}, SourceError, "names no folder"),
    ({"path": "elsewhere"}, SourceError, "outside of the source's path"),
    ({"snapshot": 5}, SourceError, "no such snapshot"),
    ({"writable": True}, UnsupportedError, "never written to"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "error", "said"), REST)
def test_what_is_wrong_is_said(
    tmp_path: Path, given: dict[str, Any], error: type[TilthError], said: str
) -> None:
    import sqlite3

    server = catalogs.started(written(tmp_path))
    sqlite3.connect(tmp_path / "empty.db").execute("CREATE TABLE t (x)").connection.close()
    (tmp_path / "broken.db").write_bytes(b"not a database" * 100)
    options = {"catalog": server.url, "namespace": "sales", "path": "lake", "token": catalogs.TOKEN, **given}
    with pytest.raises(error, match=said) as caught:
        ids(IcebergSource.from_options({k: v for k, v in options.items() if v is not None}, str(tmp_path)))
    assert caught.value.hint
    assert "hunter2" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("failing", "body", "said"),
    [
        ([503, 503], None, None),
        ([503] * 3, None, "answers 503, 3 times over"),
        ([200], b"<html>", "no Iceberg catalog"),
        ([200], b"[]", "no Iceberg catalog"),
        ([404], None, "no Iceberg catalog"),
        ([418], None, "answers 418"),
    ],
)
def test_a_catalog_that_falters_is_asked_again_and_what_is_none_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: list[int], body: bytes | None, said: str | None
) -> None:
    monkeypatch.setattr("tilth.adapters.sources.iceberg.rest.PAUSE", 0.0)
    server = catalogs.started(written(tmp_path))
    options = {"catalog": server.url, "namespace": "sales", "path": "lake", "token": catalogs.TOKEN}
    source = IcebergSource.from_options(options, str(tmp_path))
    server.failing, server.body = failing, body
    if said is None:
        assert source.tables() == ("odd name", "visits")
        return
    with pytest.raises(SourceError, match=said):
        source.tables()


def test_of_several_catalogs_in_a_database_one_is_named(tmp_path: Path) -> None:
    written(tmp_path)
    written(tmp_path, name="other", warehouse=f"file://{tmp_path}/lake/other")
    options = {"catalog": "sqlite:///catalog.db", "namespace": "sales", "path": "lake"}
    with pytest.raises(SourceError, match="2 Iceberg catalogs: main, other"):
        IcebergSource.from_options(options, str(tmp_path)).tables()
    assert ids(IcebergSource.from_options({**options, "warehouse": "other"}, str(tmp_path))) == [1, 2, 3]
