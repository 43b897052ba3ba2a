"""Revisions of endpoints: which version answers, and which one is on its way in. An ENDPOINT pointer names one.

When a revision is made is decided in `runtime.moving`, how its rollout goes on in `serving.rollouts`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from tilth.core.time import Instant, show_instant
from tilth.ml.watching.rollout import Progress, Stage
from tilth.runtime.record.rows import (
    Change,
    Reader,
    Row,
    decoded_object,
    foreign,
    instant,
    text,
    whole,
    whole_or_none,
)

SUPERSEDED = "superseded"
UNDER_WAY = (Stage.SHADOW.value, Stage.CANARY.value)


@dataclass(frozen=True, slots=True)
class Revision:
    """A version of the endpoint's model on its way to answer. `stage`: shadow | canary | full | rolled_back | superseded."""

    environment: str
    endpoint: str
    revision: int
    model: str
    version: int
    previous: int | None  # the version that served before
    stage: str
    counts: str  # as JSON
    reason: str
    created_at: Instant

    @property
    def under_way(self) -> bool:
        """Whether its rollout is not decided yet."""
        return self.stage in UNDER_WAY

    @property
    def answering(self) -> int | None:
        """The version that answers most requests: the new one once it is full, before that and after a rollout that
        failed or was superseded the previous one.
        """
        return self.version if self.stage == Stage.FULL.value else self.previous

    @property
    def progress(self) -> Progress:
        """How far its rollout is, by what was written down."""
        counts = decoded_object(self.counts, f"the counts of endpoint `{self.endpoint}`")
        try:
            return Progress(Stage(self.stage), **counts)
        except (TypeError, ValueError) as error:
            raise foreign(
                f"The rollout of endpoint `{self.endpoint}` is at no stage that there is."
            ) from error


def get(reader: Reader, environment: str, endpoint: str, revision: int) -> Revision | None:
    """The revision of that number; None when there is none."""
    found = reader.read("revision", environment=environment, endpoint=endpoint, revision=revision)
    return _revision(found[0]) if found else None


def current(reader: Reader, environment: str) -> Mapping[str, Revision]:
    """The revision that each endpoint's pointer names now, by endpoint."""
    found = map(_revision, reader.read("current_revisions", environment=environment))
    return {r.endpoint: r for r in found}


def latest(reader: Reader, environment: str) -> tuple[Revision, ...]:
    """The newest revision of each endpoint that the environment ever had."""
    return tuple(map(_revision, reader.read("latest_revisions", environment=environment)))


def of(reader: Reader, environment: str, endpoint: str, limit: int) -> tuple[Revision, ...]:
    """The newest revisions of an endpoint, newest first."""
    found = reader.read("revisions_of", environment=environment, endpoint=endpoint, limit=limit)
    return tuple(map(_revision, found))


def next_number(reader: Reader, environment: str, endpoint: str) -> int:
    """The number of the endpoint's next revision there."""
    return whole(reader.read("next_revision", environment=environment, endpoint=endpoint)[0], "revision")


def add(change: Change, one: Revision) -> None:
    """A new revision; its number is the next one."""
    change.write(
        "add_revision", endpoint=one.endpoint, revision=one.revision, environment=one.environment, model=one.model,
        version=one.version, previous=one.previous, stage=one.stage, counts=one.counts, reason=one.reason,
        at=show_instant(one.created_at),
    )  # fmt: skip


def supersede(change: Change, one: Revision, reason: str, at: Instant) -> None:
    """Its rollout ends undecided: another version is on its way in."""
    _set(change, one, SUPERSEDED, one.counts, reason, at)


def advance(change: Change, one: Revision, progress: Progress, at: Instant) -> None:
    """Write down how far its rollout is."""
    counts, reason = json.dumps(progress.counts()), progress.reason or one.reason
    _set(change, one, progress.stage.value, counts, reason, at if progress.decided else None)


def _set(change: Change, one: Revision, stage: str, counts: str, reason: str, at: Instant | None) -> None:
    change.write(
        "set_revision", environment=one.environment, endpoint=one.endpoint, revision=one.revision, stage=stage,
        counts=counts, reason=reason, at=None if at is None else show_instant(at),
    )  # fmt: skip


def forget(change: Change, environment: str) -> None:
    """Remove all revisions of an environment."""
    change.write("forget_revisions", environment=environment)


def _revision(row: Row) -> Revision:
    return Revision(
        text(row, "environment"),
        text(row, "endpoint"),
        whole(row, "revision"),
        text(row, "model"),
        whole(row, "version"),
        whole_or_none(row, "previous"),
        text(row, "stage"),
        text(row, "counts"),
        text(row, "reason"),
        instant(row, "created_at"),
    )
