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
                found = open_source(resource.as_(CreateSource), root, graph)
                stack.callback(found.close)
                out[resource.name] = found
        yield out


def open_source(declared: CreateSource, root: str, graph: Graph, schema: str | None = None) -> Source:
    """The source; SourceError when a secret is not where it should be, or the source refuses.

    Where the adapter's attribute `over` names an option, that option names another source of the graph, and the adapter is given what opens
    it; `schema` is then asked of an engine that has one (`schemas`).
    """
    adapter = registry.load("tilth.sources", declared.engine)
    try:
        given = secrets.options(declared.options, f"Source `{declared.name}`", root, declared.position)
        if schema is not None and getattr(adapter, "schemas", False):
            given["schema"] = schema
        if (over := getattr(adapter, "over", None)) is not None:
            beneath = graph.get(str(given.get(over))).as_(CreateSource) if over in given else None
            given[over] = (lambda wanted: open_source(beneath, root, graph, wanted)) if beneath else None
        found = strangers.source(declared.engine, lambda: adapter.from_options(given, root))
    except SourceError as error:
        raise error.at(declared.position) if declared.position else error from None
    return found
