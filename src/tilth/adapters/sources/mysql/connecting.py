"""Connections to MySQL and MariaDB: what a url says, how a session is set up, and the server's errors in our words.

PyMySQL makes the connection, with TLS and passwords; what is read over it is `wire`'s. A password is never sent readable
over a connection that is not encrypted, and stands in no error.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tilth.core.errors import MissingExtraError, ProjectError, SourceError, TilthError, UnknownNameError
from tilth.core.names import did_you_mean, literal

SCHEMES = ("mysql://", "mariadb://")
MODES = ("DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
_GIVEN = ("ssl_mode", "ssl_ca", "ssl_cert", "ssl_key", "connect_timeout", "unix_socket")
_LEXING = frozenset(
    {"ANSI", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "PAD_CHAR_TO_FULL_LENGTH", "EMPTY_STRING_IS_NULL",
     "ORACLE", "MSSQL", "DB2", "MAXDB", "POSTGRESQL", "MYSQL323", "MYSQL40"}
)  # fmt: skip
STRICT = (
    "STRICT_ALL_TABLES", "NO_ZERO_DATE", "NO_ZERO_IN_DATE", "ERROR_FOR_DIVISION_BY_ZERO", "NO_ENGINE_SUBSTITUTION",
    "NO_AUTO_VALUE_ON_ZERO", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES",
)  # fmt: skip
"""What `sql_mode` is where all SQL is ours: names in double quotes, texts without escapes, and nothing changed in silence."""
_URL = "Write WITH (url = 'mysql://reader@host/database')."
_AWAY = frozenset({2002, 2003, 2006, 2013, 2014, 2055, 1053, 1080, 1152, 1158, 1159, 1160, 1161, 1927, 4031})
_NAMES = frozenset({1049, 1051, 1054, 1109, 1146, 1305, 1356, 1630})
_RIGHTS = frozenset({1044, 1142, 1143, 1227, 1370, 1410})
_ENDED = frozenset({1317, 1969, 3024, 1028, 1907})


@dataclass(frozen=True, slots=True)
class Server:
    """Where a url leads, and how."""

    host: str
    port: int
    user: str
    database: str
    password: str | None = field(default=None, repr=False)
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        return self.query.get("unix_socket") or f"{self.host}:{self.port}"

    @property
    def tls(self) -> str:
        """The mode that the url says, or that what it says means."""
        said = (
            "VERIFY_CA"
            if self.query.get("ssl_ca")
            else "REQUIRED"
            if self.query.get("ssl_cert")
            else "PREFERRED"
        )
        return self.query.get("ssl_mode", said).upper()


def server(url: object, password: object) -> Server:
    """What the url says; ProjectError when it is none."""
    if not isinstance(url, str) or not url.startswith(SCHEMES):
        raise ProjectError("A source of MySQL needs a url.", hint=_URL)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "localhost", parts.port or 3306
    except ValueError:
        raise ProjectError(
            "The source's url cannot be read.",
            hint="Correct its port, and percent-encode special characters in it.",
        ) from None
    database = unquote(parts.path.strip("/"))
    if not database:
        raise ProjectError("The source's url names no database.", hint=_URL)
    query = {k.lower().replace("-", "_"): v for k, v in parse_qsl(parts.query, keep_blank_values=True)}
    _check(query)
    said = parts.password if password is None else None
    word = str(password) if password is not None else None if said is None else unquote(said)
    return Server(host, port, unquote(parts.username or ""), database, word, query)


def _check(query: Mapping[str, str]) -> None:
    for name in query:
        if name in {"password", "passwd"}:
            raise ProjectError(
                "The password stands in the url's query.",
                hint="Write password = SECRET 'env:...' beside the url.",
            )
        if name not in _GIVEN:
            raise UnknownNameError(
                f"The source's url says `{name[:40]}`, which is not known.",
                hint=did_you_mean(name, _GIVEN, "known"),
            )
    mode = query.get("ssl_mode", "PREFERRED").upper()
    if mode not in MODES:
        raise UnknownNameError(
            f"The url's ssl_mode is not `{mode[:40]}`.", hint=did_you_mean(mode, MODES, "modes")
        )
    wait = query.get("connect_timeout", "10")
    if not (wait.isdigit() and 0 < int(wait) <= 3600):
        raise ProjectError(
            "The url's connect_timeout is no number of seconds.", hint="Write ?connect_timeout=10."
        )
    if mode == "VERIFY_CA" and not query.get("ssl_ca"):
        raise ProjectError(
            "ssl_mode=VERIFY_CA needs the certificate to check with.",
            hint="Write &ssl_ca=/path/to/ca.pem, or ssl_mode=VERIFY_IDENTITY, which takes the system's.",
        )


def connect(at: Server) -> Any:
    """A connection whose texts are UTF-8 and whose times are in UTC; autocommit is on."""
    try:
        import pymysql
    except ImportError as error:
        raise MissingExtraError(
            "Sources of MySQL and MariaDB need the package PyMySQL.",
            hint="Install it: pip install 'tilth[mysql]'",
        ) from error
    socket = at.query.get("unix_socket")
    if socket is not None and not os.path.exists(socket):
        raise unreachable(OSError("no such socket"), at)
    try:
        connection = pymysql.connections.Connection(
            host=at.host,
            port=at.port,
            user=at.user or None,
            password=(at.password or "").encode(),
            database=at.database,
            unix_socket=socket,
            charset="utf8mb4",
            autocommit=True,
            local_infile=False,
            connect_timeout=int(at.query.get("connect_timeout", "10")),
            program_name="tilth",
            auth_plugin_map=dict.fromkeys(("mysql_clear_password", "dialog"), _Readable),
            defer_connect=True,
            **_tls(at),
        )
        if at.tls == "PREFERRED" and socket is None:
            connection.ssl, connection.ctx = True, _unchecked()  # taken if the server has it
        connection.connect()
    except (pymysql.err.MySQLError, OSError, ValueError, RuntimeError, TilthError) as error:
        # The driver's text can repeat what was given: it is neither shown nor chained.
        raise unreachable(error, at) from None
    try:
        run(
            connection,
            "SET NAMES utf8mb4, time_zone = '+00:00', net_write_timeout = 3600, wait_timeout = 28800"
            " /*M!100203 , max_recursive_iterations = 4294967295 */",  # MariaDB would end a longer one without an error
        )
    except BaseException:
        connection.close()
        raise
    return connection


def _tls(at: Server) -> dict[str, Any]:
    """What PyMySQL is told of TLS: a context once it must be there, else to go without."""
    if at.tls in {"DISABLED", "PREFERRED"}:
        return {"ssl_disabled": True}
    import ssl

    try:
        checks = at.tls in {"VERIFY_CA", "VERIFY_IDENTITY"}
        context = (
            ssl.create_default_context(cafile=at.query.get("ssl_ca")) if checks else _unchecked.__wrapped__()
        )
        context.verify_flags &= (
            ~ssl.VERIFY_X509_STRICT
        )  # which certificates that MySQL makes itself do not pass
        if cert := at.query.get("ssl_cert"):
            context.load_cert_chain(cert, at.query.get("ssl_key"))
    except OSError as error:
        raise SourceError(
            f"A certificate or key that the source's url names cannot be read ({error.strerror or 'not one'}).",
            hint="Correct ssl_ca, ssl_cert and ssl_key; they are paths of PEM files.",
        ) from None
    if at.tls == "VERIFY_CA":
        context.check_hostname = False
    return {"ssl": context}


@cache
def _unchecked() -> Any:
    """TLS without a look at the server's certificate. To load those of the system takes 20 ms, which each scan would pay."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class _Readable:
    """Ways to sign in that send the password as it is: only over TLS or a local socket."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def authenticate(self, packet: Any) -> Any:
        del packet
        link = self._connection
        if not link._secure and not link.unix_socket:  # noqa: SLF001 - PyMySQL says it nowhere else
            raise SourceError(
                "The server asks for the password readable, and the connection is not encrypted.",
                hint="Write ?ssl_mode=REQUIRED in the source's url.",
            )
        link.write_packet(link.password + b"\0")
        answer = link._read_packet()  # noqa: SLF001
        answer.check_error()
        return answer


def run(connection: Any, *statements: str) -> None:
    """Run statements of ours; SourceError and its kind when the server refuses one."""
    for statement in statements:
        try:
            connection.query(statement)
        except Exception as error:
            raise refused(error) from None


def rows(connection: Any, sql: str) -> list[tuple[Any, ...]]:
    """All rows of a small result."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())
    except Exception as error:
        raise refused(error) from None


