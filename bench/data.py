"""Collecting and vetting: PostgreSQL to a snapshot against raw COPY, and 20 checks over 5 million rows.

Both run in child processes, so that a peak of memory is theirs alone. Peaks are resident memory above what the process
holds when everything is imported and has run once. Run it: `python bench/data.py`; with a Python that has dataframely in
TILTH_BENCH_DATAFRAMELY, vetting is compared with it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from result import Result, at_most, compared, taking_turns

ROOT = Path(__file__).parents[1]
ROWS = 1_000_000
VETTED = 5_000_000
TURNS = 5
NOW = datetime(2020, 1, 1, tzinfo=UTC)
PEER_MOST = 0.5  # of dataframely's CPU

TABLE = """
CREATE TABLE bench.flights AS SELECT
  n AS id,
  timestamptz '2012-01-01 00:00:00+00' + n * interval '1 minute' AS due,
  (ARRAY['JFK', 'LGA', 'EWR'])[1 + n % 3] AS origin,
  'D' || (hashint8(n) & 63) AS dest,
  'N' || lpad((hashint8(n * 7) & 4095)::text, 5, '0') AS tail,
  CASE WHEN n % 40 > 0 THEN (hashint8(n * 3) % 9000) / 37.0::float8 END AS delay,
  (hashint8(n * 5) & 4095)::int4 AS distance,
  ((hashint8(n * 11) & 65535) / 100.0)::numeric(10, 2) AS price,
  n % 5 = 0 AS late,
  CASE WHEN n % 4 > 0 THEN 'remark ' || (hashint8(n * 13) & 1048575) END AS remark
FROM generate_series(1::int8, $rows$) n
"""

DATASET = """
CREATE DATASET flights KEY (id) EVENT TIME due
  EXPECT (origin IN ('JFK', 'LGA', 'EWR') ON FAIL QUARANTINE, distance >= 0 ON FAIL QUARANTINE, COUNT(*) > 1000)
