"""Answers requests: picks the version by the endpoint's rollout, predicts, and logs each row before its answer is given.

Nothing here touches the state: routes are handed in by `node`, and what a rollout has seen is written down by it. All of
it runs in one thread, the one that answers. How requests and answers look on the wire is in `interfaces.http`.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import Any, NamedTuple

import msgspec

from tilth.core.errors import InputError, TilthError
from tilth.core.time import show_instant
from tilth.ml.serving.once import once
from tilth.ml.serving.predictor import Answer, Predictor
from tilth.ml.serving.rollout import Observation, Progress, Stage, observe, takes
from tilth.ports.clock import Clock
from tilth.ports.predictions import PredictionLog
from tilth.sql.statements import Rollout

CHAMPION, CANARY, SHADOW = "champion", "canary", "shadow"
WAITING = 256  # requests that may wait to be shown to a shadow; the next ones are not shown
SHADOWED_ROWS = 50  # of a request with many rows
TURN = 0.002  # seconds of many rows before other requests have their turn
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_ID = b'","id":"'
Scored = tuple[bytes, Any, Answer, bytes]  # the answer's inside, the row, its score, the row as it is logged


class Side:
    """One version as an endpoint answers with it: the predictor, and what its answers and records have in common."""

    __slots__ = ("_heads", "predictor", "stamp", "version")

    def __init__(self, predictor: Predictor, endpoint: str, environment: str) -> None:
        self.predictor = predictor
        self.version = predictor.version
        self.stamp = b',"version":%d,"digest":"%s"' % (predictor.version, predictor.digest.encode())
        self._heads = {
            role: b'",%b,"inputs":'
            % msgspec.json.encode(
                {
                    "endpoint": endpoint,
                    "model": predictor.signature.model,
                    "version": predictor.version,
                    "digest": predictor.digest,
                    "environment": environment,
                    "role": role,
                }
            )[1:-1]
            for role in (CHAMPION, CANARY, SHADOW)
        }

    def record(self, at: bytes, ident: bytes, role: str, scored: Scored) -> bytes:
        """The line for the log."""
        inside, _, score, inputs = scored
        number = (repr(score[0]) if len(score) == 1 else json.dumps(score)).encode()
        head = self._heads[role]
        return b"".join(
            (b'{"at":"', at, _ID, ident, head, inputs, b',"outputs":{', inside, b'},"score":', number, b"}")
        )

    def score(self, body: bytes) -> Scored:
        """One row of JSON, decoded and scored; InputError when it does not fit, or gives a name twice."""
        inside, row, score = self.predictor.score_json(body)
        written = self.predictor.record(row)
        once(body, written)
        return inside, row, score, written

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
    _count: int = 0
    _second: datetime = LONG_AGO
    _text: bytes = b""
    _waiting: deque[tuple[Route, Sequence[bytes], Sequence[Answer], bytes]] = field(default_factory=deque)

    def one(self, route: Route, body: bytes) -> tuple[bytes, Side]:
        """The JSON answer to one row of JSON, and whose it is. InputError when it does not fit; StorageError when it cannot be logged."""
        if route.rolling is None:
            side, role = route.champion, CHAMPION
            scored = side.score(body)
        else:
            side, role, scored = self._by_rollout(route, body)
        ident = self._ident()
        self.log.append(side.record(self._now(), ident, role, scored))
        if route.rolling is not None:
            self._show(route, (body,), (scored[2],), ident)
        return side.answer(ident, scored[0]), side

    def _by_rollout(self, route: Route, body: bytes) -> tuple[Side, str, Scored]:
        """The answer of the version whose turn it is. What only the new one cannot answer, the old one does."""
        side, role = _turn(route)
        began = perf_counter()
        try:
            scored = side.score(body)
        except Exception as error:
            if role is not CANARY:
                raise
            scored = route.champion.score(body)  # raises when the request is at fault
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
        side, role, scored = await self._score(route, _Asked(rows, outputs, alone), pinned)
        pause, ident, at = _Pause(), self._ident(), self._now()
        lines = []
        for number, one in enumerate(scored):
            name = ident if alone else b"%b.%d" % (ident, number)
            lines.append(side.record(at, name, role, one.scored))
            await pause.here()
        if lines:
            self.log.append(b"\n".join(lines))
        if route.rolling is not None and pinned is None:
            few = scored[:SHADOWED_ROWS]
            self._show(route, rows[:SHADOWED_ROWS], [s.scored[2] for s in few], ident)
        return Reply(tuple(one.said for one in scored), ident, side)

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
            _worked(route, took, asked.rows[:SHADOWED_ROWS], [s.scored[2] for s in said[:SHADOWED_ROWS]])
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
        old = route.champion.predictor
        other = any(old.differs(a, candidate.predictor, s[2]) for a, s in zip(answers, scored, strict=True))
        rolling.see(Observation(seconds=seconds, disagreed=other))
        at = self._now()
        lines = [candidate.record(at, b"%b.s%d" % (ident, n), SHADOW, s) for n, s in enumerate(scored)]
        try:
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
    old = route.champion.predictor
    try:
        said = old.score_row(old.decode(row))
    except InputError:
        return False
    return old.differs(said, route.candidate.predictor, answer)


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
    """One row's answer: the inside of its JSON object, and what goes to the log."""

    said: bytes
    scored: Scored


@dataclass(frozen=True, slots=True)
class _Asked:
    """Rows of JSON and the outputs that are wanted of them."""

    rows: Sequence[bytes]
    outputs: Sequence[str] | None
    alone: bool

    def names(self, side: Side) -> Sequence[str] | None:
        """The outputs by name, if any are named; UnknownNameError for one that this version does not have."""
        return None if self.outputs is None else side.predictor.wanted(self.outputs)

    async def decoded(self, side: Side) -> list[tuple[Any, bytes]]:
        """All rows as this version takes them, and as they are logged; InputError names the row."""
        pause, out, predictor = _Pause(), [], side.predictor
        for number, body in enumerate(self.rows):
            try:
                row = predictor.decode(body)
                written = predictor.record(row)
                once(body, written)
            except InputError as error:
                if self.alone:
                    raise
                raise InputError(f"Row {number + 1}: {error.message}", hint=error.hint) from error
            out.append((row, written))
            await pause.here()
        return out


async def _said(side: Side, decoded: Sequence[tuple[Any, bytes]], names: Sequence[str] | None) -> list[_Said]:
    pause, out, predictor = _Pause(), [], side.predictor
    for row, written in decoded:
        score = predictor.score_row(row)
        inside = predictor.render(score)
        said = inside if names is None else _chosen(predictor, row, score, names)
        out.append(_Said(said, (inside, row, score, written)))
        await pause.here()
    return out


def _chosen(predictor: Predictor, row: Any, score: Answer, names: Sequence[str]) -> bytes:
    chosen: Mapping[str, Any] = predictor.choose(row, score, names)
    return msgspec.json.encode(chosen)[1:-1]
