"""Processes that serve or keep an environment, and how far each is."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tilth.core.time import Instant, show_instant
from tilth.runtime.record.rows import Change, Reader, Row, foreign, instant, instant_or_none, text, whole


@dataclass(frozen=True, slots=True)
class LookedUp:
    """A snapshot whose rows complete the requests of an endpoint, as a node serves it."""

    endpoint: str
    dataset: str
    snapshot: str
    rows: int
    collected_at: str


@dataclass(frozen=True, slots=True)
class Node:
    """One process, as it wrote itself down."""

    name: str
    pid: int
    url: str
    environment: str
    generation: int  # the one that it serves
    reconciled_at: Instant | None  # the instant that its reconciler last came to rest at
    started_at: Instant
    seen_at: Instant
    looked_up: tuple[LookedUp, ...] = ()


def all_of(reader: Reader) -> tuple[Node, ...]:
    """Every node, by name."""
    return tuple(map(_node, reader.read("nodes")))


def of(reader: Reader, environment: str) -> tuple[Node, ...]:
    """The nodes of an environment, by name."""
    return tuple(n for n in all_of(reader) if n.environment == environment)


def begin(change: Change, name: str, url: str, environment: str, at: Instant) -> None:
    """Write this process down under that name; it serves nothing yet."""
    when = show_instant(at)
    change.write(
        "set_node", name=name, pid=os.getpid(), url=url, environment=environment, generation=0, at=when
    )


def serves(
    change: Change, name: str, generation: int, at: Instant, looked_up: Sequence[LookedUp] = ()
) -> None:
    """The node serves that generation, and looks rows up in these snapshots."""
    kept = json.dumps([asdict(one) for one in looked_up])
    change.write("node_serves", name=name, generation=generation, looked_up=kept, at=show_instant(at))


def rested(change: Change, name: str, at: Instant) -> None:
    """The reconciler came to rest at that instant."""
    change.write("node_reconciled", name=name, at=show_instant(at))


def _node(row: Row) -> Node:
    return Node(
        text(row, "name"),
        whole(row, "pid"),
        text(row, "url"),
        text(row, "environment"),
        whole(row, "generation"),
        instant_or_none(row, "reconciled_at"),
        instant(row, "started_at"),
        instant(row, "seen_at"),
        _looked_up(row),
    )


def _looked_up(row: Row) -> tuple[LookedUp, ...]:
    try:
        return tuple(LookedUp(**one) for one in json.loads(text(row, "looked_up")))
    except (TypeError, ValueError) as error:
        raise foreign(f"What node `{text(row, 'name')}` looks up is no list of snapshots.") from error
