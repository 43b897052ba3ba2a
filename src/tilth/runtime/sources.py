"""Opens the sources that a piece of work reads: secrets are looked up here, when they are needed, and kept nowhere."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

from tilth.core.errors import SourceError
from tilth.ports import registry, strangers
from tilth.ports.source import Source
from tilth.resources.graph import Graph
from tilth.sql.language.statements import CreateSource, Kind, Options, Secret, Value


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
        given = {k: _resolved(v, declared, root) for k, v in declared.options.items}
        found = strangers.source(declared.engine, lambda: adapter.from_options(given, root))
    except SourceError as error:
        raise error.at(declared.position) if declared.position else error from None
    return found


def _resolved(value: Value, declared: CreateSource, root: str) -> object:
    if isinstance(value, Secret):
        return _secret(value.reference, declared, root)
    if isinstance(value, Options):
        return {k: _resolved(v, declared, root) for k, v in value.items}
    if isinstance(value, tuple):
        return tuple(_resolved(v, declared, root) for v in value)
    return value


def _secret(reference: str, declared: CreateSource, root: str) -> str:
    kind, _, name = reference.partition(":")
    if kind == "env":
        found = os.environ.get(name)
        if found is None:
            raise SourceError(
                f"Source `{declared.name}` needs the secret `{reference}`, and there is no such environment variable.",
                hint=f"Set it before the command: {name}=... tilth apply",
                where=declared.position,
            )
        return found
    if kind == "file":
        path = os.path.join(root, os.path.expanduser(name))
        try:
            with open(path, encoding="utf-8") as file:
                return file.read().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise SourceError(
                f"Source `{declared.name}` needs the secret in {path}, which cannot be read ({why}).",
                hint="Write the secret into that file, readable by this user only.",
                where=declared.position,
            ) from error
    raise SourceError(
        f"Source `{declared.name}` refers to a secret `{kind}:`, which is not a kind that is known.",
        hint="Write SECRET 'env:NAME' or SECRET 'file:PATH'.",
        where=declared.position,
    )
