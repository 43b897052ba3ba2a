"""A client's query of PostgreSQL's catalog as a query for the engine, over tables of the schema `INNER`.

Read in PostgreSQL's dialect, written in the engine's. Functions that only a server knows become values and lookups; what is not
known is left for the engine to refuse. Nothing of a project's own tables is in reach of such a query.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilth.core.errors import LanguageError, UnsupportedError
from tilth.sql.language.prefix import OF_CATALOG
from tilth.sql.postgres.relations import columns

if TYPE_CHECKING:
    from sqlglot import exp

INNER = "tilth_pg"
"""The schema that the engine has the catalog's tables in, each by its name with its schema: `pg_catalog.pg_class` is `pg_class`."""
EMPTY: Mapping[str, tuple[str, ...]] = {
    "pg_options_to_table": ("option_name", "option_value"),
    "pg_get_keywords": ("word", "catcode", "catdesc"),
}
"""Functions that give rows, of which there are none here, with the columns of those."""
LOOKED_UP = ("names_of_types", "definitions", "names_of_relations")
"""Tables of (oid, name) beside the catalog's own, which its functions look into."""
SCHEMAS = ("pg_catalog", "information_schema")
FIRST_HIDDEN = 100_000
"""Relations with a smaller oid are found without their schema."""
_LIST = re.compile(r"\{[^{}']*\}")


@dataclass(frozen=True, slots=True)
class Server:
    """What the functions of a server answer."""

    version: str
    database: str
    user: str
    process: int
    settings: Mapping[str, str]


def concerns(text: str) -> bool:
    """Whether a query may be one of the catalog: it names one of its schemas, relations or functions."""
    return _HINTS.search(text) is not None


def rewritten(sql: str, server: Server) -> tuple[str, frozenset[str]] | None:
    """The query for the engine, and the tables of `INNER` that it reads; None where it is no query of the catalog.

    UnsupportedError where it reads other tables too.
    """
    import sqlglot
    from sqlglot import exp

    try:
        tree = sqlglot.parse_one(sql, read="postgres")
    except sqlglot.errors.SqlglotError:
        return None  # the engine says what is wrong with it
    except RecursionError:
        raise LanguageError("This statement is nested too deeply.", hint="Split it.") from None
    if not isinstance(tree, exp.Query):
        return None
    used, others = _tables(tree)
    if not used and (others or not _calls_server(tree)):
        return None
    if others:
        raise UnsupportedError(
            f"A query reads either the catalog or tables, and this reads {min(used)} and {others[0]}.",
            hint="Ask for each in a query of its own.",
        )
    _places(tree, server)
    return tree.sql("duckdb"), frozenset(t.name for t in tree.find_all(exp.Table) if t.db == INNER)


def _tables(tree: exp.Query) -> tuple[set[str], list[str]]:
    """The catalog's relations that are read, which get the inner schema, and other tables."""
    from sqlglot import exp

    known = columns()
    named = {c.alias.lower() for c in tree.find_all(exp.CTE)}
    used, others = set[str](), list[str]()
    for table in tree.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier):
            table.set("db", None)  # a function that gives rows
            if (given := EMPTY.get(str(table.this.name).lower())) is not None:
                used.add(str(table.this.name).lower())
                listed = ", ".join(f"NULL::VARCHAR AS {n}" for n in given)
                alias = exp.TableAlias(this=exp.to_identifier(table.alias or "nothing"))
                table.replace(exp.Subquery(this=_one(f"SELECT {listed} WHERE FALSE").this, alias=alias))
            continue
        schema, name = table.db.lower(), table.name.lower()
        if not schema and name in named:
            continue
        whole = f"{schema or 'pg_catalog'}.{name}"
        if schema == "information_schema" and name in OF_CATALOG:
            others.append(whole)  # MindsDB's
            continue
        if whole not in known:
            if schema in SCHEMAS or (not schema and name.startswith("pg_")):
                raise UnsupportedError(
                    f"The relation {whole} of PostgreSQL's catalog is not there.",
                    hint="SELECT table_name FROM information_schema.tables",
                )
            others.append(f"{schema}.{name}" if schema else name)
            continue
        used.add(whole)
        if not table.alias:
            table.set("alias", exp.TableAlias(this=exp.to_identifier(name)))
        table.set("this", exp.to_identifier(inner(whole), quoted=True))
        table.set("db", exp.to_identifier(INNER))
        table.set("catalog", None)
    return used, others


