"""Tables with a planted leak, thirty-six of six kinds, and clean ones that look like them: made up, the same every time."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa

START = datetime(2024, 1, 1)
KINDS = ("power", "encoding", "identifier", "after_event", "duplicates", "time_split")
TARGETS = ("binary", "regression", "multiclass")


def clean(seed: int, kind: str, rows: int = 1500, hours: int = 2) -> dict[str, object]:
    """Honest columns of several sorts and a target: numbers, counts, codes, gaps, an id, customers, a time, a slow trend."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4))
    place, count = rng.integers(0, 6, rows), rng.poisson(3, rows)
    customer = rng.integers(0, rows // 10, rows)
    value = (
        1.2 * x[:, 0]
        + np.abs(x[:, 1])
        + 0.3 * count
        + rng.normal(size=6)[place]
        + 0.3 * rng.normal(size=rows // 10)[customer]
        + 0.3 * np.sin(np.arange(rows) / 60)
        + rng.normal(0, 1.0, rows)
    )
    rate = 1 / (1 + np.exp(-(value - value.mean()) + rng.normal(0, 0.3, rows)))
    return {
        "id": rng.permutation(rows),
        "at": [START + timedelta(hours=hours * n) for n in range(rows)],
        "a": x[:, 0],
        "b": x[:, 1],
        "c": np.round(x[:, 2], 2),
        "gaps": pa.array(x[:, 3], mask=rng.random(rows) < 0.2),
        "place": np.array(list("uvwxyz"))[place],
        "count": count,
        "customer": customer,
        "score": np.clip(rate * 0.8 + 0.1 + rng.normal(0, 0.1, rows), 0, 1),
        "amount": np.round(np.exp(x[:, 1] + 5)).astype(int),
        "y": _target(value, kind),
    }


def _target(value: np.ndarray, kind: str) -> object:
    if kind == "regression":
        return value
    if kind == "binary":
        return value > np.quantile(value, 0.6)
    return np.array(["low", "mid", "top"])[np.digitize(value, np.quantile(value, [0.4, 0.75]))]


def numbers(y: object) -> np.ndarray:
    """The target as numbers."""
    found = np.asarray(y)
    return (
        np.unique(found, return_inverse=True)[1].astype(float)
        if found.dtype.kind in "US"
        else found.astype(float)
    )


def planted(leak: str, variant: int) -> tuple[dict[str, object], str, str]:
    """The columns with a leak, the name of the leaking one ('' of none), and the kind of the target."""
    target = TARGETS[variant % 3] if leak != "encoding" else TARGETS[variant % 2]
    rng = np.random.default_rng(100 + variant)
    table = clean(50 + variant, target)
    return *_PLANT[leak](table, variant, rng), target


def _power(t: dict[str, object], variant: int, rng: np.random.Generator) -> tuple[dict[str, object], str]:
    y = numbers(t["y"])
    made = [
        y * 1.0, -3 * y + 7, np.where(rng.random(len(y)) < 0.004, 1 - np.clip(y, 0, 1), y) if variant == 2 else y + 0.0,
        y + (rng.normal(0, 0.02 * y.std(), len(y)) if variant % 3 == 1 else 0.0), np.exp(np.clip(y, -5, 9)), y * 2,
    ][variant]  # fmt: skip
    return {**t, "leak": made}, "leak"


def _encoding(t: dict[str, object], variant: int, rng: np.random.Generator) -> tuple[dict[str, object], str]:
    """The mean of the target of a group, the row's own included; groups of 4 to 40 rows."""
    y = numbers(t["y"])
    group = rng.integers(0, len(y) // (4, 6, 10, 15, 25, 40)[variant], len(y))
    return {**t, "leak": (np.bincount(group, y) / np.maximum(np.bincount(group), 1))[group]}, "leak"


def _identifier(
    t: dict[str, object], variant: int, rng: np.random.Generator
) -> tuple[dict[str, object], str]:
    """Accounts of which each has one target, or rows that were numbered after they were sorted by it."""
    y, rows = numbers(t["y"]), len(numbers(t["y"]))
    if variant in (3, 4):
        if variant == 4:
            t = {**t, "y": (value := numbers(clean(54, "regression")["y"]))}
            y = value
        order = np.argsort(y + rng.normal(0, 0.5 * y.std(), rows), kind="stable")
        made = np.empty(rows, int)
        made[order] = np.arange(rows)
        return ({**t, "y": y > np.median(y), "leak": made} if variant == 3 else {**t, "leak": made}), "leak"
    order = np.argsort(y, kind="stable")
    account = np.empty(rows, int)
    account[order] = np.arange(rows) // (5 + variant)
    return {**t, "leak": rng.permutation(rows)[account]}, "leak"


def _after(t: dict[str, object], variant: int, rng: np.random.Generator) -> tuple[dict[str, object], str]:
    """Filled some days later: the newest rows have it not yet."""
    rows = len(numbers(t["y"]))
    values, late = rng.normal(size=rows), int(rows * (0.03, 0.04, 0.06, 0.1, 0.2, 0.3)[variant])
    gap = (np.arange(rows) >= rows - late) | (rng.random(rows) < 0.02 * variant)
    if variant == 5:
        gap &= rng.random(rows) < 0.95
    return {**t, "leak": pa.array(values, mask=gap)}, "leak"


def _duplicates(
    t: dict[str, object], variant: int, rng: np.random.Generator
) -> tuple[dict[str, object], str]:
    """Rows that came twice, with another id and a later time."""
    rows = len(numbers(t["y"]))
    share = (0.06, 0.1, 0.15, 0.2, 0.3, 0.5)[variant]
    again = np.where(rng.random(rows) < share, rng.integers(0, rows, rows), np.arange(rows))
    taken = pa.table({k: v for k, v in t.items() if k not in {"id", "at"}}).take(pa.array(again))
    return {"id": t["id"], "at": t["at"], **{n: taken.column(n) for n in taken.column_names}}, ""


def _time(t: dict[str, object], variant: int, rng: np.random.Generator) -> tuple[dict[str, object], str]:
    """A batch of some days with a level of its own, and a column that says which batch it is."""
    y, rows = numbers(t["y"]), len(numbers(t["y"]))
    batch = np.arange(rows) // (30, 40, 50, 60, 75, 100)[variant]
    level = rng.normal(0, 4, rows)[batch] + 0.15 * (y - y.mean())
    target = TARGETS[variant % 3]
    made = {n: v for n, v in t.items() if n in {"id", "at", "c", "gaps", "amount"}}
    named = rng.permutation(5000)[batch] + rng.normal(0, 0.01, rows)
    return {**made, "batch": named, "y": _target(level, target)}, ""


_PLANT = {
    "power": _power,
    "encoding": _encoding,
    "identifier": _identifier,
    "after_event": _after,
    "duplicates": _duplicates,
    "time_split": _time,
}


def corpus() -> Iterator[tuple[str, int]]:
    """Each kind of leak with its variants."""
    yield from ((leak, variant) for leak in KINDS for variant in range(6))
