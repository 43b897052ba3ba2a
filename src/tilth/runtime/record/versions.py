"""Versions of models: what each was made from, and what became of it. What their gates said is in `evidence`."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tilth.core.errors import UnknownNameError
from tilth.core.time import Instant, show_instant
from tilth.ml.judging import split
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

CANDIDATE, PROMOTED, REFUSED, HELD = "candidate", "promoted", "refused", "held"
LOST = frozenset({REFUSED, HELD})
REASON = "asked for by SELECT: "
"""How the `reason` of a version that was asked by PREDICT begins; what follows is its text."""


@dataclass(frozen=True, slots=True)
class Dealt:
    """How a version's rows were dealt: by what, with which way of making ids, and since when a twin's window is."""

    by: str
    ids: int
    since: str | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """A sealed version. `status`: candidate | promoted | refused | held; it stays what the gate said."""

    model: str
    version: int
    recipe: str
    snapshot: str
    digest: str
    status: str
    engine: str
    learning: int  # the number of the engine's way of learning
    rows: int
    tuned_until: str | None  # the newest event time that fitting or tuning saw
    kept: str  # what training says of it, as JSON
    reason: str
    seconds: float
    created_at: Instant
    removed_at: Instant | None = None  # when its bundle was removed
    origin: str = field(
        default="", compare=False
    )  # the first name of the model, which its bundle is sealed as

    @property
    def facts(self) -> Mapping[str, Any]:
        """What training says of it: metrics on its own judging rows, how its rows were dealt, what looks like a leak."""
        return decoded_object(self.kept, f"what training says of `{self.model}@{self.version}`")

    @property
    def parts(self) -> tuple[Version, ...]:
        """The version as one of each of its targets, in the order of PREDICT: with what training says of that target."""
        found = self.facts.get("targets")
        if found is None:
            return (self,)
        return tuple(
            replace(
                self, kept=json.dumps(one), engine=str(one["engine"]), rows=int(one["split"]["rows"]),
                tuned_until=one["split"]["tuned_until"],
            )
            for one in found
        )  # fmt: skip

    @property
    def importance(self) -> Mapping[str, float]:
        """How much each input matters, of several targets on average."""
        return importance_of([one.facts for one in self.parts])

    @property
    def dealt(self) -> Dealt:
        """How its rows were dealt; a version that does not say by what was dealt by time, or by id without one."""
        said = self.facts.get("split", {})
        by = said.get("by") or (split.BY_TIME if self.tuned_until else split.BY_ID)
        return Dealt(str(by), int(said.get("ids", 1)), said.get("since"))


def importance_of(parts: Sequence[Mapping[str, Any]]) -> Mapping[str, float]:
    """The same of what training says of each target."""
    each = [one.get("importance") or {} for one in parts]
    names = dict.fromkeys(name for found in each for name in found)
    return {name: sum(found.get(name, 0.0) for found in each) / len(each) for name in names}


def get(reader: Reader, model: str, version: int) -> Version | None:
    """The version; None when there is none."""
    found = reader.read("version", model=model, version=version)
    return _version(found[0]) if found else None


def require(reader: Reader, model: str, version: int) -> Version:
    """The version; UnknownNameError with those there are."""
    found = get(reader, model, version)
    if found is None:
        have = [str(one.number) for one in made(reader, model)]
        raise UnknownNameError(
            f"There is no version {version} of the model `{model}`.",
            hint=f"Versions: {', '.join(have)}." if have else "Run `tilth apply` to train one.",
        )
    return found


@dataclass(frozen=True, slots=True)
class Made:
    """A version in short: whether it may serve, and whether its bundle is there."""

    number: int
    status: str
    removed: bool


def made(reader: Reader, model: str) -> tuple[Made, ...]:
    """Every version that the model ever had, the first one first."""
    found = reader.read("version_numbers", model=model)
    return tuple(Made(whole(r, "version"), text(r, "status"), r["removed_at"] is not None) for r in found)


def newest(reader: Reader, model: str, limit: int) -> tuple[Version, ...]:
    """The newest versions of a model, the newest first."""
    return tuple(map(_version, reader.read("versions_of", model=model, limit=limit)))


def all_of(reader: Reader) -> tuple[Version, ...]:
    """Every version, by model and number."""
    return tuple(map(_version, reader.read("versions")))


def last(reader: Reader, environment: str, limit: int) -> tuple[Version, ...]:
    """The last versions by model and number, the last one first, under the names that the environment uses."""
    return tuple(map(_version, reader.read("last_versions", environment=environment, limit=limit)))


def current(reader: Reader, environment: str) -> Mapping[str, Version]:
    """The version that each model's pointer names now, by model."""
    found = map(_version, reader.read("current_versions", environment=environment))
    return {v.model: v for v in found}


def unjudged(reader: Reader, model: str, recipes: Container[str], snapshot: str) -> Version | None:
    """The first candidate of one of these recipes and that snapshot that waits for its gate."""
    found = map(_version, reader.read("candidates", model=model, snapshot=snapshot))
    return next((v for v in found if v.recipe in recipes), None)


def judged(reader: Reader, model: str, recipes: Container[str], snapshot: str) -> tuple[Version, ...]:
    """The versions of one of these recipes and that snapshot whose gate has spoken, and that are there."""
    found = map(_version, reader.read("versions_of_snapshot", model=model, snapshot=snapshot))
    return tuple(v for v in found if v.recipe in recipes and v.status != CANDIDATE)


def next_number(reader: Reader, model: str) -> int:
    """The number of the model's next version."""
    return whole(reader.read("next_version", model=model)[0], "version")


def add(change: Change, one: Version) -> None:
    """A new version; its number is the next one."""
    change.write(
        "add_version", model=one.model, version=one.version, recipe=one.recipe, snapshot=one.snapshot,
        digest=one.digest, status=one.status, engine=one.engine, learning=one.learning, rows=one.rows,
        tuned_until=one.tuned_until, metrics=one.kept, reason=one.reason, seconds=one.seconds,
        at=show_instant(one.created_at),
    )  # fmt: skip


def set_status(change: Change, model: str, version: int, status: str) -> None:
    """What its gate or its rollout made of it."""
    change.write("set_version_status", model=model, version=version, status=status)


def remove(change: Change, model: str, version: int, at: Instant) -> None:
    """Its bundle goes with the next sweep; the row stays, since planner and gate decide on it."""
    change.write("remove_version", model=model, version=version, at=show_instant(at))


def _version(row: Row) -> Version:
    return Version(
        text(row, "model"),
        whole(row, "version"),
        text(row, "recipe"),
        text_or_none(row, "snapshot") or "",
        text(row, "digest"),
        text(row, "status"),
        text(row, "engine"),
        whole(row, "learning") or 1,
        whole(row, "rows"),
        text_or_none(row, "tuned_until"),
        text(row, "metrics"),
        text(row, "reason"),
        real_or_none(row, "seconds") or 0.0,
        instant(row, "created_at"),
        instant_or_none(row, "removed_at"),
        text(row, "origin"),
    )
