"""Statements as others see them: those that run in this process, which can be cancelled, and the log of those that are over.

What is over is noted a moment later, many at once, so that a statement waits for no disk; a process that is killed loses
the last second of it. What changed the project stands in the audit chain, at once and for good.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import re
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tilth.core.errors import CancelledError, RightError, TilthError, UnknownNameError
from tilth.core.principals import Principal, Role
from tilth.core.time import Instant, show_instant
from tilth.ports.turns import Turn
from tilth.runtime.asking.result import Result
from tilth.runtime.record import statements as record
from tilth.runtime.record.rows import State
from tilth.runtime.record.statements import Noted
from tilth.sql.language.acts import CancelStatement

if TYPE_CHECKING:
    import pyarrow as pa

    from tilth.runtime.asking.prompt import Prompt

LONGEST = 2_000  # characters of a statement that are kept
LATER = 1.0  # seconds after which what is over is noted
AT_ONCE = 500  # statements that are noted without waiting
_log = logging.getLogger("tilth.statements")
_URL = re.compile(r"(://[^\s:/@']{0,200}:)[^\s@']{1,1000}@")
_SECRET = re.compile(
    r"""(\w{0,40}?(?:password|passwd|secret|token|api_?key|private_?key)\w{0,40}["']?(?:\s{0,9}[=:]\s{0,9}|\s{1,9}))'(?:[^']|'')*(?:'|\Z)""",
    re.IGNORECASE,
)


def masked(text: str) -> str:
    """The text without passwords, and not longer than what is kept."""
    found = _SECRET.sub(r"\1'***'", _URL.sub(r"\1***@", text[: 2 * LONGEST]))
    return found if len(found) <= LONGEST else found[: LONGEST - 1] + "…"


@dataclass(slots=True)
class Running:
    """A statement under way."""

    id: str
    by: Principal
    door: str
    environment: str
    text: str
    began: Instant
    turn: Turn
    log: Log
    since: float = field(default_factory=time.monotonic)
    over: bool = False

    def end(self, rows: int | None = None, error: BaseException | None = None) -> None:
        """It is over; what comes second is not heard."""
        with _lock:
            if self.over:
                return
            self.over = True
            _running.pop(self.id, None)
        status, code = "done" if error is None else "failed", None
        if error is not None:
            cancelled = isinstance(error, CancelledError | KeyboardInterrupt)
            status = "cancelled" if cancelled else status
            code = CancelledError.code if cancelled else getattr(error, "code", TilthError.code)
        self.log.add(self.noted(status, rows, code))

    def noted(self, status: str = "running", rows: int | None = None, code: str | None = None) -> Noted:
        seconds = round(time.monotonic() - self.since, 6)
        return Noted(
            self.id, show_instant(self.began), self.by.text, self.door, self.environment, status, self.text, seconds, rows, code
        )  # fmt: skip


_lock = threading.Lock()
_running: dict[str, Running] = {}
"""Of this process."""


class Log:
    """What is over and not yet noted, of one state, which it keeps alive only while something is to be noted."""

    def __init__(self, state: State, now: Callable[[], Instant], keep: Callable[[Instant], Instant]) -> None:
        self._of, self._now, self._keep = weakref.ref(state), now, keep
        self._held: State | None = None
        self._waiting: list[Noted] = []
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._later: threading.Thread | None = None
        self._wake = threading.Event()
        self._forgot = 0.0

    def add(self, one: Noted) -> None:
        with self._lock:
            self._held = self._held or self._of()
            self._waiting.append(one)
            if len(self._waiting) >= AT_ONCE:
                self._wake.set()
            if self._later is None:
                self._wake.clear()
                self._later = threading.Thread(
                    target=self._written_later, name="tilth-statements", daemon=True
                )
                self._later.start()

    def _written_later(self) -> None:
        self._wake.wait(LATER)
        with self._lock:
            self._later, state = None, self._held
        self.write()
        if state is not None:
            with contextlib.suppress(TilthError):
                state.close()  # this thread's connection

    def write(self) -> None:
        """Note all that waits; where that cannot be, it is told in the log of the process, and lost."""
        with self._writing:
            with self._lock:
                waiting, self._waiting = self._waiting, []
                state, self._held = self._held, None
            if not waiting or state is None:
                return
            try:
                record.note(state, waiting)
                if time.monotonic() - self._forgot > 3600 or not self._forgot:
                    self._forgot = time.monotonic()
                    record.forget(state, self._keep(self._now()))
            except TilthError as error:
                _log.warning("%d statements are not in tilth.statements: %s", len(waiting), error.message)


_logs: weakref.WeakKeyDictionary[State, Log] = weakref.WeakKeyDictionary()


def begun(at: Prompt, text: Callable[[], str]) -> Running:
    """Note that a statement begins, which can be cancelled from now on."""
    work = at.work
    with _lock:
        log = _logs.get(work.state)
        if log is None:
            kept = work.keep.statements
            log = _logs[work.state] = Log(work.state, work.clock.now, lambda now: now - kept)
    one = Running(
        uuid.uuid4().hex[:12], at.principal, at.door, at.environment, masked(text()), work.clock.now(), at.limits.turn, log
    )  # fmt: skip
    with _lock:
        _running[one.id] = one
    return one


def followed(one: Running, done: Result) -> Result:
    """The result, whose statement is over with its last row, or when nobody reads it any more."""
    if done.reader is None:
        rows = done.facts.get("rows")
        one.end(rows if isinstance(rows, int) else None)
    else:
        done.reader = _counted(done.reader, one)
    return done


def _counted(reader: pa.RecordBatchReader, one: Running) -> pa.RecordBatchReader:
    import pyarrow as pa

    def batches() -> Iterator[pa.RecordBatch | None]:
        rows = 0
        try:
            yield None
            for batch in reader:
                rows += batch.num_rows
                yield batch
        except Exception as error:
            one.end(rows, error)
            raise
        finally:
            one.end(rows)

    started = batches()
    next(started)  # one that was never begun would not hear that it is dropped
    return pa.RecordBatchReader.from_batches(reader.schema, started)


def running(state: State) -> list[Noted]:
    """The statements of this process that are under way on a state."""
    with _lock:
        found = list(_running.values())
        log = _logs.get(state)
    return [one.noted() for one in found if one.log is log]


def write(state: State) -> None:
    """Note what waits, now."""
    with _lock:
        log = _logs.get(state)
    if log is not None:
        log.write()


def cancel(at: Prompt, statement: CancelStatement) -> Result:
    """End a statement of another session of this process: one's own, or whosever as owner."""
    with _lock:
        one = _running.get(statement.statement)
    if one is None or one.turn is at.limits.turn:
        raise UnknownNameError(
            f"No statement `{statement.statement}` runs in this process.",
            hint="SELECT id, principal, text FROM tilth.statements WHERE status = 'running'",
            where=statement.position,
        )
    if at.principal.role is not Role.OWNER and one.by != at.principal:
        raise RightError(
            f"Statement `{one.id}` is {one.by.text}'s.",
            hint="Ask as its owner, or as an owner of the project.",
        )
    one.turn.cancel(at.principal.text)
    return Result(
        None,
        f"Statement {one.id} of {one.by.text} is ended.",
        {"statement": one.id, "principal": one.by.text},
    )


@atexit.register
def _last() -> None:
    for log in list(_logs.values()):
        log.write()
