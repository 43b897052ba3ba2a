"""A model in Python: a typed function over rows or tables, what `Project.model` gives."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, overload

from tilth.core.errors import InputError, UnsupportedError
from tilth.core.names import nearest
from tilth.ml.model.answerer import Answerer, of_rows
from tilth.ml.model.gaps import Gaps, refusal
from tilth.runtime.asking import frames

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa


class ExtraWarning(UserWarning):
    """A name that is given is no input: it looks like one that is not given, or it is an output's, which takes its place."""


class ForecastWarning(UserWarning):
    """What is to be said of a forecast: series that are left out, gaps that were filled, steps beyond those that were judged."""


class Model:
    """One version of a model. Predictions are appended to what is given; inputs bind by name."""

    def __init__(
        self,
        answerer: Answerer,
        facts: Mapping[str, Any] | None = None,
        newer: Callable[[], pa.Table | None] = lambda: None,
    ) -> None:
        """`facts` are what training says of the version; `newer` gives the rows that came since a forecast's training."""
        self._answerer, self._facts, self._newer = answerer, facts or {}, newer

    def __repr__(self) -> str:
        taken = ", ".join(f"{name} {kind}" for name, kind in self.inputs.items())
        return f"<Model {self.name} version {self.version}: {taken} -> {', '.join(self._answerer.usual)}>"

    @property
    def name(self) -> str:
        return self._answerer.name

    @property
    def version(self) -> int:
        return self._answerer.version

    @property
    def inputs(self) -> dict[str, str]:
        """The inputs by name: the type, with `?` where a value may be missing."""
        return {i.name: i.type.value + ("" if i.required else "?") for i in self._answerer.inputs}

    @property
    def forecasts(self) -> bool:
        """Whether it forecasts: see `forecast`."""
        from tilth.ml.forecasting.predicting import ForecastPredictor

        return isinstance(self._answerer, ForecastPredictor)

    @property
    def time(self) -> str:
        """Of a model that forecasts: the column of the time; empty of another."""
        from tilth.ml.forecasting.predicting import ForecastPredictor

        one = self._answerer
        return one.signature.time if isinstance(one, ForecastPredictor) else ""

    @property
    def groups(self) -> dict[str, str]:
        """Of a model that forecasts: the columns that tell its series apart, with their types."""
        from tilth.ml.forecasting.predicting import ForecastPredictor

        one = self._answerer
        if not isinstance(one, ForecastPredictor):
            return {}
        return {g: one.signature.types[g].value for g in one.signature.groups}

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs; the JSON ones are made only when they are asked for."""
        return tuple(o.name for o in self._answerer.outputs)

    @property
    def classes(self) -> tuple[Any, ...] | dict[str, tuple[Any, ...]]:
        """The classes in the order of `predict_proba`; of two the last is the positive one. None for a number.

        Of several targets those of each, by the name of its output.
        """
        found = self._answerer.classes_of
        return next(iter(found.values())) if len(found) == 1 else dict(found)

    @property
    def signature(self) -> dict[str, Any]:
        """What it takes and gives, with types; what may be missing ends in `?`. `carried` is logged and not learned from."""
        one = self._answerer
        return {
            "model": one.name,
            "version": one.version,
            "digest": one.digest,
            "inputs": self.inputs,
            "carried": {i.name: i.type.value for i in one.carried},
            "outputs": {o.name: o.type.value for o in one.outputs},
            "classes": _listed_classes(one.classes_of),
            "strict": one.strict,
        }

    @property
    def metrics(self) -> dict[str, Any]:
        """What training measured on its judging rows: `metric`, `value`, `metrics`, `baselines`, `slices` and more.

        Of several targets that of each, by the name of its output.
        """
        parts = self._facts.get("targets")
        if parts is not None:
            return {part["output"]: _shown(part) for part in parts}
        return _shown(self._facts)

    @property
    def importance(self) -> dict[str, Any]:
        """How much each input matters, the strongest first; they sum to 1, unless nothing matters.

        Of several targets that of each, by the name of its output.
        """
        parts = self._facts.get("targets")
        if parts is not None:
            return {part["output"]: _weighed(part) for part in parts}
        return _weighed(self._facts)

    @overload
    def predict(self, rows: Mapping[str, Any]) -> dict[str, Any]: ...
    @overload
    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]: ...
    @overload
    def predict(
        self, rows: Any, outputs: Sequence[str] | None = None, *, names: Sequence[str] | None = None
    ) -> pa.Table: ...

    def predict(
        self, rows: Any, outputs: Sequence[str] | None = None, *, names: Sequence[str] | None = None
    ) -> Any:
        """The rows with their predictions: for one mapping a mapping, for a list a list, for a table an Arrow table.

        A table is an Arrow table or reader, a pandas or polars frame, anything with `__arrow_c_stream__`, or a numpy array
        whose columns `names` names. InputError names an input that is not given or of another type; other names are passed
        over, and one that looks like an input that is not given is told with an ExtraWarning, as is one that an output has:
        the answer takes its place. An input that is given as
        None or NaN and never was missing in training is answered as a gap, with a GapWarning; a strict model raises
        InputError for such a mapping, and leaves such a row of a list or table without outputs.
        """
        if isinstance(rows, Mapping):
            return self._one(rows)
        if (table := _table(rows, names)) is not None:
            return self._appended(table, outputs)
        return self._rows(_listed(rows))

    def forecast(
        self,
        group: Mapping[str, Any] | None = None,
        *,
        history: Any = None,
        horizon: int | None = None,
        start: date | datetime | None = None,
        end: date | datetime | None = None,
    ) -> pa.Table:
        """The forecasts of a model that forecasts, as an Arrow table: the outputs, the time and the group; a row for each step.

        `group`: its columns by name, or None for all series. `history`: a table of rows to go on from, in place of those that training
        left; of series that it knew what came before counts too. `horizon`: steps ahead. `start`, `end`: from after `start` to `end`; times
        of the past are forecast from the rows of the history before them. What is to be said is told with a ForecastWarning.
        InputError for a group that is not known and has no history, for columns and times that do not fit.
        """
        from tilth.ml.forecasting.predicting import ForecastPredictor
        from tilth.ml.forecasting.times import Times
        from tilth.runtime.asking.ahead import ahead

        one = self._answerer
        if not isinstance(one, ForecastPredictor):
            raise UnsupportedError(
                f"The model `{self.name}` predicts row by row and does not forecast.",
                hint="Use predict; a model that forecasts has ORDER BY and HORIZON.",
            )
        rows = None if history is None else _table(history, None)
        if history is not None and rows is None:
            raise InputError(
                "`history` is no table.", hint="Give an Arrow table, or a pandas or polars frame."
            )
        groups = None if group is None else one.groups_of(group)
        times = Times(start, high=end)
        if rows is None and times.ahead:
            found = ahead(one, self._newer(), groups, times, horizon)
        else:
            found = one.forecast(rows, times, groups, horizon)
        for notice in found.notices:
            warnings.warn(notice.text, ForecastWarning, stacklevel=2)
        return found.table

    def predict_proba(
        self, rows: Any, *, names: Sequence[str] | None = None, output: str | None = None
    ) -> npt.NDArray[np.float64]:
        """How likely each class is, [rows, classes] in the order of `classes`; NaN in rows that a strict model refuses.

        `output` says of which target, where several have classes.
        """
        import numpy as np
        import pyarrow as pa

        answer, classes = self._with_classes(output)
        shares = f"{answer}_probabilities"
        table = _table([rows] if isinstance(rows, Mapping) else rows, names)
        if table is None:
            table = self._as_table(_listed([rows] if isinstance(rows, Mapping) else rows))
        column = self._answers(table, [shares]).column(0).combine_chunks()
        flat = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
        out = np.full((table.num_rows, len(classes)), np.nan)
        there = np.asarray(flat.is_valid())
        kept = flat.filter(flat.is_valid())
        ends = kept.offsets
        values = kept.items.slice(ends[0].as_py(), ends[-1].as_py() - ends[0].as_py())
        out[there] = np.asarray(values).reshape(-1, len(classes))
        return out

    def _with_classes(self, output: str | None) -> tuple[str, tuple[Any, ...]]:
        """The answer whose classes are meant."""
        found = {answer: classes for answer, classes in self._answerer.classes_of.items() if classes}
        if output is not None and output not in found:
            found = {}
        if not found:
            raise UnsupportedError(
                f"The model `{self.name}` gives a number and no classes, so it has no probabilities."
                if output is None
                else f"The model `{self.name}` gives no classes as `{output}`, so it has no probabilities.",
                hint="Use predict: the answer has its interval beside it.",
            )
        if output is None and len(found) > 1:
            raise InputError(
                f"The model `{self.name}` has classes of {', '.join(f'`{n}`' for n in found)}.",
                hint=f"Say of which: predict_proba(rows, output={next(iter(found))!r}).",
            )
        answer = output or next(iter(found))
        return answer, found[answer]

    @overload
    def explain(self, rows: Mapping[str, Any]) -> dict[str, Any]: ...
    @overload
    def explain(self, rows: Any, *, names: Sequence[str] | None = None) -> list[dict[str, Any]]: ...

    def explain(self, rows: Any, *, names: Sequence[str] | None = None) -> Any:
        """Why: value, confidence, the strongest contributions, and the version and digest that say so.

        For one mapping a mapping; for a list or a table a list, with None for a row that a strict model refuses. Of several
        targets a mapping of these by the names of their outputs.
        """
        if isinstance(rows, Mapping):
            return of_rows(self._answerer).explain(self._taken(rows))
        table = _table(rows, names)
        if table is None:
            return [self.explain(row) for row in _listed(rows)]
        answers = list(self._answerer.classes_of)
        found = self._answers(table, [f"{answer}_explain" for answer in answers]).to_pylist()
        read = [
            {a: None if (text := row[f"{a}_explain"]) is None else json.loads(text) for a in answers}
            for row in found
        ]
        if len(answers) == 1:
            return [row[answers[0]] for row in read]
        return [None if None in row.values() else row for row in read]

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise UnsupportedError(
            f"The model `{self.name}` is not pickled: what answers was verified against its signature when it was loaded.",
            hint=f"Open it in the other process: tilth.open(folder).model({self.name!r}, {self.version}).",
        )

    def _one(self, row: Mapping[str, Any]) -> dict[str, Any]:
        seen = self._seen()
        (answer,) = of_rows(self._answerer).predict_rows([self._taken(row)], seen)
        if seen.refused:
            raise refusal(self.name, tuple(seen.lacking))
        seen.warn()
        self._replaced(row, answer)
        return {**row, **answer}

    def _rows(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        seen = self._seen()
        answers = of_rows(self._answerer).predict_rows([self._taken(row) for row in rows], seen)
        seen.warn()
        self._replaced(dict.fromkeys(name for row in rows for name in row), answers[0] if answers else ())
        return [{**row, **answer} for row, answer in zip(rows, answers, strict=True)]

    def _seen(self) -> Gaps:
        return Gaps(self.name, self._answerer.strict)

    def _taken(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """What of the row the model takes."""
        self._told(row)
        known = {i.name for i in (*self._answerer.inputs, *self._answerer.carried)}
        return {k: v for k, v in row.items() if k in known}

    def _told(self, given: Iterable[str]) -> None:
        """Say which name that is no input looks like one that is not given."""
        names = list(given)
        there = frozenset(names)
        lacking = [i.name for i in self._answerer.inputs if i.name not in there]
        known = {i.name for i in (*self._answerer.inputs, *self._answerer.carried)}
        for name in names if lacking else ():
            if name not in known and (near := nearest(str(name), lacking)) is not None:
                warnings.warn(
                    f"`{name}` is no input of {self.name} and is passed over; did you mean `{near}`?",
                    ExtraWarning,
                    stacklevel=5,
                )

    def _replaced(self, given: Iterable[str], answered: Iterable[str]) -> list[str]:
        """The names that are given and answered; said, for what was given under them is not in the result."""
        both = [name for name in given if name in set(answered)]
        if both:
            listed = ", ".join(f"`{name}`" for name in both)
            warnings.warn(
                f"{listed} {'is' if len(both) == 1 else 'are'} given, and {self.name} answers so: what was given is left out;"
                " rename it to keep both.",
                ExtraWarning,
                stacklevel=4,
            )
        return both

    def _as_table(self, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
        """Rows as a table of the inputs' types; the same errors as for single rows."""
        import pyarrow as pa

        from tilth.runtime.asking.scoring import fitting

        taken = [self._taken(row) for row in rows]
        there = {name for row in taken for name in row}
        return pa.table(
            {
                i.name: pa.concat_arrays([fitting(i.name, row.get(i.name), i.type) for row in taken])
                for i in self._answerer.inputs
                if i.name in there
            }
        )

    def _answers(self, table: pa.Table, outputs: Sequence[str] | None) -> pa.Table:
        import pyarrow as pa

        self._told(table.column_names)
        seen = self._seen()
        made = [self._answerer.predict(batch, outputs, seen) for batch in table.to_batches(65_536)]
        if not made:
            made = [self._answerer.predict(table, outputs)]
        seen.warn()
        return pa.Table.from_batches(made)

    def _appended(self, table: pa.Table, outputs: Sequence[str] | None) -> pa.Table:
        answers = self._answers(table, outputs)
        table = table.drop_columns(self._replaced(table.column_names, answers.schema.names))
        for name in answers.schema.names:
            table = table.append_column(name, answers.column(name))
        return table


