"""Instants and durations as values. The clock itself is a port; nothing here asks what time it is.

An instant is an aware `datetime` in UTC. Event times in data are naive timestamps, read as UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from tilth.core.errors import LanguageError
from tilth.core.names import nearest

Instant = datetime
Duration = timedelta

_UNITS = {
    "microsecond": timedelta(microseconds=1),
    "millisecond": timedelta(milliseconds=1),
    "ms": timedelta(milliseconds=1),
    "second": timedelta(seconds=1),
    "sec": timedelta(seconds=1),
    "s": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "min": timedelta(minutes=1),
    "m": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "h": timedelta(hours=1),
    "day": timedelta(days=1),
    "d": timedelta(days=1),
    "week": timedelta(weeks=1),
    "w": timedelta(weeks=1),
}
_PART = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)\s*,?")


def parse_duration(text: str) -> timedelta:
    """'1 hour', '60 s', '1 day 12 hours' as a timedelta; LanguageError names the units.

    >>> parse_duration("7 days").days
    7
    """
    total, end, used = timedelta(), 0, set[timedelta]()
    while end < len(text.rstrip()):
        part = _PART.match(text, end)
        if part is None:
            raise LanguageError(
                f"{text!r} is not a duration.", hint="Write for example '1 hour', '7 days' or '60 s'."
            )
        word = part[2].lower()
        unit = _UNITS.get(word) or _UNITS.get(word.removesuffix("s"))
        if unit is None:
            near = nearest(word, _UNITS)
            raise LanguageError(
                f"{part[2]!r} is not a unit of time.",
                hint=(f"Did you mean {near!r}? " if near else "")
                + "Units: seconds, minutes, hours, days, weeks.",
            )
        if unit in used:
            raise LanguageError(
                f"{text!r} gives {part[2]!r} twice.", hint="Write for example '1 day 12 hours'."
            )
        used.add(unit)
        try:
            total += float(part[1]) * unit
        except OverflowError:
            raise LanguageError(
                f"{text[:60]!r} is too long a duration.", hint="Write for example '7 days'."
            ) from None
        end = part.end()
    if not total:
        raise LanguageError(
            f"{text!r} is not a duration.", hint="Write for example '1 hour', '7 days' or '60 s'."
        )
    return total


def show_duration(span: timedelta) -> str:
    """The duration in the largest units that say it exactly.

    >>> show_duration(timedelta(hours=36))
    '1 day 12 hours'
    """
    seconds = span.total_seconds()
    if seconds != int(seconds):
        return f"{seconds * 1000:g} ms" if abs(seconds) < 1 else f"{seconds:g} s"
    left, words = int(seconds), []
    for name, size in (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count, left = divmod(left, size)
        if count:
            words.append(f"{count} {name}{'s' if count != 1 else ''}")
    return " ".join(words) or "0 seconds"


def parse_instant(text: str) -> datetime:
    """An ISO 8601 date or date-time as an instant; without an offset it is UTC."""
    try:
        value = datetime.fromisoformat(text.strip())
    except ValueError:
        raise LanguageError(
            f"{text!r} is not a date or date-time.",
            hint="Write for example '2013-05-01' or '2013-05-01T06:00:00Z'.",
        ) from None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def show_instant(instant: datetime) -> str:
    """ISO 8601 in UTC with microseconds only when there are any; sorts as text when all have the same precision."""
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def naive(instant: datetime) -> datetime:
    """The instant as event times are kept in data: naive, in UTC."""
    return instant.astimezone(UTC).replace(tzinfo=None)
