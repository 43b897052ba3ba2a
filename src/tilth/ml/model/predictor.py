"""A model version in memory: a typed function from named inputs to outputs, the same at every door.

Loaded from bytes that were verified, never from a folder; immutable, so a swap is one rebound name. Batches go through
Arrow, one JSON row goes without it; both give the same bits. Explanations are in `explain`, packing in `encode`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

from tilth.core.errors import TamperError, TilthError
from tilth.ml.model import ensemble
from tilth.ml.model.answerer import named
from tilth.ml.model.curve import Curve
from tilth.ml.model.encode import Encoder
from tilth.ml.model.explain import Explainer, usual_row
from tilth.ml.model.gaps import Gaps, blank, refusal
from tilth.ml.model.outputs import Answer, Many, Meaning, renderer
from tilth.ml.model.outside import Outside, Reach, far_in
from tilth.ml.model.preparation import Preparation
from tilth.ml.model.signature import Input, Joint, Output, Signature
from tilth.ml.model.single import answering, hot, remark
from tilth.ports.learning import Scorer, Task

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Array = npt.NDArray[np.float64]
    Table: TypeAlias = pa.Table | pa.RecordBatch


class Predictor:
    """One version, ready to answer. Made by `load`."""

    def __init__(
        self,
        signature: Signature,
        preparation: Preparation,
        curve: Curve,
        scorer: Scorer,
        version: int,
        digest: str,
        spread: Scorer | None = None,
        typical: Array | None = None,
        joint: Joint | None = None,
    ) -> None:
        """`spread` scores how wide a row's interval is; None where all are of one width, or there are none. `typical` is a
        usual row of the matrix, kept where the scorer does not tell contributions. `joint` is of the model whose one target
        this answers, of several: its rows are taken.
        """
        self.signature = signature
        self.version = version
        self.digest = digest
        self._preparation = preparation
        self._curve = curve
        self._scorer = scorer
        self._encoder = Encoder(joint or signature, preparation)
        self._optional = frozenset(i.name for i in signature.inputs if not i.required)
        self._specs = signature.specs
        self._several = signature.kind == "multiclass"
        self._meaning = Meaning(signature.classes, curve.threshold, curve.conformal, curve.floor)
        self._makers = {n: s.one(self._meaning) for n, s in self._specs.items() if s.one is not None}
        members = ensemble.members_of(scorer)
        self._explainer = Explainer(signature, preparation, members, curve, version, digest, typical)
        self.reach = Reach(preparation.columns)
        self._render = renderer(self._specs, self._meaning)
        self._spread = spread
        self._answer = answering(scorer, curve, spread)
        self._score_json = hot(self._encoder, self._answer, self._render, signature)

    @classmethod
    def load(
        cls,
        files: Mapping[str, bytes],
        get_scorer: Callable[[str], Any],
        version: int,
        digest: str,
        threads: int | None = None,
        called: str | None = None,
        joint: Joint | None = None,
    ) -> Predictor:
        """From the bundle's files. `get_scorer(name)` gives the class that reads the member.

        `threads` limits batches; None takes all cores. `called` is the model's name where it is asked, which can be another
        than when it was sealed. `joint` is of a model of several targets, of one of which these files are (`joint.load`).
        TamperError when the files do not fit together.
        """
        try:
            signature = Signature.from_plain(json.loads(files["signature.json"]))
            preparation = Preparation.from_plain(json.loads(files["prepare.json"]))
            kept = json.loads(files["calibration.json"])
            curve = Curve.from_plain(kept)
            asked = task(signature, preparation)
            own = len(preparation.heads)
            scorer = ensemble.load(kept, files, get_scorer, asked, threads, own)
            wide = kept.get("spread")
            width = None if wide is None else (files[wide["member"]], str(wide["scorer"]))
            typical = usual_row(kept.get("typical"), preparation)
        except (KeyError, TypeError, ValueError) as error:
            raise TamperError(
                f"The bundle's files do not fit together: {type(error).__name__} {error}.",
                hint="Train the model again, or roll back to another version.",
            ) from error
        spread = (
            None
            if width is None
            else ensemble.loaded(
                width[0], get_scorer(width[1]), replace(asked, kind="regression", classes=0), threads, own
            )
        )
        if called is not None:
            signature = replace(signature, model=called)
        if joint is not None:
            signature = next(s for s in joint.parts if s.output == signature.output)
        return cls(signature, preparation, curve, scorer, version, digest, spread, typical, joint)

    # --- many rows -----------------------------------------------------------------------------------------

    def scores(self, table: Table) -> Array:
        """Calibrated scores: [rows] of values or of P(positive class), or [rows, classes]. What gates compare."""
        return self._scored(self.matrix(table))

    def answers(self, table: Table) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Calibrated scores, and which rows have one: all, but those that a strict model refuses. The others hold NaN.

        InputError where no row can be answered, since a column is missing or of another type.
        """
        import numpy as np

        seen = Gaps(self.signature.model, self.signature.strict)
        x, refused = self._prepared(table, seen)
        can = np.ones(len(x), dtype=np.bool_) if refused is None else ~refused
        scores = self._scored(np.ascontiguousarray(x[can]))
        out = np.full((len(x), *scores.shape[1:]), np.nan)
        out[can] = scores
        return out, can

    @property
    def meaning(self) -> Meaning:
        """How its scores are read."""
        return self._meaning

    @property
    def threshold(self) -> float:
        """The probability above which the positive class is the answer."""
        return self._meaning.threshold

    def raw(self, x: Array) -> Array:
        """The member's own scores of prepared rows, before anything is made of them."""
        return self._scorer.score(x)

    def _scored(self, x: Array) -> Array:
        """Calibrated scores of prepared rows; some members cannot score none."""
        import numpy as np

        if len(x) == 0:
            classes = len(self.signature.classes)
            return np.empty((0, classes) if self.signature.kind == "multiclass" else 0)
        try:
            return self._curve.apply(self._scorer.score(x))
        except Exception as error:
            raise self._told(error) from error

    def _told(self, error: Exception) -> Exception:
        """What a scorer raised, which may be a stranger's, as an error of ours."""
        if isinstance(error, TilthError | MemoryError):
            return error
        return TamperError(
            f"Version {self.version} of model `{self.signature.model}` does not answer: {type(error).__name__}: {error}.",
            hint="Look whether the package of its format is the one that it was made with, or train the model again.",
        )

    def matrix(self, table: Table) -> Array:
        """The prepared rows; InputError for a missing or wrongly typed column."""
        return self._preparation.matrix(table, self._optional)

    def _prepared(self, table: Table, seen: Gaps) -> tuple[Array, npt.NDArray[np.bool_] | None]:
        """The prepared rows, and which of them a strict model refuses; gaps where training had none are counted."""
        x, odd = self.laid(table)
        refused = seen.see(len(x), odd)
        self.reach.count(seen, x, table)
        return x, refused

    def laid(self, table: Table) -> tuple[Array, dict[str, npt.NDArray[np.bool_]]]:
        """The prepared rows, and which of them lack an input that never was missing in training, by input."""
        gaps: dict[str, npt.NDArray[np.bool_]] = {}
        x = self._preparation.matrix(table, self._optional, gaps)
        return x, {name: mask for name, mask in gaps.items() if name not in self._optional}

    def made(self, wanted: Sequence[str], x: Array, table: Table) -> list[pa.Array]:
        """These outputs of prepared rows."""
        scores = self._scored(x)
        many = Many(scores, cache(lambda: self._ends(scores, x)))
        return [self._column(name, many, x, table) for name in wanted]

    @property
    def parts(self) -> tuple[Predictor, ...]:
        """What answers each target."""
        return (self,)

    @property
    def width(self) -> int:
        """How many numbers an answer has."""
        wide = self._spread is not None and self._curve.conformal is not None
        return self.signature.logged + wide

    def each(self, answer: Answer) -> Iterator[tuple[Predictor, Answer]]:
        """The parts with their parts of an answer."""
        yield self, answer

    @property
    def strict(self) -> bool:
        """Whether a row is refused that lacks an input which never was missing in training."""
        return self.signature.strict

    def gaps(self, row: Any) -> tuple[str, ...]:
        """The inputs that a decoded row lacks and that never were missing in training."""
        return self._encoder.gaps(row)

    def outside(self, row: Any) -> tuple[Outside, ...]:
        """The inputs of a decoded row that are far out of what training had."""
        return self._encoder.outside(row)

    def predict(
        self, table: Table, outputs: Sequence[str] | None = None, seen: Gaps | None = None
    ) -> pa.RecordBatch:
        """The outputs as columns, in the order asked; by default the answer, its confidence and its bounds.

        Columns bind by name; others are passed over. `<y>_probabilities`, a map, and `<y>_explain`, a JSON text, are
        made only when asked for. `seen` counts the gaps where training had none; rows that are refused for them are NULL.
        """
        import pyarrow as pa

        wanted = self.usual if outputs is None else named(self, outputs)
        x, refused = self._prepared(table, seen or Gaps(self.signature.model, self.strict))
        made = self.made(wanted, x, table)
        return blank(pa.RecordBatch.from_arrays(made, names=list(wanted)), refused)

    @property
    def name(self) -> str:
        """The model's."""
        return self.signature.model

    @property
    def inputs(self) -> tuple[Input, ...]:
        return self.signature.inputs

    @property
    def carried(self) -> tuple[Input, ...]:
        """What is taken along for the log and not learned from."""
        return self.signature.carried

    @property
    def outputs(self) -> tuple[Output, ...]:
        """All that it can give, the answer first."""
        return self.signature.outputs

    @property
    def classes(self) -> tuple[Any, ...]:
        """The classes in the order of their probabilities."""
        return self.signature.classes

    @property
    def classes_of(self) -> Mapping[str, tuple[Any, ...]]:
        """The same by the name of the answer's output."""
        return {self.signature.output: self.signature.classes}

    @property
    def needs_history(self) -> bool:
        """A row is answered by itself."""
        return False

    @property
    def usual(self) -> tuple[str, ...]:
        """The names that `predict` gives when none are asked for."""
        return tuple(name for name, spec in self._specs.items() if not spec.heavy)

    def _column(self, name: str, many: Many, x: Array, table: Table) -> pa.Array:
        """One output of these rows; an explanation needs the rows themselves."""
        import pyarrow as pa

        make = self._specs[name].column
        if make is not None:
            return make(self._meaning, many)
        return pa.array([json.dumps(e) for e in self._explanations(many.scores, x, table)], pa.string())

    def _ends(self, scores: Array, x: Array) -> tuple[Array, Array]:
        """Both ends of each row's interval."""
        conformal = self._curve.conformal
        assert conformal is not None, "a value without an interval has no ends"
        return conformal.ends(scores, self._halves(x), self._curve.floor)

    def _halves(self, x: Array) -> Array:
        """Half the width of each row's interval."""
        import numpy as np

        conformal = self._curve.conformal
        assert conformal is not None, "a value without an interval has no width"
        if self._spread is None or not len(x):
            return np.full(len(x), conformal.radius)
        return conformal.half(self._spread.score(x))

    def _explanations(self, scores: Array, x: Array, table: Table) -> list[dict[str, Any]]:
        if not len(x):
            return []
        there = frozenset(table.schema.names)
        names = [n for n in self.signature.names if n in there]
        given = table.select(names).to_pylist()
        rows = _rows(scores)
        if self._spread is not None:
            rows = [(*row, half) for row, half in zip(rows, self._halves(x).tolist(), strict=True)]
        made = self._explainer.explain(x, rows, [self.outputs_of(row) for row in rows], given)
        return [one | far_in(self.reach, row) for one, row in zip(made, given, strict=True)]

    # --- one row -------------------------------------------------------------------------------------------

    @property
    def decoder(self) -> Any:
        """The msgspec decoder of one JSON row; its rows go to `score_row`."""
        return self._encoder.decoder

    def decode(self, body: bytes) -> Any:
        """One JSON object as a row; InputError names the input that is unknown, missing or of another type."""
        return self._encoder.decode(body)

    def convert(self, values: Mapping[str, Any]) -> Any:
        """A mapping as a row; the same errors."""
        return self._encoder.convert(values)

    def fields(self, names: Sequence[str]) -> tuple[str | None, ...]:
        """The attributes of a decoded row that hold these columns; None for one that the model does not take."""
        return self._encoder.fields(names)

    def values(self, row: Any) -> dict[str, Any]:
        """A row as a mapping, carried columns included: what is logged."""
        return self._encoder.values(row)

    def score_row(self, row: Any) -> Answer:
        """The calibrated score of a row: one number, or one a class; a value may have half its interval's width beside it."""
        packed = self._encoder.pack(row)
        try:
            return self._answer(packed)
        except Exception as error:
            raise self._told(error) from error

    def asked(self, row: Any) -> tuple[Answer, bool]:
        """The same, and whether any value of the row is missing or far out."""
        packed, odd = self._encoder.packed(row)
        return self._answer(packed), odd

    def logged(self, answer: Answer) -> bytes:
        """The calibrated score as JSON: one number, or a list with one for each class."""
        return (json.dumps(answer) if self._several else repr(answer[0])).encode()

    def render(self, answer: Answer) -> bytes:
        """The outputs as the inside of a JSON object, without braces: `"y":true,"y_confidence":0.8`."""
        return self._render(answer)

    def remark(self, row: Any) -> bytes:
        """What follows the outputs where an input is missing that never was in training, or far out: `,"notices":[...]`."""
        return remark(self.gaps(row), self.outside(row))

    def score_json(self, body: bytes) -> tuple[bytes, Any, Answer]:
        """The hot path: a JSON object to the inside of the answer's object, the row, and the calibrated score."""
        return self._score_json(body)

    def record(self, row: Any) -> bytes:
        """The row as a JSON object by input name, carried columns included; `values` as it stands in the log."""
        return self._encoder.record(row)

    def choose(self, row: Any, answer: Answer, names: Sequence[str]) -> dict[str, Any]:
        """The named outputs of a decoded row's answer; probabilities and the explanation as objects."""
        made = self.outputs_of(answer)
        why = f"{self.signature.output}_explain"
        if why in names:
            made[why] = self.why(row, self._encoder.given(row))
        return {name: made[name] for name in names}

    def differs(self, answer: Answer, other: Any, others: Answer) -> bool:
        """Whether another version says something else of a row: another class, or a number outside this one's interval.

        Of one of several targets, the same output of it; True where it has none of that name.
        """
        if len(other.parts) > 1:
            same = [(o, a) for o, a in other.each(others) if o.signature.output == self.signature.output]
            return not same or self.differs(answer, *same[0])
        if self.signature.kind != other.signature.kind:
            return True
        if self.signature.kind != "regression":
            mine, _ = self._meaning.decide(answer)
            theirs, _ = other.meaning.decide(others)
            return bool(self.signature.classes[mine] != other.signature.classes[theirs])
        return abs(answer[0] - others[0]) > (self._meaning.half(answer) or 0.0)

    def predict_rows(
        self, rows: Sequence[Mapping[str, Any]], seen: Gaps | None = None
    ) -> list[dict[str, Any]]:
        """Answers for rows as mappings, with the values of `predict`; a row that is refused has None for each output."""
        import numpy as np

        seen = seen or Gaps(self.signature.model, self.strict)
        taken = [self.convert(row) for row in rows]
        lacking = [self.gaps(row) for row in taken]
        masks = {
            name: np.array([name in names for names in lacking]) for name in dict.fromkeys(chain(*lacking))
        }
        refused = seen.see(len(taken), masks)
        self.reach.count_rows(seen, map(self.outside, taken))
        answers = [self.outputs_of(self.score_row(row)) for row in taken]
        if refused is None:
            return answers
        return [dict.fromkeys(a) if gone else a for a, gone in zip(answers, refused.tolist(), strict=True)]

    def taken(self, values: Mapping[str, Any]) -> Any:
        """The mapping as a row that is answered; InputError for one that a strict model refuses."""
        row = self.convert(values)
        if self.strict and (names := self.gaps(row)):
            raise refusal(self.signature.model, names)
        return row

    def explain(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Why this answer: value, confidence, bounds, the strongest contributions, the model's version and digest."""
        return self.why(self.taken(values), values)

    def why(self, row: Any, values: Mapping[str, Any]) -> dict[str, Any]:
        """Of a decoded row, and of its values as they were given."""
        import numpy as np

        packed = self._encoder.pack(row)
        answer = self._answer(packed)
        x = np.frombuffer(packed, dtype=np.float64)[None, :]
        made = self._explainer.explain(x, [answer], [self.outputs_of(answer)], [dict(values)])[0]
        return made | far_in(self.reach, self._encoder.values(row))

    def warm(self) -> None:
        """Touch what the first request of this thread would otherwise wait for."""
        size = 8 * len(self._preparation.features)
        self._answer(bytearray(size))

    def outputs_of(self, answer: Answer) -> dict[str, Any]:
        """Every output but the explanation, by name."""
        return {name: make(answer) for name, make in self._makers.items()}


def task(signature: Signature, preparation: Preparation) -> Task:
    """What a scorer needs to know to read its file."""
    categorical = preparation.categorical
    return Task(
        kind=signature.kind,
        classes=len(signature.classes),
        columns=preparation.features,
        categorical=tuple(i for i, _ in categorical),
        cardinality=tuple(n for _, n in categorical),
    )


def _rows(scores: Array) -> list[Answer]:
    return [(s,) for s in scores.tolist()] if scores.ndim == 1 else [tuple(s) for s in scores.tolist()]
