"""CREATE SOURCE: a place outside that holds tables. It is declared, and read when something is made from it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from tilth.core.errors import LanguageError, Position, ProjectError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.core.time import Instant
from tilth.kinds.options import in_order
from tilth.kinds.spec import KindSpec
from tilth.plan.actions import DeclareSource
from tilth.plan.deciding import NOTHING, Deciding, Outcome, changed
from tilth.plan.snapshot import Current
from tilth.resources.facts import Facts
from tilth.resources.kinds import Resource, TableRef
from tilth.resources.making import Known, Making, Names, Needs
from tilth.sql.language import clauses, values, writing
from tilth.sql.language.statements import CreateSource, Kind, Options, RenamedFrom
from tilth.sql.language.tokens import Cursor

_SECRETS = frozenset(
    {
        "password",
        "passwd",
        "pwd",
        "secret",
        "token",
        "credential",
        "api_key",
        "secret_key",
        "access_key",
        "auth",
    }
)
_HEADERS = re.compile(r"auth|cookie|key|token|secret|password", re.IGNORECASE)
_USERINFO = re.compile(r"://[^/@\s]*:[^/@\s]+@")
OVER = "connection"
"""The option that names another source, over which this one is read."""
READING = ("format", "misfits", "tables")
"""Options of a source that say what its rows are, where the others say where it lies."""

# --- grammar -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Source:
    engine: str | None = None
    options: Options = field(default_factory=Options)
    renamed_from: RenamedFrom | None = None


def _engine(c: Cursor, s: _Source) -> None:
    c.take("=")
    s.engine = (c.text_token() if c.at_string else c.name("an engine's name")).lower()
    c.take(",")


def _with(c: Cursor, s: _Source) -> None:
    s.options = values.option_list(c, names=(OVER,))


def parse(c: Cursor, or_replace: bool, where: Position) -> CreateSource:
    """`[IF NOT EXISTS] name ENGINE engine [WITH (k = v, ...)]`."""
    exists, name = clauses.head(c, "source")
    parts = _Source()
    clauses.read(
        c, {"ENGINE": _engine, "WITH": _with, clauses.RENAMED: clauses.renamed}, parts, "CREATE SOURCE"
    )
    if not parts.engine:
        raise LanguageError(
            f"Source `{name}` has no engine.",
            hint=f"Write CREATE SOURCE {name} ENGINE sqlite WITH (path = '...').",
            where=where,
        )
    return CreateSource(name, parts.engine, parts.options, or_replace, exists, where, parts.renamed_from)


def show(s: CreateSource) -> str:
    """The declaration in its canonical form."""
    head = f"{writing.create(s)} ENGINE {writing.name(s.engine)}"
    return writing.rows(
        head, f"WITH ({writing.options(s.options)})" if s.options else None, writing.renamed(s)
    )


# --- rules and recipe --------------------------------------------------------------------------------------


def check(d: CreateSource, facts: Facts) -> None:
    """Raise when there is no such engine, or when a secret stands open."""
    if facts.sources and d.engine not in facts.sources:
        raise UnknownNameError(
            f"There is no engine of sources called `{d.engine}`.",
            hint=did_you_mean(d.engine, facts.sources, "engines"),
            where=d.position,
        )
    _check_headers(d)
    for key, value in d.options.items:
        open_secret = isinstance(value, str) and (key in _SECRETS or _USERINFO.search(value))
        if open_secret:
            raise ProjectError(
                f"Source `{d.name}` holds a secret in its text, in `{key}`.",
                hint=f"Keep it elsewhere and refer to it: {key if key in _SECRETS else 'password'} = SECRET 'env:"
                f"{d.name.upper()}_{'PASSWORD' if key not in _SECRETS else key.upper()}'.",
                where=_without_text(d.position),
            )


def _check_headers(d: CreateSource) -> None:
    """Headers whose name says that they are secret are references."""
    listed = d.options.get("headers")
    for name, value in listed.items if isinstance(listed, Options) else ():
        if isinstance(value, str) and _HEADERS.search(name):
            raise ProjectError(
                f"Source `{d.name}` holds a secret in its text, in the header `{name}`.",
                hint=f"Keep it elsewhere and refer to it: headers = {{'{name}': SECRET 'env:{d.name.upper()}_KEY'}}.",
                where=_without_text(d.position),
            )


def _without_text(where: Position | None) -> Position | None:
    return None if where is None else Position(where.line, where.column, where.length, where.file)


def needs(d: CreateSource, known: Known) -> Needs:
    """Nothing, since it is outside; but for the source that it is read over, where an option names one."""
    over = d.options.get(OVER)
    if not isinstance(over, str):
        return Needs()
    sources = [n for n, other in known.items() if isinstance(other, CreateSource) and n != d.name]
    if over not in sources:
        raise UnknownNameError(
            f"Source `{d.name}` is read over a source `{over}`, and there is none such.",
            hint=did_you_mean(over, sources, "sources"),
            where=d.position,
        )
    return Needs(others=(over,))


def recipe(d: CreateSource, _facts: Facts) -> dict[str, object]:
    """Where it lies is its own recipe; what is made from it only knows its name and engine."""
    return {"engine": d.engine, "options": in_order(d.options)}


def renamed(d: CreateSource, names: Names) -> CreateSource:
    """The same declaration where sources have other names."""
    over = d.options.get(OVER)
    if isinstance(over, str) and over in names:
        changed = tuple((k, names[over] if k == OVER else v) for k, v in d.options.items)
        d = replace(d, options=Options(changed))
    return replace(d, name=names.get(d.name, d.name))


def as_read(
    names: Iterable[str], known: Known, refs: Sequence[TableRef] = ()
) -> tuple[tuple[object, ...], ...]:
    """What the recipe of something made from these sources holds: of each its name, its engine, and how it reads those tables."""
    return tuple(
        (n, s.engine, *_read_as(s, refs)) for n in sorted(names) if isinstance(s := known[n], CreateSource)
    )


def _read_as(source: CreateSource, tables: Sequence[TableRef]) -> tuple[object, ...]:
    """How the source reads the tables that the declaration names, if it says so."""
    named = {t.table.lower() for t in tables if t.source == source.name}
    said: list[tuple[str, object]] = []
    for key in READING:
        value = source.options.get(key)
        if key == "tables" and isinstance(value, Options):
            value = Options(tuple((t, v) for t, v in value.items if t.lower() in named)) or None
        if value is not None:
            said.append((key, _by_key(value)))
    return (said,) if said else ()


def _by_key(value: object) -> object:
    """Options in braces whatever their order."""
    if isinstance(value, Options):
        return sorted((k, _by_key(v)) for k, v in value.items)
    return value


# --- planning ----------------------------------------------------------------------------------------------


def decide(resource: Resource, current: Current, _now: Instant) -> Outcome:
    """Declare it when it is new, or reads in another way."""
    pointer = current.pointer(Kind.SOURCE, resource.name)
    if pointer is None:
        return (DeclareSource(resource.name, resource.recipe, "new"),), ()
    if pointer.recipe != resource.recipe:
        return (DeclareSource(resource.name, resource.recipe, changed(resource, pointer)),), ()
    return NOTHING


SOURCE = KindSpec(
    Kind.SOURCE,
    CreateSource,
    parse,
    show,
    Making(check, needs, recipe, renamed),
    Deciding(decide, (DeclareSource,)),
)
