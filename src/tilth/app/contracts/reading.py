"""A contract as declarations of datasets: keys, what is required, quality rules, relationships and how fresh rows are.

What is about people, prices and servers is no part of a declaration. What is a rule and cannot be said is an error, and
nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tilth.app.contracts.rules import fault, item
from tilth.core.errors import InputError, MissingExtraError, ProjectError, TilthError
from tilth.core.names import in_query, literal
from tilth.core.time import show_duration
from tilth.sql.language.statements import CreateDataset

VERSION = "v3.1.0"
MOST = 5_000_000  # bytes of a contract
SPANS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LENGTHS = {"minLength": ">=", "maxLength": "<="}
ENDS = {"minimum": ">=", "maximum": "<=", "exclusiveMinimum": ">", "exclusiveMaximum": "<"}
SHAPES = frozenset(
    {"format", "timezone", "defaultTimezone"}
)  # options that say what a type is, and forbid nothing
QUERY, REFRESH, EVENT, KNOWN = "tilth.query", "tilth.refresh", "tilth.eventTime", "tilth.knownAt"


@dataclass(frozen=True, slots=True)
class Read:
    """Declarations by name, and rules that are words for people."""

    datasets: Mapping[str, str]
    in_words: tuple[str, ...] = ()


def read(text: str, source: str | None = None) -> Read:
    """The datasets of a contract; `source` is where their tables are, where the contract holds no query of tilth's."""
    contract = _parsed(text)
    words: list[str] = []
    out: dict[str, str] = {}
    objects = contract.get("schema") or []
    if not isinstance(objects, list) or not objects:
        raise fault(
            "schema", "there is no object", "A contract for a dataset has a schema with one object or more."
        )
    fresh = _fresh(contract)
    for n, one in enumerate(objects):
        if not isinstance(one, Mapping) or not one.get("name"):
            raise fault(f"schema[{n}]", "an object has no name", "Give it a name.")
        name = str(one["name"])
        if name.lower() in {k.lower() for k in out}:
            raise fault(f"schema[{n}]", f"`{name}` is there twice", "Give each object a name of its own.")
        out[name] = _dataset(one, source, fresh if len(objects) == 1 else None, words)
    return Read(out, tuple(words))


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingExtraError(
            "The library `pyyaml` is not installed.", hint="Run `pip install 'tilth[odcs]'`."
        ) from error
    if len(text) > MOST:
        raise InputError(f"The contract has {len(text):,} characters.", hint=f"{MOST:,} are the most.")
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}" if mark else ""
        raise InputError(
            f"The contract is no YAML{place}: {getattr(error, 'problem', None) or error}.",
            hint="Mend it there.",
        ) from error
    if not isinstance(found, Mapping) or found.get("kind") != "DataContract":
        raise InputError(
            "The file is no data contract.", hint="It says kind: DataContract, and apiVersion: v3.1.0."
        )
    if found.get("apiVersion") != VERSION:
        raise InputError(
            f"The contract is of version {found.get('apiVersion')!r} of the standard.", hint=f"tilth reads {VERSION}: write its rules as that version has them."
        )  # fmt: skip
    return found


def _own(one: Mapping[str, Any]) -> dict[str, Any]:
    listed = one.get("customProperties") or []
    return {str(p.get("property")): p.get("value") for p in listed if isinstance(p, Mapping)}


def _dataset(
    one: Mapping[str, Any], source: str | None, fresh: tuple[str, str] | None, words: list[str]
) -> str:
    from tilth.kinds import parse_one, show

    name, own = str(one["name"]), _own(one)
    columns = [p for p in one.get("properties") or [] if isinstance(p, Mapping)]
    names = [str(p.get("physicalName") or p.get("name") or "") for p in columns]
    if len({n.lower() for n in names}) != len(names) or "" in names:
        raise fault(name, "two properties have one name, or one has none", "Name each property once.")
    query = own.get(QUERY)
    if query is None:
        if source is None:
            raise ProjectError(
                f"The contract does not say where the rows of `{name}` are.",
                hint="Run it with --source NAME, a source of the project.",
            )
        listed = ", ".join(map(in_query, names)) or "*"
        query = f"SELECT {listed} FROM {in_query(source)}.{in_query(str(one.get('physicalName') or name))}"
    keys = sorted(
        (int(p.get("primaryKeyPosition") or 0), i) for i, p in enumerate(columns) if p.get("primaryKey")
    )
    event = own.get(EVENT) or (fresh[0] if fresh else None)
    items = list(_items(one, columns, names, source, words))
    items += [f"FRESH WITHIN {literal(fresh[1])}"] if fresh else []
    tags = [(n, str(t)) for n, p in zip(names, columns, strict=True) for t in (p.get("tags") or [])[:1]]
    clauses = [
        f"KEY ({', '.join(in_query(names[i]) for _, i in keys)})" if keys else "",
        f"EVENT TIME {in_query(str(event))}" if event else "",
        f"KNOWN AT {in_query(str(own[KNOWN]))}" if own.get(KNOWN) else "",
        str(own.get(REFRESH) or ""),
        f"EXPECT ({', '.join(items)})" if items else "",
        f"TAG ({', '.join(f'{in_query(n)} = {literal(t)}' for n, t in tags)})" if tags else "",
    ]
    text = f"CREATE DATASET {in_query(name)} {' '.join(c for c in clauses if c)} AS {query}"
    try:
        made = parse_one(text)
    except TilthError as error:
        raise fault(
            name, f"its declaration cannot be read: {error.message}", error.hint or "Mend the rule."
        ) from error
    assert isinstance(made, CreateDataset)
    return show(made)


