"""Processes that serve or keep an environment, and how far each is."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tilth.core.time import Instant, show_instant
from tilth.runtime.record.rows import Change, Reader, Row, instant, instant_or_none, text, whole


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


def serves(change: Change, name: str, generation: int, at: Instant) -> None:
    """The node serves that generation."""
    change.write("node_serves", name=name, generation=generation, at=show_instant(at))


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
    )
