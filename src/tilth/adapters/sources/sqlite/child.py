"""The process that runs one query of a SQLite database whose end nobody can foresee: a native one, or one over a view.

SQLite cannot be stopped from outside by its Arrow driver, so that such a query would stay in a server for ever. `source` is the
other side, and reads plain tables itself: those end.
"""

from __future__ import annotations

import resource
from typing import Any

from tilth.adapters.sources.answering import Spec, main, send

MEMORY = 3_000_000_000  # bytes of address space, for what SQLite sorts and keeps


def _run(spec: Spec) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    from adbc_driver_sqlite import dbapi

    connection: Any = dbapi.connect(spec["uri"])
    cursor = connection.cursor()
    cursor.execute(spec["sql"])
    send(cursor.fetch_record_batch())


if __name__ == "__main__":
    main(_run)
