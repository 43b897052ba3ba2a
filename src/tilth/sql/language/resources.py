"""CREATE SOURCE, DATASET and ENDPOINT, after the word that names the kind. Models are in `parse_models`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

from tilth.core.errors import LanguageError, Position
from tilth.sql.language import clauses, values
from tilth.sql.language.expectations import expectations
from tilth.sql.language.statements import (
    CreateDataset,
    CreateEndpoint,
    CreateSource,
    Expectation,
    Options,
    Outcomes,
    Query,
    Refresh,
    Rollout,
    Tag,
)
from tilth.sql.language.tokens import Cursor

# --- sources -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Source:
    engine: str | None = None
    options: Options = field(default_factory=Options)


def _engine(c: Cursor, s: _Source) -> None:
    c.take("=")
    s.engine = (c.text_token() if c.at_string else c.name("an engine's name")).lower()
    c.take(",")


def _with(c: Cursor, s: _Source) -> None:
    s.options = values.option_list(c)


def source(c: Cursor, or_replace: bool, where: Position) -> CreateSource:
    """`[IF NOT EXISTS] name ENGINE engine [WITH (k = v, ...)]`."""
    exists, name = clauses.head(c, "source")
    parts = _Source()
    clauses.read(c, {"ENGINE": _engine, "WITH": _with}, parts, "CREATE SOURCE")
    if not parts.engine:
        raise LanguageError(
            f"Source `{name}` has no engine.",
            hint=f"Write CREATE SOURCE {name} ENGINE sqlite WITH (path = '...').",
            where=where,
        )
    return CreateSource(name, parts.engine, parts.options, or_replace, exists, where)


# --- datasets ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Dataset:
    key: tuple[str, ...] = ()
    event_time: str | None = None
    refresh: Refresh = field(default_factory=Refresh)
    expect: tuple[Expectation, ...] = ()
    tags: tuple[Tag, ...] = ()
    query: Query | None = None


def _key(c: Cursor, d: _Dataset) -> None:
    d.key = c.names("a key column")


def _event_time(c: Cursor, d: _Dataset) -> None:
    d.event_time = c.name("the event time column", reserved=False)


_REFRESH = ("EVERY", "ON CHANGE", "INCREMENTAL")


def _refresh(c: Cursor, d: _Dataset) -> None:
    start, found = c.i, Refresh()
    while True:
        if c.take("EVERY"):
            found = replace(found, every=values.duration(c))
        elif c.take("ON"):
            c.expect("CHANGE", hint="Write REFRESH ON CHANGE.")
            found = replace(found, on_change=True)
        elif c.take("INCREMENTAL"):
            lookback: timedelta | None = values.duration(c) if c.take("LOOKBACK") else None
            found = replace(found, incremental=True, lookback=lookback)
        elif c.i == start:
            raise c.unknown(
                f"Expected EVERY, ON CHANGE or INCREMENTAL here{c.instead()}.", c.key, _REFRESH, "choices"
            )
        else:
            break
    d.refresh = found


def _expect(c: Cursor, d: _Dataset) -> None:
    d.expect = expectations(c)


def _tag(c: Cursor, d: _Dataset) -> None:
    c.expect("(", hint="Write TAG (column = 'label').")
    tags: list[Tag] = []
    while True:
        column = c.name("a column", reserved=False)
        c.expect("=", hint=f"Write TAG ({column} = 'label').")
        tags.append(Tag(column, c.string("a label")))
        if not c.take(","):
            break
    c.expect(")")
    d.tags = tuple(tags)


def _as(c: Cursor, d: _Dataset) -> None:
    start = c.i
    if c.key not in QUERY_WORDS:
        c.fail(f"Expected a query after AS{c.instead()}.", "Write AS SELECT ... ; it runs to the semicolon.")
    d.query = rest(c, start)


QUERY_WORDS = frozenset({"SELECT", "WITH", "FROM", "VALUES", "("})


def rest(c: Cursor, start: int) -> Query:
    """The query from token `start` to the end of the statement, verbatim."""
    c.i = start
    c.skip_to(frozenset({";"}))
    return Query(c.slice(start, c.i), c.position(start))


_DATASET = {
    "KEY": _key,
    "EVENT TIME": _event_time,
    "REFRESH": _refresh,
    "EXPECT": _expect,
    "TAG": _tag,
    "AS": _as,
}


def dataset(c: Cursor, or_replace: bool, where: Position) -> CreateDataset:
    """`[IF NOT EXISTS] name` with its clauses; what follows AS is the query, to the semicolon."""
    exists, name = clauses.head(c, "dataset")
    d = _Dataset()
    clauses.read(c, _DATASET, d, "CREATE DATASET")
    if d.query is None:
        raise LanguageError(
            f"Dataset `{name}` has no query.", hint="Add AS SELECT ... as the last clause.", where=where
        )
    return CreateDataset(
        name, d.query, d.key, d.event_time, d.refresh, d.expect, d.tags, or_replace, exists, where
    )


# --- endpoints ---------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Endpoint:
    model: str | None = None
    regions: tuple[str, ...] = ()
    replicas: int = 1
    rollout: Rollout = field(default_factory=Rollout)
    outcomes: Outcomes | None = None


def _for_model(c: Cursor, e: _Endpoint) -> None:
    e.model = c.name("a model's name", fold=True)


def _regions(c: Cursor, e: _Endpoint) -> None:
    c.expect("(", hint="Write REGIONS ('us-east', 'eu-west').")
    regions = [c.string("a region")]
    while c.take(","):
        regions.append(c.string("a region"))
    c.expect(")")
    e.regions = tuple(regions)


def _replicas(c: Cursor, e: _Endpoint) -> None:
    e.replicas = values.whole(c, "replicas", 1)


def _rollout(c: Cursor, e: _Endpoint) -> None:
    c.expect("(", hint="Write ROLLOUT (shadow = '200 requests', canary = '10% for 500 requests').")
    known = ("shadow", "canary", "max_error_rate", "max_p99", "max_disagreement", "deadline")
    found, seen = Rollout(), set[str]()
    while True:
        at = c.i
        key = values.option_key(c)
        if key not in known:
            raise c.unknown(f"`{key}` is not an option of ROLLOUT.", key, known, "options", at)
        if key in seen:
            c.fail(f"`{key}` is given twice.", "Keep one of them.", at=at)
        seen.add(key)
        c.expect("=", hint=f"Write {key} = value.")
        found = _rollout_option(c, key, found)
        if not c.take(","):
            break
    c.expect(")")
    e.rollout = found


def _rollout_option(c: Cursor, key: str, found: Rollout) -> Rollout:
    if key == "max_error_rate":
        return replace(found, max_error_rate=_fraction(c, "'0.1%'"))
    if key == "max_disagreement":
        return replace(found, max_disagreement=_fraction(c, "'5%'"))
    if key == "max_p99":
        return replace(found, max_p99=values.duration(c))
    if key == "deadline":
        return replace(found, deadline=values.duration(c))
    at = c.i
    text = c.string("a stage")
    if key == "shadow":
        count = _requests(text)
        if count is None:
            c.fail(f"{text!r} is not a number of requests.", "Write shadow = '200 requests'.", at=at)
        return replace(found, shadow_requests=count)
    share_text, joined, count_text = text.partition(" for ")
    part, count = values.as_share(share_text), _requests(count_text) if joined else None
    if part is None or count is None or not 0 < part <= 1 or count < 1:
        c.fail(f"{text!r} is not a canary stage.", "Write canary = '10% for 500 requests'.", at=at)
    return replace(found, canary_share=part, canary_requests=count)


def _requests(text: str) -> int | None:
    """'200 requests' or '200' as 200; None when it is neither."""
    count, _, unit = text.strip().partition(" ")
    known = unit.strip().lower() in ("", "request", "requests")
    return int(count) if known and count.isascii() and count.isdigit() else None


def _fraction(c: Cursor, example: str) -> float:
    at = c.i
    found = values.share(c, example)
    if not 0 <= found <= 1:
        c.fail("A rate lies between 0 and 1.", f"Write for example {example}.", at=at)
    return found


def _outcomes(c: Cursor, e: _Endpoint) -> None:
    c.expect("FROM", hint="Write OUTCOMES FROM dataset (key, column).")
    name = c.name("a dataset's name", fold=True)
    at = c.i
    columns = c.names("a column")
    if len(columns) < 2:
        c.fail(
            "OUTCOMES needs the key and the column that holds the truth.",
            f"Write OUTCOMES FROM {name} (key, {columns[0]}).",
            at=at,
        )
    required = c.take("REQUIRE")
    if required:
        c.expect("KEY", hint=f"Write OUTCOMES FROM {name} ({', '.join(columns)}) REQUIRE KEY.")
    e.outcomes = Outcomes(name, columns[:-1], columns[-1], required)


_ENDPOINT = {
    "FOR MODEL": _for_model,
    "REGIONS": _regions,
    "REPLICAS": _replicas,
    "ROLLOUT": _rollout,
    "OUTCOMES": _outcomes,
}


def endpoint(c: Cursor, or_replace: bool, where: Position) -> CreateEndpoint:
    """`[IF NOT EXISTS] name FOR MODEL model` with its clauses."""
    exists, name = clauses.head(c, "endpoint")
    e = _Endpoint()
    clauses.read(c, _ENDPOINT, e, "CREATE ENDPOINT")
    if e.model is None:
        raise LanguageError(
            f"Endpoint `{name}` does not say which model it serves.",
            hint="Add FOR MODEL <model>.",
            where=where,
        )
    return CreateEndpoint(
        name, e.model, e.regions, e.replicas, e.rollout, e.outcomes, or_replace, exists, where
    )
