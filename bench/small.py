"""What a small apply costs beside its rows: one file of 700 rows, one dataset, one model with engine = 'auto'.

Cold is all that a command in a new folder takes: the command, the training and the trial of the bundle. Warm is what one more model
takes in the same command, whose worker has its libraries then. Both are CPU seconds of the command with its children, beside
what the imports of the same libraries alone take. Run it: `python bench/small.py`.
"""

from __future__ import annotations

import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from result import Result, at_most, compared, cpu_of

TILTH = str(Path(sys.executable).parent / "tilth")
ROWS, TURNS = 700, 5
MORE = 2  # models beyond the first, of which the cost of one is told
COLD, WARM = 1.8, 0.7
COMMAND = "import numpy, pyarrow.parquet, pyarrow.compute, duckdb, sqlglot.dialects.duckdb, cryptography.x509, click"
WORKER = "import numpy, pyarrow.parquet, pyarrow.compute, ctypes"
NO_PANDAS = "import sys; sys.modules['pandas'] = None; "
MODEL = "CREATE MODEL leaves{n} PREDICT left FROM people USING (engine = 'auto', seed = {n});\n"


def run() -> list[Result]:
    imports = sum(cpu_of([sys.executable, "-c", NO_PANDAS + code], TURNS) for code in (COMMAND, WORKER))
    with tempfile.TemporaryDirectory() as folder:
        one, more = project(Path(folder) / "one", 1), project(Path(folder) / "more", 1 + MORE)
        first, several = [], []
        for _ in range(TURNS + 1):  # the first turn warms the file cache
            first.append(applied(one))
            several.append(applied(more))
    cold = statistics.median(first[1:])
    warm = statistics.median((m - o) / MORE for m, o in zip(several[1:], first[1:], strict=True))
    beside = statistics.median(m / o for m, o in zip(several[1:], first[1:], strict=True))
    against = f"imports alone {imports:.2f} s"
    note = (
        f"CPU seconds of the command and its children, medians of {TURNS} turns; {ROWS} rows, 8 columns, cross-validated;"
        f" the goal is {COLD:g} s: {COLD / imports:.2f} of the imports here"
    )
    more_note = f"CPU seconds that one more model adds to the same command; an apply of {1 + MORE} takes {beside:.2f} of one's"
    return [
        at_most(f"an apply of one model of {ROWS} rows, cold", cold, COLD, "s", note, against),
        Result(
            "one more model in the same apply, warm",
            f"{warm:.2f} s",
            f"an apply of one {cold:.2f} s",
            f"{beside:.2f}",
            f"<= {WARM:g} s",
            warm <= WARM,
            more_note,
        ),
        compared(
            "a cold apply against the imports of its libraries",
            f"{cold:.2f} s",
            against,
            cold / imports,
            most=COLD,
        ),
    ]


def project(folder: Path, models: int) -> Path:
    """A folder with a file of rows and a few declarations."""
    folder.mkdir()
    draw = random.Random(7)
    lines = ["id,age,income,plan,city,visits,balance,since,left"]
    for n in range(ROWS):
        age, visits, plan = draw.randint(18, 80), draw.randint(0, 30), draw.choice("ABC")
        income, city = round(draw.lognormvariate(10, 0.5), 2), draw.choice(("Rome", "Oslo", "Bern", "Kyiv"))
        balance = None if draw.random() < 0.1 else round(draw.gauss(100, 50), 2)
        since = f"{draw.randint(2010, 2020)}-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}"
        z = (age - 45) / 20 + (plan == "A") - visits / 15 + ((balance or 100) - 100) / 80 + draw.gauss(0, 1)
        cells = (
            n,
            age,
            income,
            plan,
            city,
            visits,
            "" if balance is None else balance,
            since,
            "yes" if z > 0 else "no",
        )
        lines.append(",".join(map(str, cells)))
    (folder / "people.csv").write_text("\n".join(lines) + "\n")
    (folder / "project.sql").write_text(
        "CREATE SOURCE files ENGINE files WITH (path = '.');\n"
        "CREATE DATASET people KEY (id) AS SELECT * FROM files.people;\n"
        + "".join(MODEL.format(n=n) for n in range(models))
    )
    return folder


def applied(folder: Path) -> float:
    """CPU seconds of an apply, with nothing made before."""
    shutil.rmtree(folder / ".tilth", ignore_errors=True)
    before = _children()
    subprocess.run([TILTH, "apply", "--project", str(folder)], check=True, capture_output=True, timeout=300)
    return _children() - before


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    for found in run():
        print(found)
