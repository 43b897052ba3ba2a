"""Environments, their generations, and what those point at.

A generation's digest covers its pointers, so a state file that was edited by hand is found when the generation is read. It
stands in the audit chain too (`audit`), where `verifying` finds an edit that made the digest fit. How environments move is
decided in `runtime.moving`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tilth.core.canonical import canonical, digest
from tilth.core.errors import StateChangedError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.core.time import Instant, show_instant
from tilth.plan.snapshot import Pointer
from tilth.runtime.record.rows import (
    Change,
    Reader,
    Row,
    State,
    instant,
    text,
    text_or_none,
    whole,
    whole_or_none,
)
from tilth.sql.language.statements import Kind

ALL = 1_000_000


@dataclass(frozen=True, slots=True)
class Generation:
    """One set of pointers that an environment had; `digest` is over them."""

    environment: str
    number: int
    parent: int | None  # the one that was current before it
    reason: str
    actor: str
    digest: str
    created_at: Instant


def names(reader: Reader) -> tuple[str, ...]:
    """The environments there are."""
    return tuple(text(r, "name") for r in reader.read("environments"))


def require(reader: Reader, environment: str) -> str:
    """The name, if there is such an environment; UnknownNameError with the nearest."""
    if not reader.read("environment", name=environment):
        hint = did_you_mean(environment, names(reader), "environments")
        raise UnknownNameError(f"There is no environment `{environment}`.", hint=hint)
    return environment


def current_number(reader: Reader, environment: str) -> int:
    """The generation that is current; 0 for an unknown environment."""
    found = reader.read("environment", name=environment)
    return whole(found[0], "generation") if found else 0


def generation(reader: Reader, environment: str, number: int) -> Generation | None:
    """The generation of that number; None when it is not (or no longer) there."""
    found = reader.read("generation", environment=environment, number=number)
    return _generation(found[0]) if found else None


def generations(reader: Reader, environment: str, limit: int = ALL) -> tuple[Generation, ...]:
    """The newest generations, newest first."""
    return tuple(map(_generation, reader.read("generations", environment=environment, limit=limit)))


def pointers_of(state: State, environment: str) -> tuple[int, tuple[Pointer, ...]]:
    """The current generation's number and pointers, of one moment; (0, ()) for an unknown environment."""
    with state.reading() as reader:
        return checked(reader, environment)


def checked(reader: Reader, environment: str) -> tuple[int, tuple[Pointer, ...]]:
    """`pointers_of` of a moment that is at hand. The pointers are found to be those that were published."""
    number = current_number(reader, environment)
    return number, published(reader, environment, number) if number else ()


def published(reader: Reader, environment: str, number: int) -> tuple[Pointer, ...]:
    """What a generation points at, found to be what its digest is over; nothing for one that is not there."""
    pointers = pointers_at(reader, environment, number)
    known = generation(reader, environment, number)
    if (known is None) != (not pointers) or (known is not None and known.digest != digest_of(pointers)):
        raise StateChangedError(
            f"Generation {number} of `{environment}` is not what was published: the state file was edited.",
            hint=f"Run ROLLBACK ENVIRONMENT {environment}, or restore .tilth/state.db from a backup.",
        )
    return pointers


def pointers_at(reader: Reader, environment: str, number: int) -> tuple[Pointer, ...]:
    """What a generation points at, as it stands there; nothing for one that is not there."""
    return tuple(map(_pointer, reader.read("pointers", environment=environment, generation=number)))


def pointers_now(reader: Reader, environment: str) -> tuple[Pointer, ...]:
    """What the current generation points at, as it stands there."""
    return tuple(map(_pointer, reader.read("current_pointers", environment=environment)))


def definition_of(reader: Reader, kind: Kind, name: str, recipe: str) -> str | None:
    """The text that a resource of that recipe was declared with, under whatever name, where a generation still holds it."""
    found = reader.read("definition_of", kind=kind.value, name=name, recipe=recipe)
    return text(found[0], "text") if found else None


def targets(reader: Reader, kind: Kind) -> frozenset[tuple[str, str]]:
    """(first name, target) of every pointer of the kind that is left, in whatever generation."""
    found = reader.read("all_targets", kind=kind.value)
    return frozenset((text(r, "name"), text(r, "target")) for r in found)


def digest_of(pointers: Iterable[Pointer]) -> str:
    """What stands for a set of pointers, in whatever order."""
    rows = sorted((p.kind.value, p.name, p.recipe, p.target or "", digest(p.text.encode())) for p in pointers)
    return digest(canonical(rows))


def add_generation(
    change: Change,
    environment: str,
    parent: int | None,
    reason: str,
    pointers: Iterable[Pointer],
    at: Instant,
) -> Generation:
    """The next generation with these pointers, which is the current one from here on."""
    kept, when = tuple(pointers), show_instant(at)
    last = change.read("last_generation", environment=environment)[0]
    made = Generation(
        environment, whole(last, "number") + 1, parent, reason, change.by.text, digest_of(kept), at
    )
    change.write(
        "add_generation", environment=environment, number=made.number, parent=parent, reason=reason,
        actor=made.actor, digest=made.digest, at=when,
    )  # fmt: skip
    for p in kept:
        definition = digest(p.text.encode())
        change.write("add_definition", digest=definition, text=p.text)
        change.write(
            "add_pointer", environment=environment, generation=made.number, kind=p.kind.value, name=p.name,
            recipe=p.recipe, definition=definition, target=p.target,
        )  # fmt: skip
    change.write("set_environment", name=environment, generation=made.number, at=when)
    return made


def forget_generation(change: Change, environment: str, number: int) -> None:
    """Remove a generation with its pointers."""
    change.write("forget_generation_pointers", environment=environment, generation=number)
    change.write("forget_generation", environment=environment, number=number)


def forget(change: Change, environment: str) -> None:
    """Remove an environment with its generations and schedules; its revisions are `endpoints`'."""
    for one in generations(change, environment):
        forget_generation(change, environment, one.number)
    change.write("forget_schedules", environment=environment)
    change.write("forget_environment", name=environment)


def _generation(row: Row) -> Generation:
    return Generation(
        text(row, "environment"),
        whole(row, "number"),
        whole_or_none(row, "parent"),
        text(row, "reason"),
        text(row, "actor"),
        text(row, "digest"),
        instant(row, "created_at"),
    )


def _pointer(row: Row) -> Pointer:
    return Pointer(
        Kind(text(row, "kind")),
        text(row, "name"),
        text(row, "recipe"),
        text_or_none(row, "target"),
        text(row, "text"),
    )
