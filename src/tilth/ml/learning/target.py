"""What kind of task a target column makes, and the target as numbers. Refuses what cannot be learned, saying why.

Two values: binary. Texts, and whole numbers with at most 10 values: multiclass. Other numbers: regression. The metric
of the objective decides where a whole number could be either (`rmse` makes it a regression, `accuracy` classes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tilth.core.errors import TargetError
from tilth.core.metrics import BY_KIND, POSITIVE, canonical, find, quantile_of
from tilth.core.names import literal
from tilth.core.schema import DataType
from tilth.ml.learning.made import Remark
from tilth.ml.model.preparing import ID_LIKE, NAMED
from tilth.ml.model.wording import sampled, wording
from tilth.ports.arrow import data_type

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.ml.model.spec import TrainingSpec

MOST_CLASSES = 1_000
FEW_NUMBERS = 10
LEAST_ROWS = 30
DENSE = 2.0  # whole numbers that never repeat, in a range of so many a row, count rows
LARGEST = 1e30  # of a target that is a number; engines keep it in 32 bits, and its square is summed over rows
APART = 0.25  # of how much targets differ: a step between two numbers of 32 bits near them must be smaller
NUMBERS = (DataType.INTEGER, DataType.FLOAT, DataType.DECIMAL)


@dataclass(frozen=True, slots=True)
class Target:
    """`classes` in ascending order, but of two the positive one is last. Empty for a regression."""

    name: str
    type: DataType
    kind: str  # regression | binary | multiclass
    classes: tuple[Any, ...] = ()


def inspect(values: Any, name: str, metric: str | None) -> Target:
    """The task that a target column without gaps makes. Raises TargetError."""
    import pyarrow.compute as pc

    if len(values) < LEAST_ROWS:
        raise TargetError(
            f"There are {len(values)} rows with a known `{name}`; at least {LEAST_ROWS} are needed.",
            hint="Collect more rows, or check the WHERE of the dataset's query.",
        )
    kind = data_type(values.type)
    if kind not in (*NUMBERS, DataType.BOOLEAN, DataType.STRING):
        raise TargetError(
            f"The target `{name}` is a {kind.value}; tilth learns booleans, numbers and texts.",
            hint="Derive such a column in the dataset's query.",
        )
    distinct = pc.unique(values)
    _no_name(name, kind, values, distinct, metric)
    if len(distinct) < 2:
        raise TargetError(
            f"The target `{name}` has the same value in all {len(values)} rows: there is nothing to learn.",
            hint="Check the dataset's query, or predict another column.",
        )
    return _classify(name, kind, distinct, metric)


def _no_name(name: str, kind: DataType, values: Any, distinct: Any, metric: str | None) -> None:
    """TargetError for a column that names rows, or is free text: nothing learned of it would help with another row."""
    rows, count = len(values), len(distinct)
    if kind is DataType.STRING and count > NAMED and count > ID_LIKE * rows:
        describes = wording(sampled(distinct)).describes
        raise TargetError(
            f"The target `{name}` has {count:,} different texts in {rows:,} rows: "
            f"{'it is free text' if describes else 'it looks like an identifier'}, and no class to learn.",
            hint="Predict another column, or derive classes from it in the dataset's query, for example by CASE WHEN.",
        )
    if kind is DataType.INTEGER and count == rows > NAMED and metric is None and _counts(values):
        raise TargetError(
            f"The target `{name}` is a different whole number in each of {rows:,} rows, with hardly one left out: it looks "
            "like an identifier.",
            hint="Predict another column. If it is a quantity, say how errors are measured: OBJECTIVE (metric = 'rmse').",
        )


def _counts(values: Any) -> bool:
    """Whether numbers that never repeat fill their range."""
    import pyarrow.compute as pc

    ends = pc.min_max(values).as_py()
    return bool(ends["max"] - ends["min"] < DENSE * len(values))


def _classify(name: str, kind: DataType, distinct: Any, metric: str | None) -> Target:
    count = len(distinct)
    metric = metric and canonical(metric)
    if kind in NUMBERS:
        wants_number = metric in BY_KIND["regression"] or quantile_of(metric or "") is not None
        wants_classes = metric in BY_KIND["binary"] or metric in BY_KIND["multiclass"]
        few = kind is DataType.INTEGER and (count <= FEW_NUMBERS or (wants_classes and count <= MOST_CLASSES))
        if wants_number or not (count == 2 or few):
            return Target(name, kind, "regression")
    if count > MOST_CLASSES:
        raise TargetError(
            f"The target `{name}` has {count:,} different texts; at most {MOST_CLASSES:,} classes can be learned.",
            hint="Group the rare ones in the dataset's query, or predict a number.",
        )
    classes = tuple(sorted(distinct.to_pylist()))
    if kind is DataType.DECIMAL:
        classes = tuple(float(c) for c in classes)
    return Target(name, kind, "binary" if count == 2 else "multiclass", classes)


def taken_as(found: Target) -> tuple[Remark, ...]:
    """What is guessed of a target where no metric says it: few whole numbers are classes, and have no order then."""
    if found.kind != "multiclass" or found.type is not DataType.INTEGER:
        return ()
    shown = ", ".join(str(c) for c in found.classes)
    words = f"`{found.name}` has {len(found.classes)} different whole numbers ({shown}), which are learned as classes, without an order."
    return (
        Remark(
            "labels",
            words,
            "If it is an amount or a grade, say how errors are measured: OBJECTIVE (metric = 'rmse').",
        ),
    )


def encode(values: Any, target: Target) -> npt.NDArray[np.float64]:
    """float64 [rows]: the value (regression) or the index of the class; NaN for a class that is not known."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from tilth.ml.model.columns import floats, numpy_of

    if target.kind == "regression":
        return np.ascontiguousarray(floats(values))
    if target.type is DataType.DECIMAL:
        values = pc.cast(values, pa.float64())
    plain = pc.cast(values, values.type.value_type) if pa.types.is_dictionary(values.type) else values
    index = pc.index_in(plain, value_set=pa.array(list(target.classes)).cast(plain.type))
    return np.ascontiguousarray(numpy_of(pc.cast(index, pa.float64())))


