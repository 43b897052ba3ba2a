"""`tilth init --from`: looks at a table once and proposes a project for it. Nothing is written before all of it is known to fit."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from tilth.core.errors import (
    InputError,
    ProjectError,
    SourceError,
    StorageError,
    UnknownNameError,
)
from tilth.core.names import did_you_mean, literal
from tilth.core.schema import NUMERIC, TEMPORAL, DataType

if TYPE_CHECKING:
    from tilth.app.proposal import Asked
    from tilth.app.settling import Settled
    from tilth.ports.source import Notice, Source

WORD = "DB_PASSWORD"  # the environment variable that a proposed source names
CLASSES = 1_000  # texts that can be learned apart
LEARNED = NUMERIC | {DataType.STRING}
_FILES = (".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".parquet", ".xlsx", ".xlsm", ".gz", ".zst")
_SQLITE = (".db", ".sqlite", ".sqlite3")
_DUCKDB = (".duckdb", ".ddb")
_REMOTE = {"http": "http", "https": "http", "s3": "s3"}  # files elsewhere, by their urls
_SERVERS = {
    "postgresql": "postgres",
    "postgres": "postgres",
    "mysql": "mysql",
    "mariadb": "mariadb",
}  # by their urls


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the data lies: an engine with the options it is opened with, the same as text, and the table if it is known."""

    engine: str
    options: dict[str, object]
    text: str
    table: str | None = None
    secret: bool = False  # the password is to be in the environment
    absolute: str | None = None  # the path, where it is written from the root on

    @property
    def there(self) -> str:
        """Where tables are looked for, in words."""
        if self.engine in {"mysql", "mariadb"}:
            return "in the database that its url names and its user may read"
        if self.engine != "postgres":
            return "there"
        return f"in the schema `{self.options.get('schema', 'public')}` that its user may read"


@dataclass(frozen=True, slots=True)
class Begun:
    """The project that was written, and what to know of it."""

    files: list[str]
    table: str
    rows: int
    left_out: list[str]
    secret: bool
    absolute: str | None  # the path of data that lies neither in the project nor beside it
    settled: tuple[Settled, ...] = ()  # how its files are read, as its cells settle it
    guessed: tuple[Notice, ...] = ()  # what stays a guess


def begin(folder: str, where: str, table: str | None, target: str, options: str | None = None) -> Begun:
    """Propose a project for a table and write it; errors say what to name, and leave nothing behind."""
    from tilth.app.proposal import files, left_out
    from tilth.kinds import KINDS

    origin = _with(origin_of(where, table, folder), options)
    try:
        asked, rows, settled, guessed = _looked(origin, target)
    except SourceError as error:
        if "format = {" in (error.hint or "") and origin.engine == "files":
            error.hint = f'{error.hint} To begin a project: tilth init ... --with "format = {{...}}".'
        raise
    made = {n: KINDS.layout(t, n) if n.endswith(".sql") else t for n, t in files(asked).items()}
    _write(folder, made, origin)
    return Begun(
        sorted(made), asked.table, rows, left_out(asked.columns), origin.secret, origin.absolute, settled, guessed
    )  # fmt: skip


def _with(origin: Origin, options: str | None) -> Origin:
    """The place with what --with says of how it is read."""
    from tilth.app.settling import said
    from tilth.runtime import secrets

    if options is None:
        return origin
    more = said(origin.engine, options, origin.options)
    plain = secrets.options(more, "--with", os.getcwd(), None)
    return replace(origin, options={**origin.options, **plain}, text=f"{origin.text}, {options.strip()}")


def _looked(origin: Origin, target: str) -> tuple[Asked, int, tuple[Settled, ...], tuple[Notice, ...]]:
    """What the table holds, how many rows of it were read, how its files are read, and what stays a guess."""
    from tilth.app.looked import SAMPLE, columns
    from tilth.app.proposal import Asked
    from tilth.app.settling import notices, written

    source = _opened(origin)
    try:
        chosen = _table(source, origin, target)
        source, settled = _settling(source, origin, chosen)
        schema = source.describe(chosen)
        wanted = _column(target, schema.names, chosen)
        sample, guessed = _sample(source, chosen, SAMPLE + 1), notices(source, chosen)
    finally:
        source.close()
    seen = columns(sample.slice(0, SAMPLE), schema, wanted)
    _learnable(next(c for c in seen if c.name == wanted), chosen, guessed)
    text = f"{origin.text}, {written(chosen, settled)}" if settled else origin.text
    asked = Asked(
        origin.engine, text, chosen, wanted, seen, len(sample) <= SAMPLE, tuple(map(str, settled))
    )  # fmt: skip
    return asked, min(len(sample), SAMPLE), settled, guessed


def _opened(origin: Origin, more: Mapping[str, object] | None = None) -> Source:
    from tilth.ports import registry, strangers

    adapter, options = registry.load("tilth.sources", origin.engine), {**origin.options, **(more or {})}
    return strangers.source(origin.engine, lambda: adapter.from_options(options, os.getcwd()))


