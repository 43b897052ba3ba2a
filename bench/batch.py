"""Batch prediction by SQL against the raw model on the same rows: SELECT ... FROM data d JOIN model m, read batch by batch.

The raw model is LightGBM's own `Booster.predict` on the matrix that is already prepared, in one call, with the same
threads. SQL reads the snapshot's Parquet files, prepares the columns, scores, calibrates and hands over Arrow batches.
Two models: the flights of New York with the trees that early stopping left, and one over 20 made-up columns with more to learn.
Run it: `python bench/batch.py`.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from result import Result, compared, taking_turns

TURNS = 7
FLIGHTS = True
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

        by_sql(), raw()
        cpu = _cpu(by_sql), _cpu(raw)
        ours, theirs, ratio = taking_turns(by_sql, raw, TURNS)
        parts = _parts(project, model, table, dataset, ours, theirs, what)
    rows = len(matrix)
    note = (
        f"{rows:,} rows, {booster.num_trees()} trees, {threads} threads, wall, medians of {TURNS} alternating rounds;"
        f" in CPU {cpu[0]:.2f} s against {cpu[1]:.2f} s"
    )
    measured, against = f"{rows / ours:,.0f} rows/s", f"raw model {rows / theirs:,.0f} rows/s"
    return [compared(f"predictions by SQL, {what}", measured, against, ratio, least=0.8, note=note), parts]


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
    for found in run():
        print(found)
