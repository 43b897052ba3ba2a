"""A normal form of SQL text: equal for texts that differ only in white space, comments and the case of keywords.

Recipes are made of it. It is a form of tokens and not of sqlglot's trees, so that a newer sqlglot, which may print
trees in another way or know more keywords, does not make every recipe new; and it costs a tenth.
"""

from __future__ import annotations

from functools import lru_cache

from tilth.core.names import literal, quoted
from tilth.sql.language.tokens import Cursor
from tilth.sql.language.words import RECIPE_1


@lru_cache(maxsize=4096)
def normal(text: str) -> str:
    """The tokens of the text with one space between: keywords in upper case, names of functions in lower.

    >>> normal("select  Count(*) -- all")
    'SELECT count ( * )'
    """
    c, keywords = Cursor(text), RECIPE_1
    out: list[str] = []
    for i, key in enumerate(c.keys):
        written = c.tokens[i].text
        if not key:
            source = text[c.tokens[i].start : c.tokens[i].end + 1]
            written = (
                literal(written) if source[:1] == "'" else quoted(written) if source[:1] in '"`' else source
            )
        elif key in keywords and not (i and c.keys[i - 1] == "."):
            written = key
        elif i + 1 < len(c.keys) and c.keys[i + 1] == "(":
            written = written.lower()
        out.append(written)
    return " ".join(out)
