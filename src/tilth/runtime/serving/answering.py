"""Answers requests: picks the version by the endpoint's rollout, predicts, and logs each row before its answer is given.

Nothing here touches the state: routes are handed in by `node`, and what a rollout has seen is written down by it. All of
it runs in one thread, the one that answers. How requests and answers look on the wire is in `interfaces.http`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, NamedTuple
from zlib import crc32

import msgspec

from tilth.core.errors import InputError, TilthError
from tilth.core.time import show_instant
from tilth.ml.model.answerer import RowAnswerer, named
from tilth.ml.model.gaps import refusal
from tilth.ml.model.once import once
from tilth.ml.model.outputs import Answer
from tilth.ml.watching.rollout import Observation, Progress, Stage, observe, takes
from tilth.ports.clock import Clock
from tilth.ports.predictions import PredictionLog
from tilth.runtime.serving.looking_up import Completing, noticed
from tilth.sql.language.statements import Rollout

CHAMPION, CANARY, SHADOW = "champion", "canary", "shadow"
WAITING = 256  # requests that may wait to be shown to a shadow; the next ones are not shown
SHADOWED_ROWS = 50  # of a request with many rows
TURN = 0.002  # seconds of many rows before other requests have their turn
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_ID = b'","id":"'
Scored = tuple[bytes, Any, Answer, bytes]  # the answer's inside, the row, its score, the row as it is logged


class Side:
    """One version as an endpoint answers with it: the model, and what its answers and records have in common."""

    __slots__ = ("_endpoint", "_heads", "_key_fields", "completing", "keys", "model", "stamp", "version")

    def __init__(
        self,
        model: RowAnswerer,
        endpoint: str,
        environment: str,
        keys: tuple[str, ...] = (),
        completing: Completing | None = None,
    ) -> None:
        """`keys` are the columns that join what was asked with its outcome; `completing` looks up what a row lacks."""
        self.model, self.keys, self._endpoint, self.completing = model, keys, endpoint, completing
        self._key_fields = model.fields(keys)
        self.version = model.version
        self.stamp = b',"version":%d,"digest":"%s"' % (model.version, model.digest.encode())
        self._heads = {
            role: b'",%b,"inputs":'
            % msgspec.json.encode(
                {
                    "endpoint": endpoint,
                    "model": model.name,
                    "version": model.version,
                    "digest": model.digest,
                    "environment": environment,
                    "role": role,
                }
            )[1:-1]
            for role in (CHAMPION, CANARY, SHADOW)
        }

    def record(self, at: bytes, ident: bytes, role: str, scored: Scored) -> bytes:
        """The line for the log."""
        inside, _, score, inputs = scored
        number, head = self.model.logged(score), self._heads[role]
        return b"".join(
            (b'{"at":"', at, _ID, ident, head, inputs, b',"outputs":{', inside, b'},"score":', number, b"}")
        )

    def lacks(self, row: Any) -> bool:
        """Whether the row can never be joined with its outcome, for want of a column of its key."""
        return any(field is None or getattr(row, field) is None for field in self._key_fields)

    def require(self, row: Any) -> None:
        """InputError naming the columns of its key that the row lacks."""
        if not self.lacks(row):
            return
        fields = dict(zip(self.keys, self._key_fields, strict=True))
        lacking = [k for k, field in fields.items() if field is None or getattr(row, field) is None]
        unknown = [k for k, field in fields.items() if field is None]
        shown = ", ".join(f"`{k}`" for k in lacking)
        never = (
            f" The model does not take {', '.join(unknown)}: make it the KEY of its dataset."
            if unknown
            else ""
        )
        raise InputError(
            f"`{self._endpoint}` requires its key, and {shown} is missing: the outcome could not be joined.",
            hint=f"Send {shown} with each row; null is no key.{never}",
        )

    def score(self, body: bytes) -> Scored:
        """One row of JSON, decoded and scored; InputError when it does not fit, or gives a name twice."""
        told = ""
        if self.completing is not None:
            body, told = self.completing.completed(body)
        inside, row, score = self.model.score_json(body)
        written = self.model.record(row)
        once(body, written)
        return noticed(inside, told) if told else inside, row, score, written

    def decode(self, body: bytes) -> tuple[Any, bytes, str]:
        """One row of JSON as the model takes it, as it is logged, and what is to be told of it; the same errors."""
        told = ""
        if self.completing is not None:
            body, told = self.completing.completed(body)
        row = self.model.decode(body)
        written = self.model.record(row)
        once(body, written)
        return row, written, told

    def answer(self, ident: bytes, inside: bytes) -> bytes:
        """The answer to a single row, as JSON."""
        return b"".join((b"{", inside, self.stamp, b',"id":"', ident, b'"}'))


@dataclass(slots=True)
class Rolling:
    """A rollout under way, as this process sees it. `written` is what of it stands in the state."""

    rollout: Rollout
    progress: Progress
    written: Progress
    ordinal: int = 0
    written_at: float = 0.0

    def takes(self) -> bool:
        """Whether the new version answers the next request; a turn is over with `taken`."""
        return takes(self.progress, self.rollout, self.ordinal)

    def taken(self) -> None:
        """A request that could be answered took its turn."""
        self.ordinal += 1

    def see(self, seen: Observation) -> None:
        self.progress = observe(self.rollout, self.progress, seen)


@dataclass(frozen=True, slots=True)
class Route:
    """Where an endpoint's requests go. `candidate` and `rolling` are there while a rollout is under way."""

    endpoint: str
    revision: int
    stage: str
    champion: Side
    candidate: Side | None = None
    rolling: Rolling | None = None
    require_key: bool = False
    log: float = 1.0  # the share of answers that is logged

    def logs(self, ident: bytes) -> bool:
        """Whether the answer of this identity is one of those that are logged; the same wherever it is asked."""
        return self.log >= 1.0 or crc32(ident) < self.log * 2**32

    @property
    def live_stage(self) -> str:
        """The stage by what was seen up to now."""
        return self.stage if self.rolling is None else self.rolling.progress.stage.value

    @property
    def leading(self) -> Side:
        """The version that says what a request may ask for: the new one only once its rollout is over."""
        full = self.rolling is not None and self.rolling.progress.stage is Stage.FULL
        return self.candidate if full and self.candidate is not None else self.champion

    def sides(self) -> tuple[Side, ...]:
        """The versions that may answer."""
        return (self.champion,) if self.candidate is None else (self.champion, self.candidate)


