"""Reading the prediction log's folder: segments of JSON lines, and the Parquet files that closed segments become.

Each line ends with a checksum of itself, and a Parquet file has one before its footer: what rotted since is never taken
for a record. A segment and its Parquet file share a stem; where both are there, the Parquet file holds the records and the segment is a
left-over of a crash. A segment is closed when its writer's lock on it is gone, which a dead process cannot hold. Writing
is in `file_predictions`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING
from zlib import crc32

from tilth.adapters.files import durable, own
from tilth.core.errors import DamagedError, StorageError
from tilth.core.time import show_instant
from tilth.ports.predictions import START, Mark, arrow, schema

if TYPE_CHECKING:
    import pyarrow as pa

LINES, PARQUET = ".jsonl", ".parquet"
MEND = "Put the file back from a backup (`tilth restore FILE`), or move it away to go on without it."
MOST_BYTES = 1 << 30  # of a file: many times what a writer lets it grow to
GROUP_ROWS = 32_768
_AT = re.compile(rb'^\{"at": ?"([0-9T:.Z-]+)"', re.MULTILINE)
_CHECK = b',"crc":'  # what begins the last member of a line, the CRC-32 of the line without it
_CHECKED = re.compile(rb"\d{1,10}\}")
_SEAL = b"tilth.crc32"
WHOLE = (
    -1
)  # in a mark, in place of the bytes read: the Parquet file, which never changes, was read to its end


def stems(folder: str) -> tuple[str, ...]:
    """The segments' names without suffix, oldest first."""
    if not own.check(folder, folder=True):
        return ()
    found = {os.path.splitext(n)[0] for n in os.listdir(folder) if n.endswith((LINES, PARQUET))}
    return tuple(sorted(found))


def checked(record: bytes) -> bytes:
    """The record's lines, each with its checksum; one that is no object stays as it is."""
    if b"\n" in record:
        return b"\n".join(map(checked, record.split(b"\n")))
    return b'%b,"crc":%d}' % (record[:-1], crc32(record)) if record[-1:] == b"}" else record


def _unchecked(line: bytes) -> bytes | None:
    """The line as it was appended; None when it is not what was. Lines of before there was a checksum have none."""
    head, mark, found = line.rpartition(_CHECK)
    if not mark or not _CHECKED.fullmatch(found):
        return line
    plain = head + b"}"
    return plain if int(found[:-1]) == crc32(plain) else None


def read(
    folder: str, after: Mark = START, since: str | None = None, *, strict: bool = False
) -> tuple[pa.Table, Mark]:
    """What `ports.predictions.PredictionLog.table` says, of this folder."""
    import pyarrow as pa

    tables, marks = [schema().empty_table()], dict(after.read)
    for stem in stems(folder):
        offset, count = after.read.get(stem, (0, 0))
        if offset == WHOLE:
            continue
        found = _segment(folder, stem, offset)
        if found is None:
            path = os.path.join(folder, stem + PARQUET)
            if not os.path.exists(path):
                continue  # it was old, and went just now
            rows, total = _parquet(path, count, since)
            marks[stem] = (WHOLE, total)
        else:
            lines, end = found
            rows = arrow([line for line in lines if line is not None])
            if strict and rows.num_rows != len(lines):
                raise _damaged(os.path.join(folder, stem + LINES), len(lines) - rows.num_rows)
            marks[stem] = (end, count + rows.num_rows)
        if rows.num_rows:
            tables.append(rows)
    return pa.concat_tables(tables), Mark(marks)


def records(folder: str) -> Iterator[bytes]:
    """All whole records, oldest first."""
    for stem in stems(folder):
        found = _segment(folder, stem, 0)
        lines = found[0] if found is not None else _lines(os.path.join(folder, stem + PARQUET))
        yield from (line for line in lines if line is not None)


def damaged(folder: str) -> Iterator[StorageError]:
    """What of the log cannot be read as it was written, a file at a time."""
    for stem in stems(folder):
        try:
            found = _segment(folder, stem, 0)
            if found is None:
                path = os.path.join(folder, stem + PARQUET)
                if os.path.exists(path):
                    _parquet(path, 0, None)
            elif bad := len(found[0]) - arrow([line for line in found[0] if line is not None]).num_rows:
                yield _damaged(os.path.join(folder, stem + LINES), bad)
        except StorageError as error:
            yield error


