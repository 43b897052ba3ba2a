"""A forecast as doors that have requests ask it: a JSON object names the group, how far, and the history where it has one.

`{"type": "house", "horizon": 12}` is answered from the series that training left; with `"history": [{...}, ...]` from those rows, after
what is known of the group where it is known. Models with covariates that are known ahead take them as `"future": [{...}, ...]`.
The answer is one list, `"forecast"`, with an object for each step.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from tilth.core.errors import InputError, TilthError, UnsupportedError
from tilth.core.names import did_you_mean
from tilth.core.schema import DataType
from tilth.ml.forecasting.predicting import ForecastPredictor
from tilth.ml.forecasting.spec import Notice
from tilth.ml.forecasting.times import AHEAD
from tilth.ml.model.gaps import Gaps
from tilth.ml.model.outside import Outside
from tilth.ml.model.signature import Input, Output
from tilth.ml.model.values import Misfit, fitted
from tilth.ports.arrow import arrow_type

if TYPE_CHECKING:
    import pyarrow as pa

FORECAST, HORIZON, HISTORY, FUTURE = "forecast", "horizon", "history", "future"
MOST_ROWS = 100_000  # of a history in a request
SHARE = 0.01  # of a value, from which on two versions say something else


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: the group by its columns, how many steps, and rows. `text` is it as JSON, for the log."""

    group: Mapping[str, Any]
    horizon: int | None
    history: pa.Table | None
    future: pa.Table | None
    text: bytes


@dataclass(frozen=True, slots=True)
class Said:
    """The answer as numbers, each target after the other, with the rows that it is made of."""

    numbers: tuple[float, ...]
    rows: list[dict[str, Any]]
    notices: tuple[Notice, ...]