def reading(connection: Any, *, ours: bool) -> None:
    """Set the session up for reading, at one moment. `ours`: all SQL is made here; else the server's own way to read SQL stays,
    but for what would have texts and names end elsewhere than `native` sees them end.
    """
    if ours:
        mode = ",".join(STRICT)
    else:
        ((said,),) = rows(connection, "SELECT @@SESSION.sql_mode")
        mode = ",".join(m for m in str(said).split(",") if m and m not in _LEXING)
    run(
        connection,
        f"SET SESSION sql_mode = {literal(mode)}",
        "SET SESSION TRANSACTION READ ONLY",
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT",
    )


def kill(at: Server, thread: int) -> None:
    """Have the server end what another connection of this user is doing; nothing, when it is gone."""
    with contextlib.suppress(TilthError):
        connection = connect(at)
        try:
            run(connection, f"KILL QUERY {thread}")
        finally:
            connection.close()


# --- errors ------------------------------------------------------------------------------------------------


def code_of(error: BaseException) -> int:
    """The server's or the driver's number of the error; 0 when it has none."""
    first = error.args[0] if error.args else 0
    return first if isinstance(first, int) else 0


def went_away(error: BaseException) -> bool:
    """Whether the connection ended, and what was asked over it may or may not have been done."""
    return (
        code_of(error) in _AWAY
        or isinstance(error, OSError | EOFError)
        or type(error).__name__ == "InterfaceError"
    )


