"""Opens the sources that a piece of work reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from tilth.core.errors import SourceError
from tilth.ports import registry, strangers
from tilth.ports.source import Source
from tilth.resources.graph import Graph
from tilth.runtime import secrets
from tilth.sql.language.statements import CreateSource, Kind


@contextmanager
def opened(graph: Graph, root: str, names: Iterable[str] | None = None) -> Iterator[Mapping[str, Source]]:
    """The graph's sources of these names (all: None), open for the block. Other names are passed over."""
    wanted = None if names is None else {n.lower() for n in names}
    with ExitStack() as stack:
        out: dict[str, Source] = {}
        for resource in graph.of_kind(Kind.SOURCE):
            if wanted is None or resource.name in wanted:
                found = open_source(resource.as_(CreateSource), root)
                stack.callback(found.close)
                out[resource.name] = found
        yield out


def open_source(declared: CreateSource, root: str) -> Source:
    """The source; SourceError when a secret is not where it should be, or the source refuses."""
    adapter = registry.load("tilth.sources", declared.engine)
    try:
        given = secrets.options(declared.options, f"Source `{declared.name}`", root, declared.position)
        found = strangers.source(declared.engine, lambda: adapter.from_options(given, root))
    except SourceError as error:
        raise error.at(declared.position) if declared.position else error from None
    return found
