"""CREATE TOKEN and DROP TOKEN: who is let in over HTTP and by the Postgres door. What a server makes of them is `serving.holders`."""

from __future__ import annotations

import secrets

from tilth.core.errors import ProjectError, ResourceLimitError, UnknownNameError
from tilth.core.names import did_you_mean
from tilth.core.time import show_instant
from tilth.runtime.asking.prompt import Prompt, Result
from tilth.runtime.record import tokens
from tilth.runtime.scram import Verifier
from tilth.sql.language.acts import CreateToken, DropToken

MOST = 1000  # that were not dropped
RANDOM = 32  # bytes


def create(at: Prompt, statement: CreateToken) -> Result:
    """Make a token; its text stands in the result and nowhere else."""
    now = at.work.clock.now()
    expires = None if statement.expires is None else now + statement.expires
    with at.act().change(now) as change:
        made = tokens.written(tokens.project(at.work.keys.key_id), secrets.token_urlsafe(RANDOM))
        known = tokens.there(change)
        if statement.name in known:
            raise ProjectError(
                f"There is a token `{statement.name}` already.",
                hint=f"Choose another name, or DROP TOKEN '{statement.name}' first.",
                where=statement.position,
            )
        if len(known) >= MOST:
            raise ResourceLimitError(
                f"There are {MOST:,} tokens already.",
                hint="SELECT * FROM tilth.tokens; then DROP TOKEN 'name'.",
            )
        kept, verifier = tokens.hashed(made.encode()), Verifier.of(made.encode()).text
        tokens.add(change, statement.name, statement.role, kept, verifier, now, expires)
        until = None if expires is None else show_instant(expires)
        change.audit("create token", statement.name, {"role": statement.role.value, "expires_at": until})
    ends = "does not expire" if until is None else f"expires {until}"
    said = f"The token `{statement.name}` lets in as {statement.role}, and {ends}."
    return Result(
        None,
        f"{said}\n  {made}\nIt is shown this once. Send it as `Authorization: Bearer <token>`, or as the password of {statement.name} in psql.",
        {"name": statement.name, "role": statement.role.value, "expires_at": until, "token": made},
    )


def drop(at: Prompt, statement: DropToken) -> Result:
    """Take a token back; servers refuse it within a second."""
    now, name = at.work.clock.now(), statement.name
    with at.work.state.reading() as reader:
        there = name in tokens.there(reader)
    if not there and statement.if_exists:
        return Result(None, f"There is no token `{name}`.", {"name": name, "dropped": False})
    with at.act().change(now) as change:
        known = tokens.there(change)
        if name not in known:
            raise UnknownNameError(
                f"There is no token `{name}`.",
                hint=did_you_mean(name, known, "tokens"),
                where=statement.position,
            )
        tokens.drop(change, name, now)
        change.audit("drop token", name, {"role": known[name].role.value})
    said = f"The token `{name}` lets nobody in any more; servers know it within a second."
    return Result(None, said, {"name": name, "dropped": True})
