"""Generations made and gone back to. A generation moves all pointers of its environment at once, or none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tilth.core.errors import ProjectError, StateChangedError, UnknownNameError
from tilth.core.names import is_environment_name
from tilth.core.principals import Principal
from tilth.core.time import Instant, show_instant
from tilth.plan.snapshot import Pointer
from tilth.runtime.moving.deploying import Occasion, deploy
from tilth.runtime.moving.scheduling import schedule
from tilth.runtime.record import audit, environments
from tilth.runtime.record.rows import Change, State

SHOWN = 20  # generations that are named to somebody who asked for one that is not there


@dataclass(frozen=True, slots=True)
class Move:
    """A generation about to be made: where, after which one, why, when, and what the act is called in the audit."""

    environment: str
    expected: int  # the generation that it was decided against
    reason: str
    at: Instant
    verb: str = "publish"  # publish | promote | rollback


def publish(state: State, move: Move, pointers: Iterable[Pointer], by: Principal) -> int:
    """Insert the generation that holds these pointers and make it current; its number.

    Endpoints are given a revision that leads to their model's version. StateChangedError when another generation
    was published since the expected one.
    """
    with state.change(by, show_instant(move.at)) as change:
        return insert(change, move, pointers)


def insert(change: Change, move: Move, pointers: Iterable[Pointer]) -> int:
    """`publish` within a transaction that does more; the new generation's number."""
    check_name(move.environment)
    have = environments.current_number(change, move.environment)
    if have != move.expected:
        raise moved(move.environment, have, move.expected)
    before = environments.pointers_now(change, move.environment)
    occasion = Occasion(move.environment, move.reason, move.at, at_once=move.verb == "rollback")
    deployed = deploy(change, occasion, pointers, before)
    schedule(change, move.environment, deployed, move.at)
    parent = move.expected or None
    made = environments.add_generation(change, move.environment, parent, move.reason, deployed, move.at)
    change.audit(
        move.verb,
        move.environment,
        {"generation": made.number, "digest": made.digest, "reason": made.reason},
    )
    return made.number


def rollback(state: State, environment: str, generation: int | None, by: Principal, at: Instant) -> int:
    """Point back at an earlier generation (the parent of the current one by default); the new generation's number.

    A rollback is a generation of its own that repeats the pointers of the earlier one, so it can be undone as well.
    """
    with state.change(by, show_instant(at)) as change:
        current = environments.current_number(change, environments.require(change, environment))
        goal = generation if generation is not None else _parent(change, environment, current)
        pointers = _recorded(change, environment, goal)
        if goal == current or not pointers:
            have = [str(g.number) for g in environments.generations(change, environment, SHOWN)]
            what = f"no generation {goal}" if generation is not None else "no earlier generation"
            raise UnknownNameError(
                f"`{environment}` has {what} to go back to.",
                hint=f"Its generations: {', '.join(have)}; current is {current}.",
            )
        move = Move(environment, current, f"rolled back to generation {goal}", at, "rollback")
        return insert(change, move, pointers)


def _recorded(change: Change, environment: str, number: int) -> tuple[Pointer, ...]:
    """What an earlier generation points at; StateChangedError when that is not what the audit chain recorded of it."""
    pointers = environments.published(change, environment, number)
    if pointers and audit.digest_of_generation(change, environment, number) != environments.digest_of(
        pointers
    ):
        raise StateChangedError(
            f"Generation {number} of `{environment}` is not the one that the audit chain recorded: the state file was edited.",
            hint=f"Go back to another one: ROLLBACK ENVIRONMENT {environment} TO <number>, or: tilth restore FILE",
        )
    return pointers


def _parent(change: Change, environment: str, number: int) -> int:
    found = environments.generation(change, environment, number)
    return (found.parent if found is not None else None) or 0


def moved(environment: str, have: int, expected: int) -> StateChangedError:
    """The environment is at another generation than what was planned against."""
    return StateChangedError(
        f"`{environment}` moved to generation {have} while this was under way (it began at {expected}).",
        hint="Run the command again: it plans against what is there now.",
    )


def check_name(environment: str) -> None:
    """ProjectError for a name that no environment may have."""
    if not is_environment_name(environment):
        raise ProjectError(
            f"`{environment}` cannot be the name of an environment.",
            hint="Names are lower-case letters, digits, underscores and hyphens: for example dev or pr-12.",
        )
