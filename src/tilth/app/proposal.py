"""A project proposed for a table: SOURCE, DATASET, MODEL and ENDPOINT as text, each line with its reason beside it. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tilth.app.looked import Column
from tilth.core.names import in_query, literal
from tilth.core.schema import TEMPORAL, DataType
from tilth.sql.language.writing import name

_TIMES = ("created", "event", "ordered", "at", "time", "date")


@dataclass(frozen=True, slots=True)
class Asked:
    """What was looked at: the source's engine and options (as text), the table, the target, its columns."""

    engine: str
    options: str
    table: str
    target: str
    columns: tuple[Column, ...]
    whole: bool  # the sample was the whole table
    settled: tuple[str, ...] = ()  # options that are in the text, each with its reason


def files(asked: Asked) -> dict[str, str]:
    """The project's files by name."""
    key, time = key_of(asked), time_of(asked)
    names = _names(asked)
    return {
        "tilth.toml": "# Settings of the project; docs/reference.md lists them.\n",
        ".gitignore": ".tilth/\n",
        "sources.sql": _source(asked, names),
        "datasets.sql": _dataset(asked, names, key, time),
        "models.sql": _model(asked, names, key, time),
        "endpoints.sql": _endpoint(asked, names, key),
    }


def key_of(asked: Asked) -> Column | None:
    """The column that tells rows apart: without a gap, each value once; one that is called an id before others."""
    found = [
        c
        for c in asked.columns
        if c.rows == c.distinct and not c.nulls and c.name != asked.target
        and c.type in (DataType.INTEGER, DataType.STRING, DataType.UUID)
    ]  # fmt: skip
    return min(
        found, key=lambda c: not re.search(r"(^|_)(id|key|uuid|no|number)$", c.name.lower()), default=None
    )


def time_of(asked: Asked) -> Column | None:
    """The moment of the fact: without a gap, several values; one that is called so before others."""
    found = [
        c
        for c in asked.columns
        if c.type in TEMPORAL and not c.nulls and c.distinct > 1 and c.name != asked.target and not c.tells
    ]
    places = {
        c.name: next((i for i, w in enumerate(_TIMES) if w in c.name.lower()), len(_TIMES)) for c in found
    }
    return min(found, key=lambda c: places[c.name], default=None)


def _names(asked: Asked) -> dict[str, str]:
    """Names of the resources, each its own."""
    taken: set[str] = set()

    def free(word: str, ending: str) -> str:
        plain = re.sub(r"[^a-z0-9_]+", "_", word.lower()).strip("_")[:40] or ending
        plain = plain if plain[0].isalpha() else f"t_{plain}"
        while plain in taken:
            plain += f"_{ending}"
        taken.add(plain)
        return name(plain)

    source = free("files" if asked.engine in ("files", "http", "s3") else "db", "source")
    dataset = free(asked.table, "data")
    model = free(asked.target, "model")
    return {
        "source": source,
        "dataset": dataset,
        "model": model,
        "endpoint": free(f"{model.strip(chr(34))}_api", "endpoint"),
    }


_LOCAL = "  REFRESH ON CHANGE  -- when the file changes: `tilth apply` and `tilth up` collect it anew"
_DAILY = "  REFRESH EVERY '1 day'  -- when it is due: `tilth apply` and `tilth up` collect it anew"
_REFRESH = {
    "files": _LOCAL,
    "sqlite": _LOCAL,
    "duckdb": _LOCAL,
    "s3": _LOCAL,
    **dict.fromkeys(("postgres", "mysql", "mariadb", "http"), _DAILY),
}


def _source(asked: Asked, names: Mapping[str, str]) -> str:
    rows = ["-- Where the data lies.", *(f"-- {_plain(why)}" for why in asked.settled)]
    made = f"CREATE SOURCE {names['source']} ENGINE {asked.engine} WITH ({asked.options});"
    return "\n".join([*rows, made, ""])


def _dataset(asked: Asked, names: Mapping[str, str], key: Column | None, time: Column | None) -> str:
    seen = f"the {asked.columns[0].rows:,} rows " + (
        "of the table" if asked.whole else "that were read of the table"
    )
    rows = [f"-- The rows to learn from, vetted. Proposed from {seen}.", f"CREATE DATASET {names['dataset']}"]
    if key:
        rows.append(f"  KEY ({name(key.name)})  -- each value stands once in {seen}")
    else:
        rows.append("  -- no KEY: no column without gaps has each value once")
    if time:
        rows.append(
            f"  EVENT TIME {name(time.name)}  -- a moment in every row: newest rows judge the model. Is it when the fact happened?"
        )
    else:
        rows.append(
            "  -- no EVENT TIME: no column holds a moment in every row, so rows that judge are drawn by their id"
        )
    rows.append(_REFRESH[asked.engine])
    checks = [
        *_checks(asked, key),
        (f"COUNT(*) >= {max(1, asked.columns[0].rows // 2)} ON FAIL STOP", "half of the rows there were"),
    ]
    rows.append("  EXPECT (")
    rows += [
        f"    {text}{',' if at < len(checks) else ''}  -- {why}" for at, (text, why) in enumerate(checks, 1)
    ]
    missing = next(c for c in asked.columns if c.name == asked.target).nulls
    where = f"\nWHERE {in_query(asked.target)} IS NOT NULL" if missing else ""
    why = f"  -- {missing:,} rows have no target yet: nothing to learn from" if missing else ""
    return "\n".join(
        [*rows, "  )", f"AS SELECT * FROM {names['source']}.{name(asked.table)}{where};{why}", ""]
    )