AS SELECT * FROM ops.flights
"""

VETTING = """
CREATE DATASET flights EVENT TIME due EXPECT (
  id IS NOT NULL, due IS NOT NULL, carrier IN ('C0', 'C1', 'C2', 'C3', 'C4', 'C5', 'C6', 'C7', 'C8', 'C9'),
  origin IN ('JFK', 'LGA', 'EWR') ON FAIL QUARANTINE, delay IS NULL OR delay BETWEEN -5000 AND 5000 ON FAIL QUARANTINE,
  distance >= 0 ON FAIL QUARANTINE, price > 0 ON FAIL QUARANTINE, length(tail) = 6 ON FAIL QUARANTINE,
  regexp_matches(tail, '^N[0-9]{5}$') ON FAIL QUARANTINE, price < 100000 ON FAIL WARN, dest LIKE 'D%' ON FAIL WARN,
  late IS NOT NULL ON FAIL WARN, delay IS NULL OR delay < price * 1000 ON FAIL WARN,
  COUNT(*) >= 10000, AVG(delay) BETWEEN -100 AND 100 ON FAIL WARN, MAX(distance) < 5000 ON FAIL WARN,
  STDDEV(price) > 1 ON FAIL WARN, approx_count_distinct(carrier) = 10 ON FAIL WARN,
  COUNT(remark) >= 0.5 * COUNT(*) ON FAIL WARN, FRESH WITHIN '20000 days' ON FAIL WARN
) AS SELECT * FROM ops.flights
"""


def run() -> list[Result]:
    with tempfile.TemporaryDirectory() as folder:
        return [*_postgres(folder), *_vetting(folder), _reading(folder)]


def _postgres(folder: str) -> list[Result]:
    sys.path.insert(0, str(ROOT / "tests"))
    from servers import postgres_url

    url = postgres_url()
    _filled(url)
    found = _child("collect", folder, url, str(ROWS), str(TURNS))
    ours, raw = found["seconds"], found["raw_seconds"]
    note = (
        f"{ROWS:,} rows x 10 columns, wall, medians of {TURNS} alternating rounds; collected with a KEY, an EVENT TIME and 3 checks,"
        f" hashed and written as Parquet; raw is psql's COPY ... TO STDOUT (FORMAT binary) into /dev/null; {found['parts']}"
    )
    what = "PostgreSQL to a snapshot"
    return [
        compared(what, f"{ours:.2f} s", f"raw COPY {raw:.2f} s", found["ratio"], most=2.0, note=note),
        at_most(f"{what}, peak memory over the base", found["peak_mb"], 250, "MB", _base(found)),
    ]


def _vetting(folder: str) -> list[Result]:
    made = _child("rows", folder, str(VETTED))
    found = _child("vet", folder, str(VETTED))
    beside = _beside(folder)
    note = f"{VETTED:,} rows in {made['parts']} Parquet files, {found['checks']} checks, {found['cpu']:.2f} CPU seconds"
    keyed = f"{found['key_cpu']:.2f} CPU seconds; hashes of all keys are compared, 8 bytes a row"
    return [
        at_most("vetting, peak memory over the base", found["peak_mb"], 150, "MB", f"{note}; {_base(found)}"),
        at_most(
            "vetting one row in a hundred more, of vetting all", found["more"][0] / found["more"][1], 0.05, "of the CPU",
            f"set checks from states of files, kept; row checks of the new rows alone; {found['more'][0]:.3f} of {found['more'][1]:.2f} CPU seconds",
        ),
        *beside,
        Result(
            "whether a KEY repeats, peak memory over the base", f"{found['key_peak_mb']:.3g} MB", "-",
            f"{found['key_peak_mb']:.3g} MB", "", None, keyed,
        ),
    ]  # fmt: skip


def _beside(folder: str) -> list[Result]:
    """CPU of all checks against dataframely's over the same files, alternating; nothing where no Python that has it is named."""
    python = os.environ.get("TILTH_BENCH_DATAFRAMELY")
    if not python:
        return []
    ours: dict[str, list[float]] = {"": [], "keyed": []}
    theirs: dict[str, list[float]] = {"": [], "keyed": []}
    peaks = []
    for _ in range(TURNS):
        found = _child("vet", folder, str(VETTED))
        ours[""].append(found["cpu"])
        ours["keyed"].append(found["cpu"] + found["key_cpu"])
        for how, took in theirs.items():
            peer = _dataframely(python, folder, how)
            took.append(peer["cpu"])
            peaks.append(peer["peak_mb"])
    out = []
    for how, what in (("keyed", "20 checks and a KEY of two columns"), ("", "20 checks")):
        own, other = statistics.median(ours[how]), statistics.median(theirs[how])
        note = f"medians of {TURNS} alternating runs over the same Parquet files, reading included; its peak memory is up to {max(peaks):,.0f} MB"
        named = (f"vetting, {what}, CPU of dataframely's", f"{own:.2f} s", f"dataframely {other:.2f} s")
        if how:
            out.append(compared(*named, own / other, most=PEER_MOST, note=note))
        else:
            out.append(Result(*named, f"{own / other:.2f}", "", None, note))
    return out


def _dataframely(python: str, folder: str, how: str) -> dict:
    peer = str(ROOT / "bench" / "peers" / "vet_dataframely.py")
    line = [python, peer, folder, *([how] if how else [])]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True, timeout=300)
    return json.loads(done.stdout.splitlines()[-1])


def _reading(folder: str) -> Result:
    """After `_vetting`, of whose rows it makes blobs."""
    found = _child("read", folder)
    note = (
        f"CPU of asking for every part's path against CPU of a sum over two columns of all rows, {found['parts']} parts; the first"
        f" read after a file changed hashes it, which takes {found['hashed']:.1f} times that of the sum"
    )
    return compared(
        "the check of what is read, of a read", f"{found['check'] * 1e3:.2f} ms", f"a sum {found['sum'] * 1e3:.0f} ms",
        found["check"] / found["sum"], most=0.1, note=note,
    )  # fmt: skip


def _base(found: dict) -> str:
    return f"the base is {found['base_mb']:.0f} MB"


def _child(*arguments: str) -> dict:
    line = [sys.executable, __file__, *arguments]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True, timeout=900)
    return json.loads(done.stdout.splitlines()[-1])


def _filled(url: str) -> None:
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA IF EXISTS bench CASCADE")
        cursor.execute("CREATE SCHEMA bench")
        cursor.execute(TABLE.replace("$rows$", str(ROWS)))
        cursor.execute("CREATE TABLE bench.few AS SELECT * FROM bench.flights ORDER BY id LIMIT 1000")
        cursor.execute("VACUUM ANALYZE bench.flights")


