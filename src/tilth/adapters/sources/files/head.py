"""What the first lines of a CSV file say: its encoding, its separators, the lines before the header, and the header.

Only the shape is decided here. What the columns hold is decided over all lines, in `kinds` and `types`.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilth.adapters.sources.files.options import Format
from tilth.adapters.sources.files.spool import start_of
from tilth.core.errors import SourceError

if TYPE_CHECKING:
    from _csv import Reader

HEAD = 256 << 10
LINES = 200  # that are looked at
DELIMITERS = (",", ";", "\t", "|")
SHOWN = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar", " ": "a space"}
_MARKS = (
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_PACKED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
}
_TYPED = re.compile(
    r"\s*(?:[-+]?[\d.,]*\d[\d.,]*(?:[eE][-+]?\d+)?|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*|\d{1,2}:\d\d.*"
    r"|true|false)\s*",
    re.IGNORECASE,
)  # fmt: skip
_MISSING = frozenset({"", "na", "n/a", "#n/a", "null", "none", "nan", "-", ".", "?"})
_YEAR = re.compile(r"\s*(?:19|20)\d\d\s*\Z")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the cells of a file are told apart. `skip` counts the lines before the header, `passed` those of them that
    are no comments: DuckDB counts so.
    """

    delimiter: str
    quote: str
    escape: str
    comment: str
    header: bool
    skip: int
    passed: int
    names: tuple[str, ...]  # as written, or made when there is no header


@dataclass(frozen=True, slots=True)
class Head:
    """A file's dialect, and what was seen on the way. `guesses` are (text, key, value) of what could be wrong."""

    dialect: Dialect
    encoding: str
    marked: bool  # a byte order mark of UTF-8 stands first
    mixed: bool  # line ends of several kinds
    guesses: tuple[tuple[str, str, str], ...] = ()
    left_out: tuple[tuple[str, str, str], ...] = ()


def look(path: str, form: Format, shown: str) -> Head | None:
    """What the file's first lines say; None when it holds nothing but blank lines."""
    data = start_of(path, form.compression, HEAD)
    whole = len(data) < HEAD
    _check_packing(data, shown)
    encoding, guessed = _encoding(data, form, shown)
    text = data.decode(encoding, "replace").removeprefix("\ufeff")
    ends = Counter(re.findall(r"\r\n|\n|\r", text))
    lines = re.split(r"\r\n|\n|\r", text)
    if not whole and len(lines) > 1:
        lines = lines[:-1]
    if not any(line.strip() for line in lines):
        return None
    dialect, guesses, left = _dialect(lines, form, shown)
    if any("\ufffd" in name for name in dialect.names):
        raise not_in(encoding, shown, dialect.skip + 1)
    return Head(
        dialect,
        encoding,
        data.startswith(b"\xef\xbb\xbf"),
        len(ends) > 1 and _mixed(text),
        (*guessed, *guesses),
        left,
    )


def not_in(encoding: str, shown: str, line: int) -> SourceError:
    """The error of a file with a line in another encoding."""
    return SourceError(
        f"{shown} is not {encoding.upper()} text (line {line} is the first that is not).",
        hint="Write its encoding, for example format = {encoding: 'cp1252'}.",
    )


def _check_packing(data: bytes, shown: str) -> None:
    what = next((name for start, name in _PACKED.items() if data.startswith(start)), None)
    if what is None:
        return
    known = what in ("gzip", "zstd")
    raise SourceError(
        f"{shown} is compressed ({what}), and its name does not say so.",
        hint=f"Write format = {{compression: '{what}'}}, or call it {shown}.{'gz' if what == 'gzip' else 'zst'}."
        if known
        else "Unpack it, or put what is inside there as CSV.",
    )


def _mixed(text: str) -> bool:
    """Whether lines, and not cells in quotes alone, end in several ways."""
    outside = "".join(text.split('"')[::2])
    return len(set(re.findall(r"\r\n|\n|\r", outside))) > 1


def _encoding(data: bytes, form: Format, shown: str) -> tuple[str, tuple[tuple[str, str, str], ...]]:
    if form.encoding is not None:
        return form.encoding, ()
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name, ()
    for at, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        half = data[at::2]
        if len(half) > 3 and half.count(0) > 0.7 * len(half):
            return name, (
                (f"{shown} has no mark of its encoding and was read as {name}.", "encoding", f"'{name}'"),
            )
    return "utf-8", ()


