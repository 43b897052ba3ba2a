"""Queries of declarations as their engine reads them, before any source is asked: what only the engine refuses is said under the word.

Names are bound later, over the schemas of sources (`applying.binding`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

from tilth.core.errors import LanguageError
from tilth.ports import registry
from tilth.ports.engine import QueryEngine
from tilth.resources.kinds import Resource
from tilth.sql.language.statements import CreateDataset, CreateModel, Query
from tilth.sql.queries import asof
from tilth.sql.queries.located import located


def problems(resources: Iterable[Resource]) -> Iterator[LanguageError]:
    """What the engine would not read, of the queries of datasets and models, each with its place."""
    queries = [query for resource in resources for query in _queries(resource)]
    engine = cast("QueryEngine", registry.load(registry.PARTS, "engine")()) if queries else None
    for query in queries:
        assert engine is not None
        plain = asof.plain(query.sql)
        try:
            engine.check(plain)
        except LanguageError as error:
            same = len(plain) == len(query.sql)
            found = located(error, plain, query.position, query.sql if same else None)
            found.hint = found.hint or "Queries are DuckDB SQL."
            yield found


def require(resources: Iterable[Resource]) -> None:
    """LanguageError for the first of them."""
    for error in problems(resources):
        raise error


def _queries(resource: Resource) -> Iterator[Query]:
    declared = resource.declaration
    if isinstance(declared, CreateDataset):
        yield declared.query
        if declared.ready is not None:
            yield declared.ready.query
    elif isinstance(declared, CreateModel) and isinstance(declared.source, Query):
        yield declared.source
