"""`FOR VERSION n` and `FOR SNAPSHOT '...'` after a table: taken out of a query before sqlglot or DuckDB see it, as AS OF is."""

from __future__ import annotations

from dataclasses import dataclass, field

from tilth.core.errors import LanguageError
from tilth.sql.language.tokens import Cursor
from tilth.sql.language.trees import Named, named_tables, tree
from tilth.sql.language.values import whole
from tilth.sql.queries import asof


@dataclass(frozen=True, slots=True)
class Pin:
    """A table of a query held to a version (models) or a snapshot (datasets)."""

    name: str
    version: int | None = None
    snapshot: str | None = None
    end: int = field(default=0, compare=False)  # offset of the end of what is pinned, in the query


def time_travel(sql: str) -> tuple[str, tuple[Pin, ...]]:
    """The query without its pins and without AS OF (blanked, so that places stay), and the pins. `late.3` is MindsDB's way of
    `late FOR VERSION 3`.

    >>> time_travel("SELECT * FROM late FOR VERSION 3")[1]
    (Pin(name='late', version=3, snapshot=None, end=18),)
    """
    sql = asof.plain(sql)
    c = Cursor(sql)
    found: list[tuple[int, Pin, int]] = []
    for i, key in enumerate(c.keys[:-1]):
        following = c.keys[i + 1]
        if key == "." and (number := _numbered(c, i)) is not None:
            found.append((i, number, i + 2))
        if key != "FOR" or following not in ("VERSION", "SNAPSHOT") or not i:
            continue
        found.append((i, _pin(c, i), i + 3))
    if not found:
        return sql, ()
    out = list(sql)
    for i, _, stop in found:
        for at in range(c.tokens[i].start, c.tokens[stop - 1].end + 1):
            out[at] = "\n" if sql[at] == "\n" else " "
    text = "".join(out).rstrip() if sql == sql.rstrip() else "".join(out)
    by_end = {end: t for t in named_tables(tree(text)) for end in ends_of(t)}
    return text, tuple(_named(c, i, pin, by_end) for i, pin, _ in found)


def ends_of(table: Named) -> tuple[int, ...]:
    """The offsets at which the table's name ends in the text, and its alias if it has one: where a pin may follow."""
    from sqlglot import exp

    alias = table.node.args.get("alias")
    parts = [table.node.this, *(alias.find_all(exp.Identifier) if alias is not None else ())]
    return tuple(int(p.meta["end"]) + 1 for p in parts if "end" in p.meta)


def _numbered(c: Cursor, i: int) -> Pin | None:
    """The pin of `name.3`, whose dot is token `i`."""
    number, before = c.tokens[i + 1], c.tokens[i - 1] if i else None
    close = before is not None and before.end + 1 == c.tokens[i].start and number.start == c.tokens[i].end + 1
    if before is None or not close or c.keys[i + 1] or not c.text[number.start : number.end + 1].isdecimal():
        return None
    return Pin("", version=int(number.text[:18]), end=before.end + 1)


def _pin(c: Cursor, i: int) -> Pin:
    word = c.keys[i + 1]
    c.i = i + 2
    end = c.tokens[i - 1].end + 1
    if word == "VERSION":
        if not c.at_number or not c.word.isdecimal():
            c.fail(f"Expected the number of a version here{c.instead()}.", "Write FOR VERSION 3.")
        return Pin("", version=whole(c, "the version", 0), end=end)
    return Pin("", snapshot=c.string("a snapshot's id"), end=end)


def _named(c: Cursor, i: int, pin: Pin, by_end: dict[int, Named]) -> Pin:
    table = by_end.get(pin.end)
    if table is None:
        if c.keys[i] == ".":
            raise LanguageError(
                "A number behind a dot is a version, and this stands after no model's name.",
                hint="Write FROM late.3, or FROM late FOR VERSION 3.",
                where=c.position(i - 1, i + 2),
            )
        word = c.keys[i + 1]
        raise LanguageError(
            f"FOR {word} does not stand after a table.",
            hint=f"Write it after the table's name: FROM late FOR {word} ...",
            where=c.position(i, i + 2),
        )
    name = f"{table.schema}.{table.name}" if table.schema else table.name
    return Pin(name, pin.version, pin.snapshot, pin.end)
