"""What can be done from a page: each act is one statement, made of the fields of a form, and performed as any other at `Session.perform`.

A link leads to a page that says what it will do; the form there does it. `seen` is the generation that was looked at: when the
environment has moved on, nothing is done. To add an act: a row in `ACTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tilth.core.errors import InputError, UnknownNameError
from tilth.core.names import did_you_mean, in_query, is_environment_name, is_resource_name, literal
from tilth.kinds import parse
from tilth.plan.rights import STATEMENTS, Right
from tilth.sql.language import acts as statements
from tilth.sql.language.mending import ReleaseQuarantine
from tilth.sql.language.statements import Kind

Fields = Mapping[str, str]
MOST = 2**53
LONGEST = 2_000  # characters of a reason or a condition


class Act(NamedTuple):
    """One act. `makes` gives the statement of a form's fields; `asks` are fields that the page of the act has filled in."""

    title: str
    makes: Callable[[Fields], Any]
    does: str  # what it will do, in a sentence or two
    kind: type
    asks: tuple[tuple[str, str, bool], ...] = ()  # name, label, whether it must be there

    @property
    def right(self) -> Right:
        """What it asks for."""
        return STATEMENTS[self.kind]


def _name(fields: Fields, field: str = "name") -> str:
    found = fields.get(field, "")
    if not is_resource_name(found):
        raise InputError(
            f"{found[:80]!r} cannot be the name of anything here.", hint="Follow a link of a page."
        )
    return found


def _environment(fields: Fields, field: str = "environment") -> str:
    found = fields.get(field, "")
    if not is_environment_name(found):
        raise InputError(
            f"{found[:80]!r} cannot be the name of an environment.", hint="Follow a link of a page."
        )
    return found


def _number(fields: Fields, field: str) -> int:
    found = fields.get(field, "")
    if not (found.isascii() and found.isdecimal() and len(found) < 17) or int(found) > MOST:
        raise InputError(f"{found[:80]!r} is not the number of a {field}.", hint="Follow a link of a page.")
    return int(found)


def _text(fields: Fields, field: str) -> str:
    found = fields.get(field, "").strip()
    if len(found) > LONGEST:
        raise InputError(f"`{field}` has over {LONGEST:,} characters.", hint="Say it in fewer.")
    return found


def _look(fields: Fields) -> Any:
    kind = Kind.ENDPOINT if fields.get("kind") == "endpoint" else Kind.MODEL
    return statements.LookAt(kind, _name(fields))


def _release(fields: Fields) -> Any:
    where, because = _text(fields, "where"), _text(fields, "because")
    if not where or not because:
        raise InputError(
            "A release needs a condition on rows and a reason.",
            hint="Write for instance id = 7, and why its rows are right.",
        )
    sets = _text(fields, "set")
    how = f" SET {sets}" if sets else ""
    text = f"RELEASE QUARANTINE {in_query(_name(fields))} WHERE {where}{how} BECAUSE {literal(because)}"
    found = parse(text)  # the condition is the sender's text: it may not end the statement and begin another
    one = found[0] if len(found) == 1 else None
    if not isinstance(one, ReleaseQuarantine) or (one.name, one.because) != (_name(fields), because):
        raise InputError("The condition is not one condition on a row.", hint="Write for instance id = 7.")
    return one


BECAUSE = ("because", "Why", False)
ACTS: Mapping[str, Act] = {
    "refresh": Act(
        "Refresh", lambda f: statements.RefreshDataset(_name(f)),
        "Reads what is new in the dataset's sources, checks it, and publishes it in a new generation when every check that stops holds.",
        statements.RefreshDataset,
    ),
    "look": Act(
        "Look now", _look, "Measures drift and quality from the answers that were logged. It decides nothing.", statements.LookAt
    ),
    "retrain": Act(
        "Retrain", lambda f: statements.RetrainModel(_name(f)),
        "Trains a candidate from the dataset as it is published, and has the gate judge it against the version that serves.",
        statements.RetrainModel,
    ),
    "promote": Act(
        "Promote", lambda f: statements.PromoteModel(_name(f), _number(f, "version"), _text(f, "because") or None),
        "Takes this version into service whatever its gate said, in a new generation. Your name and reason stand in the audit.",
        statements.PromoteModel, (BECAUSE,),
    ),
    "promote_environment": Act(
        "Promote environment", lambda f: statements.PromoteEnvironment(_environment(f, "source"), _environment(f)),
        "Gives the environment all pointers of the other one in one transaction. Nothing is built again.",
        statements.PromoteEnvironment,
    ),
    "roll_back": Act(
        "Roll back",
        lambda f: statements.RollbackEnvironment(_environment(f), _number(f, "generation") if f.get("generation") else None),
        "Points the environment back at an earlier generation, in a new one. What was made since is kept.",
        statements.RollbackEnvironment,
    ),
    "release": Act(
        "Release quarantine", _release,
        "Takes rows out of quarantine, repaired where you say how, has the checks judge them again, and publishes all of them in a new generation, or none.",
        ReleaseQuarantine, (("where", "Rows, as a condition", True), ("set", "Repaired so: column = expression", False), ("because", "Why", True)),
    ),
    "run_job": Act(
        "Run now", lambda f: statements.RunJob(_name(f)), "Runs the job's statements now, whenever it would be due.", statements.RunJob
    ),
    "cancel_run": Act(
        "Cancel", lambda f: statements.CancelRun(_number(f, "run")), "Stops this run of a job or trigger.", statements.CancelRun
    ),
}  # fmt: skip


def act_of(name: str) -> Act:
    """The act of that name; UnknownNameError with the nearest."""
    found = ACTS.get(name)
    if found is None:
        raise UnknownNameError(f"There is no act {name[:80]!r}.", hint=did_you_mean(name, ACTS, "acts"))
    return found
