"""A query runs in a process of its own that has nothing of ours, and whose end harms one statement."""

import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import http_server
from tilth.adapters.engines.duckdb_engine import DuckDBEngine
from tilth.adapters.engines.nursery import NURSERY
from tilth.core.errors import (
    CancelledError,
    LanguageError,
    LostError,
    ResourceLimitError,
    SourceError,
    TilthError,
    UnknownNameError,
    UnsupportedError,
)
from tilth.core.reach import AROUND as LOOKING_AROUND
from tilth.ports.limits import Limits
from tilth.ports.turns import Turn, Turns

TABLE = pa.table({"id": [1, 2, 3], "name": ["a", "b", None]})
NAP = "SELECT sleep_ms(60000)"


@pytest.fixture
def engine(tmp_path: Path) -> DuckDBEngine:
    gc.collect()
    http_server.wait(lambda: not children())  # of other tests
    return DuckDBEngine([str(tmp_path)], temp=str(tmp_path / "temp"))


def rows(engine: DuckDBEngine, sql: str, limits: Limits | None = None, **inputs: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = engine.stream(sql, inputs, limits=limits or Limits()).read_all().to_pylist()
    return found


def children(of: int | None = None) -> list[int]:
    """The processes of queries."""
    zygote = NURSERY.pid if of is None else of
    with contextlib.suppress(FileNotFoundError):
        return [int(p) for p in Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split()]
    return []


@contextlib.contextmanager
def asked(ask: Callable[[], object]) -> Iterator[list[BaseException]]:
    """Something is asked by another thread; how it failed, once the block is over."""
    failed: list[BaseException] = []

    def asks() -> None:
        try:
            ask()
        except TilthError as error:
            failed.append(error)

    thread = threading.Thread(target=asks)
    thread.start()
    yield failed
    thread.join(20)
    assert not thread.is_alive()


def napping(engine: DuckDBEngine, limits: Limits | None = None) -> Callable[[], object]:
    return lambda: engine.stream(NAP, {}, limits=limits or Limits()).read_all()


def at_work(child: int) -> bool:
    """Whether it was told what to do: it is locked up."""
    return "Seccomp:\t2" in Path(f"/proc/{child}/status").read_text()


def one_child() -> int:
    http_server.wait(lambda: len(children()) == 1 and at_work(children()[0]))
    return children()[0]


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_query_that_dies_harms_no_other(engine: DuckDBEngine, by: signal.Signals) -> None:
    other = engine.stream("SELECT range AS n FROM range(5000000)", {}, limits=Limits())
    before = set(children())
    with asked(napping(engine)) as failed:
        http_server.wait(lambda: len(children()) == len(before) + 1 and all(map(at_work, children())))
        os.kill((set(children()) - before).pop(), by)
    assert [type(e) for e in failed] == [ResourceLimitError if by is signal.SIGABRT else LostError]
    assert by is signal.SIGABRT or by.name in str(failed[0])
    assert sum(b.num_rows for b in other) == 5_000_000
    assert rows(engine, "SELECT 1 AS a") == [{"a": 1}]


def test_a_zygote_that_dies_is_started_again(engine: DuckDBEngine) -> None:
    rows(engine, "SELECT 1")
    http_server.wait(lambda: not children())
    first = NURSERY.pid
    with asked(napping(engine)) as failed:
        child = one_child()
        assert first is not None
        os.kill(first, signal.SIGKILL)
    assert [type(e) for e in failed] == [LostError]
    assert not os.path.exists(f"/proc/{child}/exe")
    assert rows(engine, "SELECT 1 AS a") == [{"a": 1}]
    assert NURSERY.pid not in (None, first)


def test_many_statements_at_once_each_get_their_own_answer(engine: DuckDBEngine, tmp_path: Path) -> None:
    turns = Turns(4)

    def ask(i: int) -> int:
        given = {"t": pa.table({"a": [i] * 10}), "s.u": pa.table({"b": [1]}).to_reader()}
        found = engine.stream(
            "SELECT sum(a) + min(b) - 1 AS n FROM t, s.u", given, limits=Limits(turn=Turn(turns))
        )
        return int(found.read_all()["n"][0].as_py())

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(200))) == [10 * i for i in range(200)]
    http_server.wait(lambda: not children())
    assert os.listdir(tmp_path / "temp") == []


