"""What `tilth.toml` may say: one table of keys, each with its kind, its default and its meaning.

A new setting is a line in `KEYS` and a field of the value that carries it; the reference page is made from the same
table. Every mistake names the file and the key.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tilth.core.errors import LanguageError, ProjectError
from tilth.core.names import did_you_mean, is_environment_name
from tilth.core.sizes import parse_size
from tilth.core.time import parse_duration
from tilth.ports import places

FILE = "tilth.toml"
LIMIT = 16 << 20  # bytes of the file
MOST_TEXT = 1000  # characters of one value


@dataclass(frozen=True, slots=True)
class Keep:
    """How long what is kept for people to look at stays."""

    quarantine: timedelta
    predictions: timedelta
    refused: timedelta
    looks: timedelta
    messages: timedelta
    statements: timedelta = timedelta(days=30)
    requests: timedelta = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one statement may use, and how much all that is kept may take on the disk (None: as much as there is room)."""

    statement_timeout: timedelta
    statement_memory: int
    disk: int | None = None
    statement_disk: int = 20 << 30
    queries: int | None = None  # at once; None: twice as many as there are cores


@dataclass(frozen=True, slots=True)
class Settings:
    """What `tilth.toml` says, with defaults."""

    name: str
    state: str
    blobs: str
    jobs: str
    environment: str
    serving: str
    keep: Keep
    limits: Limits
    writable: frozenset[str] = frozenset()  # environments besides the serving one that may write into sources


@dataclass(frozen=True, slots=True)
class Key:
    """One setting. `name` is dotted where it stands in a table; `read` gives its value or raises LanguageError."""

    name: str
    read: Callable[[object], Any]
    default: str | None  # as it would be written; None: see `meaning`
    meaning: str


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > MOST_TEXT:
        raise LanguageError(f"{_shown(value)} is not a line of text.", hint='Write a text such as "shop".')
    return value


def _environment(value: object) -> str:
    if not isinstance(value, str) or not is_environment_name(value):
        raise LanguageError(
            f"{_shown(value)} cannot be the name of an environment.",
            hint='Names are lower-case letters, digits, underscores and hyphens: for example "dev" or "pr-12".',
        )
    return value


def _duration(value: object) -> timedelta:
    if not isinstance(value, str) or len(value) > MOST_TEXT:
        raise LanguageError(f"{_shown(value)} is not a duration.", hint='Write for example "90 days".')
    try:
        return parse_duration(value)
    except OverflowError:
        raise LanguageError(f"{value!r} is too long.", hint='Write for example "90 days".') from None


def _size(value: object) -> int:
    if not isinstance(value, str) or len(value) > MOST_TEXT:
        raise LanguageError(f"{_shown(value)} is not a size.", hint='Write for example "2 GB".')
    return parse_size(value)


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 10_000:
        raise LanguageError(f"{_shown(value)} is no count.", hint="Write a number from 1 to 10000.")
    return value


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise LanguageError(f"{_shown(value)} is neither true nor false.", hint="Write true or false.")
    return value


KEYS = (
    Key("name", _text, None, "the project's name; default: its folder's"),
    Key("state", _text, "sqlite", "where the state is kept; `sqlite`: `.tilth/state.db`"),
    Key("blobs", _text, "file", "where snapshots and bundles are kept; `file`: in `.tilth`"),
    Key("jobs", _text, "local", "where training runs; `local`: in jailed processes on this machine"),
    Key("environment", _environment, "prod", "the environment that commands mean when `--env` is left out"),
    Key("serving", _environment, "prod", "the environment whose models serve: there a candidate must win"),
    Key("keep.quarantine", _duration, "90 days", "how long rows that were held back stay"),
    Key("keep.predictions", _duration, "90 days", "how long served predictions stay"),
    Key("keep.refused", _duration, "90 days", "how long the bundles of refused candidates stay"),
    Key("keep.looks", _duration, "400 days", "how long figures of drift and quality stay"),
    Key("keep.messages", _duration, "90 days", "how long messages that a channel took stay"),
    Key(
        "keep.statements",
        _duration,
        "30 days",
        "how long the log of statements stays; the newest 100,000 at most",
    ),
    Key("keep.requests", _duration, "31 days", "how long the counts of requests by the minute stay"),
    Key("limits.statement_timeout", _duration, "60 s", "how long one statement may run"),
    Key("limits.statement_memory", _size, "2 GB", "how much memory one statement may use"),
    Key(
        "limits.statement_disk",
        _size,
        "20 GB",
        "how much disk one statement may use for what does not fit into its memory",
    ),
    Key(
        "limits.queries",
        _count,
        None,
        "how many statements may be at work at once, the others wait; default: twice the cores",
    ),
    Key("limits.disk", _size, None, "how much `.tilth` may hold; default: as much as there is room"),
)
OF_ENVIRONMENTS = (
    Key("environments.NAME.writable", _truth, "false",
        "whether CREATE TABLE and INSERT INTO may write into sources from the environment NAME; the serving one may"),
)  # fmt: skip
KEEP = Keep(**{k.name[5:]: k.read(k.default) for k in KEYS if k.name.startswith("keep.")})
_BY_NAME = {k.name: k for k in KEYS}
_ENVIRONMENTS = "environments"
_TABLES = {k.name.partition(".")[0] for k in KEYS if "." in k.name}
_VALUES: Mapping[str, type] = {"keep": Keep, "limits": Limits}


