r"""What an environment has, as the relations of PostgreSQL's catalog: what psql's `\d` and every client's explorer read.

Datasets, models and views lie in the schema `public`, tables of sources in a schema of the source's name, the system's in `tilth`.
A model is a view with its inputs and outputs as columns. Only what a query reads is made; a source that cannot be asked is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from zlib import crc32

from tilth.core.errors import CancelledError, TilthError
from tilth.core.names import quoted
from tilth.core.schema import DataType
from tilth.plan.snapshot import Pointer
from tilth.ports.arrow import data_type
from tilth.ports.source import Source
from tilth.runtime import sources
from tilth.runtime.asking import catalog
from tilth.runtime.asking.heeding import heeding
from tilth.runtime.asking.prompt import Prompt
from tilth.runtime.asking.select import models_of, select
from tilth.runtime.record import declarations, environments
from tilth.runtime.record.snapshots import manifest_of
from tilth.sql.language.acts import Select
from tilth.sql.language.statements import CreateDataset, CreateModel, Kind
from tilth.sql.postgres import types
from tilth.sql.postgres.catalog import FIRST_HIDDEN, INNER, LOOKED_UP, Server, inner
from tilth.sql.postgres.relations import columns

if TYPE_CHECKING:
    import pyarrow as pa

PUBLIC, SYSTEM = "public", catalog.NAME
NAMESPACES = {"pg_catalog": 11, PUBLIC: 2200, "information_schema": 13_000, SYSTEM: 13_001}
OWNER, HEAP, BTREE, DATABASE = 10, 2, 403, 16_000
FIRST, ROOM = 20_000, 60_000
OPCLASS = 10_000
WITH_COLUMNS = frozenset({"pg_attribute", "is_columns"})
"""Relations for which sources and views are asked for their columns; datasets and models have theirs at hand."""


@dataclass(frozen=True, slots=True)
class Col:
    """A column: its name, type, and what is said of it."""

    name: str
    type: DataType
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view that a query can name."""

    schema: str
    name: str
    kind: str  # as pg_class has it: r, v, f
    columns: tuple[Col, ...] = ()
    key: tuple[str, ...] = ()
    definition: str | None = None
    rows: int = -1

    @property
    def oid(self) -> int:
        """Always the same for the same name; small for what is found without a schema."""
        number = crc32(f"{self.schema}.{self.name}".encode())
        if self.schema == PUBLIC:
            return FIRST + number % ROOM
        return FIRST_HIDDEN + number % (1 << 30)

    @property
    def index(self) -> int:
        """The oid of its key's index."""
        number = crc32(f"{self.name}_pkey".encode())
        return FIRST + number % ROOM if self.schema == PUBLIC else FIRST_HIDDEN + number % (1 << 30)


