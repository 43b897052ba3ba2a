"""Options that sources of remote files share: sizes, times and secrets, checked before anything is asked of a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tilth.adapters.sources.writing import OPTION as WRITABLE
from tilth.core.errors import LanguageError, ProjectError, UnknownNameError, UnsupportedError
from tilth.core.names import did_you_mean
from tilth.core.sizes import parse_size
from tilth.core.time import parse_duration

MOST = "10 GB"


def check(given: Mapping[str, object], known: Sequence[str], engine: str) -> None:
    """UnknownNameError for an option that the engine has not; UnsupportedError for one that would let it write."""
    if given.get(WRITABLE):
        raise UnsupportedError(
            f"An {engine} source is read and never written to.",
            hint=f"Leave `{WRITABLE}` out; write into a source of another engine.",
        )
    for name in given:
        if name not in known and name != WRITABLE:
            raise UnknownNameError(
                f"An {engine} source has no option `{name}`.", hint=did_you_mean(name, known, "options")
            )


def text(given: Mapping[str, object], name: str, default: str | None = None) -> str | None:
    """A text without control characters."""
    value = given.get(name, default)
    if value is None:
        return None
    if not isinstance(value, str) or any(ord(c) < 32 for c in value):
        raise ProjectError(
            f"The option `{name}` is no text that can be used.", hint=f"Write {name} = '...', on one line."
        )
    return value


def size(given: Mapping[str, object], name: str = "max_size", default: str = MOST) -> int:
    """So many bytes."""
    try:
        return parse_size(str(given.get(name, default)))
    except LanguageError as error:
        raise ProjectError(f"The option `{name}`: {error.message}", hint=error.hint) from error


def seconds(given: Mapping[str, object], name: str, default: str) -> float:
    """So many seconds, at least a tenth of one."""
    try:
        found = parse_duration(str(given.get(name, default))).total_seconds()
    except LanguageError as error:
        raise ProjectError(f"The option `{name}`: {error.message}", hint=error.hint) from error
    if not 0.1 <= found <= 86_400:
        raise ProjectError(
            f"The option `{name}` cannot be {given.get(name)!r}.",
            hint=f"Write {name} = '30 s', or up to a day.",
        )
    return found