# --- in child processes ------------------------------------------------------------------------------------


def collect_rows(folder: str, url: str, rows: str, turns: str) -> dict:
    """Collect the rows, in turns with raw COPY; peak memory of the first time."""
    from dataclasses import replace

    from tilth.adapters.engines.duckdb_engine import DuckDBEngine
    from tilth.adapters.files.blobs import FileBlobs
    from tilth.adapters.sources.postgres.source import PostgresSource
    from tilth.kinds import parse_one
    from tilth.ml.data.collect import collect
    from tilth.ports.progress import Silent

    engine, source, spec = DuckDBEngine([folder]), PostgresSource(url, "bench"), parse_one(DATASET)
    few = replace(spec, query=replace(spec.query, sql="SELECT * FROM ops.few"), expect=spec.expect[:2])

    def once(asked) -> float:
        with tempfile.TemporaryDirectory(dir=folder) as blobs:
            began = time.perf_counter()
            found = collect(asked, "1:r", {"ops": source}, {}, engine, FileBlobs(blobs), None, NOW, Silent())
            took = time.perf_counter() - began
            assert found.manifest.rows == (1000 if asked is few else int(rows))
            return took

    once(few)
    peak = Peak()
    once(spec)
    out = peak.facts()
    ours, raw, ratio = taking_turns(lambda: once(spec), lambda: _raw(url), int(turns))
    return {**out, "seconds": ours, "raw_seconds": raw, "ratio": 1 / ratio, "parts": _shares(source)}


def _raw(url: str) -> float:
    line = ["psql", url, "-c", "COPY bench.flights TO STDOUT (FORMAT binary)"]
    began = time.perf_counter()
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _shares(source) -> str:
    """What of it the source alone needs: the rows as Arrow batches, thrown away."""
    from tilth.core.scan import Scan

    began = time.perf_counter()
    for _ in source.scan(Scan("flights")):
        pass
    return f"reading alone, into Arrow, takes {time.perf_counter() - began:.2f} s of it"


def make_rows(folder: str, rows: str) -> dict:
    """So many rows as parts of a snapshot."""
    from tilth.adapters.engines.duckdb_engine import DuckDBEngine
    from tilth.ml.data.snapshots import Marks, plain_batches, plain_schema, write_parts

    sql = f"""
      SELECT n AS id, TIMESTAMP '2010-01-01' + n * INTERVAL 1 MINUTE AS due, 'C' || n % 10 AS carrier,
        ['JFK', 'LGA', 'EWR'][1 + n % 3] AS origin, 'D' || hash(n) % 100 AS dest,
        'N' || lpad((hash(n + 7) % 4000)::VARCHAR, 5, '0') AS tail,
        CASE WHEN n % 40 > 0 THEN (hash(n + 3) % 9000)::DOUBLE / 100 - 45 END AS delay, (hash(n + 5) % 4000)::BIGINT AS distance,
        1 + (hash(n + 11) % 100000)::DOUBLE / 100 AS price, n % 5 = 0 AS late,
        CASE WHEN n % 4 > 0 THEN 'remark ' || hash(n + 13) % 1000000 END AS remark
      FROM range({int(rows)}) r(n)"""
    reader = DuckDBEngine([folder]).stream(sql, {})
    schema = plain_schema(reader.schema)
    parts = write_parts(plain_batches(reader, schema), schema, folder, Marks("due", ("id",)), "vetted")
    return {"parts": len(parts)}


