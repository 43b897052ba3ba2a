"""Statements of one connection, performed by a session of tilth: what the protocol needs of it, and no bytes.

A query of PostgreSQL's catalog is answered from what the environment has; everything else is tilth's language.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from tilth.core.errors import TilthError
from tilth.core.names import literal
from tilth.core.principals import Principal
from tilth.interfaces.pgwire import said, types
from tilth.interfaces.pgwire.commands import Fetch, SetTo, ShowSetting, Tilth
from tilth.interfaces.pgwire.portals import Portal, Prepared, Rows
from tilth.interfaces.pgwire.said import Report
from tilth.interfaces.pgwire.settings import LEVELS, Settings
from tilth.interfaces.pgwire.told import Told
from tilth.plan.rights import Right, require
from tilth.runtime.asking import natively
from tilth.runtime.asking.prompt import Result
from tilth.sql.language.parameters import apart, bind
from tilth.sql.postgres import catalog, parameters
from tilth.sql.postgres.names import PUBLIC, unqualified
from tilth.sql.queries.native import natives

if TYPE_CHECKING:
    from tilth.runtime.asking.prepared import PreparedPrediction
    from tilth.runtime.asking.session import Session

ASKING = frozenset({"SELECT", "WITH", "FROM", "VALUES", "SHOW", "DESCRIBE", "SUMMARIZE", "EXPLAIN", "EVALUATE", "PLAN", "LOOK"})  # fmt: skip
"""First words of statements that change nothing."""
MOST_PLANS = 200
ENVIRONMENT = "tilth.environment"
OWN = frozenset({ENVIRONMENT, "statement_timeout", "statement_memory", "statement_disk"})
"""Settings that a session of tilth obeys."""
MOMENT = datetime(2000, 1, 1)  # noqa: DTZ001 - a value for a type, whichever


@dataclass(frozen=True, slots=True)
class Server:
    """What connections have in common: how a session is made, which environments there are, and what the server is."""

    session: Callable[[str, Principal, Told], Session]
    environments: Callable[[], tuple[str, ...]]
    environment: str
    version: str


class Performing:
    """Performs what one client asks. Not safe to use from several threads, but for `cancel`."""

    def __init__(
        self, server: Server, environment: str, by: Principal, user: str, process: int, settings: Settings, send: Callable[[bytes], None]
    ) -> None:  # fmt: skip
        self._server, self._by, self._user, self._process = server, by, user, process
        self._send = send
        self.settings = settings
        self._told = Told(self.notice)
        self._session = server.session(environment, by, self._told)
        if (timeout := settings.now["statement_timeout"]) not in {"", "0"}:
            self._session.run(f"SET statement_timeout = {literal(timeout)}")
        self._begun = environment
        self._working = False
        self._plans: dict[str, PreparedPrediction] = {}
        self.facts: Mapping[str, Any] = {}
        """Of the last statement that acted."""

    # --- while it works ------------------------------------------------------------------------------------

    @contextmanager
    def working(self) -> Iterator[None]:
        """While a statement is performed: only then it can be cancelled."""
        self._told.cancelled, self._working = False, True
        try:
            yield
        finally:
            self._working = False

    def cancel(self) -> None:
        """From any thread."""
        if self._working:
            self._told.cancelled = True
            self._session.cancel("the client")

    def check(self) -> None:
        self._told.check()

    def close(self) -> None:
        """Nothing is kept open but by answers, which are closed before."""

    def notice(self, report: Report) -> None:
        """Send a message to the client, if it wants those of its level."""
        if LEVELS.index(report.severity.lower()) >= self.settings.least or report.severity == "INFO":
            self._send(said.reported(report))

    def notices(self, words: list[str]) -> None:
        for one in words:
            self.notice(Report("NOTICE", "00000", one))

    # --- statements ----------------------------------------------------------------------------------------

    def acts(self, command: Tilth) -> bool:
        return not command.asks and command.words[0] not in ASKING

    def perform(
        self, command: Tilth, values: tuple[Any, ...], *, in_transaction: bool = False
    ) -> Rows | None:
        """The rows of a statement; None of one that acts, which is done then. Its words are sent as notices."""
        self._session.in_transaction = in_transaction
        command = self._alone(command)
        if (plan := self._plan(command)) is not None:
            result = plan.run(values)
            self.notices(result.told)
            return Rows.of(Result(result.reader))
        placed = bind(command.text, values or None)
        try:
            result = self._asked(command, placed.text)
        except TilthError as error:
            if error.where is not None:
                error.where = placed.origin(error.where)
            raise
        self.check()
        if result.reader is not None:
            self.notices(result.text.split("\n") if result.text else [])
            return Rows.of(result)
        if command.words[0] == "PLAN":
            return Rows.of(_lines("plan", result.text))
        severity = "WARNING" if result.refused else "NOTICE"
        for line in result.text.split("\n"):
            self.notice(Report(severity, "01000" if result.refused else "00000", line))
        self.notices(result.told)
        self.facts = result.facts
        return None

    def _alone(self, command: Tilth) -> Tilth:
        """The statement with names as the language has them: without `public.`, unless a source is called so."""
        text = command.text
        if PUBLIC not in text.lower() or self._catalog(text) is not None:
            return command
        graph = self._session.deployed(self._session.environment)
        return command if graph.find(PUBLIC) is not None else replace(command, text=unqualified(text))

    def _plan(self, command: Tilth) -> PreparedPrediction | None:
        """What a client prepared of one prediction, as things stand."""
        plan = self._plans.get(command.text)
        if plan is not None and not plan.holds():
            del self._plans[command.text]
            plan = self._prepare(command)
        return plan

    def _prepare(self, command: Tilth) -> PreparedPrediction | None:
        from tilth.runtime.asking.prepared import prepared

        text = apart(command.text)
        found = prepared(self._session, text) if command.words[:1] == ("SELECT",) else None
        if found is not None:
            if len(self._plans) >= MOST_PLANS:
                self._plans.clear()
            self._plans[command.text] = found
        return found

    def _asked(self, command: Tilth, text: str) -> Result:
        found = self._catalog(text) if command.asks else None
        return self._session.run(text) if found is None else self._of_catalog(*found)

    def _catalog(self, text: str) -> tuple[str, frozenset[str]] | None:
        """The query as one of the catalog, if it is that; what a source answers in its own language is of its own catalog."""
        if not catalog.concerns(text):
            return None
        of = natively.names(self._session.deployed(self._session.environment))
        return None if natives(text, of) else catalog.rewritten(text, self._facts())

    def _facts(self) -> catalog.Server:
        return catalog.Server(
            self._server.version, self._session.environment, self._user, self._process, self.settings.now
        )

    def _of_catalog(self, sql: str, wanted: frozenset[str]) -> Result:
        from tilth.runtime.asking import relations

        require(self._by, Right.READ, "The catalog")
        told: list[str] = []
        self._session.next_turn()
        tables = relations.inputs(self._session, wanted, self._facts(), told) if wanted else {}
        reader = self._session.work.engine.stream(sql, tables, limits=self._session.limits)
        return Result(reader, told=told)

    # --- what is told before it is done --------------------------------------------------------------------

    def types(self, command: Tilth, given: tuple[int, ...]) -> tuple[int, ...]:
        """The OIDs of a statement's parameters: those given, else what the statement says, else text."""
        command = self._alone(command)
        plan = self._plan(command) or self._prepare(command)
        count = max(parameters.count(command.text), len(given))
        command = replace(command, text=apart(command.text))
        known = list(given) + [0] * (count - len(given))
        if 0 in known:
            found = (
                parameters.inferred(command.text, self._columns(command))
                if plan is None
                else {n: types.OF[t] for n, t in plan.types().items()}
            )
            known = [oid or found.get(n, types.TEXT).oid for n, oid in enumerate(known, 1)]
        return tuple(known)

    def _columns(self, command: Tilth) -> Mapping[str, Any]:
        from tilth.runtime.asking.relations import Explorer
        from tilth.sql.queries import reads

        if not command.asks or self._catalog(command.text) is not None:
            return {}
        try:
            used = reads.tables(command.text)
        except TilthError:
            return {}  # what is wrong with it is said when it runs
        require(self._by, Right.READ, "A query")
        self._session.next_turn()
        return Explorer(self._session).columns_of((u.schema, u.name) for u in used)

    def described(self, prepared: Prepared, portals: Mapping[str, Portal]) -> tuple[said.Column, ...] | None:
        """The columns of a statement whose values are not yet known: it is begun with values that stand for them."""
        command = prepared.command
        if isinstance(command, ShowSetting):
            return self.shown(command).columns
        if isinstance(command, Fetch) and not command.silent and command.name in portals:
            rows = portals[command.name].rows
            return None if rows is None else rows.columns
        if not isinstance(command, Tilth) or self.acts(command):
            return None
        found = self.perform(command, tuple(_STANDS.get(oid) for oid in prepared.oids))
        if found is None:
            return None
        found.close()
        return found.columns

    # --- settings ------------------------------------------------------------------------------------------

    def set(self, command: SetTo) -> bytes:
        """What the client is to be told of a setting that changed."""
        if command.name in OWN:
            name = command.name
            self._session.run(
                f"RESET {name}" if command.value is None else f"SET {name} = {literal(command.value)}"
            )
            if name == ENVIRONMENT:
                return b""
        changed = self.settings.set(command.name, command.value, local=command.local)
        return b"" if changed is None else said.parameters(self.settings.values([changed]))

    def reset(self) -> bytes:
        self.settings.reset()
        self._session.run("RESET ALL")
        return said.parameters(self.settings.values())

    def ended(self) -> bytes:
        """A transaction is over."""
        before = self.settings.values()
        self.settings.ended()
        after = self.settings.values()
        return said.parameters({n: v for n, v in after.items() if before[n] != v})

    def shown(self, command: ShowSetting) -> Rows:
        """The value of a setting, or of all."""
        import pyarrow as pa

        if command.name == "all":
            known = sorted(self.settings.now.items(), key=lambda i: i[0].lower())
            table = pa.table(
                {
                    "name": [n for n, _ in known],
                    "setting": [v for _, v in known],
                    "description": [""] * len(known),
                }
            )
        else:
            table = pa.table({command.name: [self.settings.get(command.name)]})
        return Rows.of(Result(table.to_reader()))