class Reply(NamedTuple):
    """`rows` are the insides of JSON objects, one for each row asked."""

    rows: tuple[bytes, ...]
    ident: bytes
    side: Side
    lacking: int = 0  # rows that no outcome can be joined with

    def one(self) -> bytes:
        """The answer to a single row, as JSON."""
        return self.side.answer(self.ident, self.rows[0])

    def many(self) -> bytes:
        """The answer to an array of rows, as JSON."""
        rows = b"{" + b"},{".join(self.rows) + b"}" if self.rows else b""
        return b'{"rows":[%b]%b,"id":"%b"}' % (rows, self.side.stamp, self.ident)


@dataclass(slots=True)
class Answering:
    """What one thread needs to answer. `later` has a function called after what is under way."""

    log: PredictionLog
    clock: Clock
    later: Callable[[Callable[[], None]], object]
    tell: Callable[[str], None]
    prefix: bytes = field(default_factory=lambda: secrets.token_hex(8).encode())
    shadows_skipped: int = 0
    lacking: int = 0  # of the row answered last: 1 when no outcome can be joined with it
    _count: int = 0
    _second: datetime = LONG_AGO
    _text: bytes = b""
    _waiting: deque[tuple[Route, Sequence[bytes], Sequence[Answer], bytes]] = field(default_factory=deque)

    def one(self, route: Route, body: bytes) -> tuple[bytes, Side]:
        """The JSON answer to one row of JSON, and whose it is. InputError when it does not fit; StorageError when it cannot be logged."""
        if route.rolling is None:
            side, role = route.champion, CHAMPION
            scored = _scored(route, side, body)
        else:
            side, role, scored = self._by_rollout(route, body)
        ident = self._ident()
        self.lacking = int(side.lacks(scored[1]))
        if route.logs(ident):
            self.log.append(side.record(self._now(), ident, role, scored))
        if route.rolling is not None:
            self._show(route, (body,), (scored[2],), ident)
        return side.answer(ident, scored[0]), side

    def _by_rollout(self, route: Route, body: bytes) -> tuple[Side, str, Scored]:
        """The answer of the version whose turn it is. What only the new one cannot answer, the old one does."""
        side, role = _turn(route)
        began = perf_counter()
        try:
            scored = _scored(route, side, body)
        except Exception as error:
            if role is not CANARY:
                raise
            scored = _scored(route, route.champion, body)  # raises when the request is at fault
            _taken(route)
            return self._failed(route, error), CHAMPION, scored
        took = perf_counter() - began
        _taken(route)
        if role is CANARY:
            _worked(route, took, (body,), (scored[2],))
        return side, role, scored

    async def many(
        self,
        route: Route,
        rows: Sequence[bytes],
        outputs: Sequence[str] | None,
        pinned: Side | None = None,
        *,
        alone: bool = False,
    ) -> Reply:
        """Answer rows of JSON, each logged, all by one version: the pinned one, or the one whose turn it is.

        `outputs` are names; other requests have their turn in between. Rows are logged under the answer's identity with
        their number, or without one when the row is `alone`.
        """
        side, role, scored = await self._score(route, _Asked(rows, outputs, alone, route.require_key), pinned)
        pause, ident, at = _Pause(), self._ident(), self._now()
        lines = []
        for number, one in enumerate(scored):
            if one.scored is not None:
                name = ident if alone else b"%b.%d" % (ident, number)
                if route.logs(name):
                    lines.append(side.record(at, name, role, one.scored))
            await pause.here()
        if lines:
            self.log.append(b"\n".join(lines))
        if route.rolling is not None and pinned is None:
            few, answers = _answered(rows, scored)
            self._show(route, few, answers, ident)
        lacking = sum(side.lacks(one.scored[1]) for one in scored if one.scored is not None)
        return Reply(tuple(one.said for one in scored), ident, side, lacking)

    async def _score(self, route: Route, asked: _Asked, pinned: Side | None) -> tuple[Side, str, list[_Said]]:
        """What is answered and by whom. A request takes its turn once it is known that it can be answered."""
        lead = pinned or route.leading
        names, decoded = asked.names(lead), await asked.decoded(lead)
        if pinned is not None or not asked.rows:
            return lead, CHAMPION, await _said(lead, decoded, names)
        side, role = _turn(route)
        _taken(route)
        if side is lead:
            return side, role, await _said(side, decoded, names)
        began = perf_counter()
        try:
            said = await _said(side, await asked.decoded(side), asked.names(side))
        except Exception as error:
            if role is not CANARY:
                raise
            return self._failed(route, error), CHAMPION, await _said(lead, decoded, names)
        if role is CANARY:
            took = (perf_counter() - began) / len(asked.rows)
            _worked(route, took, *_answered(asked.rows, said))
        return side, role, said

    def _failed(self, route: Route, error: Exception) -> Side:
        """The new version could not answer what the old one could; the old one."""
        assert route.rolling is not None
        assert route.candidate is not None
        route.rolling.see(Observation(error=True))
        words = error.message if isinstance(error, TilthError) else f"{type(error).__name__}: {error}"
        self.tell(f"{route.endpoint}: version {route.candidate.version} could not answer: {words}")
        return route.champion

    # --- the shadow ----------------------------------------------------------------------------------------

    def _show(self, route: Route, rows: Sequence[bytes], answers: Sequence[Answer], ident: bytes) -> None:
        """Have the shadow see this request once its answer is on its way."""
        assert route.rolling is not None
        if route.rolling.progress.stage is not Stage.SHADOW:
            return
        if not rows:
            return
        if len(self._waiting) >= WAITING:
            self.shadows_skipped += 1
            return
        self._waiting.append((route, rows, answers, ident))
        if len(self._waiting) == 1:
            self.later(self._shadow)

    def _shadow(self) -> None:
        """The new version's view of one request; then the next one, after others had their turn."""
        route, rows, answers, ident = self._waiting.popleft()
        if self._waiting:
            self.later(self._shadow)
        rolling, candidate = route.rolling, route.candidate
        if rolling is None or candidate is None or rolling.progress.stage is not Stage.SHADOW:
            return
        began = perf_counter()
        try:
            scored = [candidate.score(row) for row in rows]
        except Exception as error:
            self._failed(route, error)
            return
        seconds = (perf_counter() - began) / len(rows)
        old = route.champion.model
        other = any(old.differs(a, candidate.model, s[2]) for a, s in zip(answers, scored, strict=True))
        rolling.see(Observation(seconds=seconds, disagreed=other))
        at = self._now()
        names = [b"%b.s%d" % (ident, n) for n in range(len(scored))]
        lines = [
            candidate.record(at, n, SHADOW, s) for n, s in zip(names, scored, strict=True) if route.logs(n)
        ]
        try:
            if lines:
                self.log.append(b"\n".join(lines))
        except Exception as error:
            self.tell(f"{route.endpoint}: what the shadow said is not logged: {error}")

    # --- small things --------------------------------------------------------------------------------------

    def _now(self) -> bytes:
        """The present as text; that of the whole second is kept, since most requests come within the same."""
        now = self.clock.now()
        since = now - self._second
        if since.seconds or since.days:
            self._second = now.replace(microsecond=0)
            self._text = show_instant(now)[:-7].encode()
        return b"%b%06dZ" % (self._text, now.microsecond)

    def _ident(self) -> bytes:
        self._count += 1
        return b"%b-%x" % (self.prefix, self._count)


