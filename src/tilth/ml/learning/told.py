"""What a training has to say that nobody asked for: columns left out and why, labels that look alike, a rare class, infinities.

Each is a plain mapping: its `kind`, the `column` it is about (or None), the `text`, and an `option`: what to write if it
was not meant so. They go with the training's facts; who shows them, and where, is decided elsewhere. Nothing here changes
what is learned.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from tilth.core.names import is_bare, literal, quoted
from tilth.ml.data.identity import row_ids
from tilth.ml.judging.split import FOLDS
from tilth.ml.model.columns import Column, plain_strings
from tilth.ml.model.preparing import MOST_LEVELS

if TYPE_CHECKING:
    import pyarrow as pa

    from tilth.ml.learning.made import Made
    from tilth.ml.learning.rows import Rows
    from tilth.ml.learning.target import Target

Told: TypeAlias = "dict[str, str | None]"

MOSTLY = (
    0.9  # the share of a text column's rows that are numbers, from which on it was probably meant to be one
)
LOOKED_AT = 10_000  # different texts of a column
RARE = 0.1  # the share of rows below which one of two classes is called rare; of more, accordingly less
COMPARED = 200_000  # rows that are looked at for copies
TWICE, CHANCE = (
    0.01,
    0.5,
)  # the share of copies from which on they are told; of different values of an input that hardly repeats
KEPT = 0.8  # the share of a text column's rows whose texts are learned from, below which it is told
GAPS = frozenset(
    ("", "na", "n/a", "#n/a", "nan", "null", "?", "-", "--", "nil")
)  # texts that often mean a missing value
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*\Z")


def told(names: Sequence[str], data: Rows, made: Made, metrics: dict[str, Any]) -> list[Told]:
    """All of it, in an order that people read. `names` are the inputs as they were declared."""
    return [
        *labels(data.target),
        *_unseen(data),
        *_thin(data),
        *_dropped(data),
        *_texts(data),
        *_infinite(names, data.table),
        *_twice(names, data),
        *_suspicious(metrics.get("leaks", ())),
        *_rare(data.target, metrics.get("rare")),
        *_quantile(data.target.name, metrics.get("quantile")),
        *_interval(data, made),
        *_cut_short(made),
        *(_say(one.kind, None, one.text, one.option) for one in made.remarks),
    ]


def _suspicious(found: Sequence[Mapping[str, Any]]) -> Iterator[Told]:
    """What may be a leak and holds nothing."""
    for one in found:
        if not one.get("holds", True):
            column = str(one["column"])
            text = f"`{column}` may leak: {one['seen']}." if column else f"The rows may leak: {one['seen']}."
            option = (
                f"FEATURES (* EXCEPT ({_sql(column)})), or ACCEPT LEAK ({_sql(column)}) BECAUSE '...'."
                if column
                else "Look at how the dataset's rows are made."
            )
            yield _say("leak", column or None, text, option)


def _say(kind: str, column: str | None, text: str, option: str) -> Told:
    return {"kind": kind, "column": column, "text": text, "option": option}


def _sql(name: str) -> str:
    return name if is_bare(name) else quoted(name)


# --- the target --------------------------------------------------------------------------------------------


def labels(target: Target) -> Iterator[Told]:
    """Classes that differ only in case, in spaces, or in how Unicode writes the same letters."""
    texts = [c for c in target.classes if isinstance(c, str)]
    yield from _gaps(target, [c for c in texts if _spelled(c) in GAPS])
    alike: dict[str, list[str]] = defaultdict(list)
    for one in texts:
        alike[_spelled(one)].append(one)
    several = [group for group in alike.values() if len(group) > 1]
    if not several:
        return
    shown = "; ".join(" = ".join(f"'{c}'" for c in group) for group in several[:5])
    more = f"; and {len(several) - 5} more" if len(several) > 5 else ""
    name = _sql(target.name)
    yield _say(
        "labels", target.name,
        f"`{target.name}` has {len(texts)} classes, and {len(alike)} when case and spaces do not count: {shown}{more}. "
        "Each spelling is a class of its own.",
        f"If they are the same, write lower(trim({name})) AS {name} in the dataset's query.",
    )  # fmt: skip


def _gaps(target: Target, found: Sequence[str]) -> Iterator[Told]:
    if found:
        shown = " and ".join(f"'{c}'" for c in found)
        name = _sql(target.name)
        yield _say(
            "labels", target.name, f"{shown} of `{target.name}` {'is' if len(found) == 1 else 'are'} learned as any other class.",
            f"If it means that the value is missing, filter such rows in the dataset's query: WHERE {name} <> '{found[0]}'.",
        )  # fmt: skip


def _spelled(label: str) -> str:
    """The label without what may differ between two writings of it: case, spaces, forms of letters, zeros of a number."""
    text = " ".join(unicodedata.normalize("NFKC", label).casefold().split())
    return repr(float(text)) if _NUMBER.match(text) else text


def _unseen(data: Rows) -> Iterator[Told]:
    """Classes of the newest rows alone: what judges the model never saw one."""
    import numpy as np

    start = data.split.window
    if data.target.kind != "multiclass" or start >= data.split.rows:
        return
    fresh = np.setdiff1d(data.y[start:], data.y[:start]).astype(np.int64)
    if len(fresh):
        rows = int(np.isin(data.y[start:], fresh).sum())
        name = _sql(data.target.name)
        yield _say(
            "labels", data.target.name,
            f"{_named(data.target, fresh)} of `{data.target.name}` {'is' if len(fresh) == 1 else 'are'} in {rows:,} of the newest "
            f"{data.split.rows - start:,} rows and in none before: the model is judged by one that never saw "
            f"{'it' if len(fresh) == 1 else 'them'}, and its metric tells of that.",
            f"Wait until older rows have {'it' if len(fresh) == 1 else 'them'}, or filter such rows in the dataset's query by {name}.",
        )  # fmt: skip


def _thin(data: Rows) -> Iterator[Told]:
    """Classes of so few rows that not every part of the rows can have one."""
    import numpy as np

    if data.target.kind != "multiclass":
        return
    counts = np.bincount(data.y.astype(np.int64), minlength=len(data.target.classes))
    thin = np.flatnonzero(counts < FOLDS)
    if len(thin):
        yield _say(
            "labels", data.target.name,
            f"{len(thin):,} of {len(counts):,} classes of `{data.target.name}` {'has' if len(thin) == 1 else 'have'} fewer than {FOLDS} rows each, "
            f"such as {_named(data.target, thin)}: there is little to learn of them, and less to judge by.",
            "Group the rare ones in the dataset's query, or collect more rows of them.",
        )  # fmt: skip


def _named(target: Target, codes: Any) -> str:
    """The first classes of these codes, as SQL writes them."""
    some = [target.classes[int(code)] for code in codes[:3]]
    shown = [literal(c) if isinstance(c, str) else str(c).lower() for c in some]
    return " and ".join(shown) if len(codes) <= 3 else f"{', '.join(shown)} and {len(codes) - 3:,} more"


def _rare(target: Target, found: dict[str, Any] | None) -> Iterator[Told]:
    """How many rows of a rare class the model finds, counted on the rows that judge it."""
    if not found or not found["rows"] or found["share"] >= 2 * RARE / len(target.classes):
        return
    lost = found["found"] < found["rows"] / 2 and target.kind == "binary"
    option = (
        f"To find more of them at the price of more false alarms: PREDICT {_sql(target.name)} POSITIVE {found['label']} and "
        "OBJECTIVE (cost_false_negative = 10, cost_false_positive = 1)."
    )
    yield _say(
        "rare", target.name,
        f"{found['label']} is rare in `{target.name}`: {found['rows']:,} of {found['judged']:,} judged rows. The model finds "
        f"{found['found']:,} of them, and says so of {found['called']:,} rows.",
        option if lost else "Look at both numbers, and not at accuracy, when you judge this model.",
    )  # fmt: skip


# --- inputs ------------------------------------------------------------------------------------------------


def _dropped(data: Rows) -> Iterator[Told]:
    for name, why in data.preparation.dropped:
        found = _numbers(data, name)
        option = (
            _as_number(name)
            if found
            else f"To leave it out yourself, write FEATURES (* EXCEPT ({_sql(name)}))."
        )
        text = f"`{name}` is not learned from: {why}{f'; {found}' if found else ''}."
        yield _say("dropped", name, text, option)


def _texts(data: Rows) -> Iterator[Told]:
    """Text columns that are learned from, but not as one might think: numbers among words, and more values than are kept."""
    for column in data.preparation.columns:
        if column.kind not in {"category", "text"}:
            continue
        found = _numbers(data, column.name)
        if found:
            text = f"`{column.name}` is a text to the model, and its values have no order: {found}."
            yield _say("text", column.name, text, _as_number(column.name))
        if column.kind == "category":
            yield from _levels(data, column)


def _levels(data: Rows, column: Column) -> Iterator[Told]:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = plain_strings(data.table.column(column.name))
    known = len(values) - values.null_count
    kept = pc.sum(pc.is_in(values, value_set=pa.array(column.levels))).as_py() or 0
    if kept < KEPT * known or len(column.levels) == MOST_LEVELS:
        different = pc.count_distinct(values).as_py()
        yield _say(
            "levels", column.name,
            f"`{column.name}` has {different:,} different texts. The {len(column.levels):,} most frequent are learned from, which are "
            f"{kept / known:.0%} of its rows; all others count as missing.",
            "Group the rare ones in the dataset's query.",
        )  # fmt: skip


def _numbers(data: Rows, name: str) -> str:
    """In words, how many rows of a text column are numbers, where most are and not all; else nothing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = data.table.column(name)
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        return ""
    counted = pc.value_counts(plain_strings(values)).slice(0, LOOKED_AT)
    rows = numbers = 0
    others: list[str] = []
    for one, count in zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True):
        if one is None:
            continue
        rows += count
        if _NUMBER.match(one):
            numbers += count
        else:
            others.append(one)
    if not others or numbers < MOSTLY * rows:
        return ""
    rest = "one text is not" if len(others) == 1 else f"{len(others):,} different ones are not"
    return f"{numbers / rows:.1%} of its texts are numbers, {rest}"