_OF_MODELS = frozenset({"RETRAIN", "FINETUNE", "EVALUATE"})
"""Verbs after which a name may stand at once."""


def tag_of(command: Tilth, facts: Mapping[str, Any], taken: int | None = None) -> str:
    """What a client is told at the end: SELECT 3, INSERT 0 3, CREATE MODEL."""
    if taken is not None:
        return f"SELECT {taken}"
    rows = facts.get("rows", 0)
    if command.words[0] == "INSERT":
        return f"INSERT 0 {rows}"
    words = [w for w in command.words if w not in {"OR", "REPLACE"}]
    if words[:2] == ["CREATE", "TABLE"]:
        return f"SELECT {rows}"
    alone = words[0] in {"APPLY", "DRILL", "USE"} or (words[0] in _OF_MODELS and words[1:2] != ["MODEL"])
    return " ".join(words[: 1 if alone else 2])


def _lines(name: str, text: str) -> Result:
    import pyarrow as pa

    return Result(pa.table({name: pa.array(text.split("\n"), pa.string())}).to_reader())


_STANDS: Mapping[int, Any] = {
    types.BOOL.oid: False, **{t.oid: 0 for t in (types.INT2, types.INT4, types.INT8, types.OID)}, types.FLOAT4.oid: 0.0, types.FLOAT8.oid: 0.0,
    types.NUMERIC.oid: Decimal(0), types.TEXT.oid: "", types.VARCHAR.oid: "", types.BPCHAR.oid: "", types.NAME.oid: "", types.UNKNOWN.oid: "",
    types.DATE.oid: date(2000, 1, 1), types.TIME.oid: time(0), types.TIMESTAMP.oid: MOMENT, types.TIMESTAMPTZ.oid: MOMENT,
    types.INTERVAL.oid: timedelta(0), types.UUID.oid: UUID(int=0), types.BYTEA.oid: b"", types.JSON.oid: "{}", types.JSONB.oid: "{}",
}  # fmt: skip
"""A value of each type, for a statement that is only begun to see what columns it has."""