def known_rows(
    values: Any, name: str, mature: npt.NDArray[np.bool_] | None, beside: Sequence[Any] = ()
) -> npt.NDArray[np.bool_]:
    """Which rows may teach: their label is due (`split.mature`; None when all are) and known.

    A label that is due and missing is a TargetError, unless the row has another target of the model, which are `beside`; one
    that came early waits with the others of its time.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from tilth.ml.model.columns import numpy_of

    nan_too = pa.types.is_floating(values.type)
    known = there(values)
    due = np.ones(len(known), dtype=np.bool_) if mature is None else mature
    if beside:
        due = due & (known | ~np.logical_or.reduce([there(other) for other in beside]))
    endless = (
        int((np.asarray(numpy_of(pc.fill_null(pc.is_inf(values), False)), dtype=np.bool_) & due).sum())
        if nan_too
        else 0
    )
    if endless:
        raise TargetError(
            f"The target `{name}` is infinite in {endless:,} of {len(known):,} rows.",
            hint=f"Filter them in the dataset's query (WHERE isfinite({name})), or divide by NULLIF(..., 0) where it comes of "
            "a division.",
        )
    bad = int((~known & due).sum())
    if bad:
        old = "" if mature is None else " older than the label delay"
        left = int((known & due).sum())
        if left < LEAST_ROWS:
            raise TargetError(
                f"The target `{name}` is missing in {bad:,} of {len(known):,} rows{old}: {left} have one, and at least "
                f"{LEAST_ROWS} are needed.",
                hint="Collect more labels, check the join that brings them, or predict another column.",
            )
        raise TargetError(
            f"The target `{name}` is missing in {bad:,} of {len(known):,} rows{old}.",
            hint=f"Filter them in the dataset's query (WHERE {name} IS NOT NULL), EXPECT ({name} IS NOT NULL ON FAIL "
            "QUARANTINE), or say how late labels come: OBJECTIVE (label_delay = '1 day').",
        )
    return due


def there(values: Any) -> npt.NDArray[np.bool_]:
    """Which rows have a value."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from tilth.ml.model.columns import numpy_of

    nan_too = pa.types.is_floating(values.type)
    return np.asarray(numpy_of(pc.invert(pc.is_null(values, nan_is_null=nan_too))), dtype=np.bool_)


def bounded(y: npt.NDArray[np.float64], found: Target, metric: str | None) -> None:
    """Return when the numbers can be learned and measured; TargetError says how many cannot, and what to do."""
    import numpy as np

    if found.kind != "regression":
        return
    vast = int((np.abs(y) > LARGEST).sum())
    if vast:
        raise TargetError(
            f"The target `{found.name}` is beyond {LARGEST:g} in {vast:,} of {len(y):,} rows: squares of its errors cannot be summed.",
            hint="Filter such rows, or predict it in a larger unit or as a logarithm: derive such a column in the dataset's query.",
        )
    _told_apart(y, found)
    _in_reach(y, found, metric)
    zeros = int((y == 0).sum())
    if metric and canonical(metric) == "mape" and zeros:
        raise TargetError(
            f"mape divides by the target, and `{found.name}` is 0 in {zeros:,} of {len(y):,} rows.",
            hint="Use OBJECTIVE (metric = 'mae'), or filter those rows in the dataset's query.",
        )