def _dialect(
    lines: Sequence[str], form: Format, shown: str
) -> tuple[Dialect, tuple[tuple[str, str, str], ...], tuple[tuple[str, str, str], ...]]:
    guesses: list[tuple[str, str, str]] = []
    left: list[tuple[str, str, str]] = []
    skip, delimiter = form.skip or 0, form.delimiter
    named = re.match(r'"?sep=(.)"?\s*\Z', lines[0]) if form.skip is None else None
    if named is not None:
        skip, delimiter = 1, delimiter or named[1]
    quote = form.quote or '"'
    escape = form.escape or _escape(lines, quote)
    if delimiter is None:
        delimiter, rivals = _delimiter(lines[skip:], quote, escape, form.comment)
        if rivals:
            told = f"{shown} could be divided by {SHOWN[delimiter]} or by {SHOWN[rivals]}; {SHOWN[delimiter]} was taken."
            guesses.append((told, "delimiter", f"'{delimiter}'"))
    records = list(_records(lines[skip:], delimiter, quote, escape, form.comment))
    if not records:
        raise SourceError(f"{shown} has no line after the first {skip}.", hint="Correct the option skip.")
    first = 0
    if form.skip is None and form.header is not False:
        first = _title_lines(records)
        if first:
            n = records[first][0]
            told = f"{n} line{'s' if n > 1 else ''} before the header of {shown} {'were' if n > 1 else 'was'} left out."
            left.append((told, "skip", str(n + skip)))
    at, cells = records[first]
    rest = [c for _, c in records[first + 1 :]]
    header, doubt = (form.header, "") if form.header is not None else _has_header(cells, rest)
    if doubt:
        guesses.append((f"{shown}: {doubt}", "header", "true" if not header else "false"))
    names = tuple(cells) if header else tuple(f"column{i}" for i in range(len(cells)))
    if header:
        _ends_its_quotes(lines[skip + at :], delimiter, quote, escape, shown, skip + at + 1)
    if not header and rest:
        _same_width(len(cells), rest, shown)
    elif rest:
        _fits_header(cells, records[first + 1 :], skip, at, shown)
    before = lines[: skip + at]
    comments = sum(line.startswith(form.comment) for line in before) if form.comment else 0
    made = Dialect(
        delimiter, quote, escape, form.comment or "", header, len(before), len(before) - comments, names
    )
    return made, tuple(guesses), tuple(left)


def _ends_its_quotes(
    lines: Sequence[str], delimiter: str, quote: str, escape: str, shown: str, line: int
) -> None:
    """SourceError when a quoted name in the header does not end where its cell does: DuckDB gives no row of such a file,
    and no word. Blanks around the quotes it passes over.
    """
    mark, sign = re.escape(quote), re.escape(delimiter)
    cut = (re.sub(rf"(^|{sign}) +(?={mark})|(?<={mark}) +(?={sign}|$)", r"\1", row) for row in lines[:LINES])
    try:
        next(_reader(list(cut), delimiter, quote, escape, strict=True), None)
    except csv.Error as error:
        ended = "expected after" in str(error)
        if not ended and "end of data" not in str(error):
            return
        what = SHOWN.get(delimiter, repr(delimiter))
        raise SourceError(
            f"{shown}: the header in line {line} has "
            + (
                f"text between the end of a quote and {what}."
                if ended
                else "a quote that does not end in the lines that were looked at."
            ),
            hint="Correct it, or say how cells are divided, for example format = {delimiter: ','}.",
        ) from error


def _escape(lines: Sequence[str], quote: str) -> str:
    """A backslash where quotes stand behind backslashes and never doubled; else the quote itself."""
    text = "\n".join(lines[:LINES])
    inside = f"\\{quote}" in text and re.search(rf"[^,;\t|\n]{quote}{quote}[^,;\t|\n]", text) is None
    return "\\" if inside else quote


def _delimiter(lines: Sequence[str], quote: str, escape: str, comment: str | None) -> tuple[str, str]:
    """The character that divides most lines into equally many cells, and another that does it as well."""
    scores: list[tuple[float, int, str]] = []
    for mark in DELIMITERS:
        widths = Counter(len(c) for _, c in _records(lines, mark, quote, escape, comment))
        several = [(n, w) for w, n in widths.items() if w > 1]
        if several:
            n, width = max(several)
            scores.append((n / widths.total(), width, mark))
    scores.sort(key=lambda s: (s[0], s[1]), reverse=True)
    if not scores:
        return ",", ""
    best = scores[0]
    rival = next((m for share, w, m in scores[1:] if share == best[0] == 1.0 and w == best[1]), "")
    return best[2], rival


