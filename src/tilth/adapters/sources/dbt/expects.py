"""dbt's tests and freshness as items of EXPECT, each with what it was; what has no like is named with the reason."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tilth.adapters.sources.dbt.manifest import Manifest, Relation
from tilth.core.names import is_bare, literal, quoted
from tilth.ports.source import Offered

_PERIODS = ("minute", "hour", "day")


def offered(relation: Relation, manifest: Manifest, source: str) -> tuple[Offered, ...]:
    """What dbt promises of the relation, for a dataset that returns its columns under their names. `source` is its source's name."""
    return (*_freshness(relation), *(_test(t, manifest, source) for t in relation.tests))


def _freshness(relation: Relation) -> Iterator[Offered]:
    for key, fail in (("error_after", "STOP"), ("warn_after", "WARN")):
        limit = relation.freshness.get(key)
        if not isinstance(limit, dict) or limit.get("count") is None:
            continue
        count, period = limit.get("count"), limit.get("period")
        if period not in _PERIODS or not isinstance(count, int) or count < 1:
            yield Offered("", "freshness", f"its {key} has the period {period!r:.40}")
            continue
        time = f" The dataset needs EVENT TIME {_name(relation.loaded_at)}." if relation.loaded_at else ""
        yield Offered(
            f"FRESH WITHIN '{count} {period}{'s' if count > 1 else ''}' ON FAIL {fail}",
            f"freshness, {key}.{time}",
        )


def _test(test: Mapping[str, Any], manifest: Manifest, source: str) -> Offered:
    meta = _dict(test.get("test_metadata"))
    kind, package = str(meta.get("name") or ""), meta.get("namespace")
    given = _dict(meta.get("kwargs"))
    column = test.get("column_name") or given.get("column_name")
    config = _dict(test.get("config"))
    what = f"{package}.{kind}" if package else kind or str(test.get("name"))
    if not kind:
        return Offered("", what, "it is a query of its own")
    if config.get("where"):
        return Offered("", what, "it has a `where`")
    fail = "WARN" if str(config.get("severity", "error")).lower() == "warn" else "STOP"
    made = _expression(what, given, column, manifest, source)
    if made is None:
        return Offered(
            "", what, "it has no like here" if isinstance(column, str) else "it is of no single column"
        )
    if made.startswith("!"):
        return Offered("", f"{what} of {column}", made[1:])
    return Offered(f"{made} ON FAIL {fail}", f"{what} of {column}")


def _expression(
    what: str, given: Mapping[str, Any], column: object, manifest: Manifest, source: str
) -> str | None:
    """The item without its ON FAIL; None where there is none, `!` and why where it cannot be said."""
    if not isinstance(column, str):
        return None
    name = _name(column)
    arguments = {**given, **_dict(given.get("arguments"))}
    if what == "not_null":
        return f"{name} IS NOT NULL"
    if what == "unique":
        return f"COUNT(DISTINCT {name}) = COUNT({name})"
    if what == "accepted_values":
        values = arguments.get("values")
        if not isinstance(values, list) or not values:
            return "!its values are not listed"
        text = arguments.get("quote", True)
        listed = ", ".join(_value(v, bool(text)) for v in values)
        return f"({name} IS NULL OR {name} IN ({listed}))"
    if what == "relationships":
        return _reference(arguments, column, manifest, source)
    if what == "dbt_utils.accepted_range":
        return _range(arguments, name)
    return None


def _reference(given: Mapping[str, Any], column: str, manifest: Manifest, source: str) -> str:
    wanted = given.get("field")
    if str(wanted).lower() != column.lower():
        return f"!it refers to `{wanted}`, and REFERENCES wants a column of the same name: give it that name in the query"
    text = str(given.get("to", ""))
    parts = [p.strip().strip("'\"") for p in text.partition("(")[2].rpartition(")")[0].split(",")]
    name = "__".join(parts) if text.startswith("source") else parts[-1]
    if name not in manifest.relations:
        return f"!it refers to {text[:80]}, which is no table here"
    return f"REFERENCES {_name(source)}.{_name(name)} ({_name(column)})"


def _range(given: Mapping[str, Any], name: str) -> str:
    inclusive = "=" if given.get("inclusive", True) else ""
    tests = [
        f"{name} {sign}{inclusive} {bound}"
        for sign, bound in ((">", given.get("min_value")), ("<", given.get("max_value")))
        if isinstance(bound, int | float) and not isinstance(bound, bool)
    ]
    return f"({name} IS NULL OR {' AND '.join(tests)})" if tests else "!its bounds are not numbers"


def _value(value: object, text: bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float) and not text:
        return repr(value)
    return (
        literal(str(value))
        if text
        else str(value)
        if str(value).replace(".", "").isdigit()
        else literal(str(value))
    )


def _name(name: str | None) -> str:
    return name if name and is_bare(name) else quoted(name or "")


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
