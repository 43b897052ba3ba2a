"""Tells channels what happens: what the state says is put into messages, once; messages are sent until they are taken.

A message is a CloudEvent (JSON, version 1.0, cloudevents.io), signed with the channel's key: the header `Tilth-Signature` holds
`t=<seconds>,v1=<hex>`, HMAC-SHA256 of `<seconds>.<body>`. It is written in the transaction that moves the channel's marks, and
sent at least once, with growing pauses; after a day it is given up and stays as a row. Each message is sent by a thread of its own, one a
channel at a time, so that a channel that hangs keeps no other waiting. What happens within half a minute of the message before goes into one
message, so that a flood is one.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tilth.core.errors import TilthError
from tilth.core.figures import figure
from tilth.core.principals import reconciler
from tilth.core.time import Instant, show_duration, show_instant
from tilth.ports import registry
from tilth.resources.graph import Graph
from tilth.runtime import secrets
from tilth.runtime.record import environments, looks, messages, refreshes
from tilth.runtime.record.messages import AUDIT, RUNS, Happened, Message, Tried
from tilth.runtime.record.rows import Change, Reader
from tilth.runtime.showing import arriving
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import CreateChannel, CreateDataset, CreateModel, Kind

DRIFTED = 0.2  # what is told of drift where the model's RETRAIN WHEN names no limit
OVERDUE = 2  # times REFRESH EVERY, after which data is late
MOST = 10_000  # rows that are read at once
LAG = 5_000  # rows without anything to tell, after which marks move all the same
LISTED = 50  # events that a message lists; it says how many there are
QUIET = 30.0  # seconds after a message in which what happens is gathered for the next one
FIRST, SLOWEST = 2.0, 900.0  # seconds until the second attempt, and between the last ones
GIVEN_UP = 24 * 3600.0  # seconds of attempts


def pause(attempts: int) -> float:
    """Seconds until the next attempt after so many.

    >>> [pause(n) for n in (1, 2, 3, 12)]
    [2.0, 4.0, 8.0, 900.0]
    """
    return float(min(SLOWEST, FIRST * 2 ** (attempts - 1)))


def signed(body: bytes, key: bytes, at: int) -> str:
    """The header that says who sent it and when.

    >>> signed(b"{}", b"key", 1)
    't=1,v1=1ba6b8171186efc613e8bcc0cbdab2748f24984d7c5a84faa2637afa0e40d224'
    """
    made = hmac.new(key, b"%d." % at + body, hashlib.sha256)
    return f"t={at},v1={made.hexdigest()}"


@dataclass(frozen=True, slots=True)
class _Sent:
    """A message on its way, or what became of it."""

    message: Message
    url: str
    key: bytes
    error: str | None = None
    final: bool = False  # it cannot be sent, however often it is tried


class Notifier:
    """Tells the channels of one environment. For one thread; each message that is on its way has its own."""

    def __init__(self, work: Workspace, environment: str, tell: Callable[[str], None]) -> None:
        self._work, self._environment, self._tell = work, environment, tell
        self._graph: Graph | None = None
        self._told: dict[str, float] = {}  # on the wall, when a message to the channel was made last
        self._due = 0.0  # on the wall, when something is to be done again
        self._back: queue.SimpleQueue[_Sent] = queue.SimpleQueue()
        self._flying: set[int] = set()

    def step(self, graph: Graph | None, now: Instant) -> None:
        """Put into messages what happened since the last step, and send what waits."""
        self._graph = graph
        if graph is None or not graph.of_kind(Kind.CHANNEL):
            return
        self._gather(graph, now)
        self._send()

    def tend(self, now: Instant) -> None:
        """Write down what became of what was sent, and send again what is due; cheap when there is nothing."""
        back = list(_drained(self._back))
        if back:
            self._write_down(back, now)
        if self._graph is not None and (back or time.time() >= self._due):
            self._gather(self._graph, now)
            self._send()

    # --- what happened -------------------------------------------------------------------------------------

    def _gather(self, graph: Graph, now: Instant) -> None:
        """One message a channel of all that it was not told of yet; what came within its pause waits for the next one."""
        wall = time.time()
        with self._work.state.reading() as reader:
            found = {
                r.name: _told_of(reader, self._environment, graph, r.as_(CreateChannel), now)
                for r in graph.of_kind(Kind.CHANNEL)
            }
        for name, told in found.items():
            if not told.marks:
                continue
            if told.events and wall - self._told.get(name, 0.0) < QUIET:
                continue
            with self._work.state.change(reconciler(self._environment), show_instant(now)) as change:
                for what, value in told.marks.items():
                    messages.mark(change, self._environment, name, what, value)
                number = _message(change, self._environment, name, told.events, now) if told.events else None
                change.audit("notify", name, {"events": len(told.events), "message": number})
            if told.events:
                self._told[name] = wall

    # --- sending -------------------------------------------------------------------------------------------

    def _send(self) -> None:
        """Hand over what is due, one message a channel at a time; and say when something is due again."""
        wall, due = time.time(), time.time() + QUIET
        busy: set[str] = set()
        for one in messages.waiting(self._work.state, self._environment, MOST):
            if one.channel in busy:
                continue
            busy.add(one.channel)
            if one.number in self._flying:
                continue
            if one.next_try > wall:
                due = min(due, one.next_try)
                continue
            self._hand_over(one)
        self._due = due

    def _hand_over(self, one: Message) -> None:
        self._flying.add(one.number)
        assert self._graph is not None
        resource = self._graph.find(one.channel)
        if resource is None or resource.kind is not Kind.CHANNEL:
            self._back.put(_Sent(one, "", b"", "there is no such channel any more", final=True))
            return
        try:
            given = secrets.options(
                resource.as_(CreateChannel).options, f"Channel `{one.channel}`", self._work.root, None
            )
        except TilthError as error:
            self._back.put(_Sent(one, "", b"", error.message))
            return
        sent = _Sent(one, str(given["url"]), str(given["key"]).encode())
        threading.Thread(target=self._post, args=(sent,), name="tilth-notify", daemon=True).start()

    def _post(self, one: _Sent) -> None:
        """Send it; in a thread that knows no state."""
        body = one.message.body.encode()
        headers = {
            "Content-Type": "application/cloudevents+json; charset=utf-8",
            "Tilth-Signature": signed(body, one.key, int(time.time())),
            "User-Agent": "tilth",
        }
        try:
            error = registry.load(registry.PARTS, "webhook")().post(one.url, headers, body)
        except Exception as problem:
            error = f"it could not be sent ({type(problem).__name__})"
        self._back.put(_Sent(one.message, "", b"", error))

    def _write_down(self, back: list[_Sent], now: Instant) -> None:
        wall = time.time()
        with self._work.state.change(reconciler(self._environment), show_instant(now)) as change:
            for one in back:
                self._flying.discard(one.message.number)
                attempts = one.message.attempts + 1
                made = _outcome(one, attempts, wall)
                messages.tried(change, made, now)
                change.audit(
                    "deliver", one.message.channel, {"message": one.message.number, "status": made.status}
                )
                if made.status == messages.DEAD or (attempts == 1 and one.error):
                    given = " and is given up" if made.status == messages.DEAD else ", and is tried again"
                    self._tell(f"{one.message.channel}: a message was not taken: {one.error}{given}")


def _outcome(one: _Sent, attempts: int, wall: float) -> Tried:
    number = one.message.number
    if one.error is None:
        return Tried(number, attempts, messages.DELIVERED)
    spent = sum(pause(n) for n in range(1, attempts + 1))
    if spent > GIVEN_UP or one.final:
        return Tried(number, attempts, messages.DEAD, error=one.error)
    return Tried(number, attempts, messages.WAITING, wall + pause(attempts), one.error)


def _drained(things: queue.SimpleQueue[_Sent]) -> Iterator[_Sent]:
    while True:
        try:
            yield things.get_nowait()
        except queue.Empty:
            return


# --- what a channel is told of -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Told:
    """What a channel is to be told, and its marks then."""

    events: tuple[Happened, ...]
    marks: Mapping[str, int | None]


def _told_of(reader: Reader, environment: str, graph: Graph, channel: CreateChannel, now: Instant) -> _Told:
    """All that happened since its marks; a channel without marks begins now, and is told of what is so already."""
    have = messages.marks(reader, environment).get(channel.name, {})
    begins = RUNS not in have
    upto = {RUNS: messages.settled_run(reader, environment), AUDIT: messages.last_audit(reader)}
    events: list[Happened] = []
    if not begins:
        events += messages.ill_runs(reader, environment, have[RUNS], MOST)
        events += messages.ill_writes(reader, environment, have.get(AUDIT, 0), MOST)
        events += messages.went_back(reader, environment, have.get(AUDIT, 0), MOST)
    moved: dict[str, int | None] = {}
    states = {
        **_late(reader, graph, now),
        **_late_rows(reader, environment, now),
        **_drifted(reader, environment, graph),
    }
    for what, one in states.items():
        if what not in have:
            events.append(one)
            moved[what] = 1
    for what in have:
        if what not in (RUNS, AUDIT) and what not in states:
            moved[what] = None
    mine = tuple(e for e in events if e.event in channel.events and _concerns(e, channel, graph))
    if mine or begins or moved or upto[RUNS] - have[RUNS] > LAG or upto[AUDIT] - have.get(AUDIT, 0) > LAG:
        moved |= upto
    return _Told(mine, moved)


def _concerns(one: Happened, channel: CreateChannel, graph: Graph) -> bool:
    """Whether it is of the channel's model: of itself, of what it is made from, of what serves it, or of a table of its predictions."""
    if channel.model is None or channel.model in one.models:
        return True
    if channel.model not in graph:
        return False
    near = (*graph.upstream(channel.model), *graph.downstream(channel.model))
    return one.subject == channel.model or any(r.name == one.subject for r in near)


