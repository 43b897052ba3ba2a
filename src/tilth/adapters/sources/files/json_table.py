"""One table of JSON files, of lines or of one array: what is a number, a text or nested is in the file; the rest is decided as for a CSV.

The keys come from all lines. A text is a date or a time when all texts of its key are; it is never a number. Fractions
are DOUBLE, as JSON says; whole numbers are exact. Nested values keep DuckDB's types.
"""

from __future__ import annotations

import json
import re
import weakref
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

from tilth.adapters.sources.files import dates, duck
from tilth.adapters.sources.files.array import array_lines
from tilth.adapters.sources.files.csv_lines import LONGEST, Line, misfit_rows, table_of
from tilth.adapters.sources.files.kinds import Kind, Layouts, json_kind_sql
from tilth.adapters.sources.files.options import JSON_KEYS, Format
from tilth.adapters.sources.files.spool import closed, path_of, spooled, start_of, unpacked
from tilth.adapters.sources.files.types import Counted, Decision, Reading, no_such_columns, with_words
from tilth.core.errors import ProjectError, SourceError, UnknownNameError
from tilth.core.names import did_you_mean, literal, quoted
from tilth.ports.source import Notice

if TYPE_CHECKING:
    import pyarrow as pa

WIDE = 16  # columns that are counted together: planning takes its time for more
LARGEST = 64 << 20  # bytes of one line
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_AT = r"(?=[],)[]|\Z)"  # what follows a type, and not the name of a field
_GUESSED = re.compile(
    rf'"(?:[^"]|"")*"|\b(TIMESTAMP WITH TIME ZONE|TIMESTAMP(?:_S|_MS|_NS)?|DATE|TIME|UUID){_AT}'
)
_FRACTIONS = re.compile(rf'"(?:[^"]|"")*"|\b(DOUBLE){_AT}')
_NESTED = ("STRUCT", "MAP", "UNION")


