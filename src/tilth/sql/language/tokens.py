"""A cursor over the tokens of a text: what the statement parser reads with, and where it makes its errors.

The tokens are sqlglot's; only its tokenizer is configured (a supported thing to do), its parser is never subclassed
or patched, so that this works with and without sqlglot's compiled build. Words are not keywords here: `keys` holds
each unquoted word in upper case, punctuation as it is, and the empty text for strings, numbers and quoted
identifiers, so that a quoted word is never taken for a keyword. What statements look like is in `parser`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from copy import copy
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from tilth.core.errors import LanguageError, Position
from tilth.core.names import did_you_mean, nearest

if TYPE_CHECKING:
    from sqlglot import Token

RESERVED = frozenset(
    """
    AND APPLY AS CREATE DATE DROP ENGINE EVENT EXCEPT EXPECT FALSE FEATURES FOR FROM
    GROUP HORIZON IF KEY NOT NULL OBJECTIVE ON OR ORDER OUTCOMES PREDICT PROMOTE REFRESH
    REGIONS REPLICAS RETRAIN ROLLOUT SECRET SELECT SET TAG TIMESTAMP TO TRUE USING WHEN WHERE
    WINDOW WITH
    """.split()  # noqa: SIM905 - a list of quoted words reads worse
)
"""Words that a resource can only be called in quotes."""

MOST_TEXT = 2_000_000  # characters of a text, so that reading it takes seconds at most
MOST_TOKENS = 200_000
DEEPEST = 100  # brackets or CASEs within one another, or signs in a row

_QUOTED = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|--[^\n]*|/\*(?:[^*]|\*(?!/))*\*/"
    r"|\$\$.*?\$\$|[^'\"`\-/$]+|.",
    re.DOTALL,
)
_SECRET_WORDS = ("passw", "pwd", "secret", "token", "api", "access")
_SECRET_KEY = re.compile(r"passw|pwd|secret|token|api_?key|access_?key", re.IGNORECASE)
_PASSWORD = re.compile(
    r"""((?:passw|pwd|secret|token|api_?key|access_?key)\w{0,40}["'`]?\s{0,9}[:=]\s{0,9}|passw\w{0,20}["'`]?\s{1,9})(["'])((?:(?!\2).)*)(\2|$)""",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"(://[^/@\s:]*:)([^/@\s]+)@")
_CLOSERS = {
    "'": ("string", "'"),
    '"': ("quoted name", '"'),
    "`": ("quoted name", "`"),
    "/*": ("comment", "*/"),
}
_PAIRS = {"(": ")", "[": "]", "{": "}"}
_OPEN = frozenset(_PAIRS)
_CLOSE = frozenset(_PAIRS.values())
_SIGNS = frozenset(["NOT", "-", "+", "~"])


@cache
def _tokenizer() -> Any:
    """DuckDB's tokenizer without keywords and with back-quoted names; made once, when first needed."""
    from sqlglot.dialects.duckdb import DuckDB

    class Words(DuckDB.Tokenizer):
        IDENTIFIERS = ['"', "`"]  # noqa: RUF012 - sqlglot reads plain class attributes
        COMMANDS = set()  # noqa: RUF012
        KEYWORDS = {  # noqa: RUF012
            k: v
            for k, v in DuckDB.Tokenizer.KEYWORDS.items()
            if not any(c.isalpha() or c in "{}%" for c in k) and k != "/*+"
        }

    return Words


@cache
def _kinds() -> tuple[Any, Any, Any, Any]:
    from sqlglot import TokenType

    return TokenType.VAR, TokenType.STRING, TokenType.IDENTIFIER, TokenType.NUMBER


def tokens_of(text: str, file: str | None = None) -> list[Token]:
    """The tokens of a text without comments; LanguageError at a string, name or comment that never ends.

    A text beyond what anybody writes is refused: too long, of too many tokens.
    """
    from sqlglot.errors import TokenError

    if len(text) > MOST_TEXT:
        raise _too_much(f"{len(text):,} characters", f"{MOST_TEXT:,}", file)
    if not text.isascii():
        _check_text(text, file)
    try:
        found: list[Token] = _tokenizer()("duckdb").tokenize(_told_apart(text))
    except TokenError as problem:
        raise _token_error(text, file) from problem
    if len(found) > MOST_TOKENS:
        raise _too_much(f"{len(found):,} words, values and marks", f"{MOST_TOKENS:,}", file)
    return found


