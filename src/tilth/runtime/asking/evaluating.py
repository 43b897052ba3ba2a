"""EVALUATE: a metric of two columns of a query, `actual` and `prediction`, whoever predicted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from tilth.core.errors import DataError, UnknownNameError
from tilth.core.figures import figure
from tilth.core.metrics import METRICS, Metric, find
from tilth.core.names import did_you_mean
from tilth.runtime.asking import first, natively
from tilth.runtime.asking import select as asking
from tilth.runtime.asking.prompt import Prompt, Result
from tilth.sql.language.acts import Evaluate, Select

if TYPE_CHECKING:
    import pyarrow as pa

ACTUAL, PREDICTION = "actual", "prediction"
MOST = 5_000_000  # rows that are held to be compared
_SCORE = "_score"


def evaluate(at: Prompt, statement: Evaluate) -> Result:
    """The metric as a row of one column that is called as it was asked for."""
    import pyarrow as pa

    metric = _metric(statement)
    models = asking.models_of(at.work, at.environment, at.loaded)
    told: list[str] = []
    query = Select(statement.query.sql, statement.query.position)
    graph = at.deployed(at.environment)
    natively.check(at, query.sql, graph)
    one = first.standing(at, query, graph, models, told)
    rows = asking.select(at.work, graph, at.environment, one.models, one.query, at.limits, told, at.frames)
    truth, said = _columns(rows, statement)
    kept = _both(truth, said)
    if len(kept[0]) < len(truth):
        told.append(
            f"{len(truth) - len(kept[0]):,} of {len(truth):,} rows have no actual or no prediction, and are not counted"
        )
    found = _value(metric, *kept, statement)
    table = pa.table({statement.metric: pa.array([found], pa.float64())})
    better = "more is better" if metric.higher else "less is better"
    text = f"{statement.metric} is {figure(found)} of {len(kept[0]):,} rows; {better}."
    return Result(
        table.to_reader(), text, {"metric": metric.name, "value": found, "rows": len(kept[0])}, told=told
    )


def _metric(statement: Evaluate) -> Metric:
    """The metric by its name here, or by that of scikit-learn's function, which ends in `_score`."""
    name = statement.metric
    found = find(name) or find(name.removesuffix(_SCORE)) or find(f"{name}{_SCORE}")
    if found is None:
        known = [m.name for m in METRICS]
        raise UnknownNameError(
            f"There is no metric `{name}`.",
            hint=did_you_mean(name, known, "metrics"),
            where=statement.position,
        )
    return found


def _columns(rows: pa.RecordBatchReader, statement: Evaluate) -> tuple[Any, Any]:
    """The two columns [rows] as Arrow arrays; DataError where there are others, or too many rows."""
    import pyarrow as pa

    names = [n.lower() for n in rows.schema.names]
    if sorted(names) != [ACTUAL, PREDICTION]:
        rows.close()
        raise DataError(
            f"EVALUATE compares the columns {ACTUAL} and {PREDICTION}, and its query returns {', '.join(rows.schema.names)}.",
            hint="Name the two: SELECT t.y AS actual, m.y AS prediction FROM ... t JOIN ... m.",
            where=statement.query.position,
        )
    batches, count = [], 0
    for batch in rows:
        count += batch.num_rows
        if count > MOST:
            raise DataError(
                f"EVALUATE holds its rows, and these are more than {MOST:,}.",
                hint="Add LIMIT, or USING SAMPLE.",
                where=statement.query.position,
            )
        batches.append(batch)
    table = pa.Table.from_batches(batches, rows.schema)
    return table.column(names.index(ACTUAL)).combine_chunks(), table.column(
        names.index(PREDICTION)
    ).combine_chunks()


def _both(truth: Any, said: Any) -> tuple[Any, Any]:
    """The rows that have both."""
    import pyarrow.compute as pc

    there = pc.and_(truth.is_valid(), said.is_valid())
    return truth.filter(there), said.filter(there)


def _value(metric: Metric, truth: Any, said: Any, statement: Evaluate) -> float:
    from tilth.ml.model import metrics

    y, p = _numbers(truth, said, metric, statement)
    found = metrics.evaluate(metric.name, y, p)
    if not math.isfinite(found):
        raise DataError(f"{statement.metric} is not defined on these rows.", where=statement.position)
    return found


def _numbers(truth: Any, said: Any, metric: Metric, statement: Evaluate) -> tuple[Any, Any]:
    """Both as numbers [rows]: values of numbers, or indexes of classes in ascending order; a prediction of one of two may be its probability."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not metric.kinds or "regression" in metric.kinds:
        return tuple(_floats(a, statement) for a in (truth, said))
    scores = not metric.decides and (pa.types.is_floating(said.type) or pa.types.is_decimal(said.type))
    if scores:
        classes = sorted(pc.unique(truth).to_pylist())
        if len(classes) != 2:
            raise DataError(
                f"{statement.metric} of probabilities needs two classes in {ACTUAL}, and there are {len(classes)}.",
                hint="Take a metric of classes, such as accuracy or f1_macro.",
                where=statement.position,
            )
        y = np.array([float(v == classes[1]) for v in truth.to_pylist()])
        return y, _floats(said, statement)
    if not metric.decides:
        raise DataError(
            f"{statement.metric} compares probabilities, and {PREDICTION} holds classes.",
            hint=f"Write m.y_probability AS {PREDICTION}, or take a metric of classes, such as accuracy.",
            where=statement.position,
        )
    left, right = (_labels(a) for a in (truth, said))
    known = {label: float(i) for i, label in enumerate(sorted({*left, *right}))}
    y, p = np.array([known[v] for v in left]), np.array([known[v] for v in right])
    return (y, p) if len(known) <= 2 else (y, np.eye(len(known))[p.astype(int)])


def _labels(values: Any) -> list[Any]:
    """Classes that compare: of numbers their values, of others their texts."""
    import pyarrow as pa

    plain = values.to_pylist()
    numbers = (
        pa.types.is_integer(values.type)
        or pa.types.is_floating(values.type)
        or pa.types.is_decimal(values.type)
    )
    return (
        [str(float(v)) for v in plain]
        if numbers
        else [str(v).lower() if isinstance(v, bool) else str(v) for v in plain]
    )


def _floats(values: Any, statement: Evaluate) -> Any:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return np.asarray(pc.cast(values, pa.float64()).to_numpy(zero_copy_only=False))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise DataError(
            f"{statement.metric} compares numbers, and the query returns {values.type}.",
            hint="Cast the column, or take a metric of classes, such as accuracy.",
            where=statement.query.position,
        ) from None