def _late(reader: Reader, graph: Graph, now: Instant) -> dict[str, Happened]:
    """Datasets that should have been refreshed twice by now."""
    attempts, out = refreshes.last_attempts(reader), {}
    for resource in graph.of_kind(Kind.DATASET):
        refresh = resource.as_(CreateDataset).refresh
        every = None if refresh is None else refresh.every
        found = next((attempts[r] for r in resource.recipes if r in attempts), None)
        if (
            every is None
            or found is None
            or found.status != refreshes.PUBLISHED
            or now - found.at <= OVERDUE * every
        ):
            continue
        words = f"was refreshed last {show_duration(_seconds(now - found.at))} ago, and is to be every {show_duration(every)}"
        out[f"late:{resource.name}"] = Happened("late", resource.name, words, now)
    return out


def _late_rows(reader: Reader, environment: str, now: Instant) -> dict[str, Happened]:
    """Datasets that are late by their READY WHEN or FRESH WITHIN."""
    pointers = environments.checked(reader, environment)[1]
    found = arriving.late(reader, environment, pointers, now)
    return {f"late:{name}": Happened("late", name, f"is late: {words}", now) for name, words in found.items()}


def _drifted(reader: Reader, environment: str, graph: Graph) -> dict[str, Happened]:
    """Models whose last look saw more drift than their RETRAIN WHEN names, or than the usual."""
    last, out = looks.last(reader, environment), {}
    for resource in graph.of_kind(Kind.MODEL):
        said = [c.value for c in resource.as_(CreateModel).retrain if c.signal == "drift"]
        limit = float(str(said[0])) if said else DRIFTED
        found = last.get(resource.name)
        if found is None or found.drift is None or found.drift <= limit:
            continue
        words = f"drift {figure(found.drift, 3)} > {limit:g} in the look of {show_instant(found.at)[:10]} at version {found.version}"
        out[f"drift:{resource.name}"] = Happened("drift", resource.name, words, found.at)
    return out


