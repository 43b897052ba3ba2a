"""How facts reach a terminal: tables, JSON, colour where there is a terminal, and a line of progress on standard error.

Standard output carries what was asked for and nothing else, so that it can be piped. What comes from data cannot
command the terminal, nor a spreadsheet: characters that do not show are written out, and a text that a spreadsheet
would take for a formula gets an apostrophe in front. `--json` has every value as it is.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TextIO

import click

from tilth.core.figures import sql_text
from tilth.interfaces.cli import ctrl_c
from tilth.interfaces.values import values
from tilth.runtime.showing.next_steps import ways

if TYPE_CHECKING:
    import pyarrow as pa

    from tilth.core.errors import TilthError
    from tilth.runtime.applying.executor import Did

_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
WIDEST = 60  # of one column, in characters
NARROW = 20  # what a column of text is cut to, at most, to make room
SIGNS = {
    "done": ("ok", "green"),
    "refused": ("refused", "yellow"),
    "held": ("held", "yellow"),
    "waiting": ("waiting", "yellow"),
    "failed": ("failed", "red"),
}


def clean(text: str) -> str:
    """The text with what controls a terminal, or turns the direction of writing, written out: ESC is `\\x1b`.

    Ends of lines and tabs stay.
    """
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def facts(value: Any, words: str, as_json: bool, steps: Sequence[str] = (), *, painted: bool = False) -> None:
    """The facts as JSON, or the words. `steps` say what to do next: in the JSON as `next`, on a terminal below the words.
    `painted`: the words are clean, and have colours.
    """
    if as_json:
        click.echo(json_text({**value, "next": steps} if steps else value, indent=2))
        return
    click.echo(words if painted else clean(words))
    next_steps(steps)


def next_steps(steps: Sequence[str]) -> None:
    """What to do next, on a terminal."""
    if steps and sys.stderr.isatty():
        click.echo(clean(ways(steps)), err=True)


def json_text(value: Any, indent: int = 0) -> str:
    """The value as JSON in ASCII. Numbers keep all their digits; NaN and infinities, for which JSON has no form, are null."""
    import msgspec

    encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=sql_text)
    text = msgspec.json.format(encoder.encode(_shown(value)), indent=indent).decode()
    return text if text.isascii() else _BEYOND_ASCII.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    """A character as JSON escapes it."""
    return json.dumps(found[0])[1:-1]


def _shown(value: Any) -> Any:
    """The value with texts where msgspec has forms of its own: bytes and intervals as SQL writes them."""
    if isinstance(value, bytes | timedelta) or hasattr(value, "nanoseconds"):
        return sql_text(value)
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode() if not value.isascii() else value
    if isinstance(value, Mapping):
        return {k if isinstance(k, str) else sql_text(k): _shown(v) for k, v in value.items()}
    return [_shown(v) for v in value] if isinstance(value, list | tuple) else value


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, whole: str = "--json") -> str:
    """Rows under their column names, numbers to the right; long cells are cut, and the width fits the terminal.

    Columns for which there is no room are named below it, with the option (`whole`) that shows them.
    """
    cells, columns = [[_cell(v) for v in row] for row in rows], [_cell(c) for c in columns]
    if not sys.stdout.isatty():
        return _drawn(columns, cells)
    cells, room = _narrowed(columns, cells, shutil.get_terminal_size().columns)
    if room == len(columns):
        return _drawn(columns, cells)
    shown = _drawn(columns[:room], [row[:room] for row in cells])
    left = _cut(", ".join(columns[room:]), 400)
    return f"{shown}\n({len(columns) - room} more columns do not fit: {left}; {whole} shows all)"


def _narrowed(columns: Sequence[str], cells: list[list[str]], width: int) -> tuple[list[list[str]], int]:
    """The cells with the widest columns of text cut until a row fits, and how many columns then do; one always does."""
    widths = _widths(columns, cells)
    while sum(widths) + 2 * (len(widths) - 1) > width and widths and max(widths) > NARROW:
        place = max(range(len(widths)), key=lambda i: (widths[i] > len(columns[i]), widths[i]))
        if widths[place] <= max(NARROW, len(columns[place])):
            break
        widths[place] -= 1
    used, room = -2, 0
    for one in widths:
        used += one + 2
        if used > width and room:
            break
        room += 1
    cut = [[_cut(c, w) for c, w in zip(row, widths, strict=True)] for row in cells]
    return cut, room


def _widths(columns: Sequence[str], cells: list[list[str]]) -> list[int]:
    return [max([len(name), *(len(row[i]) for row in cells)]) for i, name in enumerate(columns)]


def _drawn(columns: Sequence[str], cells: list[list[str]]) -> str:
    numbers = (
        [all(_is_number(c) for c in column if c) for column in zip(*cells, strict=True)] if cells else []
    )
    widths = _widths(columns, cells)
    out = ["  ".join(name.ljust(w) for name, w in zip(columns, widths, strict=True)).rstrip()]
    out.append("  ".join("-" * w for w in widths))
    for row in cells:
        shown = (c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numbers, strict=True))
        out.append("  ".join(shown).rstrip())
    return "\n".join(out)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return _cut(clean(" ".join(sql_text(value).split())), WIDEST)


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).replace("-", "").replace("e", "").replace("+", "").isdigit()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def rows(
    reader: pa.RecordBatchReader, form: str, limit: int, shows: Callable[[str], None] = click.echo
) -> None:
    """A query's rows as a table (the first `limit`), as JSON, or as CSV, the last two as they come. `shows` prints a table."""
    if form == "json":
        json_rows(reader, sys.stdout)
    elif form == "csv":
        csv_rows(reader, sys.stdout)
    else:
        _table_rows(reader, limit, shows, vertical=form == "vertical")


