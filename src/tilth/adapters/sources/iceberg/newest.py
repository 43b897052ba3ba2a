"""Which metadata of an Iceberg table is the newest, by the names that writers give it (table spec, "File System Tables" and catalogs)."""

from __future__ import annotations

import re
from collections.abc import Iterable

METADATA = "metadata"
_NAME = re.compile(r"v?(\d+)(?:-[0-9a-zA-Z-]+)?(?:\.gz)?\.metadata\.json(?:\.gz)?")


def newest(names: Iterable[str]) -> str | None:
    """The name with the greatest number: `00012-<uuid>.metadata.json`, or `v12.metadata.json`; None where none is metadata.

    >>> newest(["v9.metadata.json", "v10.metadata.json", "snap-1.avro"])
    'v10.metadata.json'
    """
    found = [(int(m[1]), n) for n in names if (m := _NAME.fullmatch(n))]
    return max(found)[1] if found else None