def _settling(source: Source, origin: Origin, table: str) -> tuple[Source, tuple[Settled, ...]]:
    """The source read as the table's own cells settle it: one key at a time, since each shows more."""
    from tilth.app import settling

    found: list[Settled] = []
    while "tables" not in origin.options:
        read = source.describe(table), settling.notices(source, table)
        new = [s for s in settling.settled(read[1], read[0], table) if s.key not in {f.key for f in found}]
        if not new:
            break
        keys = {f.key: f.value for f in (*found, *new)}
        tried = _opened(origin, {"tables": {table: keys}})
        if not settling.harmless(read, (tried.describe(table), settling.notices(tried, table))):
            tried.close()
            break
        source.close()
        source, found = tried, [*found, *new]
    return source, tuple(found)


def origin_of(where: str, table: str | None, folder: str) -> Origin:
    """What `--from` names, as a project in that folder writes it; ProjectError for what is no place of data."""
    scheme, url, _ = where.partition("://")
    if url and scheme.lower() in _SERVERS:
        return _server(_SERVERS[scheme.lower()], where, table)
    if url and (engine := _REMOTE.get(scheme.lower())) is not None:
        return Origin(engine, {"url": where}, f"url = {literal(where)}", table)
    path = os.path.abspath(os.path.expanduser(where))
    if not os.path.exists(path):
        raise StorageError(
            f"There is nothing at {where}.",
            hint="Name a file, a folder of files, https://host/file, s3://bucket/folder, postgresql://user@host/database, or mysql://user@host/database.",
        )
    if os.path.isdir(path):
        return _at("files", path, table, folder)
    if path.endswith(_SQLITE):
        return _at("sqlite", path, table, folder)
    if path.lower().endswith(_DUCKDB):
        return _at("duckdb", path, table, folder)
    if path.lower().endswith(_FILES):
        parent, file = os.path.split(path)
        return _at("files", parent, table or re.split(r"\.", file)[0], folder)
    raise ProjectError(
        f"{where} is of no kind that is known.",
        hint=f"Known are {', '.join((*_FILES, *_SQLITE, *_DUCKDB))}, and folders of such files.",
    )


def _at(engine: str, path: str, table: str | None, folder: str) -> Origin:
    """A place on this disk. What lies in the project or beside it is written as seen from there, so that both can move together."""
    project = os.path.abspath(folder)
    near = os.path.commonpath([path, os.path.dirname(project)]) == os.path.dirname(project) != "/"
    shown = os.path.relpath(path, project) if near else path
    return Origin(engine, {"path": path}, f"path = {literal(shown)}", table, absolute=None if near else path)


def _server(engine: str, url: str, table: str | None) -> Origin:
    """The server without the password in its url; `schema.table` says the schema, of MySQL the database."""
    try:
        parts = urlsplit(url)
        secret = parts.password
    except ValueError as error:
        raise ProjectError(
            "The url is none.", hint="Write postgresql://user@host/database, or mysql://user@host/database."
        ) from error
    if "password=" in parts.query.lower():
        raise ProjectError(
            "The password stands in the url's query.",
            hint=f"Leave it out there, and set it in the environment: {WORD}=...",
        )
    schema, dot, name = (table or "").rpartition(".")
    path = f"/{quote(schema, safe='')}" if dot and engine != "postgres" else parts.path
    plain = urlunsplit((parts.scheme, _host(parts.netloc), path, parts.query, ""))
    word = unquote(secret) if secret is not None else os.environ.get(WORD)
    options: dict[str, object] = {"url": plain}
    text = f"url = {literal(plain)}"
    if word is not None:
        options["password"] = word
        text += f", password = SECRET 'env:{WORD}'"
    if dot and engine == "postgres":
        options["schema"] = schema
        text += f", schema = {literal(schema)}"
    return Origin(engine, options, text, name if dot else table, word is not None)


def _host(netloc: str) -> str:
    user, at, host = netloc.rpartition("@")
    return f"{user.partition(':')[0]}{at}{host}"


def _table(source: Source, origin: Origin, target: str) -> str:
    """The table that is meant: the one named, the only one, or the only one with the target."""
    tables, named = source.tables(), origin.table
    if named is not None:
        found = [t for t in tables if t.lower() == named.lower()]
        if not found:
            raise UnknownNameError(
                f"There is no table `{named}` {origin.there}.",
                hint=_other_schema(source, table=named) or _known(origin, named, tables),
            )
        return found[0]
    if not tables:
        raise ProjectError(
            f"There is no table {origin.there}.",
            hint=_other_schema(source, column=target) or _known(origin, "", tables),
        )
    having = _having(source, tables, target) if len(tables) > 1 else tables
    if len(having) == 1:
        return having[0]
    raise ProjectError(
        f"{'Several tables have' if having else f'No table {origin.there} has'} a column `{target}`.",
        hint=(not having and _other_schema(source, column=target))
        or f"Say which with --table: {', '.join((having or tables)[:20])}.",
    )


