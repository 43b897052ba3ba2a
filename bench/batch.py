"""Batch prediction by SQL against the raw model on the same rows: SELECT ... FROM data d JOIN model m, read batch by batch.

The raw model is LightGBM's own `Booster.predict` on the matrix that is already prepared, in one call, with the same
threads. SQL reads the snapshot's Parquet files, prepares the columns, scores, calibrates and hands over Arrow batches.
Two models: the flights of New York with the trees that early stopping left, and one over 20 made-up columns with more to learn.
A second raw side reads the same Parquet files and prepares the same columns before it predicts, one step after the other. And a file of
ten million rows is joined with a model in a process of its own, whose memory, with that of the processes it starts, is sampled.
Run it: `python bench/batch.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from result import Result, at_most, compared, taking_turns

TURNS = 7
FLIGHTS = True
LONG = 10_000_000  # rows of the file that is joined with a model
LEAST, LEAST_READ, MOST = 0.9, 0.95, 500  # of the raw model, of the one that reads too; MB
UNTIL = datetime(2013, 12, 1)  # noqa: DTZ001  (local time)
MADE_UP = """
CREATE SOURCE flat ENGINE files WITH (path = '.');
CREATE DATASET flights KEY (id) EVENT TIME at AS SELECT * FROM flat.rows;
CREATE MODEL late PREDICT late FROM flights OBJECTIVE (metric = 'roc_auc')
  USING (engine = 'lightgbm', time_limit = '600 s') PROMOTE IF not_worse_by(0.5);
