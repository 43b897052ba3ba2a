"""Reads an `MLmodel`, MLflow's description of a folder: the part of YAML in which MLflow and tilth write it, and no more.

Mappings by indentation, lists, and scalars: plain, 'single' or "double" quoted, over several lines too. Scalars stay texts.
Anchors, tags and blocks are refused, so nothing in the file can name a type, or grow.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from tilth.core.errors import UnsupportedError

MOST_BYTES, DEEPEST = 1 << 20, 20
_KEY = re.compile(r"(?P<key>[A-Za-z0-9_][A-Za-z0-9_. -]*?):(?: +(?P<rest>\S.*))?\Z")
STRANGE = ("&", "*", "!", "|", ">", "%", "@", "`")


def read(content: bytes) -> Mapping[str, Any]:
    """The keys with texts, lists or mappings; UnsupportedError with the line that is not understood."""
    if len(content) > MOST_BYTES:
        raise UnsupportedError(f"The MLmodel is larger than {MOST_BYTES:,} bytes.", hint=HINT)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnsupportedError("The MLmodel is not UTF-8.", hint=HINT) from error
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip() and line[:1] != "#"]
    found = _Reader(lines).block(0, 0)
    if not isinstance(found, dict):
        raise UnsupportedError("The MLmodel is no mapping.", hint=HINT)
    return found


HINT = "Name a folder that MLflow's save_model, or `tilth export --format mlflow`, has written."


class _Reader:
    """Takes lines from the front."""

    def __init__(self, lines: list[tuple[int, str]]) -> None:
        self._lines, self._at = lines, 0

    def block(self, indent: int, depth: int) -> Any:
        """The mapping or the list whose lines begin at this column."""
        if depth > DEEPEST:
            self._refuse("is nested too deep")
        if self._lines and self._text().startswith("- "):
            return self._list(indent)
        found: dict[str, Any] = {}
        while self._at < len(self._lines) and self._indent() == indent:
            match = _KEY.fullmatch(self._text())
            if match is None or match["key"] in found:
                self._refuse("is no `key: value` of its own")
            found[match["key"]] = self._value(match["rest"], indent, depth)
        if self._at < len(self._lines) and self._indent() > indent:
            self._refuse("is indented otherwise")
        return found

    def _value(self, rest: str | None, indent: int, depth: int) -> Any:
        self._at += 1
        if rest is not None:
            return self._scalar(rest, indent)
        if self._at == len(self._lines):
            return ""
        deeper = self._indent()
        listed = deeper == indent and self._text().startswith("- ")
        return self.block(deeper, depth + 1) if deeper > indent or listed else ""

    def _list(self, indent: int) -> list[str]:
        out = []
        while self._at < len(self._lines) and self._indent() == indent and self._text().startswith("- "):
            item = self._text()[2:].strip()
            self._at += 1
            out.append(self._scalar(item, indent))
        return out

    def _scalar(self, first: str, indent: int) -> str:
        """A scalar and the lines it goes on over: all that lie deeper, and for a quoted one all up to its quote."""
        if first.startswith(STRANGE):
            self._at -= 1
            self._refuse("begins as nothing does that MLflow writes")
        quote = first[0] if first[0] in "'\"" else ""
        parts = [first.strip()]
        more = not _ended(parts[0][1:], quote) if quote else self._goes_on(indent)
        while more:
            if self._at == len(self._lines):
                self._at -= 1
                self._refuse("has no end")
            parts.append(self._text())
            self._at += 1
            more = not _ended(parts[-1], quote) if quote else self._goes_on(indent)
        if not quote:
            return " ".join(parts)
        joined = _joined(parts, quote)
        if quote == "'":
            return joined[1:-1].replace("''", "'")
        try:
            return str(json.loads(joined))
        except ValueError:
            self._at -= 1
            self._refuse("holds an escape that is not known")

    def _goes_on(self, indent: int) -> bool:
        return self._at < len(self._lines) and self._indent() > indent

    def _indent(self) -> int:
        line = self._lines[self._at][1]
        return len(line) - len(line.lstrip(" "))

    def _text(self) -> str:
        return self._lines[self._at][1].strip()

    def _refuse(self, why: str) -> NoReturn:
        number = self._lines[min(self._at, len(self._lines) - 1)][0]
        raise UnsupportedError(f"Line {number} of the MLmodel {why}.", hint=HINT)


def _joined(parts: list[str], quote: str) -> str:
    """Lines of a quoted scalar as one; a line of a double-quoted one that ends with a backslash goes on without a space."""
    out = parts[0]
    for part in parts[1:]:
        whole = quote == "'" or not out.endswith("\\")
        out = f"{out} {part}" if whole else out[:-1] + part.removeprefix("\\")
    return out


def _ended(line: str, quote: str) -> bool:
    """Whether a line of a quoted scalar ends it, without the quote that begins it."""
    if not line.endswith(quote):
        return False
    if quote == "'":
        return (len(line) - len(line.rstrip("'"))) % 2 == 1
    body = line[:-1]
    return (len(body) - len(body.rstrip("\\"))) % 2 == 0