def _other_schema(source: Source, **of: str) -> str | None:
    """The step to a table in another schema of the same server, where there is one that is called so or has the column."""
    look = getattr(source, "elsewhere", None)
    found = look(**of) if look is not None else ()
    return f"Say its schema: --table {' or '.join(map(shlex.quote, found))}." if found else None


def _known(origin: Origin, name: str, tables: tuple[str, ...]) -> str:
    """The nearest table, and those that there are; of a server without one, what may be missing."""
    if tables or origin.engine not in _SERVERS.values():
        return did_you_mean(name, tables, "tables")
    if origin.engine != "postgres":
        return "Name it with its database, --table database.table; its user needs SELECT on the table."
    return (
        "Name it with its schema, --table schema.table; its user needs USAGE of that and SELECT on the table."
    )


def _having(source: Source, tables: Sequence[str], target: str) -> list[str]:
    """The tables with such a column; where one cannot be read, the error says how to pass it over."""
    try:
        return [t for t in tables if target.lower() in (n.lower() for n in source.describe(t).names)]
    except (SourceError, StorageError, ProjectError) as error:
        error.hint = f"{error.hint} Or leave it as it is, and name the table that is meant: --table NAME."
        raise


def _column(target: str, names: Any, table: str) -> str:
    found = [n for n in names if n == target] or [n for n in names if n.lower() == target.lower()]
    if not found:
        raise UnknownNameError(
            f"The table `{table}` has no column `{target}`.", hint=did_you_mean(target, names, "columns")
        )
    return str(found[0])


def _sample(source: Source, table: str, most: int) -> Any:
    """The first rows of the table; InputError when there are none."""
    import pyarrow as pa

    from tilth.core.scan import Scan

    reader = source.scan(Scan(table))
    batches, rows = [], 0
    try:
        for batch in reader:
            batches.append(batch)
            rows += len(batch)
            if rows >= most:
                break
    finally:
        reader.close()
    if not rows:
        raise InputError(
            f"The table `{table}` holds no rows: there is nothing to propose from.",
            hint="Fill it first, or name another with --table.",
        )
    return pa.Table.from_batches(batches).slice(0, most)


def _learnable(target: Any, table: str, guessed: Sequence[Notice]) -> None:
    if target.distinct < 2:
        raise InputError(
            f"`{target.name}` of `{table}` has {'no value' if not target.distinct else 'one value only'}: nothing can be learned.",
            hint="Name another column with --predict.",
        )
    if target.type in TEMPORAL or target.type not in LEARNED:
        raise InputError(
            f"`{target.name}` is {target.type.value}: that is nothing to predict.",
            hint="Name a number, a text of few values, or a boolean.",
        )
    from tilth.ml.model.preparing import ID_LIKE, NAMED

    known = target.rows - target.nulls
    named = target.distinct > NAMED and target.distinct > ID_LIKE * known
    if target.type is DataType.STRING and (named or target.distinct > CLASSES):
        why = (
            f"{known:,} rows: it names or describes them"
            if named
            else f"its rows; at most {CLASSES:,} classes can be learned"
        )
        told = next((n for n in guessed if n.column == target.name and n.option), None)
        raise InputError(
            f"`{target.name}` has {target.distinct:,} different texts in {why}.",
            hint="Name another column with --predict."
            if told is None
            else f"{told.text} Say how it is written with {_with_words(told)}, or name another column with --predict.",
        )


def _with_words(told: Notice) -> str:
    """The notice's option, or the choice it gives, as --with takes it."""
    return " or ".join(f'--with "{one}"' for one in re.split(r" or (?=tables = )", str(told.option)))


def _write(folder: str, made: dict[str, str], origin: Origin) -> None:
    """Written aside, planned there, and put in place."""
    from tilth.app.project import Project

    aside = tempfile.mkdtemp(prefix="tilth-init-")
    before = os.environ.get(WORD)
    try:
        if origin.secret:
            os.environ[WORD] = str(origin.options["password"])
        for name, text in made.items():
            with open(os.path.join(aside, name), "w", encoding="utf-8") as file:
                file.write(text)
        Project(aside).plan()
        os.makedirs(folder, exist_ok=True)
        for name in made:
            shutil.copyfile(os.path.join(aside, name), os.path.join(folder, name))
    except OSError as error:
        raise StorageError(
            f"{folder} cannot be written ({error.strerror}).",
            hint="Give this user write access, or another folder.",
        ) from error
    finally:
        if before is None:
            os.environ.pop(WORD, None)
        else:
            os.environ[WORD] = before
        shutil.rmtree(aside, ignore_errors=True)