def settings(root: str) -> Settings:
    """The project's settings; ProjectError names the file and the key of what is wrong."""
    said = dict(_given(root))
    writable = _writable(said.pop(_ENVIRONMENTS, {}))
    given = _flat(said)
    found: dict[str, Any] = {"name": os.path.basename(os.path.abspath(root)) or "tilth"}
    for key in KEYS:
        if key.name in given:
            found[key.name] = _value(key, given[key.name])
        elif key.default is not None:
            found[key.name] = key.read(key.default)
    top = {name: value for name, value in found.items() if "." not in name}
    for table, kind in _VALUES.items():
        inner = {n.partition(".")[2]: v for n, v in found.items() if n.startswith(f"{table}.")}
        top[table] = kind(**inner)
    return Settings(**top, writable=writable)


def _writable(given: object) -> frozenset[str]:
    """The environments that `[environments.NAME]` lets write."""
    if not isinstance(given, dict) or not all(isinstance(v, dict) for v in given.values()):
        raise ProjectError(
            f"{FILE}: `{_ENVIRONMENTS}` holds a table for each environment.",
            hint="Write [environments.dev] on a line of its own, and its settings below.",
        )
    found = set()
    (key,) = OF_ENVIRONMENTS
    last = key.name.rpartition(".")[2]
    for name, settings_of in given.items():
        named = f"{_ENVIRONMENTS}.{name}"
        _value(Key(named, _environment, None, ""), name)
        for inner, value in settings_of.items():
            if inner != last:
                raise ProjectError(
                    f"{FILE} has a setting `{named[:80]}.{inner[:80]}` that is not known.",
                    hint=did_you_mean(inner[:80], [last], "settings of an environment"),
                )
            if _value(Key(f"{named}.{inner}", key.read, None, ""), value):
                found.add(name)
    return frozenset(found)


def _given(root: str) -> Mapping[str, object]:
    """The file as TOML has it; nothing when there is none."""
    path = os.path.join(root, FILE)
    if not os.path.lexists(path):
        return {}
    text = places.read_text(path, root, LIMIT, shown=FILE)
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))  # which some editors write first
    except RecursionError:
        raise ProjectError(
            f"{FILE} is nested too deeply.", hint="Settings are plain lines: key = value."
        ) from None
    except (ValueError, MemoryError) as error:  # a TOMLDecodeError, or a number or date that cannot be
        raise ProjectError(
            f"{FILE} is not TOML: {error}.", hint="Correct the line, or delete the file: it is optional."
        ) from error


def _flat(given: Mapping[str, object]) -> dict[str, object]:
    """The settings by dotted name; an unknown one gets the nearest that is known."""
    out: dict[str, object] = {}
    for name, value in given.items():
        if name not in _TABLES:
            out[name] = value
        elif isinstance(value, dict):
            out |= {f"{name}.{inner}": v for inner, v in value.items()}
        else:
            raise ProjectError(
                f"{FILE}: `{name}` is a table, not {_shown(value)}.",
                hint=f"Write [{name}] on a line of its own, and its settings below.",
            )
    for name in out:
        if name not in _BY_NAME:
            raise ProjectError(
                f"{FILE} has a setting `{name[:80]}` that is not known.",
                hint=did_you_mean(name[:80], _BY_NAME, "settings"),
            )
    return out


def _value(key: Key, given: object) -> Any:
    try:
        return key.read(given)
    except LanguageError as error:
        raise ProjectError(f"{FILE}: `{key.name}`: {error.message}", hint=error.hint) from error


def _shown(value: object) -> str:
    """A value of the file, short enough for a line."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
