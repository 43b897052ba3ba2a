"""The settings of a connection that PostgreSQL's clients ask for and set, each with what tilth makes of it.

Most are told and kept, and change nothing; what would change the meaning of answers and is not done is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from tilth.core.errors import InputError, LanguageError, TilthError, UnknownNameError, UnsupportedError
from tilth.core.names import did_you_mean
from tilth.core.time import parse_duration

VERSION = "15.0"
"""The version of PostgreSQL whose catalog is shown: what clients decide by."""
VERSION_NUMBER = "150000"
REPORTED = (
    "server_version", "server_encoding", "client_encoding", "application_name", "is_superuser", "session_authorization", "DateStyle",
    "IntervalStyle", "TimeZone", "integer_datetimes", "standard_conforming_strings", "default_transaction_read_only", "in_hot_standby",
)  # fmt: skip
"""What a client is told at the start, and whenever it changes."""
FIXED = {
    "server_version": VERSION, "server_version_num": VERSION_NUMBER, "server_encoding": "UTF8", "integer_datetimes": "on",
    "is_superuser": "off", "in_hot_standby": "off", "max_identifier_length": "63", "block_size": "8192", "lc_collate": "C",
    "lc_ctype": "C", "max_index_keys": "32", "max_connections": "100", "wal_level": "replica",
}  # fmt: skip
"""What nobody sets."""
ONLY = {
    "client_encoding": ("UTF8", "UTF-8", "UNICODE"), "standard_conforming_strings": ("on", "true", "1"), "TimeZone": ("UTC", "GMT", "Etc/UTC", "Z", "+00", "0"),
    "IntervalStyle": ("postgres",), "bytea_output": ("hex",), "DateStyle": ("ISO", "ISO, MDY", "ISO,MDY", "ISO, DMY", "ISO, YMD", "MDY"),
    "escape_string_warning": ("on", "off"), "backslash_quote": ("safe_encoding",), "default_transaction_isolation": ("read committed",),
    "transaction_isolation": ("read committed",), "transaction_deferrable": ("off",),
}  # fmt: skip
"""What has but these values, the first of which holds."""
FREE = {
    "application_name": "", "extra_float_digits": "1", "search_path": '"$user", public', "default_transaction_read_only": "off",
    "transaction_read_only": "off", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0", "client_min_messages": "notice",
    "row_security": "on", "session_replication_role": "origin", "synchronous_commit": "on", "work_mem": "4MB", "jit": "off",
    "enable_seqscan": "on", "max_parallel_workers_per_gather": "0", "lc_messages": "C", "statement_memory": "", "statement_disk": "", "lc_monetary": "C", "lc_numeric": "C", "lc_time": "C",
    "default_table_access_method": "heap", "xmloption": "content", "statement_timeout": "0", "idle_session_timeout": "0",
    "tcp_keepalives_idle": "0", "plan_cache_mode": "auto", "default_tablespace": "", "check_function_bodies": "on",
}  # fmt: skip
"""What is kept as it is set. `statement_timeout`, `_memory` and `_disk` are the session's too; of the rest `client_min_messages` alone changes anything."""
UNITS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "us": 1e-6}
LEVELS = ("debug", "log", "info", "notice", "warning", "error", "fatal", "panic")

_NAMES = {n.lower(): n for n in (*FIXED, *ONLY, *FREE, "session_authorization")}
NAMES = frozenset(_NAMES)
"""In lower case, those that SHOW knows."""


@dataclass(slots=True)
class Settings:
    """The settings of one connection. `start` are those that the client came with, to which RESET goes back."""

    start: dict[str, str]
    now: dict[str, str] = field(default_factory=dict)
    local: dict[str, str] = field(default_factory=dict)  # what they were before SET LOCAL
    told: list[str] = field(default_factory=list)  # what of the start was not done

    @classmethod
    def of(cls, user: str, asked: Mapping[str, str]) -> Settings:
        """Those of a new connection. What a client asks for at its start and is not done is told (JDBC sends its machine's time zone);
        another encoding is refused.
        """
        start = {**FIXED, **{n: v[0] for n, v in ONLY.items()}, **FREE, "session_authorization": user}
        found = cls(start, dict(start))
        for name, value in asked.items():
            try:
                found.set(name, value)
            except TilthError as error:
                if name.lower() == "client_encoding":
                    raise
                found.told.append(error.message)
        found.start = dict(found.now)
        return found

    def get(self, name: str) -> str:
        known = _NAMES.get(name.lower())
        if known is None:
            raise _unknown(name)
        return self.now[known]

    def set(self, name: str, value: str | None, *, local: bool = False) -> str | None:
        """Keep a value; None goes back to the start. Its name where the client is to be told of it."""
        known = _NAMES.get(name.lower())
        if known is None:
            raise _unknown(name)
        said = self.start[known] if value is None else _checked(known, value)
        if local:
            self.local.setdefault(known, self.now[known])
        changed = self.now[known] != said
        self.now[known] = said
        return known if changed and known in REPORTED else None

    def ended(self) -> None:
        """A transaction is over: what was set for it goes back."""
        self.now.update(self.local)
        self.local.clear()

    def reset(self) -> None:
        self.now, self.local = dict(self.start), {}

    def values(self, names: Iterable[str] = REPORTED) -> dict[str, str]:
        return {n: self.now[n] for n in names}

    @property
    def least(self) -> int:
        """The place in LEVELS from which on messages are sent."""
        return LEVELS.index(self.now["client_min_messages"])


def seconds(text: str) -> float:
    """A time as PostgreSQL writes it (a number of milliseconds, `5s`, `2min`) or as tilth does (`30 seconds`)."""
    bare = text.strip().lower()
    for unit in sorted(UNITS, key=len, reverse=True):
        number = bare.removesuffix(unit).strip()
        if bare.endswith(unit) and number.replace(".", "", 1).isdigit():
            return float(number) * UNITS[unit]
    if bare.isdigit():
        return int(bare) / 1000
    try:
        found: timedelta = parse_duration(text)
    except (LanguageError, OverflowError) as error:
        raise InputError(
            f"{text!r} is no time.", hint="Write SET statement_timeout = '30 s', or a number of milliseconds."
        ) from error
    return found.total_seconds()


def _checked(name: str, value: str) -> str:
    """The value as it is kept; an error for one that is not done."""
    if name in FIXED and value.lower() != FIXED[name].lower():
        raise InputError(f"`{name}` cannot be changed.", hint=f"It is {FIXED[name]}.")
    if name in ONLY and value.strip("'\"").lower() not in [v.lower() for v in ONLY[name]]:
        raise UnsupportedError(
            f"`{name}` is {ONLY[name][0]} here, and {value[:60]!r} is not done.",
            hint=f"Leave it, or set it to {' or '.join(dict.fromkeys(ONLY[name][:3]))}.",
        )
    if name in ONLY:
        return ONLY[name][0] if name != "DateStyle" else "ISO, MDY"
    if name == "statement_timeout":
        seconds(value)
    if name == "client_min_messages" and (value := value.lower().rstrip("12345")) not in LEVELS:
        raise InputError(f"{value!r} is no level.", hint=f"Levels: {', '.join(LEVELS)}.")
    if name in {"default_transaction_read_only", "transaction_read_only"}:
        return "on" if value.lower() in {"on", "true", "1", "yes"} else "off"
    return value


def _unknown(name: str) -> TilthError:
    return UnknownNameError(
        f"There is no setting `{name[:60]}`.", hint=did_you_mean(name.lower(), NAMES, "settings")
    )
