"""The process that reads copies of remote files: it locks itself up, opens one table's files, and sends Arrow.

It can read the copies, change its scratch folder, and nothing else. `reading` is the other side.
"""

from __future__ import annotations

import contextlib
import json
import tempfile

from tilth.adapters.jails.jail import enter
from tilth.adapters.sources.answering import Spec, main, send
from tilth.core.errors import TilthError

BESIDE = 512 << 20  # address space of threads and of what DuckDB does not count
SPACE = 64 << 30  # bytes of one file that is unpacked


def _said(error: BaseException) -> dict[str, str]:
    """Our own errors as they are; of a stranger's only its kind."""
    if isinstance(error, TilthError):
        return {"kind": type(error).__name__, "said": error.message, "hint": error.hint or ""}
    return {"kind": type(error).__name__, "said": ""}


def _run(spec: Spec) -> None:
    import msgspec

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
    send(rows)


def _warm() -> None:
    import pyarrow.parquet

    with contextlib.suppress(ImportError):
        import python_calamine  # noqa: F401
    del pyarrow


if __name__ == "__main__":
    main(_run, _said)
