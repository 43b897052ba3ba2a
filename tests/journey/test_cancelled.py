"""A statement ends when somebody cancels it, whatever it is doing then, and the session goes on."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest

import http_server
import shop_project as c
from tilth.core.errors import CancelledError, ResourceLimitError
from tilth.ports.turns import Turns
from tilth.runtime.asking.session import Session

ROWS = pa.record_batch(
    {
        "carrier": ["slow"] * 1000,
        "distance": [20.0] * 1000,
        "ordered_at": [datetime(2024, 4, 1, 12)] * 1000,
        "id": list(range(1000)),
    }
)


class Endless:
    """Rows without end, and how many batches were taken."""

    def __init__(self) -> None:
        self.taken = 0

    def reader(self) -> pa.RecordBatchReader:
        def batches() -> Iterator[pa.RecordBatch]:
            while True:
                self.taken += 1
                time.sleep(0.002)
                yield ROWS

        return pa.RecordBatchReader.from_batches(ROWS.schema, batches())


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with c.opened(c.make(tmp_path_factory.mktemp("cancelled") / "shop")) as opened:
        opened.apply()
        yield opened


def cancelled(session: Session, ask: Callable[[], object], when: Callable[[], object]) -> BaseException:
    """How it ends when the session is cancelled once `when` holds."""
    failed: list[BaseException] = []

    def asks() -> None:
        try:
            ask()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=asks)
    thread.start()
    http_server.wait(when)
    began = time.monotonic()
    session.cancel("token:ci")
    thread.join(20)
    assert not thread.is_alive()
    assert time.monotonic() - began < 5
    return failed[0]


PHASES = {
    "reading a source into memory": "SELECT count(*) FROM $rows d JOIN deliveries x ON x.id = d.id",
    "feeding the query": "SELECT count(*) FROM $rows",
    "scoring with a model": "SELECT count(*) FROM $rows d JOIN late m WHERE m.late",
    "giving rows": "SELECT d.id, m.late FROM $rows d JOIN late m",
}


@pytest.mark.parametrize("phase", PHASES)
def test_a_statement_is_cancelled_while_it_is(project: Any, phase: str) -> None:
    session, rows = project.session(), Endless()
    session.frames = {"rows": rows.reader()}
    error = cancelled(session, lambda: session.run(PHASES[phase]).rows(), lambda: rows.taken > 300)
    assert isinstance(error, CancelledError)
    assert "token:ci" in str(error)
    session.frames = {}
    assert session.run("SELECT count(*) AS n FROM deliveries WHERE id < 3").rows()[0]["n"] > 0


def test_a_statement_is_cancelled_while_it_waits(project: Any) -> None:
    told: list[str] = []

    class Telling:
        def step(self, what: str, done: float | None = None, note: str = "") -> None:
            told.append(what)

    turns, rows = Turns(1), Endless()
    first, second = project.session(), project.session(progress=Telling())
    first.turns = second.turns = turns
    first.frames = {"rows": rows.reader()}
    held = first.run("SELECT id FROM $rows")
    error = cancelled(second, lambda: second.run("SELECT 1"), lambda: told)
    assert isinstance(error, CancelledError)
    assert told == ["Waiting: 1 queries are at work, which is the most at once."]
    second.limits = second.limits.__class__(0.3)
    with pytest.raises(ResourceLimitError, match="waited"):
        second.run("SELECT 1")
    first.cancel()
    with pytest.raises(CancelledError):
        held.rows()
    found = second.run("SELECT 1 AS a")
    assert (found.rows(), found.told) == ([{"a": 1}], [])


def test_a_statement_that_acts_is_cancelled_at_its_next_step(project: Any) -> None:
    steps: list[str] = []

    class Telling:
        def step(self, what: str, done: float | None = None, note: str = "") -> None:
            steps.append(what)
            if len(steps) == 3:
                session.cancel()

    session = project.session(progress=Telling())
    before = project.generations()
    with pytest.raises(CancelledError):
        session.run("RETRAIN late USING (seed = 8)")
    assert len(steps) == 3
    assert project.generations() == before


def test_cancelling_when_nothing_is_asked_harms_nothing(project: Any) -> None:
    session = project.session()
    session.cancel()
    assert session.run("SELECT 1 AS a").rows() == [{"a": 1}]
    session.cancel()
    assert session.run("SELECT 2 AS a").rows() == [{"a": 2}]
