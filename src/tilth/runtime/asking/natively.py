"""Queries that sources answer themselves within a SELECT: `FROM ops (SELECT ...)`. Their rows are frames of the query around them.

Where a source has no language of its own, its tables are read by that query in place. Who may ask so may do more than read: it is
said to a server as it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from tilth.core.errors import UnsupportedError
from tilth.plan.rights import Right, require
from tilth.ports.limits import Limits
from tilth.resources.graph import Graph
from tilth.runtime import sources
from tilth.runtime.asking.heeding import heeding
from tilth.runtime.asking.prompt import Prompt
from tilth.sql.language.statements import Kind
from tilth.sql.queries.native import natives, without
from tilth.sql.queries.views import of_source


def names(graph: Graph) -> frozenset[str]:
    """The sources that may be asked so."""
    return frozenset(r.name for r in graph.of_kind(Kind.SOURCE))


def check(at: Prompt, sql: str, graph: Graph) -> None:
    """RightError when the query asks a source in its own language and the principal may only read."""
    if natives(sql, names(graph)):
        require(at.principal, Right.OPERATE, "A query in a source's own language")


def read(
    sql: str, graph: Graph, root: str, limits: Limits, frames: Mapping[str, Any], stack: ExitStack | None
) -> tuple[str, Mapping[str, Any]]:
    """The query over frames in the place of native queries, and the frames with their rows, which `stack` ends; without one nothing may be opened."""
    found = natives(sql, names(graph))
    if not found:
        return sql, frames
    if stack is None:
        raise UnsupportedError(
            f"EXPLAIN does not look into a query that the source `{found[0].source}` answers itself.",
            hint=f"Write it over its tables: FROM {found[0].source}.<table>.",
        )
    opened = stack.enter_context(sources.opened(graph, root, [n.source for n in found]))
    out, inside = dict(frames), dict[str, str]()
    for one in found:
        source = opened[one.source]
        if not getattr(source, "speaks", True):
            inside[one.frame] = of_source(one.sql, one.source)
            continue
        reader = heeding(source, limits).native(one.sql)
        stack.callback(reader.close)
        out[one.frame] = reader
    return without(sql, found, inside), out
