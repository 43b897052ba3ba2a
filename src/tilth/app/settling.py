"""How a table's files are to be read, where its own cells settle it.

A source gives each guess with the option that settles it. `tilth init --from` writes those that one option alone fits; what
stays a guess is said. What a guess is, the source knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tilth.core.errors import InputError, LanguageError
from tilth.core.names import is_bare, literal
from tilth.core.schema import DataType
from tilth.kinds import KINDS
from tilth.sql.language.statements import CreateSource, Options

if TYPE_CHECKING:
    from tilth.core.schema import Schema
    from tilth.ports.source import Notice, Source

COLUMNS = 3  # that are named in a reason


@dataclass(frozen=True, slots=True)
class Settled:
    """One key of a table's format, its value as it is written, and why it is there."""

    key: str
    value: object
    text: str
    why: str

    def __str__(self) -> str:
        return f"{self.key}: {self.text}, since {self.why}"


def said(engine: str, text: str, taken: Mapping[str, object]) -> Options:
    """The options that a person gave, as CREATE SOURCE ... WITH (...) has them; InputError for what --from says already."""
    try:
        found = KINDS.parse_one(f"CREATE SOURCE s ENGINE {engine} WITH ({text})")
    except LanguageError as error:
        raise InputError(
            f"--with cannot be read: {error.message}",
            hint="Write it as in CREATE SOURCE ... WITH (...), for example --with \"format = {decimal: ','}\".",
        ) from error
    if not isinstance(found, CreateSource):
        raise InputError("--with is no list of options.", hint="Write name = value, with commas between.")
    if twice := next((k for k, _ in found.options.items if k in taken), None):
        raise InputError(f"--with says `{twice}`, which --from says.", hint="Leave it out of --with.")
    return found.options


def notices(source: Source, table: str) -> tuple[Notice, ...]:
    """What the source guesses of the table, if it guesses."""
    say: Any = getattr(source, "notices", None)
    return () if say is None else tuple(say(table))


def settled(told: Sequence[Notice], schema: Schema, table: str) -> tuple[Settled, ...]:
    """The keys that these guesses settle: a comma in numbers that no point and no thousands speak against, and the words for
    a missing value that columns of numbers or times have, if those of texts are no others.
    """
    found = {id(n): _format(n, table) for n in told}
    commas = [n for n in told if found[id(n)] == (("decimal", ","),)]
    if commas and not any(found[id(n)] == (("thousands", ","),) for n in told):
        return (Settled("decimal", ",", "','", f"{_named(commas)} numbers with a comma"),)
    words = [(n, dict(found[id(n)])["nulls"]) for n in told if [k for k, _ in found[id(n)]] == ["nulls"]]
    among = [(n, w) for n, w in words if schema.field(str(n.column)).type is not DataType.STRING]
    known = {w for _, listed in among for w in listed}
    if not known or known != {w for _, listed in words for w in listed}:
        return ()
    listed = tuple(sorted(known))
    why = f"{_named([n for n, _ in among])} such words among other values"
    return (Settled("nulls", list(listed), f"[{', '.join(map(literal, listed))}]", why),)


def harmless(before: tuple[Schema, Sequence[Notice]], after: tuple[Schema, Sequence[Notice]]) -> bool:
    """Whether what was read as numbers or times still is, and no more is left out."""
    texts = {f.name for f in after[0] if f.type is DataType.STRING}
    left = [sum(n.kind == "left_out" for n in told) for _, told in (before, after)]
    return left[1] <= left[0] and not any(f.name in texts for f in before[0] if f.type is not DataType.STRING)


def written(table: str, keys: Sequence[Settled]) -> str:
    """The option `tables` that says them."""
    said = ", ".join(f"{s.key}: {s.text}" for s in keys)
    return f"tables = {{{table if is_bare(table) else literal(table)}: {{{said}}}}}"


def _format(notice: Notice, table: str) -> tuple[tuple[str, Any], ...]:
    """The keys that the notice's option gives this table; none where it gives a choice."""
    try:
        found = KINDS.parse_one(f"CREATE SOURCE s ENGINE e WITH ({notice.option or ''})")
    except LanguageError:
        return ()
    tables = found.options.get("tables") if isinstance(found, CreateSource) else None
    own = tables.items if isinstance(tables, Options) else ()
    return next((v.items for k, v in own if k.lower() == table.lower() and isinstance(v, Options)), ())


def _named(told: Sequence[Notice]) -> str:
    names = [f"`{n.column}`" for n in told]
    more = len(names) - COLUMNS
    listed = ", ".join(names[:COLUMNS]) + (f" and {more} more" if more > 0 else "")
    return f"{listed} {'holds' if len(names) == 1 else 'hold'}"
