"""`tilth init --from`: a project proposed for a table. It plans, trains and leaves out what tells all; bad input writes nothing."""

import json
import random
import re
import sqlite3
import uuid
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

import servers
import tilth
from tilth.app.beginning import origin_of
from tilth.app.looked import told
from tilth.core.schema import DataType

from tilth.interfaces.cli.commands import run, tilth as command  # isort: skip

COLUMNS = ("customer id", "signed_at", "plan", "age", "spend", "churn_reason", "score", "churned")


def rows(count: int = 1500) -> list[tuple[Any, ...]]:
    """Customers: `basic` and the young leave more often; a reason is there for those who left, a score is theirs alone."""
    r, out = random.Random(1), []
    for i in range(count):
        plan, age, spend = r.choice(["basic", "plus", "pro"]), r.randint(18, 80), round(r.uniform(5, 90), 2)
        left = r.random() < (0.7 if plan == "basic" else 0.2) + (0.1 if age < 40 else 0)
        at = f"2024-{1 + i * 11 // count:02d}-{1 + i % 28:02d} {i % 24:02d}:00:00"
        reason, score = (r.choice(["price", "it's moved"]) if left else None), round(left + r.random() / 2, 3)
        out.append((i, at, plan, age if i % 17 else None, spend, reason, score, "Yes" if left else "No"))
    return out


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    listed = ", ".join(f'"{c}"' for c in COLUMNS)
    for name, kept in (("customers", rows()), ("empty", [])):
        with sqlite3.connect(folder / f"{name}.db") as db:
            db.execute(
                f'CREATE TABLE {name} ("customer id" INTEGER, signed_at TIMESTAMP, plan TEXT, age INTEGER,'
                " spend REAL, churn_reason TEXT, score REAL, churned TEXT)"
            )
            db.executemany(f"INSERT INTO {name} VALUES (?, ?, ?, ?, ?, ?, ?, ?)", kept)
        db.close()
    with duckdb.connect() as db:
        db.execute(
            f"CREATE TABLE t AS SELECT * FROM (VALUES (?, ?, ?, ?, ?, ?, ?, ?)) v({listed}) LIMIT 0",
            [1, "a", "a", 1, 1.5, "a", 1.5, "a"],
        )
        db.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows())
        (folder / "many").mkdir()
        db.execute(f"COPY t TO '{folder}/many/customers.csv'")
        db.execute(f"COPY t TO '{folder}/customers.parquet'")
        db.execute(f"COPY (SELECT 1 AS a, 2 AS b) TO '{folder}/many/other.csv'")
        db.execute(f"ATTACH '{folder}/customers.duckdb' AS kept")
        db.execute("CREATE TABLE kept.customers AS SELECT * FROM t")
    return folder


