"""Whether a query may run, decided on DuckDB's own reading of it: the text that was read is the text that runs.

What is not known here is refused: kinds of nodes, tables that are no input, functions that make tables. Functions of values
are DuckDB's own, but for the few that ask or change what lies around the query. A query that gets past this still has
nothing in its reach (`duckdb_task`, `jails.jail`): this is where it is told so in one sentence, before anything runs.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tilth.core.errors import LanguageError, TilthError, UnknownNameError, UnsupportedError
from tilth.core.names import did_you_mean
from tilth.core.reach import AROUND, HINT, TABLES, no_call, no_table

NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
RELATIONS = frozenset(
    {"BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EXPRESSION_LIST", "EMPTY", "PIVOT", "SHOW_REF"}
)


def checked(connection: Any, sql: str, inputs: Collection[str]) -> None:
    """Return when the text is one query over the inputs; UnsupportedError, UnknownNameError or LanguageError else.

    A text that DuckDB cannot read passes: running it will say where it is wrong.
    """
    said = connection.execute("SELECT json_serialize_sql($1)", [sql]).fetchall()[0][0]
    found = json.loads(said)
    if found["error"]:
        if found.get("error_type") == "not implemented":
            raise _no_query(sql)
        return
    if len(found["statements"]) != 1:
        raise LanguageError(
            "A query is one SELECT statement.", hint="Remove the other statements; WITH ... SELECT is fine."
        )
    _Walk({n.lower() for n in inputs}).visit(found["statements"][0])


def _no_query(sql: str) -> TilthError:
    word = (sql.split(None, 1) or [""])[0].upper()[:20]
    if "PIVOT" in sql.upper():
        return UnsupportedError(
            "PIVOT needs its values.", hint="Write PIVOT t ON c IN ('a', 'b') USING sum(x)."
        )
    return LanguageError(f"A query is one SELECT statement, and this begins with {word}.", hint=HINT)


class _Walk:
    """Looks at every node of a query's tree."""

    def __init__(self, inputs: set[str]) -> None:
        self._inputs = inputs

    def visit(self, statement: Mapping[str, Any]) -> None:
        every = list(_nodes(statement))
        made = {m["key"].lower() for n in every for m in _ctes(n)}
        made |= {n["cte_name"].lower() for n in every if isinstance(n.get("cte_name"), str)}
        made |= {n["ctename"].lower() for n in every if isinstance(n.get("ctename"), str)}
        for node in every:
            kind = node.get("type")
            if not isinstance(kind, str):
                continue
            if kind.endswith("_NODE") and kind not in NODES:
                raise UnsupportedError(f"A query may not hold {kind}.", hint=HINT)
            if "sample" in node and "alias" in node and "class" not in node and kind not in RELATIONS:
                raise UnsupportedError(f"A query may not read from {kind}.", hint=HINT)
            if kind == "BASE_TABLE":
                self._table(node, made)
            elif kind == "SHOW_REF":
                _shown(node)
            elif kind == "TABLE_FUNCTION":
                _making(node)
            if isinstance(node.get("function_name"), str) and node["function_name"].lower() in AROUND:
                raise UnsupportedError(no_call(node["function_name"]), hint=HINT)

    def _table(self, node: Mapping[str, Any], made: set[str]) -> None:
        path = [str(p).lower() for p in node["qualified_name"]["path"]]
        name = ".".join(path)
        if name in self._inputs or (len(path) == 1 and name in made):
            return
        if len(path) == 1 and ("/" in name or name.endswith((".csv", ".parquet", ".json", ".db", ".duckdb"))):
            raise UnsupportedError("A query reads no file by its name.", hint=HINT)
        shown = [n for n in self._inputs if not n.startswith("tilth_")]
        raise UnknownNameError(
            f"There is no table `{'.'.join(node['qualified_name']['path'])}` for this query.",
            hint=did_you_mean(name, shown, "tables") if shown else HINT,
        )


def _nodes(tree: Any) -> Iterator[Mapping[str, Any]]:
    """Every mapping in the tree; it may be deep, so nothing calls itself."""
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _ctes(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = node.get("cte_map")
    return found["map"] if isinstance(found, dict) else []


def _shown(node: Mapping[str, Any]) -> None:
    """DESCRIBE and SUMMARIZE of a query are queries; SHOW of what is there is none."""
    if node.get("query") is None:
        raise UnsupportedError(
            "SHOW is a statement of its own here, and no table of a query.", hint="Write SHOW TABLES."
        )


def _making(node: Mapping[str, Any]) -> None:
    name = node["function"]["function_name"]
    if name.lower() not in TABLES:
        raise UnsupportedError(no_table(name), hint=HINT)
