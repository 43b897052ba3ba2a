"""A dataset's query, or a check, that takes all there is: its process is ended, the apply says so, and everything else goes on."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import shop_project
from tilth.core.errors import ResourceLimitError
from tilth.ml.data import apart

GREEDY = "length(repeat(carrier, 900000000)) > 3"


@pytest.mark.parametrize(
    "declared",
    [
        f"CREATE DATASET big AS SELECT id, {GREEDY} AS b FROM ops.deliveries",
        f"CREATE DATASET big EXPECT ({GREEDY}) AS SELECT * FROM ops.deliveries",
    ],
)
def test_what_takes_all_memory_ends_by_itself(applied: Path, declared: str) -> None:
    project = shop_project.opened(applied)
    with pytest.raises(ResourceLimitError) as error:
        project.sql(declared)
    assert "memory" in error.value.message
    assert project.sql("SELECT count(*) AS n FROM deliveries").rows() == [{"n": 6000}]
    assert project.deployed().find("big") is None
    assert not [p for p in os.listdir(applied / ".tilth" / "temp") if p.startswith("tilth-spill")]


@pytest.mark.parametrize(
    ("declared", "queries"),
    [
        ("CREATE DATASET one AS SELECT id, distance FROM ops.deliveries WHERE distance > 3", 0),
        ("CREATE DATASET one EXPECT (distance > 0) AS SELECT * FROM ops.deliveries", 0),
        ("CREATE DATASET one AS SELECT id, upper(carrier) AS c FROM ops.deliveries", 1),
        ("CREATE DATASET one EXPECT (carrier LIKE '%') AS SELECT * FROM ops.deliveries", 1),
        ("CREATE DATASET one EXPECT (upper(min(carrier)) > '') AS SELECT * FROM ops.deliveries", 2),
        (
            "CREATE DATASET one EXPECT (carrier LIKE 's%' ON FAIL QUARANTINE) AS SELECT id, upper(carrier) AS c, carrier FROM ops.deliveries",
            4,
        ),
    ],
)
def test_what_reads_rows_one_by_one_needs_no_process(
    applied: Path, declared: str, queries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    stream = apart.Apart.stream

    def noted(self: Any, sql: str, inputs: Mapping[str, Any], *given: Any, **named: Any) -> Any:
        asked.append(sql)
        return stream(self, sql, inputs, *given, **named)

    monkeypatch.setattr(apart.Apart, "stream", noted)
    shop_project.opened(applied).sql(declared)
    assert len(asked) == queries
