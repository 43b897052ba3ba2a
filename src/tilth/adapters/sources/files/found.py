"""Which files are which table of a folder, a glob or one path, and which files are passed over.

A table is one file, or all files of one kind in a folder of that name. Where files really lie is for `ports.places`.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tilth.adapters.sources.files.duck import refused
from tilth.core.errors import SourceError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.ports.source import Notice

KINDS = {
    **dict.fromkeys((".csv", ".tsv", ".tab"), "csv"),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "jsonl"),
    ".parquet": "parquet",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
}
PACKED = (".gz", ".zst")
SECOND = (".json", ".xlsx", ".xlsm")


@dataclass(frozen=True, slots=True)
class Found:
    """Files by table, and the names of what was passed over: beside the tables, and in the folders of tables."""

    tables: Mapping[str, tuple[str, ...]]
    passed: Mapping[str, tuple[str, ...]]  # '' for those beside the tables, '/' for folders of folders
    twins: Mapping[str, str]  # tables that two things would be, and which

    def of(self, table: str) -> tuple[str, ...]:
        """The table's files; an error when there is none, or they are not of one kind. Of `book#sheet`, those of `book`."""
        base, _, sheet = table.partition("#")
        if sheet and table not in self.tables and self._is_book(base):
            table = base
        if table not in self.tables:
            raise UnknownNameError(
                f"There is no table `{table}`.{self._perhaps(table)}",
                hint=did_you_mean(table, self.tables, "tables"),
            )
        paths = self.tables[table]
        several = len({kind_of(p) for p in paths}) > 1
        if several or table in self.twins:
            what = (
                f"Table `{table}` has files of several kinds"
                if several
                else f"Two things would be table `{table}`"
            )
            raise SourceError(
                f"{what}: {self.twins.get(table) or ', '.join(map(os.path.basename, paths[:5]))}.",
                hint="Keep one, rename the others, or put files that are one table into a folder of its name.",
            )
        return paths

    def _is_book(self, table: str) -> bool:
        return bool(self.tables.get(table)) and kind_of(self.tables[table][0]) == "xlsx"

    def _perhaps(self, table: str) -> str:
        if table in self.passed.get("/", ()):
            return f" {table}/ is passed over: its files lie in folders within it."
        same = [n for n in self.passed.get("", ()) if stem(n).lower() == table.lower()]
        return f" {same[0]} is passed over: {_WHY}." if same else ""


_WHY = "files that are read end in " + ", ".join([*KINDS]) + ", and .gz or .zst after .csv, .json or .jsonl"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file (`inner` None), or a folder with the names in it; `deep`: folders lie within it."""

    path: str
    name: str
    inner: tuple[str, ...] | None = None
    deep: bool = False


def find(path: str) -> Found:
    """What there is at the path now."""
    if not os.path.isdir(path):
        paths = sorted(glob.glob(path))
        if not paths:
            raise SourceError(f"There is nothing at {path}.", hint="Correct the source's path.")
        return grouped(Entry(p, os.path.basename(p)) for p in paths)
    return grouped(_entry(os.path.join(path, n), n) for n in _names(path))


def _entry(path: str, name: str) -> Entry:
    if not os.path.isdir(path):
        return Entry(path, name)
    inner = tuple(_names(path))
    return Entry(
        path, name, inner, any(os.path.isdir(os.path.join(path, n)) for n in inner if not _silent(n))
    )


def grouped(entries: Iterable[Entry]) -> Found:
    """Which entries of one folder are which table, wherever the folder lies."""
    tables: dict[str, tuple[str, ...]] = {}
    passed: dict[str, tuple[str, ...]] = {}
    twins: dict[str, str] = {}
    beside: list[str] = []
    deeper: list[str] = []
    for entry in sorted(entries, key=_second):
        path, name = entry.path, entry.name
        table, members = stem(name), _one(path)
        if _second(entry) and table in tables:  # the export of another program beside the table itself
            beside.append(name)
            continue
        if entry.inner is not None:
            table, members = name, tuple(os.path.join(path, n) for n in entry.inner if kind_of(n))
            if not members and entry.deep:
                deeper.append(name)
            if members:
                passed[name] = tuple(n for n in entry.inner if not kind_of(n) and not _silent(n))
        elif not kind_of(name):
            members = ()
            beside += [] if _silent(name) else [name]
        if members and table in tables:
            twins[table] = f"{twins.get(table) or os.path.basename(tables[table][0])} and {name}"
        if members:
            tables[table] = (*tables.get(table, ()), *members)
    return Found(tables, {**passed, "": tuple(beside), "/": tuple(deeper)}, twins)


def _second(entry: Entry) -> bool:
    """Whether it is a table only where nothing else has its name."""
    base = entry.name.lower()
    base = base.removesuffix(next((p for p in PACKED if base.endswith(p)), ""))
    return entry.inner is None and base.endswith(SECOND)


def passed_over(found: Found, table: str) -> Iterator[Notice]:
    """A word about files that are not read: in the table's folder, and beside the tables."""
    for where, names in ((f"{table}/", found.passed.get(table, ())), ("", found.passed.get("", ()))):
        if names:
            listed = ", ".join(f"{where}{n}" for n in names[:5]) + (
                f" and {len(names) - 5} more" if len(names) > 5 else ""
            )
            yield Notice(
                "left_out", table, f"Passed over, since files of other kinds are not read: {listed}."
            )


def kind_of(path: str) -> str:
    """csv, jsonl or parquet by the name's ending; empty for what is not read."""
    base, ending = os.path.splitext(path.lower())
    packed = ending in PACKED
    kind = KINDS.get(os.path.splitext(base)[1] if packed else ending, "")
    return "" if packed and kind in ("parquet", "xlsx") else kind


def stem(path: str) -> str:
    """The file's name without its endings."""
    base, ending = os.path.splitext(os.path.basename(path))
    return os.path.splitext(base)[0] if ending.lower() in PACKED else base


def _one(path: str) -> tuple[str, ...]:
    return (path,)


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        raise refused(error) from error


def _silent(name: str) -> bool:
    """What nobody takes for a table: hidden files, marks such as _SUCCESS, checksums, and databases, which are sources."""
    ours = name.lower().endswith(
        (".crc", "~", ".db", ".sqlite", ".sqlite3", ".duckdb", "-wal", "-shm", "-journal")
    )
    return name.startswith((".", "_")) or ours