def _records(
    lines: Sequence[str], delimiter: str, quote: str, escape: str, comment: str | None
) -> Iterator[tuple[int, list[str]]]:
    """(lines before it, cells) of the first records that are not blank."""
    reader, before = _reader(lines, delimiter, quote, escape), 0
    try:
        for cells in reader:
            blank = not cells or (len(cells) == 1 and not cells[0].strip())
            if not blank and not (comment and cells[0].startswith(comment)):
                yield before, cells
            before = reader.line_num
    except csv.Error:  # a cell longer than the module reads: what came before is enough
        return


def _reader(lines: Sequence[str], delimiter: str, quote: str, escape: str, *, strict: bool = False) -> Reader:
    text = io.StringIO("".join(f"{line}\n" for line in lines[:LINES]), newline="")
    doubled = escape == quote
    return csv.reader(
        text,
        delimiter=delimiter,
        quotechar=quote,
        doublequote=doubled,
        escapechar=None if doubled else escape,
        strict=strict,
    )


def _title_lines(records: Sequence[tuple[int, list[str]]]) -> int:
    """How many records stand before the header: those narrower than nearly all others, if a line of names follows."""
    widths = Counter(len(c) for _, c in records)
    width = max(widths, key=lambda w: (widths[w], w))
    if width < 2 or len(records[0][1]) >= width or widths[width] < 2:
        return 0
    first = next(i for i, (_, c) in enumerate(records) if len(c) == width)
    cells = records[first][1]
    if not cells[-1].strip():  # a separator at the end of each line
        cells = cells[:-1]
    names = all(c.strip() and not _TYPED.fullmatch(c) for c in cells) and len(set(cells)) == len(cells)
    narrow = any(len(c) == width - 1 and width > 2 for _, c in records[:first])
    return first if names and not narrow else 0


def _has_header(first: Sequence[str], rest: Sequence[Sequence[str]]) -> tuple[bool, str]:
    """Whether the first line holds names, and a word where that could be wrong."""
    if not rest:
        bare = all(_TYPED.fullmatch(c) for c in first)
        return not bare, "its one line holds numbers alone and was read as a row." if bare else ""
    typed = [i for i, _ in enumerate(first) if _is_typed(i, rest)]
    unlike = [i for i in typed if first[i].strip() and not _TYPED.fullmatch(first[i])]
    if not typed or unlike or any(not first[i].strip() for i in typed):
        return True, ""
    years = [first[i] for i in typed]
    if (
        all(_YEAR.match(y) for y in years)
        and len(set(years)) == len(years)
        and (len(years) > 1 or len(first) > 1)
    ):
        return True, "the years in its first line were read as names of columns."
    return False, "its first line looks like the others and was read as a row, not as names."


def _is_typed(column: int, rest: Sequence[Sequence[str]]) -> bool:
    cells = [r[column] for r in rest if column < len(r) and r[column].strip().lower() not in _MISSING]
    return bool(cells) and all(_TYPED.fullmatch(c) for c in cells)


def _fits_header(
    names: Sequence[str], records: Sequence[tuple[int, list[str]]], skip: int, at: int, shown: str
) -> None:
    """SourceError when most lines have more or fewer cells than the header: no row of theirs could be read."""
    rest, line = [c for _, c in records], skip + at
    wrong = [r for r in rest if len(r) != len(names) and not (len(r) == len(names) + 1 and not r[-1])]
    if 2 * len(wrong) <= len(rest):
        return
    width = Counter(len(r) for r in wrong).most_common(1)[0][0]
    named = width == len(names) + 1 and len(names) > 1
    further = skip + next(before for before, c in records if len(c) == width)
    raise SourceError(
        f"{shown}: line {line + 1} has {_cells(len(names))}, and {len(wrong)} of the {len(rest)} lines after it have"
        f" another number, most of them {width}.",
        hint="Give the first column a name in the header."
        if named
        else f"If the header is further down, say how many lines to leave out: format = {{skip: {further}}}."
        " If another character divides the cells: format = {delimiter: ';'}.",
    )


def _same_width(width: int, rest: Sequence[Sequence[str]], shown: str) -> None:
    wrong = sum(len(r) != width for r in rest)
    if 2 * wrong > len(rest):
        raise SourceError(
            f"{shown}: its first line has {_cells(width)}, and {wrong} of the {len(rest)} after it another number.",
            hint="Write for example format = {skip: 1}, or format = {delimiter: ';'}.",
        )


def _cells(n: int) -> str:
    return f"{n} cell" if n == 1 else f"{n} cells"