def _checks(asked: Asked, key: Column | None) -> Iterator[tuple[str, str]]:
    """A check with its reason, of the columns that one can be told of."""
    for c in asked.columns:
        said, or_gap = in_query(c.name), f" OR {in_query(c.name)} IS NULL" if c.nulls else ""
        gaps = f"; {c.nulls:,} are missing" if c.nulls else ""
        if c.name == asked.target or c is key:
            continue
        if c.low is not None and math.isfinite(c.low) and math.isfinite(c.high):
            low, high = _room(c)
            yield (
                f"{said} BETWEEN {low} AND {high}{or_gap} ON FAIL QUARANTINE",
                f"seen: {c.low:g} to {c.high:g}, with room{gaps}",
            )
        elif c.values:
            listed = ", ".join(map(literal, c.values))
            yield (
                f"{said} IN ({listed}){or_gap} ON FAIL QUARANTINE",
                f"no other of {c.rows - c.nulls:,} values{gaps}",
            )
        elif not c.nulls:
            yield f"{said} IS NOT NULL ON FAIL QUARANTINE", "none is missing"


def _room(c: Column) -> tuple[str, str]:
    """The ends with half of the span as room; nothing that never was negative becomes so."""
    low, high = float(c.low), float(c.high)
    room = max((high - low) / 2, abs(high) / 2, 1.0)
    ends = (0.0 if low >= 0 else low - room), high + room
    first, last = math.floor(ends[0]), math.ceil(ends[1])
    return str(first), str(last)


def task_of(target: Column) -> str:
    """What kind of question the target is, as training decides it."""
    if target.distinct == 2:
        return "binary"
    return (
        "multiclass"
        if target.type is DataType.STRING or (target.type is DataType.INTEGER and target.distinct <= 10)
        else "regression"
    )


_METRICS = {
    "binary": ("roc_auc", "two answers: how well the likelier ones are ranked before the others"),
    "multiclass": ("log_loss", "several answers: how sure of the right one"),
    "regression": ("mae", "a number: how far off on average"),
}


def _model(asked: Asked, names: Mapping[str, str], key: Column | None, time: Column | None) -> str:
    target = next(c for c in asked.columns if c.name == asked.target)
    metric, why = _METRICS[task_of(target)]
    rows = [
        f"-- Predicts {_plain(asked.target)}.",
        f"CREATE MODEL {names['model']}",
        f"  PREDICT {name(asked.target)}",
        f"  FROM {names['dataset']}",
    ]
    leaks = [c for c in asked.columns if c.tells and c is not key and c is not time]
    if leaks:
        rows += [
            f"  -- {_plain(c.name)} is left out: {c.tells}. Is it known before the answer is?" for c in leaks
        ]
        rows.append(f"  FEATURES (* EXCEPT ({', '.join(name(c.name) for c in leaks)}))")
    if time:
        rows.append(
            f"  -- {_plain(time.name)} is an input, too: leave it out of FEATURES if it says only when the row was made"
        )
    rows.append(f"  OBJECTIVE (metric = '{metric}')  -- {why}")
    if time:
        rows.append(
            f"  -- if {_plain(asked.target)} is known only later, say by how much: OBJECTIVE (metric = '{metric}', label_delay = '30 days')"
        )
    rows.append(
        "  RETRAIN WHEN drift > 0.25 OR new_rows > '20%'  -- `tilth up` looks once a day; RETRAIN MODEL does it by hand"
    )
    rows.append("  PROMOTE IF better;  -- a new version must win against the one that serves")
    return "\n".join([*rows, ""])


def _endpoint(asked: Asked, names: Mapping[str, str], key: Column | None) -> str:
    head = f"-- POST /predict/{names['endpoint']}, when `tilth up` runs.\nCREATE ENDPOINT {names['endpoint']} FOR MODEL {names['model']}"
    if key is None:
        return f"{head};  -- without a KEY nothing tells later whether an answer was right\n"
    truth = f"{names['dataset']} ({name(key.name)}, {name(asked.target)})"
    return f"{head}\n  OUTCOMES FROM {truth};  -- where the truth arrives: quality is watched by it\n"


def _plain(text: str) -> str:
    """A name as it stands in a comment: on one line."""
    return " ".join(text.split())


def left_out(columns: Sequence[Column]) -> list[str]:
    """The columns that would give the target away."""
    return [c.name for c in columns if c.tells]
