"""A model as an exposure of dbt's: which of a dbt project's relations it is made from, as text for that project's YAML."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from tilth.core.errors import UnsupportedError
from tilth.resources.graph import Graph
from tilth.resources.kinds import Resource
from tilth.runtime import sources
from tilth.runtime.asking.exporting import Exported
from tilth.runtime.workspace import Workspace
from tilth.sql.language.statements import Kind


def exposed(work: Workspace, graph: Graph, model: str, version: int, owner: str) -> Exported:
    """`exposures:` with one of type ml; UnsupportedError where nothing that the model is made from is dbt's.

    Texts are JSON's strings, which YAML reads as they are.
    """
    resource = graph.get(model)
    refers = sorted(set(_references(work, graph, resource)))
    if not refers:
        raise UnsupportedError(
            f"Nothing that `{model}` is made from is a table of a dbt source.",
            hint="Read the relations through CREATE SOURCE ... ENGINE dbt WITH (manifest = '...', connection = ...).",
        )
    served = [r.name for r in graph.downstream(model) if r.kind is Kind.ENDPOINT]
    about = f"Model {model} of tilth, version {version}" + (
        f", served as {', '.join(served)}." if served else "."
    )
    lines = [
        "version: 2", "", "exposures:", f"  - name: {re.sub(r'[^A-Za-z0-9_]', '_', model)}", "    type: ml",
        f"    label: {json.dumps(model)}", f"    description: {json.dumps(about)}", "    owner:",
        f"      {'email' if '@' in owner else 'name'}: {json.dumps(owner)}", "    depends_on:",
        *(f"      - {r}" for r in refers), "",
    ]  # fmt: skip
    facts = {"model": model, "version": version, "format": "dbt", "depends_on": refers, "endpoints": served}
    return Exported({"": "\n".join(lines).encode()}, facts)


def _references(work: Workspace, graph: Graph, resource: Resource) -> Iterator[str]:
    tables = {t for r in (*graph.upstream(resource.name), resource) for t in r.tables}
    with sources.opened(graph, work.root, {t.source for t in tables}) as opened:
        for table in tables:
            refer = getattr(opened.get(table.source), "reference", None)
            if refer is not None:
                yield refer(table.table)