def _items(one: Mapping[str, Any], columns: list[Mapping[str, Any]], names: list[str], source: str | None, words: list[str]) -> Iterator[str]:  # fmt: skip
    for name, p in zip(names, columns, strict=True):
        where = f"{one['name']}.{name}"
        if p.get("required") and not p.get("primaryKey"):
            yield f"{in_query(name)} IS NOT NULL"
        if p.get("unique") and not p.get("primaryKey"):
            yield f"COUNT(DISTINCT {in_query(name)}) = COUNT({in_query(name)})"
        yield from _options(p, name, where)
        yield from _relations(p, name, where, source)
        yield from _rules(p, where, name, words)
    if one.get("relationships"):
        raise fault(
            str(one["name"]),
            "relationships of several properties are not read",
            "Write them below a property each.",
        )
    yield from _rules(one, str(one["name"]), None, words)


def _rules(at: Mapping[str, Any], where: str, column: str | None, words: list[str]) -> Iterator[str]:
    for n, rule in enumerate(at.get("quality") or []):
        made = item(rule, f"{where}.quality[{n}]", column)
        if made is None:
            words.append(f"{where}: {rule.get('description') or rule.get('name') or 'a rule without words'}")
        else:
            yield made


def _options(p: Mapping[str, Any], name: str, where: str) -> Iterator[str]:
    """What options of a type forbid; a value that is missing is not forbidden by them."""
    own, missing = in_query(name), f"{in_query(name)} IS NULL OR "
    for key, value in (p.get("logicalTypeOptions") or {}).items():
        shown = (
            value if isinstance(value, int | float) and not isinstance(value, bool) else literal(str(value))
        )
        if key in ENDS:
            yield f"{missing}{own} {ENDS[key]} {shown}"
        elif key in LENGTHS:
            yield f"{missing}length({own}) {LENGTHS[key]} {shown}"
        elif key == "pattern":
            yield f"{missing}regexp_matches({own}, {shown})"
        elif key == "multipleOf":
            yield f"{missing}{own} % {shown} = 0"
        elif key not in SHAPES:
            raise fault(
                where,
                f"the option {key!r} of a type is not known",
                f"Options: {', '.join([*ENDS, *LENGTHS, 'pattern', 'multipleOf', *sorted(SHAPES)])}.",
            )


def _relations(p: Mapping[str, Any], name: str, where: str, source: str | None) -> Iterator[str]:
    for one in p.get("relationships") or []:
        table, _, column = str(one.get("to", "")).rpartition(".")
        if one.get("type", "foreignKey") != "foreignKey" or not table or "/" in table or column != name:
            raise fault(
                where,
                f"the relationship to {one.get('to')!r} is not read",
                f"Write to: table.{name}, a column of the same name.",
            )
        if source is None:
            raise ProjectError(
                f"The contract does not say where the table `{table}` is.", hint="Run it with --source NAME."
            )
        yield f"REFERENCES {in_query(source)}.{in_query(table)} ({in_query(name)})"


def _fresh(contract: Mapping[str, Any]) -> tuple[str, str] | None:
    """The event time and the age that the contract's service levels name."""
    for n, one in enumerate(contract.get("slaProperties") or []):
        if str(one.get("property", "")).lower() not in ("latency", "freshness", "ly"):
            continue
        element = str(one.get("element") or contract.get("slaDefaultElement") or "").rpartition(".")[2]
        unit = SPANS.get(str(one.get("unit") or "d")[:1].lower())
        value = one.get("value")
        if not element or unit is None or not isinstance(value, int | float) or value <= 0:
            raise fault(
                f"slaProperties[{n}]",
                "how fresh rows are is not said",
                "Write value: 2, unit: d, element: table.column.",
            )
        return element, show_duration(timedelta(**{unit: float(value)}))
    return None
