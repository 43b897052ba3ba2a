"""What a stranger's code raises, told as one sentence that names its package: not as a fault of tilth, and without its text.

The text of such an error may hold a password or a row; what kind of error it was, and where, may not.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tilth.core.errors import SourceError, TilthError
from tilth.ports import registry
from tilth.ports.source import Source
from tilth.ports.streams import closing

OURS = "tilth"


class Answering:
    """A stranger's source, whose own errors become SourceErrors; it has the attributes that the source has."""

    def __init__(self, source: Any, engine: str) -> None:
        self._source, self._engine = source, engine

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._source, name)
        return _calling(value, self._engine, name) if callable(value) else value


def source(engine: str, make: Callable[[], Source]) -> Source:
    """What `make` gives; where the engine is not of our own package, its errors are told by name."""
    if registry.package("tilth.sources", engine) == OURS:
        return make()
    with told(engine, "from_options"):
        found: Any = Answering(make(), engine)
    return found  # type: ignore[no-any-return]


@contextmanager
def told(engine: str, doing: str) -> Iterator[None]:
    """SourceError for what the source engine raises in the block and is no error of ours."""
    try:
        yield
    except (TilthError, MemoryError):
        raise
    except Exception as error:
        raise _error(engine, doing, error) from error


def _calling(method: Callable[..., Any], engine: str, name: str) -> Callable[..., Any]:
    def called(*args: Any, **named: Any) -> Any:
        with told(engine, name):
            found = method(*args, **named)
        return _stream(found, engine, name) if name in {"scan", "native"} else found

    return called


def _stream(found: Any, engine: str, name: str) -> Any:
    """The stream, whose errors are told by name too; SourceError when it is none."""
    import pyarrow as pa

    if not isinstance(found, pa.RecordBatchReader):
        raise SourceError(
            f"`{name}` of the source engine `{engine}` gave a {type(found).__name__} and not a RecordBatchReader.",
            hint=_hint(engine),
        )
    return closing(found, lambda: None, lambda e: e if isinstance(e, TilthError) else _error(engine, name, e))


def _error(engine: str, doing: str, error: Exception) -> SourceError:
    steps = traceback.extract_tb(error.__traceback__)
    at = f" in {os.path.basename(steps[-1].filename)}:{steps[-1].lineno}" if steps else ""
    return SourceError(
        f"`{doing}` of the source engine `{engine}` failed: {type(error).__name__}{at}.", hint=_hint(engine)
    )


def _hint(engine: str) -> str:
    package = registry.package("tilth.sources", engine)
    return f"That is for the package {package} to mend: tilth.ports.source says what a source does."