class JsonTable:
    """The files of one table; `columns` are (name, DuckDB type)."""

    def __init__(self, table: str, paths: Sequence[str], shown: Sequence[str], form: Format) -> None:
        if refused := [key for key in form.given if key not in JSON_KEYS]:
            raise ProjectError(
                f"Table `{table}` is JSON Lines, where the option `{refused[0]}` says nothing.",
                hint="Remove it, or write it for the other tables alone: tables = {name: {...}}.",
            )
        self.table, self.form, self._shown = table, form, tuple(shown)
        self.notices: list[Notice] = []
        self._mixed: list[Notice] = []
        self._paths = tuple(paths)
        self._copies: list[IO[bytes]] = []
        weakref.finalize(self, closed, self._copies)
        self._read_at = [self._readable(p, name) for p, name in zip(paths, shown, strict=True)]
        self.connection = duck.connected(self._read_at)
        try:
            self._open()
        except BaseException:
            self.connection.close()
            raise

    def scan_sql(self, wanted: Sequence[str], where: str) -> str:
        """SQL for the lines that are objects with values that fit: these columns, where the condition holds."""
        listed = ", ".join(quoted(n) for n in wanted) or "NULL AS none"
        values = ", ".join(f"{r.value} AS {quoted(r.name)}" for r in self.readings)
        tests = [f"NOT ({r.misfit})" for r in self.readings if r.misfit]
        if self._valueless:
            tests.append(f"NOT ({self._no_values()})")
        return f"SELECT {listed} FROM (SELECT {values} FROM {self._cells()} WHERE {' AND '.join(tests) or 'true'}) WHERE {where}"

    def broken(self) -> pa.Table:
        """Lines that are no objects or hold nothing, and those with a value that is not of its column's type."""
        misfits = [r for r in self.readings if r.misfit]
        found: list[Line] = []
        if self._valueless or misfits:
            for i, shown in enumerate(self._shown):
                wanted = misfit_rows(self.connection, misfits, self._cells(i)) if misfits else {}
                where = f" (in {shown})" if len(self._shown) > 1 else ""
                found += [(n, text, reason + where) for n, text, reason in self._broken_lines(i, wanted)]
        return table_of(found)

    def _readable(self, path: str, shown: str) -> str:
        start = start_of(path, self.form.compression, 3)
        encoding = next((name for mark, name in _MARKS.items() if start.startswith(mark)), None)
        packed = self.form.compression
        if encoding is not None:
            self._copies.append(spooled(path, packed, encoding, shown))
            path, packed = path_of(self._copies[-1]), "none"
        if (whole := array_lines(path, packed)) is not None:
            self._copies.append(whole)
            path = path_of(whole)
        return path

    def _open(self) -> None:
        sniffed = self._sniffed()
        self.names = tuple(sniffed)
        self._check_names()
        declared = {n.lower() for n, _ in self.form.types}
        # DuckDB makes times and UUIDs of texts; within a value nothing would say what was guessed, so they stay texts.
        nested = {n: k for n, k in sniffed.items() if _is_nested(k) and n.lower() not in declared}
        self._nested = self._kept_inside({n: _with_texts(kind, _GUESSED) for n, kind in nested.items()})
        counted = self._count()
        self._say_twice()
        decision = Decision(self.table, self.form, self._ask)
        typed = iter(decision.readings(counted))
        self.readings = [
            Reading(n, f"k{i}", self._nested[n], f"k{i}") if n in self._nested else next(typed)
            for i, n in enumerate(self.names)
        ]
        self.notices += decision.notices
        mixed = {n.column for n in self._mixed}
        texts = {r.name for r in self.readings if r.type == "VARCHAR"}
        self.notices = [n for n in self.notices if n.column not in mixed & texts]
        self.notices += [n for n in self._mixed if n.column in texts]
        self.columns = [(r.name, r.type) for r in self.readings]

    def _sniffed(self) -> dict[str, str]:
        """The keys of all lines that are objects, with DuckDB's types for them."""
        try:
            read = self._read(range(len(self._read_at)), "union_by_name = true, sample_size = -1")
            relation = self.connection.sql(f"SELECT * FROM {read}")
            self._types = dict(zip(relation.columns, relation.types, strict=True))
            found = {n: str(kind) for n, kind in self._types.items()}
        except Exception:  # lines that are no objects are told as broken rows, if there are others
            found = {str(k): "JSON" for (k,) in self._keys()}
        if not found or "" in found:
            why = "has a key without a name" if found else "holds no JSON object with a value"
            raise SourceError(
                f"Table `{self.table}` ({self._shown[0]}) {why}.",
                hint='A JSON file has one object on each line, {"id": 1, "name": "..."}, or is one array of objects.',
            )
        return found

    def _check_names(self) -> None:
        keys = (
            {k for (k,) in self._keys()} if any(n[-1:].isdigit() and "_" in n for n in self.names) else set()
        )
        made = [n for n in self.names if keys and n not in keys]
        if made:
            twin = made[0].rpartition("_")[0]
            raise SourceError(
                f"Table `{self.table}` has keys that differ from `{twin}` in capital letters alone.",
                hint="Write one of them with another name: columns are told apart without regard to case.",
            )
        if (unknown := no_such_columns(self.form, self.names)) is not None:
            raise UnknownNameError(
                f"`types` names a column `{unknown}`, and table `{self.table}` has none such.",
                hint=did_you_mean(unknown, self.names, "columns"),
            )

    def _keys(self) -> list[tuple[Any, ...]]:
        objects = f"read_ndjson_objects({duck.listed(self._read_at)}, ignore_errors = true{self._packed()})"
        return duck.rows(
            self.connection,
            f"SELECT k FROM (SELECT unnest(json_keys(json)) AS k, row_number() OVER () AS n FROM {objects}"
            " WHERE json_type(json) = 'OBJECT') GROUP BY k ORDER BY min(n), k",
        )

    def _count(self) -> list[Counted]:
        """The columns that are not nested, with their values by kind."""
        keys = [(f"k{i}", n) for i, n in enumerate(self.names) if n not in self._nested]
        layouts = self._sampled([k for k, _ in keys])
        valueless = f"SELECT count(*) FILTER ({self._no_values()}) FROM {self._cells()}"
        ((self._valueless,),) = duck.rows(self.connection, valueless)
        out = [c for at in range(0, len(keys), WIDE) for c in self._counts(keys[at : at + WIDE], layouts)]
        return with_words(out, self.form, self._ask)

    def _kept_inside(self, nested: dict[str, str]) -> dict[str, str]:
        """Those whose numbers are all kept by their types; of the others, which become text, a word is said."""
        tests = {n: t for n in nested if (t := _lossy(quoted(n), self._types[n], 0))}
        if not tests:
            return nested
        kinds = ", ".join(f"{literal(n)}: {literal(_with_texts(nested[n], _FRACTIONS))}" for n in tests)
        asked = ", ".join(f"count(*) FILTER ({test}), count({quoted(n)})" for n, test in tests.items())
        read = self._read(range(len(self._read_at)), f"columns = {{{kinds}}}")
        (row,) = duck.rows(self.connection, f"SELECT {asked} FROM {read}")
        for name, lossy, n in zip(tests, row[::2], row[1::2], strict=True):
            if lossy:
                del nested[name]
                text = f"{lossy} of {n} values have numbers within that a DOUBLE does not keep, so all are text of JSON."
                self.notices.append(Notice("guessed", self.table, text, name))
        return nested

    def _say_twice(self) -> None:
        keys = "json_keys(json)"
        objects = f"read_ndjson_objects({duck.listed(self._read_at)}, ignore_errors = true{self._packed()})"
        ((twice, n),) = duck.rows(
            self.connection,
            f"SELECT count(*) FILTER (len({keys}) > len(list_distinct({keys}))), count(*) FROM {objects}"
            " WHERE json_type(json) = 'OBJECT'",
        )
        if twice:
            text = f"{twice} of {n} lines have a key more than once: its first value was taken."
            self.notices.append(Notice("guessed", self.table, text))

    def _counts(self, keys: Sequence[tuple[str, str]], layouts: dict[str, Layouts]) -> list[Counted]:
        kinds = {k: json_kind_sql(k, f"m{k}", self.form, layouts[k]) for k, _ in keys}
        asked = ", ".join(
            f"histogram(({kinds[k]})::UTINYINT), count(*) FILTER (m{k} IN ('{{', '[')),"
            f" count(*) FILTER (m{k} = '\"'), count({k})"
            for k, _ in keys
        )
        (row,) = duck.rows(self.connection, f"SELECT {asked} FROM {self._cells()}")
        out = []
        for i, (key, name) in enumerate(keys):
            counts, nested, texts, n = row[4 * i : 4 * i + 4]
            by_kind = {Kind(int(k)): int(c) for k, c in (counts or {}).items()}
            out.append(Counted(key, name, by_kind, kinds[key], layouts[key]))
            self._say_mixed(name, int(nested), int(texts), int(n))
        return out

    def _say_mixed(self, name: str, nested: int, texts: int, n: int) -> None:
        others = n - nested - texts
        if nested and nested < n:
            text = (
                f"{nested} of {n} values are lists or objects, and the others are not: all are text of JSON."
            )
            self._mixed.append(Notice("guessed", self.table, text, name))
        elif texts and others:
            text = f"{texts} of {n} values are in quotes and {others} are not, so all were read as text."
            self._mixed.append(Notice("guessed", self.table, text, name))

    def _sampled(self, keys: Sequence[str]) -> dict[str, Layouts]:
        given = tuple(f for f in (self.form.timestampformat, self.form.dateformat) if f)
        if given or not keys:
            return {k: Layouts(named=given) for k in keys}
        cells = duck.rows(self.connection, f"SELECT {', '.join(keys)} FROM {self._cells()} LIMIT 2000")
        columns = zip(*cells, strict=True) if cells else [()] * len(keys)
        return {k: dates.layouts_of(c for c in column if c) for k, column in zip(keys, columns, strict=True)}

    def _no_values(self) -> str:
        return " AND ".join(f"k{i} IS NULL" for i in range(len(self.names)))

    def _ask(self, sql: str) -> Sequence[Sequence[Any]]:
        return duck.rows(self.connection, sql.replace("{cells}", self._cells()))

    def _cells(self, only: int | None = None) -> str:
        """SQL for the values: k0, k1, ... as text, and mk0, ... the first character that each has in the file."""
        kinds = ", ".join(f"{literal(n)}: {literal(self._nested.get(n, 'JSON'))}" for n in self.names)
        listed = ", ".join(
            f"{quoted(n)} AS k{i}"
            if n in self._nested
            else f"{quoted(n)} ->> '$' AS k{i}, ({quoted(n)}::VARCHAR)[1] AS mk{i}"
            for i, n in enumerate(self.names)
        )
        which = range(len(self._read_at)) if only is None else range(only, only + 1)
        return f"(SELECT {listed} FROM {self._read(which, f'columns = {{{kinds}}}')})"

    def _read(self, which: range, options: str) -> str:
        listed = duck.listed([self._read_at[i] for i in which])
        return (
            f"read_json({listed}, format = 'newline_delimited', records = true, ignore_errors = true,"
            f" maximum_object_size = {LARGEST}{self._packed()}, {options})"
        )

    def _packed(self) -> str:
        return (
            f", compression = {literal(self.form.compression)}"
            if self.form.compression and not self._copies
            else ""
        )

    def _broken_lines(self, which: int, misfits: dict[int, str]) -> Iterator[Line]:
        """The lines that are no rows, and those whose place among the rows is in `misfits`."""
        nth = 0
        copied = self._read_at[which] != self._paths[which]
        with (
            open(self._read_at[which], "rb")
            if copied
            else unpacked(self._paths[which], self.form.compression) as file
        ):
            for line, data in enumerate(file, 1):
                if not data.strip():
                    continue
                nth += 1
                reason = misfits.get(nth) or (_fault(data) if self._valueless else None)
                if reason:
                    yield line, data.decode("utf-8", "replace").rstrip("\r\n")[:LONGEST], reason