class RequestedForecast(ForecastPredictor):
    """A version that forecasts, asked by requests; what a row is to other models, a request is to it.

    `newer` are rows that came after its training, which it goes on from.
    """

    newer: pa.Table | None = None

    @property
    def needs_history(self) -> bool:
        """A request brings its own, or the series that training left are meant."""
        return False

    @property
    def inputs(self) -> tuple[Input, ...]:
        """What a request holds: the group, and what may be left out."""
        own = self.signature
        more = [
            Input(HORIZON, DataType.INTEGER, required=False),
            Input(HISTORY, DataType.JSON, required=False),
        ]
        if own.known:
            more.append(Input(FUTURE, DataType.JSON, required=False))
        return (*(Input(g, own.types[g]) for g in own.groups), *more)

    @property
    def outputs(self) -> tuple[Output, ...]:
        return (Output(FORECAST, DataType.JSON),)

    @property
    def usual(self) -> tuple[str, ...]:
        return (FORECAST,)

    @property
    def classes_of(self) -> Mapping[str, tuple[Any, ...]]:
        return {FORECAST: ()}

    # --- requests ------------------------------------------------------------------------------------------

    def decode(self, body: bytes) -> Request:
        try:
            values = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(f"The request is not JSON: {error}.", hint=self._how()) from None
        if not isinstance(values, dict):
            raise InputError("The request is no JSON object.", hint=self._how())
        return self.convert(values)

    def convert(self, values: Mapping[str, Any]) -> Request:
        """A mapping as a request; InputError names what is unknown, missing or of another type."""
        own, known = self.signature, [i.name for i in self.inputs]
        for name in values:
            if name not in known:
                raise InputError(
                    f"The forecast `{self.name}` takes no `{name}`.",
                    hint=did_you_mean(str(name), known, "names"),
                )
        group = {g: self._value(g, values[g]) for g in own.groups if g in values}
        self.groups_of(group)
        horizon = values.get(HORIZON)
        if horizon is not None and (not isinstance(horizon, int) or isinstance(horizon, bool) or horizon < 1):
            raise InputError(
                f"`{HORIZON}` is {horizon!r}.", hint=f"Write a number of steps: {own.horizon}, say."
            )
        history = self._rows(
            HISTORY, values.get(HISTORY), group, (own.time, *own.targets, *own.known, *own.static)
        )
        future = self._rows(FUTURE, values.get(FUTURE), group, (own.time, *own.known))
        text = msgspec.json.encode({k: v for k, v in values.items() if v is not None}, enc_hook=str)
        return Request(group, horizon, history, future, text)

    taken = convert

    def _value(self, name: str, value: Any) -> Any:
        try:
            return fitted(value, self.signature.types[name])
        except Misfit:
            raise InputError(
                f"`{name}` cannot be {value!r}: it is {self.signature.types[name]}.", hint=self._how()
            ) from None

    def _rows(self, what: str, rows: Any, group: Mapping[str, Any], names: Sequence[str]) -> pa.Table | None:
        """Rows of a request as a table of these columns, with the group beside them."""
        import pyarrow as pa

        if rows is None:
            return None
        if not isinstance(rows, list) or not rows or not all(isinstance(r, dict) for r in rows):
            raise InputError(f"`{what}` is no list of objects.", hint=self._how())
        if len(rows) > MOST_ROWS:
            raise InputError(
                f"`{what}` has {len(rows):,} rows; {MOST_ROWS:,} are the most.", hint="Send the newest."
            )
        own, types = self.signature, self.signature.types
        for row in rows:
            odd = next((n for n in row if n not in names and n not in group), None)
            if odd is not None:
                raise InputError(
                    f"`{what}` has no column `{odd}`.", hint=did_you_mean(str(odd), list(names), "columns")
                )
            for g, mine in group.items():
                if g in row and self._value(g, row[g]) != mine:
                    raise InputError(
                        f"A row of `{what}` is of {g} = {row[g]!r}, and {g} = {mine!r} is asked for.",
                        hint="Send the rows of the group that is asked for; ask for each group by itself.",
                    )
        columns = {n: [self._value(n, row.get(n)) for row in rows] for n in names}
        if any(v is None for v in columns[own.time]):
            raise InputError(f"A row of `{what}` has no `{own.time}`.", hint=self._how())
        arrays = {n: pa.array(v, _plain(types[n])) for n, v in columns.items()}
        schema = self.forecaster.schema
        arrays[own.time] = arrays[own.time].cast(schema.field(own.time).type)
        arrays |= {g: pa.array([v] * len(rows), schema.field(g).type) for g, v in group.items()}
        return pa.table(arrays)

    def _how(self) -> str:
        own = self.signature
        group = "".join(f'"{g}": ..., ' for g in own.groups)
        return f'Send {{{group}"{HORIZON}": {own.horizon}}}; with "{HISTORY}": [{{"{own.time}": ..., "{own.targets[0]}": ...}}, ...] a group that is not in the data.'

    # --- answers -------------------------------------------------------------------------------------------

    def score_row(self, row: Request) -> Any:
        """The forecast of a request."""
        groups = self.groups_of(row.group)
        history = self._history(row, groups)
        found = self.forecaster.forecast(
            history, None if history is not None else groups, row.horizon, None, row.future
        )
        table = self.renamed(found.table)
        marks = (self.signature.time, *self.signature.groups)
        rows = table.select([*marks, *(n for n in table.column_names if n not in marks)]).to_pylist()
        numbers = [v for n in self.signature.names for v in table.column(n).to_pylist() if v is not None]
        return Said(tuple(numbers), rows, found.notices)

    def _history(self, row: Request, groups: pa.Table | None) -> pa.Table | None:
        """What the request brings, after what came since the training of its series."""
        import pyarrow as pa
        import pyarrow.compute as pc

        newer = self.newer
        if newer is not None and groups is not None:
            for name in groups.column_names:
                newer = newer.filter(pc.equal(newer.column(name), groups.column(name)[0]))
        if newer is None or not newer.num_rows:
            return row.history
        if row.history is None:
            return newer
        later = newer.select(row.history.column_names).cast(row.history.schema)
        return pa.concat_tables([later, row.history])

    def score_json(self, body: bytes) -> tuple[bytes, Any, Any]:
        row = self.decode(body)
        said = self.score_row(row)
        return self.render(said) + self.remark_of(said), row, said

    def render(self, answer: Any) -> bytes:
        return b'"forecast":%b' % msgspec.json.encode(answer.rows, enc_hook=str)

    def remark_of(self, said: Said) -> bytes:
        """What is to be said of the answer."""
        if not said.notices:
            return b""
        return b',"notices":%b' % msgspec.json.encode([n.text for n in said.notices])

    def remark(self, row: Request) -> bytes:
        del row
        return b""

    def record(self, row: Request) -> bytes:
        return row.text

    def logged(self, answer: Any) -> bytes:
        return json.dumps(list(answer.numbers)).encode()

    def fields(self, names: Sequence[str]) -> tuple[str | None, ...]:
        return tuple(None for _ in names)

    def gaps(self, row: Request) -> tuple[str, ...]:
        del row
        return ()

    def outside(self, row: Request) -> tuple[Outside, ...]:
        del row
        return ()

    def choose(self, row: Request, answer: Any, names: Sequence[str]) -> dict[str, Any]:
        del row
        return dict.fromkeys(names, answer.rows)

    def differs(self, answer: Any, other: Any, others: Any) -> bool:
        """Whether another version says something else: of one step by more than a hundredth of its value."""
        del other
        mine, theirs = answer.numbers, others.numbers
        if len(mine) != len(theirs):
            return True
        return any(abs(a - b) > SHARE * max(abs(a), abs(b)) for a, b in zip(mine, theirs, strict=True))

    def predict_rows(
        self, rows: Sequence[Mapping[str, Any]], seen: Gaps | None = None
    ) -> list[dict[str, Any]]:
        del seen
        return [{FORECAST: self.score_row(self.convert(row)).rows} for row in rows]

    def explain(self, values: Mapping[str, Any]) -> NoReturn:
        """A forecast has no contributions."""
        del values
        raise UnsupportedError(
            f"The model `{self.name}` forecasts, and which inputs made an answer is not told of forecasts.",
            hint=f"DESCRIBE {self.name} says which members it is made of, and how well each did.",
        )

    def warm(self) -> None:
        """Answer once, so that what answers is loaded."""
        import contextlib

        own = self.forecaster
        with contextlib.suppress(TilthError):
            self.forecast(None, AHEAD, own.groups.slice(0, 1) if self.signature.groups else None, 1)


def _plain(kind: DataType) -> Any:
    import pyarrow as pa

    return pa.float64() if kind is DataType.DECIMAL else arrow_type(kind)


def requested(model: ForecastPredictor, newer: pa.Table | None = None) -> RequestedForecast:
    """The same version, asked by requests; it goes on from the rows that are `newer` than its training."""
    made = RequestedForecast(model.signature, model.forecaster, model.version, model.digest, model.name)
    made.newer = newer
    return made
