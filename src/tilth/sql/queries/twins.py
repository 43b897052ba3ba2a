"""Columns of a source's table whose names differ only in case: SQL here cannot hold two of them apart.

A query that names one, exactly as it is written in the source, reads that one; what would mix them up is refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from tilth.core.errors import Position, ProjectError
from tilth.core.names import is_bare, quoted
from tilth.core.schema import Schema
from tilth.sql.language.trees import parts_of
from tilth.sql.queries import reads


def settled(sql: str, schemas: Mapping[str, Schema], at: Position | None = None) -> dict[str, Schema]:
    """The schemas with one column of each such name: the one that the query names, or none."""
    out = dict(schemas)
    for table, schema in schemas.items():
        groups = _groups(schema)
        if not groups:
            continue
        spelled = _spelled(sql)
        gone = {
            n for low, names in groups.items() for n in names if n != _named(table, low, names, spelled, at)
        }
        left = Schema(tuple(f for f in schema if f.name not in gone))
        found = next((s for s in reads.scans(sql, {table: left}, at)), None)
        if found is not None and found.scan.columns is None:  # a * or a whole row
            raise _mixed(table, next(iter(groups.values())), at)
        out[table] = left
    return out


def _spelled(sql: str) -> set[str]:
    """Every name of a column in the query, as it is written."""
    from sqlglot import exp

    root = reads.parsed(sql)
    joined = {n.name for join in root.find_all(exp.Join) for n in join.args.get("using") or ()}
    return joined | {part for column in root.find_all(exp.Column) for part in parts_of(column)}


def _groups(schema: Schema) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in schema.names:
        found.setdefault(name.lower(), []).append(name)
    return {low: names for low, names in found.items() if len(names) > 1}


def _named(table: str, low: str, names: list[str], spelled: set[str], at: Position | None) -> str | None:
    """The one of the names that the query means; None when it means none."""
    meant = {s for s in spelled if s.lower() == low}
    if not meant:
        return None
    if len(meant) > 1 or not meant <= set(names):
        raise _mixed(table, names, at)
    return meant.pop()


def _alias(name: str) -> str:
    return name if is_bare(name) else quoted(name)


def _mixed(table: str, names: list[str], at: Position | None) -> ProjectError:
    source, _, bare = table.partition(".")
    listed = ", ".join(f"{quoted(n)} AS {_alias(f'{n.lower()}_{i}')}" for i, n in enumerate(names, 1))
    return ProjectError(
        f"Table `{table}` has columns whose names differ only in case: {', '.join(map(quoted, names))}.",
        hint=f"Name one of them exactly so, without *: SELECT {quoted(names[0])}. To have both, rename them in a view of the"
        f" source, or in a native query: FROM {source} (SELECT {listed} FROM {bare}).",
        where=at,
    )
