"""The columns of a table as arrays: instants, groups as sorted codes, targets as numbers; each refused in words where it is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from tilth.core.errors import DataError, InputError, TargetError
from tilth.core.names import did_you_mean, quoted

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]

Levels: TypeAlias = "tuple[str, ...] | None"
UTC = "utc"
LARGEST = 1e100  # whose squares can be added


def needed(table: pa.Table, names: Sequence[str]) -> None:
    """InputError for a column that the table does not have."""
    for name in names:
        if name not in table.schema.names:
            raise InputError(
                f"The forecast's column `{name}` is missing.",
                hint=did_you_mean(name, table.schema.names, "columns given"),
            )


def timed(table: pa.Table, name: str) -> pa.Table:
    """The table with texts of times in ISO 8601 as times, days where all are days; as it is where they are none of that."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    at = table.schema.get_field_index(name)
    if at < 0 or not (t.is_string(table.column(at).type) or t.is_large_string(table.column(at).type)):
        return table
    column = table.column(at)
    lengths = pc.utf8_length(column)
    days = pc.all(pc.equal(lengths, len("2024-01-31"))).as_py()
    try:
        found = column.cast(pa.date32() if days else pa.timestamp("us"))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return table
    return table.set_column(at, name, found)


def instants(table: pa.Table, name: str) -> Ints:
    """Microseconds since 1970, of dates and timestamps; zones are told in UTC already. NULL and other types are refused."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.types as t

    column = table.column(name).combine_chunks()
    if not (t.is_date(column.type) or t.is_timestamp(column.type)):
        how = "make_date({0}, 1, 1)" if t.is_integer(column.type) else "CAST({0} AS TIMESTAMP)"
        cast = "DATE '...' + {0}" if t.is_time(column.type) else how
        cast = cast.format(quoted(name))
        raise DataError(
            f"ORDER BY `{name}` is of type {column.type}; a forecast is ordered by a date or a timestamp.",
            hint=f"Write for example {cast} AS {quoted(name)} in the query.",
        )
    if column.null_count:
        raise DataError(
            f"ORDER BY `{name}` has no value in {column.null_count:,} of {len(column):,} rows.",
            hint=f"Add WHERE {quoted(name)} IS NOT NULL to the query.",
        )
    cast = column.cast(pa.timestamp("us", getattr(column.type, "tz", None)), safe=False)
    return np.asarray(cast.cast(pa.int64()), dtype=np.int64)


def zone(table: pa.Table, name: str) -> str | None:
    """The time zone that the column names, unless it is UTC."""
    found = getattr(table.schema.field(name).type, "tz", None)
    return None if found is None or found.lower() in {UTC, "etc/utc", "+00:00", "z"} else str(found)


def numbers(table: pa.Table, name: str) -> Floats:
    """A target as float64, NaN where there is no value; TargetError for what is no number or is infinite."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.types as t

    column = table.column(name).combine_chunks()
    if not (t.is_integer(column.type) or t.is_floating(column.type) or t.is_decimal(column.type)):
        raise TargetError(
            f"The target `{name}` is of type {column.type}; a forecast is of a number.",
            hint=f"Write for example CAST({quoted(name)} AS DOUBLE) AS {quoted(name)} in the query.",
        )
    out: Floats = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64)
    beyond = int((np.abs(out) > LARGEST).sum())
    if beyond:
        raise TargetError(
            f"The target `{name}` is infinite or beyond {LARGEST:g} in {beyond:,} rows.",
            hint="Make them NULL in the query, which is filled as gaps are, or divide the column.",
        )
    return out


def coded(table: pa.Table, names: Sequence[str]) -> tuple[Ints, pa.Table]:
    """A code for each row, and the table of groups by code; codes follow the groups' own order, not that of rows."""
    import numpy as np
    import pyarrow as pa

    if not names:
        return np.zeros(table.num_rows, np.int64), pa.table({})
    code = np.zeros(table.num_rows, np.int64)
    for name in names:
        _no_nan(table, name)
        ranks, size = _ranks(table.column(name).combine_chunks())
        code = np.unique(code * size + ranks, return_inverse=True)[1].astype(np.int64)
    first = np.unique(code, return_index=True)[1]
    return code, table.select(list(names)).take(pa.array(first))


def _no_nan(table: pa.Table, name: str) -> None:
    """DataError for a group that is NaN: it equals nothing, not even itself."""
    import pyarrow.compute as pc
    import pyarrow.types as t

    column = table.column(name)
    if not t.is_floating(column.type):
        return
    count = pc.sum(pc.is_nan(column)).as_py() or 0
    if count:
        raise DataError(
            f"GROUP BY `{name}` is NaN in {count:,} of {len(column):,} rows.",
            hint=f"Make a group of them, NULL, in the query: CASE WHEN isnan({quoted(name)}) THEN NULL ELSE {quoted(name)} END AS {quoted(name)}.",
        )


def _ranks(column: pa.Array) -> tuple[Ints, int]:
    """The rank of each value among the different ones, in order; NULL is the last."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    words = encoded.dictionary
    try:
        order = np.asarray(pc.sort_indices(words))
    except pa.ArrowNotImplementedError:
        order = np.asarray(pc.sort_indices(words.cast(pa.string())))
    ranks = np.empty(len(order) + 1, np.int64)
    ranks[order] = np.arange(len(order))
    ranks[-1] = len(order)
    codes = encoded.indices.fill_null(len(order)).to_numpy(zero_copy_only=False).astype(np.int64)
    return ranks[codes], len(order) + 1


def covariate(table: pa.Table, name: str, learned: Mapping[str, Levels]) -> tuple[Floats, Levels]:
    """A covariate as numbers: values as they are, words as codes of their levels; NaN for none or an unknown one.

    `learned` is empty at training; then what a column is, and its levels, are seen here. InputError for words where there
    were numbers.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    array = table.column(name).combine_chunks()
    if t.is_boolean(array.type):
        array = array.cast(pa.int8())
    number = t.is_integer(array.type) or t.is_floating(array.type) or t.is_decimal(array.type)
    levels = learned.get(name)
    if levels is None and (number or (name in learned and array.null_count == len(array))):
        return array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64), None
    if levels is None and name in learned:
        raise InputError(
            f"`{name}` is of type {array.type}; the forecast was trained with numbers.",
            hint="Give it as it was in the training data.",
        )
    words = array.cast(pa.string())
    if levels is None:
        levels = tuple(sorted(v for v in pc.unique(words).to_pylist() if v is not None))
    if len(levels) > MOST_LEVELS:
        raise InputError(
            f"`{name}` has {len(levels):,} different words; of what helps a forecast there are {MOST_LEVELS:,} at most.",
            hint="Leave it out, or group its words in the query.",
        )
    found = pc.index_in(words, pa.array(levels, pa.string()))
    return found.cast(pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64), levels


MOST_LEVELS = 1_000


def example(groups: pa.Table, index: int) -> tuple[Any, ...]:
    """A group's values."""
    return tuple(groups.column(i)[index].as_py() for i in range(groups.num_columns))
