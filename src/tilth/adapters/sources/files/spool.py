"""Files that DuckDB cannot read as they are, written anew as UTF-8 with one kind of line end.

The copy has no name: it is gone with the process, however that ends, and costs as much disk as the text is long.
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import tempfile
from typing import IO, TYPE_CHECKING, Any, cast

from tilth.core.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK = 1 << 20


def packing(path: str, compression: str | None) -> str:
    """gzip, zstd or none: as the source says, or by the name's ending."""
    if compression is not None:
        return compression
    return {".gz": "gzip", ".zst": "zstd"}.get(os.path.splitext(path)[1].lower(), "none")


def unpacked(path: str, compression: str | None) -> IO[bytes]:
    """The file's bytes, decompressed."""
    kind = packing(path, compression)
    if kind == "gzip":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if kind == "zstd":
        import pyarrow as pa

        return cast("IO[bytes]", pa.CompressedInputStream(pa.OSFile(path, "rb"), "zstd"))
    return open(path, "rb")


def start_of(path: str, compression: str | None, size: int) -> bytes:
    """The first bytes; an archive is read to its end, since DuckDB does not look at its checksum."""
    with unpacked(path, compression) as file:
        start = file.read(size)
        while packing(path, compression) != "none" and file.read(CHUNK):
            pass
    return start


def lines_of(path: str, compression: str | None, encoding: str) -> IO[str]:
    """The lines with their ends as they are; what cannot be decoded is replaced, for showing it only."""
    return io.TextIOWrapper(unpacked(path, compression), encoding, "replace", newline="")


def spooled(path: str, compression: str | None, encoding: str, shown: str) -> IO[bytes]:
    """An unnamed file with the text of the other, as UTF-8 with line feeds at line ends. Its path is `path_of`."""
    out = tempfile.TemporaryFile()  # noqa: SIM115 (whoever reads it closes it)
    try:
        decoder = codecs.getincrementaldecoder(encoding)("strict")
        ends = _line_ends()
        with unpacked(path, compression) as file:
            while data := file.read(CHUNK):
                out.write(ends(decoder.decode(data), False).encode("utf-8"))
        out.write(ends(decoder.decode(b"", True), True).encode("utf-8"))
        out.flush()
    except (UnicodeError, LookupError) as error:
        out.close()
        raise SourceError(
            f"{shown} is not text in the encoding {encoding}.",
            hint="Write the one it is in, for example format = {encoding: 'cp1252'}.",
        ) from error
    except BaseException:
        out.close()
        raise
    return out


def path_of(file: IO[bytes]) -> str:
    """Where DuckDB finds an unnamed file of this process."""
    return f"/proc/self/fd/{file.fileno()}"


def closed(files: list[IO[bytes]]) -> None:
    """Closes the copies of a table that nobody reads any more."""
    for file in files:
        file.close()


def _line_ends() -> Callable[[str, bool], str]:
    """Makes a line feed of every line end, also where a piece ends in the middle of one."""
    held, first = "", True

    def ended(text: str, last: bool) -> str:
        nonlocal held, first
        text, held = held + text, ""
        if first and text:
            text, first = text.removeprefix("\ufeff"), False
        if text.endswith("\r") and not last:
            text, held = text[:-1], "\r"
        return text.replace("\r\n", "\n").replace("\r", "\n")

    return ended


def line_ends(path: str, compression: str | None) -> set[str]:
    """The kinds of line ends in the file."""
    counts = {"\\r\\n": 0, "\\n": 0, "\\r": 0}
    last: Any = b""
    with unpacked(path, compression) as file:
        while data := file.read(CHUNK):
            both = data.count(b"\r\n") + (last == b"\r" and data[:1] == b"\n")
            counts["\\r\\n"] += both
            counts["\\n"] += data.count(b"\n") - both
            counts["\\r"] += data.count(b"\r") - both
            last = data[-1:]
    return {kind for kind, n in counts.items() if n > 0}
