"""What a prediction holds: one row an output, with its type, its column of many answers, and its value and JSON of one.

Names and types in a signature, the columns of a batch, the values of a mapping and the text of a request are all made of
these rows. An answer is a tuple of calibrated scores: P(positive class), one share a class, or a value, with half its
interval's width beside it where rows differ in that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from tilth.core.schema import DataType
from tilth.ml.model.calibration import Conformal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Array = npt.NDArray[np.float64]

Answer: TypeAlias = "tuple[float, ...]"


@dataclass(frozen=True, slots=True)
class Meaning:
    """How the scores of one version are read. `classes` ascending; a probability above `threshold` is the last of two."""

    classes: tuple[Any, ...]
    threshold: float
    conformal: Conformal | None
    floor: float | None  # no end of an interval is below it

    def decide(self, answer: Answer) -> tuple[int, float]:
        """The index of the class, and the probability of it."""
        if len(answer) == 1:
            return (1, answer[0]) if answer[0] > self.threshold else (0, 1.0 - answer[0])
        best = max(answer)
        return answer.index(best), best

    def half(self, answer: Answer) -> float | None:
        """Half the width of a value's interval; None where it has none."""
        if len(answer) > 1:
            return answer[1]
        return None if self.conformal is None else self.conformal.radius

    def ends(self, answer: Answer) -> tuple[float, float] | tuple[None, None]:
        """`Conformal.ends` of one row, to the last bit."""
        half = self.half(answer)
        if half is None:
            return None, None
        value, floor = answer[0], self.floor
        low = value - half
        return (low if floor is None else min(max(low, floor), value)), value + half


@dataclass(frozen=True, slots=True)
class Many:
    """Calibrated scores of many rows, [rows] or [rows, classes], and both ends of each row's interval when asked for."""

    scores: Array
    ends: Callable[[], tuple[Array, Array]]

    @property
    def shares(self) -> Array:
        """[rows, classes], also of two classes."""
        import numpy as np

        s = self.scores
        return np.stack([1.0 - s, s], axis=1) if s.ndim == 1 else s


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One output: what its name adds to the target's, its type (None: the target's), and how it is made.

    `column` makes it of many rows; `one` gives a function of an answer, and `text` one that gives the same as JSON.
    What has no `text` is made only when it is asked for; what has no `column` needs more than the scores.
    """

    suffix: str
    type: DataType | None
    column: Callable[[Meaning, Many], pa.Array] | None = None
    one: Callable[[Meaning], Callable[[Answer], Any]] | None = None
    text: Callable[[Meaning], Callable[[Answer], str]] | None = None

    @property
    def heavy(self) -> bool:
        """Whether it is left out unless it is asked for."""
        return self.text is None


def label(value: Any) -> str:
    """A class as a JSON key: true, 3, text."""
    return value if isinstance(value, str) else json.dumps(value)


# --- values ------------------------------------------------------------------------------------------------


def _column(found: Any) -> pa.Array:
    import pyarrow as pa

    return pa.array(found)


def _same(share: float | None, rows: int) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    return pa.nulls(rows, pa.float64()) if share is None else pa.array(np.full(rows, share))


def _ends(index: int) -> Callable[[Meaning, Many], pa.Array]:
    def column(m: Meaning, many: Many) -> pa.Array:
        return _same(None, len(many.scores)) if m.conformal is None else _column(many.ends()[index])

    return column


def _coverage(m: Meaning) -> float | None:
    return None if m.conformal is None else m.conformal.coverage


def _json(value: float | None) -> str:
    return "null" if value is None else repr(value)


def _end_text(index: int) -> Callable[[Meaning], Callable[[Answer], str]]:
    return lambda m: lambda a: _json(m.ends(a)[index])


def _coverage_text(m: Meaning) -> Callable[[Answer], str]:
    said = _json(_coverage(m))
    return lambda _a: said


# --- classes -----------------------------------------------------------------------------------------------


def _codes(m: Meaning, scores: Array) -> Any:
    return scores > m.threshold if scores.ndim == 1 else scores.argmax(axis=1)


def _class_column(m: Meaning, many: Many) -> pa.Array:
    """Class indexes as values of the target's type."""
    import pyarrow as pa

    return pa.array(list(m.classes)).take(pa.array(_codes(m, many.scores).astype("int64")))


