"""`POST /sql`: statements with a token, answered as JSON, CSV, an Arrow stream or Parquet, piece by piece as rows come.

A statement is performed in a thread of a pool by a session of its own. An error before the first piece is an answer with its status
(`application/problem+json`, RFC 9457); after it the connection is broken off, so that no part looks like the whole.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import msgspec

from tilth.core.errors import CancelledError, InputError, TilthError, UnsupportedError
from tilth.core.principals import Principal
from tilth.interfaces.http.bodies import GoneError, Message, Receive, Send, WrongKindError, encode
from tilth.interfaces.http.journal import BY
from tilth.interfaces.values import values
from tilth.ports.progress import Progress
from tilth.runtime.record import environments

if TYPE_CHECKING:
    import pyarrow as pa

    from tilth.runtime.asking.prompt import Result
    from tilth.runtime.asking.session import Session

PROBLEM = b"application/problem+json"
ARROW, CSV, JSON = "application/vnd.apache.arrow.stream", "text/csv", "application/json"
PARQUET = "application/vnd.apache.parquet"
FORMS = (JSON, CSV, ARROW, PARQUET)
TEXTS = frozenset({"application/sql", "text/plain", "text/x-sql"})
GATHERED = 65_536  # bytes that are sent at once, at least, while more come
PIECE = 8_192  # rows that are written at once


class BrokenOffError(Exception):
    """An answer that had begun ended in an error: `cause`."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """What a body says."""

    sql: str
    parameters: dict[str, Any] | list[Any] | None = None
    environment: str | None = None
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Asking:
    """Answers statements. `session` makes a session in an environment (None: that which is served) for whoever asks."""

    session: Callable[[str | None, Principal, Progress], Session]
    pool: Executor

    async def answer(self, scope: Mapping[str, Any], body: bytes, receive: Receive, send: Send) -> None:
        """Perform the statements of a body and send what the last one answers."""
        headers = {n: v.decode("latin-1") for n, v in scope["headers"]}
        asked, form = read(headers.get(b"content-type", ""), body), wanted(headers.get(b"accept", ""))
        stop = _Stop()
        loop = asyncio.get_running_loop()
        watching = asyncio.ensure_future(_watch(receive, stop))
        pieces = self._pieces(asked, form, scope[BY], stop)
        try:
            first = await loop.run_in_executor(self.pool, _next, pieces)
            kind = form if form != CSV else f"{CSV}; charset=utf-8; header=present"
            more = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind.encode()), *more]})  # fmt: skip
            piece = first
            while piece is not None:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                try:
                    piece = await loop.run_in_executor(self.pool, _next, pieces)
                except Exception as error:
                    raise BrokenOffError(error) from error
            await send({"type": "http.response.body", "body": b""})
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError, GoneError):
                await watching
            stop.now()
            await loop.run_in_executor(self.pool, pieces.close)

    def _pieces(self, asked: Asked, form: str, by: Principal, stop: _Stop) -> Generator[bytes, None, None]:
        """The bytes of the answer, at least `GATHERED` of them at a time."""
        held = bytearray()
        try:
            session = self.session(asked.environment, by, stop)
            stop.session = session
            if asked.environment is not None:
                environments.require(session.work.state, asked.environment)
            if asked.timeout is not None:
                session.limits = replace(session.limits, seconds=asked.timeout)
            result = session.run(asked.sql, asked.parameters)
            try:
                for piece in WRITTEN[form](result):
                    stop.check()
                    held += piece
                    if len(held) >= GATHERED:
                        yield bytes(held)
                        held.clear()
            finally:
                if result.reader is not None:
                    result.reader.close()
        except (KeyboardInterrupt, CancelledError):
            raise GoneError from None
        yield bytes(held)


class _Stop:
    """A progress that tells nobody, and ends the work once nobody waits for it."""

    def __init__(self) -> None:
        self._over = False
        self.session: Session | None = None

    def now(self) -> None:
        """From any thread."""
        if not self._over:
            self._over = True
            if self.session is not None:
                self.session.cancel("the client")

    def check(self) -> None:
        if self._over:
            raise KeyboardInterrupt

    def step(self, what: str, done: float | None = None, note: str = "") -> None:
        del what, done, note
        self.check()


async def _watch(receive: Receive, stop: _Stop) -> None:
    """The client going away ends what it asked for."""
    while True:
        message: Message = await receive()
        if message["type"] == "http.disconnect":
            stop.now()
            return


def _next(pieces: Iterator[bytes]) -> bytes | None:
    return next(pieces, None)


# --- what is asked -----------------------------------------------------------------------------------------


def read(kind: str, body: bytes) -> Asked:
    """The body: a JSON object, or the text of statements."""
    bare = kind.partition(";")[0].strip().lower()
    if bare in TEXTS:
        try:
            return Asked(body.decode())
        except UnicodeDecodeError as error:
            raise InputError("The body is not text in UTF-8.", hint="Send UTF-8.") from error
    if bare not in {"", JSON, "application/x-www-form-urlencoded"}:
        raise WrongKindError(
            f"The body is said to be {bare[:100]!r}.",
            hint='Send {"sql": "SELECT ..."} as application/json, or the text alone as application/sql.',
        )
    try:
        found = msgspec.json.decode(body, type=Asked)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise InputError(
            f"The body is not what this path takes: {error}.",
            hint='Send {"sql": "SELECT ... WHERE x = $x", "parameters": {"x": 1}, "environment": "prod", "timeout": 30}.',
        ) from error
    if found.timeout is not None and not 0.001 <= found.timeout <= 86_400:
        raise InputError("`timeout` is a number of seconds up to 86,400.", hint="Write 30.")
    return found


def wanted(accept: str) -> str:
    """The form that a client prefers; JSON where it says nothing. UnsupportedError when it takes none of them."""
    if not accept:
        return JSON
    best = (0.0, "")
    for place, one in enumerate(accept.split(",")):
        kind, *parts = (w.strip().lower() for w in one.split(";"))
        share = next((p[2:] for p in parts if p.startswith("q=")), "1")
        weight = float(share) if share.replace(".", "", 1).isdigit() else 0.0
        for form in FORMS:
            whole = kind in {form, "*/*", f"{form.partition('/')[0]}/*"}
            if whole and weight - place / 1e6 > best[0]:
                best = (weight - place / 1e6, form)
    if not best[1]:
        raise NotAcceptableError(
            f"An answer is none of {accept[:100]!r}.", hint=f"Send Accept: {', '.join(FORMS)}."
        )
    return best[1]


class NotAcceptableError(UnsupportedError):
    http_status = 406


def problem(error: TilthError) -> bytes:
    """The error as a problem of RFC 9457, with the fields that errors have at every door."""
    fields = error.fields()
    return encode(
        {
            "type": f"urn:tilth:{error.code}", "title": error.message, "status": error.http_status, "sqlstate": error.sqlstate,
            **fields, **({"detail": error.hint} if error.hint else {}),
        }
    )  # fmt: skip


# --- what is answered --------------------------------------------------------------------------------------


def _json(result: Result) -> Iterator[bytes]:
    """`{"columns": [...], "rows": [[...]], "row_count": n, "notices": [...]}`; of an act its text and facts."""
    if result.reader is None:
        acted = {"columns": [], "rows": [], "row_count": 0, "notices": result.told}
        yield encode({**acted, "text": result.text, "facts": result.facts, "refused": result.refused})
        return
    schema, count = result.reader.schema, 0
    columns = [{"name": f.name, "type": str(f.type)} for f in schema]
    without = dict.fromkeys(schema.names, 0)
    yield b'{"columns":' + encode(columns) + b',"rows":['
    for batch in _slices(result.reader):
        rows = _rows(batch)
        yield (b"," if count and rows else b"") + rows
        count += batch.num_rows
        for name, column in zip(schema.names, batch.columns, strict=True):
            without[name] += _no_numbers(column)
    told = [
        f"{n:,} value{'s' * (n > 1)} of `{name}` {'are' if n > 1 else 'is'} NaN or infinite, which JSON has not: null here, and as they are in CSV and Parquet."
        for name, n in without.items() if n
    ]  # fmt: skip
    tail = {
        "row_count": count,
        "notices": [*result.told, *told],
        **({"text": result.text} if result.text else {}),
    }
    yield b"]," + encode(tail)[1:]


def _rows(batch: pa.RecordBatch) -> bytes:
    """The rows as JSON, without the brackets around them; maps whose keys JSON has not as lists of pairs."""
    for mapped in (True, False):
        columns = [values(c, mapped=mapped) for c in batch.columns]
        with contextlib.suppress(TypeError):
            return encode([list(row) for row in zip(*columns, strict=True)])[1:-1]
    raise UnsupportedError("The result has values that JSON has not.", hint="Ask for Accept: text/csv.")


def _no_numbers(column: pa.Array) -> int:
    """How many values are NaN or infinite."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_floating(column.type):
        return 0
    return int(len(column) - column.null_count - (pc.sum(pc.is_finite(column)).as_py() or 0))


