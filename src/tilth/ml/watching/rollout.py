"""Rollout of a revision: shadow, canary, full, decided on fixed numbers of requests. Pure values; the router counts.

In the shadow the new version sees requests and its answers are only compared. In the canary it answers a share of
them. A stage passes when its number of requests is reached within the limits, fails as soon as a limit cannot be met
any more, and holds for as long as there is too little traffic, at most until the deadline. A share is one of requests,
each of which is answered by one version, however many rows it brings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from tilth.core.time import show_duration
from tilth.sql.language.statements import Rollout


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
    goal = _goal(rollout, now.stage)
    if broken := _broken(rollout, now, goal):
        return replace(now, stage=Stage.ROLLED_BACK, reason=broken)
    return _next(rollout, now) if now.requests >= goal else now


def takes(progress: Progress, rollout: Rollout, ordinal: int) -> bool:
    """Whether request number `ordinal` (from 0) of the endpoint is answered by the new version: an even spread."""
    if progress.stage is not Stage.CANARY:
        return progress.stage is Stage.FULL
    share = rollout.canary_share
    return _whole((ordinal + 1) * share) > _whole(ordinal * share)


def _whole(count: float) -> int:
    """29 % of 100 are 29, whatever 0.29 * 100 is."""
    return int(count + 1e-9)


def _is_slow(limit: timedelta | None, seconds: float) -> bool:
    return limit is not None and seconds > limit.total_seconds()


def late(rollout: Rollout, progress: Progress, waited: timedelta) -> Progress | None:
    """The rollout rolled back when it is undecided at its deadline, `waited` after its revision began; else None.

    A stage without traffic proves nothing, so that it must not pass by waiting.
    """
    if rollout.deadline is None or progress.decided or waited < rollout.deadline:
        return None
    goal = _goal(rollout, progress.stage)
    words = f"{progress.stage.value}: {progress.requests} of {goal} requests came within the deadline of {show_duration(rollout.deadline)}"
    return replace(progress, stage=Stage.ROLLED_BACK, reason=f"{words}; {_disagreement(progress)}")


def _goal(rollout: Rollout, stage: Stage) -> int:
    return rollout.shadow_requests if stage is Stage.SHADOW else rollout.canary_requests


def _disagreement(now: Progress) -> str:
    """How often both versions said something else, in every reason, whether or not there is a limit to it."""
    return f"{now.disagreed} of {now.requests} answers differed"


def _over(count: int, share: float, goal: int) -> bool:
    """Whether it is more than the share of the whole goal; 29 of 100 are not more than 29 %, whatever 0.29 * 100 is."""
    return count > share * goal + 1e-9


def _broken(rollout: Rollout, now: Progress, goal: int) -> str | None:
    """Why the stage can no longer pass: more failures than its whole number of requests allows."""
    most = rollout.max_disagreement
    if most is not None and _over(now.disagreed, most, goal):
        return f"{now.stage.value}: {_disagreement(now)}, over max_disagreement: {most:.2%} of {goal}"
    if _over(now.errors, rollout.max_error_rate, goal):
        return f"{now.stage.value}: {now.errors} of {now.requests} requests failed, over {rollout.max_error_rate:.2%} of {goal}; {_disagreement(now)}"
    if rollout.max_p99 is not None and _over(now.slow, 0.01, goal):
        limit = rollout.max_p99.total_seconds() * 1000
        return f"{now.stage.value}: {now.slow} of {now.requests} requests took over {limit:g} ms, over 1% of {goal}; {_disagreement(now)}"
    return None


def _next(rollout: Rollout, done: Progress | None) -> Progress:
    if done is None and rollout.shadow_requests:
        return Progress(Stage.SHADOW, reason=f"shadow for {rollout.shadow_requests} requests")
    if (done is None or done.stage is Stage.SHADOW) and rollout.canary_requests:
        share, count = rollout.canary_share, rollout.canary_requests
        before = "" if done is None else f"; in the shadow {_disagreement(done)}"
        return Progress(Stage.CANARY, reason=f"canary: {share:.0%} for {count} requests{before}")
    if done is None:
        return Progress(Stage.FULL, reason="no stages are declared")
    return replace(
        done,
        stage=Stage.FULL,
        reason=f"{done.stage.value} passed: {done.errors} of {done.requests} requests failed, {_disagreement(done)}",
    )
