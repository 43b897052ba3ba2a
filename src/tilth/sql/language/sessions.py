"""The statements about a session and what runs in others: SET, RESET, USE, SHOW of a setting, CANCEL. Each begins after the verb."""

from __future__ import annotations

import re

from tilth.sql.language import clauses
from tilth.sql.language.acts import (
    SHOWN,
    CancelRun,
    CancelStatement,
    ResetSetting,
    SetSetting,
    Show,
    ShowSetting,
    UseEnvironment,
)
from tilth.sql.language.tokens import Cursor

LONGEST_ID = 18
ALL = "all"
SETTING = "Write SET statement_timeout = '30 s', or SET tilth.environment = 'dev'."
_STATEMENT = re.compile(r"[0-9a-f-]{4,40}", re.IGNORECASE)
_SHOWN = {word.upper(): word for word in SHOWN}


def set_to(c: Cursor) -> SetSetting | ResetSetting:
    """`[SESSION] name = value` or `name TO value`; DEFAULT resets it."""
    if c.key == "SESSION" and c.following not in ("=", "TO"):
        c.i += 1
    name = _setting(c)
    if not (c.take("=") or c.take("TO")):
        c.fail(f"Expected = or TO here{c.instead()}.", SETTING)
    if c.take("DEFAULT"):
        return ResetSetting(name)
    _check_value(c, name)
    minus = "-" if c.take("-") else ""
    _check_value(c, name)
    value = c.text_token()
    while c.take(","):
        _check_value(c, name)
        value += ", " + c.text_token()
    return SetSetting(name, minus + value)


def _check_value(c: Cursor, name: str) -> None:
    if c.at_end:
        c.fail(f"Expected the value of {name} here.", SETTING)


def reset(c: Cursor) -> ResetSetting:
    """`name`, or ALL."""
    return ResetSetting(None if c.take("ALL") else _setting(c))


def use(c: Cursor) -> UseEnvironment:
    """An environment, as a name or a 'string'."""
    what = "an environment's name"
    return UseEnvironment(c.string(what) if c.at_string else c.name(what, fold=True))


def show(c: Cursor) -> Show | ShowSetting:
    """`sources | datasets | models | ... | tables | environments [LIKE 'x%']`, the name of a setting, or ALL."""
    if c.take("ALL"):
        return ShowSetting(ALL)
    if c.key not in _SHOWN and ("_" in c.key or c.following == "."):
        return ShowSetting(_setting(c))
    what = clauses.choice(c, _SHOWN, "list", "SHOW")
    if c.at_end:
        return Show(what)
    c.expect("LIKE", hint=f"Write SHOW {what.upper()} LIKE 'la%'.")
    return Show(what, c.string("a pattern"))


def cancel(c: Cursor) -> CancelRun | CancelStatement:
    """`RUN '12'`, or the number without quotes; `STATEMENT 'id'`."""
    if c.take("STATEMENT"):
        at, where = c.i, c.position()
        said = c.text_token() if c.at_string else ""
        if not _STATEMENT.fullmatch(said):
            c.fail("A statement is told by its id.", "SELECT id, text FROM tilth.statements WHERE status = 'running'", at=at)  # fmt: skip
        return CancelStatement(said.lower(), where)
    c.expect(
        "RUN",
        hint="Write CANCEL RUN '12' or CANCEL STATEMENT 'id'; ids stand in tilth.runs and tilth.statements.",
    )
    at, where = c.i, c.position()
    said = c.text_token() if c.at_string or c.at_number else ""
    if not said.isdecimal() or len(said) > LONGEST_ID:
        c.fail(
            "A run is told by its number.", "SELECT id, name FROM tilth.runs WHERE status = 'running'", at=at
        )
    return CancelRun(int(said), where)


def _setting(c: Cursor) -> str:
    """The name of a setting, in lower case, with dots."""
    if not c.at_name:
        c.fail(f"Expected the name of a setting here{c.instead()}.", SETTING)
    name = c.text_token()
    while c.take("."):
        name += "." + c.name("the rest of the setting's name", reserved=False)
    return name.lower()
