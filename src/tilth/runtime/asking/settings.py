"""SET, RESET, SHOW and USE: what a session is told of its statements, until it ends."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from tilth.core.errors import InputError, LanguageError, RightError, TilthError, UnknownNameError
from tilth.core.names import did_you_mean, is_environment_name
from tilth.core.principals import Role
from tilth.core.sizes import parse_size, show_size
from tilth.core.time import parse_duration
from tilth.ports.limits import Limits
from tilth.runtime.asking.prompt import Prompt, Result
from tilth.runtime.record import environments
from tilth.sql.language.acts import ResetSetting, SetSetting, ShowSetting, UseEnvironment
from tilth.sql.language.sessions import ALL

ENVIRONMENT = "tilth.environment"
LONGEST, MOST = 1e6, 1 << 50  # seconds of a statement, bytes


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: how it is shown, and how a session with another value of it looks (its environment and limits)."""

    meaning: str
    show: Callable[[str, Limits], str]
    read: Callable[[Prompt, str], tuple[str, Limits]]


def _environment(at: Prompt, value: str) -> tuple[str, Limits]:
    if not is_environment_name(value):
        raise InputError(
            f"{value[:80]!r} cannot be the name of an environment.", hint="Write for example SET tilth.environment = 'dev'."
        )  # fmt: skip
    if value not in (_first(at)[0], at.work.serving):
        environments.require(at.work.state, value)
    return value, at.limits


def _timeout(at: Prompt, value: str) -> tuple[str, Limits]:
    """Milliseconds where there is no unit, as PostgreSQL has it; 0 is all that the project allows."""
    most = _first(at)[1].seconds
    plain = re.fullmatch(r"\s*(\d{1,12})\s*(ms|s|min|h)?\s*", value)
    try:
        seconds = (
            int(plain[1]) * {"ms": 0.001, None: 0.001, "s": 1, "min": 60, "h": 3600}[plain[2]]
            if plain
            else parse_duration(value).total_seconds()
        )
    except (LanguageError, OverflowError):
        raise InputError(
            f"`statement_timeout` cannot be {value[:80]!r}.", hint="Write '30 s', '5 min', or milliseconds."
        ) from None
    if not 0 <= seconds <= LONGEST:
        raise InputError(
            f"`statement_timeout` cannot be {value[:80]!r}.", hint="Write at most 1,000,000 seconds."
        )
    seconds = seconds or most
    _within(at, "statement_timeout", seconds > most, _span(most))
    return at.environment, replace(at.limits, seconds=seconds)


def _memory(at: Prompt, value: str) -> tuple[str, Limits]:
    size, most = _size("statement_memory", value), _first(at)[1].memory
    _within(at, "statement_memory", size > most, show_size(most))
    return at.environment, replace(at.limits, memory=size)


def _disk(at: Prompt, value: str) -> tuple[str, Limits]:
    size, most = _size("statement_disk", value), _first(at)[1].disk
    _within(at, "statement_disk", size > most, show_size(most))
    return at.environment, replace(at.limits, disk=size)


def _size(name: str, value: str) -> int:
    try:
        size = parse_size(value)
    except LanguageError:
        size = 0
    if not 0 < size <= MOST:
        raise InputError(f"`{name}` cannot be {value[:80]!r}.", hint="Write for example '512 MB' or '2 GB'.")
    return size


def _within(at: Prompt, name: str, more: bool, most: str) -> None:
    """Who owns the project may give a statement more than the project does."""
    if more and at.principal.role is not Role.OWNER:
        raise RightError(
            f"{at.principal.text} may not give a statement more than {most}.",
            hint=f"Ask as owner, or raise {name} under [limits] in tilth.toml.",
        )


def _span(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 3600 else str(timedelta(seconds=seconds))


SETTINGS: Mapping[str, Setting] = {
    ENVIRONMENT: Setting("the environment of the statements", lambda e, _: e, _environment),
    "statement_timeout": Setting("how long one may work or wait", lambda _, of: _span(of.seconds), _timeout),
    "statement_memory": Setting("how much memory one may use", lambda _, of: show_size(of.memory), _memory),
    "statement_disk": Setting("how much disk one may use for what does not fit", lambda _, of: show_size(of.disk), _disk),
}  # fmt: skip


def set_to(at: Prompt, statement: SetSetting) -> Result:
    """Have the session's next statements obey it."""
    if (own := _of_client(at, statement.name)) is not None:
        at.client[own] = statement.value
        return _done(own, statement.value)
    setting = _known(at, statement.name)
    first = _first(at)
    at.environment, limits = setting.read(at, statement.value)
    at.limits, at.first = limits, first
    return _done(statement.name, setting.show(at.environment, at.limits))


def reset(at: Prompt, statement: ResetSetting) -> Result:
    """One setting as the session began, or all."""
    (environment, limits), name = _first(at), statement.name
    if name is None:
        at.environment = environment
        at.limits = replace(limits, turn=at.limits.turn)
        at.client.update(at.client_first)
        return Result(None, "All settings are as the session began.", {"setting": ALL})
    if (own := _of_client(at, name)) is not None:
        at.client[own] = at.client_first.get(own, "")
        return _done(own, at.client[own])
    setting = _known(at, name)
    if name == ENVIRONMENT:
        at.environment = environment
    else:
        field = {"statement_timeout": "seconds", "statement_memory": "memory", "statement_disk": "disk"}[name]
        at.limits = replace(at.limits, **{field: getattr(limits, field)})
    return _done(name, setting.show(at.environment, at.limits))


def use(at: Prompt, statement: UseEnvironment) -> Result:
    """The same as SET tilth.environment."""
    return set_to(at, SetSetting(ENVIRONMENT, statement.environment))


def show(at: Prompt, statement: ShowSetting) -> Result:
    """The value as a table of one row and column; of ALL a row each."""
    import pyarrow as pa

    if statement.name == ALL:
        known = {n: (s.show(at.environment, at.limits), s.meaning) for n, s in SETTINGS.items()}
        known |= {n: (v, "of the client") for n, v in at.client.items()}
        names = sorted(known, key=str.lower)
        columns = {
            "name": names,
            "setting": [known[n][0] for n in names],
            "description": [known[n][1] for n in names],
        }
        return Result(pa.table(columns).to_reader())
    own = _of_client(at, statement.name)
    value = at.client[own] if own is not None else _known(at, statement.name).show(at.environment, at.limits)
    return Result(pa.table({own or statement.name: [value]}).to_reader())


def _first(at: Prompt) -> tuple[str, Limits]:
    """The environment and limits with which the session began."""
    return at.first or (at.environment, at.limits)


def _of_client(at: Prompt, name: str) -> str | None:
    """The setting as the client's door spells it, if it is one of those that only clients know."""
    return next((n for n in at.client if n.lower() == name), None)


def _known(at: Prompt, name: str) -> Setting:
    if (found := SETTINGS.get(name)) is None:
        raise _unknown(name, (*SETTINGS, *at.client))
    return found


def _unknown(name: str, known: tuple[str, ...]) -> TilthError:
    return UnknownNameError(f"There is no setting `{name}`.", hint=did_you_mean(name, known, "settings"))


def _done(name: str, value: str) -> Result:
    return Result(None, f"{name} is {value}.", {"setting": name, "value": value})


PERFORM: Mapping[type, Callable[[Prompt, Any], Result]] = {
    SetSetting: set_to,
    ResetSetting: reset,
    UseEnvironment: use,
    ShowSetting: show,
}
"""One function for each statement about settings."""