def _shown(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in facts.items() if k not in ("importance", "columns")}


def _weighed(facts: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = facts.get("importance", {})
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def _listed_classes(found: Mapping[str, tuple[Any, ...]]) -> Any:
    if len(found) == 1:
        return list(next(iter(found.values())))
    return {answer: list(classes) for answer, classes in found.items()}


def _table(rows: Any, names: Sequence[str] | None) -> pa.Table | None:
    """The rows as a table, when they are one; an array needs names."""
    import pyarrow as pa

    if type(rows).__module__ == "numpy" and hasattr(rows, "dtype"):
        return _of_array(rows, names)
    if names is not None:
        raise InputError(
            "`names` name the columns of an array.", hint="Leave them out: these rows have names."
        )
    is_frame = hasattr(rows, "__arrow_c_stream__") or hasattr(rows, "collect") or hasattr(rows, "to_parquet")
    if not is_frame and not isinstance(rows, pa.RecordBatch):
        return None
    found = frames.arrow_of("rows", rows)
    return found.read_all() if isinstance(found, pa.RecordBatchReader) else found


def _of_array(rows: Any, names: Sequence[str] | None) -> pa.Table:
    import pyarrow as pa

    if rows.dtype.names is not None and rows.ndim == 1:
        return pa.table({name: pa.array(rows[name]) for name in rows.dtype.names})
    width = rows.shape[1] if rows.ndim == 2 else 0
    if names is None or width != len(names) or len(set(names)) != width:
        raise InputError(
            f"An array of shape {rows.shape} needs a name for each of its columns"
            f"{'' if names is None else f', and {len(names)} are given'}.",
            hint="Write predict(array, names=['a', 'b']); inputs bind by name. One row is array[None, :].",
        )
    return pa.table({name: pa.array(_python(rows[:, i])) for i, name in enumerate(names)})


def _python(column: Any) -> Any:
    """An array of objects as the values that it holds: Arrow guesses their type."""
    return column.tolist() if column.dtype.kind == "O" else column


def _listed(rows: Any) -> list[Mapping[str, Any]]:
    """A list of mappings; InputError for anything else."""

    def checked() -> Iterator[Mapping[str, Any]]:
        for row in rows:
            if not isinstance(row, Mapping):
                raise InputError(
                    f"A row is a dict, and this is a {type(row).__name__}.",
                    hint="Give one dict, a list of dicts, a frame, an Arrow table, or an array with names=[...].",
                )
            yield row

    if isinstance(rows, Iterable) and not isinstance(rows, str | bytes):
        return list(checked())
    raise InputError(
        f"Rows are expected, and this is a {type(rows).__name__}.",
        hint="Give a dict, a list of dicts, a frame, an Arrow table, or an array with names=[...].",
    )
