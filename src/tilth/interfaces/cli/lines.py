"""What a server and its reconciler say on standard error: a line with the time, or one of JSON (`tilth up --log`)."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from tilth.interfaces.cli import show

TEXT, AS_JSON = "text", "json"
FORMS = (AS_JSON, TEXT)


def teller(form: str | None, first: Iterable[str] = ()) -> Callable[[str], None]:
    """What says a line: with the time on the wall, with date and time (text), or as JSON. The `first` ones are said at once."""
    say = {AS_JSON: _as_json, TEXT: _dated}.get(form or "", _timed)
    for line in first:
        say(line)
    return say


def now() -> str:
    """The real time, as logs have it."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _timed(line: str) -> None:
    write(f"{time.strftime('%H:%M:%S')} {show.clean(line)}\n")


def _dated(line: str) -> None:
    write(f"{now()} info {show.clean(line)}\n")


def _as_json(line: str) -> None:
    write(json.dumps({"time": now(), "level": "info", "message": line}, ensure_ascii=False) + "\n")
