"""Where served predictions are written down, so that what was acknowledged can be replayed and judged later.

A record is one line of JSON, made by the server: `at` (an instant as `core.time.show_instant` writes it), `id`,
`endpoint` (empty for a batch), `model`, `version`, `digest`, `environment`, `role` (champion | canary | shadow | batch), `inputs`, `outputs` (objects)
and `score` (a number, or a list with one for each class; of several targets those of each, one after the other). `arrow` makes a table of such lines, the same for every log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from tilth.core.errors import StorageError

BATCH = "batch"
"""The role of a prediction that a statement wrote into a source; those of endpoints are champion, canary and shadow."""
TEXTS = ("at", "id", "endpoint", "model", "digest", "environment", "role")
COLUMNS = (
    "at", "id", "endpoint", "model", "version", "digest", "environment", "role", "inputs", "outputs", "score", "scores",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a reader has come: by segment, the bytes and the records read. Made by `PredictionLog.table`."""

    read: Mapping[str, tuple[int, int]]


START = Mark({})


class PredictionLog(Protocol):
    """Append-only. A record is one line of JSON without line breaks, made by the server."""

    def append(self, record: bytes) -> None:
        """Hand the record to the system before returning: it outlives the death of this process."""
        ...

    def flush(self) -> None:
        """Make everything appended so far outlive a loss of power too."""
        ...

    def segments(self) -> tuple[str, ...]:
        """Paths of the segment files, oldest first; the last one may still grow."""
        ...

    def records(self) -> Iterator[bytes]:
        """All whole records, oldest first; a torn last line (a crash in the middle of a write) is left out."""
        ...

    def table(
        self, after: Mark = START, since: str | None = None, *, strict: bool = False
    ) -> tuple[pa.Table, Mark]:
        """The records after the mark as a table of COLUMNS, and the mark to go on from.

        What is not as it was written is left out, or with `strict` a DamagedError.

        `inputs` and `outputs` are JSON texts; `score` is the one number or the greatest, `scores` the list of several.
        With `since` (an instant as text) records older than it may be left out, to save reading them.
        """
        ...

    def damaged(self) -> Iterator[StorageError]:
        """What cannot be read as it was written, each with its next step."""
        ...

    def compact(self) -> int:
        """Turn segments that nobody writes to any more into a smaller form; how many. Nothing is lost or doubled."""
        ...

    def forget(self, before: str) -> tuple[int, int]:
        """Remove what holds only records older than an instant and is written to no more: how many files, and bytes."""
        ...

    def drop(self, hits: Callable[[pa.Table], pa.Array]) -> tuple[int, int]:
        """Remove the records for which `hits` gives true, of all that nobody writes to any more: how many, and how many stay
        since their segment is still written to. Each file is replaced whole, or not at all.
        """
        ...


class MemoryLog:
    """The in-memory log, for tests without a disk."""

    def __init__(self) -> None:
        self._records: list[bytes] = []

    def append(self, record: bytes) -> None:
        self._records += record.split(b"\n")

    def flush(self) -> None:
        pass

    def segments(self) -> tuple[str, ...]:
        return ()

    def records(self) -> Iterator[bytes]:
        yield from self._records

    def table(
        self,
        after: Mark = START,
        since: str | None = None,
        *,
        strict: bool = False,  # noqa: ARG002  # nothing rots here
    ) -> tuple[pa.Table, Mark]:
        done = after.read.get("memory", (0, 0))[1]
        table, total = arrow(self._records[done:]), len(self._records)
        return table if since is None else _since(table, since), Mark({"memory": (0, total)})

    def damaged(self) -> Iterator[StorageError]:
        return iter(())

    def compact(self) -> int:
        return 0

    def drop(self, hits: Callable[[pa.Table], pa.Array]) -> tuple[int, int]:
        gone = [n for n, hit in enumerate(hits(arrow(self._records)).to_pylist()) if hit]
        self._records = [r for n, r in enumerate(self._records) if n not in set(gone)]
        return len(gone), 0

    def forget(self, before: str) -> tuple[int, int]:
        old = {n for n, at in enumerate(arrow(self._records)["at"].to_pylist()) if at < before}
        size = sum(len(self._records[n]) for n in old)
        self._records = [r for n, r in enumerate(self._records) if n not in old]
        return len(old), size


# --- lines as a table --------------------------------------------------------------------------------------


@cache
def _decoder() -> Any:
    import msgspec

    fields: list[Any] = [(name, str) for name in TEXTS]
    fields += [
        ("version", Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]),
        ("inputs", msgspec.Raw),
        ("outputs", msgspec.Raw),
    ]
    fields.append(("score", float | list[float] | None, None))
    return msgspec.json.Decoder(
        msgspec.defstruct("Record", fields, kw_only=True, forbid_unknown_fields=True, gc=False)
    )


def schema() -> pa.Schema:
    """The columns of `arrow`."""
    import pyarrow as pa

    kinds = {"version": pa.int64(), "score": pa.float64(), "scores": pa.list_(pa.float64())}
    return pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])


def arrow(lines: Sequence[bytes], *, strict: bool = False) -> pa.Table:
    """The records in these lines as a table. A line that is no such record is left out, or with `strict` a ValueError."""
    import pyarrow as pa

    rows = [row for row in _decoded(lines, strict=strict) if strict or _is_text(row)]
    several = [r.score if isinstance(r.score, list) else None for r in rows]
    columns: dict[str, Any] = {name: [getattr(r, name) for r in rows] for name in (*TEXTS, "version")}
    columns |= {
        name: pa.array([bytes(getattr(r, name)) for r in rows], pa.binary()).cast(pa.string())
        for name in ("inputs", "outputs")
    }
    columns["score"] = [max(r.score, default=None) if isinstance(r.score, list) else r.score for r in rows]
    columns["scores"] = several
    return pa.table({name: columns[name] for name in COLUMNS}, schema=schema())


def _since(table: pa.Table, since: str) -> pa.Table:
    import pyarrow.compute as pc

    return table.filter(pc.greater_equal(table.column("at"), since))


def _decoded(lines: Sequence[bytes], *, strict: bool) -> list[Any]:
    import msgspec

    decode = _decoder()
    try:
        found: list[Any] = decode.decode_lines(b"\n".join(lines)) if lines else []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if strict:
            raise ValueError("a line is not a record") from error
        return [row for line in lines if (row := _one(decode, line)) is not None]
    return found


def _one(decode: Any, line: bytes) -> Any:
    import msgspec

    try:
        return decode.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _is_text(row: Any) -> bool:
    """Whether what is kept as it was written is text; the decoder does not look into it."""
    try:
        return all(str(part, "utf-8") is not None for part in (row.inputs, row.outputs))
    except UnicodeDecodeError:
        return False