@dataclass(slots=True)
class Explorer:
    """Finds the relations of a prompt's environment. `told` gets what could not be asked."""

    at: Prompt
    told: list[str] = field(default_factory=list)

    def deployed(self, *, deep: bool = False) -> list[Relation]:
        """Datasets, models and views; without `deep` views have no columns."""
        _, pointers = environments.pointers_of(self.at.work.state, self.at.environment)
        return [m for p in pointers if (m := self._pointed(p, deep=deep)) is not None]

    def relations(self, *, deep: bool = True) -> list[Relation]:
        """All of them; without `deep` those of sources have no columns."""
        found = [*self.deployed(deep=deep), *self._of_sources(deep=deep), *self._of_system(deep=deep)]
        return sorted(found, key=lambda r: (r.schema, r.name))

    def _named(self, wanted: set[tuple[str, str]]) -> list[Relation]:
        """Those of sources that are wanted, and all others; no other table of a source is looked at."""
        deep = any(s not in {PUBLIC, SYSTEM} for s, _ in wanted)
        found = [*self.deployed(deep=deep), *self._of_sources(deep=True, only=wanted)]
        return [*found, *self._of_system(deep=any(s == SYSTEM for s, _ in wanted))]

    def columns_of(self, names: Iterable[tuple[str | None, str]]) -> dict[str, DataType]:
        """The types of the columns of these relations (schema or None, name); of a name that two have otherwise, none."""
        wanted = {((s or PUBLIC).lower(), n.lower()) for s, n in names}
        out: dict[str, DataType | None] = {}
        for one in self._named(wanted) if wanted else ():
            if (one.schema, one.name.lower()) in wanted:
                for c in one.columns:
                    name = c.name.lower()
                    out[name] = c.type if out.setdefault(name, c.type) is c.type else None
        return {n: t for n, t in out.items() if t is not None}

    def _pointed(self, pointer: Pointer, *, deep: bool) -> Relation | None:
        if pointer.target is None and pointer.kind in {Kind.DATASET, Kind.MODEL}:
            return None
        if pointer.kind is Kind.DATASET:
            assert pointer.target is not None
            manifest = manifest_of(self.at.work.state, pointer.target)
            declared = declarations.declared(pointer.text)
            key = declared.key if isinstance(declared, CreateDataset) else ()
            fields = tuple(Col(f.name, f.type) for f in manifest.schema)
            return Relation(PUBLIC, pointer.name, "r", fields, tuple(key), pointer.text, manifest.rows)
        if pointer.kind is Kind.MODEL:
            return self._model(pointer)
        if pointer.kind is Kind.VIEW:
            return Relation(
                PUBLIC, pointer.name, "v", self._of_view(pointer.name) if deep else (), (), pointer.text
            )
        return None

    def _of_view(self, name: str) -> tuple[Col, ...]:
        """The columns of a view: it is asked for no rows."""
        models = models_of(self.at.work, self.at.environment, self.at.loaded)
        graph, text = self.at.deployed(self.at.environment), f"SELECT * FROM {quoted(name)} LIMIT 0"
        try:
            reader = select(self.at.work, graph, self.at.environment, models, Select(text), self.at.limits)
        except TilthError as error:
            self.told.append(f"{name}: {error.message}")
            return ()
        found = tuple(Col(f.name, data_type(f.type)) for f in reader.schema)
        reader.close()
        return found

    def _model(self, pointer: Pointer) -> Relation | None:
        models = models_of(self.at.work, self.at.environment, self.at.loaded)
        try:
            found = models.get(pointer.name)
        except TilthError as error:
            self.told.append(f"{pointer.name}: {error.message}")
            return None
        inputs = [Col(i.name, i.type, "input") for i in found.inputs]
        known = {c.name.lower() for c in inputs}
        outputs = [Col(o.name, o.type, "output") for o in found.outputs if o.name.lower() not in known]
        declared = declarations.declared(pointer.text)
        assert isinstance(declared, CreateModel)
        return Relation(PUBLIC, pointer.name, "v", (*outputs, *inputs), (), pointer.text)

    def _of_sources(self, *, deep: bool, only: set[tuple[str, str]] | None = None) -> Iterator[Relation]:
        """Tables of sources, or those of them that are in `only` (schema, name)."""
        graph = self.at.deployed(self.at.environment)
        for name in [r.name for r in graph.of_kind(Kind.SOURCE)]:
            if only is not None and all(s != name for s, _ in only):
                continue
            try:
                with sources.opened(graph, self.at.work.root, [name]) as opened:
                    source = heeding(opened[name], self.at.limits)
                    for table in source.tables():
                        if only is None or (name, table.lower()) in only:
                            yield Relation(
                                name,
                                table,
                                "f",
                                self._of_table(name, source, table, deep=deep, all_=only is None),
                            )
            except CancelledError:
                raise
            except TilthError as error:
                self.told.append(f"{name}: {error.message}")

    def _of_table(self, name: str, source: Source, table: str, *, deep: bool, all_: bool) -> tuple[Col, ...]:
        """Its columns; where all tables are wanted, none of one that would be copied for it."""
        try:
            if not deep or (all_ and getattr(source, "copies", False)):
                return ()
            return tuple(Col(f.name, f.type) for f in source.describe(table))
        except CancelledError:
            raise
        except TilthError as error:
            self.told.append(f"columns of {name}.{table}: {error.message}")
            return ()

    def _of_system(self, *, deep: bool) -> Iterator[Relation]:
        system = catalog.SystemTables(self.at.work)
        for table in system.tables():
            fields = tuple(Col(f.name, f.type) for f in system.describe(table)) if deep else ()
            yield Relation(SYSTEM, table, "r", fields)


def inputs(at: Prompt, wanted: frozenset[str], server: Server, told: list[str]) -> dict[str, pa.Table]:
    """The tables of the schema `INNER` that a query of the catalog reads."""
    explorer = Explorer(at)
    found = explorer.relations(deep=bool(wanted & WITH_COLUMNS))
    told.extend(f"not in this answer: {words}" for words in explorer.told)
    facts = _Facts(at, server, found)
    known = {inner(w): w for w in columns()}
    return {
        f"{INNER}.{name}": _table({"oid": "i8", "name": "text"}, _LOOKED_UP[name](facts))
        if name in LOOKED_UP
        else _table(columns()[known[name]], _ROWS.get(name, _nothing)(facts))
        for name in sorted(wanted)
    }


