"""The page of an act: what it will do, asked once."""

from __future__ import annotations

from tilth.core.errors import TilthError
from tilth.interfaces.console import places
from tilth.interfaces.console.acts import act_of
from tilth.interfaces.console.environments import MOST, changes
from tilth.interfaces.console.looking import Looking, Page
from tilth.kinds import show
from tilth.plan.rights import RIGHTS
from tilth.runtime.record import environments

HIDDEN = ("name", "version", "kind", "source", "generation", "run")  # fields that links give


def act(at: Looking) -> Page:
    """What the act will do, with the form that does it."""
    name = at.parameters["act"]
    found = act_of(name)
    given = {k: at.query[k] for k in HIDDEN if k in at.query}
    back = places.here(at.query.get("back") or _of(at, given))
    given |= {"environment": at.environment, "seen": at.query.get("seen", ""), "back": back}
    try:
        statement = show(found.makes(given)).rstrip(";\n")
    except TilthError:
        if not found.asks:
            raise
        statement = ""  # it is made of what the form asks for
    roles = [role.value for role, rights in RIGHTS.items() if found.right in rights]
    values = {
        "act": found, "name": name, "given": given, "statement": statement, "back": back, "seen": at.query.get("seen", ""), "at": at.environment,
        "current": environments.current_number(at.work.state, at.environment), "query": at.query, "allowed": at.may(found.right), "roles": roles,
        "changes": changes(at, name, given), "most": MOST,
    }  # fmt: skip
    title = f"{found.title}{' ' + given['name'] if 'name' in given else ''}"
    return Page(
        title,
        "act.html",
        values,
        "SELECT * FROM tilth.audit ORDER BY sequence DESC LIMIT 20",
        (("Overview", at.url()),),
    )


def _of(at: Looking, given: dict[str, str]) -> str:
    """The page of what the act is about."""
    if "name" not in given:
        return at.url()
    found = at.graph.find(given["name"])
    place = None if found is None else places.of(found.kind.value)
    return at.url() if place is None else at.url(place, given["name"])
