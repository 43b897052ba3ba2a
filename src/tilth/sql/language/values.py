"""How values are written: `k = v` options, lists, {json}, secrets, shares ('20%') and durations ('1 hour').

Used by the parsers of resources and actions; the printed forms are in `printer`, which must agree with this.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from decimal import Decimal, InvalidOperation

from tilth.core.errors import LanguageError
from tilth.core.time import parse_duration
from tilth.sql.language.statements import Options, Secret, Value
from tilth.sql.language.tokens import Cursor

MOST = 2**53  # of what is counted: versions, generations
_WORDS: dict[str, Value] = {"TRUE": True, "FALSE": False, "NULL": None}


def value(c: Cursor) -> Value:
    """A number, string, boolean, NULL, SECRET 'reference', DATE '...', list or {json}."""
    if c.at_string or c.at_quoted:
        return c.text_token()
    if c.at_number or c.key in ("-", "+"):
        return number(c)
    if c.key in _WORDS:
        return _WORDS[c.text_token().upper()]
    if c.at("SECRET"):
        return secret(c)
    if c.key in ("DATE", "TIMESTAMP") and c.following == "":
        c.i += 1
        return c.string("a date")
    if c.take("["):
        return _list(c, "]")
    if c.take("{"):
        return _json(c)
    if c.at_name:
        word = c.tokens[c.i].text
        c.fail(f"`{word}` is not a value.", f"Write it as a string: '{word}'.")
    raise c.problem(
        f"A value is missing here{c.instead()}.",
        "Values are 'strings', numbers, TRUE, FALSE, NULL, lists and {json}.",
    )


def number(c: Cursor) -> int | float:
    """A number, with a sign or without."""
    sign = -1 if c.take("-") else 1
    if sign > 0:
        c.take("+")
    if not c.at_number:
        c.fail(f"Expected a number here{c.instead()}.")
    at, text = c.i, c.text_token()
    try:
        return sign * int(text)
    except ValueError:
        pass
    try:
        found = float(text)
    except ValueError:
        c.fail(f"`{text}` is not a number.", at=at)
    if found in (float("inf"), float("-inf")):
        c.fail(f"`{text}` is too large a number.", at=at)
    return sign * found


def whole(c: Cursor, what: str, least: int = 0) -> int:
    """A whole number of at least `least`."""
    at = c.i
    found = number(c)
    if not isinstance(found, int) or found < least:
        c.fail(f"{what.capitalize()} must be a whole number of at least {least}.", at=at)
    if found > MOST:
        c.fail(f"{what.capitalize()} cannot be so large a number.", f"Write one up to {MOST}.", at=at)
    return found


def secret(c: Cursor) -> Secret:
    """SECRET 'env:NAME' or 'file:PATH'."""
    c.expect("SECRET")
    at = c.i
    reference = c.string("a secret's reference")
    store, _, name = reference.partition(":")
    if store not in ("env", "file") or not name.strip():
        # The text may be the secret itself, so neither it nor its line is shown.
        where = c.position(at)
        raise LanguageError(
            "A SECRET is a reference to where the secret is kept, never the secret.",
            hint="Write SECRET 'env:NAME' or SECRET 'file:PATH'.",
            where=type(where)(where.line, where.column, where.length, where.file),
        )
    return Secret(reference)


def _list(c: Cursor, closer: str) -> tuple[Value, ...]:
    if c.take(closer):
        return ()
    out = [value(c)]
    while c.take(","):
        out.append(value(c))
    c.expect(closer)
    return tuple(out)


def _json(c: Cursor) -> Options:
    items: list[tuple[str, Value]] = []
    if c.take("}"):
        return Options()
    while True:
        at = c.i
        if not (c.at_string or c.at_name):
            c.fail(f"Expected a key here{c.instead()}.")
        key = c.text_token()
        if any(k == key for k, _ in items):
            c.fail(f"`{key}` is given twice.", at=at)
        c.expect(":")
        items.append((key, value(c)))
        if not c.take(","):
            break
    c.expect("}")
    return Options(tuple(items))


def option_key(c: Cursor) -> str:
    """A lower-case key that may be dotted."""
    parts = [c.name("an option's name", reserved=False)]
    while c.take("."):
        parts.append(c.name("the rest of an option's name", reserved=False))
    return ".".join(parts).lower()


def options(c: Cursor, known: Collection[str] | None = None, names: Collection[str] = ()) -> Options:
    """`k = v, k = v` to where no comma follows; keys are checked when `known` is given."""
    items: list[tuple[str, Value]] = []
    while True:
        at = c.i
        key = option_key(c)
        if known is not None and key not in known:
            raise c.unknown(f"`{key}` is not an option here.", key, known, "options", at)
        if any(k == key for k, _ in items):
            c.fail(f"`{key}` is given twice.", "Keep one of them.", at=at)
        c.expect("=", hint=f"Write {key} = value.")
        named = key in names and c.at_name and not c.at_string
        items.append((key, c.name("a name") if named else value(c)))
        if not c.take(","):
            return Options(tuple(items))


def option_list(c: Cursor, known: Collection[str] | None = None, names: Collection[str] = ()) -> Options:
    """`(k = v, ...)`; the values of `names` may be names, which need no quotes."""
    c.expect("(", hint="Write the options as (name = value, ...).")
    if c.take(")"):
        return Options()
    found = options(c, known, names)
    c.expect(")", hint="Separate options with commas and close the list with `)`.")
    return found


def duration(c: Cursor) -> timedelta:
    """A duration as a 'string'."""
    at = c.i
    text = c.string("a duration such as '1 hour'")
    return as_duration(c, text, at)


def as_duration(c: Cursor, text: str, at: int) -> timedelta:
    """The text of token `at` as a duration."""
    try:
        return parse_duration(text)
    except LanguageError as problem:
        raise problem.at(c.position(at)) from None
    except OverflowError:
        c.fail(f"{text!r} is too long a duration.", at=at)


def as_share(text: str) -> float | None:
    """'20%' as 0.2, exactly; None when the text is not a share."""
    body = text.strip()
    if not body.endswith("%"):
        return None
    try:
        found = Decimal(body[:-1].strip())
    except InvalidOperation:
        return None
    return float(found.scaleb(-2)) if found.is_finite() else None


def share(c: Cursor, example: str = "'20%'") -> float:
    """A share as '20%' or as a number such as 0.2."""
    at = c.i
    if not c.at_string:
        return float(number(c))
    text = c.text_token()
    found = as_share(text)
    if found is None:
        c.fail(f"{text!r} is not a share.", f"Write for example {example}, or a number such as 0.2.", at=at)
    return found


def using(c: Cursor) -> Options:
    """The options after USING, in parentheses or without."""
    return option_list(c) if c.at("(") else options(c)
