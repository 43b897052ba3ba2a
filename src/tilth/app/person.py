"""Who acts where nobody else is named: the operating system's user of this process, for commands and in Python."""

from __future__ import annotations

import os
import pwd

from tilth.core.principals import Principal, person


def person_here() -> Principal:
    """The user that this process runs as; where the system has no name for it, its number."""
    number = os.geteuid()
    try:
        return person(pwd.getpwuid(number).pw_name)
    except KeyError:
        return person(str(number))