def unreachable(error: BaseException, at: Server) -> TilthError:
    """Why there is no connection."""
    if isinstance(error, TilthError):
        return error
    code, said = code_of(error), str(error)
    if code in {1045, 1698, 1130, 1251, 2059}:
        return SourceError(
            f"The server at {at.place} did not accept the user or password.",
            hint="Correct the url's user, or the SECRET that `password` names.",
        )
    if code in {1049, 1044}:
        return SourceError(
            f"The server at {at.place} has no database `{at.database}` that this user may use.",
            hint="Correct the source's url, or GRANT SELECT on it to the user.",
        )
    if code == 2026 or "SSL" in said.upper():
        return SourceError(
            f"No encrypted connection to {at.place} came about, which the url's ssl_mode asks for.",
            hint="Set TLS up on the server and correct ssl_ca; or ssl_mode=PREFERRED, where the way to it is trusted.",
        )
    if "Name or service not known" in said or "getaddrinfo" in said or "name resolution" in said:
        return SourceError(
            f"The host of {at.place} is not known: its name has no address.",
            hint="Correct the url; a special character of a password in it is percent-encoded.",
        )
    if code == 1040:
        return SourceError(
            f"The server at {at.place} has too many connections.",
            hint="Try again later, or raise max_connections.",
        )
    return SourceError(
        f"No server of MySQL can be reached at {at.place}.",
        hint="Check that it runs and that the url is right.",
    )


def refused(error: BaseException) -> TilthError:
    """Only errors of SQL itself are repeated: those of values would show data."""
    if isinstance(error, TilthError):
        return error
    code = code_of(error)
    said = str(error.args[1]).partition("\n")[0][:300] if len(error.args) > 1 else ""
    if code in _ENDED:
        return SourceError(
            "The server ended the query: it was interrupted or ran out of its time.",
            hint="Run it again; or raise the server's max_statement_time (max_execution_time), or have it read less.",
        )
    if code in _NAMES:
        return UnknownNameError(f"The server says: {said}.", hint="Correct the name in the query.")
    if code in {1792, 1290, 1836, 3989}:
        return SourceError("A source is read-only.", hint="Send a query that only reads.")
    if code in _RIGHTS:
        return SourceError(f"The server says: {said}.", hint="GRANT the right to the source's user.")
    if code in {1064, 1149, 1222, 1060, 1066, 1052, 1055, 1111, 1140, 1248, 1295, 1582}:
        return SourceError(f"The server says: {said}.", hint="Correct the query.")
    if went_away(error):
        return SourceError(
            "The connection to the server ended.", hint="Run it again when the server is there."
        )
    return SourceError(
        f"The server could not finish the query (error {code or type(error).__name__}).",
        hint="Run it in the server's own client to see the values concerned, or try again if it went away.",
    )