def _scored(route: Route, side: Side, body: bytes) -> Scored:
    """One row as this side scores it; InputError also when it lacks a key that the endpoint requires."""
    scored = side.score(body)
    if route.require_key:
        side.require(scored[1])
    return scored


def _turn(route: Route) -> tuple[Side, str]:
    """Whose turn it is, and in which role."""
    if route.rolling is None or route.candidate is None or not route.rolling.takes():
        return route.champion, CHAMPION
    full = route.rolling.progress.stage is Stage.FULL
    return route.candidate, CHAMPION if full else CANARY


def _taken(route: Route) -> None:
    if route.rolling is not None:
        route.rolling.taken()


def _worked(route: Route, seconds: float, rows: Sequence[bytes], answers: Sequence[Answer]) -> None:
    """The canary answered, in so many seconds; whether the old version would have said something else is seen too."""
    assert route.rolling is not None
    other = any(_otherwise(route, row, answer) for row, answer in zip(rows, answers, strict=True))
    route.rolling.see(Observation(seconds=seconds, disagreed=other))


def _otherwise(route: Route, row: bytes, answer: Answer) -> bool:
    """Whether the old version says something else of a row that the new one answered; not when it cannot answer it."""
    assert route.candidate is not None
    old = route.champion.model
    try:
        said = old.score_row(route.champion.decode(row)[0])
    except InputError:
        return False
    return old.differs(said, route.candidate.model, answer)