_PLACE = re.compile(r"\$(?=\d)")


def _told_apart(text: str) -> str:
    """The text with the mark of `$1` written otherwise: sqlglot takes `$1,$2` for the beginning of a text between dollars."""
    if _PLACE.search(text) is None:
        return text
    out = list(text)
    for match in _QUOTED.finditer(text):
        if match[0] == "$" and _PLACE.match(text, match.start()) is not None:
            out[match.start()] = "@"
    return "".join(out)


def _check_text(text: str, file: str | None) -> None:
    """LanguageError for half a character, which a shell makes of bytes that are no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise LanguageError(
            "This text is not valid Unicode.",
            hint="Write it as UTF-8.",
            where=place(text, error.start, error.end, file),
        ) from None


def _too_much(found: str, most: str, file: str | None) -> LanguageError:
    where = None if file is None else Position(1, 1, 1, file)
    return LanguageError(
        f"This text has {found}, and {most} are the most that are read at a time.",
        hint="Put long lists of values into a table or a file, and join it.",
        where=where,
    )


def _token_error(text: str, file: str | None) -> LanguageError:
    for match in _QUOTED.finditer(text):
        start = match.start()
        opener = "/*" if text.startswith("/*", start) else match[0]
        if len(match[0]) == 1 and opener in _CLOSERS:
            what, closer = _CLOSERS[opener]
            where = place(text, start, start + len(opener), file)
            return LanguageError(f"This {what} never ends.", hint=f"Close it with {closer}", where=where)
    return LanguageError(
        "This text cannot be read as SQL.",
        hint="Look for a quote without its partner.",
        where=place(text, 0, 1, file),
    )


def place(text: str, start: int, end: int, file: str | None = None) -> Position:
    """The position of `text[start:end]`, with its line."""
    begin = text.rfind("\n", 0, start) + 1
    stop = text.find("\n", start)
    row = text[begin : len(text) if stop < 0 else stop].rstrip("\r")
    return Position(
        text.count("\n", 0, start) + 1, start - begin + 1, max(1, end - start), file, without_secrets(row)
    )


def without_secrets(row: str) -> str:
    """The line of a text with stars for passwords that stand open in it, as long as it was.

    >>> without_secrets('{"user": "ada", "password": "x1"}')
    '{"user": "ada", "password": "**"}'
    """
    low = row.lower()
    if "://" not in row and not any(word in low for word in _SECRET_WORDS):
        return row  # a long line is looked at again and again
    out = _PASSWORD.sub(lambda m: f"{m[1]}{m[2]}{'*' * len(m[3])}{m[4]}", row)
    return _USERINFO.sub(lambda m: f"{m[1]}{'*' * len(m[2])}@", out)


class Cursor:
    """Reads a text from left to right. The one mutable thing of this floor; it never leaves the parser.

    `clauses` are the words that began a clause, `verbatim` what was taken as it stands, as ranges of tokens: `layout` goes by them.
    """

    __slots__ = ("_lines", "_rows", "clauses", "file", "i", "keys", "text", "tokens", "verbatim")

    def __init__(self, text: str, file: str | None = None) -> None:
        self.text = text
        self.file = file
        self.tokens = tokens_of(text, file)
        self.keys = _keys(self.tokens)
        self.i = 0
        self.clauses: list[tuple[int, int]] = []
        self.verbatim: list[tuple[int, int]] = []
        self._lines: list[int] | None = None
        self._rows: dict[int, str] = {}  # lines as they are shown
        self._check_depth()

    def _check_depth(self) -> None:
        depth = signs = 0
        for i, key in enumerate(self.keys):
            signs = signs + 1 if key in _SIGNS else 0
            if key in _OPEN or key == "CASE":
                depth += 1
            elif key in _CLOSE or key == "END":
                depth = max(0, depth - 1)
            if depth > DEEPEST:
                self.fail(
                    f"More than {DEEPEST} brackets or CASEs stand within one another here.", "Split it.", at=i
                )
            if signs > DEEPEST:
                self.fail(f"More than {DEEPEST} signs follow one another here.", "Leave them out.", at=i)

    # --- looking ---

    @property
    def key(self) -> str:
        """The word or mark that is next; empty for a string, number or quoted name, and at the end."""
        return self.keys[self.i] if self.i < len(self.keys) else ""

    @property
    def following(self) -> str:
        """The word or mark after the next."""
        return self.keys[self.i + 1] if self.i + 1 < len(self.keys) else ""

    @property
    def word(self) -> str:
        """The next token as it is written."""
        return self.tokens[self.i].text

    @property
    def at_word(self) -> bool:
        """Whether an unquoted word is next."""
        return bool(self.key) and (self.key[0].isalpha() or self.key[0] == "_")

    @property
    def ended(self) -> bool:
        return self.i >= len(self.tokens)

    @property
    def at_end(self) -> bool:
        """Whether the statement is over: at `;` or at the end of the text."""
        return self.i >= len(self.tokens) or self.keys[self.i] == ";"

    def at(self, *words: str) -> bool:
        """Whether these words or marks are next."""
        return self.keys[self.i : self.i + len(words)] == list(words)

    def _is(self, kind: int) -> bool:
        return self.i < len(self.tokens) and bool(self.tokens[self.i].token_type == _kinds()[kind])

    @property
    def at_string(self) -> bool:
        return self._is(1)

    @property
    def at_quoted(self) -> bool:
        return self._is(2)

    @property
    def at_number(self) -> bool:
        return self._is(3)

    @property
    def at_name(self) -> bool:
        return self._is(0) or self._is(2)

    # --- taking ---

    def take(self, *words: str) -> bool:
        """Take these words or marks if all of them are next."""
        if not self.at(*words):
            return False
        self.i += len(words)
        return True

    def expect(self, *words: str, hint: str | None = None) -> None:
        """Take these words or marks, or say that they are missing."""
        for word in words:
            if self.key != word:
                near = word[0].isalpha() and self.at_word and nearest(self.key, [word])
                guess = f"Did you mean `{word}`? " if near else ""
                self.fail(f"Expected `{' '.join(words)}` here{self.instead()}.", guess + (hint or "") or None)
            self.i += 1

    def text_token(self) -> str:
        """Take one token and give its text (a string or quoted name without its quotes)."""
        text = self.tokens[self.i].text
        self.i += 1
        return text

    def name(self, what: str, *, fold: bool = False, reserved: bool = True) -> str:
        """Take a name; `fold` lowers unquoted ones, `reserved` refuses keywords that are not quoted."""
        if not self.at_name:
            self.fail(f"Expected {what} here{self.instead()}.")
        quoted = self.at_quoted
        if reserved and not quoted and self.key in RESERVED:
            self.fail(
                f"Expected {what} here, found the keyword `{self.key}`.",
                f'Write {what}; a name that is also a keyword goes in quotes: "{self.key.lower()}".',
            )
        if not self.word:
            self.fail(f"Expected {what} here, found an empty one.")
        text = self.text_token()
        return text.lower() if fold and not quoted else text

    def string(self, what: str) -> str:
        """Take a 'string'; MindsDB's "double quotes" are accepted too."""
        if not (self.at_string or self.at_quoted):
            self.fail(f"Expected {what} as a 'string' here{self.instead()}.")
        return self.text_token()

    def names(self, what: str) -> tuple[str, ...]:
        """Take `(name, name, ...)`."""
        self.expect("(", hint="Write a list as (a, b).")
        out = [self.name(what, reserved=False)]
        while self.take(","):
            out.append(self.name(what, reserved=False))
        self.expect(")", hint="Write a list as (a, b).")
        return tuple(out)

    def balanced(self, what: str) -> tuple[int, int]:
        """Take `( ... )` whole; the token indexes of what is inside."""
        opened = self.i
        self.expect("(", hint=f"Put {what} in parentheses.")
        first = self.i
        self.skip_to(frozenset({")"}), opened=opened)
        last = self.i
        if first == last:
            self.fail(f"Expected {what} inside the parentheses.")
        self.i += 1
        return first, last

    def within(self, first: int, last: int) -> Cursor:
        """A cursor over the tokens from `first` to before `last`, whose places are those of the whole text."""
        found = copy(self)
        found.tokens, found.keys, found.i = self.tokens[:last], self.keys[:last], first
        found.clauses, found.verbatim = [], []
        return found

    def skip_to(self, marks: frozenset[str], *, opened: int | None = None) -> None:
        """Go on to one of these words or marks at this depth of brackets; without `opened` the end will do."""
        keys = self.keys
        stack: list[int] = []
        for i in range(self.i, len(keys)):
            key = keys[i]
            if not stack and key in marks:
                self.i = i
                return
            if key in _OPEN:
                stack.append(i)
            elif key in _CLOSE:
                if not stack or _PAIRS[keys[stack[-1]]] != key:
                    self.fail(f"This `{key}` closes nothing.", "Remove it, or open it before.", at=i)
                stack.pop()
        unclosed = stack[-1] if stack else opened
        if unclosed is not None:
            mark = keys[unclosed]
            self.fail(f"This `{mark}` is never closed.", f"Close it with `{_PAIRS[mark]}`.", at=unclosed)
        self.i = len(keys)

    # --- places and text ---

    def slice(self, first: int, last: int) -> str:
        """The text from token `first` to before token `last`, as it stands (comments at its edges left out)."""
        self.verbatim.append((first, last))
        return self.text[self.tokens[first].start : self.tokens[last - 1].end + 1]

    def position(self, first: int | None = None, last: int | None = None) -> Position:
        """Where the tokens stand; the end of the text when there are no more."""
        first = self.i if first is None else first
        if self._lines is None:
            self._lines = [0] + [m.end() for m in re.finditer("\n", self.text)]
        if first < len(self.tokens):
            start, end = self.tokens[first].start, self.tokens[(last or first + 1) - 1].end + 1
        else:
            start = self.tokens[-1].end + 1 if self.tokens else 0
            end = start + 1
        line = bisect_right(self._lines, start)
        begin = self._lines[line - 1]
        stop = self._lines[line] - 1 if line < len(self._lines) else len(self.text)
        if line not in self._rows:
            self._rows[line] = without_secrets(self.text[begin:stop].rstrip("\r"))
        row = self._rows[line]
        return Position(line, start - begin + 1, max(1, min(end, stop) - start), self.file, row)

    def instead(self) -> str:
        """`, found ...` for a message, or that the text ends."""
        if self.ended:
            return ", but the text ends"
        token = self.tokens[self.i]
        if (
            self.at_string
            and self.i
            and _SECRET_KEY.search(self.text[self.tokens[max(0, self.i - 2)].start : token.start])
        ):
            return ", found a string"
        return f", found `{self.text[token.start : token.end + 1].splitlines()[0][:40]}`"

    def problem(self, message: str, hint: str | None = None, at: int | None = None) -> LanguageError:
        """The error at the next token, or at token `at`."""
        return LanguageError(message, hint=hint, where=self.position(at))

    def fail(self, message: str, hint: str | None = None, at: int | None = None) -> NoReturn:
        """Raise that error."""
        raise self.problem(message, hint, at)

    def unknown(
        self, message: str, word: str, known: Iterable[str], what: str, at: int | None = None
    ) -> LanguageError:
        """The error about an unknown word, with the known one nearest to it and the list."""
        return self.problem(message, did_you_mean(word, known, what), at)


def _keys(tokens: list[Token]) -> list[str]:
    var, *plain = _kinds()
    out = []
    for t in tokens:
        kind = t.token_type
        if kind == var:
            out.append(t.text.upper())
        elif kind in plain or t.end - t.start + 1 != len(t.text):
            out.append("")
        else:
            out.append(t.text)
    return out
