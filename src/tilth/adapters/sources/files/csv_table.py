"""One table of CSV files, opened: read as text by DuckDB, typed by what all of its cells are, its broken lines named.

Every file is looked at by itself; those of the same shape are read together, and columns are matched by name. Opening
reads all lines once, to decide the types; a scan reads them once more.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from tilth.adapters.sources.files import csv_lines, dates, duck
from tilth.adapters.sources.files.csv_file import File
from tilth.adapters.sources.files.head import Dialect, Head, look, not_in
from tilth.adapters.sources.files.kinds import STAMPS, Kind, Layouts, kind_sql
from tilth.adapters.sources.files.options import Format, paste
from tilth.adapters.sources.files.spool import closed, line_ends, path_of, spooled
from tilth.adapters.sources.files.types import Counted, Decision, no_such_columns, with_words
from tilth.core.errors import SourceError, UnknownNameError
from tilth.core.names import did_you_mean, literal, quoted
from tilth.ports.source import Notice

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE = 500  # lines whose dates are looked at before all are counted
WIDE = 16  # columns that are counted with an expression for each
ROUNDS = 3  # of looking again for dates written otherwise
LINE = 64 << 20  # bytes of a line that is read
_LIKE_THOUSANDS = re.compile(r"\s*(?:[+-]?(?:[1-9]\d{0,2}(?:\.\d{3})?|0)|[A-Za-z#/?.-]*)\s*\Z")
_GROUPED = re.compile(
    r"\s*[+-]?\d{1,3}(?P<mark>['’ \u00a0\u2009\u202f])\d{3}(?:(?P=mark)\d{3})*(?:[.,]\d+)?\s*\Z"
)
_UNGROUPED = re.compile(r"\s*[+-]?\d{1,3}(?:[.,]\d+)?\s*\Z")
_DATE_LIKE = (
    " *([0-9]{1,2}[-/. ]([0-9]{1,2}|[A-Za-z]{3,9})[-/. ]([0-9]{4}|[0-9]{2})|[0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}"
    "|[A-Za-z]{3,9} [0-9]{1,2},? [0-9]{4})([T ,].*)?"
)


class CsvTable:
    """The files of one table; `columns` are (name, DuckDB type)."""

    def __init__(self, table: str, paths: Sequence[str], shown: Sequence[str], form: Format) -> None:
        self.table, self.form = table, form
        self.notices: list[Notice] = []
        self._copies: list[IO[bytes]] = []
        weakref.finalize(self, closed, self._copies)
        self._files = self._looked_at(paths, shown)
        self.names = self._union()
        self._check_types()
        try:
            self._open()
        except SourceError:
            if not self._mend_line_ends():
                raise
            self._open()
        self.columns = [(r.name, r.type) for r in self.readings]

    def scan_sql(self, wanted: Sequence[str], where: str) -> str:
        """SQL for the rows whose cells all fit: these columns, where the condition over columns by name holds."""
        listed = ", ".join(quoted(n) for n in wanted) or "NULL AS none"
        values = ", ".join(f"{r.value} AS {quoted(r.name)}" for r in self.readings)
        misfits = [r.misfit for r in self.readings if r.misfit]
        fit = f" WHERE NOT ({' OR '.join(misfits)})" if misfits else ""
        return f"SELECT {listed} FROM (SELECT {values} FROM ({self._cells(whole=self._whole)}){fit}) WHERE {where}"

    def broken(self) -> pa.Table:
        """Lines that are not rows, and rows with a cell that is not of its column's type."""
        return csv_lines.broken(
            self.connection, self._files, self._rejects, self._misfits, lambda f: f"({self._cells([f])})"
        )

    def _looked_at(self, paths: Sequence[str], shown: Sequence[str]) -> list[File]:
        files: list[File] = []
        for path, name in zip(paths, shown, strict=True):
            head = look(path, self.form, name)
            if head is None:
                self._note("left_out", f"{name} is empty.")
                continue
            files.append(File(path, path, name, head, self._named(head, name), self.form.compression))
            for text, key, value in head.guesses:
                self._note("guessed", text, paste(self.table, key, value))
            for text, key, value in head.left_out:
                self._note("left_out", text, paste(self.table, key, value))
        if not files:
            raise SourceError(
                f"{shown[0]} is empty: it has no header.",
                hint="Write its columns' names into the first line.",
            )
        with_header = [f for f in files if f.head.dialect.header]
        if len(with_header) not in (0, len(files)):
            bare = next(f for f in files if not f.head.dialect.header)
            raise SourceError(
                f"{bare.shown} has no header, and {with_header[0].shown} has one.",
                hint="Write the columns' names into its first line.",
            )
        for file in files:
            self._spool(file)
        return files

    def _spool(self, file: File, *, mixed: bool = False) -> None:
        """A copy that DuckDB can read, where it cannot read the file itself."""
        head = file.head
        plain = head.encoding in ("utf-8", "utf-8-sig") and not (head.marked and not head.dialect.header)
        if head.mixed or mixed:
            self._note(
                "guessed", f"{file.shown} has lines that end in different ways; all were read as line ends."
            )
        elif plain and not (head.marked and head.dialect.skip):
            return
        encoding = "utf-8-sig" if plain else head.encoding
        file.copy = spooled(file.path, self.form.compression, encoding, file.shown)
        file.read_at = path_of(file.copy)
        self._copies.append(file.copy)

    def _mend_line_ends(self) -> bool:
        """Copies of the files whose lines end in several ways; whether there were any."""
        found = [
            f for f in self._files if f.copy is None and len(line_ends(f.path, self.form.compression)) > 1
        ]
        for file in found:
            self._spool(file, mixed=True)
        return bool(found)

    def _named(self, head: Head, shown: str) -> tuple[str, ...]:
        """The columns' names, each once and none empty; what was changed is said."""
        out: list[str] = []
        for i, written in enumerate(head.dialect.names):
            name = written.strip() or f"column{i}"
            taken = {n.lower() for n in out}
            unique, k = name, 1
            while unique.lower() in taken:
                unique, k = f"{name}_{k}", k + 1
            if unique != written.strip() and (written.strip() or i < len(head.dialect.names) - 1):
                said = f"a second column `{name}`" if written.strip() else f"no name for its column {i + 1}"
                self._note(
                    "guessed", f"The header of {shown} has {said}: it is called `{unique}`.", column=unique
                )
            out.append(unique)
        return tuple(out)

    def _union(self) -> tuple[str, ...]:
        """All names over the files; those that not all files have are said."""
        names: dict[str, str] = {}
        owners: dict[str, list[str]] = {}
        for file in self._files:
            for name in file.names:
                names.setdefault(name.lower(), name)
                owners.setdefault(name.lower(), []).append(file.shown)
        n = len(self._files)
        for low, name in names.items():
            if len(owners[low]) < n:
                since = owners[low][0]
                self._note(
                    "added",
                    f"`{name}` is in {len(owners[low])} of {n} files, first in {since}: missing in the others.",
                    column=name,
                )
        return tuple(names.values())

    def _check_types(self) -> None:
        if (unknown := no_such_columns(self.form, self.names)) is not None:
            raise UnknownNameError(
                f"`types` names a column `{unknown}`, and table `{self.table}` has none such.",
                hint=did_you_mean(unknown, self.names, "columns"),
            )

    def _open(self) -> None:
        """Reads all lines: what every column is, and which lines are no rows."""
        self.connection = duck.connected([f.read_at for f in self._files])
        try:
            counted, rows = self._count()
            self._rejects = self._rejected()
        except BaseException:
            self.connection.close()
            raise
        self._whole = any(kind == "INVALID ENCODING" for _, _, _, kind in self._rejects)
        self._check_rejects(rows)
        counted = self._without_nameless(counted)
        decision = Decision(self.table, self.form, self._ask)
        self.readings = decision.readings(counted)
        self.notices += decision.notices
        self._misfits = [r for r in self.readings if r.misfit]

    def _count(self) -> tuple[list[Counted], int]:
        """Every column's cells by kind, and how many rows there are."""
        keys = [f"k{i}" for i in range(len(self.names))]
        layouts = self._sampled(keys)
        counted, rows = self._counts(keys, layouts, rejects=True)
        for _ in range(ROUNDS):
            if not (wanted := self._unseen_dates(counted, layouts)):
                break
            counted.update(self._counts(wanted, layouts)[0])
        return with_words([counted[k] for k in keys], self.form, self._ask), rows

    def _sampled(self, keys: Sequence[str]) -> dict[str, Layouts]:
        """The formats of the dates in the first lines; those that the format gives come in their place."""
        given = tuple(f for f in (self.form.timestampformat, self.form.dateformat) if f)
        cells = duck.rows(self.connection, f"SELECT * FROM ({self._cells()}) LIMIT {SAMPLE}")
        columns = zip(*cells, strict=True) if cells else [()] * len(keys)
        declared = {n.lower() for n, kind in self.form.types if kind in ("DATE", "TIMESTAMP")}
        out = {}
        self._unsampled: set[str] = set()
        self._like_thousands: set[str] = set()
        self._groups: dict[str, str] = {}
        for key, name, column in zip(keys, self.names, columns, strict=True):
            seen = [c for c in column if c]
            if not seen:
                self._unsampled.add(key)
            if all(_LIKE_THOUSANDS.match(c) for c in seen):
                self._like_thousands.add(key)
            self._groups[key] = _grouped_by(seen)
            if given:
                fits = name.lower() in declared or (bool(seen) and self._all_fit(seen, given))
                out[key] = Layouts(named=given) if fits else dates.layouts_of(seen)
            else:
                out[key] = dates.layouts_of(seen)
        return out

    def _all_fit(self, cells: Sequence[str], formats: Sequence[str]) -> bool:
        listed = ", ".join(map(literal, dict.fromkeys(cells)))
        tried = " AND ".join(f"try_strptime(c, {literal(f)}) IS NULL" for f in formats)
        try:
            ((unfit, all_),) = duck.rows(
                self.connection,
                f"SELECT count(*) FILTER ({tried}), count(*) FROM (SELECT unnest([{listed}]) AS c)",
            )
        except SourceError as error:
            raise SourceError(
                f"The format {' or '.join(map(repr, formats))} cannot be read.",
                hint="Write for example '%d/%m/%Y'.",
            ) from error
        return 2 * int(unfit) < int(all_)

    def _counts(
        self, keys: Sequence[str], layouts: dict[str, Layouts], *, rejects: bool = False
    ) -> tuple[dict[str, Counted], int]:
        """Counts by kind, and the number of rows."""
        if len(keys) <= WIDE:
            return self._counts_beside(keys, layouts, rejects=rejects)
        counts: dict[str, dict[Kind, int]] = {k: {} for k in keys}
        kind = kind_sql("cell", self.form, Layouts())
        cells = f"SELECT unnest([{', '.join(keys)}]) AS cell, unnest(range({len(keys)})) AS nth FROM ({self._cells(rejects=rejects)})"
        grouped = f"SELECT nth, kind, count(*) FROM (SELECT nth, ({kind})::UTINYINT AS kind FROM ({cells})) GROUP BY ALL"
        for nth, k, n in duck.fetched(self.connection, grouped):
            counts[keys[int(nth)]][Kind(int(k))] = int(n)
        out = {k: self._counted(k, counts[k], Layouts()) for k in keys}
        dated = [k for k in keys if layouts[k]]
        for at in range(0, len(dated), WIDE):
            out.update(self._counts_beside(dated[at : at + WIDE], layouts)[0])
        return out, sum(counts[keys[0]].values())

    def _counts_beside(
        self, keys: Sequence[str], layouts: dict[str, Layouts], *, rejects: bool = False
    ) -> tuple[dict[str, Counted], int]:
        """The same with an expression for each column, which is quicker for few: planning takes its time for many."""
        kinds = (kind_sql(k, self.form, layouts[k]) for k in keys)
        asked = ", ".join(f"histogram(({kind})::UTINYINT)" for kind in kinds)
        cells = self._cells(rejects=rejects)
        ((rows, *found),) = duck.fetched(self.connection, f"SELECT count(*), {asked} FROM ({cells})")
        out = {
            key: self._counted(key, {Kind(int(k)): int(n) for k, n in (counts or {}).items()}, layouts[key])
            for key, counts in zip(keys, found, strict=True)
        }
        return out, int(rows)

    def _counted(self, key: str, counts: Mapping[Kind, int], layouts: Layouts) -> Counted:
        name = self.names[int(key[1:])]
        kind = kind_sql(key, self.form, layouts)
        thousands, groups = key in self._like_thousands, self._groups.get(key, "")
        return Counted(key, name, counts, kind, layouts, like_thousands=thousands, groups=groups)

    def _unseen_dates(self, counted: Mapping[str, Counted], layouts: dict[str, Layouts]) -> list[str]:
        """Columns with dates in formats that the first lines do not show; `layouts` has them then."""
        dated = (*STAMPS, Kind.BOTH, Kind.DMY, Kind.MDY, Kind.NAMED)
        asked = [
            c for c in counted.values() if c.of(Kind.TEXT) and (c.key in self._unsampled or c.of(*dated))
        ]
        if not asked or self.form.dateformat or self.form.timestampformat:
            return []
        asked = asked[:WIDE]
        like = {c.key: f"FILTER (({c.kind}) = {Kind.TEXT:d} AND {_date_like(c.key)})" for c in asked}
        examples = ", ".join(f"[min({key}) {which}, max({key}) {which}]" for key, which in like.items())
        (found,) = self._ask(f"SELECT {examples} FROM {{cells}}")
        out = []
        for column, cells in zip(asked, found, strict=True):
            again = dates.layouts_of([c for c in cells if c], layouts[column.key])
            if again != layouts[column.key]:
                layouts[column.key] = again
                out.append(column.key)
        return out

    def _without_nameless(self, counted: Sequence[Counted]) -> list[Counted]:
        """The columns without those that have neither a name nor a value: a separator at the end of every line."""
        nameless = {
            n.lower()
            for f in self._files
            for n, w in zip(f.names, f.head.dialect.names, strict=True)
            if not w.strip()
        }
        out = [c for c in counted if c.name.lower() not in nameless or c.values + c.of(Kind.EMPTY, Kind.WORD)]
        for left in {c.name for c in counted} - {c.name for c in out}:
            self._note("left_out", f"`{left}` has neither a name nor a value.")
        return out

    def _ask(self, sql: str) -> Sequence[Sequence[Any]]:
        return duck.rows(self.connection, sql.replace("{cells}", f"({self._cells()})"))

    def _cells(
        self, files: Sequence[File] | None = None, *, rejects: bool = False, whole: bool = False
    ) -> str:
        """SQL for all cells as text, columns called k0, k1, ... in the order of `names`."""
        keys = {name.lower(): f"k{i}" for i, name in enumerate(self.names)}
        groups: dict[tuple[Dialect, tuple[str, ...], bool], list[File]] = {}
        for file in self._files if files is None else files:
            groups.setdefault((file.head.dialect, file.names, file.copy is None), []).append(file)
        parts = []
        for (dialect, names, plain), members in groups.items():
            own = {keys[n.lower()] for n in names}
            columns = ", ".join(k if k in own else f"NULL::VARCHAR AS {k}" for k in keys.values())
            read = _read(
                members,
                dialect,
                [keys[n.lower()] for n in names],
                self.form.compression if plain else "none",
                rejects,
            )
            parts.append(f"SELECT {columns} FROM {read}{_all_read(own) if whole else ''}")
        return " UNION ALL ".join(parts)

    def _rejected(self) -> list[tuple[str, int, str, str]]:
        """(path, line, text, kind) of the lines that are no rows."""
        found = duck.fetched(
            self.connection,
            "SELECT s.file_path, e.line, left(any_value(e.csv_line), 10000), any_value(e.error_type)::VARCHAR"
            " FROM reject_errors e JOIN reject_scans s USING (scan_id, file_id) GROUP BY s.file_path, e.line ORDER BY 1, 2",
        )
        return [(str(p), int(line), str(text), str(kind)) for p, line, text, kind in found]

    def _check_rejects(self, rows: int) -> None:
        """SourceError when a file is not in its encoding; a word about lines that are no rows."""
        coded = [r for r in self._rejects if r[3] == "INVALID ENCODING"]
        shown = {f.read_at: f.shown for f in self._files}
        if coded and len(coded) * 100 > rows + len(coded):
            raise not_in("utf-8", shown[coded[0][0]], coded[0][1])
        if rows == 0 and self._rejects:
            path, line, _, kind = self._rejects[0]
            raise SourceError(
                f"No line of {shown[path]} could be read as a row; line {line} is the first: {csv_lines.reason(kind)}.",
                hint='Correct it, or say how the file is written, for example format = {quote: "\'", skip: 1}.',
            )
        if coded:
            self._note(
                "left_out",
                f"{len(coded)} of {rows + len(coded)} lines are not UTF-8 text: they are broken rows.",
                paste(self.table, "encoding", literal("cp1252")),
            )
        if others := len(self._rejects) - len(coded):
            self._note(
                "left_out",
                f"{others} of {rows + others} lines could not be read as rows: they are broken rows.",
            )

    def _note(self, kind: str, text: str, option: str | None = None, column: str | None = None) -> None:
        self.notices.append(Notice(kind, self.table, text, column, option))