def inner(relation: str) -> str:
    """What a relation is called in the schema `INNER`."""
    schema, _, name = relation.partition(".")
    return name if schema == "pg_catalog" else f"is_{name}"


def _calls_server(tree: exp.Query) -> bool:
    from sqlglot import exp

    return any(_called(n) in FUNCTIONS for n in tree.find_all(exp.Func, exp.Column)) or any(
        _type_name(n.to) in _OBJECTS for n in tree.find_all(exp.Cast)
    )


def _made(name: str) -> Make | None:
    """What is made of a function; what counts uses has counted none."""
    return _ZERO if name.startswith("pg_stat_get_") else FUNCTIONS.get(name)


def _called(node: exp.Expr) -> str:
    """The function that is called, in lower case; of words like CURRENT_USER, too."""
    from sqlglot import exp

    if isinstance(node, exp.Column):
        return node.name.lower() if not node.table and node.name.lower() in _BARE else ""
    if isinstance(node, exp.Anonymous):
        return str(node.name).lower()
    return str(node.sql_name()).lower() if isinstance(node, exp.Func) else ""


def _places(tree: exp.Query, server: Server) -> None:
    """Every node that the engine does not know, as one that it does; the innermost first, so that nothing is lost."""
    from sqlglot import exp

    _name_columns(tree)
    for node in reversed(list(tree.walk())):
        found: exp.Expr | None = None
        if isinstance(node, exp.Column) and node.args.get("db") is not None:
            node.set("db", None)  # pg_catalog.pg_class.oid: each table has its name as an alias
        elif isinstance(node, exp.Dot) and _schema_of(node) in SCHEMAS:
            found = node.expression
        elif isinstance(node, exp.Collate):
            found = node.this
        elif isinstance(node, exp.Operator):
            found = _operator(node)
        elif isinstance(node, exp.Cast):
            found = _cast(node)
        elif isinstance(node, exp.Any) and (listed := _listed(node.this)) is not None:
            node.set("this", listed)
        elif isinstance(node, exp.EQ | exp.NEQ) and _is_no_function(node):
            node.set("expression", exp.Literal.string("-"))
        elif isinstance(node, exp.Literal) and node.is_string and _LIST.fullmatch(node.name):
            found = exp.Literal.string(f"[{node.name[1:-1]}]")
        elif isinstance(node, exp.Array) and len(node.expressions) == 1 and isinstance(node.expressions[0], exp.Query):  # fmt: skip
            continue
        elif (make := _made(_called(node))) is not None:
            found = make(_arguments(node), server)
        if found is None or found is node:
            continue
        if node.parent is None:
            continue
        node.replace(found)
    for node in list(tree.find_all(exp.Dot)):  # schemas whose function was replaced before
        if _schema_of(node) in SCHEMAS:
            node.replace(node.expression)


def _name_columns(tree: exp.Query) -> None:
    """A function without an alias gives a column of its own name, as with PostgreSQL."""
    from sqlglot import exp

    for item in list(tree.selects) if isinstance(tree, exp.Select) else ():
        inside = item.expression if isinstance(item, exp.Dot) else item
        if (name := _called(inside)) in FUNCTIONS:
            item.replace(exp.alias_(item.copy(), "version" if name == "current_version" else name))


def _listed(node: exp.Expr) -> exp.Expr | None:
    """The text of an array, in braces or brackets, as a list: of whole numbers, or of texts."""
    from sqlglot import exp

    inside = node.unnest()
    if not isinstance(inside, exp.Literal) or not inside.is_string:
        return None
    kind = "BIGINT[]" if re.fullmatch(r"[{\[][\d, -]*[}\]]", inside.name) else "VARCHAR[]"
    return exp.Paren(this=exp.Cast(this=inside.copy(), to=exp.DataType.build(kind, dialect="duckdb")))


def _is_no_function(node: exp.EQ | exp.NEQ) -> bool:
    """Whether a column that names a function is compared with 0, which means none."""
    return str(node.this.name).lower() in _PROCEDURES and str(node.expression.name) == "0"


