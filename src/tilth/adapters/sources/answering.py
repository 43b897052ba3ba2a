"""What each process of `processes` does: it hears what is asked, locks itself up, answers Arrow, and says an error.

Which library reads what, and what it may reach, is for the `child` of each source to say.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tilth.adapters.jails.jail import die_with_parent, enter
from tilth.core.names import literal

BATCH = 32_768
BESIDE = 1 << 30  # address space of threads and of what libraries of versioned tables do not count
Spec = Mapping[str, Any]
Said = Callable[[BaseException], Mapping[str, str]]


def said(error: BaseException) -> dict[str, str]:
    """The error's kind and the beginning of its text, for `processes` to make ours of."""
    return {"kind": type(error).__name__, "said": str(error)[:2000]}


def main(run: Callable[[Spec], None], told: Said = said) -> None:
    """Do what is told on the input, and end."""
    spec = json.load(sys.stdin)
    die_with_parent(spec["parent"])
    try:
        run(spec)
    except BrokenPipeError:
        pass  # nobody wants the rest
    except BaseException as error:
        json.dump(told(error), sys.stderr)
        sys.stderr.flush()
    os._exit(0)  # a library that was broken by what it read is not asked to tidy up


def send(rows: Any, schema: Any = None) -> None:
    """The batches, on the output; `schema` where their fields are told more of."""
    import pyarrow as pa

    with os.fdopen(1, "wb", closefd=False) as out, pa.ipc.new_stream(out, schema or rows.schema) as sink:
        for batch in rows:
            sink.write_batch(batch)


def settle(connection: Any, memory: int, paths: Iterable[str] = ()) -> None:
    """Let a DuckDB connection read these files and reach nothing else; whoever is done with it locks its configuration."""
    for setting in (
        f"allowed_paths = [{', '.join(map(literal, paths))}]",
        "enable_external_access = false",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "allow_community_extensions = false",
        "python_enable_replacements = false",
        f"memory_limit = '{memory}B'",
        "TimeZone = 'UTC'",
    ):
        connection.execute(f"SET {setting}")


def lock(connection: Any) -> None:
    """Keep the settings as they are."""
    connection.execute("SET lock_configuration = true")


@dataclass(frozen=True, slots=True)
class Opened:
    """One version of a table that a library opened: its rows as a reader of Arrow, its number, what tells it from others, and its metadata."""

    rows: Any
    version: int | None
    id: str
    metadata: str | None = None


class AlikeNames(Exception):
    """Columns whose names differ by case alone, which DuckDB does not tell apart."""


def of_version(spec: Spec, load: Callable[[], None], opened: Callable[[Spec], Opened]) -> None:
    """Answer of one version of a table (`lakes`): its columns, or the rows that DuckDB's SQL over `given` finds.

    A table on this machine is read when nothing but its folder is in reach; one beyond a network needs it, so there the process is
    only apart: it ends alone, and can be killed. `load` has the library in memory before that.
    """
    import duckdb

    load()
    connection: Any = duckdb.connect(":memory:", config={"threads": 2})
    if spec["local"]:
        enter([spec["uri"]], [], spec["memory"] + BESIDE, spec["seconds"])
    settle(connection, spec["memory"])
    lock(connection)
    found = opened(spec)
    names = [n.lower() for n in found.rows.schema.names]
    if twice := sorted({n for n in names if names.count(n) > 1} if len(set(names)) < len(names) else ()):
        raise AlikeNames(twice[0])
    connection.register("given", found.rows)
    if spec["ask"] == "rows":
        send(connection.sql(spec["sql"]).to_arrow_reader(BATCH))
        return
    relation = connection.sql("SELECT * FROM given LIMIT 0")
    kinds = list(zip(relation.columns, map(str, relation.types), strict=True))
    tell({"kinds": kinds, "version": found.version, "id": found.id, "metadata": found.metadata})


def tell(what: Mapping[str, object]) -> None:
    """One value, as JSON."""
    import pyarrow as pa

    send(pa.table({"found": [json.dumps(what)]}).to_reader())
