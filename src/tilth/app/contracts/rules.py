"""Quality rules of the Open Data Contract Standard as items of EXPECT, and back.

A rule that cannot be said is an error that names it. https://bitol-io.github.io/open-data-contract-standard/v3.1.0/data-quality
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tilth.core.errors import ProjectError
from tilth.core.names import in_query, literal
from tilth.ml.data.comparison import split_comparison
from tilth.sql.language.printer import show_check
from tilth.sql.language.statements import CheckKind, Expectation, OnFail
from tilth.sql.language.trees import tree

OPERATORS = {
    "mustBe": "=", "mustNotBe": "<>", "mustBeGreaterThan": ">", "mustBeGreaterOrEqualTo": ">=", "mustBeLessThan": "<",
    "mustBeLessOrEqualTo": "<=", "mustBeBetween": "BETWEEN", "mustNotBeBetween": "NOT BETWEEN",
}  # fmt: skip
METRICS = ("nullValues", "missingValues", "invalidValues", "duplicateValues", "rowCount")
SAID = {  # what describes a rule and changes nothing
    "id", "name", "description", "dimension", "businessImpact", "tags", "schedule", "scheduler", "method",
    "authoritativeDefinitions",
}  # fmt: skip
KNOWN = SAID | {"type", "metric", "rule", "arguments", "query", "engine", "implementation", "severity", "unit", "customProperties", *OPERATORS}  # fmt: skip
ON_FAIL = "tilth.onFail"
SEVERITY = {OnFail.STOP: "error", OnFail.QUARANTINE: "error", OnFail.WARN: "warning"}
_ROWS = re.compile(
    r"SELECT COUNT\(\*\) FROM \$\{object\} WHERE NOT coalesce\(\((.*)\)::BOOLEAN, false\)", re.DOTALL
)


def item(rule: Mapping[str, Any], where: str, column: str | None) -> str | None:
    """The item of EXPECT that a rule is, with its ON FAIL; None for one in words. ProjectError for what is not known."""
    if not isinstance(rule, Mapping):
        raise fault(where, f"{rule!r} is no rule", "A rule has a metric, a query, or a type.")
    if unknown := sorted(set(rule) - KNOWN):
        raise fault(
            where, f"`{unknown[0]}` is no part of a quality rule", f"Parts: {', '.join(sorted(KNOWN))}."
        )
    kind = rule.get("type", "library")
    if kind == "text":
        return None
    if kind == "custom":
        return _custom(rule, where)
    if kind not in ("library", "sql"):
        raise fault(where, f"a rule of type {kind!r} is not known", "Types: library, sql, text, custom.")
    test = _sql(rule, where, column) if kind == "sql" else _library(rule, where, column)
    return f"{test} ON FAIL {_on_fail(rule, where)}"


def fault(where: str, what: str, hint: str) -> ProjectError:
    """An error about a place of the contract."""
    return ProjectError(f"In the contract, at {where}: {what}.", hint=hint)


def _on_fail(rule: Mapping[str, Any], where: str) -> str:
    for own in rule.get("customProperties") or ():
        if isinstance(own, Mapping) and own.get("property") == ON_FAIL:
            word = str(own.get("value")).upper()
            if word not in OnFail.__members__:
                raise fault(where, f"{ON_FAIL} is {word!r}", "It is stop, quarantine or warn.")
            return word
    severity = str(rule.get("severity", "error")).lower()
    return "WARN" if severity in ("info", "warning", "low", "medium") else "STOP"


def _custom(rule: Mapping[str, Any], where: str) -> str:
    if rule.get("engine") != "tilth" or not isinstance(rule.get("implementation"), str):
        raise fault(
            where, f"a rule of the engine {rule.get('engine')!r} cannot be run here", "Say it as a library metric or in SQL, or take it out."
        )  # fmt: skip
    return f"{rule['implementation']} ON FAIL {_on_fail(rule, where)}"


def _compared(rule: Mapping[str, Any], where: str) -> tuple[str, Any]:
    """The operator and its value."""
    found = [k for k in OPERATORS if k in rule]
    if len(found) != 1:
        raise fault(where, f"a rule has {len(found)} comparisons", f"Give it one of {', '.join(OPERATORS)}.")
    value = rule[found[0]]
    if "Between" in found[0]:
        if not isinstance(value, list) or len(value) != 2 or not all(map(_is_number, value)):
            raise fault(where, f"{found[0]} is no pair of numbers", "Write [low, high].")
        return OPERATORS[found[0]], f"{value[0]} AND {value[1]}"
    if not _is_number(value) and not isinstance(value, str):
        raise fault(where, f"{found[0]} is {value!r}", "Compare with a number, or with a text.")
    return OPERATORS[found[0]], literal(value) if isinstance(value, str) else value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _library(rule: Mapping[str, Any], where: str, column: str | None) -> str:
    metric = rule.get("metric", rule.get("rule"))
    if metric not in METRICS:
        raise fault(where, f"the metric {metric!r} is not known", f"Metrics: {', '.join(METRICS)}.")
    operator, value = _compared(rule, where)
    arguments = rule.get("arguments") or {}
    unit = rule.get("unit", "rows")
    if unit not in ("rows", "percent"):
        raise fault(where, f"the unit {unit!r} is not known", "Units: rows, percent.")
    if metric == "rowCount":
        return f"COUNT(*) {operator} {value}"
    if metric == "duplicateValues":
        names = arguments.get("properties") or ([column] if column else [])
        if not names:
            raise fault(where, "duplicateValues names no property", "Write arguments: {properties: [a, b]}.")
        listed = ", ".join(in_query(str(n)) for n in names)
        of = listed if len(names) == 1 else f"({listed})"
        return f"{_share(f'COUNT({of}) - COUNT(DISTINCT {of})', unit)} {operator} {value}"
    if column is None:
        raise fault(where, f"{metric} is of a property", "Write it below the property.")
    bad = _bad(metric, arguments, in_query(column), where)
    if operator == "=" and value == 0:
        return bad[1]
    return f"{_share(f'COUNT(*) FILTER (WHERE {bad[0]})', unit)} {operator} {value}"


def _share(count: str, unit: str) -> str:
    return count if unit == "rows" else f"100.0 * ({count}) / COUNT(*)"


def _bad(metric: str, arguments: Mapping[str, Any], own: str, where: str) -> tuple[str, str]:
    """SQL that is true for a row that counts, and the condition that no row does."""
    if metric == "nullValues":
        return f"{own} IS NULL", f"{own} IS NOT NULL"
    if metric == "missingValues":
        values = [v for v in arguments.get("missingValues", [None]) if v is not None]
        listed = ", ".join(_value(v) for v in values)
        return (f"{own} IS NULL OR {own} IN ({listed})", f"{own} IS NOT NULL AND {own} NOT IN ({listed})") if values else (
            f"{own} IS NULL", f"{own} IS NOT NULL")  # fmt: skip
    valid, pattern = arguments.get("validValues"), arguments.get("pattern")
    if unknown := set(arguments) - {"validValues", "pattern"}:
        raise fault(
            where, f"invalidValues does not know {min(unknown)!r}", "Arguments: validValues, pattern."
        )
    if valid:
        test = f"{own} IN ({', '.join(map(_value, valid))})"
    elif pattern:
        test = f"regexp_matches({own}, {literal(str(pattern))})"
    else:
        raise fault(
            where,
            "invalidValues does not say what is valid",
            "Write arguments: {validValues: [...]} or {pattern: '...'}.",
        )
    return f"{own} IS NOT NULL AND NOT {test}", f"{own} IS NULL OR {test}"


def _value(value: object) -> str:
    return (
        str(value)
        if _is_number(value)
        else "TRUE"
        if value is True
        else "FALSE"
        if value is False
        else literal(str(value))
    )


def _sql(rule: Mapping[str, Any], where: str, column: str | None) -> str:
    """A query of one aggregate over the object, with a WHERE or without, as a comparison of that aggregate."""
    from sqlglot import exp

    query = str(rule.get("query") or "").strip().rstrip(";")
    operator, value = _compared(rule, where)
    if (rows := _ROWS.fullmatch(query)) and operator == "=" and value == 0:
        return rows[1]
    text = re.sub(r"\$?\{(object|table|schema)\}", "rows", query)
    text = re.sub(r"\$?\{(property|column)\}", in_query(column) if column else "", text)
    hint = "Write SELECT <one aggregate> FROM ${object} [WHERE ...]."
    root = tree(text) if text else None
    plain = isinstance(root, exp.Select) and len(root.expressions) == 1 and not {
        k for k, v in root.args.items() if v and k not in ("expressions", "from", "from_", "where", "kind")
    }  # fmt: skip
    if root is None or not plain or len(list(root.find_all(exp.Table))) != 1 or root.find(exp.Subquery):
        raise fault(where, "the query is not one aggregate of the object", hint)
    wanted, condition = root.expressions[0], root.args.get("where")
    if condition is None:
        return f"{wanted.sql(dialect='duckdb')} {operator} {value}"
    if not isinstance(wanted, exp.AggFunc):
        raise fault(where, "the query is not one aggregate of the object", hint)
    return f"{wanted.sql(dialect='duckdb')} FILTER ({condition.sql(dialect='duckdb').strip()}) {operator} {value}"


# --- and back ----------------------------------------------------------------------------------------------

_SETS = {"=": "mustBe", "<>": "mustNotBe", "!=": "mustNotBe", ">": "mustBeGreaterThan", ">=": "mustBeGreaterOrEqualTo", "<": "mustBeLessThan", "<=": "mustBeLessOrEqualTo"}  # fmt: skip


def rule(e: Expectation) -> dict[str, Any]:
    """The rule that an item is: in SQL that other tools can run, where there is such; else of the engine tilth."""
    out: dict[str, Any] = {"name": " ".join(show_check(e).split())[:120]}
    if e.kind is CheckKind.ROW:
        query = f"SELECT COUNT(*) FROM ${{object}} WHERE NOT coalesce(({e.expression})::BOOLEAN, false)"
        out |= {"type": "sql", "query": query, "mustBe": 0}
    elif e.kind is CheckKind.SET and (compared := _of_set(e.expression)) is not None:
        out |= {"type": "sql", **compared}
    else:
        out |= {"type": "custom", "engine": "tilth", "implementation": show_check(e)}
    own = [{"property": ON_FAIL, "value": e.on_fail.value}]
    return {**out, "severity": SEVERITY[e.on_fail], "customProperties": own}


def _of_set(expression: str) -> dict[str, Any] | None:
    """The parts of a comparison of an aggregate with a number, if read back they say the same."""
    left, compared = split_comparison(expression)
    rest = expression[len(left) :].strip() if compared else ""
    found = re.fullmatch(r"(=|<>|!=|>=|<=|>|<)\s*(-?[0-9]+(?:\.[0-9]+)?)", rest)
    if found is None:
        return None
    number = float(found[2]) if "." in found[2] else int(found[2])
    out = {"query": f"SELECT {left} FROM ${{object}}", _SETS[found[1]]: number}
    try:
        back = _sql(out, "", None)
    except ProjectError:
        return None
    return out if back == f"{left} {found[1]} {found[2]}" else None
