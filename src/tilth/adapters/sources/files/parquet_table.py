"""One table of Parquet files: the types are in the files. What pandas adds of its own is left out, and said."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tilth.adapters.sources.files import duck
from tilth.adapters.sources.files.csv_lines import table_of
from tilth.adapters.sources.files.options import Format
from tilth.core.errors import ProjectError, SourceError
from tilth.core.names import literal, quoted
from tilth.ports.source import Notice

if TYPE_CHECKING:
    import pyarrow as pa

_BIG = {"UBIGINT", "HUGEINT", "UHUGEINT"}
_WHOLE = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}


LEAST_MB = 64  # of memory
GROUPS = 4  # of the largest row group beside it: two threads, each with what it unpacks


def _bounded(paths: Sequence[str]) -> tuple[str, ...]:
    """Settings that keep DuckDB from reading ahead: without them it holds the whole of several row groups, which it does not need.

    A file that cannot be read bounds nothing: reading it says so.
    """
    import pyarrow.parquet as pq

    largest = 0
    for path in paths:
        with contextlib.suppress(*duck.failures()):
            found = pq.read_metadata(path)
            groups = range(found.num_row_groups)
            largest = max([largest, *(found.row_group(i).total_byte_size for i in groups)])
    limit = LEAST_MB + GROUPS * largest // 1_000_000
    return ("disable_parquet_prefetching = true", f"memory_limit = '{limit} MB'")


class ParquetTable:
    """The files of one table; `columns` are (name, DuckDB type)."""

    def __init__(self, table: str, paths: Sequence[str], shown: Sequence[str], form: Format) -> None:
        if form.given:
            raise ProjectError(
                f"Table `{table}` is Parquet, which has its types in the file: `{form.given[0]}` says nothing there.",
                hint="Remove it, or write it for the other tables alone: tables = {name: {...}}.",
            )
        self.table = table
        self.notices: list[Notice] = []
        self.connection = duck.connected(paths, _bounded(paths))
        self._origin = f"read_parquet({duck.listed(paths)}, union_by_name = true)"
        try:
            self._describe(paths, shown)
        except BaseException as error:
            self.connection.close()
            if isinstance(error, Exception):
                raise duck.refused(error) from error
            raise

    def scan_sql(self, wanted: Sequence[str], where: str) -> str:
        """SQL for these columns of the rows where the condition over columns by name holds."""
        listed = ", ".join(quoted(n) for n in wanted) or "NULL AS none"
        values = ", ".join(f"{v} AS {quoted(n)}" for n, v in self._values.items()) or "NULL AS none"
        return f"SELECT {listed} FROM (SELECT {values} FROM {self._origin}) WHERE {where}"

    def broken(self) -> pa.Table:
        """None: a Parquet file is read whole or not at all."""
        return table_of([])

    def _describe(self, paths: Sequence[str], shown: Sequence[str]) -> None:
        relation = self.connection.sql(f"SELECT * FROM {self._origin}")
        kinds = dict(zip(relation.columns, map(str, relation.types), strict=True))
        indexes = self._pandas_index(paths)
        made = {n for n in indexes if kinds.get(n) in _WHOLE}
        self._check_digits(paths)
        durations = self._durations(paths, shown)
        if len(paths) > 1:
            self._compare_insides(paths, shown)
            self._compare(paths, shown, kinds)
        self._say_cut(durations)
        self._say_periods(paths)
        wide = self._too_wide([n for n, kind in kinds.items() if kind in _BIG])
        self.columns: list[tuple[str, str]] = []
        self._values: dict[str, str] = {}
        for name, kind in kinds.items():
            if name in made:
                self.notices.append(
                    Notice("left_out", self.table, f"`{name}` is the row number that pandas adds.", name)
                )
                continue
            if name in indexes:
                text = "It is an index that pandas kept, and it has no name."
                self.notices.append(Notice("guessed", self.table, text, name))
            self._values[name], as_ = _value(name, kind, name in wide, durations.get(name))
            self.columns.append((name, as_))
            if name in wide:
                text = "It has whole numbers of more than 64 bits, so all were read as text."
                self.notices.append(Notice("guessed", self.table, text, name))

    def _pandas_index(self, paths: Sequence[str]) -> set[str]:
        """Names of the columns that pandas made of an index without a name."""
        listed = duck.listed(paths)
        found = duck.rows(
            self.connection,
            f"SELECT DISTINCT decode(value) FROM parquet_kv_metadata({listed}) WHERE decode(key) = 'pandas'",
        )
        return {n for (text,) in found for n in _index_columns(str(text))}

    def _check_digits(self, paths: Sequence[str]) -> None:
        """SourceError when a DECIMAL has more digits than DuckDB's, which would make a DOUBLE of it."""
        listed = duck.listed(paths)
        found = duck.rows(
            self.connection,
            f"SELECT name, precision FROM parquet_schema({listed}) WHERE precision > 38 LIMIT 1",
        )
        if found:
            raise SourceError(
                f"Column `{found[0][0]}` of table `{self.table}` is a DECIMAL of {found[0][1]} digits; 38 are the most.",
                hint="Write the files with fewer digits, or with the column as text.",
            )

    def _durations(self, paths: Sequence[str], shown: Sequence[str]) -> dict[str, str]:
        """Columns that Arrow and pandas wrote as spans of time, and their unit; Parquet itself has only numbers for them."""
        import pyarrow.parquet as pq
        import pyarrow.types as t

        found: dict[str, dict[str, str]] = {}
        for path, name in zip(paths, shown, strict=True):
            for f in pq.read_schema(path):
                unit = f.type.unit if t.is_duration(f.type) else ""
                found.setdefault(f.name, {}).setdefault(unit, name)
        spans = {n: units for n, units in found.items() if set(units) != {""}}
        for column, units in spans.items():
            if len(units) > 1:
                (a, first), (b, second) = list(units.items())[:2]
                raise SourceError(
                    f"Column `{column}` of table `{self.table}` is {_span(a)} in {first} and {_span(b)} in {second}.",
                    hint="Write the files with one unit, or put them into folders of their own.",
                )
        return {column: next(iter(units)) for column, units in spans.items()}

    def _say_cut(self, durations: dict[str, str]) -> None:
        """A word where spans of nanoseconds lose digits: an INTERVAL has microseconds."""
        for name in (n for n, unit in durations.items() if unit == "ns"):
            asked = f"count(*) FILTER ({quoted(name)} % 1000 <> 0), count({quoted(name)})"
            ((cut, n),) = duck.rows(self.connection, f"SELECT {asked} FROM {self._origin}")
            if cut:
                text = (
                    f"{cut} of {n} spans of time have more than six digits of a second; the rest was cut off."
                )
                self.notices.append(Notice("guessed", self.table, text, name))

    def _say_periods(self, paths: Sequence[str]) -> None:
        """A word where pandas wrote periods and intervals, of which other programs see the numbers alone."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        for field in pq.read_schema(paths[0]):
            noted = (field.metadata or {}).get(b"ARROW:extension:name", b"").decode()
            kind = field.type.extension_name if isinstance(field.type, pa.ExtensionType) else noted
            if kind.startswith("pandas."):
                text = f"It is of the type {kind}, of which only what is stored was read: write it as text or dates."
                self.notices.append(Notice("guessed", self.table, text, field.name))

    def _compare_insides(self, paths: Sequence[str], shown: Sequence[str]) -> None:
        """SourceError when a number within a struct or a list is whole in one file and a fraction in another."""
        import pyarrow.parquet as pq

        seen: dict[str, dict[str, str]] = {}
        for path, name in zip(paths, shown, strict=True):
            for field in pq.read_schema(path):
                for leaf, kind in _leaves(field.name, field.type):
                    seen.setdefault(leaf, {}).setdefault(kind, name)
        for leaf, kinds in seen.items():
            if len(kinds) > 1:
                (a, first), (b, second) = list(kinds.items())[:2]
                raise SourceError(
                    f"`{leaf}` of table `{self.table}` is {a} in {first} and {b} in {second}.",
                    hint="Write the files with one type, or put them into folders of their own and cast in the query.",
                )

    def _too_wide(self, names: Sequence[str]) -> set[str]:
        if not names:
            return set()
        tests = ", ".join(f"bool_or({quoted(n)} NOT BETWEEN {-(2**63)} AND {2**63 - 1})" for n in names)
        ((*found,),) = duck.rows(self.connection, f"SELECT {tests} FROM {self._origin}")
        return {n for n, wide in zip(names, found, strict=True) if wide}

    def _compare(self, paths: Sequence[str], shown: Sequence[str], kinds: dict[str, str]) -> None:
        """What differs between the files: a column that some lack is said, another kind of type is refused."""
        owners: dict[str, list[str]] = {}
        types: dict[str, dict[str, str]] = {}
        for path, name in zip(paths, shown, strict=True):
            relation = self.connection.sql(f"SELECT * FROM read_parquet({literal(path)})")
            for column, kind in zip(relation.columns, map(str, relation.types), strict=True):
                owners.setdefault(column.lower(), []).append(name)
                types.setdefault(column.lower(), {}).setdefault(_family(kind), name)
        for column, kind in kinds.items():
            low = column.lower()
            types[low].pop("always missing", None)
            self._one_type(column, types[low], kind)
            if len(owners[low]) < len(paths):
                text = f"`{column}` is in {len(owners[low])} of {len(paths)} files, first in {owners[low][0]}: missing in the others."
                self.notices.append(Notice("added", self.table, text, column))

    def _one_type(self, column: str, types: dict[str, str], kind: str) -> None:
        """SourceError when the files' types for a column have no type that keeps all values; a word when they have."""
        if len(types) < 2:
            return
        (a, first), (b, second) = list(types.items())[:2]
        differ = f"Column `{column}` of table `{self.table}` is {a} in {first} and {b} in {second}"
        if set(types) == {"a whole number", "a fraction"} and not self._beyond_double(column):
            text = f"It is {a} in {first} and {b} in {second}: all were read as {kind}."
            self.notices.append(Notice("guessed", self.table, text, column))
            return
        raise SourceError(
            f"{differ}.",
            hint="Write the files with one type, or put them into folders of their own and cast in the query.",
        )

    def _beyond_double(self, column: str) -> bool:
        test = f"bool_or(isfinite({quoted(column)}::DOUBLE) AND abs({quoted(column)}) > {2**53})"
        ((beyond,),) = duck.rows(self.connection, f"SELECT {test} FROM {self._origin}")
        return bool(beyond)