def _told_apart(y: npt.NDArray[np.float64], found: Target) -> None:
    """Return when numbers of 32 bits, in which engines keep targets, tell them apart; else TargetError."""
    import numpy as np

    largest, spread = float(np.abs(y).max()), float(y.std())
    if float(np.spacing(np.float32(largest))) <= APART * spread:
        return
    middle = float(np.median(y))
    small = largest < 1.0 and float(np.finfo(np.float32).tiny) > APART * spread
    name = (
        f"{found.name} * 1e{round(-np.log10(largest))}"
        if small
        else f"{found.name} - {int(middle) if middle.is_integer() else middle}"
    )
    raise TargetError(
        f"The target `{found.name}` is about {middle:.6g}, and differs from row to row by only {spread:.2g} or so: engines keep "
        "targets in 32 bits, where such values are the same.",
        hint=f"Predict it in a {'smaller unit' if small else 'distance from a constant'}: {name} AS {found.name} in the dataset's query.",
    )


def _in_reach(y: npt.NDArray[np.float64], found: Target, name: str | None) -> None:
    """Return when the metric is defined for every target; TargetError says how many are too low."""
    metric = find(name) if name is not None else None
    if metric is None or metric.least is None:
        return
    low = int((y <= metric.least).sum() if metric.above else (y < metric.least).sum())
    if low:
        bound = f"{'not above' if metric.above else 'below'} {metric.least:g}"
        raise TargetError(
            f"{name} is not defined for targets {bound}, as `{found.name}` is in {low:,} of {len(y):,} rows.",
            hint="Use OBJECTIVE (metric = 'rmse'), or filter those rows in the dataset's query.",
        )


# --- the positive class ------------------------------------------------------------------------------------

OBVIOUS = (("0", "1"), ("false", "true"), ("no", "yes"), ("n", "y"), ("f", "t"))


def with_positive(found: Target, spec: TrainingSpec) -> Target:
    """The target with its positive class last: the one that PREDICT ... POSITIVE names, or the obvious one of 0/1, false/true, no/yes.

    Costs, and metrics of one class, are refused where nobody said which class they are about.
    """
    if spec.positive is not None:
        return _declared(found, spec.positive)
    costs = [
        name for name in ("cost_false_negative", "cost_false_positive") if getattr(spec, name) is not None
    ]
    if costs and found.kind != "binary":
        what = "a number" if found.kind == "regression" else f"one of {len(found.classes):,} classes"
        raise TargetError(
            f"`{costs[0]}` is what a wrong answer to a target of two classes costs, and `{found.name}` is {what}.",
            hint=f"Leave {' and '.join(costs)} out of OBJECTIVE, or derive a column with two values in the dataset's query.",
        )
    if found.kind != "binary" or tuple(map(_word, found.classes)) in OBVIOUS:
        return found
    asked = [*costs, *([spec.metric] if spec.metric and canonical(spec.metric) in POSITIVE else [])]
    if not asked:
        return found
    first, last = (_literal(c) for c in found.classes)
    raise TargetError(
        f"`{asked[0]}` is about one class of `{found.name}`, and nothing says whether that is {first} or {last}.",
        hint=f"Say which class is to be found: PREDICT {found.name} POSITIVE {last}, or POSITIVE {first}.",
    )


def _declared(found: Target, positive: Any) -> Target:
    if found.kind != "binary":
        raise TargetError(
            f"`{found.name}` is a {found.kind} target; only one of two classes can be POSITIVE.",
            hint="Leave out POSITIVE, or derive a column with two values in the dataset's query.",
        )
    wanted = next((c for c in found.classes if _word(c) == _word(positive)), None)
    if wanted is None:
        listed = " and ".join(_literal(c) for c in found.classes)
        raise TargetError(
            f"`{found.name}` has no class {_literal(positive)}.", hint=f"Its classes are {listed}."
        )
    return replace(found, classes=(*(c for c in found.classes if c != wanted), wanted))


def _word(value: Any) -> str:
    """A class as a word, whatever its type and case; 1.0 is 1."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip().casefold()


def _literal(value: Any) -> str:
    return literal(value) if isinstance(value, str) else str(value).lower()
