"""The lines of CSV files that are broken: which, what stands in them, and why.

DuckDB tells the lines that are no rows. Of a row with a cell that is not of its column's type it tells the place among
the rows; the line is found by walking through the file.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tilth.adapters.sources.files import duck
from tilth.adapters.sources.files.spool import lines_of
from tilth.adapters.sources.files.types import Reading

if TYPE_CHECKING:
    import pyarrow as pa

    from tilth.adapters.sources.files.csv_file import File

Reject = tuple[str, int, str, str]  # where the file is read, line, text, DuckDB's word for it
Line = tuple[int, str, str]  # line, text, reason
LONGEST = 10_000  # characters of a line that are kept
LONGEST_CELL = 1 << 26  # that is walked over
_REASONS = {
    "MISSING COLUMNS": "fewer cells than the header",
    "TOO MANY COLUMNS": "more cells than the header",
    "UNQUOTED VALUE": "a quote that does not end, or text behind its end",
    "LINE SIZE OVER MAXIMUM": "longer than a line may be",
    "INVALID ENCODING": "not UTF-8 text",
}


def broken(
    connection: Any,
    files: Sequence[File],
    rejects: Sequence[Reject],
    misfits: Sequence[Reading],
    rows_of: Callable[[File], str],
) -> pa.Table:
    """All of them in order; of several files, the reason says in which."""
    found: list[Line] = []
    for file in files:
        bad = {n: (text, reason(kind)) for path, n, text, kind in rejects if path == file.read_at}
        wanted = misfit_rows(connection, misfits, rows_of(file)) if misfits else {}
        where = f" (in {file.shown})" if len(files) > 1 else ""
        found += [(n, text, why + where) for n, text, why in sorted(_lines(file, bad, wanted))]
    return table_of(found)


def reason(kind: str) -> str:
    """DuckDB's word for what is wrong with a line, in ours."""
    return _REASONS.get(kind, kind.lower())


def table_of(lines: Sequence[Line]) -> pa.Table:
    """The lines as a source gives them."""
    import pyarrow as pa

    schema = pa.schema([("line", pa.int64()), ("text", pa.string()), ("reason", pa.string())])
    columns = list(zip(*lines, strict=True)) if lines else [(), (), ()]
    return pa.table([pa.array(c, t) for c, t in zip(columns, schema.types, strict=True)], schema=schema)


def misfit_rows(connection: Any, misfits: Sequence[Reading], rows: str) -> dict[int, str]:
    """Which rows of a file (the first is 1) have a cell that does not fit, and why."""
    reasons = ", ".join(f"CASE WHEN {r.misfit} THEN {i} END" for i, r in enumerate(misfits))
    found = duck.rows(
        connection,
        f"SELECT nth, list_filter([{reasons}], lambda i: i IS NOT NULL) FROM (SELECT row_number() OVER () AS nth, * FROM {rows})"
        f" WHERE {' OR '.join(str(r.misfit) for r in misfits)}",
    )
    return {
        int(nth): "; ".join(f"`{misfits[i].name}` is no {misfits[i].type}" for i in which)
        for nth, which in found
    }


def _lines(file: File, bad: Mapping[int, tuple[str, str]], wanted: Mapping[int, str]) -> Iterator[Line]:
    """The lines of records that are no rows, and of those at the wanted places among the rows (the first is 1).

    DuckDB counts records, of which one can be several lines long. What cannot be found again keeps its number.
    """
    left, last, row = dict(bad), max(wanted, default=0), 0
    for nth, line, cells, text in _records(file) if bad or wanted else ():
        if nth in left:
            yield line, text[:LONGEST], left.pop(nth)[1]
        elif not _blank(cells, file):
            row += 1
            if row in wanted:
                yield line, text[:LONGEST], wanted[row]
        if not left and row >= last:
            break
    for nth, (text, why) in left.items():
        yield nth, text[:LONGEST], why


def _blank(cells: Sequence[str], file: File) -> bool:
    """Whether DuckDB makes no row of it: a comment, or a blank line where rows have several cells."""
    dialect = file.head.dialect
    if dialect.comment and cells and cells[0].startswith(dialect.comment):
        return True
    return not cells and len(file.names) > 1


def _records(file: File) -> Iterator[tuple[int, int, list[str], str]]:
    """(place, first line, cells, text) of every record after the header."""
    dialect = file.head.dialect
    seen: list[str] = []
    doubled = dialect.escape == dialect.quote
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_CELL))
    lines = _remembering(file, seen)
    for _ in range(dialect.skip):
        next(lines, None)
    read = csv.reader(
        lines,
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        doublequote=doubled,
        escapechar=None if doubled else dialect.escape,
    )
    before = 0
    seen.clear()
    for i, cells in enumerate(read):
        line, text = dialect.skip + before + 1, "".join(seen).rstrip("\r\n")
        seen.clear()
        before = read.line_num
        if i or not dialect.header:
            yield dialect.skip + i + 1, line, cells, text


def _remembering(file: File, seen: list[str]) -> Iterator[str]:
    """The file's lines, each put into `seen` as it is read."""
    with lines_of(file.path, file.compression, file.head.encoding) as lines:
        for line in lines:
            seen.append(line)
            yield line
