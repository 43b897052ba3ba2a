"""A statement ends within its limits, whatever it does, and says which limit it met; what is in them runs."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

import http_server
from tilth.adapters.engines.duckdb_engine import DuckDBEngine
from tilth.core.errors import DataError, ResourceLimitError, SourceError, UnknownNameError
from tilth.ports.limits import Limits

SHORT = Limits(1.0, 500_000_000)
RUNAWAYS = {
    "endless recursion": "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT sum(n) FROM t",
    "a long sum": "SELECT sum(range) FROM range(1000000000000)",
    "a triple cross join": "SELECT count(*) FROM range(100000) a, range(100000) b, range(100000) c",
    "endless rows": "SELECT a.range FROM range(100000) a, range(100000) b, range(100000) c",
    "a huge text": "SELECT length(repeat('x', 2000000000))",
    "a huge text, otherwise called": "SELECT length('x'.lpad(2000000000, 'y'))",
    "a huge list": "SELECT len(range(2000000000))",
    "a huge comprehension": "SELECT len([x * x FOR x IN range(1000000000)])",
    "a huge document": "SELECT length(to_json(range(100000000))::VARCHAR)",
    "a long comparison": "SELECT levenshtein(repeat('a', 200000), repeat('b', 200000))",
    "a wide format": "SELECT length(format('{:2000000000}', 1))",
    "a doubling text": "WITH RECURSIVE t(s) AS (SELECT 'x' UNION ALL SELECT s || s FROM t) SELECT max(length(s)) FROM t",
    "a sort of everything": "SELECT hash(range) h FROM range(10000000000) ORDER BY h LIMIT 5 OFFSET 500000000",
    "a list of everything": "SELECT len(list(range)) FROM range(10000000000)",
    "many groups": "SELECT count(*) FROM (SELECT hash(range) h, count(*) FROM range(10000000000) GROUP BY ALL)",
    "quoted": "SELECT length(\"repeat\"('x', 2000000000))",
    "endless rows of its own": "SELECT reverse('ab') FROM range(100000) a, range(100000) b, range(100000) c",
    "nap": "SELECT sleep_ms(100000)",
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBEngine]:
    found = DuckDBEngine([str(tmp_path_factory.mktemp("files"))])
    yield found
    found.close()


@pytest.mark.parametrize("sql", RUNAWAYS.values(), ids=RUNAWAYS.keys())
def test_what_runs_away_ends(engine: DuckDBEngine, sql: str) -> None:
    began, threads = time.monotonic(), threading.active_count()
    with pytest.raises(ResourceLimitError) as caught:
        for _ in engine.stream(sql, {}, limits=SHORT):
            pass
    assert time.monotonic() - began < 4
    assert any(word in caught.value.message for word in ("1 seconds", "0.5 GB", "memory or disk"))
    assert any(word in str(caught.value.hint) for word in ("--timeout", "statement_memory", "memory limit"))
    assert engine.stream("SELECT 1 AS one", {}, limits=SHORT).read_all().to_pylist() == [{"one": 1}]
    http_server.wait(lambda: threading.active_count() <= threads)  # nobody watches what is over


OWN = "SELECT upper(reverse(t.a)) AS a, length(repeat('x', t.n::INT)) AS n FROM t ORDER BY n"


def test_a_process_of_its_own_answers_as_any_other(engine: DuckDBEngine) -> None:
    table = pa.table({"a": ["ab", None, "é"], "n": [1, 2, 3]})
    for given in (table, table.to_reader()):
        found = engine.stream(OWN, {"t": given}, limits=Limits()).read_all()
        assert found.to_pylist() == [{"a": "BA", "n": 1}, {"a": None, "n": 2}, {"a": "É", "n": 3}]
    many = pa.table({"a": ["ab"] * 300_000, "n": [2] * 300_000})
    answer = engine.stream("SELECT reverse(a) AS a, n FROM t", {"t": many.to_reader(1000)}, limits=Limits())
    assert answer.read_all() == pa.table({"a": ["ba"] * 300_000, "n": [2] * 300_000})


def test_its_errors_are_those_of_any_other(engine: DuckDBEngine) -> None:
    table = pa.table({"a": ["x"]})
    with pytest.raises(UnknownNameError, match="nope"):
        engine.stream("SELECT reverse(nope) FROM t", {"t": table}, limits=Limits())
    with pytest.raises(DataError):
        engine.stream("SELECT reverse(a)::INT FROM t", {"t": table}, limits=Limits()).read_all()

    def broken() -> Iterator[pa.RecordBatch]:
        yield from table.to_batches()
        raise SourceError("the source went away", hint="try again")

    reader = pa.RecordBatchReader.from_batches(table.schema, broken())
    with pytest.raises(SourceError, match="went away"):
        engine.stream("SELECT reverse(a) FROM t", {"t": reader}, limits=Limits()).read_all()


@pytest.mark.parametrize("function", ["upper", "reverse"])
def test_time_that_rows_wait_for_their_reader_does_not_count(engine: DuckDBEngine, function: str) -> None:
    rows = f"SELECT {function}('a') AS a FROM range(1000000)"
    reader = engine.stream(rows, {}, limits=Limits(1.0))
    count = reader.read_next_batch().num_rows
    time.sleep(1.5)
    assert count + sum(b.num_rows for b in reader) == 1_000_000


def test_ctrl_c_ends_what_hears_no_interrupt(tmp_path: Path) -> None:
    code = (
        "from tilth.adapters.engines.duckdb_engine import DuckDBEngine; from tilth.ports.limits import Limits;"
        "print('ready', flush=True);"
        "DuckDBEngine().stream(\"SELECT length(repeat('x', 2000000000))\", {}, limits=Limits(50, 9_000_000_000))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        listed = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        until = time.monotonic() + 30
        while not (children := listed.read_text().split()) and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(1.5)  # so that the child is in the middle of its query
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(30) != 0
        finally:
            process.kill()
    assert len(children) == 1
    until = time.monotonic() + 20  # its memory is given back first
    while os.path.exists(f"/proc/{children[0]}/exe") and time.monotonic() < until:
        time.sleep(0.1)
    assert not os.path.exists(f"/proc/{children[0]}/exe")
