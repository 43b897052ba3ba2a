"""What DuckDB and its processes say, as our errors: without values of the data, with DuckDB's candidates, with a next step."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tilth.core.errors import (
    DataError,
    LanguageError,
    ResourceLimitError,
    SourceError,
    StorageError,
    TilthError,
    UnknownNameError,
    UnsupportedError,
)
from tilth.ports.engine import Relation
from tilth.ports.limits import Limits

_CANDIDATES = re.compile(
    r"(?:Candidate bindings|Candidate functions|Did you mean)\s*:?\s*(.+?)(?:\n\n|\Z)", re.DOTALL
)
_KIND = re.compile(r"\b([A-Z][A-Za-z]*(?: [A-Za-z]+){0,2}) Error: (.*)", re.DOTALL)
_OURS = re.compile(r"error: ([^\n]+?)  \[(E-[A-Z]+)\]")
_VALUES = re.compile(r"'[^']*'|\"[^\"]*\"|(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])")


def translated(error: BaseException) -> BaseException:
    """One of our errors for one of DuckDB's, without values of the data; others pass unchanged.

    Errors met while batches are read arrive as Arrow errors, so the text decides and not the class.
    """
    if isinstance(error, TilthError) or not isinstance(error, Exception):
        return error
    if str(error) == "Query interrupted":  # Ctrl-C while DuckDB was at work
        return KeyboardInterrupt()
    found = _KIND.search(str(error))
    if found is None:
        return error
    kind, rest = found.groups()
    said = rest.partition("\n")[0].strip()
    if said.startswith("reading the stream"):
        return _unread(rest)
    if kind in {"Binder", "Catalog"}:
        return _unbound(said, rest)
    if kind in ("Parser", "Syntax"):
        return LanguageError(f"{said[:1].upper()}{said[1:]}.", detail=_line(rest))
    if kind in ("INTERRUPT", "Interrupt"):
        return KeyboardInterrupt()
    if kind == "Out of Memory":
        return ResourceLimitError(
            "The query needs more memory or disk than it may use.",
            hint="Raise the memory limit, or have the query return fewer rows or columns.",
        )
    if kind == "Permission":
        return UnsupportedError(
            "A query may read only its inputs.", hint="Declare the file as a SOURCE of kind files."
        )
    if kind in ("IO", "HTTP"):
        return StorageError(
            "A file of the query's inputs could not be read.", hint="Check that it exists and is Parquet."
        )
    if kind in ("Conversion", "Out of Range", "Invalid Input", "Mismatch Type", "Invalid Type", "Constraint"):
        return DataError(f"{_VALUES.sub('...', said)}.", hint=_helps(said))
    return LanguageError(f"{said}.", detail=_line(rest))


def _helps(said: str) -> str:
    """What helps against a value that a query stumbles over."""
    if said.startswith("Overflow"):
        return "CAST the numbers to DECIMAL(38,0) or DOUBLE before they grow too large."
    if "format specifier" in said:
        return "Use try_strptime, which gives NULL where a text has another form."
    return "Use TRY_CAST where values may not convert, and filter NULLs."


_WORD_AT = re.compile(r"([A-Za-z_]\w*)(?:\W*)\Z")


def unquoted(error: BaseException, sql: str, columns: set[str]) -> BaseException:
    """The error, with a hint where SQL took the name of a column for a word of its own."""
    if not isinstance(error, LanguageError) or error.hint or len(error.detail) < 2:
        return error
    line, at = error.detail[0], error.detail[1].find("^")
    number, colon, _ = line.partition(": ")
    start = len(number) + len(colon)
    earlier = sql.split("\n")[: int(number.removeprefix("LINE ")) - 1] if number.startswith("LINE ") else []
    before = _WORD_AT.search("\n".join([*earlier, line[start:at]]))
    here = re.match(r"\w+", line[at:])
    known = {c.lower() for c in columns} | {"at"}  # `at` is a word of DuckDB's alone
    for found in (here and here[0], before and before[1]):
        if at >= 0 and found and found.lower() in known:
            error.hint = (
                f'`{found}` is a word of SQL: write "{found}" in double quotes where the column is meant.'
            )
            break
    return error


def columns_of(inputs: Mapping[str, Relation]) -> set[str]:
    """The columns of the inputs that are no files."""
    return {n for v in inputs.values() if not isinstance(v, Sequence) for n in v.schema.names}


def _unread(rest: str) -> TilthError:
    """An input's stream broke off: our own errors keep their words, strangers' could show data."""
    ours = _OURS.search(rest)
    cls = SourceError if ours is None or ours[2] != DataError.code else DataError
    return cls(
        ours[1] if ours else "An input of the query broke off while it was read.",
        hint="Correct the values in the source, or try again if it went away.",
    )


def _unbound(said: str, rest: str) -> TilthError:
    found = _CANDIDATES.search(rest)
    hint = None if found is None else "Did you mean: " + " ".join(found[1].replace("?", "").split()) + "?"
    if said.startswith("No function matches") and "VARCHAR" in said:
        hint = (
            "An argument is text (VARCHAR). Why a file's column was read as text says"
            " SELECT * FROM tilth.notices; TRY_CAST(x AS DOUBLE) makes numbers of it."
        )
    unknown = "not found" in said or "does not exist" in said
    cls = UnknownNameError if unknown else LanguageError
    return cls(f"{said.rstrip('!.')}.", hint=hint, detail=_line(rest))


def _line(rest: str) -> tuple[str, ...]:
    place = rest.find("\n\nLINE ")
    return tuple(rest[place + 2 :].split("\n")) if place >= 0 else ()


def over_memory(limits: Limits) -> ResourceLimitError:
    """The error of one that needed too much."""
    return ResourceLimitError(
        f"The statement needs more than the {limits.memory / 1e9:g} GB of memory that it may use.",
        hint="Raise statement_memory under [limits] in tilth.toml, or have the statement return fewer rows or columns.",
    )
