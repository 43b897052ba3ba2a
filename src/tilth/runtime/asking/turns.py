"""The turn of a job or trigger, from where it is taken up to its end.

A turn is what is to be done: from where to where LAST goes, or which rows came, fixed once; then its statements one by one, each written
down before and after. A run performs a turn; when it fails, or its process dies, the next run goes on with the same turn. So a statement
that may be done twice (it has a KEY, or makes a table anew) has its effect once; one that may not (INSERT INTO without KEY, an UPDATE that
counts on from what is there) is done at most once: where nobody knows whether it was, it is passed over, and the run says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

from tilth.core.errors import BusyError, CancelledError, ProjectError, StorageError, TilthError
from tilth.core.principals import Principal, PrincipalKind
from tilth.core.time import Instant, show_instant
from tilth.kinds import statements as held
from tilth.kinds.job import asked as queries_of
from tilth.plan.calendar import pause
from tilth.ports.source import UnsureError
from tilth.resources.kinds import Resource
from tilth.runtime import sources
from tilth.runtime.applying.executor import MAKING
from tilth.runtime.asking import deltas
from tilth.runtime.asking.prompt import Prompt, Result
from tilth.runtime.asking.stopping import AGAIN, StoppedByError, StoppedError, Watch
from tilth.runtime.record import runs, schedules
from tilth.runtime.record.rows import Change
from tilth.runtime.record.runs import Begun, Ended
from tilth.runtime.record.schedules import CANCELLED, Schedule, Turn
from tilth.runtime.unforeseen import known
from tilth.sql.language.acts import Select, Statement
from tilth.sql.language.scheduled import DELTA, CreateJob, CreateTrigger
from tilth.sql.language.statements import Kind, Query
from tilth.sql.queries import last
from tilth.sql.queries.last import Window

DONE, FAILED, NOTHING = "done", "failed", "nothing"
ACTION = {Kind.JOB: "RunJob", Kind.TRIGGER: "RunTrigger"}
PATIENCE = 600.0  # seconds that a statement waits for an apply under way
LOST = "Look at what stands in its tables; rows that come from now on are seen."
WORDS = 2_000  # characters of what a run says that are kept


@dataclass(frozen=True, slots=True)
class Why:
    """What a run is for: a time of its calendar, that somebody asked, or (neither) a turn that is not ended."""

    reason: str
    due: Instant | None = None
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of it: done | failed | cancelled | nothing (there was nothing to do); `text` says it for people.

    `quiet`: that is so most of the time, and nobody is told.
    """

    status: str
    text: str
    run: int | None = None
    error: TilthError | None = None
    quiet: bool = False


class Performs(Protocol):
    """What performs statements, as a session does."""

    def perform(self, statement: Statement) -> Result: ...


