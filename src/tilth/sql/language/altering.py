"""ALTER kind name SET (option = value, ...), and ALTER VIEW v AS query. Which options a kind has is said by `tilth.kinds.altering`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tilth.core.errors import Position
from tilth.core.names import literal
from tilth.sql.language import actions, prefix, values
from tilth.sql.language.acts import Alter
from tilth.sql.language.statements import CreateView, Declaration, Kind
from tilth.sql.language.tokens import Cursor
from tilth.sql.language.writing import name, options


def alter(
    c: Cursor, where: Position, kinds: Mapping[str, Callable[[Cursor, bool, Position], Declaration]]
) -> Alter:
    """After ALTER: the kind, the name, and what is changed."""
    if c.key not in kinds:
        actions.kind_fails(c, "ALTER", kinds)
    kind = Kind(c.text_token().lower())
    exists = c.take("IF", "EXISTS")
    start = c.i
    said = prefix.resource(c, f"the {kind}'s name")
    if kind is Kind.VIEW:
        c.i = start
        view = kinds[kind.keyword](c, True, where)
        assert isinstance(view, CreateView)
        return Alter(kind, view.name, query=view.query, if_exists=exists, position=where)
    c.expect("SET", hint=f"Write ALTER {kind.keyword} {said} SET (option = value, ...).")
    at = c.i
    found = values.option_list(c) if c.at("(") else values.options(c)
    if not found:
        c.fail("Nothing is set.", f"Write ALTER {kind.keyword} {said} SET (option = value, ...).", at=at)
    return Alter(kind, said, found, if_exists=exists, position=where)


def show(s: Alter) -> str:
    """In its canonical form, without `;`."""
    exists = "IF EXISTS " if s.if_exists else ""
    if s.query is not None:
        return f"ALTER {s.kind.keyword} {exists}{name(s.name)} AS {s.query.sql}"
    if s.theirs:
        said = ", ".join(f"{literal(k)}: {options_value}" for k, options_value in _json(s))
        return f"ALTER DATABASE {name(s.name)} PARAMETERS = {{{said}}}"
    return f"ALTER {s.kind.keyword} {exists}{name(s.name)} SET ({options(s.options)})"


def _json(s: Alter) -> list[tuple[str, str]]:
    from tilth.sql.language.writing import show_value

    return [(k, show_value(v)) for k, v in s.options.items]
