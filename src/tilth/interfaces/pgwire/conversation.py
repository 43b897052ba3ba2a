"""What one client asks and is answered, message by message: no socket, no event loop. It works in the thread that calls it.

`answer` gives bytes as they are ready. Statements are performed by a session of tilth (`performing`); here is what belongs to the
protocol: which messages follow which, what an error ends, and what a transaction is where every act is done at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tilth.interfaces.pgwire import asked, given, said
from tilth.interfaces.pgwire.commands import (
    ALL,
    BACK_TO,
    BEGIN,
    COMMIT,
    RELEASE,
    ROLLBACK,
    SAVEPOINT,
    CloseCursor,
    Command,
    CopyOut,
    Deallocate,
    Declare,
    Discard,
    Fetch,
    Nothing,
    ResetAll,
    SetTo,
    ShowSetting,
    Tilth,
    Transaction,
    commands,
)
from tilth.interfaces.pgwire.failures import ABORTED, ACTIVE, NONE_ACTIVE, PROTOCOL, failure, reported
from tilth.interfaces.pgwire.performing import Performing, tag_of
from tilth.interfaces.pgwire.portals import Kept, Portal, Prepared, Rows
from tilth.interfaces.pgwire.said import Report
from tilth.interfaces.pgwire.settings import NAMES

IDLE, OPEN, FAILED = b"I", b"T", b"E"
MOST_KEPT = 1000  # statements or portals of one connection


class Conversation:
    """One connection after its client was let in."""

    def __init__(
        self, performing: Performing, say: Callable[[bytes], None], tell: Callable[[str], None]
    ) -> None:
        self._do = performing
        self._say, self._tell = say, tell
        self._status = IDLE
        self._savepoints: list[str] = []
        self._kept = Kept()
        self._skipping = False  # until Sync, after an error of the extended query

    def cancel(self) -> None:
        """From any thread: what is performed now ends with an error."""
        self._do.cancel()

    def close(self) -> None:
        self._kept.end(everything=True)
        self._do.close()

    def answer(self, message: asked.Asked) -> Iterator[bytes]:
        """The bytes that answer a message, as they are ready; errors are among them."""
        if isinstance(message, asked.Query):
            yield from self._simple(message.text)
        elif isinstance(message, asked.Sync):
            self._skipping = False
            if self._status == IDLE:
                self._kept.end()
            yield said.ready(self._status)
        elif isinstance(message, asked.CopyData | asked.CopyDone | asked.CopyFail | asked.Flush):
            return  # rows that a client still sends after an error are passed over
        elif not self._skipping:
            yield from self._extended(message)

    # --- errors --------------------------------------------------------------------------------------------

    def _fails(self, error: BaseException, text: str = "", start: int = 0) -> bytes:
        """The message of an error, which ends the transaction that it falls into."""
        report = reported(error, text, start)
        if report.state == "XX000":
            self._tell(f"postgres: {type(error).__name__}: {error}")
        if self._status == OPEN:
            self._status = FAILED
        return said.reported(report)

    def bad(self, words: str, *, alone: bool) -> bytes:
        """The answer to a message that cannot be read; `alone`: no Sync comes after it, so that the client hears that it may go on."""
        self._skipping = not alone
        return self._fails(failure(PROTOCOL, words)) + (said.ready(self._status) if alone else b"")

    # --- the simple query ----------------------------------------------------------------------------------

    def _simple(self, text: str) -> Iterator[bytes]:
        self._kept.drop("")
        try:
            found = commands(text, NAMES)
        except (Exception, KeyboardInterrupt) as error:
            yield self._fails(error, text)
            yield said.ready(self._status)
            return
        if not found:
            yield said.EMPTY
        for command in found:
            start = command.start if isinstance(command, Tilth) else 0
            try:
                with self._do.working():
                    yield from self._whole(command)
            except (Exception, KeyboardInterrupt) as error:
                yield self._fails(error, text, start)
                break
        if self._status == IDLE:
            self._kept.end()
        yield said.ready(self._status)

    def _whole(self, command: Command) -> Iterator[bytes]:
        """A command with all that it answers, in text."""
        self._check(command)
        if isinstance(command, Tilth):
            result = self._perform(command, ())
            if result is None:
                yield said.complete(tag_of(command, self._do.facts))
                return
            yield said.columns(result.columns)
            yield from self._rows(result, (0,) * len(result.kinds))
            yield said.complete(tag_of(command, self._do.facts, result.taken))
        elif isinstance(command, Fetch):
            portal = self._cursor(command.name)
            if not command.silent:
                yield said.columns(self._begun(portal).columns)
            yield from self._fetched(command, portal, ())
        else:
            yield from self._session(command)

    def _perform(self, command: Tilth, values: tuple[Any, ...]) -> Rows | None:
        """The rows of the statement, or None of one that acts, which is not done inside a transaction."""
        if self._status == OPEN and self._do.acts(command):
            shown = " ".join(command.words[:2]) or "This statement"
            raise failure(
                ACTIVE,
                f"{shown} cannot run inside a transaction block: it is done at once, and ROLLBACK could not undo it.",
                "Send it without BEGIN: autocommit=True in psycopg, isolation_level='AUTOCOMMIT' in SQLAlchemy.",
            )
        return self._do.perform(command, values, in_transaction=self._status == OPEN)

    def _rows(self, found: Rows, formats: tuple[int, ...], most: int | None = None) -> Iterator[bytes]:
        """At most so many rows, and what is to be known of them once they are all read."""
        try:
            for piece in found.written(formats, most):
                yield piece
                self._do.check()
        except BaseException:
            found.close()
            raise
        if most is None:
            found.close()
            self._do.notices(found.result.told)

    def _check(self, command: Command | None) -> None:
        """A transaction that failed takes nothing but its end."""
        ends = isinstance(command, Transaction) and command.what in {COMMIT, ROLLBACK, BACK_TO}
        if self._status == FAILED and not ends:
            raise failure(
                ABORTED,
                "current transaction is aborted, commands ignored until end of transaction block",
                "Send ROLLBACK.",
            )

    # --- commands of the connection itself -----------------------------------------------------------------

    def _session(self, command: Command) -> Iterator[bytes]:
        if isinstance(command, Transaction):
            yield from self._transaction(command)
        elif isinstance(command, ShowSetting):
            yield from self._shown(command, (0,))
        elif isinstance(command, CopyOut):
            yield from self._copied(command)
        elif isinstance(command, Declare):
            yield from self._declared(command, ())
        else:
            yield self._kept_or_set(command)

    def _kept_or_set(self, command: Command) -> bytes:
        changed = b""
        if isinstance(command, SetTo):
            changed, tag = self._do.set(command), "RESET" if command.value is None else "SET"
        elif isinstance(command, ResetAll):
            changed, tag = self._do.reset(), "RESET"
        elif isinstance(command, CloseCursor):
            for name in [n for n, p in self._kept.portals.items() if p.declared] if command.name is None else [command.name]:  # fmt: skip
                self._cursor(name)
                self._kept.drop(name)
            tag = "CLOSE CURSOR" if command.name is not None else "CLOSE CURSOR ALL"
        elif isinstance(command, Deallocate):
            if command.name is not None and command.name not in self._kept.statements:
                raise failure("26000", f"prepared statement {command.name!r} does not exist")
            gone = list(self._kept.statements) if command.name is None else [command.name]
            for name in gone:
                del self._kept.statements[name]
            tag = "DEALLOCATE ALL" if command.name is None else "DEALLOCATE"
        elif isinstance(command, Discard):
            self._kept.end(everything=True)
            self._kept.statements.clear()
            changed, tag = self._do.reset(), "DISCARD ALL"
        else:
            assert isinstance(command, Nothing)
            tag = command.tag
        return changed + said.complete(tag)

    def _transaction(self, command: Transaction) -> Iterator[bytes]:
        what, tag = command.what, command.what
        if what == BEGIN:
            if self._status != IDLE:
                self._warn(ACTIVE, "there is already a transaction in progress")
            self._status = OPEN if self._status == IDLE else self._status
        elif what in {COMMIT, ROLLBACK}:
            if self._status == IDLE:
                self._warn(NONE_ACTIVE, "there is no transaction in progress")
            tag = ROLLBACK if self._status == FAILED else what
            self._status = OPEN if command.chain and self._status != IDLE else IDLE
            self._savepoints.clear()
            self._kept.end()
            yield self._do.ended()
        else:
            self._savepoint(command)
            tag = {SAVEPOINT: "SAVEPOINT", RELEASE: "RELEASE", BACK_TO: "ROLLBACK"}[what]
        yield said.complete(tag)

    def _savepoint(self, command: Transaction) -> None:
        """Nothing is undone by going back to one: a transaction changes nothing, it only ends by an error."""
        if self._status == IDLE:
            raise failure(NONE_ACTIVE, f"{command.what} can only be used in transaction blocks")
        if command.what == SAVEPOINT:
            self._savepoints.append(command.name)
            return
        if command.name not in self._savepoints:
            raise failure("3B001", f'savepoint "{command.name}" does not exist')
        last = len(self._savepoints) - 1 - self._savepoints[::-1].index(command.name)
        del self._savepoints[last + (command.what == BACK_TO) :]
        if command.what == BACK_TO:
            self._status = OPEN

    def _warn(self, state: str, words: str) -> None:
        self._do.notice(Report("WARNING", state, words))

    def _shown(self, command: ShowSetting, formats: tuple[int, ...], *, described: bool = True) -> Iterator[bytes]:  # fmt: skip
        found = self._do.shown(command)
        if described:
            yield said.columns(found.columns)
        yield from found.written(formats * len(found.kinds) if len(formats) == 1 else formats)
        yield said.complete("SHOW")

    def _copied(self, command: CopyOut) -> Iterator[bytes]:
        from tilth.interfaces.pgwire import copying

        if command.form != "binary":
            copying.checked(command)
        found = self._perform(command.query, ())
        if found is None:
            raise failure("42601", "COPY takes a query.", "Write COPY (SELECT ...) TO STDOUT.")
        try:
            yield said.copying(int(command.form == "binary"), len(found.kinds))
            names = [c.name for c in found.columns]
            for piece in copying.data(found.batches(), names, found.kinds, command):
                yield piece
                self._do.check()
        finally:
            found.close()
        self._do.notices(found.result.told)
        yield said.COPIED + said.complete(f"COPY {found.taken}")

    # --- cursors -------------------------------------------------------------------------------------------

    def _declared(self, command: Declare, values: tuple[Any, ...]) -> Iterator[bytes]:
        if self._status == IDLE and not command.hold:
            raise failure("25P01", "DECLARE CURSOR can only be used in transaction blocks", "Send BEGIN before, or write WITH HOLD.")  # fmt: skip
        if command.name in self._kept.portals:
            raise failure("42P03", f'cursor "{command.name}" already exists')
        self._full(self._kept.portals)
        found = self._perform(command.query, values)
        if found is None:
            raise failure("42P11", "A cursor is for a query.")
        prepared = Prepared(command.query.text, command.query, ())
        self._kept.put(command.name, Portal(prepared, rows=found, held=command.hold, declared=True))
        yield said.complete("DECLARE CURSOR")

    def _cursor(self, name: str) -> Portal:
        found = self._kept.portals.get(name)
        if found is None or not found.declared:
            raise failure("34000", f'cursor "{name}" does not exist')
        return found

    def _begun(self, portal: Portal) -> Rows:
        assert portal.rows is not None
        return portal.rows

    def _fetched(self, command: Fetch, portal: Portal, formats: tuple[int, ...]) -> Iterator[bytes]:
        found = self._begun(portal)
        before, most = found.taken, None if command.count == ALL else command.count
        if command.silent:
            for _ in found.batches(most):
                self._do.check()
        else:
            yield from found.written(said.spread(formats, len(found.kinds)), most)
        tag = "MOVE" if command.silent else "FETCH"
        yield said.complete(f"{tag} {found.taken - before}")

    # --- the extended query --------------------------------------------------------------------------------

    def _extended(self, message: asked.Asked) -> Iterator[bytes]:
        text, start = "", 0
        try:
            if isinstance(message, asked.Parse):
                text = message.text
                with self._do.working():
                    yield self._parse(message)
            elif isinstance(message, asked.Bind):
                text, start = self._of(message.statement)
                yield self._bind(message)
            elif isinstance(message, asked.Describe):
                text, start = self._of(message.name, portal=message.portal)
                with self._do.working():
                    yield self._described(message)
            elif isinstance(message, asked.Execute):
                text, start = self._of(message.portal, portal=True)
                with self._do.working():
                    yield from self._executed(message)
            elif isinstance(message, asked.Close):
                if message.portal:
                    self._kept.drop(message.name)
                else:
                    self._kept.statements.pop(message.name, None)
                yield said.CLOSED
            elif isinstance(message, asked.FunctionCall):
                raise failure("0A000", "The function call of the old protocol is not done.", "Write SELECT.")
            else:
                raise failure(PROTOCOL, f"{type(message).__name__} was not expected here")
        except (Exception, KeyboardInterrupt) as error:
            self._skipping = True
            yield self._fails(error, text, start)

    def _of(self, name: str, *, portal: bool = False) -> tuple[str, int]:
        """The text of what is meant and where its statement begins, for the caret of an error."""
        kept = self._kept.portals.get(name) if portal else None
        prepared = kept.prepared if kept is not None else self._kept.statements.get(name)
        if prepared is None or not isinstance(prepared.command, Tilth):
            return "", 0
        return prepared.text, prepared.command.start

    def _full(self, kept: dict[str, Any]) -> None:
        if len(kept) >= MOST_KEPT:
            raise failure("53000", f"This connection keeps {MOST_KEPT:,} statements or cursors already.", "Send DEALLOCATE ALL, or CLOSE ALL.")  # fmt: skip

    def _parse(self, message: asked.Parse) -> bytes:
        if message.name and message.name in self._kept.statements:
            raise failure("42P05", f'prepared statement "{message.name}" already exists')
        self._full(self._kept.statements)
        found = commands(message.text, NAMES)
        if len(found) > 1:
            raise failure("42601", "cannot insert multiple commands into a prepared statement", "Send them one by one.")  # fmt: skip
        command = found[0] if found else None
        self._check(command)
        oids = message.types
        inner = _query_of(command)
        if inner is not None:
            oids = self._do.types(inner, oids)
        self._kept.statements[message.name] = Prepared(message.text, command, oids)
        return said.PARSED

    def _statement(self, name: str) -> Prepared:
        found = self._kept.statements.get(name)
        if found is None:
            shown = f'prepared statement "{name}"' if name else "unnamed prepared statement"
            raise failure("26000", f"{shown} does not exist")
        return found

    def _portal(self, name: str) -> Portal:
        found = self._kept.portals.get(name)
        if found is None:
            raise failure("34000", f'portal "{name}" does not exist')
        return found

    def _bind(self, message: asked.Bind) -> bytes:
        prepared = self._statement(message.statement)
        if len(message.values) != len(prepared.oids):
            raise failure(
                PROTOCOL,
                f'bind message supplies {len(message.values)} parameters, but prepared statement "{message.statement}" requires {len(prepared.oids)}',
            )
        if message.portal and message.portal in self._kept.portals:
            raise failure("42P03", f'portal "{message.portal}" already exists')
        self._full(self._kept.portals)
        try:
            values = given.values(message.values, message.formats, prepared.oids)
        except given.BadValue as error:
            raise failure(error.state, str(error)) from error
        self._check(prepared.command)
        self._kept.put(message.portal, Portal(prepared, values, message.answered))
        return said.BOUND

    def _described(self, message: asked.Describe) -> bytes:
        if message.portal:
            portal = self._portal(message.name)
            columns = self._columns_of(portal)
            return said.NO_ROWS if columns is None else said.columns(columns, portal.formats)
        prepared = self._statement(message.name)
        self._check(prepared.command)
        columns = self._do.described(prepared, self._kept.portals)
        prepared.columns = columns
        rows = said.NO_ROWS if columns is None else said.columns(columns)
        return said.taken(prepared.oids) + rows

    def _columns_of(self, portal: Portal) -> tuple[said.Column, ...] | None:
        """The columns of what a portal gives; it is begun for that, unless it acts."""
        command = portal.prepared.command
        self._check(command)
        if isinstance(command, Tilth) and not self._do.acts(command):
            portal.rows = portal.rows or self._perform(command, portal.values)
        elif isinstance(command, ShowSetting):
            return self._do.shown(command).columns
        elif isinstance(command, Fetch) and not command.silent:
            return self._begun(self._cursor(command.name)).columns
        return None if portal.rows is None else portal.rows.columns

    def _executed(self, message: asked.Execute) -> Iterator[bytes]:
        portal = self._portal(message.portal)
        command = portal.prepared.command
        self._check(command)
        if command is None:
            yield said.EMPTY
        elif isinstance(command, Tilth):
            yield from self._of_tilth(portal, command, message.most or None)
        elif isinstance(command, Fetch):
            yield from self._fetched(command, self._cursor(command.name), portal.formats)
        elif isinstance(command, ShowSetting):
            yield from self._shown(command, portal.formats or (0,), described=False)
        elif isinstance(command, Declare):
            yield from self._declared(command, portal.values)
        else:
            yield from self._session(command)

    def _of_tilth(self, portal: Portal, command: Tilth, most: int | None) -> Iterator[bytes]:
        if portal.done is not None:
            yield said.complete(portal.done)
            return
        if portal.rows is None:
            portal.rows = self._perform(command, portal.values)
        found = portal.rows
        if found is None:
            portal.done = tag_of(command, self._do.facts)
            yield said.complete(portal.done)
            return
        known = portal.prepared.columns
        if known is not None and [c.type for c in known] != [c.type for c in found.columns]:
            raise failure(
                "0A000", "cached plan must not change result type", "Prepare the statement once more."
            )
        try:
            formats = said.spread(portal.formats, len(found.kinds))
        except ValueError as error:
            raise failure(PROTOCOL, str(error)) from error
        before = found.taken
        yield from self._rows(found, formats, most)
        if most is not None and found.more:
            yield said.SUSPENDED
            return
        tag = tag_of(command, self._do.facts, found.taken if most is None else found.taken - before)
        if most is not None:
            self._do.notices(found.result.told)
        portal.close()
        portal.done = tag
        yield said.complete(tag)


def _query_of(command: Command | None) -> Tilth | None:
    """The statement whose parameters a client may give."""
    if isinstance(command, Tilth):
        return command
    return command.query if isinstance(command, Declare) else None
