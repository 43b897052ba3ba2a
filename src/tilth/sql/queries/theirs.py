"""Outputs by the names that MindsDB has for them: `y_min` and `y_max` of the interval, `y_original` of the rows, `y_anomaly`.

They are read where they are asked for by name and are not among what `*` gives. `y_anomaly` is NULL, since nothing says what is odd, and so is
`y_original` where there are no rows, and an end of an interval where there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tilth.sql.language.trees import Named, parts_of, relations

if TYPE_CHECKING:
    from sqlglot import exp

    from tilth.sql.queries.shapes import ModelShape

ENDS = {"_min": "_lower", "_max": "_upper"}
_CONFIDENCE = "_confidence"


def renamed(select: exp.Select, models: Sequence[tuple[Named, ModelShape]]) -> None:
    """Change, in place, columns of the models in this SELECT that only MindsDB calls so."""
    from sqlglot import exp

    nodes = [t.node for t, _ in models]
    rows = [r.alias for r in relations(select) if all(r.node is not n for n in nodes)]
    for table, shape in models:
        known = {n.lower() for n in (*shape.inputs, *shape.outputs)}
        made = _names(shape)
        if not made:
            continue
        own = {table.alias.lower(), table.name.lower()}
        for column in list(select.find_all(exp.Column)):
            *qualifiers, name = parts_of(column)
            low = name.lower()
            if low not in made or low in known or (qualifiers and qualifiers[-1].lower() not in own):
                continue
            if column.find_ancestor(exp.Query) is not select:
                continue
            found = _meant(made[low], column, rows)
            item = isinstance(column.parent, exp.Select) and column.arg_key == "expressions"
            column.replace(exp.alias_(found, name, quoted=True) if item else found)


def _names(shape: ModelShape) -> dict[str, tuple[str, str | None]]:
    """By MindsDB's name in lower case: the target, and the output that it is, or None."""
    outputs = {o.lower(): o for o in shape.outputs}
    found: dict[str, tuple[str, str | None]] = {}
    for low, output in outputs.items():
        if f"{low}{_CONFIDENCE}" not in outputs:
            continue
        for theirs, ours in ENDS.items():
            found[f"{low}{theirs}"] = (output, outputs.get(f"{low}{ours}"))
        found[f"{low}_anomaly"] = found[f"{low}_original"] = (output, None)
    return found


def _meant(said: tuple[str, str | None], column: exp.Column, rows: Sequence[str]) -> exp.Expr:
    """The output that it is; of rows that come from one place their own column, and NULL of what there is nothing for."""
    from sqlglot import exp

    target, output = said
    if output is not None:
        made = column.copy()
        made.set("this", exp.to_identifier(output, quoted=True))
        return made
    if column.name.lower().endswith("_original") and len(rows) == 1 and rows[0]:
        of = exp.to_identifier(rows[0], quoted=True)
        return exp.Column(this=exp.to_identifier(target, quoted=True), table=of)
    return exp.cast(exp.null(), "double")
