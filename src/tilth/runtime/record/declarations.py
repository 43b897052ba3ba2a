"""What the texts of pointers declare. A declaration is a value and its text is read again and again: it is parsed once."""

from __future__ import annotations

from functools import lru_cache

from tilth.core.errors import ProjectError
from tilth.kinds import parse_one
from tilth.plan.snapshot import Pointer
from tilth.sql.language.acts import Statement
from tilth.sql.language.statements import CreateEndpoint

MOST = 4096  # texts whose declarations are kept


@lru_cache(MOST)
def declared(text: str) -> Statement:
    """The declaration in a pointer's text."""
    return parse_one(text)


def endpoint(pointer: Pointer) -> CreateEndpoint:
    """What an ENDPOINT pointer's text declares."""
    found = declared(pointer.text)
    if not isinstance(found, CreateEndpoint):
        raise ProjectError(
            f"The pointer `{pointer.name}` does not hold an endpoint.", hint="Run `tilth verify`."
        )
    return found