@dataclass(frozen=True, slots=True)
class _Facts:
    at: Prompt
    server: Server
    relations: list[Relation]

    def namespace(self, schema: str) -> int:
        return NAMESPACES.get(schema, 0) or 14_000 + crc32(schema.encode()) % 1_000

    def keyed(self) -> Iterator[Relation]:
        return (r for r in self.relations if r.key)


Made = Iterable[Mapping[str, Any]]


def _table(kinds: Mapping[str, str], rows: Made) -> pa.Table:
    """Rows of the given columns; what a row does not say is 0, false, or NULL."""
    import pyarrow as pa

    arrow = {
        "text": pa.string(), "i8": pa.int64(), "i4": pa.int32(), "i2": pa.int16(), "b": pa.bool_(), "f": pa.float64(),
        "t": pa.timestamp("us"), "i2s": pa.list_(pa.int16()), "i8s": pa.list_(pa.int64()), "s": pa.list_(pa.string()),
    }  # fmt: skip
    usual: dict[str, Any] = {"i8": 0, "i4": 0, "i2": 0, "b": False}
    held = list(rows)
    return pa.table({c: pa.array([r.get(c, usual.get(k)) for r in held], arrow[k]) for c, k in kinds.items()})


def _nothing(_facts: _Facts) -> Made:
    return ()


def _classes(f: _Facts) -> Iterator[dict[str, Any]]:
    for r in f.relations:
        yield {
            "oid": r.oid, "relname": r.name, "relnamespace": f.namespace(r.schema), "relowner": OWNER, "relam": HEAP if r.kind == "r" else 0,
            "reltuples": float(r.rows), "relhasindex": bool(r.key), "relpersistence": "p", "relkind": r.kind, "relnatts": len(r.columns),
            "relreplident": "d", "relispopulated": True,
        }  # fmt: skip
        if r.key:
            yield {
                "oid": r.index, "relname": f"{r.name}_pkey", "relnamespace": f.namespace(r.schema), "relowner": OWNER, "relam": BTREE,
                "relpersistence": "p", "relkind": "i", "relnatts": len(r.key), "relreplident": "n", "relispopulated": True,
            }  # fmt: skip


def _attributes(f: _Facts) -> Iterator[dict[str, Any]]:
    for r in f.relations:
        for number, c in enumerate(r.columns, 1):
            kind = types.OF[c.type]
            yield {
                "attrelid": r.oid, "attname": c.name, "atttypid": kind.oid, "attstattarget": -1, "attlen": kind.size, "attnum": number,
                "attcacheoff": -1, "atttypmod": -1, "attnotnull": c.name in r.key, "attidentity": "", "attgenerated": "", "attislocal": True,
                "attstorage": "p", "attcompression": "", "attalign": "i", "attbyval": False,
            }  # fmt: skip
        for number, name in enumerate(r.key, 1):
            yield {"attrelid": r.index, "attname": name, "attnum": number, "attidentity": "", "attgenerated": "", "atttypmod": -1}  # fmt: skip


def _types(_f: _Facts) -> Iterator[dict[str, Any]]:
    for t in types.BY_OID.values():
        yield {
            "oid": t.oid, "typname": t.name, "typnamespace": NAMESPACES["pg_catalog"], "typowner": OWNER, "typlen": t.size, "typbyval": t.size in (1, 2, 4, 8),
            "typtype": "b", "typcategory": "U", "typisdefined": True, "typdelim": ",", "typinput": _procedure(t, "in"), "typoutput": _procedure(t, "out"),
            "typreceive": _procedure(t, "recv"), "typsend": _procedure(t, "send"), "typalign": "i", "typstorage": "p", "typtypmod": -1,
        }  # fmt: skip


_APART = frozenset(
    {"json", "jsonb", "date", "time", "timestamp", "timestamptz", "interval", "numeric", "uuid"}
)


def _procedure(kind: types.Type, what: str) -> str:
    """What the function is called that reads or writes a type: clients tell types by it."""
    return f"{kind.name}{'_' if kind.name in _APART else ''}{what}"


def _namespaces(f: _Facts) -> Iterator[dict[str, Any]]:
    for name in sorted({*NAMESPACES, *(r.schema for r in f.relations)}):
        yield {"oid": f.namespace(name), "nspname": name, "nspowner": OWNER}


def _databases(f: _Facts) -> Iterator[dict[str, Any]]:
    for n, name in enumerate(sorted({*environments.names(f.at.work.state), f.at.environment})):
        yield {
            "oid": DATABASE + n, "datname": name, "datdba": OWNER, "encoding": 6, "datlocprovider": "c", "datallowconn": True,
            "datconnlimit": -1, "datcollate": "C", "datctype": "C", "dattablespace": 1663,
        }  # fmt: skip


