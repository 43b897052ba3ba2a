"""CREATE DATABASE as CREATE SOURCE: engines and parameters by their names here. What is called a project is this project.

A password that is written out stays in the statement; a prompt makes a secret file of it, and a project's files may not hold it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NoReturn
from urllib.parse import parse_qsl, quote, unquote, urlsplit, urlunsplit

from tilth.core.errors import LanguageError, Position, UnsupportedError
from tilth.sql.language import prefix, values
from tilth.sql.language.acts import Alter, Noted
from tilth.sql.language.statements import CreateSource, Kind, Options, Secret, Value
from tilth.sql.language.tokens import Cursor

_SERVERS = {
    "postgres": ("postgres", "postgresql", 5432),
    "postgresql": ("postgres", "postgresql", 5432),
    "timescaledb": ("postgres", "postgresql", 5432),
    "supabase": ("postgres", "postgresql", 5432),
    "mysql": ("mysql", "mysql", 3306),
    "mariadb": ("mariadb", "mysql", 3306),
}
"""By MindsDB's engine: the engine here, how its url begins, and its usual port."""
_PATHS = {"sqlite": "sqlite", "duckdb": "duckdb", "files": "files", "file": "files"}
_FILE = ("db_file", "database", "path", "file", "url")
_HINT = 'Write CREATE DATABASE ops WITH ENGINE = \'postgres\', PARAMETERS = {"host": "...", "database": "...", "user": "..."}.'


def create(c: Cursor, or_replace: bool, where: Position) -> CreateSource | Noted:
    """`[IF NOT EXISTS] n [[WITH] ENGINE [=] 'e' [,] PARAMETERS [=] {json}]`, after DATABASE; without an engine it is a project."""
    start = c.i
    exists = c.take("IF", "NOT", "EXISTS")
    at = c.i
    name = prefix.resource(c, "the database's name")
    if c.at_end:
        return project(c, name, start, at)
    c.take("WITH") or c.take("USING")
    c.take(",")
    engine, given = "", Options()
    while not c.at_end:
        if c.take("ENGINE"):
            c.take("=")
            engine = (c.text_token() if c.at_string else c.name("an engine's name", reserved=False)).lower()
        elif c.take("PARAMETERS"):
            c.take("=")
            given = _json(c)
        else:
            c.fail(f"Expected ENGINE or PARAMETERS here{c.instead()}.", _HINT)
        c.take(",")
    if engine == prefix.PROJECT:
        return project(c, name, start, at)
    if not engine:
        raise LanguageError(f"Database `{name}` has no engine.", hint=_HINT, where=where)
    found, options, told = _meant(engine, given, where)
    hidden = tuple(k for k, v in options.items if k == "password" and isinstance(v, str))
    return CreateSource(name, found, options, or_replace, exists, where, told=told, open=hidden)


def alter(c: Cursor, exists: bool, where: Position) -> Alter:
    """`n [WITH] PARAMETERS [=] {json}`, after ALTER DATABASE."""
    name = prefix.resource(c, "the database's name")
    c.take("WITH")
    c.expect("PARAMETERS", hint=f'Write ALTER DATABASE {name} PARAMETERS = {{"host": "..."}}.')
    c.take("=")
    return Alter(Kind.SOURCE, name, _json(c), if_exists=exists, theirs=True, position=where)


def changed(declared: CreateSource, given: Options, where: Position) -> CreateSource:
    """The source with those of PARAMETERS in place of its own: what its url says is what MindsDB names apart."""
    own: dict[str, Value] = dict(declared.options.items)
    url = own.pop("url", None)
    if declared.engine in _SERVERS and isinstance(url, str) and not {"url", "connection_string"} & {k.lower() for k, _ in given.items}:  # fmt: skip
        own |= _apart(url)
    elif url is not None:
        own["url"] = url
    low = {k.lower(): v for k, v in given.items}
    _, options, told = _meant(declared.engine, Options(tuple({**own, **low}.items())), where)
    return replace(declared, options=options, told=told)


def _apart(url: str) -> dict[str, Value]:
    """What a server's url says, by MindsDB's names."""
    parts = urlsplit(url)
    found: dict[str, Value] = {"host": parts.hostname or "", "database": unquote(parts.path.lstrip("/"))}
    if parts.username:
        found["user"] = unquote(parts.username)
    if parts.port:
        found["port"] = parts.port
    if ssl := dict(parse_qsl(parts.query)).get("sslmode"):
        found["sslmode"] = ssl
    return found


