"""Cases of a dataset's query as files of a project: `tests/DATASET/CASE/`, a CSV for each table that it reads, and `expected.csv`.

A header says names and types (`id:BIGINT`), so that nothing is guessed; an empty field is NULL, and `""` an empty text. Rows have no
order. In what is expected a column without a type has that of the query's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilth.core.errors import InputError, TilthError
from tilth.core.names import quoted
from tilth.ports.engine import QueryEngine

if TYPE_CHECKING:
    import pyarrow as pa

FOLDER, EXPECTED, SUFFIX = "tests", "expected", ".csv"
MOST_BYTES = 64 << 20  # of a file
_TYPE = re.compile(r"""[A-Za-z][A-Za-z0-9_ (),\[\]"']*""")


@dataclass(frozen=True, slots=True)
class Case:
    """One case: where it lies, and the names of its tables as the query writes them."""

    dataset: str
    name: str
    folder: str
    tables: tuple[str, ...]


def found(root: str, wanted: Sequence[str] = ()) -> list[Case]:
    """The cases below a project's folder, sorted; of these datasets, or `dataset/case`, alone where some are wanted."""
    top = os.path.join(root, FOLDER)
    out = []
    for dataset in _folders(top):
        for name in _folders(os.path.join(top, dataset)):
            folder = os.path.join(top, dataset, name)
            files = sorted(f[: -len(SUFFIX)] for f in os.listdir(folder) if f.endswith(SUFFIX))
            if not files or (
                wanted and not {dataset.lower(), f"{dataset}/{name}".lower()} & {w.lower() for w in wanted}
            ):
                continue
            out.append(Case(dataset.lower(), name, folder, tuple(f for f in files if f != EXPECTED)))
    return out


def _folders(path: str) -> list[str]:
    if not os.path.isdir(path):
        return []
    return sorted(
        n for n in os.listdir(path) if os.path.isdir(os.path.join(path, n)) and not n.startswith((".", "_"))
    )


def read(path: str, engine: QueryEngine, types: dict[str, str] | None = None) -> pa.Table:
    """A file as a table; InputError with the file for what does not fit. `types` are those of columns without one, in lower case."""
    import pyarrow as pa
    from pyarrow import csv

    shown = os.path.join(*path.split(os.sep)[-4:])
    try:
        if os.path.getsize(path) > MOST_BYTES:
            raise InputError(f"{shown} is larger than 64 MB.", hint="A case needs a handful of rows.")
        with open(path, encoding="utf-8") as file:
            names = next(_fields(file.readline()), ())
        convert = csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        )  # fmt: skip
        parse = csv.ParseOptions(newlines_in_values=True)
        plain = csv.read_csv(path, parse_options=parse, convert_options=convert)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise InputError(
            f"{shown} cannot be read: {str(error).splitlines()[0]}.",
            hint="It is a CSV with a header of name:TYPE.",
        ) from error
    columns = [_column(shown, name, types) for name in plain.schema.names]
    listed = ", ".join(
        f"CAST({quoted(raw)} AS {kind}) AS {quoted(name)}"
        for raw, (name, kind) in zip(plain.schema.names, columns, strict=True)
    )
    try:
        return engine.stream(f"SELECT {listed} FROM rows", {"rows": plain}).read_all()
    except TilthError as error:
        raise InputError(
            f"{shown}: {error.message}", hint="Correct the value, or the type in the header."
        ) from error


def _fields(line: str) -> Iterator[list[str]]:
    import csv

    yield from csv.reader([line.lstrip("\ufeff")])


def _column(shown: str, said: str, types: dict[str, str] | None) -> tuple[str, str]:
    name, mark, kind = said.rpartition(":")
    if not mark or not _TYPE.fullmatch(kind.strip()):
        name, kind = said, (types or {}).get(said.lower(), "") if types is not None else ""
        if types is None:
            raise InputError(
                f"{shown}: column `{said}` has no type.",
                hint=f"Write it into the header: {said}:BIGINT (or VARCHAR, DOUBLE, TIMESTAMP ...).",
            )
    return name, kind.strip() or "VARCHAR"


def types_of(table: pa.Table, engine: QueryEngine) -> dict[str, str]:
    """DuckDB's type of each column, by its name."""
    if not table.num_columns:
        return {}
    listed = ", ".join(f"typeof(any_value({quoted(n)}))" for n in table.schema.names)
    row = engine.stream(f"SELECT {listed} FROM rows", {"rows": table}).read_all()
    return {n: str(row.column(i)[0].as_py()) for i, n in enumerate(table.schema.names)}


def texts(table: pa.Table, engine: QueryEngine) -> list[tuple[str | None, ...]]:
    """The rows as texts, in their order."""
    if not table.num_columns:
        return []
    listed = ", ".join(f"CAST({quoted(n)} AS VARCHAR) AS c{i}" for i, n in enumerate(table.schema.names))
    found_rows = engine.stream(f"SELECT {listed} FROM rows", {"rows": table}).read_all()
    return list(zip(*(c.to_pylist() for c in found_rows.columns), strict=True)) if table.num_rows else []


def write(path: str, table: pa.Table, engine: QueryEngine) -> None:
    """A table as a file of a case."""
    kinds = types_of(table, engine)
    unknown = ("NULL", '"NULL"')  # of a column without a value
    lines = [
        ",".join(_cell(f"{n}:{'VARCHAR' if kinds[n] in unknown else kinds[n]}") for n in table.schema.names)
    ]
    lines += [",".join(map(_cell, row)) for row in texts(table, engine)]
    with open(path, "x", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def _cell(text: str | None) -> str:
    if text is None:
        return ""
    plain = text and not re.search(r'[",\r\n]|^\s|\s$', text)
    return text if plain else '"' + text.replace('"', '""') + '"'