def _roles(f: _Facts) -> Iterator[dict[str, Any]]:
    yield {
        "oid": OWNER, "rolname": f.server.user, "rolcanlogin": True, "rolconnlimit": -1, "rolinherit": True, "usename": f.server.user,
        "usesysid": OWNER, "rolpassword": "********", "passwd": "********",
    }  # fmt: skip


def _indexes(f: _Facts) -> Iterator[dict[str, Any]]:
    for r in f.keyed():
        places = [[c.name for c in r.columns].index(k) + 1 for k in r.key if k in {c.name for c in r.columns}]
        yield {
            "indexrelid": r.index, "indrelid": r.oid, "indnatts": len(places), "indnkeyatts": len(places), "indisunique": True, "indisprimary": True,
            "indimmediate": True, "indisvalid": True, "indisready": True, "indislive": True, "indkey": places, "indclass": [OPCLASS] * len(places),
            "indcollation": [0] * len(places), "indoption": [0] * len(places),
        }  # fmt: skip


def _constraints(f: _Facts) -> Iterator[dict[str, Any]]:
    for r in f.keyed():
        names = [c.name for c in r.columns]
        yield {
            "oid": r.index + 1, "conname": f"{r.name}_pkey", "connamespace": f.namespace(r.schema), "contype": "p", "convalidated": True,
            "conrelid": r.oid, "conindid": r.index, "conislocal": True, "conkey": [names.index(k) + 1 for k in r.key if k in names],
            "confupdtype": " ", "confdeltype": " ", "confmatchtype": " ",
        }  # fmt: skip


def _notes(f: _Facts) -> Iterator[dict[str, Any]]:
    for r in f.relations:
        for number, c in enumerate(r.columns, 1):
            if c.note:
                yield {"objoid": r.oid, "classoid": 1259, "objsubid": number, "description": c.note}


def _settings(f: _Facts) -> Iterator[dict[str, Any]]:
    for name, value in sorted(f.server.settings.items()):
        yield {"name": name, "setting": value, "category": "tilth", "context": "user", "vartype": "string", "source": "default"}  # fmt: skip


def _is_tables(f: _Facts) -> Iterator[dict[str, Any]]:
    kinds = {"r": "BASE TABLE", "v": "VIEW", "f": "FOREIGN"}
    for r in f.relations:
        yield {
            "table_catalog": f.at.environment, "table_schema": r.schema, "table_name": r.name, "table_type": kinds[r.kind],
            "is_insertable_into": "NO", "is_typed": "NO",
        }  # fmt: skip


def _is_columns(f: _Facts) -> Iterator[dict[str, Any]]:
    for r in f.relations:
        for number, c in enumerate(r.columns, 1):
            kind = types.OF[c.type]
            yield {
                "table_catalog": f.at.environment, "table_schema": r.schema, "table_name": r.name, "column_name": c.name, "ordinal_position": number,
                "is_nullable": "NO" if c.name in r.key else "YES", "data_type": types.TITLES.get(kind.name, kind.name), "udt_catalog": f.at.environment,
                "udt_schema": "pg_catalog", "udt_name": kind.name, "is_identity": "NO", "is_generated": "NEVER", "is_updatable": "NO",
                "character_maximum_length": None, "numeric_precision": None, "numeric_scale": None, "datetime_precision": None,
                "dtd_identifier": str(number), "is_self_referencing": "NO",
            }  # fmt: skip


def _is_schemata(f: _Facts) -> Iterator[dict[str, Any]]:
    for one in _namespaces(f):
        yield {"catalog_name": f.at.environment, "schema_name": one["nspname"], "schema_owner": f.server.user}


def _is_views(f: _Facts) -> Iterator[dict[str, Any]]:
    for r in f.relations:
        if r.kind == "v":
            yield {
                "table_catalog": f.at.environment, "table_schema": r.schema, "table_name": r.name, "view_definition": r.definition,
                "check_option": "NONE", "is_updatable": "NO", "is_insertable_into": "NO",
            }  # fmt: skip


def _is_constraints(f: _Facts) -> Iterator[dict[str, Any]]:
    for r in f.keyed():
        yield {
            "constraint_catalog": f.at.environment, "constraint_schema": r.schema, "constraint_name": f"{r.name}_pkey",
            "table_catalog": f.at.environment, "table_schema": r.schema, "table_name": r.name, "constraint_type": "PRIMARY KEY",
            "is_deferrable": "NO", "initially_deferred": "NO", "enforced": "YES",
        }  # fmt: skip