"""


def run() -> list[Result]:
    found = []
    with tempfile.TemporaryDirectory() as folder:
        if FLIGHTS:
            dataset, key = flights(f"{folder}/flights")
            found += _measured("real flights", f"{folder}/flights", dataset, key)
        made_up(Path(folder) / "made")
        found += _measured("20 made-up columns", f"{folder}/made", "flights", "id")
        found.append(_long(f"{folder}/made"))
    return found


def flights(folder: str) -> tuple[str, str]:
    """The flights template up to December, applied, with its models trained by LightGBM."""
    from tilth.interfaces.demo.templates import create

    create(folder, "flights", UNTIL)
    models = Path(folder) / "models.sql"
    models.write_text(models.read_text().replace("engine = 'auto'", "engine = 'lightgbm'"))
    _applied(folder)
    return "departures", "flight_id"


def made_up(folder: Path) -> None:
    """200,000 rows with a target that has signal in most columns."""
    import pyarrow.parquet as pq
    from learning import rows

    folder.mkdir()
    pq.write_table(rows(), folder / "rows.parquet")
    (folder / "all.sql").write_text(MADE_UP)
    _applied(str(folder))


def _applied(folder: str) -> None:
    import tilth

    with contextlib.closing(tilth.open(folder)) as project:
        for did in project.apply().did:
            assert did.status == "done", did


def _measured(what: str, folder: str, dataset: str, key: str) -> list[Result]:
    """Rows a second by SQL and by the raw model, in turns; and where the time of SQL goes."""
    import lightgbm
    import numpy as np
    import pyarrow.parquet as pq

    import tilth

    with contextlib.closing(tilth.open(folder)) as project:
        model = project.model("late")._answerer
        table = project.sql(f"SELECT * FROM {dataset}").arrow()
        matrix = np.ascontiguousarray(model.matrix(table))
        booster = lightgbm.Booster(model_str=_member(project))
        threads = os.cpu_count() or 1
        asked = f"SELECT d.{key}, m.* FROM {dataset} d JOIN late m"

        def by_sql() -> float:
            began = time.perf_counter()
            rows = sum(batch.num_rows for batch in project.sql(asked).reader)
            took = time.perf_counter() - began
            assert rows == len(matrix)
            return took

        def raw() -> float:
            began = time.perf_counter()
            booster.predict(matrix, num_threads=threads)
            return time.perf_counter() - began

        columns = [i.name for i in model.inputs if i.name in table.schema.names]
        files = _files(project, dataset)

        def raw_from_files() -> float:
            began = time.perf_counter()
            read = pq.read_table(files, columns=columns)
            booster.predict(model.matrix(read), num_threads=threads)
            return time.perf_counter() - began

        by_sql(), raw(), raw_from_files()
        cpu = _cpu(by_sql), _cpu(raw)
        ours, theirs, ratio = taking_turns(by_sql, raw, TURNS)
        again, reading, ratio_read = taking_turns(by_sql, raw_from_files, TURNS)
        parts = _parts(project, model, table, dataset, ours, theirs, what)
    rows = len(matrix)
    note = (
        f"{rows:,} rows, {booster.num_trees()} trees, {threads} threads, wall, medians of {TURNS} alternating rounds;"
        f" in CPU {cpu[0]:.2f} s against {cpu[1]:.2f} s"
    )
    measured, against = f"{rows / ours:,.0f} rows/s", f"raw model {rows / theirs:,.0f} rows/s"
    read = (
        f"raw: pyarrow reads the snapshot's files, then tilth's own preparation, then Booster.predict; SQL reads {len(columns)} columns and"
        " the key, and hands over the outputs with them"
    )
    return [
        compared(f"predictions by SQL, {what}", measured, against, ratio, least=LEAST, note=note),
        compared(
            f"the same, where the raw side reads the same files, {what}", f"{rows / again:,.0f} rows/s",
            f"{rows / reading:,.0f} rows/s", ratio_read, least=LEAST_READ, note=read,
        ),
        parts,
    ]  # fmt: skip


def _parts(project, model, table, dataset: str, whole: float, raw: float, what: str) -> Result:
    """Seconds of each part alone: parts overlap, since several batches are under way at once, so they add up to more than the whole."""
    columns = ", ".join(f'"{i.name}"' for i in model.inputs if i.name in table.schema.names)
    sql = f"SELECT {columns} FROM {dataset}"
    here, files = project.work().engine, _files(project, dataset)

    def read(ask: Callable[[], object]) -> float:
        began = time.perf_counter()
        for _ in ask():
            pass
        return time.perf_counter() - began

    def prepared() -> float:
        began = time.perf_counter()
        model.matrix(table)
        return time.perf_counter() - began

    reading = min(read(lambda: here.stream(sql, {dataset: files})) for _ in range(TURNS))
    apart = min(read(lambda: project.sql(sql).reader) for _ in range(TURNS))
    preparing = min(prepared() for _ in range(TURNS))
    shown = f"reading {reading:.3f} s, crossing processes {max(0.0, apart - reading):.3f} s, preparing {preparing:.3f} s, predicting {raw:.3f} s"
    note = f"each alone and over all rows, the least of {TURNS}; the whole takes {whole:.3f} s; the ratio is that of crossing to predicting"
    ratio = f"{max(0.0, apart - reading) / raw:.2f}"
    return Result(f"the parts of it, {what}", shown, f"the whole {whole:.3f} s", ratio, "-", None, note)


def _long(folder: str) -> Result:
    """The memory of a process, and of those it starts, that joins a file of many rows with a model and reads the answers."""
    import pyarrow.parquet as pq
    from learning import rows

    piece = rows()
    with pq.ParquetWriter(f"{folder}/long.parquet", piece.schema) as file:
        for start in range(0, LONG, len(piece)):
            file.write_table(piece.slice(0, min(len(piece), LONG - start)))
    done = subprocess.run(
        [sys.executable, __file__, "--long", folder],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=1500,
    )
    found = json.loads(done.stdout)
    assert found["rows"] == LONG, found
    note = (
        f"{LONG:,} rows x {piece.num_columns} columns, {os.path.getsize(f'{folder}/long.parquet') / 1e6:,.0f} MB of Parquet, the answers read batch by batch;"
        f" proportional set size of the process and all it starts, sampled every 20 ms; {found['base']:.0f} MB of it before the statement;"
        f" {found['rows'] / found['seconds']:,.0f} rows/s"
    )
    return at_most("memory of a long join with a model", found["peak"], MOST, "MB", note)


def _joined(folder: str) -> dict[str, float]:
    """Join, in this process: the rows that came, the memory before and at most, in MB, and the seconds."""
    import threading

    import tilth

    sampled, over = [_memory()], threading.Event()

    def sample() -> None:
        while not over.wait(0.02):
            sampled.append(_memory())

    with contextlib.closing(tilth.open(folder)) as project:
        project.model("late")
        base, watch = _memory(), threading.Thread(target=sample)
        watch.start()
        began = time.perf_counter()
        asked = "SELECT t.id, m.* FROM flat.long t JOIN late m"
        rows = sum(batch.num_rows for batch in project.sql(asked).reader)
        took = time.perf_counter() - began
        over.set()
        watch.join()
    return {"rows": rows, "base": base, "peak": max(sampled), "seconds": took}


def _memory() -> float:
    """MB of this process and all below it, where shared pages count once."""
    below, kin = [os.getpid()], dict[int, list[int]]()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            kin.setdefault(int(stat.read_text().rpartition(")")[2].split()[1]), []).append(
                int(stat.parent.name)
            )
    for one in below:
        below += kin.get(one, [])
    total = 0
    for one in below:
        with contextlib.suppress(OSError):
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
            total += int(rollup.partition("\nPss:")[2].split()[0])
    return total / 1024


def _files(project, dataset: str) -> list[str]:
    """The snapshot's Parquet files."""
    from tilth.ml.data.snapshots import relation
    from tilth.runtime.record.snapshots import current, manifest_of

    work = project.work()
    return list(relation(manifest_of(work.state, current(work.state, "prod")[dataset].id), work.blobs))


def _cpu(work: Callable[[], float]) -> float:
    """The least CPU of three runs, with all threads."""
    took = []
    for _ in range(3):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return min(took)


def _member(project) -> str:
    from tilth.runtime.loading import verified
    from tilth.runtime.record import versions

    found = next(p for p in project.current("prod").pointers if p.name == "late")
    return (
        verified(project.work(), versions.require(project.state(), "late", int(found.target)))
        .files["member.txt"]
        .decode()
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--long"]:
        print(json.dumps(_joined(sys.argv[2])))
    else:
        for found in run():
            print(found)
