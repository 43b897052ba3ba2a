"""What every door needs of a model: its inputs and outputs, whether it needs history, and answers.

Doors (HTTP, SQL, Python) hold an `Answerer` and nothing else of a version; `predictor.Predictor` is one. What judges and
watches a model (gates, looks, drills) knows more of it and takes the predictor. One that needs history answers tables
only: `of_rows` is where a door that has single rows asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from tilth.core.errors import UnknownNameError, UnsupportedError
from tilth.core.names import did_you_mean
from tilth.ml.model.gaps import Gaps
from tilth.ml.model.outputs import Answer
from tilth.ml.model.outside import Outside
from tilth.ml.model.signature import Input, Output

if TYPE_CHECKING:
    import pyarrow as pa


class Answerer(Protocol):
    """One version, immutable. Inputs bind by name."""

    @property
    def name(self) -> str:
        """The model's."""
        ...

    @property
    def version(self) -> int: ...

    @property
    def digest(self) -> str:
        """Of the bundle that answers."""
        ...

    @property
    def inputs(self) -> tuple[Input, ...]: ...

    @property
    def carried(self) -> tuple[Input, ...]:
        """What it takes along for the log and learns nothing from: the key, the event time."""
        ...

    @property
    def outputs(self) -> tuple[Output, ...]:
        """All that it can give, the answer first."""
        ...

    @property
    def classes_of(self) -> Mapping[str, tuple[Any, ...]]:
        """Each answer by the name of its output: its classes in the order of their probabilities, none of a number."""
        ...

    @property
    def usual(self) -> tuple[str, ...]:
        """The outputs that it gives when none are asked for."""
        ...

    @property
    def needs_history(self) -> bool:
        """Whether it answers from the rows that came before, and not from one row by itself."""
        ...

    @property
    def strict(self) -> bool:
        """Whether a row is refused that lacks an input which never was missing in training."""
        ...

    def predict(
        self, table: pa.Table | pa.RecordBatch, outputs: Sequence[str] | None = None, seen: Gaps | None = None
    ) -> pa.RecordBatch:
        """The outputs as columns, in the order asked, by default the usual ones; InputError for columns that do not fit."""
        ...

    def answers(self, table: pa.Table | pa.RecordBatch) -> tuple[Any, Any]:
        """Scores of the rows as they are logged (numbers, or one for each class), and which rows have one."""
        ...

    def warm(self) -> None:
        """Touch what the first request of this thread would otherwise wait for."""
        ...


class RowAnswerer(Answerer, Protocol):
    """One that answers single rows. A row is what `decode` or `convert` made of them, an answer what `score_row` gave."""

    def decode(self, body: bytes) -> Any:
        """One JSON object as a row; InputError names the input that is unknown, missing or of another type."""
        ...

    def convert(self, values: Mapping[str, Any]) -> Any:
        """A mapping as a row; the same errors."""
        ...

    def taken(self, values: Mapping[str, Any]) -> Any:
        """The mapping as a row that is answered; InputError for one that a strict model refuses."""
        ...

    def fields(self, names: Sequence[str]) -> tuple[str | None, ...]:
        """The attributes of a row that hold these columns; None for one that is not taken."""
        ...

    def gaps(self, row: Any) -> tuple[str, ...]:
        """The inputs that a row lacks and that never were missing in training."""
        ...

    def outside(self, row: Any) -> tuple[Outside, ...]:
        """The inputs of a row that are far out of what training had."""
        ...

    def record(self, row: Any) -> bytes:
        """The row as a JSON object by input name, as it stands in the log."""
        ...

    def score_row(self, row: Any) -> Answer: ...

    def score_json(self, body: bytes) -> tuple[bytes, Any, Answer]:
        """The hot path: a JSON object to the inside of the answer's object, the row, and the answer."""
        ...

    def logged(self, answer: Answer) -> bytes:
        """The answer's score as JSON: a number, or a list with one for each class."""
        ...

    def render(self, answer: Answer) -> bytes:
        """The usual outputs as the inside of a JSON object."""
        ...

    def remark(self, row: Any) -> bytes:
        """What follows them where an input is missing that never was in training, or far out of it."""
        ...

    def choose(self, row: Any, answer: Answer, names: Sequence[str]) -> dict[str, Any]:
        """The named outputs of a row's answer."""
        ...

    def differs(self, answer: Answer, other: Any, others: Answer) -> bool:
        """Whether another version says something else of a row."""
        ...

    def predict_rows(
        self, rows: Sequence[Mapping[str, Any]], seen: Gaps | None = None
    ) -> list[dict[str, Any]]:
        """Answers for rows as mappings."""
        ...

    def explain(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Why this answer."""
        ...


def of_rows(model: Answerer) -> RowAnswerer:
    """The same, known to answer rows one by one; UnsupportedError for one that needs history."""
    if model.needs_history:
        raise UnsupportedError(
            f"The model `{model.name}` answers from the rows that came before: it cannot answer a row by itself.",
            hint=f"Join it with a table: SELECT ... FROM dataset JOIN {model.name}.",
        )
    return cast("RowAnswerer", model)


def named(model: Answerer, outputs: Sequence[str]) -> tuple[str, ...]:
    """These names of outputs; UnknownNameError with the nearest for one that there is not."""
    known = [o.name for o in model.outputs]
    for name in outputs:
        if name not in known:
            raise UnknownNameError(
                f"The model `{model.name}` has no output `{name}`.", hint=did_you_mean(name, known, "outputs")
            )
    return tuple(outputs)


def answer_of(model: Answerer, output: str) -> str:
    """The answer that an output is about: the output itself, or what its name goes on from."""
    return max((a for a in model.classes_of if output == a or output.startswith(f"{a}_")), key=len)


def input_names(model: Answerer) -> tuple[str, ...]:
    return tuple(i.name for i in model.inputs)