def test_answers_that_are_not_read_end_their_process(engine: DuckDBEngine) -> None:
    reader = engine.stream("SELECT range AS n FROM range(100000000)", {}, limits=Limits())
    assert len(children()) == 1
    del reader
    http_server.wait(lambda: not children())


def test_a_table_may_be_read_twice_and_a_small_answer_holds_no_process(engine: DuckDBEngine) -> None:
    found = engine.stream(
        "SELECT count(*) AS n FROM t a JOIN t b ON a.id >= b.id", {"t": TABLE}, limits=Limits()
    )
    http_server.wait(lambda: not children())
    assert found.read_all().to_pylist() == [{"n": 6}]


def test_no_two_queries_draw_the_same_numbers(engine: DuckDBEngine) -> None:
    assert len({rows(engine, "SELECT random() AS r")[0]["r"] for _ in range(5)}) == 5


# --- what it has ---


def test_it_has_nothing_of_ours(
    engine: DuckDBEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TILTH_SECRET", "hush")
    with open(tmp_path / "held", "w") as held, asked(napping(engine)):
        os.set_inheritable(held.fileno(), True)
        other = engine.stream(
            "SELECT range AS n FROM range(10000000)", {"t": TABLE.to_reader()}, limits=Limits()
        )
        http_server.wait(lambda: len(children()) == 2 and all(map(at_work, children())))
        place = Path(f"/proc/{children()[0]}")
        variables = (place / "environ").read_bytes().decode().split("\0")
        descriptors = {int(p.name): os.readlink(p) for p in (place / "fd").iterdir()}
        status = dict(
            line.split(":\t", 1) for line in (place / "status").read_text().splitlines() if ":\t" in line
        )
        limits = (place / "limits").read_text()
        for child in children():
            os.kill(child, signal.SIGKILL)
        del other
    assert "TILTH_SECRET=hush" not in variables
    allowed = {
        "PATH",
        "LANG",
        "TZ",
        "HOME",
        "MALLOC_ARENA_MAX",
        "JE_ARROW_MALLOC_CONF",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONPATH",
        "LD_LIBRARY_PATH",
        "LC_CTYPE",
    }
    assert {v.partition("=")[0] for v in variables} - {""} <= allowed
    others = [
        at
        for at in descriptors.values()
        if not at.startswith(("socket:", "/dev/null", "/memfd:tilth-zygote"))
    ]
    assert others == []
    assert sum(at.startswith("socket:") for at in descriptors.values()) <= 2  # where it speaks, and its input
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
    assert int(status["CapEff"], 16) in (0, 4)
    assert "Max core file size 0" in " ".join(limits.split())


JAILED = """
import os, socket, sys
from tilth.adapters.engines import duckdb_child
spec = {"inputs": {"t": {"paths": [sys.argv[1]]}}, "spill": sys.argv[3], "memory": 1 << 30, "seconds": 10, "disk": 1000}
print(duckdb_child._locked(spec))
def tried(what):
    try:
        what()
    except OSError:
        return "no"
    return "yes"
def big():
    with open(sys.argv[3] + "/big", "wb") as file:
        file.write(b"x" * 2000)
print(*map(tried, (lambda: open(sys.argv[1]), lambda: open(sys.argv[2]), lambda: open("/etc/passwd"), lambda: os.listdir("/"),
    lambda: open(sys.argv[1], "r+"), lambda: open(sys.argv[3] + "/a", "w"), big, socket.socket, os.fork,
    lambda: os.kill(os.getppid(), 0), lambda: open(f"/proc/{os.getppid()}/environ"))))
"""


def test_it_is_locked_up(tmp_path: Path) -> None:
    (tmp_path / "spill").mkdir()
    for name in ("in.parquet", "other.parquet"):
        (tmp_path / name).write_text("x")
    places = [str(tmp_path / n) for n in ("in.parquet", "other.parquet", "spill")]
    done = subprocess.run(
        [sys.executable, "-c", JAILED, *places], capture_output=True, text=True, check=True, timeout=30
    )
    held, tried = done.stdout.splitlines()
    assert "off" not in held
    assert tried.split() == ["yes", "no", "no", "no", "no", "yes", "no", "no", "no", "no", "no"]


def test_it_ends_with_the_process_that_asks(tmp_path: Path) -> None:
    code = (
        "import os, threading, time; from tilth.adapters.engines.duckdb_engine import DuckDBEngine;"
        "from tilth.adapters.engines.nursery import NURSERY; from tilth.ports.limits import Limits;"
        f"e = DuckDBEngine(temp={str(tmp_path)!r});"
        "threading.Thread(target=lambda: e.stream('SELECT sleep_ms(60000)', {}, limits=Limits()).read_all(), daemon=True).start();"
        "time.sleep(1.5); print(NURSERY.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        zygote = int(process.stdout.readline())
        found = children(zygote)
        process.kill()
    assert len(found) == 1
    http_server.wait(lambda: not any(os.path.exists(f"/proc/{pid}/exe") for pid in (zygote, *found)))
    rows(DuckDBEngine(temp=str(tmp_path)), "SELECT 1")  # the folder of one that was killed goes with the next
    assert os.listdir(tmp_path) == []


def test_a_process_that_was_divided_from_ours_has_its_own(engine: DuckDBEngine) -> None:
    rows(engine, "SELECT 1")
    mine, (hear, say) = NURSERY.pid, os.pipe()
    if (child := os.fork()) == 0:
        try:
            found = rows(engine, "SELECT 7 AS a")[0]["a"]
            os.write(say, f"{found} {NURSERY.pid}".encode())
            NURSERY.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(say)
    with os.fdopen(hear) as said:
        answer, theirs = said.read().split()
    assert answer == "7"
    assert int(theirs) != mine == NURSERY.pid
    assert rows(engine, "SELECT 8 AS a") == [{"a": 8}]


# --- what it may ---


def test_a_query_that_spills_too_much_is_ended(engine: DuckDBEngine, tmp_path: Path) -> None:
    sql = "SELECT hash(range) AS h, range::VARCHAR AS s FROM range(20000000) ORDER BY h"
    with pytest.raises(ResourceLimitError, match="memory or disk"):
        for _ in engine.stream(sql, {}, limits=Limits(60, 200_000_000, 50_000_000)):
            pass
    http_server.wait(lambda: os.listdir(tmp_path / "temp") == [])
    found = engine.stream(sql.replace("20000000", "3000000"), {}, limits=Limits(60, 200_000_000))
    assert sum(b.num_rows for b in found) == 3_000_000


AROUND = {
    "SELECT * FROM read_text('/etc/passwd')": UnsupportedError,
    "SELECT * FROM read_csv('/etc/passwd')": UnsupportedError,
    "SELECT * FROM read_parquet('{folder}/other.parquet')": UnsupportedError,
    "SELECT * FROM parquet_metadata('{folder}/other.parquet')": UnsupportedError,
    "SELECT * FROM glob('/*')": UnsupportedError,
    "SELECT * FROM '/etc/passwd'": UnsupportedError,
    "FROM 'other.parquet'": UnsupportedError,
    'SELECT * FROM "{folder}/other.parquet"': UnsupportedError,
    "SELECT * FROM duckdb_settings()": UnsupportedError,
    "SELECT * FROM duckdb_secrets()": UnsupportedError,
    "SELECT * FROM pragma_version()": UnsupportedError,
    "SELECT * FROM pragma_table_info('t')": UnsupportedError,
    "SELECT * FROM query('SELECT 1')": UnsupportedError,
    "SELECT * FROM query_table('t')": UnsupportedError,
    "SELECT * FROM sniff_csv('/etc/passwd')": UnsupportedError,
    "SELECT * FROM json_execute_serialized_sql('x')": UnsupportedError,
    "SELECT * FROM (SHOW TABLES)": UnsupportedError,
    "SELECT * FROM (SHOW ALL TABLES)": UnsupportedError,
    "SELECT * FROM duckdb_tables": UnknownNameError,
    "SELECT * FROM sqlite_master": UnknownNameError,
    "SELECT * FROM information_schema.tables": UnknownNameError,
    "SELECT * FROM pg_catalog.pg_settings": UnknownNameError,
    "SELECT * FROM temp.t": UnknownNameError,
    "SELECT getenv('HOME')": UnsupportedError,
    "SELECT current_setting('temp_directory')": UnsupportedError,
    "SELECT pg_catalog.current_setting('temp_directory')": UnsupportedError,
    "SELECT id FROM t ORDER BY getvariable('x')": UnsupportedError,
    "SELECT * REPLACE (getenv('x') AS id) FROM t": UnsupportedError,
    "SELECT (SELECT max(x) FROM (SELECT getenv('x') AS x)) FROM t": UnsupportedError,
    "SELECT list_transform([1], lambda x: getenv('x'))": UnsupportedError,
    "WITH a AS MATERIALIZED (SELECT getenv('x')) SELECT * FROM t, a": UnsupportedError,
    "SELECT 1 FROM t LIMIT (SELECT length(getenv('x')))": UnsupportedError,
    "SELECT count(*) FILTER (WHERE getenv('x') = '1') OVER () FROM t": UnsupportedError,
    "SELECT 1 UNION ALL SELECT length(getenv('x'))": UnsupportedError,
    "WITH read_csv AS (SELECT 1) SELECT * FROM read_csv('/etc/passwd')": UnsupportedError,
    "SELECT nextval('s')": UnsupportedError,
    "SELECT 1; SELECT 2": LanguageError,
    "SELECT 1; COPY t TO '{folder}/out'": LanguageError,
    "COPY t TO '{folder}/out'": LanguageError,
    "ATTACH '{folder}/out.db'": LanguageError,
    "INSTALL httpfs": LanguageError,
    "LOAD httpfs": LanguageError,
    "SET threads = 8": LanguageError,
    "RESET threads": LanguageError,
    "PRAGMA threads = 8": LanguageError,
    "CALL pragma_version()": LanguageError,
    "USE memory": LanguageError,
    "CREATE TABLE u AS SELECT 1": LanguageError,
    "CREATE SECRET (TYPE s3)": LanguageError,
    "DROP VIEW t": LanguageError,
    "EXPLAIN ANALYZE SELECT 1": LanguageError,
    "PREPARE p AS SELECT 1": LanguageError,
    "EXPORT DATABASE '{folder}/out'": LanguageError,
    "CHECKPOINT": LanguageError,
    "INSERT INTO t VALUES (1)": LanguageError,
}  # fmt: skip


@pytest.mark.parametrize("sql", AROUND)
def test_a_text_that_asks_for_more_than_its_inputs_is_refused(
    engine: DuckDBEngine, tmp_path: Path, sql: str
) -> None:
    pq.write_table(TABLE, tmp_path / "other.parquet")
    with pytest.raises(AROUND[sql]) as caught:
        rows(engine, sql.format(folder=tmp_path), t=TABLE)
    assert caught.value.hint
    assert {p.name for p in tmp_path.iterdir()} <= {"other.parquet", "temp"}


FINE = {
    "WITH a AS (SELECT id FROM t), b AS (SELECT id FROM a) SELECT count(*) AS n FROM b": 3,
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT max(n) AS n FROM r": 5,
    "SELECT count(*) AS n FROM range(3), generate_series(1, 2), unnest([1, 2])": 12,
    "SELECT count(*) AS n FROM (SUMMARIZE t)": 2,
    "SELECT count(*) AS n FROM (DESCRIBE t)": 2,
    "SELECT sum(n)::INT AS n FROM (VALUES (1), (2)) v(n)": 3,
    "SELECT count(*) AS n FROM (PIVOT t ON name IN ('a', 'b') USING sum(id))": 1,
    "SELECT count(*) AS n FROM (UNPIVOT (SELECT id, id AS b FROM t) ON id, b)": 6,
    "SELECT count(*) AS n FROM t a POSITIONAL JOIN t b": 3,
    "SELECT count(*) AS n FROM t, LATERAL (SELECT t.id + 1)": 3,
    "SELECT max(n) AS n FROM (SELECT sum(id) OVER (ORDER BY id)::INT AS n FROM t)": 6,
    "SELECT list_sum(list_transform([1, 2], lambda x: x + 1))::INT AS n": 5,
    "SELECT len(regexp_extract_all('a1b2', '[0-9]')) AS n": 2,
    "SELECT count(*) AS n FROM json_each('[1, 2]')": 2,
    "FROM t SELECT max(id) AS n": 3,
    "SELECT count(*) AS n FROM T": 3,
    'SELECT count(*) AS n FROM "t" TABLESAMPLE 100%': 3,
    "SELECT 1 AS n -- ; DROP TABLE t": 1,
    "SELECT length('; read_csv(''/etc/passwd'')') AS n": 25,
}


@pytest.mark.parametrize("sql", FINE)
def test_what_reads_its_inputs_alone_is_answered(engine: DuckDBEngine, sql: str) -> None:
    assert rows(engine, sql, t=TABLE) == [{"n": FINE[sql]}]


# --- cancelling and waiting ---


def test_a_query_is_cancelled_while_it_works(engine: DuckDBEngine) -> None:
    turn = Turn()
    with asked(napping(engine, Limits(turn=turn))) as failed:
        one_child()
        began = time.monotonic()
        turn.cancel("cli:ada")
    assert time.monotonic() - began < 3
    assert [(type(e), e.sqlstate) for e in failed if isinstance(e, TilthError)] == [(CancelledError, "57014")]
    assert "cli:ada" in str(failed[0])
    with pytest.raises(CancelledError):
        engine.stream("SELECT 1", {}, limits=Limits(turn=turn))


def test_a_query_is_cancelled_while_its_answer_is_read(engine: DuckDBEngine) -> None:
    turn = Turn()
    reader = engine.stream("SELECT range AS n FROM range(100000000)", {}, limits=Limits(turn=turn))
    reader.read_next_batch()
    turn.cancel()
    with pytest.raises(CancelledError):
        for _ in reader:
            pass


def test_a_query_is_cancelled_while_an_input_does_not_come(engine: DuckDBEngine) -> None:
    turn, hold = Turn(), threading.Event()

    def slow() -> Iterator[pa.RecordBatch]:
        yield from TABLE.to_batches()
        hold.wait(10)

    reader = pa.RecordBatchReader.from_batches(TABLE.schema, slow())
    limits = Limits(turn=turn)
    with asked(
        lambda: engine.stream("SELECT sum(id) FROM t", {"t": reader}, limits=limits).read_all()
    ) as failed:
        one_child()
        turn.cancel()
        http_server.wait(lambda: len(failed) == 1)
        hold.set()
    assert isinstance(failed[0], CancelledError)


def test_the_others_wait_for_their_turn_and_are_told(engine: DuckDBEngine) -> None:
    turns, told = Turns(1), list[str]()
    with asked(napping(engine, Limits(turn=(first := Turn(turns))))) as failed:
        one_child()
        with pytest.raises(ResourceLimitError, match="waited for 0"):
            engine.stream("SELECT 1", {}, limits=Limits(0.2, turn=Turn(turns, told.append)))
        with asked(napping(engine, Limits(turn=(second := Turn(turns, told.append))))) as also:
            http_server.wait(lambda: len(told) == 2)
            second.cancel()
        first.cancel()
    assert [type(e) for e in (*failed, *also)] == [CancelledError, CancelledError]
    assert told == ["Waiting: 1 queries are at work, which is the most at once."] * 2
    assert engine.stream("SELECT 1 AS a", {}, limits=Limits(turn=Turn(turns))).read_all().num_rows == 1


def test_a_statement_has_one_turn_for_all_its_processes(engine: DuckDBEngine) -> None:
    limits = Limits(5, turn=Turn(Turns(1)))
    inner = engine.stream("SELECT range AS n FROM range(200000)", {}, limits=limits)
    assert engine.stream(
        "SELECT count(*) AS n FROM t", {"t": inner}, limits=limits
    ).read_all().to_pylist() == [{"n": 200_000}]


def test_an_input_that_fails_in_the_middle_is_no_shorter_answer(engine: DuckDBEngine) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        for _ in range(50):
            yield from TABLE.to_batches()
        raise SourceError("the source went away", hint="try again")

    reader = pa.RecordBatchReader.from_batches(TABLE.schema, broken())
    with pytest.raises(SourceError, match="went away"):
        engine.stream("SELECT count(*) FROM t", {"t": reader}, limits=Limits()).read_all()


# --- all at once ---


def test_cancels_and_kills_at_any_moment_leave_nothing_and_make_no_answer_wrong(
    engine: DuckDBEngine, tmp_path: Path
) -> None:
    rows(engine, "SELECT 1")
    http_server.wait(lambda: not children())
    before, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    turns, table, over = Turns(4), pa.table({"a": list(range(20_000))}), threading.Event()
    wanted = {
        "SELECT count(*)::INT AS n FROM t a JOIN t b USING (a)": [{"n": 20_000}],
        "SELECT sum(range)::BIGINT AS n FROM range(30000000)": [{"n": 449_999_985_000_000}],
        "SELECT count(*)::INT AS n FROM (SELECT DISTINCT hash(a) FROM s)": [{"n": 20_000}],
        "SELECT 1 AS n FROM (SELECT sleep_ms(700))": [{"n": 1}],
    }  # fmt: skip

    def ask(number: int) -> str:
        sql, turn = list(wanted)[number % 4], Turn(turns)
        timer = threading.Timer(Random(number).random(), turn.cancel)
        timer.start()
        try:
            given = {"t": table} if " t " in sql else {"s": table.to_reader(500)} if " s)" in sql else {}
            assert (
                engine.stream(sql, given, limits=Limits(30, turn=turn)).read_all().to_pylist() == wanted[sql]
            )
        except (CancelledError, LostError) as error:
            return type(error).__name__
        finally:
            timer.cancel()
        return "answered"

    def kill() -> None:
        random = Random(7)
        while not over.wait(0.3):
            found = children()
            with contextlib.suppress(ProcessLookupError):
                os.kill(random.choice([*found, *found, NURSERY.pid or found[0]]), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with ThreadPoolExecutor(8) as pool:
        ended = list(pool.map(ask, range(80)))
    over.set()
    killer.join()
    assert "answered" in ended
    assert "CancelledError" in ended
    assert rows(engine, "SELECT 1 AS a", Limits(turn=Turn(turns))) == [{"a": 1}]
    http_server.wait(lambda: not children() and threading.active_count() <= threads)
    http_server.wait(lambda: len(os.listdir("/proc/self/fd")) <= before)
    assert os.listdir(tmp_path / "temp") == []


def test_functions_that_look_around_are_those_that_are_known() -> None:
    """Whatever of DuckDB's values is volatile was looked at; one that is new is decided before it is let in."""
    import duckdb

    with duckdb.connect() as beside:
        volatile = beside.sql(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'scalar'"
            " AND (stability = 'VOLATILE' OR has_side_effects)"
        ).fetchall()
    harmless = {"random", "setseed", "sleep_ms", "error", "uuid", "uuidv4", "uuidv7", "gen_random_uuid"}
    assert {name for (name,) in volatile} - LOOKING_AROUND == harmless
