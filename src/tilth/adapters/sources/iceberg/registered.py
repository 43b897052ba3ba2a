"""Tables of one namespace of an Iceberg catalog: it is asked which there are and where their metadata lies, and lends keys to a bucket.

A catalog is a server that speaks Iceberg's REST protocol (`rest`), or a table of a SQLite file or of PostgreSQL, as the SQL catalog of
pyiceberg and the JDBC catalog of Java keep it (`ledger`). What it says of files on this machine is believed only below the option `path`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Protocol
from urllib.parse import unquote, urlsplit

from tilth.adapters.sources.http.server import address
from tilth.adapters.sources.iceberg import storage
from tilth.adapters.sources.iceberg.ledger import PostgresLedger, SqliteLedger
from tilth.adapters.sources.iceberg.rest import Rest
from tilth.adapters.sources.lakes import Given, named
from tilth.adapters.sources.remote import given as asked
from tilth.core.errors import ProjectError, SourceError, UnknownNameError, UnsupportedError
from tilth.core.names import did_you_mean

OPTIONS = (
    "catalog", "namespace", "warehouse", "token", "credential", "password", "path", "snapshot",
    "region", "endpoint", "key", "secret", "anonymous",
)  # fmt: skip
_BUCKETS = ("s3", "s3a", "s3n")


class Catalog(Protocol):
    """What says which tables there are."""

    def namespaces(self) -> Sequence[str]:
        """Those of the catalog, with dots between their levels; only the first level where it tells no more."""
        ...

    def names(self, namespace: str) -> Sequence[str] | None:
        """Names of the tables; None where there is no such namespace."""
        ...

    def load(self, namespace: str, table: str) -> tuple[str, Mapping[str, object]]:
        """Where its newest metadata lies, and what reaches it."""
        ...


class Registered:
    """Implements `lakes.Place` for one namespace."""

    local = False  # a plan asks no catalog

    def __init__(
        self, catalog: Catalog, namespace: str, path: str | None, given: Mapping[str, object]
    ) -> None:
        self._catalog, self._namespace, self._path = catalog, namespace, path
        self._own = storage.declared(given, None)
        self._ambient = storage.ambient(given)

    def tables(self) -> tuple[str, ...]:
        found = self._catalog.names(self._namespace)
        if found is None:
            raise UnknownNameError(
                f"The Iceberg catalog has no namespace `{self._namespace}`, or none that holds tables.",
                hint=did_you_mean(self._namespace, self._catalog.namespaces(), "namespaces"),
            )
        return tuple(sorted(found))

    def at(self, table: str) -> Given:
        metadata, config = self._loaded(table)
        parts = urlsplit(metadata)
        if parts.scheme in _BUCKETS:
            lent = storage.lent(config)
            ambient = self._ambient if storage.KEY not in {**lent, **self._own} else {}
            known = {**ambient, **lent, **self._own}
            return Given(metadata, local=False, storage=known, metadata=metadata)
        if parts.scheme not in ("", "file"):
            raise UnsupportedError(
                f"Iceberg table `{table}` lies at {parts.scheme[:20]}://, which is not read.",
                hint="Tables in S3-compatible buckets are read, and those on this machine.",
            )
        return Given(self._below(unquote(parts.path), table), local=True, metadata=metadata)

    def token(self, table: str) -> str:
        return self._loaded(table)[0]

    def _loaded(self, table: str) -> tuple[str, Mapping[str, object]]:
        return self._catalog.load(self._namespace, named(table, self.tables()))

    def _below(self, file: str, table: str) -> str:
        """The folder that may be read for a table on this machine."""
        if self._path is not None and os.path.realpath(file).startswith(os.path.join(self._path, "")):
            return self._path
        raise SourceError(
            f"The catalog says that Iceberg table `{table}` lies on this machine, "
            + (
                "outside of the source's path."
                if self._path
                else "and the source names no folder that may be read."
            ),
            hint="Write path = 'FOLDER', of all tables that the source may read here.",
        )


def placed(given: Mapping[str, object], root: str) -> Registered:
    """The namespace of the catalog that the options name."""
    namespace, path = asked.text(given, "namespace"), asked.text(given, "path")
    if not namespace:
        raise ProjectError(
            "A source of an Iceberg catalog needs a namespace: its tables are those of one.",
            hint="Write namespace = 'sales', with dots between levels: 'lake.sales'.",
        )
    if path is not None:
        path = os.path.realpath(os.path.join(root, path))
    return Registered(_catalog(given, root), namespace, path, given)


def _catalog(given: Mapping[str, object], root: str) -> Catalog:
    url, warehouse = asked.text(given, "catalog") or "", asked.text(given, "warehouse")
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme in ("http", "https"):
        parts = address(url)
        if parts.query or parts.fragment:
            raise ProjectError(
                "The option `catalog` holds more than an address.", hint="Leave out what follows the `?` or `#`."
            )  # fmt: skip
        _only(given, ("password",), "a SQL catalog")
        return Rest(url.rstrip("/"), warehouse, asked.text(given, "token"), asked.text(given, "credential"))
    if url.startswith("sqlite:///") and len(url) > len("sqlite:///"):
        _only(given, ("token", "credential", "password"), "another catalog")
        return SqliteLedger(os.path.join(root, url.removeprefix("sqlite:///")), warehouse)
    if scheme in ("postgresql", "postgres"):
        _only(given, ("token", "credential"), "a REST catalog")
        return PostgresLedger(url, asked.text(given, "password"), warehouse)
    raise ProjectError(
        "The option `catalog` is no address of a catalog that can be asked.",
        hint="Write 'https://host/catalog', 'sqlite:///catalog.db' or 'postgresql://reader@host/database'.",
    )


def _only(given: Mapping[str, object], names: Sequence[str], what: str) -> None:
    for name in names:
        if given.get(name) is not None:
            raise ProjectError(f"The option `{name}` is of {what}.", hint="Leave it out.")
