"""A model of tilth, as a user declares it: a project with one dataset of files and one model, applied and asked in Python.

`engine` in the job is that of USING. Beside the answers it writes how long one row takes (`row_ms`) and how large the bundle is.
"""

import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import tilth

DECLARED = """
CREATE SOURCE flat ENGINE files WITH (path = 'data');
CREATE DATASET rows AS SELECT * FROM flat.train;
CREATE MODEL m PREDICT {target} FROM rows OBJECTIVE (metric = '{metric}')
  USING (engine = '{engine}', seed = {seed}{more}) PROMOTE IF manual;
"""


def main(job: dict) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "data").mkdir()
        shutil.copy(job["train"], root / "data" / "train.parquet")
        metric = "rmse" if job["kind"] == "regression" else "log_loss"
        quoted = '"' + job["target"].replace('"', '""') + '"'
        said = DECLARED.format(
            target=quoted, metric=metric, engine=job["engine"], seed=job["seed"], more=job["more"]
        )
        (root / "all.sql").write_text(said)
        with tilth.open(folder) as project:
            project.apply()
            model = project.model("m", 1)
            test = pq.read_table(job["test"])
            answers = _answers(model, test, job)
            facts = {"row_ms": _row(project, test), "bundle_mb": _bundle(root)}
    pq.write_table(answers, job["answers"])
    Path(job["answers"] + ".json").write_text(json.dumps(facts))


def _answers(model, test: pa.Table, job: dict) -> pa.Table:
    if job["kind"] == "regression":
        return pa.table({"y": model.predict(test).column(model.outputs[0])})
    said = model.predict_proba(test)
    return pa.table({str(c): said[:, i] for i, c in enumerate(model.classes)})


def _row(project, test: pa.Table) -> float:
    """Milliseconds of one row, the median of many, as the server asks: a decoded row to its answer."""
    from tilth.ml.model.answerer import of_rows

    one = of_rows(project.model("m", 1)._answerer)
    rows = [one.convert({i.name: r.get(i.name) for i in one.inputs}) for r in test.slice(0, 200).to_pylist()]
    took = []
    for row in rows * 2:
        began = time.perf_counter()
        one.render(one.score_row(row))
        took.append(time.perf_counter() - began)
    return 1000 * statistics.median(took[len(rows) :])


def _bundle(root: Path) -> float:
    return sum(p.stat().st_size for p in (root / ".tilth" / "bundles").rglob("*") if p.is_file()) / 1e6


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        main(json.load(file))
