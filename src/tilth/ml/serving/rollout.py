"""Rollout of a revision: shadow, canary, full, decided on fixed numbers of requests. Pure values; the router counts.

In the shadow the new version sees requests and its answers are only compared. In the canary it answers a share of
them. A stage passes when its number of requests is reached within the limits, fails as soon as a limit cannot be met
any more, and holds for as long as there is too little traffic.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from tilth.sql.statements import Rollout


class Stage(StrEnum):
    SHADOW = "shadow"
    CANARY = "canary"
    FULL = "full"
    ROLLED_BACK = "rolled_back"


@dataclass(frozen=True, slots=True)
class Observation:
    """One request as the new version saw it. `seconds` is its own time; `disagreed` that its answer differs."""

    error: bool = False
    seconds: float = 0.0
    disagreed: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a rollout is. Counts are of the present stage; `slow` counts requests over max_p99."""

    stage: Stage
    requests: int = 0
    errors: int = 0
    slow: int = 0
    disagreed: int = 0
    reason: str = ""

    @property
    def decided(self) -> bool:
        return self.stage in {Stage.FULL, Stage.ROLLED_BACK}

    def counts(self) -> dict[str, int]:
        return {
            "requests": self.requests,
            "errors": self.errors,
            "slow": self.slow,
            "disagreed": self.disagreed,
        }


def start(rollout: Rollout, first: bool = False) -> Progress:
    """The stage a new revision begins in; the first version of an endpoint has nothing to be compared with."""
    if first:
        return Progress(Stage.FULL, reason="the first version")
    return _next(rollout, None)


def observe(rollout: Rollout, progress: Progress, seen: Observation) -> Progress:
    """The rollout after one more request of its present stage.

    >>> at = start(Rollout(shadow_requests=1))
    >>> observe(Rollout(shadow_requests=1), at, Observation()).stage.value
    'full'
    """
    if progress.decided:
        return progress
    now = replace(
        progress,
        requests=progress.requests + 1,
        errors=progress.errors + seen.error,
        slow=progress.slow + _is_slow(rollout.max_p99, seen.seconds),
        disagreed=progress.disagreed + seen.disagreed,
    )
    goal = rollout.shadow_requests if now.stage is Stage.SHADOW else rollout.canary_requests
    if broken := _broken(rollout, now, goal):
        return replace(now, stage=Stage.ROLLED_BACK, reason=broken)
    return _next(rollout, now) if now.requests >= goal else now


def takes(progress: Progress, rollout: Rollout, ordinal: int) -> bool:
    """Whether request number `ordinal` (from 0) of the endpoint is answered by the new version: an even spread."""
    if progress.stage is not Stage.CANARY:
        return progress.stage is Stage.FULL
    share = rollout.canary_share
    return int((ordinal + 1) * share) > int(ordinal * share)


def _is_slow(limit: timedelta | None, seconds: float) -> bool:
    return limit is not None and seconds > limit.total_seconds()


def _broken(rollout: Rollout, now: Progress, goal: int) -> str | None:
    """Why the stage can no longer pass: more failures than its whole number of requests allows."""
    if now.errors > rollout.max_error_rate * goal:
        return f"{now.stage.value}: {now.errors} of {now.requests} requests failed, over {rollout.max_error_rate:.2%} of {goal}"
    if rollout.max_p99 is not None and now.slow > 0.01 * goal:
        limit = rollout.max_p99.total_seconds() * 1000
        return f"{now.stage.value}: {now.slow} of {now.requests} requests took over {limit:g} ms, over 1% of {goal}"
    return None


def _next(rollout: Rollout, done: Progress | None) -> Progress:
    if done is None and rollout.shadow_requests:
        return Progress(Stage.SHADOW, reason=f"shadow for {rollout.shadow_requests} requests")
    if (done is None or done.stage is Stage.SHADOW) and rollout.canary_requests:
        share, count = rollout.canary_share, rollout.canary_requests
        return Progress(Stage.CANARY, reason=f"canary: {share:.0%} for {count} requests")
    if done is None:
        return Progress(Stage.FULL, reason="no stages are declared")
    return replace(
        done,
        stage=Stage.FULL,
        reason=f"{done.stage.value} passed: {done.errors} of {done.requests} requests failed",
    )