class Turning:
    """One run under way."""

    def __init__(self, at: Prompt, resource: Resource, found: Schedule, why: Why) -> None:
        self.resource, self.now, self.why = resource, found, why
        self.declared: Any = resource.as_(CreateJob if resource.kind is Kind.JOB else CreateTrigger)
        self.began = time.monotonic()
        self.left: Turn | None = None  # a turn of before, that is begun anew
        self.watch = Watch(at.progress, at.work.state)
        by = Principal(PrincipalKind.JOB, resource.name, found.role)
        self.asker = at
        self.at = replace(at, principal=by, progress=self.watch, tell=None, frames={})
        if self.at.begin is not None:
            self.at.work = self.at.begin()

    # --- its turn ---

    def whole(self) -> Ran:
        """Take up the turn, or begin one, and do it."""
        try:
            if (over := self._taken_up() or self._begun()) is not None:
                return over
        except Exception as error:
            return self._not_begun(known(error))
        return self._done()

    def _taken_up(self) -> Ran | None:
        """Go on with a turn of before, if there is one; what it ended with, where it cannot go on."""
        turn = self.now.turn
        if turn is None:
            return None
        if (
            turn.delta is not None
            and turn.done + (turn.under_way is not None)
            and not self._holds(turn.delta)
        ):
            text = "the rows that came are not kept any more, as after `tilth restore`; what it had not done with them is not done"
            return self._over(FAILED, text, ProjectError(f"{self.resource.name}: {text}.", hint=LOST))
        if turn.under_way is not None and held.once(self.declared.statements[turn.under_way]):
            self._pass_over(turn.under_way, "its process ended")
        elif turn.done == 0 and turn.under_way is None:  # nothing was done: what came since comes along
            self._drop(turn)
        return None

    def _holds(self, digest: str) -> bool:
        return self.at.work.blobs.intact(digest)

    def _begun(self) -> Ran | None:
        """Begin a turn where there is none; why there is nothing to do, where that is so."""
        if self.now.turn is not None:
            with self._change("start") as change:
                self._abandoned(change)
                number = self._row(change, "goes on where it was left")
                self._put(change, turn=replace(self.now.turn, run=number, under_way=None))
            return None
        with self.at.work.locks.hold(MAKING, PATIENCE, shared=True):
            found = self._of_job() if self.resource.kind is Kind.JOB else self._of_trigger()
            if isinstance(found, Ran):
                return found
            with self._change("start") as change:
                self._abandoned(change)
                came = f"{found.rows:,} rows came or changed; " if found.rows else ""
                number = self._row(change, came + self.why.reason)
                last_due = self.why.due or self.now.last_due
                self._put(change, turn=replace(found, run=number), last_due=last_due, last_run=number)
        return None

    def _of_job(self) -> Turn | Ran:
        windows = self._windows()
        condition: Query | None = self.declared.condition
        if condition is not None and not self._read(last.since(condition.sql, windows)).num_rows:
            with self._change("condition") as change:
                self._put(
                    change, last_due=self.why.due or self.now.last_due, failures=0, next_try=None, error=None
                )
            return Ran(NOTHING, f"{self.resource.name}: the query of its IF gives no row.", quiet=True)
        kept = {k: (w.low, w.high) for k, w in windows.items()}
        due = None if self.why.due is None else show_instant(self.why.due)
        return Turn(0, due, self.why.reason, windows=kept)

    def _windows(self) -> dict[str, Window]:
        """From where to where LAST goes in this run."""
        found = {m.key: m for q in queries_of(self.declared) for m in last.marks(q.sql)}
        lows = {key: self.now.marks.get(key) for key in found}
        return {key: Window(lows[key], self._greatest(mark, lows[key])) for key, mark in found.items()}

    def _greatest(self, mark: last.Mark, low: str | None) -> str | None:
        """The greatest value; what is from the future waits until its time has come, and what is no number is passed over."""
        (row,) = self._read(last.greatest(mark, low)).to_pylist()
        value, kind = row["value"], str(row["type"])
        bound = None
        if value is not None and kind in _TIMES:
            now = f"{self.at.work.clock.now():%Y-%m-%d %H:%M:%S}"
            bound = f"{mark.column} <= {_TIMES[kind]} '{now}'" if not value[:19] <= now else None
        elif value is not None and kind in ("DOUBLE", "FLOAT") and value in ("nan", "inf"):
            bound = f"isfinite({mark.column})"
        if bound is not None:
            (row,) = self._read(last.greatest(mark, low, bound)).to_pylist()
            value = row["value"]
        return None if value is None else _literal(str(value), kind)

    def _of_trigger(self) -> Turn | Ran:
        declared: CreateTrigger = self.declared
        graph = self.at.deployed(self.at.environment)
        with sources.opened(graph, self.at.work.root, [declared.source]) as opened:
            source = opened[declared.source]
            token = source.change_token(declared.table)
            if token is not None and token == self.now.marks.get("token") and "seen" in self.now.marks:
                return Ran(NOTHING, f"{self.resource.name}: nothing came.", quiet=True)
            found = deltas.look(source, declared, self.at.work.blobs, self.now.marks.get("seen"))
        if found is not None and found.delta is not None:
            return Turn(0, None, self.why.reason, delta=found.delta, seen=found.seen, rows=found.rows)
        marks = dict(self.now.marks)
        if token is not None:
            marks["token"] = token
        if found is not None:
            marks["seen"] = found.seen
        if marks != self.now.marks or self.now.error is not None:
            old = self.now.marks.get("seen")
            with self._change("look") as change:
                self._put(change, marks=marks, failures=0, next_try=None, error=None)
            self._forget_blobs(old)
        if found is None or found.anew is None:
            return Ran(NOTHING, f"{self.resource.name}: nothing came.", quiet=True)
        place = f"{declared.source}.{declared.table}"
        return Ran(
            NOTHING,
            f"{self.resource.name}: looks at {place} from now on, {found.there:,} rows are there ({found.anew}).",
        )

    # --- its statements ---

    def _done(self) -> Ran:
        """Perform what is left of the turn."""
        assert self.now.turn is not None
        try:
            with self.watch.over(self.now.turn.run, self.at), self.asker.limits.turn.ending(self.at.cancel):
                for n in range(self.now.turn.done, len(self.declared.statements)):
                    self._next(n)
        except StoppedByError as stop:
            return self._over(CANCELLED, f"stopped by {stop}", None)
        except StoppedError:
            return self._left("the process was stopped; the next one goes on with it")
        except KeyboardInterrupt:  # anywhere: the statement may have been done
            if (at := self._turn.under_way) is not None:
                self.now = replace(self.now, turn=replace(self._turn, done=at + 1))
            self._over(CANCELLED, "interrupted", None)
            raise
        except Exception as error:
            return self._again(self._turn, known(error))
        if self._turn.unsure:
            text = "; ".join(self._turn.unsure)
            hint = "Give its INSERT INTO a KEY."
            return self._over(FAILED, text, ProjectError(f"{self.resource.name}: {text}.", hint=hint))
        return self._over(DONE, "; ".join(self._turn.said), None)

    def _next(self, n: int) -> None:
        """Perform a statement, written down before; that it is done is written down with what comes next."""
        self.watch.ask()
        with self._change("statement") as change:
            self._put(change, turn=replace(self._turn, done=n, under_way=n))
        statement = self.declared.statements[n]
        try:
            said = self._perform(statement)
        except CancelledError:
            self.watch.ask()
            raise StoppedByError(self.asker.principal.text) from None  # by the session that runs it
        except Exception as error:
            if not held.once(statement) or not _leaves_open(error):
                self.now = replace(self.now, turn=replace(self._turn, under_way=None))
                raise
            self._pass_over(n, known(error).message)
            return
        turn = replace(self._turn, done=n + 1, under_way=None, said=(*self._turn.said, said))
        self.now = replace(self.now, turn=turn)

    @property
    def _turn(self) -> Turn:
        assert self.now.turn is not None
        return self.now.turn

    def _perform(self, statement: Statement) -> str:
        """One statement, of this turn; in words what it did. It waits for an apply that is under way."""
        wanted = self._of_turn(statement)
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return self._said(wanted, self._performed(wanted))
            except BusyError:
                if time.monotonic() > until:
                    raise
                self.watch.ask()
                time.sleep(AGAIN)

    def _performed(self, statement: Statement) -> Result:
        turn = self.now.turn
        assert turn is not None
        frames = {} if turn.delta is None else {DELTA: deltas.rows(self.at.work.blobs, turn.delta)}
        self.at.frames = frames
        return self._asked(statement)

    def _of_turn(self, statement: Statement) -> Statement:
        """The statement with what the turn says for LAST and TABLE_DELTA."""
        query, turn = held.query_of(statement), self.now.turn
        assert turn is not None
        if query is None:
            return statement
        sql = last.since(query.sql, {k: Window(*w) for k, w in turn.windows.items()})
        if turn.delta is not None:
            sql = last.given(sql, DELTA)
        return statement if sql == query.sql else held.with_query(statement, sql)

    def _said(self, statement: Statement, result: Result) -> str:
        if not isinstance(statement, Select):
            return (result.text or "").partition("\n")[0].rstrip(".")
        count = 0
        reader = result.reader
        for batch in reader or ():
            self.watch.ask()
            count += batch.num_rows
        return f"{count:,} row{'s' * (count != 1)}"

    def _asked(self, statement: Statement) -> Result:
        """What a session answers, who acts being the job."""
        return cast("Performs", self.at).perform(statement)

    def _read(self, sql: str) -> Any:
        """The rows of a query, asked as the job."""
        reader = self._asked(Select(sql)).reader
        assert reader is not None
        return reader.read_all()

    # --- how it ends ---

    def _over(self, status: str, text: str, error: TilthError | None) -> Ran:
        """The turn is ended, and up to where it went is dealt with: by a run that was done, or by one that must not be done again."""
        turn = self.now.turn
        assert turn is not None
        done = [s for s in self.declared.statements[: turn.done] if held.once(s)]
        far = status == DONE or bool(done)
        marks = dict(self.now.marks)
        if far:
            marks |= {k: high for k, (_, high) in turn.windows.items() if high is not None}
            marks |= {} if turn.seen is None else {"seen": turn.seen}
            marks.pop("token", None)
        if done and status != DONE:
            text += "; what was, or may have been, written by a statement that must not be done twice is not written again"
        old = self.now.marks.get("seen")
        now = self.at.work.clock.now()
        with self._change("finish") as change:
            self._end(change, turn.run, status, None if status == DONE else text)
            if status == DONE:
                schedules.thin(change, self.at.environment, self.resource.kind, self.resource.name)
                self._put(
                    change,
                    turn=None,
                    marks=marks,
                    failures=0,
                    next_try=None,
                    error=None,
                    said=text[:WORDS],
                    last_done=now,
                )
            else:
                self._put(change, turn=None, marks=marks, failures=0, next_try=None, error=text[:WORDS])
        self._forget_blobs(old, turn.delta, turn.seen)
        how = "" if status == DONE else f"{status}: "
        return Ran(status, f"{self.resource.name}: {how}{text}", turn.run, error)

    def _again(self, turn: Turn, error: TilthError) -> Ran:
        """The run is over and the turn is not: it is tried again, later each time."""
        failures = self.now.failures + 1
        now = self.at.work.clock.now()
        every = getattr(self.declared, "every", None)
        with self._change("finish") as change:
            self._end(change, turn.run, FAILED, error.message)
            self._put(
                change, turn=turn, failures=failures, next_try=now + pause(failures, every),
                error=error.message[:WORDS],
            )  # fmt: skip
        return Ran(FAILED, f"{self.resource.name}: failed: {error.message}", turn.run, error)

    def _left(self, text: str) -> Ran:
        """The run is over since its process is; the turn is as it is."""
        turn = self.now.turn
        assert turn is not None
        with self._change("finish") as change:
            self._end(change, turn.run, FAILED, text)
            self._put(change, turn=replace(turn, under_way=None), error=text)
        return Ran(FAILED, f"{self.resource.name}: {text}", turn.run)

    def _pass_over(self, n: int, why: str) -> None:
        """Go on behind a statement that must not be done twice, and of which nobody knows whether it was done."""
        text = (
            f"statement {n + 1} was under way when {why}; it {held.why_once(self.declared.statements[n])}, so it is not done"
            " again, and only its table tells whether its rows are there"
        )
        turn = replace(self._turn, done=n + 1, under_way=None, unsure=(*self._turn.unsure, text))
        with self._change("pass over") as change:
            self._put(change, turn=turn)

    def _not_begun(self, error: TilthError) -> Ran:
        """It could not begin: what it looks at is not there."""
        turn, failures, now = self.now.turn or self.left, self.now.failures + 1, self.at.work.clock.now()
        every = getattr(self.declared, "every", None)
        with self._change("finish") as change:
            self._abandoned(change)
            number = self._row(change, self.why.reason)
            self._end(change, number, FAILED, error.message)
            self._put(
                change, turn=turn, failures=failures, next_try=now + pause(failures, every), error=error.message[:WORDS],
                last_run=number,
            )  # fmt: skip
        return Ran(FAILED, f"{self.resource.name}: failed: {error.message}", number, error)

    # --- what is written down ---

    @contextmanager
    def _change(self, verb: str) -> Iterator[Change]:
        """A change of the state by the job, with its audit row."""
        before = self.now
        try:
            with self.at.act().change() as change:
                change.audit(verb, self.resource.name, {"kind": self.resource.kind.value})
                yield change
        except BaseException:
            self.now = before
            raise

    def _put(self, change: Change, **new: Any) -> None:
        self.now = replace(self.now, **new)
        schedules.put(change, self.now)

    def _row(self, change: Change, reason: str) -> int:
        kind = self.resource.kind
        begun = Begun(ACTION[kind], kind, self.resource.name, reason)
        return runs.begin(change, self.at.environment, begun, self.at.work.clock.now())

    def _end(self, change: Change, number: int, status: str, error: str | None) -> None:
        seconds = time.monotonic() - self.began
        runs.end(change, number, Ended(status, seconds, error), self.at.work.clock.now())

    def _abandoned(self, change: Change, but: int | None = None) -> None:
        """Runs of a process that died: whoever holds the lock knows that they are over."""
        for number in schedules.running(change, self.at.environment, self.resource.kind, self.resource.name):
            if number != but:
                runs.end(
                    change,
                    number,
                    Ended(FAILED, 0.0, "the process that ran it ended"),
                    self.at.work.clock.now(),
                )

    def _drop(self, turn: Turn) -> None:
        """Begin the turn anew; it stays written down until the new one is."""
        self.left = replace(turn, delta=None, seen=None)
        if turn.delta is not None:
            with self._change("again") as change:
                self._put(change, turn=self.left)
            self._forget_blobs(turn.delta, turn.seen)
        self.now = replace(self.now, turn=None)

    def _forget_blobs(self, *digests: str | None) -> None:
        """Remove content that no trigger needs any more."""
        gone = {d for d in digests if d is not None}
        if not gone:
            return
        from tilth.runtime.record import environments

        state = self.at.work.state
        for digest in gone - schedules.blobs(state, environments.names(state)):
            self.at.work.blobs.delete(digest)


def _leaves_open(error: Exception) -> bool:
    """Whether rows may have been written all the same: what fails after that is the state, or was not foreseen."""
    return isinstance(error, UnsureError | StorageError) or not isinstance(error, TilthError)


_TIMES = {"DATE": "DATE", "TIMESTAMP": "TIMESTAMP", "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"}


def _literal(value: str, kind: str) -> str:
    """A value as SQL reads it back, written so that it goes along to sources where it can."""
    quoted = "'" + value.replace("'", "''") + "'"
    if kind in ("BIGINT", "INTEGER", "SMALLINT", "TINYINT"):
        return value
    if kind == "VARCHAR":
        return quoted
    return f"{kind} {quoted}" if kind in ("DATE", "TIMESTAMP") else f"CAST({quoted} AS {kind})"
