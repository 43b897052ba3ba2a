"""A sheet of an Excel workbook as a table: its cells are written as CSV, in ISO forms, and then read and typed as any CSV.

What only a sheet has is decided here: which row is the header, what merged cells, errors and formulas without a value are. The reader
is calamine; it does not tell errors from empty cells, so those are counted in the sheet's own XML.
"""

from __future__ import annotations

import csv
import io
import re
import tempfile
import weakref
import zipfile
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from typing import IO, TYPE_CHECKING, Any

from tilth.adapters.sources.files.csv_table import CsvTable
from tilth.adapters.sources.files.options import Format, paste
from tilth.adapters.sources.files.spool import closed, path_of
from tilth.core.errors import MissingExtraError, ProjectError, SourceError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.core.sizes import show_size
from tilth.ports.source import Notice

if TYPE_CHECKING:
    import pyarrow as pa

KEYS = frozenset({"skip", "header", "nulls", "types", "misfits", "sheet"})
LARGEST = 2 << 30  # bytes of a workbook, unpacked
LOOKED = 50  # rows among which the header is looked for
_FAULTS = re.compile(
    rb'<c\b[^>]*?\br="([A-Z]{1,3}[0-9]+)"[^>]*?\bt="e"|<c\b[^>]*?\bt="e"[^>]*?\br="([A-Z]{1,3}[0-9]+)"'
)
_EMPTY = re.compile(
    rb'<c\b[^>]*?\br="([A-Z]{1,3}[0-9]+)"[^>]*>(?:<f\b[^>]*/>|<f\b[^>]*>[^<]*</f>)(?:<v\s*/>|<v></v>)?</c>'
)


@dataclass(slots=True)
class _Sheet:
    """One sheet, as CSV: the place of its header, and of each row the line of the copy that it begins on, and its number."""

    copy: IO[bytes]
    first: int
    places: list[tuple[int, int]]
    told: list[tuple[str, str, str | None]] = field(default_factory=list)


class WorkbookTable:
    """The same sheet of one or more workbooks; `columns` are (name, DuckDB type)."""

    def __init__(self, table: str, paths: Sequence[str], shown: Sequence[str], form: Format) -> None:
        if refused := [key for key in form.given if key not in KEYS]:
            raise ProjectError(
                f"Table `{table}` is an Excel sheet, where the option `{refused[0]}` says nothing.",
                hint="Remove it, or write it for the other tables alone: tables = {name: {...}}.",
            )
        self.table = table
        self._copies: list[IO[bytes]] = []
        weakref.finalize(self, closed, self._copies)
        self._sheets = [self._read(path, name, form) for path, name in zip(paths, shown, strict=True)]
        plain = replace(
            form, sheet=None, skip=0, header=form.header is not False, delimiter=",", quote='"', escape='"',
            compression="none", encoding="utf-8",
        )  # fmt: skip
        self._csv = CsvTable(table, [path_of(s.copy) for s in self._sheets], shown, plain)
        self.columns, self.connection = self._csv.columns, self._csv.connection
        told = [
            Notice(kind, table, text, option=option) for s in self._sheets for kind, text, option in s.told
        ]
        self.notices = [*told, *self._csv.notices]

    def scan_sql(self, wanted: Sequence[str], where: str) -> str:
        """SQL for the rows whose cells all fit."""
        return self._csv.scan_sql(wanted, where)

    def broken(self) -> pa.Table:
        """Rows with a cell that is not of its column's type, by their number in the sheet."""
        import pyarrow as pa

        found = self._csv.broken()
        if len(self._sheets) > 1 or not found.num_rows:
            return found
        rows = pa.array([_row(self._sheets[0], n) for n in found["line"].to_pylist()], pa.int64())
        return found.set_column(found.schema.get_field_index("line"), "line", rows)

    def _read(self, path: str, shown: str, form: Format) -> _Sheet:
        book = _opened(path, shown)
        name = _chosen(book, form.sheet, shown)
        sheet = book.get_sheet_by_name(name)
        told = _others(book, name, self.table, form)
        rows = sheet.to_python(skip_empty_area=False)
        merged = list(sheet.merged_cell_ranges or ())
        made = _written(rows, shown, name, form, self.table)
        self._copies.append(made.copy)
        made.told = [*told, *made.told, *_faults(path, name, shown)]
        if inside := [m for m in merged if m[0][0] >= made.first]:
            (row, column), _ = inside[0]
            made.told.append(
                ("guessed", f"{_many(len(inside), 'range')} of {shown} {_are(len(inside))} merged, the first at {_cell(row, column)}: the value counts for its first cell alone, the others are missing.", None)
            )  # fmt: skip
        return made


