"""Iceberg catalogs that are a table: `iceberg_tables`, as pyiceberg's SQL catalog and Java's JDBC catalog keep it. It is read and never made."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from tilth.core.errors import SourceError
from tilth.core.names import did_you_mean

_SQL = "SELECT * FROM iceberg_tables"


class _Ledger(ABC):
    """`warehouse` is the catalog's name; it need not be given where the table keeps one catalog."""

    def __init__(self, warehouse: str | None) -> None:
        self._warehouse = warehouse

    @abstractmethod
    def _rows(self) -> Sequence[Mapping[str, Any]]:
        """The table's rows."""

    def namespaces(self) -> Sequence[str]:
        return sorted({str(r["table_namespace"]) for r in self._own()})

    def names(self, namespace: str) -> Sequence[str] | None:
        found = [str(r["table_name"]) for r in self._own() if r["table_namespace"] == namespace]
        return found or None

    def load(self, namespace: str, table: str) -> tuple[str, Mapping[str, object]]:
        for row in self._own():
            if (row["table_namespace"], row["table_name"]) == (namespace, table):
                return str(row["metadata_location"]), {}
        raise SourceError(f"Iceberg table `{table}` is gone from its catalog.", hint="Try again.")

    def _own(self) -> list[Mapping[str, Any]]:
        """The rows of tables of this catalog: views are not read."""
        try:
            rows = [r for r in self._rows() if r.get("iceberg_type") in (None, "TABLE")]
            names = sorted({str(r["catalog_name"]) for r in rows})
        except KeyError as error:
            raise _no_ledger() from error
        if self._warehouse is not None:
            if self._warehouse not in names:
                raise SourceError(
                    f"The database keeps no Iceberg catalog `{self._warehouse}` with tables.",
                    hint=did_you_mean(self._warehouse, names, "catalogs"),
                )
            return [r for r in rows if r["catalog_name"] == self._warehouse]
        if len(names) > 1:
            raise SourceError(
                f"The database keeps {len(names)} Iceberg catalogs: {', '.join(names[:10])}.",
                hint=f"Say which: warehouse = '{names[0]}'.",
            )
        return rows


class SqliteLedger(_Ledger):
    """In a SQLite file."""

    def __init__(self, path: str, warehouse: str | None) -> None:
        super().__init__(warehouse)
        self._path = path

    def _rows(self) -> Sequence[Mapping[str, Any]]:
        if not os.path.isfile(self._path):
            raise SourceError(
                f"There is no catalog at {self._path}.", hint="Correct `catalog`: 'sqlite:///FILE'."
            )
        try:
            uri = f"file:{quote(self._path)}?mode=ro"
            with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=5)) as connection:
                connection.row_factory = sqlite3.Row
                return [dict(r) for r in connection.execute(_SQL)]
        except sqlite3.Error as error:
            if "no such table" in str(error):
                raise _no_ledger() from error
            raise SourceError(
                f"The catalog at {self._path} cannot be read ({type(error).__name__}).",
                hint="Check that it is a SQLite file which this user may read, and that nobody holds it.",
            ) from error


class PostgresLedger(_Ledger):
    """In PostgreSQL."""

    def __init__(self, url: str, password: str | None, warehouse: str | None) -> None:
        super().__init__(warehouse)
        self._url, self._password = url, password

    def _rows(self) -> Sequence[Mapping[str, Any]]:
        from adbc_driver_postgresql import dbapi

        extra = ["connect_timeout=10"]
        if self._password is not None:
            extra.append(f"password={quote(self._password, safe='')}")
        url = self._url + ("&" if "?" in self._url else "?") + "&".join(extra)
        try:
            connection = dbapi.connect(url, autocommit=True)
        except Exception:  # its text can repeat the url
            raise SourceError(
                "The PostgreSQL that keeps the Iceberg catalog cannot be reached, or does not let this user in.",
                hint="Check `catalog` and `password`.",
            ) from None
        with contextlib.closing(connection), connection.cursor() as cursor:
            try:
                cursor.execute("SET default_transaction_read_only = on")
                cursor.execute(_SQL)
                return [dict(r) for r in cursor.fetch_arrow_table().to_pylist()]
            except Exception as error:
                raise _no_ledger() from error


def _no_ledger() -> SourceError:
    return SourceError(
        "The database has no table `iceberg_tables` of an Iceberg catalog that this user may read.",
        hint="Correct `catalog`; in PostgreSQL, GRANT SELECT on it.",
    )
