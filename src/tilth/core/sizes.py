"""Sizes of memory and files as people write them: '2 GB' as bytes, and back."""

from __future__ import annotations

import re

from tilth.core.errors import LanguageError

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT])i?B\s*\Z", re.IGNORECASE | re.ASCII)
_STEPS = {"k": 10, "m": 20, "g": 30, "t": 40}


def parse_size(text: str) -> int:
    """'2 GB' or '512 MiB' as bytes; units count in steps of 1,024. LanguageError says what to write.

    >>> parse_size("1.5 KB")
    1536
    """
    found = _SIZE.match(text)
    size = int(float(found[1]) * (1 << _STEPS[found[2].lower()])) if found else 0
    if size <= 0 or size >= 1 << 63:
        raise LanguageError(f"{text[:80]!r} is not a size.", hint="Write for example '512 MB' or '2 GB'.")
    return size


def show_size(size: int) -> str:
    """The size in the largest unit that leaves a number of one or more.

    >>> show_size(1536)
    '1.5 KB'
    """
    value, unit = float(size), "bytes"
    for unit in ("bytes", "KB", "MB", "GB", "TB"):
        if value < 1024 or unit == "TB":
            break
        value /= 1024
    return f"{value:.3g} {unit}" if value < 1000 else f"{value:,.0f} {unit}"
