"""The overview: the loop as a picture, what needs attention, what comes next, and how requests are answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from tilth.interfaces.console import places
from tilth.interfaces.console.looking import Looking, Page
from tilth.interfaces.drawing import graph
from tilth.runtime.showing import loop

COLUMNS = ("source", "view", "dataset", "model", "endpoint")
CONCERNS, COMING = 12, 12  # that are shown unfolded
QUERY = "SELECT * FROM tilth.generations ORDER BY created_at DESC LIMIT 20"


def overview(at: Looking) -> Page:
    """The page at `/`."""
    served = at.served if at.served.get("environment") == at.environment else {}
    found = loop.loop(at.work, at.environment, at.graph, served)

    def more(column: str, count: int) -> graph.Box:
        place = places.of(column)
        return graph.Box(column, f"{count} more {column}s", "", (), (), at.url(place) if place else "")

    drawn = graph.graph(
        [
            graph.Box(n.kind, n.name, n.state, n.lines, n.needs, link(at, n.kind, n.name))
            for n in found["nodes"]
        ],
        COLUMNS,
        more,
    )
    values = {
        "drawn": Markup(drawn),  # noqa: S704  # the drawing escapes what is in it
        "concerns": [(c, link(at, c.kind, c.name)) for c in found["concerns"]], "coming": [(n, link(at, n.kind, n.name)) for n in found["next"]],
        "endpoints": [_endpoint(e, served) for e in found["endpoints"]], "found": found, "shown": (CONCERNS, COMING),
        "link": lambda kind, name: link(at, kind, name),
    }  # fmt: skip
    return Page("Overview", "overview.html", values, QUERY)


def link(at: Looking, kind: str, name: str) -> str:
    """The page of a thing; nothing where it has none."""
    place = places.of(kind)
    return at.url(place, name) if place and name else ""


def _endpoint(one: Mapping[str, Any], served: Mapping[str, Any]) -> dict[str, Any]:
    live = served.get("endpoints", {}).get(one["name"]) or {}
    asked = live.get("requests", {})
    rollout = live.get("rollout") or {}
    return {
        **one,
        "answering": live.get("answering") or [v for v in (one["version"],) if v is not None],
        "stage": live.get("stage") or one["stage"],
        "requests": [(_became(status), n) for status, n in sorted(asked.items())],
        "rollout": f"{rollout['requests']} seen, {rollout['errors']} failed, {rollout['disagreed']} disagreed"
        if rollout
        else "",
        "without_key": live.get("rows_without_key", 0),
    }


def _became(status: str) -> str:
    return "answered" if status < "400" else f"{'refused' if status < '500' else 'failed'} ({status})"
