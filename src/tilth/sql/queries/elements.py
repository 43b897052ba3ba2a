"""`y_probabilities->>'EV'`: JSON's arrows on an output that is a map become access to its element.

DuckDB takes the arrows on a map by way of JSON, where a class called `a.b` or `x[0]` would be a path into it. A map has no
paths: whatever the arrow names is a key. `->>` stays a text and `->` JSON, as they are on JSON.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from tilth.sql.language.trees import Named, parts_of

if TYPE_CHECKING:
    from sqlglot import exp


def elements(root: exp.Expr, models: Sequence[Named], maps: Collection[str]) -> None:
    """Change, in place, the arrows on outputs of the models whose names (in lower case) are among `maps`."""
    from sqlglot import exp

    aliases = {name.lower() for m in models for name in (m.alias, m.name)}
    for node in list(root.find_all(exp.JSONExtract, exp.JSONExtractScalar)):
        column = node.this
        if not isinstance(column, exp.Column):
            continue
        *qualifiers, name = parts_of(column)
        if name.lower() not in maps or (qualifiers and qualifiers[-1].lower() not in aliases):
            continue
        key = _key(node.expression)
        if key is not None:
            _replace(node, column, name, key)


def _replace(node: exp.Expr, column: exp.Expr, name: str, key: exp.Expr) -> None:
    from sqlglot import exp

    text = isinstance(node, exp.JSONExtractScalar)
    element = exp.Bracket(this=column.copy(), expressions=[key])
    made = exp.cast(element, "text") if text else exp.Anonymous(this="to_json", expressions=[element])
    item = isinstance(node.parent, exp.Select) and node.arg_key == "expressions"
    shown = f"{name} {'->>' if text else '->'} {key.sql(dialect='duckdb')}"
    node.replace(exp.alias_(made, shown, quoted=True) if item else made)


def _key(path: exp.Expr) -> exp.Expr | None:
    """The key that an arrow names, as it was written; None for a path with wildcards, which is left as it is."""
    from sqlglot import exp

    if not isinstance(path, exp.JSONPath):
        return path.copy()
    out = ""
    for part in path.expressions:
        if isinstance(part, exp.JSONPathKey) and isinstance(part.this, str):
            out += f".{part.this}" if out else part.this
        elif isinstance(part, exp.JSONPathSubscript) and isinstance(part.this, int):
            out += f"[{part.this}]"
        elif not isinstance(part, exp.JSONPathRoot):
            return None
    return exp.Literal.string(out)
