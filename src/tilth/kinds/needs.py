"""What declarations need of one another: names that are declared as a kind, and what a query reads.

Used by the modules of the kinds; which of it goes into a recipe is said by `resources.making.Needs`.
"""

from __future__ import annotations

from tilth.core.errors import Position, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.kinds.source import as_read
from tilth.resources.kinds import TableRef
from tilth.resources.making import Known, Needs
from tilth.sql.language.statements import Declaration, Kind, Query
from tilth.sql.queries.reads import tables


def of_query(d: Declaration, query: Query, known: Known) -> Needs:
    """What a query reads: tables of sources, and datasets."""
    found: set[TableRef] = set()
    datasets: set[str] = set()
    for use in tables(query.sql, query.position):
        if use.schema is not None:
            found.add(TableRef(need(use.schema.lower(), Kind.SOURCE, known, d, use.position), use.name))
        else:
            datasets.add(need(use.name.lower(), Kind.DATASET, known, d, use.position))
    refs = tuple(sorted(found, key=lambda t: (t.source, t.table)))
    return Needs(tuple(sorted(datasets)), as_read({t.source for t in refs}, known, refs), (), refs)


def need(name: str, kind: Kind, known: Known, user: Declaration, where: Position | None = None) -> str:
    """The name, which is declared as that kind; UnknownNameError where it is used when it is not."""
    found = known.get(name)
    if found is not None and found.kind is kind:
        return name
    names = [n for n, d in known.items() if d.kind is kind]
    hint = did_you_mean(name, names, f"{kind}s")
    if found is None:
        message = f"There is no {kind} `{name}`, which `{user.name}` needs."
        if name == "tilth" and kind is Kind.SOURCE:
            hint = "Tables of the schema tilth can be asked, but not be made into data. " + hint
    else:
        message = f"`{name}` is a {found.kind}, not a {kind}, which `{user.name}` needs."
        if found.kind is Kind.SOURCE and kind is Kind.DATASET:
            hint = f"Write the table too: {name}.<table>. " + hint
    raise UnknownNameError(message, hint=hint, where=where or user.position)