class _Pause:
    """Lets other requests have their turn when this one has worked for a while."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until = perf_counter() + TURN

    async def here(self) -> None:
        if perf_counter() > self._until:
            await asyncio.sleep(0)
            self._until = perf_counter() + TURN


class _Said(NamedTuple):
    """One row's answer: the inside of its JSON object, and what goes to the log; nothing of a row that was refused."""

    said: bytes
    scored: Scored | None


@dataclass(frozen=True, slots=True)
class _Asked:
    """Rows of JSON and the outputs that are wanted of them."""

    rows: Sequence[bytes]
    outputs: Sequence[str] | None
    alone: bool
    require_key: bool

    def names(self, side: Side) -> Sequence[str] | None:
        """The outputs by name, if any are named; UnknownNameError for one that this version does not have."""
        return None if self.outputs is None else named(side.model, self.outputs)

    async def decoded(self, side: Side) -> list[tuple[Any, bytes, str]]:
        """All rows as this version takes them, as they are logged, and what is told of each; InputError names the row."""
        pause, out, model = _Pause(), [], side.model
        for number, body in enumerate(self.rows):
            try:
                row, written, told = side.decode(body)
                if self.require_key:
                    side.require(row)
                if model.strict and (lacking := model.gaps(row)):
                    row = refusal(model.name, lacking)
                    if self.alone:
                        raise row
            except InputError as error:
                if self.alone:
                    raise
                raise InputError(f"Row {number + 1}: {error.message}", hint=error.hint) from error
            out.append((row, written, told))
            await pause.here()
        return out


async def _said(
    side: Side, decoded: Sequence[tuple[Any, bytes, str]], names: Sequence[str] | None
) -> list[_Said]:
    pause, out, model = _Pause(), [], side.model
    for row, written, told in decoded:
        if isinstance(row, InputError):
            out.append(_Said(b'"error":' + msgspec.json.encode(row.fields()), None))
            continue
        score = model.score_row(row)
        remark = model.remark(row)
        inside = model.render(score)
        said = (inside if names is None else _chosen(model, row, score, names)) + remark
        whole = inside + remark
        if told:
            said, whole = noticed(said, told), noticed(whole, told)
        out.append(_Said(said, (whole, row, score, written)))
        await pause.here()
    return out


def _answered(rows: Sequence[bytes], said: Sequence[_Said]) -> tuple[list[bytes], list[Answer]]:
    """The first rows and their scores, without those that were refused."""
    few = zip(rows[:SHADOWED_ROWS], said[:SHADOWED_ROWS], strict=True)
    kept = [(row, one.scored[2]) for row, one in few if one.scored is not None]
    return [row for row, _ in kept], [score for _, score in kept]


def _chosen(model: RowAnswerer, row: Any, score: Answer, names: Sequence[str]) -> bytes:
    chosen: Mapping[str, Any] = model.choose(row, score, names)
    return msgspec.json.encode(chosen)[1:-1]
