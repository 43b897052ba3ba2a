"""Templates into HTML: what every page has (head, navigation, foot, acts) and the filters that templates use. All values are escaped."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from tilth.core.errors import TilthError
from tilth.core.figures import figure
from tilth.core.sizes import show_size
from tilth.core.time import show_duration, show_instant
from tilth.interfaces.console import acts, files, places
from tilth.interfaces.console.looking import Looking, Page
from tilth.interfaces.drawing.tables import short
from tilth.runtime.record import environments

if TYPE_CHECKING:
    from jinja2 import Environment

NAVIGATION = (
    ("Overview", "/"),
    ("Datasets", "/datasets"),
    ("Models", "/models"),
    ("Endpoints", "/endpoints"),
    ("Environments", "/environments"),
    ("SQL", "/query"),
    ("Runs", "/runs"),
    ("Jobs", "/jobs"),
    ("Notices", "/notices"),
    ("Audit", "/audit"),
)
"""Words and place; a page below a place is of it."""
GOOD = frozenset({"done", "full", "promoted", "pass", "ok", "published", "good", "yes", "holds", "alive"})
WAITS = frozenset(
    {
        "running",
        "gone",
        "superseded",
        "shadow",
        "canary",
        "candidate",
        "held",
        "inconclusive",
        "degraded",
        "starting",
        "waiting",
        "warn",
        "late",
        "fitted",
        "rebuilt",
    }
)


@cache
def templates() -> Environment:
    """Jinja2 with the console's templates and filters."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = Environment(
        loader=PackageLoader("tilth.interfaces.console"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, auto_reload=False,
    )  # fmt: skip
    found.filters |= {
        "figure": _figure, "count": _count, "size": lambda v: "–" if v is None else show_size(int(v)), "time": lambda v: Markup("<time>{}</time>").format(_time(v)), "day": lambda v: _time(v)[:10],
        "span": show_duration, "state": state, "short": short,
    }  # fmt: skip
    found.globals |= {"ACTS": acts.ACTS}
    return found


def drawn(page: Page, looking: Looking, marks: Mapping[str, str]) -> str:
    """The page as HTML."""
    return (
        templates()
        .get_template(page.template)
        .render({**_common(looking, marks), **page.values, "page": page})
    )


def failed(error: TilthError, looking: Looking, marks: Mapping[str, str]) -> str:
    """The page that tells an error."""
    title = "Not found" if error.http_status == 404 else "It did not work"
    return drawn(Page(title, "error.html", {"error": error}, ""), looking, marks)


def _common(looking: Looking, marks: Mapping[str, str]) -> dict[str, Any]:
    """What the layout needs of any page."""
    named, number = _environments(looking)

    def do(act: str, **fields: object) -> str:
        """The URL of an act's page."""
        return places.url("acts", act, environment=looking.environment, seen=number, **fields)

    return {
        "project": looking.project.settings.name, "environment": looking.environment, "serving": looking.project.settings.serving,
        "environments": named, "generation": number, "served": looking.served, "looking": looking, "marks": marks, "url": looking.url,
        "do": do, "may": lambda act: looking.may(acts.ACTS[act].right), "navigation": NAVIGATION, "places": places.PLACES, "has_query": "/query" in places.PLACES, "files": files.names(), "now": show_instant(looking.now),
    }  # fmt: skip


def _environments(looking: Looking) -> tuple[tuple[str, ...], int]:
    """The environments there are, and the generation of the one that is looked at."""
    try:
        with looking.work.state.reading() as reader:
            known = environments.names(reader)
            return known or (looking.environment,), environments.current_number(reader, looking.environment)
    except TilthError:  # the page says what is wrong with the state
        return (looking.environment,), 0


def _figure(value: Any, digits: int = 4) -> str:
    return "–" if value is None else figure(value, digits) if isinstance(value, int | float) else str(value)


def _count(value: Any) -> str:
    return "–" if value is None else f"{value:,}"


def _time(value: Any) -> str:
    """To the minute, in UTC, as the head of the page says."""
    if value is None:
        return "–"
    text = show_instant(value) if isinstance(value, datetime) and value.tzinfo else str(value)
    return text[:16].replace("T", " ")


def state(word: Any) -> str:
    """Whether a word is good news: a class of the style sheet."""
    said = str(word)
    return "good" if said in GOOD else "warn" if said in WAITS else "bad"
