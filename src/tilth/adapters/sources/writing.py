"""What sources that can be written to share: the option `writable`, which column goes where, and SQL that adds or changes rows.

Rows come into a table of their own first (`rows` below). PostgreSQL and SQLite then change and add with the same SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from tilth.core.errors import DataError, ProjectError, UnknownNameError
from tilth.core.names import did_you_mean, quoted
from tilth.core.schema import DataType, Schema

if TYPE_CHECKING:
    import pyarrow as pa

OPTION = "writable"


def allowed(options: Mapping[str, object]) -> bool:
    """The option `writable`; ProjectError when it is neither true nor false."""
    said = options.get(OPTION, False)
    if not isinstance(said, bool):
        raise ProjectError(
            "`writable` is true or false.", hint="Write WITH (..., writable = true), or leave it out."
        )
    return said


def matched(rows: pa.Schema, table: Schema, name: str) -> dict[str, str]:
    """For each column of the rows the table's of that name; UnknownNameError for one that the table lacks."""
    out: dict[str, str] = {}
    for column in rows.names:
        found = table.find(column)
        if found is None:
            raise UnknownNameError(
                f"Table `{name}` has no column `{column}`.",
                hint=did_you_mean(column, table.names, "columns") + " Columns bind by name.",
            )
        out[column] = found.name
    return out


def keyed(rows: pa.Schema, key: Sequence[str]) -> tuple[str, ...]:
    """The key as the rows' columns are written; UnknownNameError for one that they lack."""
    low = {n.lower(): n for n in rows.names}
    for column in key:
        if column.lower() not in low:
            raise UnknownNameError(
                f"The KEY names `{column}`, and the query gives no such column.",
                hint=did_you_mean(column, rows.names, "columns"),
            )
    return tuple(low[k.lower()] for k in key)


def check_key(count: Callable[[str], int], rows: str, key: Sequence[str]) -> None:
    """DataError when rows lack a part of their key, or share it; `count` runs SQL that counts."""
    listed, columns = ", ".join(quoted(k) for k in key), ", ".join(key)
    if gone := count(f"SELECT count(*) FROM {rows} WHERE {' OR '.join(f'{quoted(k)} IS NULL' for k in key)}"):
        raise key_is_null(gone, columns)
    if twice := count(
        f"SELECT count(*) FROM (SELECT 1 FROM {rows} GROUP BY {listed} HAVING count(*) > 1) AS d"
    ):
        raise key_is_shared(twice, columns)


def key_is_null(rows: int, columns: str) -> DataError:
    return DataError(
        f"KEY ({columns}): {rows:,} row{'s' * (rows > 1)} of the query {'have' if rows > 1 else 'has'} NULL there. Nothing was written.",
        hint="Leave them out with WHERE ... IS NOT NULL, or name another KEY.",
    )


def key_is_shared(keys: int, columns: str) -> DataError:
    return DataError(
        f"KEY ({columns}): {keys:,} key{'s' * (keys > 1)} of the query {'have' if keys > 1 else 'has'} several rows. Nothing was written.",
        hint="Add columns to the KEY, or have the query give one row for each.",
    )


def ambiguous(table: str, columns: str) -> DataError:
    """Of a key that several rows of the table share."""
    return DataError(
        f"Table `{table}` has several rows for one KEY ({columns}): which is to be changed is not known. Nothing was written.",
        hint="Name columns that tell its rows apart.",
    )


def narrowed(column: str, table: str) -> DataError:
    """Of numbers with a fraction for a column of whole ones."""
    return DataError(
        f"`{column}` has fractions, and the column of `{table}` holds whole numbers: they would be rounded.",
        hint=f"Write round({column}) AS {column} in the query if that is meant, cast to BIGINT.",
    )


_NUMBERS = (DataType.INTEGER, DataType.FLOAT, DataType.DECIMAL)
_WIDER = {
    DataType.FLOAT: _NUMBERS,
    DataType.DECIMAL: _NUMBERS,
    DataType.TIMESTAMP: (DataType.TIMESTAMP, DataType.DATE),
    DataType.JSON: (DataType.JSON, DataType.STRING),
    DataType.OTHER: (DataType.OTHER, DataType.STRING),
}


def fit(column: str, given: DataType, kept: DataType, table: str) -> None:
    """DataError for values of a type that the table's column does not hold; of what takes anything, such as a file."""
    fits = given is not DataType.BINARY if kept is DataType.STRING else given in _WIDER.get(kept, (kept,))
    if not fits:
        raise DataError(
            f"`{column}` is {given.value}, and the column of `{table}` holds {kept.value}.",
            hint=f"CAST it in the query: CAST({column} AS ...) AS {column}.",
        )


# --- SQL ---------------------------------------------------------------------------------------------------


def change_sql(table: str, rows: str, key: Mapping[str, str], others: Mapping[str, str]) -> str | None:
    """Change the rows that are there. `key` and `others`: the table's column to the value in terms of `r`."""
    if not others:
        return None
    sets = ", ".join(f"{quoted(c)} = {value}" for c, value in others.items())
    return f"UPDATE {table} AS t SET {sets} FROM {rows} AS r WHERE {_same(key)}"


def add_sql(
    table: str, rows: str, key: Mapping[str, str], columns: Mapping[str, str], alias: str = "t"
) -> str:
    """Add the rows, with a key only those that are not there; `alias` is what the table is called beside."""
    listed, values = ", ".join(quoted(c) for c in columns), ", ".join(columns.values())
    new = f" WHERE NOT EXISTS (SELECT 1 FROM {table} AS {alias} WHERE {_same(key, alias)})" if key else ""
    return f"INSERT INTO {table} ({listed}) SELECT {values} FROM {rows} AS r{new}"


def there_sql(table: str, rows: str, key: Mapping[str, str], alias: str = "t") -> tuple[str, str]:
    """SQL that counts the pairs of a row and one of the table with one key, and SQL that counts the rows in such pairs."""
    pairs = f"SELECT count(*) FROM {rows} AS r JOIN {table} AS {alias} ON {_same(key, alias)}"
    return (
        pairs,
        f"SELECT count(*) FROM {rows} AS r WHERE EXISTS (SELECT 1 FROM {table} AS {alias} WHERE {_same(key, alias)})",
    )


def _same(key: Mapping[str, str], alias: str = "t") -> str:
    return " AND ".join(f"{alias}.{quoted(c)} = {value}" for c, value in key.items())
