"""Queries that a process of their own answers with Arrow, so that each can be ended at any moment and harms nothing else when it ends.

The process is told what to do by JSON on its input, answers on its output, and says an error as JSON on its error output, with
`kind` and `said`. What is read in the process that asks is in `reads`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tilth.core.errors import SourceError, TilthError
from tilth.ports.streams import closing

if TYPE_CHECKING:
    import pyarrow as pa

_KEPT = frozenset(
    {"PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "VIRTUAL_ENV"}
)  # nothing that could hold a secret
_Process = subprocess.Popen[bytes]


class Processes:
    """Those of one source. `refused` makes our error of one that a process said; `broken` is what may be wrong when it said none."""

    def __init__(
        self, module: str, refused: Callable[[Mapping[str, str]], TilthError], what: str, broken: str
    ) -> None:
        self._module, self._refused, self._what, self._broken = module, refused, what, broken
        self._lock = threading.Lock()
        self._working: list[_Process] = []

    @property
    def working(self) -> int:
        """How many there are."""
        return len(self._working)

    def read(self, spec: Mapping[str, object]) -> pa.RecordBatchReader:
        """The rows of what `spec` asks; the process ends with the last of them."""
        import pyarrow as pa

        process = subprocess.Popen(
            [sys.executable, "-m", self._module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment(),
        )  # fmt: skip
        assert process.stdin is not None
        with self._lock:
            self._working.append(process)
        close = self._closer(process)
        try:
            process.stdin.write(json.dumps({**spec, "parent": os.getpid()}).encode())
            process.stdin.close()
            reader = pa.ipc.open_stream(process.stdout)
        except Exception as error:
            told = self._told(process, error)
            close()
            raise told from None
        except BaseException:
            close()
            raise

        def whole() -> Iterator[Any]:
            yield from reader
            if (said := _said(process)) is not None:
                raise self._refused(said)

        rows = pa.RecordBatchReader.from_batches(reader.schema, whole())
        return closing(rows, close, lambda error: self._told(process, error))

    def stop(self) -> None:
        """End all, from another thread; who reads hears it as an error."""
        with self._lock:
            found = list(self._working)
        for process in found:
            process.kill()

    def _closer(self, process: _Process) -> Callable[[], None]:
        def close() -> None:
            with self._lock:
                self._working = [p for p in self._working if p is not process]
            process.kill()
            for end in (process.stdin, process.stdout, process.stderr):
                if end is not None and not end.closed:
                    end.close()
            process.wait()

        return close

    def _told(self, process: _Process, error: Exception) -> TilthError:
        """What is told of an answer that broke off: what the process said, or how it ended."""
        if isinstance(error, TilthError):
            return error
        if (said := _said(process)) is not None:
            return self._refused(said)
        status = process.wait()
        how = f" by signal {-status}" if status < 0 else ""
        return SourceError(
            f"The process that read the {self._what} was ended{how}; nothing else was harmed.",
            hint=self._broken,
        )


def environment() -> dict[str, str]:
    """What a process is given of ours."""
    return {k: v for k, v in os.environ.items() if k in _KEPT}


def _said(process: _Process) -> Mapping[str, str] | None:
    """The error that the process said before it ended."""
    assert process.stderr is not None
    try:
        text = process.stderr.read()
        found = json.loads(text[text.rindex(b'{"kind"') :])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