def begun(folder: Path, *arguments: str) -> tuple[Any, Path]:
    made = folder / "shop"
    done = CliRunner().invoke(command, ["init", str(made), *arguments, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout), made


@pytest.mark.parametrize(
    "place", ["customers.db", "many", "many/customers.csv", "customers.parquet", "customers.duckdb"]
)
def test_a_project_is_proposed_and_its_plan_is_green(data: Path, tmp_path: Path, place: str) -> None:
    facts, made = begun(tmp_path, "--from", str(data / place), "--predict", "CHURNED")
    assert (facts["table"], facts["rows_read"]) == ("customers", 1500)
    assert facts["left_out"] == ["churn_reason", "score"]
    project = tilth.open(str(made))
    assert [a.name for a in project.plan().actions][1:] == ["customers", "churned", "churned_api"]
    text = " ".join((made / "datasets.sql").read_text().split())
    assert 'KEY ("customer id")' in text
    assert "plan IN ('basic', 'plus', 'pro') ON FAIL QUARANTINE" in text
    assert "age BETWEEN 0 AND 120 OR age IS NULL ON FAIL QUARANTINE" in text
    assert "FEATURES (* EXCEPT (churn_reason, score))" in (made / "models.sql").read_text()


def test_what_is_proposed_trains_and_answers(data: Path, tmp_path: Path) -> None:
    _, made = begun(tmp_path, "--from", str(data / "customers.db"), "--predict", "churned")
    project = tilth.open(str(made))
    project.apply()
    assert project.status()["datasets"][0]["quarantined"] == 0
    (answer,) = project.sql(
        "SELECT churned FROM churned WHERE plan = 'pro' AND age = 70 AND spend = 20 AND signed_at = TIMESTAMP '2024-05-01'"
    ).rows()
    assert answer == {"churned": "No"}
    assert project.plan().actions == ()


def test_columns_called_as_words_of_sql_are_checked_and_learned_from(tmp_path: Path) -> None:
    words = ("default", "order", "end", "values", "Limit")
    listed = ", ".join(
        f"['a', 'b', 'c'][(1 + hash(i + {n}) % 3)::INT] AS \"{w}\"" for n, w in enumerate(words)
    )
    with duckdb.connect() as db:
        db.execute(
            f'COPY (SELECT i::BIGINT AS "key", {listed}, (hash(i) % 2)::BIGINT AS "case" FROM range(300) r(i))'
            f" TO '{tmp_path}/table.parquet'"
        )
    _, made = begun(tmp_path, "--from", str(tmp_path / "table.parquet"), "--predict", "case")
    with tilth.open(str(made)) as project:
        project.apply()
        (data,) = project.status()["datasets"]
        assert (data["rows"], data["quarantined"]) == (300, 0)
        assert data["checks"] == len(words) + 2  # of each column, of the key and of the number of rows
        assert project.status()["models"][0]["version"] == 1


def test_a_server_s_password_is_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server, schema = servers.private_postgres(), f"s{uuid.uuid4().hex[:8]}"
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(server.url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {schema}")
        cursor.execute(
            f'CREATE TABLE {schema}.customers ("customer id" BIGINT, signed_at TIMESTAMP, plan TEXT, age INT,'
            " spend NUMERIC(8, 2), churn_reason TEXT, score FLOAT, churned TEXT)"
        )
        values = ", ".join(
            "(" + ", ".join("NULL" if v is None else "'" + str(v).replace("'", "''") + "'" for v in row) + ")"
            for row in rows(600)
        )
        cursor.execute(f"INSERT INTO {schema}.customers VALUES {values}")
    monkeypatch.delenv("DB_PASSWORD", raising=False)
    facts, made = begun(
        tmp_path, "--from", server.url, "--table", f"{schema}.customers", "--predict", "churned"
    )
    assert facts["left_out"] == ["churn_reason", "score"]
    text = (made / "sources.sql").read_text()
    assert server.password not in "".join(p.read_text() for p in made.iterdir())
    assert "password = SECRET 'env:DB_PASSWORD'" in text
    assert f"schema = '{schema}'" in text
    monkeypatch.setenv("DB_PASSWORD", server.password)
    tilth.open(str(made)).apply()


def test_a_table_of_mysql_is_found_trains_and_its_password_is_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = servers.private_mysql()
    values = ", ".join(
        "(" + ", ".join("NULL" if v is None else "'" + str(v).replace("'", "''") + "'" for v in row) + ")"
        for row in rows(600)
    )
    servers.mysql(
        server.url, "CREATE DATABASE shop CHARACTER SET utf8mb4",
        "CREATE TABLE shop.customers (`customer id` BIGINT, signed_at DATETIME, plan VARCHAR(20), age INT,"
        " spend DECIMAL(8, 2), churn_reason TEXT, score FLOAT, churned VARCHAR(3))",
        f"INSERT INTO shop.customers VALUES {values}",
    )  # fmt: skip
    monkeypatch.delenv("DB_PASSWORD", raising=False)
    facts, made = begun(tmp_path, "--from", server.url, "--table", "shop.customers", "--predict", "churned")
    assert facts["left_out"] == ["churn_reason", "score"]
    text = (made / "sources.sql").read_text()
    assert server.password not in "".join(p.read_text() for p in made.iterdir())
    assert "ENGINE mysql" in text
    assert f"url = 'mysql://root@127.0.0.1:{server.port}/shop?connect_timeout=3'" in text
    assert "password = SECRET 'env:DB_PASSWORD'" in text
    monkeypatch.setenv("DB_PASSWORD", server.password)
    with tilth.open(str(made)) as project:
        project.apply()
        assert project.sql(
            "SELECT count(*) AS n FROM db (SELECT * FROM customers WHERE score < 2)"
        ).rows() == [{"n": 600}]


SCHEMAS = [
    ("--predict signed", "[Nn]o table in the schema `public` that .*--table {schema}.plans"),
    ("--predict signed --table plans", "no table `plans` in the schema `public` .*--table {schema}.plans"),
    ("--predict signed --table {schema}.pland", "Did you mean `plans`"),
    ("--predict signed --table nowhere.pland", "in the schema `nowhere` .* USAGE of that and SELECT"),
]


@pytest.mark.parametrize(("line", "words"), SCHEMAS)
def test_a_table_in_another_schema_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, words: str
) -> None:
    from adbc_driver_postgresql import dbapi

    url, schema = servers.postgres_url(), f"s{uuid.uuid4().hex[:8]}"
    column, line = f"signed_{schema}", line.format(schema=schema)
    with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA {schema}")
        cursor.execute(f"CREATE TABLE {schema}.plans (id INT, {column} INT)")
        try:
            arguments = ["--from", url, *line.replace("signed", column).split()]
            assert run(["init", str(tmp_path / "shop"), *arguments]) == 2
        finally:
            cursor.execute(f"DROP SCHEMA {schema} CASCADE")
    found = capsys.readouterr().err
    assert re.search(words.format(schema=schema), found, re.DOTALL), found
    assert not (tmp_path / "shop").exists()


BAD = [
    ("--from nowhere.csv --predict y", "There is nothing at nowhere.csv"),
    ("--from customers.db --predict chrned", "no column `chrned`.*Did you mean `churned`"),
    ("--from empty.db --predict churned", "holds no rows"),
    ("--from many --predict nope", "No table there has a column `nope`.*--table"),
    ("--from many --predict b --table othr", "There is no table `othr`.*Did you mean `other`"),
    ("--from many --predict b", "one value only"),
    ("--from customers.db --predict signed_at", "nothing to predict"),
    ("--from x.txt --predict y", "of no kind that is known"),
    ("--from postgresql://u@127.0.0.1:1/d --predict y", "127.0.0.1"),
    ("--from postgresql://u@h/d?password=secret --predict y", "password stands in the url"),
    ("--from postgresql://[u/d --predict y", "The url is none"),
    ("--from customers.db", "--from needs --predict"),
    ("--predict y", "go with --from"),
    ("--with x=1", "go with --from"),
    ("--from many --predict churned --with path='x'", "--with says `path`, which --from says"),
    ("--from many --predict churned --with format={decimal:", "--with cannot be read.*Write it as in CREATE"),
    ("--from many --predict churned --with x=1);DROP", "--with cannot be read"),
    ("--from many --predict churned --with colour=1", "no option `colour`"),
    ("--from odd --predict y", "cannot be read.*--table NAME"),
    ("--from odd --predict y --table good", "one value only"),
    ("--from latin.csv --predict y", "not UTF-8.*cp1252.*--with"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD, ids=[a for a, _ in BAD])
def test_bad_input_is_one_error_and_writes_nothing(
    data: Path,
    tmp_path: Path,
    arguments: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(data)
    (data / "x.txt").write_text("")
    (data / "odd").mkdir(exist_ok=True)
    (data / "odd" / "good.csv").write_text("x,y\n1,2\n2,2\n")
    if not (data / "odd" / "gone.csv").is_symlink():
        (data / "odd" / "gone.csv").symlink_to("nowhere.csv")
    (data / "latin.csv").write_text("straße,y\n1,2\n", encoding="cp1252")
    assert run(["init", str(tmp_path / "shop"), *arguments.split()]) != 0
    err = capsys.readouterr().err
    assert re.search(said, err, re.DOTALL), err
    assert "secret" not in err.replace("SECRET", "")
    assert "did not foresee" not in err
    assert not (tmp_path / "shop").exists()


def test_a_folder_that_holds_something_is_left_alone(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").write_text("1")
    assert run(["init", str(tmp_path), "--from", str(data / "customers.db"), "--predict", "churned"]) != 0
    assert "is not empty" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def lines(separator: str, header: str, *cells: str, count: int = 120) -> str:
    """A file of rows: in a cell `#` is the row's number, and `a|b` takes turns."""
    out = [header]
    for i in range(count):
        parts = (c.split("|") for c in cells)
        out.append(separator.join(p[i % len(p)].replace("#", str(i)) for p in parts))
    return "\n".join([*out, ""])


READ: dict[str, tuple[str, list[str], dict[str, Any], str]] = {
    "a decimal comma": (lines(";", "id;x;y", "#", "#,25", "Yes|No"), [], {"decimal": ","}, ""),
    "a decimal comma that is predicted": (lines(";", "id;y", "#", "#,25"), [], {"decimal": ","}, ""),
    "a comma and gaps": (
        lines(";", "id;x;z;y", "#", "1,5|#,25|NA", "a|NA|b|c", "Yes|No"), [], {"decimal": ",", "nulls": ["NA"]}, ""),
    "words of texts alone": (lines(",", "id,land,y", "#", "NA|DE", "Yes|No|Yes"), [], {}, "nulls: ['NA']"),
    "other words in texts": (
        lines(",", "id,x,land,y", "#", "1|2|NA", "n/a|DE", "Yes|No"), [], {}, "nulls: ['n/a']"),
    "points in another column": (
        lines(";", "id;x;lat;y", "#", "#,25", "1.5|2.75", "Yes|No"), [], {}, "decimal: ','"),
    "thousands in another column": (
        lines(";", "id;x;n;y", "#", "#,25", "1,234,567|5,678,901", "Yes|No"), [], {}, "thousands: ','"),
    "either, beside what is clear": (
        lines(";", "id;x;n;y", "#", "#,25", "1,234|5,678", "Yes|No"), [], {"decimal": ","}, ""),
    "either": (lines(";", "id;x;y", "#", "1,234|5,678", "Yes|No"), [], {}, "thousands: ','"),
    "points": (lines(",", "id,x,y", "#", "#.25", "Yes|No"), [], {}, ""),
    "what was said": (
        lines(";", "id;x;y", "#", "#,25", "Yes|No"), ["--with", "format = {decimal: ','}"], {}, ""),
    "an encoding": (
        lines(";", "id;straße;y", "#", "Köln|Bonn|Ulm", "Yes|No"), ["--with", "format = {encoding: 'cp1252'}"], {}, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_how_files_are_read_is_written_where_their_cells_settle_it_and_said_where_not(
    tmp_path: Path, name: str
) -> None:
    text, more, settled, guess = READ[name]
    (tmp_path / "t.csv").write_text(text, encoding="cp1252")
    facts, made = begun(tmp_path, "--from", str(tmp_path / "t.csv"), "--predict", "y", *more)
    assert facts["read_with"] == settled
    assert guess in " ".join(n["option"] or "" for n in facts["notices"])
    source = (made / "sources.sql").read_text()
    assert all(f"-- {key}: " in source for key in settled)
    assert not more or more[1] in source
    notes = [n.text for n in tilth.open(str(made)).plan().notes]
    assert len(notes) == len(facts["notices"]), notes


def test_a_target_that_is_text_by_a_guess_is_told_with_the_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.csv").write_text("id;y\n" + "".join(f"{i};1,{i:03d}\n" for i in range(100, 900)))
    arguments = ["init", str(tmp_path / "p"), "--from", str(tmp_path / "t.csv"), "--predict", "y"]
    assert run(arguments) != 0
    assert "--with \"tables = {t: {decimal: ','}}\" or" in " ".join(capsys.readouterr().err.split())
    assert run([*arguments, "--with", "tables = {t: {decimal: ','}}"]) == 0


def test_another_file_is_collected_by_apply(data: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "t").mkdir(parents=True)
    cells = "1|2|3", "Yes|No"
    (tmp_path / "data" / "t" / "may.csv").write_text(lines(",", "id,x,y", "#", *cells))
    _, made = begun(tmp_path, "--from", str(tmp_path / "data"), "--predict", "y")
    project = tilth.open(str(made))
    project.apply()

    def planned() -> list[str]:
        return [a.reason for a in project.plan().actions if a.name == "t"]

    assert planned() == []
    (tmp_path / "data" / "t" / "june.csv").write_text(lines(",", "id,x,y", "1000#", *cells))
    assert planned() == ["its source has changed"]
    project.apply()
    assert project.status()["datasets"][0]["rows"] == 240


PATHS = [
    ("there/data.csv", "there/p", "path = '..'"),
    ("there/data.csv", "p", "path = '../there'"),
    ("p/data/data.csv", "p", "path = 'data'"),
    ("there/data.csv", "elsewhere/p", None),
]


@pytest.mark.parametrize(("place", "project", "text"), PATHS)
def test_what_lies_near_is_named_as_seen_from_the_project(
    tmp_path: Path, place: str, project: str, text: str | None
) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text("a,y\n1,2\n")
    found = origin_of(str(path), None, str(tmp_path / project))
    assert found.options == {"path": str(path.parent)}
    assert found.text == (text or f"path = '{path.parent}'")
    assert found.absolute == (None if text else str(path.parent))


def test_a_path_from_the_root_on_is_told_and_a_near_one_moves_along(data: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        command, ["init", str(tmp_path / "far" / "p"), "--from", str(data / "many"), "--table", "customers", "--predict", "churned"]
    )  # fmt: skip
    assert f"sources.sql names {data / 'many'}, from the root on" in " ".join(done.stdout.split())
    (tmp_path / "a" / "data").mkdir(parents=True)
    for file in (data / "many").iterdir():
        (tmp_path / "a" / "data" / file.name).write_bytes(file.read_bytes())
    _, made = begun(
        tmp_path / "a", "--from", str(tmp_path / "a" / "data" / "customers.csv"), "--predict", "churned"
    )
    assert "path = '../data'" in (made / "sources.sql").read_text()
    (tmp_path / "a").rename(tmp_path / "b")
    assert tilth.open(str(tmp_path / "b" / "shop")).plan().notes == ()


def test_a_url_keeps_no_password() -> None:
    found = origin_of("postgresql://u:p%40ss@h:5/d?sslmode=require", "s.t", "p")
    assert found.options == {"url": "postgresql://u@h:5/d?sslmode=require", "password": "p@ss", "schema": "s"}
    assert "p%40ss" not in found.text


R = random.Random(3)
YES = [R.random() < 0.3 for _ in range(400)]
TELLS: dict[str, tuple[list[Any], list[Any], DataType, bool]] = {
    "noise": ([R.random() for _ in YES], YES, DataType.FLOAT, False),
    "a good column": ([y + R.gauss(0, 0.8) for y in YES], YES, DataType.FLOAT, False),
    "the answer as a text": ([str(y) for y in YES], YES, DataType.STRING, True),
    "the answer turned round": ([-int(y) - R.random() / 2 for y in YES], YES, DataType.FLOAT, True),
    "a gap where it is no": (["x" if y else None for y in YES], YES, DataType.STRING, True),
    "an id": (list(range(400)), YES, DataType.INTEGER, False),
    "one value": ([1] * 400, YES, DataType.INTEGER, False),
    "nothing": ([None] * 400, YES, DataType.FLOAT, False),
    "NaN": ([float("nan")] * 400, YES, DataType.FLOAT, False),
    "a few rows": ([1, 0] * 10, [True, False] * 10, DataType.INTEGER, False),
    "the number in other units": ([i * 2.54 for i in range(400)], list(range(400)), DataType.FLOAT, True),
    "a number that goes along": ([i + R.gauss(0, 99) for i in range(400)], list(range(400)), DataType.FLOAT, False),
    "numbers of many texts": (list(range(400)), [f"N{i}" for i in range(400)], DataType.INTEGER, False),
}  # fmt: skip


@pytest.mark.parametrize(("column", "answers", "kind", "tells"), TELLS.values(), ids=TELLS)
def test_what_tells_all(column: list[Any], answers: list[Any], kind: DataType, tells: bool) -> None:
    assert (told(column, answers, kind) is not None) is tells