def _confidence_column(m: Meaning, many: Many) -> pa.Array:
    import numpy as np

    s = many.scores
    return _column(np.where(_codes(m, s), s, 1.0 - s) if s.ndim == 1 else s.max(axis=1))


def _share_column(m: Meaning, many: Many) -> pa.Array:
    """How likely each class is, by the class as a text."""
    import numpy as np
    import pyarrow as pa

    shares = many.shares
    rows, width = shares.shape
    names = pa.array([label(c) for c in m.classes] * rows, pa.string())
    ends = pa.array(np.arange(rows + 1, dtype=np.int32) * width)
    return pa.MapArray.from_arrays(ends, names, pa.array(shares.ravel()))


def _shares(m: Meaning) -> Callable[[Answer], dict[str, float]]:
    names = tuple(map(label, m.classes))

    def shares(a: Answer) -> dict[str, float]:
        return dict(zip(names, (1.0 - a[0], a[0]) if len(a) == 1 else a, strict=True))

    return shares


def _class_text(m: Meaning) -> Callable[[Answer], str]:
    names, limit = [json.dumps(c) for c in m.classes], m.threshold
    if len(names) == 2:
        no, yes = names
        return lambda a: yes if a[0] > limit else no
    return lambda a: names[a.index(max(a))]


def _confidence_text(m: Meaning) -> Callable[[Answer], str]:
    limit = m.threshold
    if len(m.classes) == 2:
        return lambda a: repr(a[0] if a[0] > limit else 1.0 - a[0])
    return lambda a: repr(max(a))


# --- the table ---------------------------------------------------------------------------------------------

FLOAT = DataType.FLOAT
_EXPLAIN = OutputSpec("_explain", DataType.JSON)
_SHARES = OutputSpec("_probabilities", DataType.SHARES, _share_column, _shares)
_CLASSES = (
    OutputSpec("", None, _class_column, lambda m: lambda a: m.classes[m.decide(a)[0]], _class_text),
    OutputSpec(
        "_confidence", FLOAT, _confidence_column, lambda m: lambda a: m.decide(a)[1], _confidence_text
    ),
)
_FIRST = OutputSpec(
    "_probability", FLOAT, lambda _m, many: _column(many.scores), lambda _m: lambda a: a[0],
    lambda _m: lambda a: repr(a[0]),
)  # fmt: skip
OUTPUTS: Mapping[str, tuple[OutputSpec, ...]] = {
    "regression": (
        OutputSpec("", FLOAT, _FIRST.column, _FIRST.one, _FIRST.text),
        OutputSpec(
            "_confidence", FLOAT, lambda m, many: _same(_coverage(m), len(many.scores)),
            lambda m: lambda _a: _coverage(m), _coverage_text,
        ),
        OutputSpec("_lower", FLOAT, _ends(0), lambda m: lambda a: m.ends(a)[0], _end_text(0)),
        OutputSpec("_upper", FLOAT, _ends(1), lambda m: lambda a: m.ends(a)[1], _end_text(1)),
        _EXPLAIN,
    ),
    "binary": (*_CLASSES, _FIRST, _SHARES, _EXPLAIN),
    "multiclass": (*_CLASSES, _SHARES, _EXPLAIN),
}  # fmt: skip
"""What each kind of task gives, the answer first. Of two classes, `_probability` is how likely the positive one is."""


def renderer(named: Mapping[str, OutputSpec], meaning: Meaning) -> Callable[[Answer], bytes]:
    """A function that writes an answer as the inside of a JSON object: all outputs that are not heavy, in order."""
    made = [(f"{json.dumps(name)}:", spec.text(meaning)) for name, spec in named.items() if spec.text]
    if len(made) == 3:
        (h0, t0), (h1, t1), (h2, t2) = made
        return lambda a: f"{h0}{t0(a)},{h1}{t1(a)},{h2}{t2(a)}".encode()
    if len(made) == 4:
        (h0, t0), (h1, t1), (h2, t2), (h3, t3) = made
        return lambda a: f"{h0}{t0(a)},{h1}{t1(a)},{h2}{t2(a)},{h3}{t3(a)}".encode()
    return lambda a: ",".join([head + text(a) for head, text in made]).encode()
