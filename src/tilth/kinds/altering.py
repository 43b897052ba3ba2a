"""ALTER ... SET (option = value): which options each kind has, and the declaration with them changed.

An option is read by the grammar of the clause that it stands in, so that it takes what CREATE takes. NULL takes an option away, and it
means what it means unsaid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from tilth.core.errors import Position, ProjectError, TilthError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.kinds import channel, endpoint, job, looking_up
from tilth.kinds.model import rules
from tilth.sql.language import values
from tilth.sql.language.acts import Alter
from tilth.sql.language.mindsdb import databases
from tilth.sql.language.scheduled import POLL, CreateJob, CreateTrigger, Missed
from tilth.sql.language.statements import (
    CreateChannel,
    CreateDataset,
    CreateEndpoint,
    CreateModel,
    CreateSource,
    CreateView,
    Declaration,
    Options,
    Refresh,
    Rollout,
    Value,
    Watch,
)
from tilth.sql.language.tokens import Cursor
from tilth.sql.language.writing import columns, show_value

Change: TypeAlias = Callable[[Any, str, Value], Any]
"""The declaration with an option of that name changed to that value."""


def altered(declared: Declaration, statement: Alter) -> Declaration:
    """The declaration as the statement changes it; UnknownNameError for an option that its kind does not have."""
    if statement.query is not None:
        assert isinstance(declared, CreateView)
        return replace(declared, query=statement.query, position=statement.position)
    if statement.theirs:
        assert isinstance(declared, CreateSource)
        where = statement.position or Position(1, 1)
        return replace(databases.changed(declared, statement.options, where), position=statement.position)
    found: Any = declared
    for key, value in statement.options.items:
        try:
            found = _one(found, key, value, statement)
        except TilthError as error:
            error.where = statement.position  # and not where it stands in the value that was read
            raise
    return replace(found, position=statement.position)  # type: ignore[no-any-return]


def _one(declared: Any, key: str, value: Value, statement: Alter) -> Any:
    if isinstance(declared, CreateSource):
        return _of_source(declared, key, value)
    if isinstance(declared, CreateModel) and "." in key:
        return replace(declared, using=_put(declared.using, key, value))
    known = OPTIONS[type(declared)]
    if key not in known:
        raise UnknownNameError(
            f"`{key}` is not an option of a {declared.kind}.",
            hint=f"{did_you_mean(key, known, 'options')} Everything else is changed by CREATE OR REPLACE {declared.kind.keyword} {declared.name}.",
            where=statement.position,
        )
    return known[key](declared, key, value)


def _put(options: Options, key: str, value: Value) -> Options:
    """The options with one changed where it stands, added at the end, or taken away by NULL."""
    found = dict(options.items)
    if value is None:
        found.pop(key, None)
    else:
        found[key] = value
    return Options(tuple(found.items()))


def _of_source(declared: CreateSource, key: str, value: Value) -> CreateSource:
    if key == "engine":
        if not isinstance(value, str):
            raise ProjectError("An engine's name is a string.", hint="Write engine = 'postgres'.")
        return replace(declared, engine=value.lower())
    return replace(declared, options=_put(declared.options, key, value))


def _in(field: str) -> Change:
    """An option of a clause that holds options, which is a field of the declaration."""

    def change(declared: Any, key: str, value: Value) -> Any:
        return replace(declared, **{field: _put(getattr(declared, field), key, value)})

    return change


def _cursor(value: Value) -> Cursor:
    """The value as the grammar of a clause reads it."""
    return Cursor(show_value(value))


def _read(field: str, read: Callable[[Cursor], Any], unsaid: Any = None) -> Change:
    """A clause that is one field: `read` of the value, `unsaid` for NULL."""

    def change(declared: Any, _key: str, value: Value) -> Any:
        return replace(declared, **{field: unsaid if value is None else read(_cursor(value))})

    return change


def _within(field: str, inner: str, read: Callable[[Cursor], Any], unsaid: Any) -> Change:
    """A field of a field."""

    def change(declared: Any, _key: str, value: Value) -> Any:
        said = unsaid if value is None else read(_cursor(value))
        return replace(declared, **{field: replace(getattr(declared, field), **{inner: said})})

    return change


def _truth(c: Cursor) -> bool:
    found = values.value(c)
    if not isinstance(found, bool):
        c.fail("This is TRUE or FALSE.", "Write TRUE or FALSE.")
    return found


def _names(c: Cursor) -> tuple[str, ...]:
    """`'a'` or `['a', 'b']`."""
    found = values.value(c)
    listed = found if isinstance(found, tuple) else (found,)
    if not listed or not all(isinstance(one, str) and one for one in listed):
        c.fail("This is a name, or a list of names.", "Write ['a', 'b'].", at=0)
    return tuple(str(one) for one in listed)


def _name(c: Cursor) -> str:
    (found,) = _names(c)[:1]
    return found


def _rollout(declared: CreateEndpoint, key: str, value: Value) -> CreateEndpoint:
    unsaid = Rollout()
    fields = {"shadow": ("shadow_requests",), "canary": ("canary_share", "canary_requests")}.get(key, (key,))
    if value is None:
        return replace(declared, rollout=replace(declared.rollout, **{f: getattr(unsaid, f) for f in fields}))
    return replace(declared, rollout=endpoint.rollout_option(_cursor(value), key, declared.rollout))


def _else(declared: CreateEndpoint, key: str, value: Value) -> CreateEndpoint:
    if declared.look_up is None:
        raise ProjectError(
            f"Endpoint `{declared.name}` looks nothing up.",
            hint=f"Declare it with LOOK UP dataset (key): CREATE OR REPLACE ENDPOINT {declared.name} ...",
        )
    if value is None:
        return replace(declared, look_up=replace(declared.look_up, gaps=False))
    return replace(declared, look_up=looking_up.option(_cursor(value), key, declared.look_up))


def _events(c: Cursor) -> tuple[str, ...]:
    return channel.events(Cursor(f"({columns(_names(c))})"))


def _instant(word: str) -> Callable[[Cursor], Any]:
    return lambda c: job.instant(c, word)


def _missed(c: Cursor) -> Missed:
    said = " ".join(_name(c).lower().split())
    try:
        return Missed(said)
    except ValueError:
        c.fail(f"{said!r} is not what becomes of missed runs.", "Write missed = 'run once' or 'skip'.", at=0)


def _all(keys: Iterable[str], change: Change) -> dict[str, Change]:
    return dict.fromkeys(keys, change)


OPTIONS: Mapping[type, Mapping[str, Change]] = {
    CreateDataset: {
        "key": _read("key", _names, ()),
        "event_time": _read("event_time", _name),
        "known_at": _read("known_at", _name),
        "every": _within("refresh", "every", values.duration, None),
        "on_change": _within("refresh", "on_change", _truth, Refresh().on_change),
        "incremental": _within("refresh", "incremental", _truth, Refresh().incremental),
        "lookback": _within("refresh", "lookback", values.duration, None),
        "heal": _within("refresh", "heal", values.duration, None),
    },
    CreateModel: {**_all(rules.USING, _in("using")), **_all(rules.OBJECTIVE, _in("objective"))},
    CreateEndpoint: {
        **_all(("shadow", "canary", "max_error_rate", "max_p99", "max_disagreement", "deadline"), _rollout),
        "else": _else,
        "replicas": _read("replicas", lambda c: values.whole(c, "replicas", 1), 1),
        "regions": _read("regions", _names, ()),
        "every": _within("watch", "every", values.duration, Watch().every),
        "window": _within("watch", "window", values.duration, Watch().window),
        "log": _within("watch", "log", lambda c: endpoint.fraction(c, "'10%'"), Watch().log),
    },
    CreateChannel: {
        **_all(("url", "key"), _in("options")),
        "events": _read("events", _events, ()),
        "model": _read("model", _name),
    },
    CreateJob: {
        "every": _read("every", job.every),
        "start": _read("start", _instant("START")),
        "end": _read("end", _instant("END")),
        "missed": _read("missed", _missed, Missed.RUN_ONCE),
    },
    CreateTrigger: {
        "every": _read("every", job.every, POLL),
        "columns": _read("columns", _names, ()),
        "key": _read("key", _names, ()),
    },
    CreateView: {},
}
"""By the class of a declaration. A source's options are those of its engine, and a model has those of engines too (`lightgbm.num_leaves`)."""