def _json(c: Cursor) -> Options:
    if not c.at("{"):
        c.fail(f"Expected the parameters in braces here{c.instead()}.", _HINT)
    found = values.value(c)
    assert isinstance(found, Options)
    return found


def project(c: Cursor, name: str, start: int, at: int) -> Noted:
    """That this project is called `mindsdb` there, and that there is no other one in it."""
    if name != prefix.PROJECT:
        _no_project(c, name, at)
    written = " ".join(t.text for t in c.tokens[start - 2 : c.i])
    return Noted(written, f"The project `{prefix.PROJECT}` is this project: there is nothing to make.")


def _no_project(c: Cursor, name: str, at: int) -> NoReturn:
    raise UnsupportedError(
        f"`{name}` would be a project, and names are not kept apart by projects here: another folder is another project.",
        hint=f"Leave it out and write names as they are, or with {prefix.PROJECT}. before them; environments keep what is tried apart from what serves.",
        where=c.position(at),
    )


# --- parameters --------------------------------------------------------------------------------------------


def _meant(engine: str, given: Options, where: Position) -> tuple[str, Options, tuple[str, ...]]:
    """The engine here, its options, and what is told."""
    low = {k.lower(): v for k, v in given.items}
    if engine in _SERVERS:
        found, options, rest = _server(engine, low, where)
    elif engine in _PATHS:
        found, options, rest = _path(_PATHS[engine], low)
    else:
        return engine, given, ()
    told = [f"PARAMETERS {key} has no counterpart here, and was passed over" for key in rest]
    if found != engine:
        told.insert(0, f"ENGINE '{engine}' is read as ENGINE {found}")
    return found, Options(tuple(options.items())), tuple(told)


Read = tuple[str, dict[str, Value], list[str]]


def _server(engine: str, low: Mapping[str, Value], where: Position) -> Read:
    found, scheme, port = _SERVERS[engine]
    url = low.get("url", low.get("connection_string"))
    password = low.get("password")
    if isinstance(url, str):
        url, within = _without_password(url)
        password = within if password is None else password
    else:
        for key in ("host", "database"):
            if not low.get(key):
                raise LanguageError(f"PARAMETERS of `{engine}` lack {key}.", hint=_HINT, where=where)
        user = f"{quote(str(low['user']), safe='')}@" if low.get("user") else ""
        host = str(low["host"])
        host = f"[{host}]" if ":" in host else host
        ssl = _tls(scheme, low)
        said = low.get("port") or port
        url = f"{scheme}://{user}{host}:{said}/{quote(str(low['database']), safe='')}{ssl}"
    if scheme == "mysql" and url.startswith("mysql+"):
        url = f"mysql://{url.partition('://')[2]}"  # SQLAlchemy's way to name a driver
    options: dict[str, Value] = {"url": url}
    if password is not None:
        options["password"] = password if isinstance(password, Secret) else str(password)
    for key in ("schema", "writable") if scheme == "postgresql" else ("writable",):
        if low.get(key) is not None:
            options[key] = low[key]
    used = {
        "url",
        "connection_string",
        "password",
        "host",
        "port",
        "database",
        "user",
        "writable",
        *(("sslmode", "schema") if scheme == "postgresql" else ("ssl_ca", "ssl_cert", "ssl_key")),
        *(("ssl",) if scheme == "mysql" and low.get("ssl") in {True, "true", "True"} else ()),
    }
    return found, options, [k for k in low if k not in used]


def _tls(scheme: str, low: Mapping[str, Value]) -> str:
    """What a url says of TLS."""
    if scheme == "postgresql":
        return f"?sslmode={quote(str(low['sslmode']))}" if low.get("sslmode") else ""
    said = [f"{k}={quote(str(low[k]))}" for k in ("ssl_ca", "ssl_cert", "ssl_key") if low.get(k)]
    if low.get("ssl") in {True, "true", "True"} and not low.get("ssl_ca"):
        said.insert(0, "ssl_mode=REQUIRED")
    return f"?{'&'.join(said)}" if said else ""


def _without_password(url: str) -> tuple[str, str | None]:
    """The url, and the password that stood in it."""
    parts = urlsplit(url)
    if parts.password is None:
        return url, None
    user, host = parts.netloc.rpartition("@")[0].partition(":")[0], parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}@{host}")), parts.password


def _path(found: str, low: Mapping[str, Value]) -> Read:
    key = next((k for k in _FILE if isinstance(low.get(k), str)), None)
    options: dict[str, Value] = {} if key is None else {"path": low[key]}
    kept = ("writable", "format", "tables", "misfits")
    options |= {k: low[k] for k in kept if k in low}
    return found, options, [k for k in low if k not in (key, *kept)]
