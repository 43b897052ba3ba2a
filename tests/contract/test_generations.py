"""Generations in a real state file: one that was edited is refused, and readers see whole ones while writers swap."""

import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tilth.adapters.state.sqlite.state import SqliteState
from tilth.core.errors import StateChangedError
from tilth.core.principals import person
from tilth.plan.snapshot import Pointer
from tilth.runtime.moving.promotion import promote
from tilth.runtime.moving.publishing import Move, publish, rollback
from tilth.runtime.record.environments import pointers_of
from tilth.sql.language.statements import Kind

BY = person("test")

AT = datetime(2013, 5, 1, tzinfo=UTC)


def pointers(version: int, rule: str = "better") -> tuple[Pointer, ...]:
    return (
        Pointer(Kind.DATASET, "departures", "1:d", "s1", "CREATE DATASET departures"),
        Pointer(
            Kind.MODEL,
            "late",
            "1:m",
            str(version),
            f"CREATE MODEL late PREDICT y FROM departures PROMOTE IF {rule}",
        ),
    )


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "state.db")


@pytest.fixture
def state(path: str):
    made = SqliteState(path)
    yield made
    made.close()


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE pointers SET target = '7' WHERE kind = 'model'",
        "DELETE FROM pointers WHERE kind = 'dataset'",
        "UPDATE definitions SET text = 'CREATE MODEL worse'",
        "UPDATE generations SET digest = 'x'",
    ],
)
def test_an_edited_state_file_is_refused(state: SqliteState, path: str, edit: str) -> None:
    publish(state, Move("prod", 0, "first", AT), pointers(1), BY)
    with sqlite3.connect(path) as db:
        db.execute(edit)
    db.close()
    with pytest.raises(StateChangedError, match="was edited"):
        pointers_of(state, "prod")


def test_readers_see_whole_generations_while_writers_swap(state: SqliteState, path: str) -> None:
    publish(state, Move("prod", 0, "first", AT), pointers(1), BY)
    publish(state, Move("dev", 0, "try", AT), pointers(2, "manual"), BY)
    seen: set[tuple[Pointer, ...]] = set()
    done = threading.Event()

    def read() -> None:
        mine = SqliteState(path)
        while not done.is_set():
            seen.add(pointers_of(mine, "prod")[1])
        mine.close()

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(10):
        promote(state, "dev", "prod", BY, AT)
        rollback(state, "prod", None, BY, AT)
    done.set()
    reader.join(10)
    assert seen
    assert seen <= {pointers(1), pointers(2, "manual")}
    assert state.verify_audit() == 22
