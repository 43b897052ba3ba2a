"""What can be wrong with a project, its sources or its data: each is said clearly, and nothing is changed by it."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

import shop_project as c
from tilth.core.errors import TilthError

BASE = """
CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');
CREATE DATASET deliveries KEY (id) EVENT TIME ordered_at AS SELECT * FROM ops.deliveries;
CREATE MODEL late PREDICT late FROM deliveries FEATURES (* EXCEPT (minutes)) USING (engine = 'linear');
"""
GAPS = "SELECT * REPLACE (CASE WHEN id % 9 = 0 THEN NULL ELSE late END AS late) FROM ops.deliveries"

WRONG = [
    # old, new, code, what is said
    ("PREDICT late", "PREDICT lat", "E-NAME", "Did you mean `late`?"),
    ("EXCEPT (minutes)", "EXCEPT (minuts)", "E-NAME", "Did you mean `minutes`?"),
    ("USING", "ACCEPT LEAK (distanse) BECAUSE 'x' USING", "E-NAME", "Did you mean `distance`?"),
    ("KEY (id)", "KEY (idd)", "E-NAME", "Did you mean `id`?"),
    ("EVENT TIME ordered_at", "EVENT TIME orderd_at", "E-NAME", "Did you mean `ordered_at`?"),
    ("SELECT * FROM ops", "SELECT id, ordered_att FROM ops", "E-NAME", "ordered_at"),
    ("ops.deliveries", "ops.delivery", "E-NAME", "Did you mean `deliveries`?"),
    ("ops.deliveries", "opps.deliveries", "E-NAME", "Did you mean `ops`?"),
    ("FROM deliveries", "FROM delivries", "E-NAME", "Did you mean `deliveries`?"),
    ("CREATE MODEL", "CREATE MODLE", "E-SYNTAX", "MODEL"),
    ("PREDICT", "PREDCIT", "E-SYNTAX", "PREDICT"),
    ("'linear'", "'liner'", "E-NAME", "Did you mean `linear`?"),
    ("ENGINE sqlite", "ENGINE sqlight", "E-NAME", "Did you mean `sqlite`?"),
    ("path = 'ops.db'", "path = 'gone.db'", "E-SOURCE", "gone.db"),
    (
        "SELECT * FROM ops.deliveries",
        "SELECT * FROM ops.deliveries WHERE id < 0",
        "E-DATA",
        "returned no rows",
    ),
    (
        "SELECT * FROM ops.deliveries",
        "SELECT * REPLACE (true AS late) FROM ops.deliveries",
        "E-TARGET",
        "late",
    ),
    ("SELECT * FROM ops.deliveries", GAPS, "E-TARGET", "late"),
    (
        "SELECT * FROM ops.deliveries",
        "SELECT * REPLACE ('class ' || (id % 1100) AS late) FROM ops.deliveries",
        "E-TARGET",
        "different texts",
    ),
    (
        "SELECT * FROM ops.deliveries",
        "SELECT * REPLACE (carrier::INTEGER AS distance) FROM ops.deliveries",
        "E-DATA",
        "",
    ),
    ("SELECT * FROM ops.deliveries", "SELECT *, id FROM ops.deliveries", "E-PROJECT", "`id` twice"),
    ("AS SELECT * FROM ops.deliveries", "AS SELECT * FROM deliveries", "E-CYCLE", "deliveries"),
    ("AS SELECT", "EXPECT (minutes BETWEEN 0 AND 5 ON FAIL STOP) AS SELECT", "E-CHECK", "does not hold"),
    ("AS SELECT", "EXPECT (minuts > 5) AS SELECT", "E-NAME", "minutes"),
    ("WITH (path = 'ops.db')", "WITH (path = 'ops.db', password = 'x')", "E-PROJECT", "SECRET"),
    ("path = 'ops.db'", "path = SECRET 'env:TILTH_NOT_SET'", "E-SOURCE", "TILTH_NOT_SET"),
    ("USING (engine", "OBJECTIVE (metric = 'roc_acu') USING (engine", "E-NAME", "Did you mean `roc_auc`?"),
    ("USING (engine", "OBJECTIVE (metric = 'rmse') USING (engine", "E-PROJECT", "does not fit"),
]


@pytest.mark.parametrize(("old", "new", "code", "says"), WRONG, ids=lambda v: str(v)[:40])
def test_a_mistake_is_explained_and_changes_no_pointer(
    tmp_path: Path, old: str, new: str, code: str, says: str
) -> None:
    assert old in BASE
    folder = c.make(tmp_path / "shop", BASE.replace(old, new, 1))
    project = c.opened(folder)
    with pytest.raises(TilthError) as caught:
        project.apply(all_or_nothing=True)
    assert caught.value.code == code, caught.value
    assert says in str(caught.value)
    assert caught.value.hint, "an error says what to do next"
    assert project.current("prod").pointers == ()
    with pytest.raises(TilthError) as again:
        project.apply()
    assert (again.value.code, again.value.message) == (code, caught.value.message)
    published = [p.name for p in project.current("prod").pointers]
    assert set(published) <= {"ops", "deliveries"}, "what the mistake is not in"


def test_a_source_that_refuses_the_password_and_one_that_is_down(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TILTH_TEST_PASSWORD", "s3cr3t-word")
    text = BASE.replace(
        "ENGINE sqlite WITH (path = 'ops.db')",
        "ENGINE postgres WITH (url = 'postgresql://reader@127.0.0.1:9/ops', password = SECRET 'env:TILTH_TEST_PASSWORD')",
    )
    project = c.opened(c.make(tmp_path / "shop", text))
    with pytest.raises(TilthError) as caught:
        project.apply()
    assert caught.value.code == "E-SOURCE"
    assert caught.value.retry
    assert "s3cr3t-word" not in str(caught.value)
    assert project.current("prod").pointers == ()


def test_a_broken_csv_row_is_kept_in_quarantine(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    (folder / "data").mkdir(parents=True)
    rows = "\n".join(f"{n},2024-01-{n % 28 + 1:02d},{n * 1.5}" for n in range(200))
    (folder / "data" / "sales.csv").write_text(f"id,day,price\n{rows}\n777,2024-02-01\n")
    (folder / "all.sql").write_text(
        "CREATE SOURCE f ENGINE files WITH (path = 'data');"
        "CREATE DATASET sales KEY (id) EVENT TIME day AS SELECT * FROM f.sales;"
    )
    project = c.opened(folder)
    done = project.apply()
    assert "200 in the snapshot, 1 in quarantine" in done.did[1].text
    (kept,) = project.sql("SELECT * FROM tilth.quarantine").rows()
    assert kept["rows"] == 1
    (row,) = project.sql("SELECT * FROM tilth.quarantined_rows").rows()
    assert (row["dataset"], row["row"], row["origin"]) == ("sales", "777,2024-02-01", "f.sales:202")
    assert row["reasons"]


def test_the_order_of_predicates_and_columns_never_changes_the_answer(applied: Path) -> None:
    import itertools

    project = c.opened(applied)
    parts = ("carrier = 'slow'", "distance = 41.5", "ordered_at = TIMESTAMP '2024-04-01 20:00:00'")
    answers = {
        str(project.sql(f"SELECT late, late_confidence FROM late WHERE {' AND '.join(order)}").rows())
        for order in itertools.permutations(parts)
    }
    columns = {
        tuple(sorted(project.sql(f"SELECT {a}, {b} FROM late WHERE {' AND '.join(parts)}").rows()[0].items()))
        for a, b in itertools.permutations(("late", "late_confidence"))
    }
    assert len(answers) == len(columns) == 1


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT late FROM late WHERE carrier = 'slow'", "Missing"),
        ("SELECT late FROM late WHERE carier = 'slow'", "Did you mean `carrier`?"),
        (
            "SELECT late FROM late WHERE carrier = 'slow' AND distance = 'far' AND ordered_at = TIMESTAMP '2024-01-01'",
            "distance",
        ),
        ("SELECT m.late FROM deliveries d JOIN late m ON d.id = m.idd", "idd"),
        ("SELECT lte FROM late WHERE carrier = 'slow'", "Did you mean `late`?"),
        ("SELECT * FROM late FOR VERSION 9 WHERE carrier = 'slow'", "no version 9"),
        ("SELECT * FROM deliveries FOR SNAPSHOT 'abc'", "no snapshot"),
        ("SELCT 1", "SELECT"),
        ("SELECT * FROM tilth.versins", "Did you mean `versions`?"),
        ("RETRAIN MODEL lte", "Did you mean `late`?"),
        ("COPY deliveries TO 'x.csv'", "not in this version"),
        ("SELECT * FROM read_csv('/etc/passwd')", ""),
        ("SELECT * FROM '/etc/passwd'", ""),
    ],
)
def test_a_wrong_question_is_explained(asked, sql: str, says: str) -> None:
    with pytest.raises(TilthError) as caught:
        asked.sql(sql).rows()
    assert says in str(caught.value)


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    project = c.opened(c.make(tmp_path_factory.mktemp("asked") / "shop"))
    project.apply()
    return project


def test_a_source_that_goes_away_in_the_middle_leaves_what_was_there(applied: Path) -> None:
    project = c.opened(applied)
    (applied / "ops.db").write_bytes(b"not a database any more" * 100)
    with pytest.raises(TilthError) as caught:
        project.sql("REFRESH DATASET deliveries")
    assert caught.value.code == "E-SOURCE"
    assert project.sql("SELECT count(*) AS n FROM deliveries").rows() == [{"n": c.DAYS * c.A_DAY}]
    assert project.verify().pointers == 5


def somebody() -> list[str]:
    """What makes a command run as a user whose writing can be forbidden; skips where there is no such way."""
    import sys

    if os.getuid() != 0:
        return []
    if not shutil.which("setpriv"):
        pytest.skip("root writes everywhere, and setpriv is not installed")
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    if subprocess.run([*prefix, sys.executable, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip(f"other users cannot run {sys.executable}")
    return prefix


def test_a_folder_that_may_not_be_written_says_so(shop: Path) -> None:
    import sys

    shop.chmod(0o555)
    for path in (*shop.parents[:4],):
        path.chmod(path.stat().st_mode | 0o055)
    command = [*somebody(), sys.executable, "-m", "tilth", "apply", "--project", str(shop)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd="/")
    shop.chmod(0o755)
    assert done.returncode == 5, done.stderr
    assert "write access" in done.stderr


def test_a_full_disk_says_so_and_changes_nothing(shop: Path) -> None:
    """A file-size limit gives the same error as a full disk at the first large write."""
    import resource
    import sys

    def limit() -> None:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    project = c.opened(shop)
    project.state()
    project.close()
    command = [sys.executable, "-m", "tilth", "apply", "--project", str(shop)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, preexec_fn=limit)
    assert done.returncode in (5, 10), done.stderr
    assert "E-" in done.stderr
    with closing(sqlite3.connect(shop / ".tilth" / "state.db")) as db:
        assert db.execute("SELECT count(*) FROM pointers").fetchone() == (0,)


def test_a_gap_in_one_of_many_rows_is_answered_and_told(applied: Path) -> None:
    project = c.opened(applied)
    found = project.sql(
        "SELECT m.late FROM (SELECT * REPLACE (CASE WHEN id = 7 THEN NULL ELSE distance END AS distance)"
        " FROM deliveries) d JOIN late m"
    )
    rows = found.rows()
    assert all(r["late"] is not None for r in rows)
    assert found.told == [
        f"late: `distance` is missing in 1 of {len(rows):,} rows, never was in training, and was answered as a gap"
    ]
