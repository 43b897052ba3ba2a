"""What stands between the tokens of a text: white space and comments. Tokens know nothing of it; `layout` keeps all comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tilth.sql.language.tokens import Cursor

_MARKS = re.compile(r"/\*|\*/|\{#|#\}")


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment; `lines` are the ends of lines between it and what stands before it: 0 when that is on its line."""

    text: str
    lines: int

    @property
    def to_end_of_line(self) -> bool:
        return self.text.startswith("--")


@dataclass(frozen=True, slots=True)
class Gap:
    """What stands before a token; `lines` are the ends of lines after its last comment."""

    text: str
    comments: tuple[Comment, ...] = ()
    lines: int = 0


def gaps(c: Cursor) -> tuple[Gap, ...]:
    """The gap before each token, and the one after the last."""
    ends = [0, *(t.end + 1 for t in c.tokens)]
    starts = [*(t.start for t in c.tokens), len(c.text)]
    return tuple(_gap(c.text[a:b]) for a, b in zip(ends, starts, strict=True))


def _gap(text: str) -> Gap:
    found, at = [], 0
    for start, end in _comments(text):
        found.append(Comment(text[start:end].rstrip(), text.count("\n", at, start)))
        at = end
    return Gap(text, tuple(found), text.count("\n", at))


def _comments(text: str) -> Iterator[tuple[int, int]]:
    """Where comments begin and end; one that stands in another is a part of it."""
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        end = _line_end(text, at) if text.startswith("--", at) else _block_end(text, at)
        yield at, end
        at = end


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _block_end(text: str, at: int) -> int:
    depth = 0
    for mark in _MARKS.finditer(text, at):
        depth += 1 if mark[0] in ("/*", "{#") else -1
        if depth <= 0:
            return mark.end()
    return len(text)
