"""One connection of the Postgres door: its bytes, who it is, and the thread in which what it asks is performed.

The event loop reads and writes; a conversation works in a thread of a pool, one statement of a connection at a time, and gives
its answer piece by piece, each of which is sent before the next is made.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import ssl
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tilth.core.errors import TilthError, UnknownNameError
from tilth.core.principals import Principal
from tilth.interfaces.pgwire import asked, frames, said
from tilth.interfaces.pgwire.conversation import Conversation
from tilth.interfaces.pgwire.failures import PROTOCOL, reported
from tilth.interfaces.pgwire.letting_in import OWNER_NAME, Doorkeeper, Guest
from tilth.interfaces.pgwire.performing import Performing, Server
from tilth.interfaces.pgwire.said import Report
from tilth.interfaces.pgwire.settings import Settings
from tilth.runtime.scram import MECHANISM, Exchange, Refused

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

READ = 65_536
PATIENCE = 30.0  # seconds until it is known who asks
LAST = 5.0  # seconds that a goodbye may take
MINOR = 0
ANY = frozenset({OWNER_NAME, "postgres", ""})
"""Names of a database that mean the environment that is served: what clients ask for by default."""
MOST_ASKED, MOST_BYTES = 10_000, 64 << 20  # messages that wait, and what they hold


class _Gone(Exception):
    """The client is not there any more, or is not let in: nothing more is said."""


@dataclass(slots=True)
class Talks:
    """The connections that there are, by the number that each was told: who wants to cancel shows it with a key."""

    by_number: dict[int, tuple[bytes, Callable[[], None]]] = field(default_factory=dict)
    _last: int = 1000

    def add(self, stop: Callable[[], None]) -> tuple[int, bytes]:
        self._last += 1
        key = secrets.token_bytes(4)
        self.by_number[self._last] = (key, stop)
        return self._last, key

    def cancel(self, number: int, key: bytes) -> None:
        """What runs for that connection ends; with another key nothing happens, and nobody is told."""
        known = self.by_number.get(number)
        if known is not None and secrets.compare_digest(known[0], key):
            known[1]()


@dataclass(frozen=True, slots=True)
class Shared:
    """What all connections of a door have in common."""

    server: Server
    keeper: Doorkeeper
    talks: Talks
    pool: Executor
    context: ssl.SSLContext | None
    must_encrypt: bool
    tell: Callable[[str], None]


class Connection:
    """Serves one client to its end."""

    def __init__(self, shared: Shared, reader: StreamReader, writer: StreamWriter) -> None:
        self._shared, self._reader, self._writer = shared, reader, writer
        self._loop = asyncio.get_running_loop()
        self._frames = frames.Frames()
        self._waiting: deque[frames.Packet] = deque()
        self._encrypted = False
        self._number = 0
        self._talk: Conversation | None = None

    async def serve(self) -> None:
        """Until the client is gone; whatever happens is this connection's alone."""
        try:
            async with asyncio.timeout(PATIENCE):
                talk = await self._let_in()
            if talk is not None:
                await self._talked(talk)
        except frames.BadPacket as error:
            await self._goodbye(Report("FATAL", PROTOCOL, f"{error}"))
        except TimeoutError:
            await self._goodbye(Report("FATAL", "08006", "authentication timed out"))
        except (ConnectionError, _Gone, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        except Exception as error:
            self._shared.tell(f"postgres: {type(error).__name__}: {error}")
            await self._goodbye(reported(error))
        finally:
            self._shared.talks.by_number.pop(self._number, None)
            if self._talk is not None:
                self._talk.cancel()
                await self._loop.run_in_executor(self._shared.pool, self._talk.close)
            self._writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
                async with asyncio.timeout(LAST):
                    await self._writer.wait_closed()

    # --- who it is -----------------------------------------------------------------------------------------

    async def _packet(self) -> frames.Packet:
        """The next whole packet."""
        while not self._waiting:
            data = await self._reader.read(READ)
            if not data:
                raise _Gone
            self._frames.feed(data)
            self._waiting.extend(self._frames.packets())
        return self._waiting.popleft()

    async def _let_in(self) -> Conversation | None:
        startup = await self._startup()
        if startup is None:
            return None
        user = startup.parameters.get("user", "")
        guest = self._shared.keeper.guest(user)
        principal = await self._checked(guest)
        self._shared.keeper.came_in(guest)
        self._frames.trust()
        try:
            environment = self._environment(startup.parameters.get("database", user))
            asked_for = {
                n: v
                for n, v in startup.parameters.items()
                if n not in {"user", "database", "options", "replication"}
            }
            settings = Settings.of(user, {**asked_for, **_options(startup.parameters.get("options", ""))})
        except TilthError as error:
            await self._goodbye(_fatal(error))
            return None
        self._number, key = self._shared.talks.add(self._cancel)
        performing = Performing(self._shared.server, environment, principal, user, self._number, settings, self._say)  # fmt: skip
        self._talk = Conversation(performing, self._say, self._shared.tell)
        self._writer.write(
            (said.negotiated(MINOR, startup.options) if startup.minor > MINOR or startup.options else b"")
            + said.parameters(settings.values())
            + said.cancelled_by(self._number, key)
            + b"".join(said.reported(Report("WARNING", "01000", words)) for words in settings.told)
            + said.ready(b"I")
        )
        return self._talk

    async def _startup(self) -> frames.Startup | None:
        """What the connection begins with; TLS is spoken from then on if it was asked for and there is a certificate."""
        for _ in range(4):
            first = await self._packet()
            if isinstance(first, frames.Encryption):
                await self._encryption(first)
                continue
            if isinstance(first, frames.Cancel):
                self._shared.talks.cancel(first.process, first.key)
                return None
            assert isinstance(first, frames.Startup)
            if self._shared.must_encrypt and not self._encrypted:
                await self._goodbye(Report("FATAL", "28000", "this server takes connections with TLS alone", hint="Write sslmode=require."))  # fmt: skip
                return None
            return first
        raise frames.BadPacket("too many requests for encryption")

    async def _encryption(self, wanted: frames.Encryption) -> None:
        if not wanted.tls or self._shared.context is None or self._encrypted:
            self._writer.write(said.NO_ENCRYPTION)
            return
        if not self._frames.empty or self._waiting:
            raise frames.BadPacket("bytes before TLS was agreed upon")  # CVE-2021-23222
        self._writer.write(said.ENCRYPTION)
        await self._writer.drain()
        await self._writer.start_tls(self._shared.context, ssl_handshake_timeout=PATIENCE)
        self._encrypted = True

    async def _checked(self, guest: Guest) -> Principal:
        """Who it is, once the password was shown."""
        self._writer.write(said.sasl([MECHANISM]))
        exchange = Exchange(guest.verifier)
        try:
            mechanism, first = _initial(await self._response())
            if mechanism != MECHANISM:
                raise Refused(f"{mechanism} is not spoken here")
            self._writer.write(said.sasl_continued(exchange.first(first)))
            final = exchange.final(await self._response())
        except Refused:
            await self._goodbye(_refused(guest))
            raise _Gone from None
        if guest.principal is None:
            await self._goodbye(_refused(guest))
            raise _Gone
        self._writer.write(said.sasl_final(final) + said.AUTHENTICATED)
        return guest.principal

    async def _response(self) -> bytes:
        packet = await self._packet()
        found = asked.read(packet) if isinstance(packet, frames.Message) else None
        if not isinstance(found, asked.Response):
            raise frames.BadPacket("no answer to who it is")
        return found.body

    def _environment(self, name: str) -> str:
        """The environment that a database's name means."""
        if name in ANY or name == self._shared.server.environment:
            return self._shared.server.environment
        known = self._shared.server.environments()
        if name in known:
            return name
        raise UnknownNameError(
            f'database "{name[:63]}" does not exist',
            hint=f"A database is an environment: {', '.join(dict.fromkeys((self._shared.server.environment, *known)))}.",
        )

    # --- what it asks --------------------------------------------------------------------------------------

    def _say(self, data: bytes) -> None:
        """From any thread: what is sent before the next piece of an answer."""
        self._loop.call_soon_threadsafe(self._write, data)

    def _write(self, data: bytes) -> None:
        if not self._writer.is_closing():
            self._writer.write(data)

    def _cancel(self) -> None:
        if self._talk is not None:
            self._talk.cancel()

    async def _talked(self, talk: Conversation) -> None:
        """Messages as they come; those that came together are answered in one go of a thread."""
        await self._writer.drain()
        while True:
            messages = [await self._packet()]
            while self._waiting and len(messages) < MOST_ASKED:
                messages.append(self._waiting.popleft())
            pieces = _answers(talk, messages)
            gone = asyncio.ensure_future(self._watched())
            try:
                while (piece := await self._loop.run_in_executor(self._shared.pool, _next, pieces)) is not None:  # fmt: skip
                    if self._writer.is_closing():
                        raise _Gone
                    self._writer.write(piece)
                    await self._writer.drain()
            finally:
                gone.cancel()
                try:
                    with contextlib.suppress(asyncio.CancelledError):
                        await gone
                finally:  # the statement of one that is gone works no more, and gives its turn back
                    await self._loop.run_in_executor(self._shared.pool, pieces.close)
            if _ends(messages):
                return

    async def _watched(self) -> None:
        """While a statement is performed, what the client sends is read; one that is gone cancels it."""
        while len(self._waiting) < MOST_ASKED and self._frames.size + _held(self._waiting) < MOST_BYTES:
            try:
                data = await self._reader.read(READ)
            except ConnectionError:
                data = b""
            if not data:
                self._cancel()
                return
            self._frames.feed(data)
            self._waiting.extend(self._frames.packets())

    async def _goodbye(self, report: Report) -> None:
        fatal = Report("FATAL", report.state, report.words, report.detail, report.hint)
        with contextlib.suppress(ConnectionError, TimeoutError, ssl.SSLError):
            async with asyncio.timeout(LAST):
                self._writer.write(said.reported(fatal))
                await self._writer.drain()


ALONE = frozenset({b"Q", b"F"})
"""Messages that are answered to their end without a Sync."""
GATHERED = 32_768  # bytes of small messages that are sent together


def _answers(talk: Conversation, messages: list[frames.Packet]) -> Generator[bytes]:
    """What answers the messages, small pieces put together."""
    held = bytearray()
    for packet in messages:
        assert isinstance(packet, frames.Message)
        try:
            message = asked.read(packet)
        except asked.BadMessage as error:
            held += talk.bad(str(error), alone=packet.kind in ALONE)
            continue
        if isinstance(message, asked.Terminate):
            break
        for piece in talk.answer(message):
            held += piece
            if len(held) > GATHERED:
                yield bytes(held)
                held.clear()
    if held:
        yield bytes(held)


def _held(waiting: Iterable[frames.Packet]) -> int:
    """Bytes of messages that wait."""
    return sum(len(p.body) for p in waiting if isinstance(p, frames.Message))


def _next(pieces: Iterator[bytes]) -> bytes | None:
    return next(pieces, None)


def _ends(messages: list[frames.Packet]) -> bool:
    return any(isinstance(m, frames.Message) and m.kind == b"X" for m in messages)


def _initial(body: bytes) -> tuple[str, bytes]:
    """The mechanism that a client chose, and what it says first."""
    name, mark, rest = body.partition(b"\0")
    if not mark or len(rest) < 4:
        raise Refused("the first answer cannot be read")
    length = int.from_bytes(rest[:4], "big", signed=True)
    return name.decode("ascii", "replace"), rest[4:] if length >= 0 else b""


def _options(text: str) -> dict[str, str]:
    """`-c name=value` of the parameter `options`."""
    found = {}
    words = text.replace("\\ ", "\0").split()
    for place, word in enumerate(words):
        pair = word.removeprefix("-c") if word.startswith("-c") else word.removeprefix("--") if word.startswith("--") else ""  # fmt: skip
        if word == "-c" and place + 1 < len(words):
            pair = words[place + 1]
        name, mark, value = pair.partition("=")
        if mark:
            found[name] = value.replace("\0", " ")
    return found


def _refused(guest: Guest) -> Report:
    if guest.refused is not None:
        return Report("FATAL", "28P01", guest.refused.message, hint=guest.refused.hint)
    return Report(
        "FATAL", "28P01", "password authentication failed",
        hint=f"The password of {OWNER_NAME} is the token in .tilth/token of the project; another token's is the token itself, and its name the user.",
    )  # fmt: skip


def _fatal(error: TilthError) -> Report:
    state = "3D000" if error.message.startswith("database ") else error.sqlstate
    return Report("FATAL", state, error.message, hint=error.hint)
