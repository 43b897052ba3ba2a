"""Scores with a linear model kept as JSON: one addition per input column, in the same order for one row and many.

A numeric column gives a chain of lines over its standardised value and, where training saw gaps, a term for being missing;
a category gives the weight of its level; scores of texts, at the end of the matrix, are added as they are. Training is in
`linear_learner` and `text_learner`; there is no library behind this but numpy.
"""

from __future__ import annotations

import json
from array import array
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Self

from tilth.core.errors import TamperError, UnsupportedError
from tilth.ports.learning import Task
from tilth.ports.portable import LINKS, Levels, Member, Slope, Sums

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

MOST_BYTES = 256 << 20
FORMATS = (
    "tilth-linear-1",
    "tilth-linear-2",
    "tilth-linear-3",
)  # lines only; lines that turn; scores of texts
CHAIN = {"center", "scale", "weight", "missing", "start", "edges", "slopes"}
CLIP = 6.0  # standard deviations beyond which a numeric value says no more


class LinearScorer:
    """A loaded linear model: immutable, so threads may share it."""

    pandas = False

    def __init__(self, terms: list[Term], bias: Matrix, kind: str, scores: Scores | None = None) -> None:
        self._terms = terms
        self._scores = scores
        self._bias = bias
        self._kind = kind
        self._several = kind == "multiclass"

    @classmethod
    def load(cls, payload: bytes, task: Task, threads: int | None = None) -> Self:  # noqa: ARG003 - the port has it
        """Read `member.json`. `threads` is taken for the sake of the port and not used."""
        width = task.classes if task.kind == "multiclass" else 1
        try:
            if len(payload) > MOST_BYTES:
                raise ValueError("it is too large")
            model = json.loads(payload)
            bias, columns = model["bias"], model["columns"]
            scores = Scores(model["scores"], width) if "scores" in model else None
            wide = len(columns) + (scores.columns if scores else 0)
            if model["format"] not in FORMATS or wide != len(task.columns):
                raise ValueError("it is of other columns")
            terms = [Term(column, width) for column in columns]
            return cls(terms, _array(bias, (width,)), task.kind, scores)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise TamperError(
                f"The linear model's file does not fit its signature: {type(error).__name__}: {str(error)[:200]}.",
                hint="Do not serve it. Train the model again, or roll back to another version.",
            ) from error

    @classmethod
    def portable(cls, payload: bytes, task: Task) -> Member:
        """Its terms; see `ports.portable`."""
        found = cls.load(payload, task)
        if found._scores is not None:  # noqa: SLF001  # its own
            raise UnsupportedError(
                "A linear model of texts is not said in plain values here.",
                hint="Export it as --format mlflow, or leave the texts out of FEATURES.",
            )
        terms = tuple(term.portable() for term in found._terms)  # noqa: SLF001  # its own
        return Sums(terms, tuple(found._bias.tolist()), LINKS[task.kind])  # noqa: SLF001

    def score(self, x: Matrix) -> Matrix:
        import numpy as np

        total = np.repeat(self._bias[None, :], len(x), axis=0)
        for index, term in enumerate(self._terms):
            total += term.weigh(x[:, index])
        for part in self._scores.weigh(x[:, len(self._terms) :]) if self._scores else ():
            total += part
        if self._kind == "multiclass":
            return softmax(total)
        return sigmoid(total[:, 0]) if self._kind == "binary" else total[:, 0]

    def score_row(self, row: bytearray) -> tuple[float, ...]:
        import numpy as np

        total: Any = self._bias if self._several else float(self._bias[0])
        values = array("d", row)
        for value, term in zip(values, self._terms, strict=self._scores is None):
            total = total + term.weigh_one(value)
        if self._scores is not None:
            for part in self._scores.weigh_one(values[len(self._terms) :]):
                total = total + part
        if self._several:
            return tuple(softmax(total[None, :])[0].tolist())
        if self._kind == "regression":
            return (total,)
        return (float(sigmoid(np.array([total]))[0]),)

    def contributions(self, x: Matrix) -> Matrix | None:
        """What each column adds to the raw score, the bias last; [rows, classes * (columns + 1)]."""
        import numpy as np

        parts = [term.weigh(x[:, index]) for index, term in enumerate(self._terms)]
        for part in self._scores.weigh(x[:, len(self._terms) :]) if self._scores else ():
            parts += [part * one for one in np.eye(part.shape[1])]  # each score is of one output
        parts.append(np.repeat(self._bias[None, :], len(x), axis=0))
        stacked = np.stack(parts, axis=2)  # rows, classes, columns + 1
        return stacked.reshape(len(x), -1)