def _is_keys(f: _Facts) -> Iterator[dict[str, Any]]:
    for r in f.keyed():
        for number, name in enumerate(r.key, 1):
            yield {
                "constraint_catalog": f.at.environment, "constraint_schema": r.schema, "constraint_name": f"{r.name}_pkey",
                "table_catalog": f.at.environment, "table_schema": r.schema, "table_name": r.name, "column_name": name, "ordinal_position": number,
            }  # fmt: skip


def _pg_tables(f: _Facts) -> Iterator[dict[str, Any]]:
    for r in f.relations:
        if r.kind != "v":
            yield {"schemaname": r.schema, "tablename": r.name, "tableowner": f.server.user, "hasindexes": bool(r.key)}  # fmt: skip


def _pg_views(f: _Facts) -> Iterator[dict[str, Any]]:
    for r in f.relations:
        if r.kind == "v":
            yield {"schemaname": r.schema, "viewname": r.name, "viewowner": f.server.user, "definition": r.definition}  # fmt: skip


def _pg_indexes(f: _Facts) -> Iterator[dict[str, Any]]:
    for r in f.keyed():
        yield {"schemaname": r.schema, "tablename": r.name, "indexname": f"{r.name}_pkey", "indexdef": _index_of(r)}  # fmt: skip


def _index_of(r: Relation) -> str:
    return f"CREATE UNIQUE INDEX {r.name}_pkey ON {r.schema}.{r.name} USING btree ({', '.join(r.key)})"


def _definitions(f: _Facts) -> Iterator[dict[str, Any]]:
    for r in f.relations:
        if r.kind == "v" and r.definition:
            yield {"oid": r.oid, "name": f" {r.definition}"}
        if r.key:
            yield {"oid": r.index, "name": _index_of(r)}
            yield {"oid": r.index + 1, "name": f"PRIMARY KEY ({', '.join(r.key)})"}


def _names_of_relations(f: _Facts) -> Iterator[dict[str, Any]]:
    for r in f.relations:
        yield {"oid": r.oid, "name": r.name if r.schema == PUBLIC else f"{r.schema}.{r.name}"}
        if r.schema == PUBLIC:
            yield {"oid": r.oid, "name": f"{r.schema}.{r.name}"}
    yield from (
        {"oid": oid, "name": name}
        for name, oid in (("pg_class", 1259), ("pg_type", 1247), ("pg_proc", 1255), ("pg_namespace", 2615), ("pg_database", 1262), ("pg_extension", 3079), ("pg_constraint", 2606))
    )  # fmt: skip


def _names_of_types(_f: _Facts) -> Iterator[dict[str, Any]]:
    for t in types.BY_OID.values():
        yield {"oid": t.oid, "name": types.TITLES.get(t.name, t.name)}


def _one(**said: Any) -> Callable[[_Facts], Made]:
    return lambda _facts: (said,)


_ROWS: Mapping[str, Callable[[_Facts], Made]] = {
    "pg_class": _classes, "pg_attribute": _attributes, "pg_type": _types, "pg_namespace": _namespaces, "pg_database": _databases,
    "pg_roles": _roles, "pg_user": _roles, "pg_index": _indexes, "pg_constraint": _constraints, "pg_description": _notes, "pg_settings": _settings,
    "pg_am": lambda _f: ({"oid": HEAP, "amname": "heap", "amtype": "t"}, {"oid": BTREE, "amname": "btree", "amtype": "i"}),
    "pg_tablespace": _one(oid=1663, spcname="pg_default", spcowner=OWNER), "pg_tables": _pg_tables, "pg_views": _pg_views,
    "pg_indexes": _pg_indexes, "is_tables": _is_tables, "is_columns": _is_columns, "is_schemata": _is_schemata, "is_views": _is_views,
    "is_table_constraints": _is_constraints, "is_key_column_usage": _is_keys, "is_constraint_column_usage": _is_keys,
    "pg_foreign_server": lambda f: (
        {"oid": f.namespace(name), "srvname": name, "srvowner": OWNER} for name in sorted({r.schema for r in f.relations if r.kind == "f"})
    ),
    "pg_foreign_table": lambda f: ({"ftrelid": r.oid, "ftserver": f.namespace(r.schema)} for r in f.relations if r.kind == "f"),
    "pg_opclass": _one(oid=OPCLASS, opcmethod=BTREE, opcname="ops", opcnamespace=11, opcdefault=True),
}  # fmt: skip
"""What a relation of the catalog holds; those that do not stand here are empty."""
_LOOKED_UP = {
    "names_of_types": _names_of_types,
    "definitions": _definitions,
    "names_of_relations": _names_of_relations,
}