def vet(folder: str, rows: str) -> dict:
    """All checks over the rows, as a collection runs them; then the check of a key, by itself."""
    import pyarrow.parquet as pq

    from tilth.adapters.engines.duckdb_engine import DuckDBEngine
    from tilth.kinds import parse_one
    from tilth.ml.data import checks as checking
    from tilth.ml.data import counting
    from tilth.ml.data.rows import Rows, may_repeat
    from tilth.ports.arrow import schema_of

    files = sorted(str(p) for p in Path(folder).glob("vetted-*.parquet"))
    count = int(rows)
    engine, spec, schema = DuckDBEngine([folder]), parse_one(VETTING), pq.read_schema(files[0])
    checks = checking.checks_of(spec, schema_of(schema), engine)

    def once(relation, rows: int):
        counts = counting.count_rows(checks, relation, engine, {}, NOW)
        found = checking.row_results(checks, counts)
        known = {} if counts.bad else counts.ahead
        return counts, found | checking.set_results(checks, relation, engine, NOW, rows, known)

    with pq.ParquetFile(files[0]) as file:
        once(_table(file), 1000)
    peak, began = Peak(), time.process_time()
    counts, found = once(files, count)
    assert (counts.rows, counts.bad, len(found)) == (count, 0, 20)
    assert all(r.passed for r in found.values()), found
    out = {**peak.facts(), "cpu": time.process_time() - began, "checks": len(found)}
    more = _more(folder, files, checks, engine)
    peak, began = Peak(), time.process_time()
    keyed = checking.Checks((), ("tail", "id"), "due", schema_of(schema))
    assert not may_repeat(Rows(schema, files, count, ordered=False), keyed, engine)
    key = peak.facts()
    return {**out, "key_peak_mb": key["peak_mb"], "key_cpu": time.process_time() - began, "more": more}


def _more(folder: str, files: list[str], checks, engine) -> tuple[float, float]:
    """CPU seconds of vetting one in a hundred rows more, and of vetting all: of what is there, states are kept."""
    import pyarrow.parquet as pq

    from tilth.ml.data import checks as checking
    from tilth.ml.data import counting, snapshots, states
    from tilth.ports.history import States

    kept = States()

    def once(fresh, parts: list[str]) -> float:
        began = time.process_time()
        counts = counting.count_rows(checks, fresh, engine, {})
        each = [(p, snapshots.opened([p], pq.read_metadata(p).num_rows)) for p in parts]
        known = states.answered(checks, each, kept, engine) | checking.newest(checks, "2012-01-01T00:00:00")
        found = checking.set_results(checks, parts, engine, NOW, counts.rows, known)
        assert len(found) == 7
        return time.process_time() - began

    new = f"{folder}/more.parquet"
    with pq.ParquetFile(files[0]) as file:
        count = max(sum(pq.read_metadata(f).num_rows for f in files) // 100, 1)
        table = file.read_row_group(0).slice(0, count)
    pq.write_table(table, new)
    once(table, [new])
    whole = once(files, files)
    return once(table, [*files, new]), whole


def read(folder: str) -> dict:
    """CPU of the check before a read, of a small read, and of hashing what is read; medians."""
    from tilth.adapters.engines.duckdb_engine import DuckDBEngine
    from tilth.adapters.files.blobs import FileBlobs

    blobs = FileBlobs(f"{folder}/blobs")
    digests = [blobs.put_file(str(p)) for p in sorted(Path(folder).glob("vetted-*.parquet"))]
    time.sleep(0.1)  # files as old as this are remembered
    paths = [blobs.verified(d) for d in digests]
    engine = DuckDBEngine([folder])

    def cpu(work) -> float:
        took = []
        for _ in range(5):
            began = time.process_time()
            work()
            took.append(time.process_time() - began)
        return statistics.median(took)

    def asked() -> None:
        engine.stream("SELECT sum(delay), sum(distance) FROM rows", {"rows": paths}).read_all()

    summed = cpu(asked)
    hashed = cpu(lambda: [blobs.verified(d) for d in digests])
    check = cpu(lambda: [blobs.path(d) for d in digests])
    return {"parts": len(paths), "sum": summed, "check": check, "hashed": hashed / summed}


def _table(file):
    import pyarrow as pa

    return pa.Table.from_batches([next(file.iter_batches(1000))])


class Peak:
    """The highest resident memory since it was made, over what there was then."""

    def __init__(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")
        self.base = self._status("VmRSS")

    def facts(self) -> dict[str, float]:
        return {"base_mb": self.base, "peak_mb": max(self._status("VmHWM") - self.base, 0.0)}

    @staticmethod
    def _status(name: str) -> float:
        text = Path("/proc/self/status").read_text()
        return int(text.partition(f"{name}:")[2].split()[0]) / 1024


if __name__ == "__main__":
    children = {"collect": collect_rows, "rows": make_rows, "vet": vet, "read": read}
    if sys.argv[1:]:
        print(json.dumps(children[sys.argv[1]](*sys.argv[2:])))
    else:
        for one in run():
            print(one)
