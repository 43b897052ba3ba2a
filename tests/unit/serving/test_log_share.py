"""WATCH (log = ...): which answers are logged, whatever way they are asked, and that all are answered all the same."""

import asyncio
import json

import pytest
from test_answerer import BODY, SUM

from tilth.adapters.clocks import SystemClock
from tilth.interfaces.http.predictions import predict
from tilth.ports.predictions import MemoryLog
from tilth.runtime.serving.answering import Answering, Route, Side

ASKED = 2_000


def answered(share: float, rows: int) -> tuple[int, int]:
    """How many rows were answered and how many of them logged, asked so many at a time."""
    log = MemoryLog()
    answering = Answering(
        log, SystemClock(), lambda later: later(), lambda _line: None, prefix=b"0123456789abcdef"
    )
    route = Route("sums", 1, "full", Side(SUM, "sums", "prod"), log=share)
    body = BODY if rows == 1 else b"[" + b",".join([BODY] * rows) + b"]"
    said = 0
    for _ in range(ASKED // rows):
        found = json.loads(asyncio.run(predict(answering, route, body, b""))[0])
        said += len(found["rows"]) if rows > 1 else 1
    return said, len(list(log.records()))


@pytest.mark.parametrize("rows", [1, 100])
@pytest.mark.parametrize(
    ("share", "least", "most"), [(1.0, ASKED, ASKED), (0.1, 150, 250), (0.5, 930, 1070), (1e-12, 0, 1)]
)
def test_a_share_is_logged_and_all_are_answered(share: float, rows: int, least: int, most: int) -> None:
    said, logged = answered(share, rows)
    assert said == ASKED
    assert least <= logged <= most


def test_the_same_answer_is_logged_wherever_it_is_asked() -> None:
    route = Route("sums", 1, "full", Side(SUM, "sums", "prod"), log=0.3)
    other = Route("sums", 9, "full", Side(SUM, "sums", "prod"), log=0.3)
    idents = [b"a-%x" % n for n in range(200)]
    assert [route.logs(i) for i in idents] == [other.logs(i) for i in idents]