def _span(unit: str) -> str:
    return f"a span of time in {unit}" if unit else "no span of time"


def _leaves(path: str, kind: pa.DataType, *, inside: bool = False) -> Iterator[tuple[str, str]]:
    """The numbers within a nested column, and whether each is whole."""
    import pyarrow.types as t

    if t.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{path}.{field.name}", field.type, inside=True)
    elif t.is_map(kind):
        yield from _leaves(f"{path}.value", kind.item_type, inside=True)
    elif t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind):
        yield from _leaves(f"{path}[]", kind.value_type, inside=True)
    elif inside and t.is_integer(kind):
        yield path, "a whole number"
    elif inside and t.is_floating(kind):
        yield path, "a fraction"


def _value(name: str, kind: str, wide: bool, duration: str | None) -> tuple[str, str]:
    """SQL for a column, and its type then."""
    column = quoted(name)
    if duration is not None:
        micros = {
            "s": f"{column} * 1000000",
            "ms": f"{column} * 1000",
            "us": column,
            "ns": f"{column} // 1000",
        }
        return f"to_microseconds({micros[duration]})", "INTERVAL"
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"({column} AT TIME ZONE 'UTC')", "TIMESTAMP"
    if kind in _BIG:
        return (f"{column}::VARCHAR", "VARCHAR") if wide else (f"{column}::BIGINT", "BIGINT")
    if kind == '"NULL"':
        return f"{column}::VARCHAR", "VARCHAR"
    return column, kind


def _index_columns(text: str) -> list[str]:
    import json

    try:
        listed = json.loads(text).get("index_columns", [])
    except (ValueError, AttributeError):
        return []
    return [n for n in listed if isinstance(n, str) and n.startswith("__index_level_")]


def _family(kind: str) -> str:
    """What types can be read together without changing a value."""
    if kind in _WHOLE:
        return "a whole number"
    if kind in ("FLOAT", "DOUBLE"):
        return "a fraction"
    if kind.startswith(("TIMESTAMP", "DECIMAL", "STRUCT", "ENUM")):
        return kind.partition("(")[0].partition("_")[0].lower()
    return {"VARCHAR": "text", "BOOLEAN": "true or false", '"NULL"': "always missing"}.get(kind, kind.lower())