def _schema_of(node: exp.Dot) -> str:
    return str(node.this.name).lower() if node.this is not None else ""


def _arguments(node: exp.Expr) -> list[exp.Expr]:
    from sqlglot import exp

    if isinstance(node, exp.Anonymous):
        return list(node.expressions)
    return [v for v in node.args.values() if isinstance(v, exp.Expr)]


def _operator(node: exp.Operator) -> exp.Expr | None:
    """`OPERATOR(pg_catalog.~)`."""
    from sqlglot import exp

    sign = str(node.args["operator"]).rpartition(".")[2].strip()
    made = {
        "~": lambda: exp.RegexpLike(this=node.this, expression=node.expression),
        "!~": lambda: exp.not_(exp.RegexpLike(this=node.this, expression=node.expression)),
        "~~": lambda: exp.Like(this=node.this, expression=node.expression),
        "=": lambda: exp.EQ(this=node.this, expression=node.expression),
        "<>": lambda: exp.NEQ(this=node.this, expression=node.expression),
    }.get(sign)
    return None if made is None else made()  # type: ignore[no-untyped-call]


_PROCEDURES = frozenset(
    {"typinput", "typoutput", "typreceive", "typsend", "typmodin", "typmodout", "typanalyze"}
)


# --- types -------------------------------------------------------------------------------------------------

_TYPES = {
    "oid": "BIGINT", "xid": "BIGINT", "name": "VARCHAR", "char": "VARCHAR", "text": "VARCHAR", "regproc": "VARCHAR", "int2vector": "SMALLINT[]",
    "oidvector": "BIGINT[]", "aclitem": "VARCHAR", "pg_node_tree": "VARCHAR", "int4": "INTEGER", "int2": "SMALLINT", "int8": "BIGINT",
    "float8": "DOUBLE", "float4": "FLOAT", "bool": "BOOLEAN", "varchar": "VARCHAR", "bpchar": "VARCHAR", "timestamptz": "TIMESTAMP", "cid": "BIGINT",
    "regprocedure": "VARCHAR", "regoper": "VARCHAR", "regrole": "VARCHAR", "sql_identifier": "VARCHAR", "character_data": "VARCHAR",
    "information_schema.sql_identifier": "VARCHAR",
}  # fmt: skip
_OBJECTS = {"regclass": "names_of_relations", "regtype": "names_of_types", "regnamespace": "pg_namespace"}


def _cast(node: exp.Cast) -> exp.Expr | None:
    """A cast to a type that only PostgreSQL has."""
    from sqlglot import exp

    name = _type_name(node.to)
    if name in _OBJECTS:
        return _object(node.this, name)
    if name in _TYPES:
        return exp.Cast(this=node.this, to=exp.DataType.build(_TYPES[name], dialect="duckdb"))
    many = name.removesuffix("[]")
    if name.endswith("[]") and many in _TYPES:
        return exp.Cast(this=node.this, to=exp.DataType.build(f"{_TYPES[many]}[]", dialect="duckdb"))
    return None


def _type_name(kind: exp.Expr) -> str:
    return str(kind.sql("postgres")).lower().removeprefix("pg_catalog.").strip('"')


def _object(value: exp.Expr, kind: str) -> exp.Expr:
    """Of a name its oid, of an oid its name."""
    from sqlglot import exp

    table = _OBJECTS[kind]
    if isinstance(value, exp.Literal) and value.is_string:
        bare = value.name.removeprefix("pg_catalog.").replace('"', "")
        if bare.isdigit():
            return exp.Literal.number(bare)
        column = "nspname" if table == "pg_namespace" else "name"
        return _one(
            f"SELECT min(oid) FROM {INNER}.{table} WHERE {column} = {exp.Literal.string(bare).sql('duckdb')}"
        )
    column = "nspname" if table == "pg_namespace" else "name"
    return _looked_up(table, value, column)


def _one(sql: str) -> exp.Expr:
    import sqlglot

    return sqlglot.parse_one(f"({sql})", read="duckdb")


def _looked_up(table: str, value: exp.Expr, column: str = "name") -> exp.Expr:
    """A name by its oid: the least, so that there is one."""
    from sqlglot import exp

    found = _one(f"SELECT min({column}) FROM {INNER}.{table} AS looked WHERE looked.oid = placeholder")
    for place in found.find_all(exp.Column):
        if place.name == "placeholder":
            place.replace(value.copy())
    return found


