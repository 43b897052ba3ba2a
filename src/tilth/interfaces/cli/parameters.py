"""`-p name=value` for `$name` in statements: each is a value of Python, put in as `Session.run` does, so that none can be SQL.

A number, true, false and null are what they say; anything else is a text, and what stands in single quotes always is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from math import isinf
from typing import TypeAlias

import click

from tilth.core.errors import InputError
from tilth.core.names import did_you_mean
from tilth.sql.language.parameters import Bound, bind, named

Value: TypeAlias = "bool | int | float | Decimal | str | None"
_NUMBER = re.compile(r"[+-]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[1-9][0-9]{0,3}")
_WORDS: Mapping[str, Value] = {"true": True, "false": False, "null": None}


def given(pairs: tuple[str, ...]) -> dict[str, Value]:
    """The values by name; BadParameter for what is none, InputError for one that is given twice."""
    out: dict[str, Value] = {}
    for pair in pairs:
        name, sep, value = pair.partition("=")
        if not sep or not _NAME.fullmatch(name):
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE; write -p since=2013-07-01.")
        if name in out:
            raise InputError(f"The parameter `{name}` is given twice.", hint="Keep one of them.")
        out[name] = _value(value)
    return out


def _value(text: str) -> Value:
    """The value; what has a point is a DECIMAL, and what has an exponent a DOUBLE, as they would be written in SQL."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if (number := _NUMBER.fullmatch(text)) is not None:
        _, fraction, exponent = number.groups()
        if exponent:
            return _double(text)
        return Decimal(text) if fraction or len(text) > MOST_DIGITS else int(text)
    quoted = len(text) > 1 and text[0] == text[-1] == "'"
    return text[1:-1].replace("''", "'") if quoted else text


def _double(text: str) -> float:
    if isinf(number := float(text)):
        raise click.BadParameter(f"{text} is beyond any DOUBLE. For the text, put it in single quotes.")
    return number


MOST_DIGITS = 38  # of a whole number; of more there is no literal


def filled(text: str, values: Mapping[str, Value], file: str | None = None) -> Bound:
    """The text with each value put in; InputError for a name without a value, and for a value without a name."""
    names = named(text, file)
    for name, where in names:
        if name not in values:
            raise InputError(
                f"The statement names `${name}`, which is not given.",
                hint=f"Write -p {name}=... {did_you_mean(name, values, 'given') if values else ''}".rstrip(),
                where=where,
            )
    used = {name for name, _ in names}
    if unused := [n for n in values if n not in used]:
        raise InputError(
            f"No statement names `${unused[0]}`.", hint=f"Leave out -p {unused[0]}, or write ${unused[0]}."
        )
    return bind(text, values or None)