def _table_rows(
    reader: pa.RecordBatchReader, limit: int, shows: Callable[[str], None], *, vertical: bool
) -> None:
    first: list[list[Any]] = []
    more = False
    for batch in reader:
        first += map(list, tuples(batch.slice(0, limit - len(first) + 1)))
        if len(first) > limit:
            more = True
            break
    reader.close()
    names = reader.schema.names
    shows(_down(names, first[:limit]) if vertical else table(names, first[:limit], whole="--vertical"))
    if more:
        click.echo(f"(the first {limit} rows; --limit shows more, --json and --csv show all)", err=True)
    else:
        click.echo(f"({len(first)} row{'' if len(first) == 1 else 's'})", err=True)


def _down(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A line a column and a part a row, with nothing cut."""
    heads = [clean(" ".join(n.split())) for n in names]
    wide = max(map(len, heads), default=0)
    out: list[str] = []
    for number, row in enumerate(rows, 1):
        out.append(f"-- row {number}")
        out += [f"{n.ljust(wide)}  {clean(sql_text(v))}".rstrip() for n, v in zip(heads, row, strict=True)]
    return "\n".join(out)


def tuples(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    """The rows of a batch in Python's values."""
    return zip(*(values(c) for c in batch.columns), strict=True)


def mappings(reader: pa.RecordBatchReader) -> Iterator[dict[str, Any]]:
    """The rows by name. The second column of a name is `name_1`, so that none is lost."""
    keys = _distinct(reader.schema.names)
    return (dict(zip(keys, row, strict=True)) for batch in reader for row in tuples(batch))


def json_rows(reader: pa.RecordBatchReader, out: TextIO) -> None:
    """An array with an object a row."""
    head = "["
    for row in mappings(reader):
        click.echo(f"{head}{json_text(row)}", nl=False, file=out)
        head = ",\n "
    click.echo("]" if head != "[" else "[]", file=out)


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, each once: the second `late` is `late_1`, or the first such name that no column has."""
    taken, out = set(names), list[str]()
    for name in names:
        key, n = name, 0
        while key in out or (n and key in taken):
            n += 1
            key = f"{name}_{n}"
        out.append(key)
    return out


def csv_rows(reader: pa.RecordBatchReader, out: TextIO) -> None:
    """A head and a line a row."""
    import csv

    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_csv_cell(name) for name in reader.schema.names])
    for batch in reader:
        columns = [[_csv_cell(v) for v in values(c)] for c in batch.columns]
        writer.writerows(zip(*columns, strict=True))


def _csv_cell(value: Any) -> Any:
    """Numbers as they are; a text without what commands a terminal, and none that begins like a formula."""
    if value is None or (isinstance(value, int | float | Decimal) and not isinstance(value, bool)):
        return value
    text = clean(json_text(value) if isinstance(value, dict | list) else sql_text(value))
    return f"'{text}" if text.startswith(_FORMULA) else text


def did(one: Did) -> None:
    """A line for an action that is over, on standard error: what is asked for comes on standard output."""
    word, colour = SIGNS[one.status]
    _TOLD.update([_words(one), *(f"   note  {told}" for told in one.notices)])
    clear = "\r\033[K" if sys.stderr.isatty() else ""
    mark = click.style(f"{word:>7}", fg=colour)
    click.echo(f"{clear}{mark}  {one.action.name}: {clean(one.text)}  ({one.seconds:.1f} s)", err=True)
    for told in one.notices:
        click.echo(f"{click.style('   note', fg='cyan')}  {clean(told)}", err=True)


_TOLD: set[str] = set()
"""The lines of actions that are over, and were told on standard error."""


def _words(one: Did) -> str:
    return f"{SIGNS[one.status][0]:>7}  {one.action.name}: {one.text}  ({one.seconds:.1f} s)"


def untold(text: str) -> str:
    """The text without the lines that whoever reads both streams, at a terminal or in one log, has read already."""
    if not _read_together():
        return text
    return "\n".join(line for line in text.split("\n") if line not in _TOLD)


def _read_together() -> bool:
    """Whether standard output and standard error go to one place."""
    if sys.stdout.isatty() and sys.stderr.isatty():
        return True
    try:
        return os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    except (OSError, ValueError):  # they are no files
        return False


def coloured(error: TilthError) -> str:
    """The error with its first line in red, where there are colours."""
    first, _, rest = clean(str(error)).partition("\n")
    return click.style(first, fg="red") + (f"\n{rest}" if rest else "")


def note(words: str) -> None:
    """A line on standard error that says what to know of what was answered."""
    click.echo(f"{click.style('note', fg='cyan')}  {clean(words)}", err=True)


class Line:
    """Progress on one line of the terminal, redrawn at most ten times a second; nothing when there is none.

    A step after Ctrl-C raises KeyboardInterrupt.
    """

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._last = 0.0
        self._began = time.monotonic()
        self._what = ""

    def step(self, what: str, done: float | None = None, note: str = "") -> None:
        ctrl_c.check()
        now = time.monotonic()
        if what != self._what:
            self._what = what
        elif now - self._last < 0.1:
            return
        self._last = now
        if self._shown:
            share = f"{done:4.0%} " if done is not None else "     "
            width = shutil.get_terminal_size().columns - 1
            text = f"{share}{what}{f'  {note}' if note else ''}  {now - self._began:.0f} s"
            sys.stderr.write("\r\033[K" + _cut(clean(text), width))
            sys.stderr.flush()

    def close(self) -> None:
        """Leave the line empty."""
        if self._shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