def _csv(result: Result) -> Iterator[bytes]:
    from tilth.interfaces.pgwire import copying
    from tilth.interfaces.pgwire.types import type_of

    reader = result.reader if result.reader is not None else result.arrow().to_reader()
    kinds = [type_of(f.type) for f in reader.schema]
    yield from copying.csv(_slices(reader), reader.schema.names, kinds)


def _arrow(result: Result) -> Iterator[bytes]:
    import pyarrow as pa

    reader = result.reader if result.reader is not None else result.arrow().to_reader()
    sink = _Sink()
    with pa.ipc.new_stream(pa.PythonFile(sink, "w"), reader.schema) as out:
        for batch in reader:
            out.write_batch(batch)
            yield sink.taken()
    yield sink.taken()


def _parquet(result: Result) -> Iterator[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    reader = result.reader if result.reader is not None else result.arrow().to_reader()
    sink = _Sink()
    try:
        writer = pq.ParquetWriter(pa.PythonFile(sink, "w"), reader.schema, compression="zstd")
    except pa.ArrowNotImplementedError as error:
        kinds = ", ".join(f"`{f.name}` ({f.type})" for f in reader.schema if not _parquets(f))
        raise UnsupportedError(
            f"Parquet has no type for {kinds}.", hint="Cast it to TEXT in the query, or ask for text/csv."
        ) from error
    with writer as out:
        for batch in reader:
            out.write_batch(batch)
            yield sink.taken()
    yield sink.taken()


def _parquets(field: pa.Field) -> bool:
    """Whether Parquet has the type of the field."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        pq.ParquetWriter(pa.BufferOutputStream(), pa.schema([field])).close()
    except pa.ArrowNotImplementedError:
        return False
    return True


class _Sink:
    """A file whose bytes are taken as they are written."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._written = 0
        self.closed = False

    def write(self, data: bytes) -> int:
        self._held += data
        self._written += len(data)
        return len(data)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None: ...

    def close(self) -> None:
        self.closed = True

    def taken(self) -> bytes:
        found = bytes(self._held)
        self._held.clear()
        return found


def _slices(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    for batch in reader:
        for start in range(0, batch.num_rows, PIECE):
            yield batch.slice(start, PIECE)


WRITTEN: Mapping[str, Callable[[Result], Iterator[bytes]]] = {
    JSON: _json,
    CSV: _csv,
    ARROW: _arrow,
    PARQUET: _parquet,
}
