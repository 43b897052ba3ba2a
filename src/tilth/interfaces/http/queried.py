"""What the console's SQL page asks of the door: statements of a form without scripts, charts of a result, and what was asked before.

With scripts the page sends its statements to `/sql`, with the session's key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from math import inf
from typing import Any

import msgspec

from tilth.core.errors import InputError
from tilth.core.figures import sql_text
from tilth.core.principals import Principal
from tilth.interfaces.drawing import charts
from tilth.interfaces.drawing.tables import short
from tilth.interfaces.drawing.timeline import Line, timeline
from tilth.interfaces.http.asking import Asking
from tilth.interfaces.values import values
from tilth.ports.progress import Silent
from tilth.runtime.record import environments, statements

MOST = 200  # rows of an answer without scripts
POINTS = 2_000  # of a chart
HISTORY = 40
LONGEST = 300  # characters of a cell
BARS = 40
MOST_PLACE = 1e300  # of a number in a chart: beyond it there is no distance between two


class Chart(msgspec.Struct, forbid_unknown_fields=True):
    """A chart to draw: `x` are numbers, moments in ISO 8601 or texts, `y` up to two lines of numbers."""

    x: list[Any]
    y: list[list[float | None]]
    names: list[str]


def chart(body: bytes) -> str:
    """The SVG of a chart: over time where x are moments, a line where they are numbers, bars where they are texts."""
    try:
        asked = msgspec.json.decode(body, type=Chart)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputError(
            f"The body is no chart: {error}.", hint='Send {"x": [1, 2], "y": [[3, 4]], "names": ["x", "y"]}.'
        ) from error
    lines = asked.y[:2]
    if (
        not asked.x
        or not lines
        or any(len(one) != len(asked.x) for one in lines)
        or len(asked.names) != len(lines) + 1
    ):
        raise InputError(
            "A chart needs as many values as places, and a name for each column.",
            hint="Choose other columns.",
        )
    if len(asked.x) > POINTS:
        raise InputError(f"A chart has at most {POINTS:,} points.", hint="Aggregate in the query.")
    lines = [[None if v is None else _place(v) for v in one] for one in lines]
    what = f"{' and '.join(asked.names[1:])} by {asked.names[0]}"
    pairs = [(x, [one[i] for one in lines]) for i, x in enumerate(asked.x) if x is not None]
    if not any(values[0] is not None for _, values in pairs):
        raise InputError("There is no value to draw.", hint="Choose a column of numbers.")
    if all(isinstance(x, str) for x, _ in pairs) and (moments := _moments([x for x, _ in pairs])):
        order = sorted(range(len(pairs)), key=moments.__getitem__)
        return timeline(
            what,
            [
                Line(asked.names[n + 1], [(moments[i], pairs[i][1][n]) for i in order])
                for n in range(len(lines))
            ],
        )
    if all(isinstance(x, int | float) and not isinstance(x, bool) for x, _ in pairs):
        points = sorted((_place(x), values[0]) for x, values in pairs if values[0] is not None)
        return charts.line(
            what,
            [x for x, _ in points],
            [y for _, y in points],
            (asked.names[0], asked.names[1]),
            dots=len(points) < 200,
        )
    named = [(str(x), values[0]) for x, values in pairs if values[0] is not None][:BARS]
    return charts.bars(what, [x for x, _ in named], [y for _, y in named], [f"{y:,.6g}" for _, y in named])


def _place(x: float) -> float:
    try:
        found = float(x)
    except OverflowError:
        found = inf
    if not abs(found) < MOST_PLACE:
        raise InputError(
            f"A chart has no place for numbers over {MOST_PLACE:g}.", hint="Divide the column in the query."
        )
    return found


def _moments(texts: Sequence[str]) -> list[datetime] | None:
    try:
        found = [datetime.fromisoformat(t) for t in texts]
    except ValueError:
        return None
    return [f.replace(tzinfo=UTC) if f.tzinfo is None else f for f in found]


def history(asking: Asking, by: Principal) -> bytes:
    """The newest statements of who asks, from this door, as JSON."""
    state = asking.session(None, by, Silent()).work.state
    found = statements.newest(state, by.text, HISTORY)
    return msgspec.json.encode([
        {"at": one.began_at, "status": one.status, "seconds": one.seconds, "rows": one.rows, "text": one.text, "environment": one.environment, "code": one.code}
        for one in found
    ])  # fmt: skip


async def answered(asking: Asking, by: Principal, text: str, environment: str) -> str:
    """What the statements of a form answer, as HTML with all values escaped: the first rows, or what was done."""
    return await asyncio.get_running_loop().run_in_executor(
        asking.pool, _performed, asking, by, text, environment
    )


def _performed(asking: Asking, by: Principal, text: str, environment: str) -> str:
    session = asking.session(environment, by, Silent())
    environments.require(session.work.state, environment)
    result = session.run(text, None)
    try:
        told = "".join(f"<p>{escape(words)}</p>" for words in (result.text, *result.told) if words)
        if result.reader is None:
            return told or "<p>Done.</p>"
        return _table(result.reader) + told
    finally:
        if result.reader is not None:
            result.reader.close()


def _table(reader: Any) -> str:
    rows: list[tuple[Any, ...]] = []
    more = False
    for batch in reader:
        columns = [values(c) for c in batch.slice(0, MOST + 1 - len(rows)).columns]
        rows += zip(*columns, strict=True)
        if len(rows) > MOST:
            more = True
            break
    names = [escape(n) for n in reader.schema.names]
    head = "".join(f"<th>{n}</th>" for n in names)
    body = "".join(
        f"<tr>{''.join(f'<td data-head={_attribute(n)}><span>{_cell(v)}</span></td>' for n, v in zip(names, row, strict=True))}</tr>"
        for row in rows[:MOST]
    )
    words = f"The first {MOST} rows." if more else f"{len(rows)} row{'' if len(rows) == 1 else 's'}."
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div><p class="soft">{words}</p>'


def _attribute(escaped: str) -> str:
    return f'"{escaped}"'


def _cell(value: Any) -> str:
    if value is None:
        return '<span class="soft">NULL</span>'
    return escape(short(sql_text(value), LONGEST))
