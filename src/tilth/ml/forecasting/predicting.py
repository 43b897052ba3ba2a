"""A version of a model that forecasts, ready to answer: what doors know of it, made of its bundle's files.

It answers from the rows that came before, so doors give it a history, or ask for the series that training left. The columns of an
answer are called as the model's outputs are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from tilth.core.errors import InputError, TamperError, UnsupportedError
from tilth.core.names import did_you_mean
from tilth.ml.forecasting import files as kept
from tilth.ml.forecasting import times as asking
from tilth.ml.forecasting.forecaster import Answer, Forecaster
from tilth.ml.forecasting.signature import EXPLAIN, Signature
from tilth.ml.forecasting.times import AHEAD, Times
from tilth.ml.model.gaps import Gaps
from tilth.ml.model.signature import Input, Output

if TYPE_CHECKING:
    import pyarrow as pa

SIGNATURE = "signature.json"


def is_one(names: Mapping[str, Any]) -> bool:
    """Whether a bundle of files with these names is a forecast's."""
    return kept.HEAD in names


def signature_of(files: Mapping[str, bytes]) -> Signature:
    """Of a bundle's files; KeyError, TypeError or ValueError where they do not fit together."""
    return Signature.from_plain(json.loads(files[SIGNATURE]))


def load(
    files: Mapping[str, bytes],
    version: int,
    digest: str,
    threads: int | None = None,
    called: str | None = None,
) -> ForecastPredictor:
    """The version of these files; TamperError where they do not fit together."""
    try:
        signature = signature_of(files)
    except (KeyError, TypeError, ValueError) as error:
        raise TamperError(
            f"The bundle's files do not fit together: {type(error).__name__} {error}.",
            hint="Train the model again, or roll back to another version.",
        ) from error
    forecaster = kept.read(files, threads or 1)
    spec = forecaster.spec
    told = (spec.time, spec.groups, spec.targets, spec.known, spec.static, spec.horizon)
    said = (
        signature.time,
        signature.groups,
        signature.targets,
        signature.known,
        signature.static,
        signature.horizon,
    )
    if told != said or len(signature.names) != len(signature.targets):
        raise TamperError(
            "The bundle's files do not fit together: the signature is of another forecast.",
            hint="Train the model again, or roll back to another version.",
        )
    return ForecastPredictor(signature, forecaster, version, digest, called or signature.model)


class ForecastPredictor:
    """One version that forecasts; immutable. Made by `load`."""

    def __init__(
        self, signature: Signature, forecaster: Forecaster, version: int, digest: str, name: str
    ) -> None:
        self.signature, self.forecaster = signature, forecaster
        self.version, self.digest, self.name = version, digest, name

    @property
    def inputs(self) -> tuple[Input, ...]:
        return self.signature.inputs

    @property
    def carried(self) -> tuple[Input, ...]:
        return ()

    @property
    def outputs(self) -> tuple[Output, ...]:
        return self.signature.outputs

    @property
    def usual(self) -> tuple[str, ...]:
        return tuple(o.name for o in self.signature.outputs if not o.name.endswith(EXPLAIN))

    @property
    def classes_of(self) -> Mapping[str, tuple[Any, ...]]:
        return dict.fromkeys(self.signature.names, ())

    @property
    def parts(self) -> tuple[ForecastPredictor, ...]:
        return (self,)

    @property
    def needs_history(self) -> bool:
        return True

    @property
    def strict(self) -> bool:
        return False

    def predict(
        self, table: pa.Table | pa.RecordBatch, outputs: Sequence[str] | None = None, seen: Gaps | None = None
    ) -> NoReturn:
        """Rows are not answered one by one; UnsupportedError says what to write."""
        del table, outputs, seen
        raise self._row_by_row()

    def answers(self, table: pa.Table | pa.RecordBatch) -> NoReturn:
        """As `predict`."""
        del table
        raise self._row_by_row()

    def _row_by_row(self) -> UnsupportedError:
        return UnsupportedError(
            f"The model `{self.name}` forecasts: its answers are rows of their own, and no columns of the rows that are given.",
            hint=f"Write SELECT m.* FROM dataset t JOIN {self.name} m WHERE t.{self.signature.time} > LATEST, or ask forecast() in Python.",
        )

    def warm(self) -> None:
        """Nothing waits for a first request."""

    def forecast(
        self, history: pa.Table | None = None, times: Times = AHEAD, groups: pa.Table | None = None, horizon: int | None = None
    ) -> Answer:  # fmt: skip
        """The forecasts of these times as a table: the time, the group, and of each target its usual outputs; with notices.

        `history`: rows with the inputs' columns; None: the series that training left. `groups`: the group columns of those that are
        asked for. InputError for columns, groups or times that do not fit.
        """
        found = asking.forecast(self.forecaster, history, times, groups, horizon)
        return Answer(self.renamed(found.table), found.notices)

    def renamed(self, table: pa.Table) -> pa.Table:
        """The columns under the outputs' names and in their order, with how sure an interval is."""
        import pyarrow as pa

        own = self.signature
        said: dict[str, Any] = {}
        for target, name in zip(own.targets, own.names, strict=True):
            middle = table.column(target)
            sure = pa.array([self.forecaster.spec.confidence] * len(middle), pa.float64())
            said |= {
                name: middle,
                f"{name}_confidence": sure,
                f"{name}_lower": table.column(f"{target}_lower"),
                f"{name}_upper": table.column(f"{target}_upper"),
            }
        said |= {c: table.column(c) for c in (own.time, *own.groups)}
        return pa.table({o.name: said[o.name] for o in own.outputs if o.name in said})

    def explained(self, table: pa.Table) -> pa.Table:
        """The forecasts with what is known of each value beside it, as JSON."""
        import pyarrow as pa

        for name in self.signature.names:
            ends = (name, f"{name}_confidence", f"{name}_lower", f"{name}_upper")
            rows = zip(*(table.column(n).to_pylist() for n in ends), strict=True)
            texts = [
                None
                if value is None
                else json.dumps(
                    {
                        "value": value,
                        "confidence": sure,
                        "lower": low,
                        "upper": high,
                        "version": self.version,
                        "digest": self.digest,
                    }
                )
                for value, sure, low, high in rows
            ]
            table = table.append_column(f"{name}{EXPLAIN}", pa.array(texts, pa.string()))
        return table

    def groups_of(self, values: Mapping[str, Any]) -> pa.Table | None:
        """A table of the one group that these values name; None for a model without groups. InputError where one is missing."""
        import pyarrow as pa

        own = self.signature.groups
        for name in values:
            if name not in own:
                raise InputError(
                    f"The model `{self.name}` has no group column `{name}`.",
                    hint=did_you_mean(name, own, "group columns"),
                )
        lacking = [n for n in own if n not in values]
        if lacking:
            raise InputError(
                f"`{lacking[0]}` is not given, which tells the series of model `{self.name}` apart.",
                hint=f"Give {', '.join(own)}.",
            )
        if not own:
            return None
        schema = self.forecaster.schema
        try:
            return pa.table({n: pa.array([values[n]], schema.field(n).type) for n in own})
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise InputError(
                f"The group {', '.join(f'{n} = {values[n]!r}' for n in own)} is of other types than those of training.",
                hint=f"They are {', '.join(f'{n} {schema.field(n).type}' for n in own)}.",
            ) from error
