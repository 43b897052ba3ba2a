"""MindsDB's SHOW and DESCRIBE: as questions over the tables of the schema `mindsdb`, where tilth's own say less than was asked."""

from __future__ import annotations

import re

from tilth.core.errors import UnsupportedError
from tilth.core.names import literal
from tilth.sql.language import prefix
from tilth.sql.language.acts import Describe, Noted, Select, Show
from tilth.sql.language.mindsdb.absent import ABSENT, absent
from tilth.sql.language.statements import Kind
from tilth.sql.language.tokens import Cursor

_TABLES = {word.upper(): word for word in prefix.TABLES if word != "features"} | {"SCHEMAS": "databases"}
_OWN = frozenset({"MODELS", "JOBS", "TRIGGERS", "VIEWS", "TABLES"})  # of which tilth has lists too
_KINDS = {
    "MODEL": Kind.MODEL,
    "PREDICTOR": Kind.MODEL,
    "DATABASE": Kind.SOURCE,
    "JOB": Kind.JOB,
    "VIEW": Kind.VIEW,
    "TRIGGER": Kind.TRIGGER,
}
_NUMBER = re.compile(r"(\d{1,15})(?:\.(\w*))?")
PARTS = ("info", "features", "model", "args", "ensemble", "progress", "jsonai", "metadata")
"""What MindsDB tells of a model after its name."""


def show(c: Cursor) -> Select | Show | None:
    """`[FULL] kind [FROM | IN project or source] [LIKE '..'] [WHERE ..]` after SHOW; None for what tilth's own SHOW says."""
    start = c.i
    full = c.take("FULL") or c.take("EXTENDED")
    word = c.key
    if word in ABSENT or word.removesuffix("S") in ABSENT:
        raise absent(c, "SHOW", word)
    plain = not full and word in _OWN and c.following in ("", ";", "LIKE") and not _quoted_next(c)
    if word not in (*_TABLES, "TABLES") or plain:
        c.i = start
        return None
    c.i += 1
    of = _of(c) if c.take("FROM") or c.take("IN") else None
    if word == "TABLES":
        return Show("tables", _like(c), of)
    table = _TABLES[word]
    if of not in (None, prefix.PROJECT, prefix.CATALOG):
        prefix_of = f"`{of}` is no project: there is one, and it is called `{prefix.PROJECT}`."
        raise UnsupportedError(
            prefix_of, hint=f"Write SHOW {word} FROM {prefix.PROJECT}.", where=c.position(c.i - 1)
        )
    return _asked(c, table)


def _quoted_next(c: Cursor) -> bool:
    """Whether something follows that has no key: a string, a number or a quoted name."""
    return c.i + 1 < len(c.tokens) and not c.keys[c.i + 1]


def _of(c: Cursor) -> str:
    return c.name("a project's or source's name", fold=True)


def _like(c: Cursor) -> str | None:
    like = c.string("a pattern") if c.take("LIKE") else None
    if c.at("WHERE"):
        c.fail("SHOW TABLES takes LIKE, and no WHERE.", "Write SHOW TABLES FROM ops LIKE 'ho%'.")
    return like


def _asked(c: Cursor, table: str) -> Select:
    """The question over the table, with what LIKE and WHERE leave of it."""
    tests = [f"name ILIKE {literal(c.string('a pattern'))}"] if c.take("LIKE") else []
    where = c.position()
    if c.take("WHERE"):
        if c.at_end:
            c.fail(f"Expected a condition here{c.instead()}.", "Write WHERE status = 'complete'.")
        first = c.i
        c.skip_to(frozenset({";"}))
        tests.append(f"({prefix.plain(c, first, c.i)})")
    said = f" WHERE {' AND '.join(tests)}" if tests else ""
    return Select(f"SELECT * FROM {prefix.PROJECT}.{table}{said}", where)


def describe(c: Cursor) -> Describe | Noted | None:
    """`[kind] [mindsdb.]n[.version][.part]` after DESCRIBE; None for what tilth's own DESCRIBE reads."""
    start = c.i
    if c.key in ABSENT:
        raise absent(c, "DESCRIBE", c.key)
    if c.key in ("ML_ENGINE", "PROJECT", "HANDLER") and c.following not in ("", ";"):
        return _of_engine(c)
    kind = None
    if c.key in _KINDS and c.i + 1 < len(c.tokens) and c.following not in (";", "."):
        kind = _KINDS[c.text_token().upper()]
    prefixed = c.following == "." and c.at_name and c.word.lower() == prefix.PROJECT
    if not (c.at_name and c.following == ".") and not (
        kind and c.keys[start] not in ("MODEL", "JOB", "VIEW", "TRIGGER")
    ):
        c.i = start
        return None
    c.i += 2 if prefixed else 0
    name = c.name(f"the {kind or 'resource'}'s name", fold=True, reserved=False)
    return Describe(kind, name, *_version_and_part(c))


def _version_and_part(c: Cursor) -> tuple[int | None, str | None]:
    """`.3`, `.features`, `.3.features`; a number, the dot behind it and an `e` are one token."""
    if not c.take("."):
        return None, None
    found = _NUMBER.fullmatch(c.text[c.tokens[c.i].start : c.tokens[c.i].end + 1]) if c.at_number else None
    if found is None:
        return None, _part(c, "")
    version = int(found[1])
    c.i += 1
    if found[2] is None and not c.take("."):
        return version, None
    return version, _part(c, found[2] or "")


def _part(c: Cursor, begun: str) -> str:
    """A word of PARTS, some letters of which may be taken already."""
    at = c.i
    word = begun + (c.name("what is to be told", reserved=False) if not begun or c.at_name else "")
    if c.at("."):
        c.fail(f"`{word}` has no parts.", "Leave the rest out.")
    if word.lower() not in PARTS:
        raise c.unknown(f"`{word}` is not told of a model.", word.lower(), PARTS, "parts", at - bool(begun))
    return word.lower()


def _of_engine(c: Cursor) -> Noted:
    start, word = c.i, c.key
    c.i += 1
    name = c.name("a name", reserved=False)
    told = (
        "Engines of models are said by USING (engine = '...') and listed by SELECT * FROM tilth.engines"
        if word != "PROJECT"
        else f"The project `{prefix.PROJECT}` is this project: SHOW TABLES says what is in it"
    )
    return Noted(f"DESCRIBE {c.tokens[start].text} {name}", f"{told}.")