def _fault(data: bytes) -> str | None:
    try:
        value = json.loads(data)
    except UnicodeDecodeError:
        return "not UTF-8 text"
    except (ValueError, RecursionError):
        return "not JSON"
    if not isinstance(value, dict):
        return "not an object"
    return "no values" if all(v is None for v in value.values()) else None


def _is_nested(kind: str) -> bool:
    return kind.endswith("]") or kind.startswith(_NESTED)


def _with_texts(kind: str, which: re.Pattern[str]) -> str:
    """The type with texts in place of these types."""
    return which.sub(lambda m: "VARCHAR" if m[1] else m[0], kind)


def _lossy(value: str, kind: Any, depth: int) -> str:
    """SQL: whether the value, whose fractions were read as texts, has a number that becomes another one as a DOUBLE."""
    if kind.id == "struct":
        tests = (_lossy(f"struct_extract({value}, {literal(n)})", k, depth) for n, k in kind.children)
        return " OR ".join(filter(None, tests))
    if kind.id in ("list", "map"):
        item, listed = f"x{depth}", value if kind.id == "list" else f"map_values({value})"
        test = _lossy(item, kind.children[-1][1], depth + 1)
        return f"coalesce(len(list_filter({listed}, lambda {item}: {test})) > 0, false)" if test else ""
    if kind.id != "double":
        return ""
    double = f"TRY_CAST({value} AS DOUBLE)"
    whole = f"regexp_full_match({value}, '-?[0-9]{{16,}}')"
    return f"coalesce(NOT isfinite({double}) OR ({whole} AND TRY_CAST({double} AS HUGEINT)::VARCHAR IS DISTINCT FROM {value}), false)"