# --- functions ---------------------------------------------------------------------------------------------

Make = Callable[[list["exp.Expr"], Server], "exp.Expr"]


def _text(value: Callable[[Server], str]) -> Make:
    def make(_args: list[exp.Expr], server: Server) -> exp.Expr:
        from sqlglot import exp

        return exp.Literal.string(value(server))

    return make


def _sql(text: str) -> Make:
    """An expression of the engine, whatever the arguments are."""

    def make(_args: list[exp.Expr], _server: Server) -> exp.Expr:
        import sqlglot

        return sqlglot.parse_one(text, read="duckdb")

    return make


def _lookup(table: str) -> Make:
    return lambda args, _server: _looked_up(table, args[0])


def _found(table: str) -> Make:
    """An oid by a name that may be none."""

    def make(args: list[exp.Expr], _server: Server) -> exp.Expr:
        from sqlglot import exp

        found = _one(f"SELECT min(oid) FROM {INNER}.{table} AS looked WHERE looked.name = placeholder")
        for place in list(found.find_all(exp.Column)):
            if place.name == "placeholder":
                place.replace(args[0].copy())
        return found

    return make


def _visible(args: list[exp.Expr], _server: Server) -> exp.Expr:
    from sqlglot import exp

    return exp.LT(this=exp.Paren(this=args[0].copy()), expression=exp.Literal.number(FIRST_HIDDEN))


def _setting(args: list[exp.Expr], server: Server) -> exp.Expr:
    from sqlglot import exp

    known = {k.lower(): v for k, v in server.settings.items()}
    value = known.get(args[0].name.lower()) if args else None
    return exp.null() if value is None else exp.Literal.string(value)


def _index(args: list[exp.Expr], server: Server) -> exp.Expr:
    """An index's definition; with a place that is not 0, the column there."""
    from sqlglot import exp

    whole = _lookup("definitions")(args, server)
    if len(args) < 2 or args[1].name == "0":
        return whole
    found = _one(f"SELECT min(attname) FROM {INNER}.pg_attribute AS looked WHERE looked.attrelid = place_0 AND looked.attnum = place_1")  # fmt: skip
    for node in list(found.find_all(exp.Column)):
        if node.name.startswith("place_"):
            node.replace(args[int(node.name[-1])].copy())
    return exp.If(this=exp.EQ(this=args[1].copy(), expression=exp.Literal.number(0)), true=whole, false=found)


def _description(relation: str, by: Sequence[str]) -> Make:
    def make(args: list[exp.Expr], _server: Server) -> exp.Expr:
        from sqlglot import exp

        where = " AND ".join(f"looked.{column} = place_{n}" for n, column in enumerate(by))
        found = _one(f"SELECT min(description) FROM {INNER}.{relation} AS looked WHERE {where}")
        for node in list(found.find_all(exp.Column)):
            if node.name.startswith("place_"):
                number = int(node.name.removeprefix("place_"))
                node.replace(args[number].copy() if number < len(args) else exp.Literal.number(0))
        return found

    return make


def _first(args: list[exp.Expr], _server: Server) -> exp.Expr:
    return args[0].copy()


def _renamed(name: str) -> Make:
    def make(args: list[exp.Expr], _server: Server) -> exp.Expr:
        from sqlglot import exp

        return exp.Anonymous(this=name, expressions=[a.copy() for a in args])

    return make


def _expanded(args: list[exp.Expr], _server: Server) -> exp.Expr:
    """A row of each element x of an array, with its place n."""
    import sqlglot

    given = args[0].sql("duckdb")
    return sqlglot.parse_one(
        f"UNNEST(LIST_TRANSFORM({given}, LAMBDA tilth_x, tilth_n : {{'x': tilth_x, 'n': tilth_n}}))",
        read="duckdb",
    )


def _subscripts(args: list[exp.Expr], _server: Server) -> exp.Expr:
    import sqlglot

    return sqlglot.parse_one(f"UNNEST(RANGE(1, LEN({args[0].sql('duckdb')}) + 1))", read="duckdb")


