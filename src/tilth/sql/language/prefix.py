"""`mindsdb.` before a name: MindsDB's project of that name is this project, so the prefix says nothing here.

It may stand before the name of any resource, in declarations and in queries. Names are not kept apart by projects; another
project is another folder. Of the schema `mindsdb` only the tables are left that MindsDB has there (see `TABLES`).
What MindsDB's jobs put into a query by `{{...}}` is read here too.
"""

from __future__ import annotations

from tilth.core.errors import UnsupportedError
from tilth.core.names import quoted
from tilth.sql.language.tokens import Cursor

PROJECT = "mindsdb"
CATALOG = "information_schema"
TABLES = (
    "databases",
    "features",
    "handlers",
    "jobs",
    "ml_engines",
    "models",
    "models_versions",
    "predictors",
    "projects",
    "triggers",
    "views",
)
"""Tables of the schema `mindsdb`, which say what there is with the columns that MindsDB says it with."""
TEMPLATES = {
    "PREVIOUS_START_DATETIME": "LAST",
    "START_DATETIME": "localtimestamp",
    "START_DATE": "current_date",
}
"""What MindsDB's jobs write in double braces, and what stands for it."""
OF_CATALOG = frozenset({"databases", "handlers", "ml_engines", "models", "models_versions", "predictors"})
"""Those that MindsDB also has in `information_schema`, where no other server has them."""

_BEFORE_SOURCE = frozenset({"FROM", "JOIN", ","})
_NO_SOURCE = frozenset({"EXISTS", "ARRAY", "LATERAL", "IN", "ANY", "ALL", "SOME", "SELECT"})
_BEGINS_QUERY = frozenset({"SELECT", "WITH", "SHOW", "VALUES", "TABLE", "EXPLAIN", "("})


def passed(c: Cursor) -> bool:
    """Pass over `mindsdb.`, in quotes or without; whether it stood there."""
    here = c.following == "." and c.at_name and c.word.lower() == PROJECT
    c.i += 2 if here else 0
    return here


def resource(c: Cursor, what: str, *, reserved: bool = True) -> str:
    """Take `[mindsdb.]name`; UnsupportedError where another project is named."""
    passed(c)
    at = c.i
    name = c.name(what, fold=True, reserved=reserved)
    if c.at(".") and at + 2 < len(c.tokens):
        if not c.keys[at + 2] and c.tokens[at + 2].text.isdecimal():
            raise UnsupportedError(
                f"`{name}.{c.tokens[at + 2].text}` is a version, and this is about the whole of `{name}`.",
                hint=f"SET active = {name}.{c.tokens[at + 2].text} chooses it; versions that nothing points at go with `tilth gc`.",
                where=c.position(at),
            )
        raise UnsupportedError(
            f"`{name}.{c.tokens[at + 2].text}` names a project, and names are not kept apart by projects here.",
            hint=f"Write {c.tokens[at + 2].text}, or {PROJECT}.{c.tokens[at + 2].text}; another project is another folder.",
            where=c.position(at),
        )
    return name


def resource_of_table(c: Cursor) -> str:
    """Take the source of `source.table`, with the dot."""
    name = c.name("a source's name", fold=True)
    c.expect(".", hint=f"Write source.table: `{name}` names no source.")
    return name


def plain(c: Cursor, first: int, last: int) -> str:
    """The text from token `first` to before `last` as DuckDB reads it, with places that stay.

    There are blanks for `mindsdb.` before names, and double quotes for back quotes.
    """
    text, begin = c.slice(first, last), c.tokens[first].start
    if PROJECT not in text.lower() and CATALOG not in text.lower() and "{{" not in text:
        return text if "`" not in text else _edited(text, begin, _back_quoted(c, first, last))
    edits = _back_quoted(c, first, last) if "`" in text else []
    for i in range(first, last):
        token = c.tokens[i]
        if token.text.startswith("{{") and (meant := TEMPLATES.get(token.text.strip("{} ").upper())):
            edits.append((token.start, token.end + 1, f"{meant:<{token.end + 1 - token.start}}"))
        elif i < last - 2 and c.keys[i + 1] == "." and not (i > first and c.keys[i - 1] == "."):
            said, name, end = token.text.lower(), c.tokens[i + 2].text.lower(), c.tokens[i + 1].end + 1
            if said == PROJECT and name not in TABLES and _names(c, i):
                edits.append((token.start, end, " " * (end - token.start)))
            elif said == CATALOG and name in OF_CATALOG and _names(c, i):
                edits.append((token.start, end, f"{f'{PROJECT}.':>{end - token.start}}"))
    return _edited(text, begin, edits).rstrip()


def _back_quoted(c: Cursor, first: int, last: int) -> list[tuple[int, int, str]]:
    """The names in back quotes, in double ones; what a source is asked in its own language is left to it."""
    found: list[tuple[int, int, str]] = []
    depth = native = 0
    for i in range(first, last):
        key, token = c.keys[i], c.tokens[i]
        if key == "(":
            depth += 1
            native = native or (depth if _begins_native(c, i, first) else 0)
        elif key == ")":
            native = 0 if depth == native else native
            depth -= 1
        elif not native and c.text[token.start] == "`":
            found.append((token.start, token.end + 1, quoted(token.text.replace("``", "`"))))
    return found


def _begins_native(c: Cursor, i: int, first: int) -> bool:
    """Whether the bracket opens a query after the name of a source: `FROM shop (SELECT ...)`."""
    if i < first + 2 or i + 1 >= len(c.keys) or c.keys[i - 2] not in _BEFORE_SOURCE:
        return False
    if c.keys[i - 2] == "," and c.keys[i + 1] == "(":  # of a function: coalesce((SELECT ...), 0)
        return False
    return _names(c, i - 1) and c.keys[i - 1] not in _NO_SOURCE and c.keys[i + 1] in _BEGINS_QUERY


def _edited(text: str, begin: int, edits: list[tuple[int, int, str]]) -> str:
    """The text, whose first character is number `begin`, with what stands between two of them put anew.

    Of two that begin at one place the longer counts.
    """
    parts, at = [], 0
    for start, end, meant in sorted(edits, key=lambda e: (e[0], -e[1])):
        if start - begin < at:
            continue
        parts += [text[at : start - begin], meant]
        at = end - begin
    return "".join([*parts, text[at:]])


def _names(c: Cursor, i: int) -> bool:
    """Whether the token is a name, and no string."""
    token = c.tokens[i]
    return bool(c.keys[i]) or c.text[token.start] in '"`'
