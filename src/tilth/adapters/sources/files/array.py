"""A JSON file that is one array of objects, written anew as lines: the copy has no name and is gone with the process."""

from __future__ import annotations

import tempfile
from typing import IO

from tilth.adapters.sources.files import duck
from tilth.adapters.sources.files.spool import packing, start_of
from tilth.core.errors import SourceError
from tilth.core.names import literal

BEGIN = 4096
LARGEST = 64 << 20  # bytes of one element


def array_lines(path: str, compression: str | None) -> IO[bytes] | None:
    """The elements as lines; None when the file is no array of objects. SourceError when it breaks off within."""
    start = start_of(path, compression, BEGIN).lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start.startswith(b"[") or start[1:].lstrip()[:1] != b"{":
        return None
    connection = duck.connected([path])
    packed = {"gzip": "gzip", "zstd": "zstd"}.get(packing(path, compression), "uncompressed")
    out = tempfile.TemporaryFile()  # noqa: SIM115 (whoever reads it closes it)
    try:
        rows = connection.execute(
            f"SELECT json::VARCHAR FROM read_json_objects({literal(path)}, format = 'array',"
            f" maximum_object_size = {LARGEST}, compression = {literal(packed)})"
        )
        while some := rows.fetchmany(10_000):
            out.write(
                "".join(text.replace("\r", " ").replace("\n", " ") + "\n" for (text,) in some).encode("utf-8")
            )
        out.flush()
    except duck.failures() as error:
        out.close()
        raise SourceError(
            "The file begins as one JSON array of objects and is none to its end.",
            hint="Check that it is complete; in a file of lines each line is one object.",
        ) from error
    except BaseException:
        out.close()
        raise
    finally:
        connection.close()
    return out
