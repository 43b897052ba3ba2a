"""Values and frames of a program in a statement: `$x`, `$1` and `?` become literals, `$frame` a table of the schema `$`.

A value is written as SQL before anything reads the text, so that it may stand wherever a literal may and is pushed down
like one; a string is quoted, whatever is in it. Strings, comments and quoted names of the text are left as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from tilth.core.errors import InputError, Position
from tilth.core.names import did_you_mean, literal, quoted
from tilth.sql.language.tokens import place, tokens_of

if TYPE_CHECKING:
    from sqlglot import Token

Parameters: TypeAlias = "Mapping[str, Any] | Sequence[Any]"
FRAMES = "$"
"""The schema that frames are tables of; no source can be called so."""
_HUGE = 2**127


def bound(text: str, parameters: Parameters | None = None, frames: Iterable[str] = ()) -> str:
    r"""The text with all values and frames put in; InputError for one that is not given, not used or no value.

    >>> bound("SELECT * FROM $rows WHERE x > $least AND y = 'is $2?'", {"least": -1}, ["rows"])
    'SELECT * FROM "$"."rows" WHERE x > (-1) AND y = \'is $2?\''
    >>> bound("SELECT ? || ?", ["it's", 2])
    "SELECT 'it''s' || 2"
    """
    return bind(text, parameters, frames).text


@dataclass(frozen=True, slots=True)
class Bound:
    """A text with its values put in. `edits` are where they stand: from and to in the new text, from and to in the given one."""

    text: str
    given: str
    edits: tuple[tuple[int, int, int, int], ...] = ()

    def origin(self, where: Position) -> Position:
        """A place in the text, as a place in the given one: a value stands for its `$name`."""
        if not self.edits:
            return where
        lines = [0, *(m.end() for m in re.finditer("\n", self.text))]
        start = lines[where.line - 1] + where.column - 1
        first = self._back(start, end=False)
        return place(
            self.given, first, max(first + 1, self._back(start + where.length, end=True)), where.file
        )

    def _back(self, at: int, *, end: bool) -> int:
        """Where a place came from; within a value, where its `$name` begins or ends."""
        moved = 0
        for new, new_end, old, old_end in self.edits:
            if at < new or (end and at == new):
                break
            if at < new_end or (end and at == new_end):
                return old_end if end else old
            moved = old_end - new_end
        return at + moved


def bind(text: str, parameters: Parameters | None = None, frames: Iterable[str] = ()) -> Bound:
    """`bound`, with where each value went."""
    given, tables = _given(parameters), set(frames)
    if "$" not in text and not ("?" in text and parameters is not None) and not given and not tables:
        return Bound(text, text)
    out, edits, at, marks, used, length = list[str](), [], 0, 0, set(), 0
    for start, end, name in _places(tokens_of(text), marked=parameters is not None):
        marks += name is None
        key = str(marks) if name is None else name
        value = _written(text, start, end, key, given, tables)
        begun = length + start - at
        length = begun + len(value)
        out += [text[at:start], value]
        edits.append((begun, length, start, end))
        used.add(key)
        at = end
    named = {key for key in used if not key.isdigit()}
    if marks and named - tables:
        raise InputError(
            "`?` and `$name` stand in one text.", hint="Write all of them as `$name`, and give a mapping."
        )
    if unused := [k for k in (*given, *sorted(tables)) if k not in used]:
        raise InputError(
            f"`{unused[0]}` is given, and the text has no {_sign(unused[0], parameters)}.",
            hint=f"Write {_sign(unused[0], parameters)} where it belongs, or leave it out.",
        )
    return Bound("".join((*out, text[at:])), text, tuple(edits))


def apart(text: str) -> str:
    """The text with a space behind each `$1`: what reads it next takes `$1,$2` for something else."""
    out, at = list[str](), 0
    for _, end, name in _places(tokens_of(text), marked=False) if "$" in text else ():
        if name is not None and name.isdigit():
            out += [text[at:end], " "]
            at = end
    return "".join((*out, text[at:]))


def named(text: str, file: str | None = None) -> tuple[tuple[str, Position], ...]:
    """The names after `$` in a text, each where it stands first."""
    found: dict[str, Position] = {}
    for start, end, name in _places(tokens_of(text, file), marked=False):
        if name is not None:
            found.setdefault(name, place(text, start, end, file))
    return tuple(found.items())


def _sign(key: str, parameters: Parameters | None) -> str:
    positional = key.isdigit() and parameters is not None and not isinstance(parameters, Mapping)
    return f"`?` or `${key}`" if positional else f"`${key}`"


def _given(parameters: Parameters | None) -> dict[str, Any]:
    """Values by name; of a sequence by number, from 1."""
    if parameters is None:
        return {}
    if isinstance(parameters, Mapping):
        return {str(k).removeprefix("$"): v for k, v in parameters.items()}
    if isinstance(parameters, Sequence) and not isinstance(parameters, str | bytes):
        return {str(i): v for i, v in enumerate(parameters, 1)}
    raise InputError(
        f"Parameters are a mapping or a sequence, and this is a {type(parameters).__name__}.",
        hint="Write sql(text, {'x': 1}) for `$x`, sql(text, [1]) for `?`; the environment is a keyword: environment='dev'.",
    )


def _places(tokens: Sequence[Token], *, marked: bool) -> Iterable[tuple[int, int, str | None]]:
    """Where a value or frame stands in the text, and its name; None for a `?`."""
    from sqlglot import TokenType

    for i, token in enumerate(tokens):
        after = tokens[i + 1] if i + 1 < len(tokens) else None
        if token.token_type is TokenType.PLACEHOLDER and marked:
            yield token.start, token.end + 1, None
        elif token.token_type is TokenType.PARAMETER and after is not None and after.start == token.end + 1:
            yield token.start, after.end + 1, after.text


def _written(text: str, start: int, end: int, key: str, given: Mapping[str, Any], tables: set[str]) -> str:
    if key in tables:
        return f"{quoted(FRAMES)}.{quoted(key)}"
    if key not in given:
        raise InputError(
            f"`{text[start:end]}` has no value.",
            hint=f"Give one for each: {', '.join(given)}."
            if text[start] == "?"
            else f"Give one, as in sql(text, {{'{key}': ...}}), or a frame: sql(text, {key}=frame). "
            + did_you_mean(key, [*given, *tables], "given"),
            where=place(text, start, end),
        )
    return sql_value(key, given[key])


def sql_value(name: str, value: Any) -> str:
    """The value as a literal of SQL that is exactly it; InputError for what no literal is."""
    value = _python(name, value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(sql_value(name, v) for v in value)}]"
    if value is None or isinstance(value, bool):
        return "NULL" if value is None else str(value).upper()
    if isinstance(value, int) and -_HUGE <= value < _HUGE:
        return _signed(str(int(value)), value < 0)
    if isinstance(value, float):
        return _float(float(value))
    if isinstance(value, Decimal) and value.is_finite():
        return _signed(format(value, "f"), value.is_signed())
    if isinstance(value, str):
        return literal(value)
    if isinstance(value, bytes):
        return "'" + "".join(f"\\x{b:02X}" for b in value) + "'::BLOB"
    if (said := _moment(value)) is not None:
        return said
    if isinstance(value, UUID):
        return f"{literal(str(value))}::UUID"
    raise InputError(
        f"The parameter `{name}` cannot be of the type {type(value).__name__}{' of that size' if isinstance(value, int | Decimal) else ''}.",
        hint=f"A frame is given as a keyword: sql(text, {name}=frame)."
        if hasattr(value, "__arrow_c_stream__")
        else "Give None, a bool, number, text, bytes, date, time, timedelta, UUID, or a list of them.",
    )


def _signed(text: str, negative: bool) -> str:
    """In brackets when negative: `5-$x` would begin a comment."""
    return f"({text})" if negative else text


def _float(value: float) -> str:
    """With an exponent, so that it is a DOUBLE and no DECIMAL."""
    if not isfinite(value):
        return f"CAST('{value}' AS DOUBLE)"
    text = repr(value)
    return _signed(text if "e" in text else f"{text}e0", text.startswith("-"))


def _moment(value: Any) -> str | None:
    if isinstance(value, datetime):
        return f"TIMESTAMP{'' if value.tzinfo is None else 'TZ'} '{value.isoformat(sep=' ')}'"
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, time) and value.tzinfo is None:
        return f"TIME '{value.isoformat()}'"
    if isinstance(value, timedelta):
        return f"INTERVAL '{value // timedelta(microseconds=1)} microseconds'"
    return None


def _python(name: str, value: Any) -> Any:
    """Numpy's and pandas' scalars as Python's; a moment finer than a microsecond is refused, not cut."""
    if type(value).__name__ in {"NAType", "NaTType"}:
        return None
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        if value.dtype.kind in "mM":
            micros = value.astype(f"{value.dtype.kind}8[us]")
            if micros != value and value == value:  # noqa: PLR0124 - NaT is not itself
                raise _too_fine(name)
            return micros.item()
        return value.tolist()
    if isinstance(value, datetime) and getattr(value, "nanosecond", None):
        raise _too_fine(name)
    return value


def _too_fine(name: str) -> InputError:
    return InputError(f"`${name}` is finer than a microsecond.", hint="Round it first.")
