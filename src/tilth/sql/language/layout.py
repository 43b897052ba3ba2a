"""A text of statements in tilth's one layout. Only white space, the case of clause words and the place of `;` are anybody's to change.

What is taken verbatim by the parser (queries, expressions of EXPECT) stays so to the letter, and every comment stays, in the
order that it had. A statement is its head with a clause a line below; a list gets a line an item where it is an EXPECT of
several, holds a comment, or would be too long. What is laid out is read again, and refused when it does not say the same.
Where clauses begin and what is verbatim is noted by the parser's cursor, so a new kind of statement is laid out as it is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tilth.core.errors import UnsupportedError
from tilth.sql.language.clauses import QUERY_WORDS
from tilth.sql.language.gaps import Comment, Gap, gaps
from tilth.sql.language.parser import Parse, Stands, each, parse
from tilth.sql.language.tokens import Cursor

WIDTH = 100
MOST_ALIGNED = 60  # characters before an ON FAIL that others are set below
_STEP = "  "
_IN_HEAD = frozenset({"ENGINE", "FOR MODEL"})  # clauses that say what it is, and stand on its first line
_BEFORE = frozenset([",", ")", "]", "}", ";", ":"])  # no space before these
_AFTER = frozenset(["(", "[", "{"])  # none after these
_APART = frozenset(["=", ">", "<", ">=", "<="])  # one around these
BOM = "\ufeff"


def layout(text: str, kinds: Mapping[str, Parse], file: str | None = None) -> str:
    """The text laid out; LanguageError or UnsupportedError where it cannot be read. Laid out again it is the same.

    A byte order mark stays, and so do ends of lines of two characters where all are.
    """
    mark, body = (BOM, text[1:]) if text.startswith(BOM) else ("", text)
    windows = "\r\n" in body and body.count("\r\n") == body.count("\n")
    before = body.replace("\r\n", "\n") if windows else body
    after = _laid(before, kinds, file)
    _require_same(before, after, kinds, file)
    return mark + (after.replace("\n", "\r\n") if windows else after)


def _require_same(before: str, after: str, kinds: Mapping[str, Parse], file: str | None) -> None:
    """UnsupportedError unless both say the same, with the same comments."""
    if parse(before, kinds) != parse(after, kinds) or _comments(before) != _comments(after):
        raise UnsupportedError(
            f"{file or 'This text'} is left as it is: laid out anew it would not say the same.",
            hint="Report this with the text: it is a fault of tilth's.",
        )


def _comments(text: str) -> list[str]:
    return [comment.text for gap in gaps(Cursor(text)) for comment in gap.comments]


# --- the file ----------------------------------------------------------------------------------------------


class _Lines:
    """Lines that grow: a comment goes to the end of the last one, or on a line of its own."""

    def __init__(self) -> None:
        self.rows: list[str] = []

    def row(self, text: str, *, blank: bool = False) -> None:
        """A line, with an empty one before it if `blank`; never at the beginning."""
        if blank and self.rows:
            self.rows.append("")
        self.rows.append(text)

    def comment(self, one: Comment, indent: str, *, blank: bool | None = None) -> None:
        """A comment; `blank` as it is in the text when it is not said."""
        if one.lines == 0 and self.rows:
            self.rows[-1] += f"{_STEP}{one.text}"
        else:
            self.row(f"{indent}{one.text}", blank=one.lines > 1 if blank is None else blank)


def _laid(text: str, kinds: Mapping[str, Parse], file: str | None) -> str:
    c = Cursor(text, file)
    stands = tuple(each(c, kinds))
    shown = _Shown(c)
    out, before = _Lines(), Gap("")
    shapes = [shown.statement(one) for one in stands]
    at, tall = 0, False
    for one, shape in zip(stands, shapes, strict=True):
        before = shown.between(at, one.first)
        taller = "\n" in shape
        apart = tall or taller
        _own_lines(out, before, apart=apart and at > 0)
        no_comment = all(x.lines == 0 for x in before.comments) and at > 0
        out.row(shape + ";", blank=before.lines > 1 or (apart and no_comment))
        at, tall = one.last, taller
    _own_lines(out, shown.between(at, len(c.tokens)), apart=False)
    return "\n".join([*out.rows, ""]) if out.rows else ""


def _own_lines(out: _Lines, gap: Gap, *, apart: bool) -> None:
    """The comments between two statements; `apart`: an empty line comes after the first statement."""
    first = True
    for one in gap.comments:
        own = one.lines > 0
        out.comment(one, "", blank=True if apart and own and first else None)
        first = first and not own


# --- a statement -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Clause:
    """The tokens of a clause: its words are those before `words`."""

    first: int
    words: int
    last: int


@dataclass(frozen=True, slots=True)
class _Item:
    first: int
    last: int
    before: Gap  # the comments between it and the one before, or the bracket


class _Shown:
    """How the parts of a text are written."""

    def __init__(self, c: Cursor) -> None:
        self.c = c
        self.gaps = gaps(c)
        self.verbatim: dict[int, int] = {}
        for first, last in c.verbatim:
            self.verbatim[first] = max(last, self.verbatim.get(first, 0))
        of_lines = [(a, b) for a, b in self.verbatim.items() if "\n" in self.written(a, b)]
        self._beside_lines = frozenset(i for ends in of_lines for i in ends)
        self._starts = [first for first, _ in c.clauses]

    def between(self, first: int, last: int) -> Gap:
        """What stands before token `last` and after token `first - 1`, over the `;` between; what stood before a first `;` with
        a line of its own is the statement's.
        """
        parts = list(self.gaps[first : last + 1])
        if len(parts) > 1 and first and self._keeps_end(first):
            del parts[0]
        found = _merged(parts)
        return Gap(
            "",
            found,
            parts[-1].lines if parts[-1].comments or len(parts) < 2 else sum(g.lines for g in parts),
        )

    def _keeps_end(self, at: int) -> bool:
        """Whether comments with lines of their own stand before the `;` at that token: they stay there."""
        ends = at < len(self.c.keys) and self.c.keys[at] == ";"
        return ends and any(one.lines for one in self.gaps[at].comments)

    def statement(self, one: Stands) -> str:
        """The statement, without its `;`."""
        begun = bisect_left(self._starts, one.first), bisect_left(self._starts, one.last)
        starts = self.c.clauses[slice(*begun)]
        ends = [*(k[0] for k in starts), one.last][1:]
        clauses = [_Clause(*k, end) for k, end in zip(starts, ends, strict=True)]
        shape = self._create(one, clauses) if clauses else self.inline(one.first, one.last)
        if self._keeps_end(one.last):
            shape += f"{self.gaps[one.last].text.rstrip()}\n"
        return shape

    def _create(self, one: Stands, clauses: Sequence[_Clause]) -> str:
        named = clauses[0].first - 1
        head = self._words(one.first, named) + self.space(named) + self.inline(named, clauses[0].first)
        if (flat := self._flat(one, head, clauses)) is not None:
            return flat
        out = _Lines()
        out.row(head)
        for i, clause in enumerate(clauses):
            is_query = self._is_query(clause)
            indent = "" if is_query else _STEP
            before = self.gaps[clause.first]
            name = " ".join(self.c.keys[clause.first : clause.words])
            if i == 0 and name in _IN_HEAD and not before.comments:
                out.rows[-1] += f" {self._clause(clause, indent)}"
                continue
            for comment in before.comments:
                out.comment(comment, indent, blank=False)
            out.row(f"{indent}{self._clause(clause, indent)}")
        return "\n".join(out.rows)

    def _flat(self, one: Stands, head: str, clauses: Sequence[_Clause]) -> str | None:
        """A short statement of a clause or two on one line; None for any other."""
        if len(clauses) > 2 or any(self.gaps[i].comments for i in range(one.first + 1, one.last)):
            return None
        parts = [f"{self._words(k.first, k.words)} {self.inline(k.words, k.last)}".rstrip() for k in clauses]
        text = " ".join([head, *parts])
        too_much = "\n" in text or len(text) >= WIDTH or any(self._must(k) for k in clauses)
        return None if too_much else text

    def _is_query(self, clause: _Clause) -> bool:
        """Whether all of a clause but its words is verbatim."""
        return self.verbatim.get(clause.words) == clause.last

    def _words(self, first: int, last: int) -> str:
        """Words of the language, in upper case."""
        if any(self.gaps[i].comments for i in range(first + 1, last)):
            return self.inline(first, last)
        return " ".join(self.c.keys[i] or self.written(i, i + 1) for i in range(first, last))

    # --- a clause ---

    def _clause(self, k: _Clause, indent: str) -> str:
        words = self._words(k.first, k.words)
        if self._is_query(k):
            gap = self.gaps[k.words]
            kept = gap.text if gap.comments else "\n" + gap.text.rpartition("\n")[2] if gap.lines else " "
            return words + kept + self.written(k.words, k.last)
        if k.words == k.last:
            return words
        flat = f"{words}{self.space(k.words) or ' '}{self.inline(k.words, k.last)}"
        long = max(map(len, flat.split("\n"))) + len(indent) > WIDTH
        opened = self._opened(k, long=long)
        if not opened:
            return flat
        out, at = words + (self.space(k.words) or " "), k.words
        for bracket, items in opened:
            end = items[-1].last
            out += self.inline(at, bracket + 1) + self._list(items, indent, end)
            at = end + 1
            if at < k.last:
                out += self.space(at)
        return out + self.inline(at, k.last)

    def _must(self, k: _Clause) -> bool:
        return bool(self._opened(k, long=False))

    def _opened(self, k: _Clause, *, long: bool) -> list[tuple[int, list[_Item]]]:
        """The brackets of a clause whose items get lines of their own."""
        found, i = [], k.words
        while i < k.last:
            if i in self.verbatim and self.verbatim[i] <= k.last:
                i = self.verbatim[i]
                continue
            if self.c.keys[i] == "(":
                items, i = self._items(i)
                checks = len(items) > 1 and any(self._on_fail(one) is not None for one in items)
                whole = self._is_bracketed_query(items)
                said = not whole and any(self._all_comments(items))
                if items and (checks or said or (long and len(items) > 1)):
                    found.append((items[0].first - 1, items))
            i += 1
        return found

    def _is_bracketed_query(self, items: Sequence[_Item]) -> bool:
        """Whether nothing but a query stands in the bracket, or nothing at all."""
        if len(items) != 1:
            return not items
        first = items[0].first
        return self.verbatim.get(first) == items[0].last and self.c.keys[first] in QUERY_WORDS

    def _all_comments(self, items: Sequence[_Item]) -> list[Comment]:
        last = self.gaps[items[-1].last].comments
        return [comment for one in items for comment in one.before.comments] + list(last)

    def _items(self, bracket: int) -> tuple[list[_Item], int]:
        """The items between a bracket and the one that closes it, and the token of that."""
        items: list[_Item] = []
        first, depth, i = bracket + 1, 0, bracket + 1
        before = self.gaps[first]
        while True:
            if i in self.verbatim:
                i = self.verbatim[i]
                continue
            key = self.c.keys[i]
            if depth == 0 and key in (",", ")"):
                if first < i:
                    items.append(_Item(first, i, before))
                if key == ")":
                    return items, i
                first, after = i + 1, self.gaps[i + 1]
                before = Gap("", _merged((self.gaps[i], after)), after.lines)
            depth += (key in _AFTER) - (key in ("]", "}", ")"))
            i += 1

    def _on_fail(self, one: _Item) -> int | None:
        """The token where ON FAIL begins, right after an expression."""
        at = one.last - 3
        ends = at > one.first and self.c.keys[at : at + 2] == ["ON", "FAIL"]
        return at if ends and not self.gaps[at].comments else None

    def _list(self, items: Sequence[_Item], indent: str, end: int) -> str:
        """What follows a bracket: a line an item, or names as many as fit, and the closing bracket."""
        deep = indent + _STEP
        out = _Lines()
        out.row("")
        shapes = self._aligned(items)
        last = self.gaps[end]
        if not any(self._all_comments(items)) and self._are_names(items):
            return "\n".join(["", *_filled(shapes, deep), f"{indent})"])
        for n, (one, shape) in enumerate(zip(items, shapes, strict=True)):
            for comment in one.before.comments:
                out.comment(comment, deep, blank=comment.lines > 1 and n > 0)
            comma = "" if n == len(items) - 1 else ","
            out.row(f"{deep}{shape}{comma}", blank=one.before.lines > 1 and n > 0)
        for comment in last.comments:
            out.comment(comment, deep)
        out.row(f"{indent})")
        return "\n".join(out.rows)

    def _are_names(self, items: Sequence[_Item]) -> bool:
        return all(one.last - one.first == 1 for one in items)

    def _aligned(self, items: Sequence[_Item]) -> list[str]:
        """The items, with ON FAIL below ON FAIL."""
        halves = []
        for one in items:
            on = self._on_fail(one)
            left = self.inline(one.first, one.last if on is None else on)
            halves.append((left, "" if on is None else self._words(on, one.last)))
        widths = [
            len(left) for left, right in halves if right and "\n" not in left and len(left) <= MOST_ALIGNED
        ]
        width = max(widths, default=0)
        return [_beside(left, right, width) for left, right in halves]

    # --- tokens ---

    def written(self, first: int, last: int) -> str:
        """The tokens as they stand in the text."""
        tokens = self.c.tokens
        return self.c.text[tokens[first].start : tokens[last - 1].end + 1]

    def inline(self, first: int, last: int) -> str:
        """The tokens one after the other; what is verbatim stays, and so does a gap with a comment."""
        out, i = "", first
        while i < last:
            end = self.verbatim.get(i, i + 1)
            end = end if end <= last else i + 1
            out += (self.space(i) if i > first else "") + self.written(i, end)
            i = end
        return out

    def space(self, i: int) -> str:
        """What comes between token `i` and the one before it: on one line, unless a comment or a verbatim text of several
        lines stands there, whose first line stays where it is.
        """
        gap, before, after = self.gaps[i], self.c.keys[i - 1], self.c.keys[i]
        if gap.comments or (gap.lines and i in self._beside_lines):
            return gap.text
        if after in _BEFORE or before in _AFTER:
            return ""
        if before in (",", ":") or before in _APART or after in _APART:
            return " "
        return " " if gap.text else ""


def _merged(parts: Sequence[Gap]) -> tuple[Comment, ...]:
    """The comments of gaps whose `,` or `;` between them goes before them: one after a comment to the end of its line begins a line."""
    out: list[Comment] = []
    for one in (comment for gap in parts for comment in gap.comments):
        begins = one.lines == 0 and bool(out) and out[-1].to_end_of_line
        out.append(Comment(one.text, 1) if begins else one)
    return tuple(out)


def _beside(left: str, right: str, width: int) -> str:
    if not right:
        return left
    return f"{left} {right}" if "\n" in left else f"{left.ljust(width)} {right}"


def _filled(names: Sequence[str], indent: str) -> list[str]:
    """Names with commas between, as many a line as fit."""
    rows = [indent + names[0]]
    for name in names[1:]:
        if len(rows[-1]) + len(name) + 3 > WIDTH:
            rows[-1] += ","
            rows.append(indent + name)
        else:
            rows[-1] += f", {name}"
    return rows
