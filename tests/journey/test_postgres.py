"""A project whose data lives in a real PostgreSQL: collected, kept up to date, and cut off in the middle."""

import threading
import time
import uuid
from pathlib import Path

import pytest

import servers
import shop_project as c
from tilth.core.errors import SourceError

DECLARED = """
CREATE SOURCE ops ENGINE postgres WITH (
  url = 'postgresql://postgres@127.0.0.1:{port}/postgres', password = SECRET 'env:TILTH_TEST_WORD', schema = '{schema}'
);
CREATE DATASET deliveries KEY (id) EVENT TIME ordered_at REFRESH EVERY '1 day' INCREMENTAL LOOKBACK '2 days'
  AS SELECT * FROM ops.deliveries;
CREATE MODEL late PREDICT late FROM deliveries FEATURES (* EXCEPT (minutes)) USING (engine = 'linear');
"""


@pytest.fixture(scope="module")
def server() -> servers.Postgres:
    return servers.private_postgres()


def run(server: servers.Postgres, *statements: str) -> None:
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(server.url, autocommit=True) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


@pytest.fixture
def shop(server: servers.Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    schema = f"s{uuid.uuid4().hex[:8]}"
    values = ", ".join(
        f"({i}, '{at}', '{carrier}', {distance}, {minutes}, {late})"
        for i, at, carrier, distance, minutes, late in c.deliveries(0, 100)
    )
    run(
        server,
        f"CREATE SCHEMA {schema}",
        f"CREATE TABLE {schema}.deliveries (id BIGINT PRIMARY KEY, ordered_at TIMESTAMP, carrier TEXT,"
        " distance NUMERIC(6, 1), minutes DOUBLE PRECISION, late BOOLEAN)",
        f"INSERT INTO {schema}.deliveries VALUES {values}",
    )
    monkeypatch.setenv("TILTH_TEST_WORD", server.password)
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "shop.sql").write_text(DECLARED.format(port=server.port, schema=schema))
    (folder / "schema").write_text(schema)
    return folder


def test_a_project_on_postgres_collects_trains_answers_and_refreshes(
    server: servers.Postgres, shop: Path
) -> None:
    project = c.opened(shop)
    assert {d.status for d in project.apply().did} == {"done"}
    (row,) = project.sql("SELECT count(*) AS n FROM deliveries d JOIN late m").rows()
    assert row == {"n": 5000}
    schema = (shop / "schema").read_text()
    run(server, f"INSERT INTO {schema}.deliveries VALUES (900001, '2024-04-10', 'own', 3.0, 20, false)")
    done = project.sql("REFRESH DATASET deliveries")
    assert "5,001 in the snapshot" in done.facts["actions"][0]["text"]
    assert server.password not in (shop / ".tilth" / "state.db").read_bytes().decode("latin-1")


def test_a_wrong_password_is_said_and_not_shown(
    server: servers.Postgres, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TILTH_TEST_WORD", "not-the-pass-word")
    project = c.opened(shop)
    with pytest.raises(SourceError) as caught:
        project.apply()
    assert "password" in str(caught.value)
    assert "not-the-pass-word" not in str(caught.value)
    assert server.password not in str(caught.value)
    assert project.current("prod").pointers == ()


def test_a_server_that_goes_away_in_the_middle_leaves_what_was_there(
    server: servers.Postgres, shop: Path
) -> None:
    project = c.opened(shop)
    project.apply()
    before = project.current("prod").pointers
    schema = (shop / "schema").read_text()
    run(
        server,
        f"ALTER TABLE {schema}.deliveries RENAME TO kept",
        f"CREATE VIEW {schema}.deliveries AS SELECT k.* FROM {schema}.kept k, LATERAL (SELECT pg_sleep(0.0005 + k.id * 0.0)) s",
    )

    def cut() -> None:
        time.sleep(1.0)  # the scan takes several
        run(server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'")  # fmt: skip

    thread = threading.Thread(target=cut)
    thread.start()
    text = (shop / "shop.sql").read_text().replace("INCREMENTAL LOOKBACK '2 days'", "")
    (shop / "shop.sql").write_text(text)
    with pytest.raises(SourceError) as caught:
        project.apply()
    thread.join(30)
    assert caught.value.retry
    assert project.current("prod").pointers == before
    assert project.verify().audit_rows > 0