def _damaged(path: str, count: int) -> DamagedError:
    lines = "1 line is" if count == 1 else f"{count:,} lines are"
    return DamagedError(f"The predictions in {path} are damaged: {lines} not what was written.", hint=MEND)


def _segment(folder: str, stem: str, offset: int) -> tuple[list[bytes | None], int] | None:
    """The lines that end, from an offset on, and where they do; None when the Parquet file counts.

    In the place of a line that is not what was written is None.
    """
    if os.path.exists(os.path.join(folder, stem + PARQUET)):
        return None
    data: bytes | None = None
    with contextlib.suppress(FileNotFoundError), _opened(os.path.join(folder, stem + LINES)) as file:
        file.seek(offset)
        data = file.read()
    if data is None:
        return None  # it became Parquet just now
    whole, _, _ = data.rpartition(b"\n")
    return (list(map(_unchecked, whole.split(b"\n"))), offset + len(whole) + 1) if whole else ([], offset)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    """A segment, when it is a file of ours and no longer than any; FileNotFoundError, or StorageError with the next step."""
    try:
        handle = own.open_file(path, os.O_RDONLY)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StorageError(
            f"The predictions in {path} cannot be read ({error.strerror}).",
            hint="Give this user access to the file.",
        ) from error
    with os.fdopen(handle, "rb") as file:
        if os.fstat(handle).st_size > MOST_BYTES:
            raise DamagedError(f"The predictions in {path} are longer than any that tilth writes.", hint=MEND)
        yield file


