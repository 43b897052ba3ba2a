"""One small table, as each source holds it."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.adapters.files_source import FilesSource

ROWS = pa.table(
    {
        "id": pa.array([1, 2, 3, 4], pa.int64()),
        "price": pa.array([1.5, -2.0, None, 4.25], pa.float64()),
        "name": pa.array(["Ann", "bob", "O'Neil", None], pa.string()),
        "seen": pa.array(
            [datetime(2024, 1, 1, 10), datetime(2024, 1, 2, 0, 0, 0, 123456), None, datetime(2024, 3, 1)],
            pa.timestamp("us"),
        ),
        "day": pa.array([date(2024, 1, 1), date(2024, 1, 2), None, date(2024, 3, 1)], pa.date32()),
        "active": pa.array([True, False, None, True], pa.bool_()),
    }
)


def files(folder: Path) -> Any:
    (folder / "data").mkdir()
    pq.write_table(ROWS, folder / "data" / "visits.parquet")
    pq.write_table(ROWS.slice(0, 1), folder / "data" / "other.parquet")
    return FilesSource.from_options({"path": "data"}, str(folder)), lambda: pq.write_table(
        ROWS.slice(0, 3), folder / "data" / "visits.parquet"
    )


MAKERS = {"files": files}


@pytest.fixture(params=sorted(MAKERS))
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    source, change = MAKERS[request.param](tmp_path)
    yield source, change
    source.close()
