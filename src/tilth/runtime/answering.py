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

from tilth.core.errors import InputError
from tilth.core.time import show_instant
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
Scored = tuple[bytes, Any, Answer]


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
        inside, row, score = scored
        number = (repr(score[0]) if len(score) == 1 else json.dumps(score)).encode()
        inputs, head = self.predictor.record(row), self._heads[role]
        return b"".join(
            (b'{"at":"', at, _ID, ident, head, inputs, b',"outputs":{', inside, b'},"score":', number, b"}")
        )

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
        """Whether the new version answers the next request."""
        ordinal, self.ordinal = self.ordinal, self.ordinal + 1
        return takes(self.progress, self.rollout, ordinal)

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
            scored = side.predictor.score_json(body)
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
            scored = side.predictor.score_json(body)
        except Exception as error:
            if role is not CANARY:
                raise
            scored = route.champion.predictor.score_json(body)  # raises when the request is at fault
            return self._failed(route, error), CHAMPION, scored
        _worked(route, role, perf_counter() - began)
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
        side, role, scored = await self._score(route, rows, pinned, alone)
        names = None if outputs is None else side.predictor.wanted(outputs)
        pause, ident, at = _Pause(), self._ident(), self._now()
        lines, insides = [], []
        for number, one in enumerate(scored):
            name = ident if alone else b"%b.%d" % (ident, number)
            lines.append(side.record(at, name, role, one))
            insides.append(one[0] if names is None else _chosen(side.predictor, one, names))
            await pause.here()
        if lines:
            self.log.append(b"\n".join(lines))
        if route.rolling is not None and pinned is None:
            few = scored[:SHADOWED_ROWS]
            self._show(route, rows[:SHADOWED_ROWS], [s[2] for s in few], ident)
        return Reply(tuple(insides), ident, side)

    async def _score(
        self, route: Route, rows: Sequence[bytes], pinned: Side | None, alone: bool
    ) -> tuple[Side, str, list[Scored]]:
        side, role = (pinned, CHAMPION) if pinned is not None else _turn(route)
        began = perf_counter()
        try:
            scored = await _scored(side.predictor, rows, alone)
        except Exception as error:
            if role is not CANARY:
                raise
            scored = await _scored(route.champion.predictor, rows, alone)
            return self._failed(route, error), CHAMPION, scored
        _worked(route, role, (perf_counter() - began) / max(len(rows), 1))
        return side, role, scored

    def _failed(self, route: Route, error: Exception) -> Side:
        """The new version could not answer what the old one could; the old one."""
        assert route.rolling is not None
        assert route.candidate is not None
        route.rolling.see(Observation(error=True))
        words = error.message if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
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
            scored = [candidate.predictor.score_json(row) for row in rows]
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


def _worked(route: Route, role: str, seconds: float) -> None:
    """The canary answered, in so many seconds."""
    if role is CANARY and route.rolling is not None:
        route.rolling.see(Observation(seconds=seconds))


class _Pause:
    """Lets other requests have their turn when this one has worked for a while."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until = perf_counter() + TURN

    async def here(self) -> None:
        if perf_counter() > self._until:
            await asyncio.sleep(0)
            self._until = perf_counter() + TURN


async def _scored(predictor: Predictor, rows: Sequence[bytes], alone: bool) -> list[Scored]:
    """All rows decoded, and only then all scored; InputError names the row."""
    pause, decoded, out = _Pause(), [], []
    for number, body in enumerate(rows):
        try:
            decoded.append(predictor.decode(body))
        except InputError as error:
            if alone:
                raise
            raise InputError(f"Row {number + 1}: {error.message}", hint=error.hint) from error
        await pause.here()
    for row in decoded:
        score = predictor.score_row(row)
        out.append((predictor.render(score), row, score))
        await pause.here()
    return out


def _chosen(predictor: Predictor, scored: Scored, names: Sequence[str]) -> bytes:
    _, row, score = scored
    chosen: Mapping[str, Any] = predictor.choose(row, score, names)
    return msgspec.json.encode(chosen)[1:-1]