class Term:
    """One column's part of the sum. ValueError or TypeError when it is not one of finite numbers.

    A number's is a line, or a chain of them: left of each of the `edges` another slope holds.
    """

    def __init__(self, column: dict[str, object], width: int) -> None:
        self.levels: Matrix | None = None
        if set(column) == {"levels"}:
            self.levels = _array(column["levels"], (-1, width))
            self._last = len(self.levels) - 1
            self._row_levels = _rows(self.levels)
            return
        if set(column) not in ({"center", "scale", "weight", "missing"}, CHAIN):
            raise ValueError("a column has other parts")
        self.center, self.scale = (float(_array(column[k], ())) for k in ("center", "scale"))
        if self.scale <= 0:
            raise ValueError("a column's scale is not above 0")
        weight, self.missing = _array(column["weight"], (width,)), _array(column["missing"], (width,))
        edges = _array(column["edges"], (-1,)) if column.get("edges") else _none()
        turns = _array(column["slopes"], (len(edges), width)) if len(edges) else None
        start = _array(column["start"], (width,)) if "start" in column else 0.0 * weight
        self._chain(edges, start, weight, turns)

    def _chain(self, edges: Matrix, start: Matrix, weight: Matrix, turns: Matrix | None) -> None:
        """Each piece as start + slope * value: from edge to edge the slope turns."""
        import numpy as np

        if (np.diff(edges) <= 0).any():
            raise ValueError("a column's edges do not rise")
        self._edges = edges
        steps = np.zeros((1, len(weight)))
        if turns is not None:
            steps = np.concatenate([steps, turns])
        self._turns = steps[1:]
        self._slope = weight[None, :] + np.cumsum(steps, axis=0)
        self._start = start[None, :] - np.cumsum(np.concatenate([[0.0], edges])[:, None] * steps, axis=0)
        self._row = (edges.tolist(), _rows(self._start), _rows(self._slope), _rows(self.missing[None, :])[0])

    def portable(self) -> Levels | Slope:
        """The same in plain values."""
        if self.levels is not None:
            return Levels(tuple(map(tuple, self.levels.tolist())))
        return Slope(
            self.center, self.scale, CLIP, tuple(self._slope[0].tolist()), tuple(self.missing.tolist()),
            tuple(self._start[0].tolist()), tuple(self._edges.tolist()), tuple(map(tuple, self._turns.tolist())),
        )  # fmt: skip

    def weigh(self, values: Matrix) -> Matrix:
        """[rows, classes] for one column of the matrix."""
        import numpy as np

        gaps = np.isnan(values)
        if self.levels is not None:  # the last row of `levels` is for rare, unseen and missing
            last = self._last
            code = np.where(gaps | (values < 0) | (values >= last), last, values).astype(np.int64)
            return self.levels[code]
        with np.errstate(over="ignore"):
            standard = np.clip((values - self.center) / self.scale, -CLIP, CLIP)
        piece = (
            np.searchsorted(self._edges, standard, side="right")
            if len(self._edges)
            else np.zeros(len(values), np.intp)
        )
        found = self._start[piece] + standard[:, None] * self._slope[piece]
        return np.where(gaps[:, None], self.missing[None, :], found)

    def weigh_one(self, value: float) -> Any:
        """The same of one value: a number, or an array with one a class."""
        if self.levels is not None:
            rare = value != value or value < 0 or value >= self._last  # noqa: PLR0124 - NaN
            return self._row_levels[self._last if rare else int(value)]
        edges, start, slope, missing = self._row
        if value != value:  # noqa: PLR0124 - NaN
            return missing
        standard = min(max((value - self.center) / self.scale, -CLIP), CLIP)
        piece = bisect_right(edges, standard)
        return start[piece] + standard * slope[piece]


class Scores:
    """What texts add: of each an output's raw score less its mean, nothing where the text is missing. ValueError or TypeError as `Term`."""

    def __init__(self, means: object, width: int) -> None:
        self._means = _array(means, (-1, width))
        self._one = list(self._means) if width > 1 else self._means[:, 0].tolist()
        self._width = width
        self.columns = self._means.size

    def weigh(self, values: Matrix) -> list[Matrix]:
        """[rows, outputs] of each text."""
        import numpy as np

        each = values.reshape(len(values), -1, self._width) - self._means
        known = np.where(np.isnan(each), 0.0, each)
        return [known[:, text] for text in range(len(self._means))]

    def weigh_one(self, values: Any) -> list[Any]:
        """The same of one row: numbers, or arrays with one a class."""
        import numpy as np

        if self._width > 1:
            each = np.array(values).reshape(-1, self._width)
            return [np.where(np.isnan(v), 0.0, v - mean) for v, mean in zip(each, self._one, strict=True)]
        return [v - mean if v == v else 0.0 for v, mean in zip(values, self._one, strict=True)]  # noqa: PLR0124 - NaN


def _rows(table: Matrix) -> list[Any]:
    """Rows as numbers where there is one column, else as arrays."""
    return table[:, 0].tolist() if table.shape[1] == 1 else list(table)


def _none() -> Matrix:
    import numpy as np

    return np.empty(0)


def _array(values: object, shape: tuple[int, ...]) -> Matrix:
    """Finite numbers of that shape, of which -1 is any size above 0; nothing else that JSON can hold."""
    import numpy as np

    rows = values if isinstance(values, list) else [values]
    numbers = [n for row in rows for n in (row if isinstance(row, list) else [row])]
    if any(type(n) not in (int, float) for n in numbers):
        raise ValueError("what should be a number is none")
    out = np.asarray(values, dtype=np.float64)
    fits = out.ndim == len(shape) and all(
        a == b or (b == -1 and a > 0) for a, b in zip(out.shape, shape, strict=True)
    )
    if not fits or not np.isfinite(out).all():
        raise ValueError(f"numbers of the shape {out.shape} where {shape} are due")
    return out


def sigmoid(z: Matrix) -> Matrix:
    """1 / (1 + e^-z), without overflow."""
    import numpy as np

    return 1.0 / (1.0 + np.exp(-np.clip(z, -500.0, 500.0)))


def softmax(z: Matrix) -> Matrix:
    """Rows that sum to one."""
    import numpy as np

    e = np.exp(z - z.max(axis=1, keepdims=True))
    out: Matrix = e / e.sum(axis=1, keepdims=True)
    return out