def _opened(path: str, shown: str) -> Any:
    try:
        from python_calamine import CalamineWorkbook
    except ImportError as error:
        raise MissingExtraError(
            "Excel workbooks need the package python-calamine, which is not installed.",
            hint="pip install 'tilth[excel]'",
        ) from error
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(i.file_size for i in packed.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise _no_book(shown) from error
    if size > LARGEST:
        raise SourceError(
            f"{shown} unpacks to {show_size(size)}; {show_size(LARGEST)} are the most.",
            hint="Save it as CSV or Parquet, or divide it.",
        )
    try:
        return CalamineWorkbook.from_path(path)
    except Exception as error:
        raise _no_book(shown) from error


def _no_book(shown: str) -> SourceError:
    return SourceError(
        f"{shown} is no Excel workbook that can be read.",
        hint="Open it and save it anew as .xlsx, without a password.",
    )


def _chosen(book: Any, wanted: str | None, shown: str) -> str:
    """The sheet that is asked for, else the first that is seen and holds a cell."""
    names = list(book.sheet_names)
    if wanted is not None:
        found = next((n for n in names if n == wanted), None) or next(
            (n for n in names if n.lower() == wanted.lower()), None
        )
        if found is None:
            raise UnknownNameError(
                f"{shown} has no sheet `{wanted}`.", hint=did_you_mean(wanted, tuple(names), "sheets")
            )
        return str(found)
    shy = {m.name for m in book.sheets_metadata if "Visible" not in str(m.visible)}
    for name in (*(n for n in names if n not in shy), *(n for n in names if n in shy)):
        if _holds(book, name):
            return str(name)
    raise SourceError(
        f"{shown} has no cells.", hint="Write its columns' names into the first row of a sheet."
    )


def _holds(book: Any, name: str) -> bool:
    try:
        return bool(book.get_sheet_by_name(name).total_height)
    except Exception:  # a sheet of charts
        return False


def _others(book: Any, name: str, table: str, form: Format) -> list[tuple[str, str, str | None]]:
    others = [str(n) for n in book.sheet_names if n != name and _holds(book, n)]
    if form.sheet is not None or not others:
        return []
    base = table.partition("#")[0]
    listed = ", ".join(f'"{base}#{n}"' for n in others[:5]) + (" ..." if len(others) > 5 else "")
    quoted = name.replace("'", "''")
    return [
        ("guessed", f"The workbook has {len(others) + 1} sheets with cells; this is `{name}`. The others are the tables {listed}.", paste(table, "sheet", f"'{quoted}'"))
    ]  # fmt: skip


def _written(rows: list[list[Any]], shown: str, name: str, form: Format, table: str) -> _Sheet:
    """The rows from the header on as CSV, without what is empty around them."""
    texts = [[_text(v) for v in row] for row in rows]
    while texts and not any(texts[-1]):
        texts.pop()
    if not texts:
        raise SourceError(f"Sheet `{name}` of {shown} has no cells.", hint="Name another: sheet: '...'.")
    first, told = _header(texts, shown, form, table)
    body = texts[first:]
    used = [any(row[i] for row in body) for i in range(max(map(len, body)))]
    bare = [i for i, u in enumerate(used) if u and not body[0][i]] if form.header is not False else []
    if bare:
        listed = ", ".join(_letters(i) for i in bare[:5])
        told.append(("guessed", f"Columns {listed} of {shown} have no name in the header's row {first + 1}.", None))  # fmt: skip
    out = tempfile.TemporaryFile()  # noqa: SIM115 (whoever reads it closes it)
    text = io.TextIOWrapper(out, "utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    places, at = [], 1
    for number, row in enumerate(body, first + 1):
        cells = [c for c, u in zip(row, used, strict=False) if u]
        if any(cells):
            places.append((at, number))
            at += 1 + sum(c.count("\n") for c in cells)
            writer.writerow(cells)
    text.flush()
    text.detach()
    if blank := len(body) - len(places):
        told.append(
            ("left_out", f"{_many(blank, 'row')} of {shown} without a value {_are(blank)} passed over.", None)
        )
    return _Sheet(out, first, places, told)


def _header(texts: list[list[str]], shown: str, form: Format, table: str) -> tuple[int, list[Any]]:
    """The place of the header's row: after `skip` rows, else the first that fills nearly as many cells as the fullest."""
    if form.skip is not None:
        if form.skip >= len(texts):
            raise SourceError(
                f"{shown} has {len(texts)} rows, and {form.skip} are to be skipped.", hint="Correct `skip`."
            )
        return form.skip, []
    filled = [sum(map(bool, row)) for row in texts[:LOOKED]]
    first = next(i for i, n in enumerate(filled) if n >= 0.8 * max(filled))
    told = sum(1 for n in filled[:first] if n)
    if not told:
        return first, []
    text = f"{_many(told, 'row')} above the header, which was found in row {first + 1} of {shown}, {_are(told)} passed over."
    return first, [("left_out", text, paste(table, "skip", str(first)))]


def _text(value: Any) -> str:
    """A cell as CSV has it: numbers as they are, moments in ISO forms."""
    if isinstance(value, str):
        return value.replace("\r\n", "\n").replace("\r", "\n")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        return str(int(seconds)) if seconds.is_integer() else repr(seconds)
    return str(value)


def _row(sheet: _Sheet, line: int) -> int:
    """The number of the sheet's row that stands on this line of its copy."""
    return sheet.places[bisect_right(sheet.places, (line, 1 << 62)) - 1][1]


def _many(n: int, what: str) -> str:
    return f"{n:,} {what}" + ("s" if n != 1 else "")


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def _letters(column: int) -> str:
    out = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        out = chr(65 + rest) + out
    return out


def _cell(row: int, column: int) -> str:
    return f"{_letters(column)}{row + 1}"


def _faults(path: str, name: str, shown: str) -> list[tuple[str, str, str | None]]:
    """What the sheet's XML says of errors, and of formulas that were never computed: both are missing, and that is told."""
    data = _xml(path, name)
    out: list[tuple[str, str, str | None]] = []
    for what, pattern in (
        ("an error (#N/A, #DIV/0! and such)", _FAULTS),
        ("a formula without a value", _EMPTY),
    ):
        found = [next(g for g in m.groups() if g).decode() for m in pattern.finditer(data)]
        if found:
            text = f"{_many(len(found), 'cell')} of {shown} with {what}, the first at {found[0]}, {_are(len(found))} read as missing."
            out.append(("guessed", text, None))
    return out


def _xml(path: str, name: str) -> bytes:
    """The XML of a sheet; empty when the workbook does not say where it lies."""
    import xml.etree.ElementTree as ET

    with zipfile.ZipFile(path) as packed:
        try:
            book = ET.fromstring(packed.read("xl/workbook.xml"))  # noqa: S314 (expat bounds what entities grow to)
            links = ET.fromstring(packed.read("xl/_rels/workbook.xml.rels"))  # noqa: S314
        except (KeyError, ET.ParseError):
            return b""
        wanted = next((s for s in book.iter() if s.tag.endswith("}sheet") and s.get("name") == name), None)
        number = next(
            (v for k, v in (wanted.items() if wanted is not None else ()) if k.endswith("}id")), None
        )
        target = next((r.get("Target", "") for r in links if r.get("Id") == number), "")
        inside = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
        return packed.read(inside) if inside in packed.namelist() else b""
