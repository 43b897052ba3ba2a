"""CREATE CHANNEL: where people are told what happens, by webhook. What is sent, and when, is `runtime.keeping.notifying`'s."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tilth.core.errors import LanguageError, Position, ProjectError, UnsupportedError
from tilth.core.time import Instant
from tilth.kinds.needs import need
from tilth.kinds.options import in_order
from tilth.kinds.spec import KindSpec
from tilth.plan.actions import DeclareChannel
from tilth.plan.deciding import Deciding, Outcome, changed, redeclared
from tilth.plan.snapshot import Current
from tilth.resources.facts import Facts
from tilth.resources.kinds import Resource
from tilth.resources.making import Known, Making, Names, Needs
from tilth.sql.language import clauses, values, writing
from tilth.sql.language.statements import CreateChannel, Kind, Options, RenamedFrom, Secret
from tilth.sql.language.tokens import Cursor

EVENTS = ("failed", "refused", "rolled_back", "late", "drift")
"""What a channel can be told of: an action that failed; a version that its gate refused or holds; pointers that went back, and
a rollout that was undone; data that is overdue; inputs or answers that moved too far.
"""
_LATER = {"budget": "budgets"}
_OPTIONS = ("url", "key")


@dataclass(slots=True)
class _Channel:
    options: Options = field(default_factory=Options)
    events: tuple[str, ...] = ()
    model: str | None = None
    renamed_from: RenamedFrom | None = None


def _with(c: Cursor, s: _Channel) -> None:
    s.options = values.option_list(c, _OPTIONS)


def _notify(c: Cursor, s: _Channel) -> None:
    s.events = events(c)


def events(c: Cursor) -> tuple[str, ...]:
    """`(event, ...)`, in the order of `EVENTS`."""
    c.expect("(", hint=f"Write NOTIFY ON ({', '.join(EVENTS)}).")
    found = [_event(c)]
    while c.take(","):
        at = c.i
        event = _event(c)
        if event in found:
            c.fail(f"`{event}` is given twice.", "Keep one of them.", at=at)
        found.append(event)
    c.expect(")")
    return tuple(e for e in EVENTS if e in found)


def _event(c: Cursor) -> str:
    at = c.i
    word = c.name("an event", fold=True)
    if word in _LATER:
        raise UnsupportedError(
            f"NOTIFY ON {word}: {_LATER[word]} are not in this version.",
            hint=f"Events: {', '.join(EVENTS)}.",
            where=c.position(at, at + 1),
        )
    if word not in EVENTS:
        raise c.unknown(f"`{word}` is not an event.", word, EVENTS, "events", at)
    return word


def _for_model(c: Cursor, s: _Channel) -> None:
    s.model = c.name("a model's name", fold=True)


_CLAUSES = {"WITH": _with, "NOTIFY ON": _notify, "FOR MODEL": _for_model, clauses.RENAMED: clauses.renamed}


def parse(c: Cursor, or_replace: bool, where: Position) -> CreateChannel:
    """`[IF NOT EXISTS] name WITH (url = ..., key = ...) NOTIFY ON (event, ...) [FOR MODEL m]`."""
    exists, name = clauses.head(c, "channel")
    s = _Channel()
    clauses.read(c, _CLAUSES, s, "CREATE CHANNEL")
    if not s.events:
        raise LanguageError(
            f"Channel `{name}` does not say what it is told of.",
            hint=f"Add NOTIFY ON ({', '.join(EVENTS)}).",
            where=where,
        )
    return CreateChannel(name, s.options, s.events, s.model, or_replace, exists, where, s.renamed_from)


def show(s: CreateChannel) -> str:
    """The declaration in its canonical form."""
    return writing.rows(
        writing.create(s),
        f"WITH ({writing.options(s.options)})" if s.options else None,
        f"NOTIFY ON ({', '.join(s.events)})",
        f"FOR MODEL {writing.name(s.model)}" if s.model else None,
        writing.renamed(s),
    )


# --- rules and recipe --------------------------------------------------------------------------------------


def check(d: CreateChannel, _facts: Facts) -> None:
    """Raise when there is no address, one that is none, or a key that stands open; a line that may hold a secret is not shown."""
    url, key = d.options.get("url"), d.options.get("key")
    unseen = None if d.position is None else replace(d.position, text=None)
    if not isinstance(url, Secret) and (wrong := _wrong(url) if isinstance(url, str) else "there is none"):
        raise ProjectError(
            f"Channel `{d.name}` needs the address of a webhook, and {wrong}.",
            hint="Write WITH (url = SECRET 'env:OPS_HOOK', key = SECRET 'env:OPS_KEY'); it begins with https:// or http://.",
            where=unseen if isinstance(url, str) else d.position,
        )
    if not isinstance(key, Secret):
        raise ProjectError(
            f"Channel `{d.name}` needs a key, kept elsewhere: what it sends is signed with it.",
            hint=f"Write key = SECRET 'env:{d.name.upper()}_KEY'.",
            where=unseen if isinstance(key, str) else d.position,
        )


def is_address(url: str) -> bool:
    """Whether that is the address of a webhook: http or https, a host, no user and no password."""
    return _wrong(url) is None


def _wrong(url: str) -> str | None:
    """What keeps a url from being the address of a webhook, without a word of it."""
    from urllib.parse import urlsplit

    try:
        found = urlsplit(url)
        _ = found.port
    except ValueError:
        return "its url has a host or port that cannot be"
    if found.scheme not in ("http", "https"):
        return "its url begins otherwise"
    if "@" in found.netloc:
        return "its url holds a user or a password"
    return None if found.hostname else "its url names no host"


def needs(d: CreateChannel, known: Known) -> Needs:
    """The model that it is about: only by name."""
    return Needs(others=(need(d.model, Kind.MODEL, known, d),) if d.model else ())


def recipe(d: CreateChannel, _facts: Facts) -> dict[str, object]:
    """Nothing is made of it, so all that it says is its recipe."""
    return {"options": in_order(d.options), "events": d.events, "model": d.model}


def renamed(d: CreateChannel, names: Names) -> CreateChannel:
    """The same declaration where resources have other names."""
    model = names.get(d.model, d.model) if d.model else d.model
    return replace(d, name=names.get(d.name, d.name), model=model)


# --- planning ----------------------------------------------------------------------------------------------


def decide(resource: Resource, current: Current, _now: Instant) -> Outcome:
    """Declare it when it is new or says something else."""
    pointer = current.pointer(Kind.CHANNEL, resource.name)
    if pointer is not None and pointer.recipe == resource.recipe:
        return redeclared(resource, pointer)
    why = "new" if pointer is None else changed(resource, pointer)
    return (DeclareChannel(resource.name, resource.recipe, why),), ()


CHANNEL = KindSpec(
    Kind.CHANNEL,
    CreateChannel,
    parse,
    show,
    Making(check, needs, recipe, renamed),
    Deciding(decide, (DeclareChannel,)),
)
