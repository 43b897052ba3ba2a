"""Reads copies of remote files, each time in a jailed process of its own (`child`): whoever wrote them may be anybody."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from tilth.adapters.sources.files.options import Format
from tilth.adapters.sources.processes import Processes
from tilth.adapters.sources.remote.copies import Copy
from tilth.core import errors
from tilth.core.errors import SourceError, TilthError
from tilth.core.schema import Schema
from tilth.ports.source import Notice
from tilth.ports.streams import closing

if TYPE_CHECKING:
    import pyarrow as pa

MEMORY, SECONDS = 2_000_000_000, 86_400


@dataclass(frozen=True, eq=False, slots=True)
class Looked:
    """What a look at all of a table's rows found."""

    schema: Schema
    notices: tuple[Notice, ...]
    broken: Any  # a pa.Table: line, text, reason


class Readers:
    """The processes that read for one source."""

    def __init__(self, what: str) -> None:
        self._processes = Processes(
            "tilth.adapters.sources.remote.child", _refused, what,
            "The files may be damaged or crafted, or need more memory than 2 GB to be read: open them with another program, or divide them.",
        )  # fmt: skip
        self._looked: dict[int, tuple[Copy, Format, Looked]] = {}
        self._lock = threading.Lock()

    def look(self, table: str, copy: Copy, form: Format) -> Looked:
        """The columns, what was guessed, and the rows that cannot be read; looked at once for each copy."""
        with self._lock:
            known = self._looked.get(id(copy))
        if known is not None and known[0] is copy and known[1] == form:
            return known[2]
        rows = self._read(copy, {"ask": "look", "table": table, "format": msgspec.to_builtins(form)})
        broken = rows.read_all()
        told = json.loads(broken.schema.metadata[b"tilth"])
        found = Looked(
            Schema.from_plain(told["schema"]),
            tuple(msgspec.convert(n, Notice) for n in told["notices"]),
            broken.replace_schema_metadata(None),
        )
        with self._lock:
            self._looked[id(copy)] = (copy, form, found)
            while len(self._looked) > 8:
                del self._looked[next(iter(self._looked))]
        return found

    def rows(
        self, table: str, copy: Copy, form: Format, columns: Sequence[str], where: str
    ) -> pa.RecordBatchReader:
        """These columns of the rows where the SQL condition holds."""
        spec = {"ask": "rows", "table": table, "format": msgspec.to_builtins(form)}
        return self._read(copy, {**spec, "columns": list(columns), "where": where})

    def stop(self) -> None:
        """End what is being read, from another thread."""
        self._processes.stop()

    def _read(self, copy: Copy, spec: Mapping[str, object]) -> pa.RecordBatchReader:
        scratch = os.path.join(copy.folder, "scratch")
        os.makedirs(scratch, 0o700, exist_ok=True)
        rows = self._processes.read(
            {
                **spec, "folder": copy.folder, "paths": copy.paths, "shown": copy.shown, "scratch": scratch,
                "memory": MEMORY, "seconds": SECONDS,
            }
        )  # fmt: skip
        return closing(rows, lambda: _let_go(copy))


def _let_go(copy: Copy) -> None:
    """The stream holds the copy until its end: it is not removed while it is read."""
    del copy


def _refused(said: Mapping[str, str]) -> TilthError:
    """An error of the process: ours as it was, a stranger's by its kind alone."""
    kind = getattr(errors, str(said.get("kind")), None)
    if isinstance(kind, type) and issubclass(kind, TilthError) and said.get("said"):
        return kind(str(said["said"]), hint=str(said.get("hint")) or None)
    return SourceError(
        f"The files could not be read ({said.get('kind')}).",
        hint="Check that they are complete and of the kind their names say; or divide them, if memory ran out.",
    )