def _parquet(path: str, skip: int, since: str | None) -> tuple[pa.Table, int]:
    """The rows after the first `skip` of a file, without groups that are older than `since`; and how many it holds."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _readable(path), pq.ParquetFile(pa.BufferReader(_unsealed(path))) as file:
        total = file.metadata.num_rows
        if skip >= total:
            return schema().empty_table(), total
        parts, first = [schema().empty_table()], 0
        for group in range(file.metadata.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            start, first = max(0, skip - first), first + rows
            if start < rows and not _older(file.metadata.row_group(group), since):
                parts.append(file.read_row_group(group).slice(start))
        return pa.concat_tables(parts), total


def _sealed(data: bytes) -> bytes:
    """The bytes of a Parquet file with their checksum before its footer, where readers pass it over."""
    cut = _footer(data)
    return data[:cut] + _SEAL + crc32(data).to_bytes(4, "little") + data[cut:]


def _unsealed(path: str) -> bytes:
    """The bytes without the checksum; DamagedError when it is not theirs. Files of before there was one have none."""
    with _opened(path) as file:
        data = file.read()
    cut = _footer(data)
    start = cut - len(_SEAL) - 4
    if start < 0 or data[start : cut - 4] != _SEAL:
        return data
    plain = data[:start] + data[cut:]
    if crc32(plain) != int.from_bytes(data[cut - 4 : cut], "little"):
        raise DamagedError(
            f"The predictions in {path} are damaged: they are not what was written.", hint=MEND
        )
    return plain


def _footer(data: bytes) -> int:
    """Where the footer of a Parquet file begins: its length and four bytes more are last."""
    return len(data) - 8 - int.from_bytes(data[-8:-4], "little")


def _older(group: object, since: str | None) -> bool:
    """Whether the newest `at` (the first column) of a row group is older."""
    found = group.column(0).statistics  # type: ignore[attr-defined]
    return since is not None and found is not None and found.has_min_max and found.max < since


@contextlib.contextmanager
def _readable(path: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise DamagedError(f"The predictions in {path} cannot be read: {error}.", hint=MEND) from error


def _lines(path: str) -> list[bytes]:
    """The records of a Parquet file as the lines they were."""
    import json

    table, _ = _parquet(path, 0, None)
    out = []
    for row in table.to_pylist():
        score = row["score"] if row["scores"] is None else row["scores"]
        texts = {
            k: row[k] for k in ("at", "id", "endpoint", "model", "version", "digest", "environment", "role")
        }
        head = json.dumps(texts, separators=(",", ":"), ensure_ascii=False)[:-1]
        tail = f',"inputs":{row["inputs"]},"outputs":{row["outputs"]},"score":{json.dumps(score)}}}'
        out.append((head + tail).encode())
    return out


# --- closed segments ---------------------------------------------------------------------------------------


def compact(folder: str) -> int:
    """Turn closed segments into Parquet; how many. One that holds a line that is no record stays as it is."""
    done = 0
    for stem in stems(folder):
        path = os.path.join(folder, stem + LINES)
        with contextlib.suppress(FileNotFoundError), _opened(path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            done += _compacted(folder, stem, file.read())
    return done


def _compacted(folder: str, stem: str, data: bytes) -> bool:
    """Write, sync, rename, sync, and only then remove; at whatever point it ends, the records are there once."""
    final = os.path.join(folder, stem + PARQUET)
    if not os.path.exists(final):
        whole, _, _ = data.rpartition(b"\n")
        lines = [line for line in map(_unchecked, whole.split(b"\n")) if line is not None] if whole else []
        if whole and len(lines) <= whole.count(b"\n"):
            return False
        try:
            table = arrow(lines, strict=True)
        except ValueError:
            return False
        if table.num_rows:
            _write(table, final)
            durable.sync(folder)
    os.unlink(os.path.join(folder, stem + LINES))
    return True


def _write(table: pa.Table, final: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    made, fresh = pa.BufferOutputStream(), f"{final}.new"
    try:
        pq.write_table(table, made, compression="zstd", row_group_size=GROUP_ROWS)
        with open(fresh, "wb") as file:
            file.write(_sealed(made.getvalue().to_pybytes()))
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, final)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(fresh)
        raise StorageError(
            f"Predictions cannot be written to {final} ({error.strerror}).",
            hint="Free some space (`tilth gc` frees more, once it has a little to work with); the segment stays as it is.",
        ) from error


def drop(folder: str, hits: Callable[[pa.Table], pa.Array]) -> tuple[int, int]:
    """Remove records of closed segments: how many, and how many of those that were meant lie in segments that are not closed."""
    import pyarrow.compute as pc

    compact(folder)
    gone = stays = 0
    for stem in stems(folder):
        path = os.path.join(folder, stem + PARQUET)
        if not os.path.exists(path):
            found = _segment(folder, stem, 0)
            if found is not None:
                lines = [line for line in found[0] if line is not None]
                stays += int(pc.sum(hits(arrow(lines))).as_py() or 0)
            continue
        table, _ = _parquet(path, 0, None)
        hit = hits(table)
        if not (count := int(pc.sum(hit).as_py() or 0)):
            continue
        left = table.filter(pc.invert(hit))
        if left.num_rows:
            _write(left, path)
        else:
            os.unlink(path)
        durable.sync(folder)
        gone += count
    return gone, stays


# --- what is old -------------------------------------------------------------------------------------------


def forget(folder: str, before: str) -> tuple[int, int]:
    """Remove files whose newest record is older, and that nobody writes to: how many, and their bytes."""
    files = size = 0
    for stem in stems(folder):
        for path in (os.path.join(folder, stem + LINES), os.path.join(folder, stem + PARQUET)):
            with contextlib.suppress(FileNotFoundError, BlockingIOError), _opened(path) as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                newest = _newest(path, file.read()) if path.endswith(LINES) else _newest_group(path)
                if newest is not None and newest < before:
                    size += os.fstat(file.fileno()).st_size
                    os.unlink(path)
                    files += 1
    if files:
        durable.sync(folder)
    return files, size


def _newest(path: str, data: bytes) -> str | None:
    """The newest instant of JSON lines; of a segment without any, the time of its file."""
    found = max(_AT.findall(data), default=None)
    if found is not None:
        return str(found, "ascii")
    return show_instant(datetime.fromtimestamp(os.stat(path).st_mtime, UTC))


def _newest_group(path: str) -> str | None:
    """The newest instant of a Parquet file, from its footer; None when that does not say it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _readable(path):
        footer = pq.read_metadata(pa.BufferReader(_unsealed(path)))
    found = [footer.row_group(n).column(0).statistics for n in range(footer.num_row_groups)]
    if not found or not all(s is not None and s.has_min_max for s in found):
        return None
    return max(str(s.max) for s in found)


def held(handle: int) -> bool:
    """Mark an open segment as being written to; False when it was removed before that."""
    fcntl.flock(handle, fcntl.LOCK_SH)
    return os.fstat(handle).st_nlink > 0


def segments(folder: str) -> Sequence[str]:
    """Paths of the segment files that are still JSON lines, oldest first."""
    if not os.path.isdir(folder):
        return ()
    return [os.path.join(folder, n) for n in sorted(os.listdir(folder)) if n.endswith(LINES)]