def _seconds(span: timedelta) -> timedelta:
    return timedelta(seconds=int(span.total_seconds()))


# --- the message ---------------------------------------------------------------------------------------------


def _message(
    change: Change, environment: str, channel: str, events: tuple[Happened, ...], now: Instant
) -> int:
    """One message of these events; its number is in its id, which stays the same however often it is sent."""
    first = events[0]
    event, subject = (
        (first.event, first.subject) if len(events) == 1 else ("several", f"{len(events)} events")
    )
    number = messages.next_number(change)
    body = json.dumps(cloud_event(environment, channel, number, event, subject, events, now), sort_keys=True)
    return messages.add(change, environment, Message(number, channel, event, subject, body, now, 0, 0.0))


def cloud_event(
    environment: str,
    channel: str,
    number: int,
    event: str,
    subject: str,
    events: tuple[Happened, ...],
    now: Instant,
) -> dict[str, Any]:
    """What is sent, as values (CloudEvents 1.0, structured JSON)."""
    listed = [
        {
            "event": e.event,
            "subject": e.subject,
            "text": e.words,
            "at": None if e.at is None else show_instant(e.at),
        }
        for e in events[:LISTED]
    ]
    return {
        "specversion": "1.0",
        "id": f"{environment}-{channel}-{number}",
        "source": f"/tilth/{environment}",
        "type": f"io.tilth.{event}",
        "subject": subject,
        "time": show_instant(now),
        "datacontenttype": "application/json",
        "data": {"environment": environment, "channel": channel, "count": len(events), "events": listed},
    }
