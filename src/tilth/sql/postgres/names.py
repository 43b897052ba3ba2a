"""`public.` before a name: the schema in which clients see what is deployed, whose names stand alone in tilth's language."""

from __future__ import annotations

from tilth.sql.language.tokens import Cursor

PUBLIC = "public"


def unqualified(text: str) -> str:
    """The text with blanks for `public.` before names, so that places stay.

    >>> unqualified('SELECT p.x FROM "public"."people" p, public.t')
    'SELECT p.x FROM          "people" p,        t'
    """
    if PUBLIC not in text.lower():
        return text
    c, out = Cursor(text), text
    for i in range(len(c.tokens) - 2):
        named = bool(c.keys[i]) or text[c.tokens[i].start] in '"`'
        if not named or c.tokens[i].text.lower() != PUBLIC or c.keys[i + 1] != ".":
            continue
        if i and c.keys[i - 1] == ".":
            continue
        start, end = c.tokens[i].start, c.tokens[i + 1].end + 1
        out = f"{out[:start]}{' ' * (end - start)}{out[end:]}"
    return out
