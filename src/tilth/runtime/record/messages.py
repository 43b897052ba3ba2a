"""What channels are told: the table `messages`, and `channel_marks`, up to where each channel was told of what happened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tilth.core.time import Instant, show_instant
from tilth.runtime.record import names, writes
from tilth.runtime.record.rows import (
    Change,
    Reader,
    Row,
    decoded_object,
    instant,
    instant_or_none,
    real_or_none,
    text,
    text_or_none,
    whole,
)
from tilth.sql.language.statements import Kind

WAITING, DELIVERED, DEAD = "waiting", "delivered", "dead"
JUDGED = ("TrainModel", "ShareVersion")  # actions that end at a gate
_ABOUT = {"late": Kind.DATASET, "drift": Kind.MODEL}
RUNS, AUDIT = "runs", "audit"  # marks that are numbers of rows; the others say that something is so


@dataclass(frozen=True, slots=True)
class Message:
    """One message to a channel; `next_try` are seconds since 1970 on the wall."""

    number: int
    channel: str
    event: str
    subject: str
    body: str
    at: Instant
    attempts: int
    next_try: float


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of an attempt."""

    number: int
    attempts: int
    status: str
    next_try: float = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Happened:
    """Something in the state that a channel may be told of."""

    event: str  # failed | refused | rolled_back | late | drift
    subject: str
    words: str
    at: Instant | None
    models: tuple[str, ...] = ()  # whose predictions it is about, where the subject is none of the graph's


@dataclass(frozen=True, slots=True)
class Dead:
    """Messages of a channel that were given up."""

    channel: str
    messages: int
    error: str | None


def marks(reader: Reader, environment: str) -> Mapping[str, Mapping[str, int]]:
    """By channel, up to where it was told of what."""
    found: dict[str, dict[str, int]] = {}
    now = names.now(reader)
    for row in reader.read("channel_marks", environment=environment):
        what = _of(text(row, "what"), lambda kind, origin: now.of(kind, origin, environment))
        found.setdefault(text(row, "channel"), {})[what] = whole(row, "mark")
    return found


def _of(what: str, name: Callable[[Kind, str], str]) -> str:
    """What is so of a resource, `late:DATASET` or `drift:MODEL`, with another name of it."""
    event, colon, subject = what.partition(":")
    return f"{event}:{name(_ABOUT[event], subject)}" if colon else what


def mark(change: Change, environment: str, channel: str, what: str, value: int | None) -> None:
    """Remember a mark; None forgets it."""
    what = _of(what, names.origins(change).origin)
    if value is None:
        change.write("forget_channel_mark", environment=environment, channel=channel, what=what)
    else:
        change.write("set_channel_mark", environment=environment, channel=channel, what=what, mark=value)


def settled_run(reader: Reader, environment: str) -> int:
    """The number of the last run before which none is under way."""
    running = whole(reader.read("oldest_running", environment=environment)[0], "id")
    return running - 1 if running else whole(reader.read("newest_run", environment=environment)[0], "id")


def last_audit(reader: Reader) -> int:
    """The number of the last row of the audit."""
    return whole(reader.read("last_audit")[0], "sequence")


def ill_runs(reader: Reader, environment: str, after: int, limit: int) -> tuple[Happened, ...]:
    """Runs after that one that failed, and versions that their gate refused or holds, in order.

    What only waits for something that failed is no event of its own.
    """
    return tuple(
        Happened(
            "failed" if r["status"] == "failed" else "refused",
            text(r, "name"),
            text_or_none(r, "error") or text(r, "status"),
            instant_or_none(r, "finished_at"),
        )
        for r in reader.read("runs_after", id=after, environment=environment, limit=limit)
        if r["status"] == "failed" or r["action"] in JUDGED
    )


def went_back(reader: Reader, environment: str, after: int, limit: int) -> tuple[Happened, ...]:
    """Rollbacks of the environment, and rollouts that were undone, after that row of the audit, in order."""
    out = []
    for r in reader.read("audit_after", sequence=after, limit=limit):
        verb, subject = text(r, "verb"), text(r, "subject")
        if verb == "rollback" and subject != environment:
            continue
        said = decoded_object(text(r, "detail"), "a detail of the audit chain")
        out.append(Happened("rolled_back", subject, str(said.get("reason", "")), instant(r, "at")))
    return tuple(out)


def ill_writes(reader: Reader, environment: str, after: int, limit: int) -> tuple[Happened, ...]:
    """Writes after that row of the audit into tables that were written before, which failed or may have, in order."""
    found = reader.read("ill_writes_after", sequence=after, environment=environment, limit=limit)
    models = writes.writers(reader) if found else {}
    return tuple(
        Happened(
            "failed",
            f"{text(r, 'source')}.{text(r, 'target')}",
            text_or_none(r, "error") or "interrupted",
            instant_or_none(r, "ended_at"),
            models.get((text(r, "source"), text(r, "target")), ()),
        )
        for r in found
    )


def next_number(reader: Reader) -> int:
    """The number of the next message."""
    return whole(reader.read("newest_message")[0], "id") + 1


def add(change: Change, environment: str, one: Message) -> int:
    """A message that waits; its number."""
    return change.insert(
        "add_message", environment=environment, channel=one.channel, event=one.event, subject=one.subject,
        body=one.body, at=show_instant(one.at),
    )  # fmt: skip


def waiting(reader: Reader, environment: str, limit: int) -> tuple[Message, ...]:
    """Messages that were not delivered yet, the first ones first."""
    return tuple(map(_message, reader.read("waiting_messages", environment=environment, limit=limit)))


def tried(change: Change, one: Tried, at: Instant) -> None:
    """Write down what became of an attempt."""
    settled = None if one.status == WAITING else show_instant(at)
    change.write(
        "message_tried", id=one.number, attempts=one.attempts, next_try=one.next_try, status=one.status,
        error=one.error, at=settled,
    )  # fmt: skip


def dead(reader: Reader, environment: str) -> tuple[Dead, ...]:
    """Channels that messages were given up for."""
    return tuple(
        Dead(text(r, "channel"), whole(r, "messages"), text_or_none(r, "error"))
        for r in reader.read("dead_messages", environment=environment)
    )


def old(reader: Reader, before: str) -> int:
    """How many messages were delivered before that instant; the newest of all is none of them, for its number is the last one given."""
    return whole(reader.read("old_messages", before=before)[0], "messages")


def forget(change: Change, before: str) -> None:
    """Remove those."""
    change.write("forget_messages", before=before)


def _message(row: Row) -> Message:
    return Message(
        whole(row, "id"), text(row, "channel"), text(row, "event"), text(row, "subject"), text(row, "body"),
        instant(row, "at"), whole(row, "attempts"), real_or_none(row, "next_try") or 0.0,
    )  # fmt: skip
