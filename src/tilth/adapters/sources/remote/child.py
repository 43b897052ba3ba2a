"""The process that reads copies of remote files: it locks itself up, opens one table's files, and sends Arrow.

It is told what to do by JSON on its input, answers on its output, and says an error as JSON on its error output. It can read the copies,
change its scratch folder, and nothing else. `reading` is the other side.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from typing import Any

from tilth.adapters.jails.jail import die_with_parent, enter
from tilth.core.errors import TilthError

BESIDE = 512 << 20  # address space of threads and of what DuckDB does not count
SPACE = 64 << 30  # bytes of one file that is unpacked


def main() -> None:
    """Do what is told, and end."""
    spec = json.load(sys.stdin)
    die_with_parent(spec["parent"])
    try:
        _run(spec)
    except BrokenPipeError:
        pass  # nobody wants the rest
    except TilthError as error:
        _say({"kind": type(error).__name__, "said": error.message, "hint": error.hint or ""})
    except BaseException as error:
        _say({"kind": type(error).__name__, "said": ""})
    os._exit(0)  # a library that was broken by the file is not asked to tidy up


def _say(what: dict[str, str]) -> None:
    json.dump(what, sys.stderr)
    sys.stderr.flush()


def _run(spec: dict[str, Any]) -> None:
    import msgspec
    import pyarrow as pa

    from tilth.adapters.sources.files import duck
    from tilth.adapters.sources.files.opening import open_table, schema_of
    from tilth.adapters.sources.files.options import Format

    duck.failures()  # imports what reads before the door is shut
    _warm()
    tempfile.tempdir = spec["scratch"]
    enter([spec["folder"]], [spec["scratch"]], spec["memory"] + BESIDE, spec["seconds"], file=SPACE)
    files = open_table(
        spec["table"], spec["paths"], spec["shown"], msgspec.convert(spec["format"], Format, strict=False)
    )
    if spec["ask"] == "look":
        told = {
            "schema": schema_of(files).plain(),
            "notices": [msgspec.to_builtins(n) for n in files.notices],
        }
        rows = files.broken()
        rows = rows.replace_schema_metadata({b"tilth": json.dumps(told).encode()}).to_reader()
    else:
        rows = duck.stream(files.connection.cursor(), files.scan_sql(spec["columns"], spec["where"]))
    with os.fdopen(1, "wb", closefd=False) as out, pa.ipc.new_stream(out, rows.schema) as sink:
        for batch in rows:
            sink.write_batch(batch)


def _warm() -> None:
    import pyarrow.parquet

    with contextlib.suppress(ImportError):
        import python_calamine  # noqa: F401
    del pyarrow


if __name__ == "__main__":
    main()