_NULL, _TRUE, _FALSE, _ZERO = _sql("CAST(NULL AS VARCHAR)"), _sql("TRUE"), _sql("FALSE"), _sql("0")
FUNCTIONS: Mapping[str, Make] = {
    **dict.fromkeys(("version", "current_version"), _text(lambda s: s.version)),
    **dict.fromkeys(("current_database", "current_catalog"), _text(lambda s: s.database)),
    **dict.fromkeys(("current_user", "session_user", "user", "current_role", "pg_get_userbyid", "getpgusername"), _text(lambda s: s.user)),
    "current_schema": _text(lambda _s: "public"),
    "current_schemas": _sql("['pg_catalog', 'public']"),
    "pg_backend_pid": lambda _a, s: _number(s.process),
    **dict.fromkeys(("pg_table_is_visible", "pg_type_is_visible", "pg_function_is_visible", "pg_opclass_is_visible"), _visible),
    "format_type": _lookup("names_of_types"),
    **dict.fromkeys(("pg_get_constraintdef", "pg_get_viewdef"), _lookup("definitions")),
    "pg_get_indexdef": _index,
    "obj_description": _description("pg_description", ("objoid",)),
    "col_description": _description("pg_description", ("objoid", "objsubid")),
    "shobj_description": _description("pg_shdescription", ("objoid",)),
    "pg_encoding_to_char": _text(lambda _s: "UTF8"),
    "current_setting": _setting,
    **dict.fromkeys(("quote_ident", "quote_literal"), _first),
    **dict.fromkeys(("json_build_object", "jsonb_build_object"), _renamed("JSON_OBJECT")),
    "to_regtype": _found("names_of_types"),
    "to_regclass": _found("names_of_relations"),
    "generate_subscripts": _subscripts,
    "_pg_expandarray": _expanded,
    "array_upper": lambda args, _s: _len(args[0]),
    "array_lower": _sql("1"),
    **dict.fromkeys(
        (
            "pg_get_expr", "pg_get_ruledef", "pg_get_triggerdef", "pg_get_function_result", "pg_get_function_arguments", "pg_get_functiondef",
            "pg_get_function_identity_arguments", "pg_get_partkeydef", "pg_get_statisticsobjdef_columns", "pg_get_serial_sequence",
            "pg_tablespace_location", "pg_get_partition_constraintdef", "inet_server_addr", "inet_client_addr", "to_regproc", "pg_get_statisticsobjdef",
        ), _NULL,
    ),
    **dict.fromkeys(
        (
            "has_table_privilege", "has_schema_privilege", "has_database_privilege", "has_column_privilege", "has_any_column_privilege",
            "has_function_privilege", "has_sequence_privilege", "pg_has_role", "has_tablespace_privilege", "has_type_privilege",
        ), _TRUE,
    ),
    **dict.fromkeys(("pg_is_in_recovery", "row_security_active", "pg_relation_is_publishable", "pg_is_other_temp_schema"), _FALSE),
    **dict.fromkeys(
        ("pg_relation_size", "pg_total_relation_size", "pg_table_size", "pg_indexes_size", "pg_database_size", "pg_my_temp_schema",
         "txid_current", "pg_relation_filenode", "age", "inet_server_port", "pg_tablespace_size", "pg_sequence_last_value"), _ZERO,
    ),
    "pg_size_pretty": _text(lambda _s: "0 bytes"),
    **dict.fromkeys(("pg_postmaster_start_time", "pg_conf_load_time"), _sql("CURRENT_TIMESTAMP::TIMESTAMP")),
}  # fmt: skip
"""What functions of PostgreSQL are in a query of the catalog, by their name in lower case."""
_BARE = frozenset(
    {"current_user", "session_user", "user", "current_catalog", "current_role", "current_schema"}
)
_HINTS = re.compile(
    r"\b(?:(?:pg_\w+|information_schema|reg(?:class|type|namespace)|" + "|".join(sorted(_BARE - {"user"})) + r")\b|(?:"
    + "|".join(sorted(FUNCTIONS)) + r")\s*\()",
    re.IGNORECASE,
)  # fmt: skip


def _len(value: exp.Expr) -> exp.Expr:
    from sqlglot import exp

    return exp.Anonymous(this="LEN", expressions=[value.copy()])


def _number(value: int) -> exp.Expr:
    from sqlglot import exp

    return exp.Literal.number(value)