def _all_read(keys: set[str]) -> str:
    """A condition that is always true and needs every cell: DuckDB passes over what is wrong in columns it skips."""
    return f" WHERE strlen(concat({', '.join(sorted(keys))})) >= 0"


def _date_like(key: str) -> str:
    return f"regexp_full_match({key}, {literal(_DATE_LIKE)})"


def _read(
    files: Sequence[File], dialect: Dialect, keys: Sequence[str], compression: str | None, rejects: bool
) -> str:
    columns = ", ".join(f"{literal(k)}: 'VARCHAR'" for k in keys)
    packed = f", compression = {literal(compression)}" if compression else ""
    comment = f", comment = {literal(dialect.comment)}" if dialect.comment else ""
    errors = "store_rejects = true" if rejects else "ignore_errors = true"
    return (
        f"read_csv({duck.listed([f.read_at for f in files])}, auto_detect = false, columns = {{{columns}}},"
        f" delim = {literal(dialect.delimiter)}, quote = {literal(dialect.quote)}, escape = {literal(dialect.escape)},"
        f" header = {str(dialect.header).lower()}, skip = {dialect.passed}, nullstr = '', allow_quoted_nulls = false,"
        f" max_line_size = {LINE}{packed}{comment}, {errors})"
    )


def _grouped_by(cells: Sequence[str]) -> str:
    """The mark between thousands where all of these are numbers, some of them with one that is no comma and no point."""
    marks = {m["mark"] if (m := _GROUPED.match(c)) else "" if _UNGROUPED.match(c) else None for c in cells}
    found = marks - {""}
    return (found.pop() or "") if len(found) == 1 else ""
