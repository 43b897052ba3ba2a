"""What the version behind an endpoint learned from, for who is to ask it: a usual row, and what training saw of each input.

Read from the verified bundle, and kept by its digest, for a version never changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tilth.core.figures import edge
from tilth.core.schema import DataType
from tilth.ml.data.profile import Categorical, Numeric
from tilth.runtime.record import versions
from tilth.runtime.showing import example, forecasts
from tilth.runtime.showing.describing import VALUES, known
from tilth.runtime.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Learned:
    """A usual row, with the key; and in words what training saw, by input."""

    row: Mapping[str, Any]
    words: Mapping[str, str]

    def seen(self, name: str) -> str:
        """What training saw of an input; empty when it kept nothing of it."""
        return self.words.get(name, "")


class Library:
    """What was read before; for one thread."""

    def __init__(self, work: Workspace) -> None:
        self._work = work
        self._kept: dict[tuple[str, int, tuple[str, ...]], Learned] = {}

    def of(self, model: str, version: int, keys: Sequence[str]) -> Learned:
        """Of this version; a TilthError when its bundle cannot be read or does not verify."""
        place = (model, version, tuple(keys))
        if place not in self._kept:
            self._kept[place] = _read(self._work, *place)
        return self._kept[place]

    def forget_all_but(self, places: Sequence[tuple[str, int, tuple[str, ...]]]) -> None:
        """Keep what is served."""
        for place in self._kept.keys() - set(places):
            del self._kept[place]


def _read(work: Workspace, model: str, version: int, keys: tuple[str, ...]) -> Learned:
    row = versions.require(work.state, model, version)
    if forecasts.is_one(row):
        first = forecasts.groups(work, row)
        return Learned(forecasts.body(forecasts.known(work, row), first[0] if first else {}), {})
    kept = known(work, row)
    key = [i for i in kept.signature.carried if i.name in keys]
    usual = {
        **{i.name: example.usual(i, kept.profile, kept.newest) for i in key},
        **example.row(kept.signature.inputs, kept.profile, kept.newest),
    }
    moments = {i.name for i in kept.signature.inputs if i.type is DataType.TIMESTAMP}
    moments |= {i.name for i in kept.signature.carried if i.type is DataType.TIMESTAMP}
    zoned = {n: f"{v}Z" if n in moments and isinstance(v, str) else v for n, v in usual.items()}
    words = {i.name: _seen(kept.profile.find(i.name)) for i in kept.signature.inputs}
    return Learned(zoned, words)


def _seen(one: Numeric | Categorical | None) -> str:
    if isinstance(one, Numeric) and one.minimum is not None and one.maximum is not None:
        return f"in training {edge(one.minimum)} to {edge(one.maximum)}"
    if isinstance(one, Categorical) and one.values:
        more = one.other > 0 or len(one.values) > VALUES
        listed = ", ".join(v[:60] for v in one.values[:VALUES])
        return f"in training {listed}{', and others' if more else ''}; any other counts as a gap"
    return ""