def _as_number(name: str) -> str:
    column = _sql(name)
    return f"If it is a number, write TRY_CAST({column} AS DOUBLE) AS {column} in the dataset's query: what is no number is then missing."


def _infinite(names: Sequence[str], table: pa.Table) -> Iterator[Told]:
    import pyarrow as pa
    import pyarrow.compute as pc

    for name in names:
        values = table.column(name)
        if not pa.types.is_floating(values.type):
            continue
        count = pc.sum(pc.is_inf(values)).as_py() or 0
        if count:
            yield _say(
                "infinite", name,
                f"`{name}` is infinite in {count:,} of {len(values):,} rows; to the model these are missing values.",
                "Where it comes of a division, write a / NULLIF(b, 0) in the dataset's query.",
            )  # fmt: skip


def _twice(names: Sequence[str], data: Rows) -> Iterator[Told]:
    """Rows whose inputs and target are there before, where an input that hardly repeats says that it is no chance."""
    import numpy as np

    rows = data.table.slice(0, COMPARED)
    ids = row_ids(rows, sorted({*names, data.target.name}))
    different = len(np.unique(ids))
    again = len(ids) - different
    if again < max(1, TWICE * len(ids)):
        return
    if any(len(np.unique(row_ids(rows, [n]))) > CHANCE * different for n in names):
        of = f"{len(ids):,} rows" if len(data.table) <= COMPARED else f"the first {COMPARED:,} rows"
        yield _say(
            "twice", None,
            f"{again:,} of {of} have the same inputs and `{data.target.name}` as another one: each counts, and what judges the "
            "model may be what it learned from.",
            "If they are copies, take one of each in the dataset's query: SELECT DISTINCT, or a KEY that tells rows apart.",
        )  # fmt: skip


# --- the fit -----------------------------------------------------------------------------------------------


def _quantile(name: str, found: dict[str, Any] | None) -> Iterator[Told]:
    if found is None:
        return
    text = (
        f"`{name}` is at most what was answered in {found['share']:.1%} of {found['rows']:,} judged rows "
        f"({found['low']:.1%} to {found['high']:.1%}), where {found['wanted']:.0%} is asked for."
    )
    yield _say("quantile", name, text, "If the middle is wanted, take another metric, such as 'mae'.")


def _interval(data: Rows, made: Made) -> Iterator[Told]:
    if made.interval is not None and made.interval.told:
        yield _say("interval", data.target.name, made.interval.told, "Collect more rows.")


def _cut_short(made: Made) -> Iterator[Told]:
    if made.cut_short:
        text = f"The training was cut short by its limits: {'; '.join(made.cut_short)}. What was best by then is used."
        yield _say(
            "time",
            None,
            text,
            "Give it more: USING (time_limit = '5 minutes'), and a larger cpu_limit where one is given.",
        )
