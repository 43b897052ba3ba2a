"""A corpus of planted leaks of six kinds: all are found, and clean tables raise hardly any alarm."""

from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from leak_corpus import TARGETS, clean, corpus, planted
from tilth.ml.learning import leaking
from tilth.ml.learning.dealing import Files, dealt
from tilth.ml.learning.leaks import Leak
from tilth.ml.learning.made import Tools
from tilth.ml.model.spec import TrainingSpec
from tilth.ports.registry import load

CLEAN, FALSE = 60, 1
TOOLS = Tools(partial(load, "tilth.learners"), partial(load, "tilth.scorers"), lambda *_: None)


def found(folder: Path, columns: dict[str, object], **changes: object) -> tuple[Leak, ...]:
    """All that is suspicious of a table."""
    pq.write_table(pa.table(columns), folder / "rows.parquet")
    given: dict[str, object] = {"model": "m", "targets": ("y",), "key": ("id",), "event_time": "at"}
    spec = TrainingSpec(**{**given, **changes})  # type: ignore[arg-type]
    data = dealt(spec, Files([str(folder / "rows.parquet")]))
    return leaking.every(spec, data, TOOLS)


@pytest.mark.parametrize(("leak", "variant"), list(corpus()))
def test_a_planted_leak_is_found(leak: str, variant: int, tmp_path: Path) -> None:
    columns, name, _ = planted(leak, variant)
    seen = [(one.kind, one.column) for one in found(tmp_path, columns)]
    assert any(column == name for _, column in seen), seen
    assert {kind for kind, column in seen if column == name} & {leak, "power"}, seen
    assert {column for _, column in seen if column} <= {name, "batch"}, seen


def test_clean_tables_raise_hardly_any_alarm(tmp_path: Path) -> None:
    alarms = {}
    for seed in range(CLEAN):
        if one := found(tmp_path, clean(seed, TARGETS[seed % 3], 600 + 30 * seed)):
            alarms[seed] = [(o.kind, o.column, o.seen) for o in one]
    assert len(alarms) <= FALSE, alarms


def test_few_rows_and_rows_without_a_time_are_asked_what_can_be_asked(tmp_path: Path) -> None:
    assert found(tmp_path, clean(1, "binary", 120)) == ()
    columns, _, _ = planted("time_split", 0)
    assert "time_split" not in {one.kind for one in found(tmp_path, columns, event_time=None)}
    columns, name, _ = planted("identifier", 0)
    assert found(tmp_path, columns, group=(name,)) == ()
