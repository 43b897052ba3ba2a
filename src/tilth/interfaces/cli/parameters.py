"""`-p name=value` for `$name` in statements: values are written in as literals, so that none of them can be SQL.

A number, true, false and null are what they say; anything else is a text, and what stands in single quotes always is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import click

from tilth.core.errors import InputError
from tilth.core.names import did_you_mean, literal
from tilth.sql.language.tokens import tokens_of

_NUMBER = re.compile(r"[+-]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORDS = frozenset({"true", "false", "null"})


def given(pairs: tuple[str, ...]) -> dict[str, str]:
    """The parameters by name, as literals; BadParameter for what is none, InputError for one that is given twice."""
    out: dict[str, str] = {}
    for pair in pairs:
        name, sep, value = pair.partition("=")
        if not sep or not _NAME.fullmatch(name):
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE; write -p since=2013-07-01.")
        if name in out:
            raise InputError(f"The parameter `{name}` is given twice.", hint="Keep one of them.")
        out[name] = _literal(value)
    return out


def _literal(value: str) -> str:
    if _NUMBER.fullmatch(value) or value.lower() in _WORDS:
        return f"({value})" if value.startswith(("-", "+")) else value
    quoted = len(value) > 1 and value[0] == value[-1] == "'"
    return literal(value[1:-1].replace("''", "'") if quoted else value)


def filled(text: str, values: Mapping[str, str], file: str | None = None) -> str:
    """The text with a literal for each `$name`; InputError for one that is not given, and for one that nothing uses."""
    if not values:
        return text
    tokens, out, at, used = tokens_of(text, file), list[str](), 0, set[str]()
    for mark, word in pairwise(tokens):
        if not _names(text, mark, word):
            continue
        name = text[word.start : word.end + 1]
        if name not in values:
            raise InputError(
                f"The statement names `${name}`, which is not given.",
                hint=f"Write -p {name}=... {did_you_mean(name, values, 'given')}",
            )
        out += [text[at : mark.start], values[name]]
        at = word.end + 1
        used.add(name)
    if unused := [n for n in values if n not in used]:
        raise InputError(
            f"No statement names `${unused[0]}`.", hint=f"Leave out -p {unused[0]}, or write ${unused[0]}."
        )
    return "".join([*out, text[at:]])


def _names(text: str, mark: Any, word: Any) -> bool:
    """Whether the two tokens are `$` and a name right after it."""
    return (
        text[mark.start : mark.end + 1] == "$"
        and word.start == mark.end + 1
        and bool(_NAME.fullmatch(text[word.start : word.end + 1]))
    )
