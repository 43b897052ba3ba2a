"""INCREMENTAL on real servers against a brute-force oracle: what is collected step by step is what is collected at once."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import servers
from tilth.adapters.engines.duckdb_engine import DuckDBEngine
from tilth.adapters.files.blobs import FileBlobs
from tilth.adapters.sources.duckdb.source import DuckDBSource
from tilth.adapters.sources.mysql.source import MySqlSource
from tilth.adapters.sources.postgres.source import PostgresSource
from tilth.core.errors import SourceError
from tilth.core.scan import Scan
from tilth.ml.data import snapshots
from tilth.ml.data.collect import Collected, collect
from tilth.ml.data.healing import Seen
from tilth.ports.progress import Silent
from tilth.ports.snapshots import Manifest
from tilth.ports.source import AskedDays
from tilth.sql.language.statements import CreateDataset, Query, Refresh

START = datetime(2024, 3, 1)  # the clocks of Europe and of America change within these days
HEAL = timedelta(days=10)
NOW = datetime(2024, 4, 20, tzinfo=UTC)


@dataclass
class Server:
    """A table of a schema of our own, whoever writes into it, and what is collected of it."""

    schema: str
    folder: Path
    connections: list[Any] = field(default_factory=list)

    def connect(self, *, autocommit: bool) -> Any:
        from adbc_driver_postgresql import dbapi

        made = dbapi.connect(servers.postgres_url(), autocommit=autocommit)
        with made.cursor() as cursor:
            cursor.execute("SET lock_timeout = '5s'")
        self.connections.append(made)
        return made

    def run(self, sql: str, connection: Any = None) -> None:
        with (connection or self.connections[0]).cursor() as cursor:
            cursor.execute(sql.replace("TABLE_T", f"{self.schema}.t"))

    def clear(self, kind: str) -> None:
        while len(self.connections) > 1:
            self.connections.pop().close()
        self.run("DROP TABLE IF EXISTS TABLE_T CASCADE")
        self.run(f"CREATE TABLE TABLE_T (id INT, happened {kind}, x INT, note TEXT)")

    def source(self) -> PostgresSource:
        return PostgresSource.from_options({"url": servers.postgres_url(), "schema": self.schema}, "")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(f"healed_{uuid.uuid4().hex[:10]}", tmp_path_factory.mktemp("healed"))
    found.connect(autocommit=True)
    found.run(f"CREATE SCHEMA {found.schema}")
    yield found
    found.clear("TIMESTAMP")
    found.run(f"DROP SCHEMA {found.schema} CASCADE")
    found.connections[0].close()


@dataclass
class Plain:
    """A table of a place that says nothing of transactions; every change is there at once."""

    folder: Path
    change: Callable[[str], None]
    made: Callable[[], Any]
    times: str  # the type of a moment without a zone

    def run(self, sql: str, _: Any = None) -> None:
        self.change(sql.replace("TABLE_T", "t"))

    def clear(self, kind: str) -> None:
        self.run("DROP TABLE IF EXISTS TABLE_T")
        self.run(f"CREATE TABLE TABLE_T (id INT, happened {kind.replace('TIMESTAMP', self.times)}, x INT, note VARCHAR(20))")  # fmt: skip

    def source(self) -> Any:
        return self.made()


@pytest.fixture(scope="module")
def mysql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plain]:
    with servers.mysql_database("tilth_healed") as url:
        yield Plain(
            tmp_path_factory.mktemp("healed"), lambda sql: servers.mysql(url, sql) and None, lambda: MySqlSource.from_options({"url": url}, ""),
            "DATETIME(6)",
        )  # fmt: skip


@pytest.fixture(scope="module")
def duckdb(tmp_path_factory: pytest.TempPathFactory) -> Plain:
    import duckdb as library

    folder = tmp_path_factory.mktemp("healed")

    def change(sql: str) -> None:
        with library.connect(folder / "ops.duckdb") as db:
            db.execute(sql)

    return Plain(
        folder, change, lambda: DuckDBSource.from_options({"path": "ops.duckdb"}, str(folder)), "TIMESTAMP"
    )


def spec(
    key: tuple[str, ...] = (),
    heal: timedelta | None = HEAL,
    sql: str = "SELECT id, happened, x, note FROM ops.t",
    lookback: timedelta | None = None,
) -> CreateDataset:
    refresh = Refresh(incremental=True, lookback=lookback, heal=heal)
    return CreateDataset("d", Query(sql), key, "happened", refresh)


@dataclass
class Kept:
    """One dataset that is collected again and again."""

    server: Server | Plain
    spec: CreateDataset
    parent: Manifest | None = None
    seen: Seen | None = None

    def refresh(self, source: Any = None, now: datetime = NOW) -> Collected:
        engine, blobs = DuckDBEngine([str(self.server.folder)]), FileBlobs(str(self.server.folder / "blobs"))
        found = collect(
            self.spec, "1:r", {"ops": source or self.server.source()}, {}, engine, blobs, self.parent, now, Silent(),
            seen=self.seen,
        )  # fmt: skip
        plain = found.seen.plain() if found.seen else None
        self.parent, self.seen = found.manifest, Seen.from_plain(plain) if plain else None
        return found

    def rows(self) -> list[tuple[Any, ...]]:
        assert self.parent is not None
        blobs = FileBlobs(str(self.server.folder / "blobs"))
        found = snapshots.read(self.parent, blobs).read_all().to_pylist()
        return sorted(((r["id"], r["happened"], r["x"], r["note"]) for r in found), key=repr)

    def all_at_once(self) -> list[tuple[Any, ...]]:
        fresh = Kept(self.server, self.spec)
        fresh.refresh()
        return fresh.rows()

    def oracle(self) -> list[tuple[Any, ...]]:
        """What the table holds, and of each key the row with the latest time."""
        found = self.server.source().scan(Scan("t", ("id", "happened", "x", "note"))).read_all().to_pylist()
        plain = [tuple(r.values()) for r in found]
        if self.spec.key:
            plain = list({r[0]: r for r in sorted(plain, key=lambda r: r[1])}.values())
        return sorted(plain, key=repr)


def at(minutes: int) -> str:
    return f"'{START + timedelta(minutes=minutes)}'"


def rows(first: int, count: int, step: int = 60) -> str:
    listed = ", ".join(f"({i}, {at(i * step)}, {i % 7}, 'n{i}')" for i in range(first, first + count))
    return f"INSERT INTO TABLE_T VALUES {listed}"


DAY = 24 * 60
DAYS = 30
_DAY = st.integers(0, DAYS - 1)
_NEAR = st.integers(DAYS - 9, DAYS - 1)
_MINUTE = st.integers(0, DAY - 1)
_ID = st.integers(0, 60)
OPS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), _ID, _DAY, _MINUTE),
        st.tuples(st.just("later"), _ID, _DAY, _MINUTE),  # in a transaction that ends with `commit`
        st.tuples(st.just("commit")),
        st.tuples(st.just("correct"), _ID, st.integers(0, 9)),
        st.tuples(st.just("move"), _ID, _NEAR, _MINUTE),
        st.tuples(st.just("delete"), _NEAR, st.integers(1, 3)),
        st.tuples(st.just("empty"), _NEAR),
        st.tuples(st.just("refresh")),
    ),
    min_size=3,
    max_size=14,
)  # fmt: skip


def perform(server: Server | Plain, open_: list[Any], op: tuple[Any, ...], *, near: bool) -> None:
    """One change of the table. With `near`, rows move within the days that are compared; in a `Plain` place everything happens there."""
    since = f" AND happened >= {at((DAYS - 9) * DAY)}"
    within = since if isinstance(server, Plain) else ""
    if isinstance(server, Plain) and op[0] in ("insert", "later"):
        op = ("insert", op[1], DAYS - 9 + op[2] % 9, op[3])
    match op:
        case ("insert", id_, day, minute):
            server.run(f"INSERT INTO TABLE_T VALUES ({1000 + id_}, {at(day * DAY + minute)}, 1, 'later')")
        case ("later", id_, day, minute):
            assert isinstance(server, Server)
            if not open_:
                open_.append(server.connect(autocommit=False))
            server.run(
                f"INSERT INTO TABLE_T VALUES ({2000 + id_}, {at(day * DAY + minute)}, 2, NULL)", open_[0]
            )
        case ("commit",):
            for connection in open_:
                connection.commit()
            open_.clear()
        case ("correct", id_, x):
            server.run(f"UPDATE TABLE_T SET x = {x}, note = 'c' WHERE id % 61 = {id_}{within}")
        case ("move", id_, day, minute):
            where = f"id % 61 = {id_}" + (since if near or within else "")
            server.run(f"UPDATE TABLE_T SET happened = {at(day * DAY + minute)} WHERE {where}")
        case ("delete", day, nth):
            low, high = at(day * DAY), at((day + 1) * DAY)
            server.run(
                f"DELETE FROM TABLE_T WHERE happened >= {low} AND happened < {high} AND id % {nth + 1} = 0"
            )
        case ("empty", day):
            server.run(
                f"DELETE FROM TABLE_T WHERE happened >= {at(day * DAY)} AND happened < {at((day + 1) * DAY)}"
            )


@pytest.mark.parametrize(
    ("kind", "key"), [("TIMESTAMP", ()), ("TIMESTAMPTZ", ("id",)), ("DATE", ("id",)), ("DATE", ())]
)
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ops=OPS)
def test_what_is_healed_is_what_is_collected_at_once(
    server: Server, kind: str, key: tuple[str, ...], ops: list[tuple[Any, ...]]
) -> None:
    server.run("SET timezone = 'UTC'")
    stepwise(server, kind, key, ops)


@pytest.mark.parametrize(
    ("place", "kind", "key"),
    [
        ("mysql", "TIMESTAMP", ()),
        ("mysql", "DATE", ("id",)),
        ("duckdb", "TIMESTAMP", ("id",)),
        ("duckdb", "DATE", ()),
    ],
)
@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ops=OPS)
def test_what_other_sources_count_heals_too(
    request: pytest.FixtureRequest, place: str, kind: str, key: tuple[str, ...], ops: list[tuple[Any, ...]]
) -> None:
    stepwise(request.getfixturevalue(place), kind, key, ops)


def stepwise(server: Server | Plain, kind: str, key: tuple[str, ...], ops: list[tuple[Any, ...]]) -> None:
    """Collect after each of some changes, and compare with what the table holds."""
    server.clear(kind)
    server.run(rows(0, DAYS * 2, 12 * 60))
    server.run(
        f"INSERT INTO TABLE_T VALUES (9999, {at(DAYS * DAY)}, 0, 'newest')"
    )  # so that days stay in HEAL
    kept, open_ = Kept(server, spec(key)), list[Any]()
    kept.refresh()
    for op in [*ops, ("commit",), ("refresh",)]:
        if op == ("refresh",):
            found = kept.refresh()
            assert kept.rows() == kept.oracle()
            assert found.healed is not None
            assert found.healed.by == "source"
        else:
            perform(server, open_, op, near=not key)
            if key and op[0] == "move":  # what leaves a day that is not compared, and is gone, is not seen
                kept.refresh()


def test_several_rows_of_a_key_give_way_and_come_back(server: Server) -> None:
    server.clear("TIMESTAMP")
    server.run(f"INSERT INTO TABLE_T VALUES (1, {at(3 * DAY)}, 1, 'a'), (1, {at(5 * DAY)}, 2, 'b'), (2, {at(9 * DAY)}, 0, 'c')")  # fmt: skip
    kept = Kept(server, spec(("id",)))
    kept.refresh()
    assert [r[2] for r in kept.rows()] == [2, 0]
    server.run("DELETE FROM TABLE_T WHERE note = 'b'")
    found = kept.refresh()
    assert kept.rows() == kept.all_at_once()
    assert [r[2] for r in kept.rows()] == [1, 0]
    assert found.healed is not None
    assert [str(d) for d in found.healed.healed] == ["2024-03-06"]


def test_without_heal_a_transaction_that_ends_late_is_not_lost(server: Server) -> None:
    server.clear("TIMESTAMP")
    server.run(rows(0, 240))
    kept = Kept(server, spec(("id",), None))
    late = server.connect(autocommit=False)
    server.run(f"INSERT INTO TABLE_T VALUES (5000, {at(30)}, 1, 'late')", late)
    kept.refresh()
    assert len(kept.rows()) == 240
    late.commit()
    found = kept.refresh()
    assert kept.rows() == kept.all_at_once()
    assert found.rows_read == 25 + 1  # the day of the late row, and what lies at the newest time
    assert found.healed is not None
    assert found.healed.words == "1 day with late rows healed"
    assert kept.refresh().rows_read == 1


def test_savepoints_and_rows_written_over_a_refresh_are_not_lost(server: Server) -> None:
    server.clear("TIMESTAMP")
    server.run(rows(0, 240))
    kept = Kept(server, spec((), None))
    late = server.connect(autocommit=False)
    server.run("SAVEPOINT a", late)
    server.run(f"INSERT INTO TABLE_T VALUES (5000, {at(30)}, 1, 'late')", late)
    kept.refresh()
    server.run(f"INSERT INTO TABLE_T VALUES (5001, {at(2 * DAY)}, 1, 'later')", late)
    server.run("RELEASE SAVEPOINT a", late)
    late.commit()
    kept.refresh()
    assert kept.rows() == kept.all_at_once()


@pytest.mark.parametrize(
    ("sql", "by"),
    [
        ("SELECT id, happened, x, note FROM ops.t", "source"),
        ("SELECT id, happened, x, note FROM ops.t WHERE x < 6", "source"),
        ("SELECT id, happened, x + 1 AS x, upper(note) AS note FROM (SELECT * FROM ops.t)", "source"),
        ("SELECT t.id, t.happened, t.x, u.note FROM ops.t t LEFT JOIN ops.u u ON t.id = u.id", "engine"),
        (
            "SELECT id, max(happened) AS happened, max(x) AS x, max(note) AS note FROM ops.t GROUP BY id",
            "engine",
        ),
        ("SELECT id, happened + INTERVAL 1 DAY AS happened, x, note FROM ops.t", "engine"),
    ],
)
def test_who_compares_the_days_is_said(server: Server, sql: str, by: str) -> None:
    server.clear("TIMESTAMP")
    server.run(f"DROP TABLE IF EXISTS {server.schema}.u")
    server.run(f"CREATE TABLE {server.schema}.u (id INT, note TEXT)")
    server.run(rows(0, 24 * 20))
    kept = Kept(server, spec(("id",), sql=sql))
    kept.refresh()
    assert (first := kept.refresh()).healed is not None
    assert (first.healed.by, first.healed.checked, first.healed.healed) == (by, 10, ())
    assert first.manifest.parent is None
    server.run(
        f"UPDATE TABLE_T SET x = 0, note = 'z' WHERE happened >= {at(12 * DAY)} AND happened < {at(13 * DAY)}"
    )
    found = kept.refresh()
    assert found.healed is not None
    assert [str(d) for d in found.healed.healed] == [
        "2024-03-14" if "INTERVAL" in sql else "2024-03-13"
    ] or "JOIN" in sql
    assert kept.rows() == kept.all_at_once()
    assert found.healed.words.startswith("1 day healed of 10 checked by")


def test_a_view_says_that_late_rows_can_be_missed(server: Server) -> None:
    server.clear("TIMESTAMP")
    server.run(rows(0, 48))
    server.run(f"CREATE VIEW {server.schema}.v AS SELECT * FROM TABLE_T")
    kept = Kept(server, spec((), None, "SELECT id, happened, x, note FROM ops.v"))
    assert (found := kept.refresh()).healed is not None
    assert "it is a view" in found.healed.unguarded
    again = kept.refresh().healed
    assert again is not None
    assert again.unguarded == found.healed.unguarded


def test_a_table_made_anew_is_read_whole(server: Server) -> None:
    server.clear("TIMESTAMP")
    server.run(rows(0, 240))
    kept = Kept(server, spec(("id",), None))
    kept.refresh()
    server.clear("TIMESTAMP")
    server.run(rows(0, 240).replace("'n", "'m"))
    assert kept.refresh().rows_read == 240
    assert kept.rows() == kept.all_at_once()


class Dying(PostgresSource):
    """A server that goes away after so many scans, or hands over less than there is."""

    scans, halved = 0, False

    def scan(self, scan: Scan) -> Any:
        type(self).scans -= 1
        if type(self).scans < 0:
            raise SourceError("The server is gone.", hint="")
        reader = super().scan(scan)
        if not self.halved:
            return reader
        table = reader.read_all()
        return table.slice(0, table.num_rows // 2).to_reader()


def dying(server: Server, scans: int, *, halved: bool = False) -> Dying:
    made = Dying(servers.postgres_url(), server.schema)
    Dying.scans, made.halved = scans, halved
    return made


def test_a_source_that_dies_or_gives_half_while_days_are_healed_loses_nothing(server: Server) -> None:
    server.clear("TIMESTAMP")
    server.run(rows(0, 240))
    kept = Kept(server, spec(("id",)))
    kept.refresh()
    before = kept.rows()
    server.run(f"UPDATE TABLE_T SET x = 77 WHERE id IN (100, 150) AND happened < {at(9 * DAY)}")
    with pytest.raises(SourceError, match="gone"):
        kept.refresh(dying(server, 1))
    assert kept.rows() == before
    kept.refresh(dying(server, 9, halved=True))
    kept.refresh()  # what came was not what was counted, so these days are read again
    assert kept.rows() == kept.all_at_once()


VALUES = [  # a value of another that is read, and of the same row before
    ("mysql", "FLOAT", "0.1234567", "0.1234568"),
    ("mysql", "DOUBLE", "0.1", "0.10000000000000002"),
    ("mysql", "DECIMAL(38, 10)", "1.0000000001", "1.0000000002"),
    ("mysql", "TEXT", "NULL", "''"),
    ("mysql", "TEXT", "'-'", "NULL"),
    ("mysql", "TEXT CHARACTER SET latin1", "'a,b'", "'a,c'"),
    ("mysql", "TEXT", "'a'", "'A'"),
    ("mysql", "LONGBLOB", "repeat('x', 5000000)", "concat(repeat('x', 5000000), 'y')"),
    ("mysql", "BIT(8)", "b'10'", "b'11'"),
    ("mysql", "JSON", "'[1]'", "'[2]'"),
    ("mysql", "DATETIME(6)", "'2024-03-01 00:00:00.000001'", "'2024-03-01 00:00:00.000002'"),
    ("duckdb", "DOUBLE", "'nan'", "NULL"),
    ("duckdb", "INTEGER[]", "[1, 2]", "[2, 1]"),
    ("duckdb", "HUGEINT", "12345678901234567890123456789012345678", "12345678901234567890123456789012345679"),
]


@pytest.mark.parametrize(("place", "kind", "before", "after"), VALUES)
def test_each_value_counts(
    request: pytest.FixtureRequest, place: str, kind: str, before: str, after: str
) -> None:
    server = request.getfixturevalue(place)
    server.clear("TIMESTAMP")
    server.run(f"ALTER TABLE TABLE_T ADD v {kind}")
    server.run(f"INSERT INTO TABLE_T VALUES (1, {at(0)}, 1, 'n', {before}), (2, NULL, 1, 'n', {before})")
    asked = AskedDays(Scan("t", ("id", "happened", "v")), "happened")
    first = server.source().by_day(asked)
    assert {str(d): n for d, (n, _) in first.counts.items()} == {"2024-03-01": 1}
    assert server.source().by_day(asked) == first
    server.run(f"UPDATE TABLE_T SET v = {after}")
    assert server.source().by_day(asked).counts != first.counts


def test_event_times_that_are_null_or_infinite_are_of_no_day(server: Server) -> None:
    server.clear("TIMESTAMP")
    server.run(rows(0, 48))
    server.run(
        "INSERT INTO TABLE_T VALUES (900, NULL, 1, 'a'), (901, 'infinity', 1, 'b'), (902, '-infinity', 1, 'c')"
    )
    asked = AskedDays(Scan("t", ("id", "happened")), "happened")
    found = server.source().by_day(asked)
    assert found is not None
    assert {str(d): n for d, (n, _) in found.counts.items()} == {"2024-03-01": 24, "2024-03-02": 24}
    kept = Kept(server, spec(("id",)))
    kept.refresh()
    kept.refresh()
    assert kept.rows() == kept.all_at_once()
