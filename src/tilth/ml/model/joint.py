"""A model of several targets in memory: a `Predictor` for each, asked about the same row, their outputs side by side.

In a bundle the files of each target have its place before their names (`target1.prepare.json`); what they hold is what
a model of that target alone holds. An answer is the answers of the targets one after the other, in the order of PREDICT.
What judges, watches or exports a version takes its parts one by one, and so takes a model of one target.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

from tilth.core.errors import TamperError
from tilth.ml.model.answerer import named
from tilth.ml.model.gaps import Gaps, blank, refusal
from tilth.ml.model.outputs import Answer
from tilth.ml.model.outside import Outside
from tilth.ml.model.predictor import Predictor
from tilth.ml.model.signature import Input, Joint, Output, Signature
from tilth.ml.model.single import remark

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Array = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]
    Table: TypeAlias = pa.Table | pa.RecordBatch

SIGNATURE = "signature.json"


def prefix(place: int) -> str:
    """What stands before the names of the files of the target at that place."""
    return f"target{place + 1}."


def parts_of(files: Mapping[str, bytes]) -> tuple[Mapping[str, bytes], ...]:
    """A bundle's files by target, each as a bundle of that target alone has them: of one target, all as they are."""
    out: list[dict[str, bytes]] = []
    while SIGNATURE in (found := _after(prefix(len(out)), files)):
        out.append(found)
    return tuple(out) or (files,)


def _after(start: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {name.removeprefix(start): held for name, held in files.items() if name.startswith(start)}


def signature_of(files: Mapping[str, bytes]) -> Signature | Joint:
    """Of a bundle's files; KeyError, TypeError or ValueError where they do not fit together."""
    found = [Signature.from_plain(json.loads(part[SIGNATURE])) for part in parts_of(files)]
    return found[0] if len(found) == 1 else Joint.of(found)


def load(
    files: Mapping[str, bytes],
    get_scorer: Callable[[str], Any],
    version: int,
    digest: str,
    threads: int | None = None,
    called: str | None = None,
) -> Predictor | JointPredictor:
    """The version of these files, as `Predictor.load` has it, of one target or several."""
    parts = parts_of(files)
    if len(parts) == 1:
        return Predictor.load(files, get_scorer, version, digest, threads, called)
    try:
        known = [Signature.from_plain(json.loads(part[SIGNATURE])) for part in parts]
    except (KeyError, TypeError, ValueError) as error:
        raise TamperError(
            f"The bundle's files do not fit together: {type(error).__name__} {error}.",
            hint="Train the model again, or roll back to another version.",
        ) from error
    joint = Joint.of([replace(s, model=called or s.model) for s in known])
    return JointPredictor(
        joint, [Predictor.load(p, get_scorer, version, digest, threads, called, joint) for p in parts]
    )


class JointPredictor:
    """One version of several targets, ready to answer. Made by `load`; immutable."""

    def __init__(self, signature: Joint, parts: Sequence[Predictor]) -> None:
        self.signature = signature
        self.parts = tuple(parts)
        self.version, self.digest = parts[0].version, parts[0].digest
        self._first = parts[0]
        ends = [0]
        for one in parts:
            ends.append(ends[-1] + one.width)
        self._own = tuple(slice(a, b) for a, b in pairwise(ends))
        self._of = {o.name: one for one in parts for o in one.outputs}
        """Which part gives an output."""
        self._how = {name: limit.how for one in reversed(parts) for name, limit in one.reach.limits.items()}

    # --- what it is ----------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self.signature.model

    @property
    def inputs(self) -> tuple[Input, ...]:
        return self.signature.inputs

    @property
    def carried(self) -> tuple[Input, ...]:
        return self.signature.carried

    @property
    def outputs(self) -> tuple[Output, ...]:
        return self.signature.outputs

    @property
    def usual(self) -> tuple[str, ...]:
        return tuple(chain.from_iterable(one.usual for one in self.parts))

    @property
    def classes_of(self) -> Mapping[str, tuple[Any, ...]]:
        return {s.output: s.classes for s in self.signature.parts}

    @property
    def needs_history(self) -> bool:
        return False

    @property
    def strict(self) -> bool:
        return self.signature.strict

    def each(self, answer: Answer) -> Iterator[tuple[Predictor, Answer]]:
        """The parts with their parts of an answer."""
        return zip(self.parts, (answer[own] for own in self._own), strict=True)

    # --- many rows -----------------------------------------------------------------------------------------

    def predict(
        self, table: Table, outputs: Sequence[str] | None = None, seen: Gaps | None = None
    ) -> pa.RecordBatch:
        """As `Predictor.predict`; a target of which nothing is asked is not scored."""
        import pyarrow as pa

        wanted = self.usual if outputs is None else named(self, outputs)
        laid, refused = self._prepared(table, seen or Gaps(self.name, self.strict))
        made: dict[str, Any] = {}
        for one, x in zip(self.parts, laid, strict=True):
            own = [name for name in dict.fromkeys(wanted) if self._of[name] is one]
            if own:
                made |= zip(own, one.made(own, x, table), strict=True)
        columns = [made[name] for name in wanted]
        return blank(pa.RecordBatch.from_arrays(columns, names=list(wanted)), refused)

    def answers(self, table: Table) -> tuple[Array, Mask]:
        """As `Predictor.answers`: the scores of each target beside one another."""
        import numpy as np

        found = [one.answers(table) for one in self.parts]
        can = np.logical_and.reduce([c for _, c in found])
        scores = np.concatenate([s.reshape(len(can), -1) for s, _ in found], axis=1)
        scores[~can] = np.nan
        return scores, can

    def _prepared(self, table: Table, seen: Gaps) -> tuple[list[Array], Mask | None]:
        """The rows prepared for each part, and which a strict model refuses; what is odd is counted once."""
        laid: list[Array] = []
        odd: dict[str, Mask] = {}
        far: dict[str, int] = {}
        for one in self.parts:
            x, lacking = one.laid(table)
            laid.append(x)
            odd |= lacking
            for name, mask in one.reach.masks(x, table).items():
                far.setdefault(name, int(mask.sum()))
        refused = seen.see(table.num_rows, odd)
        for name, count in far.items():
            seen.see_far(name, count, self._how[name])
        return laid, refused

    # --- one row -------------------------------------------------------------------------------------------

    def decode(self, body: bytes) -> Any:
        return self._first.decode(body)

    def convert(self, values: Mapping[str, Any]) -> Any:
        return self._first.convert(values)

    def taken(self, values: Mapping[str, Any]) -> Any:
        return self._first.taken(values)

    def fields(self, names: Sequence[str]) -> tuple[str | None, ...]:
        return self._first.fields(names)

    def values(self, row: Any) -> dict[str, Any]:
        return self._first.values(row)

    def record(self, row: Any) -> bytes:
        return self._first.record(row)

    def gaps(self, row: Any) -> tuple[str, ...]:
        return self._first.gaps(row)

    def outside(self, row: Any) -> tuple[Outside, ...]:
        found: dict[str, Outside] = {}
        for far in chain.from_iterable(one.outside(row) for one in self.parts):
            found.setdefault(far.input, far)
        return tuple(found.values())

    def score_row(self, row: Any) -> Answer:
        return tuple(chain.from_iterable(one.score_row(row) for one in self.parts))

    def score_json(self, body: bytes) -> tuple[bytes, Any, Answer]:
        row = self._first.decode(body)
        names, far = self.gaps(row), self.outside(row)
        if self.strict and names:
            raise refusal(self.name, names)
        answer = self.score_row(row)
        return self.render(answer) + remark(names, far), row, answer

    def logged(self, answer: Answer) -> bytes:
        """The scores of each target, one after the other, as a list."""
        found = [score for one, own in self.each(answer) for score in own[: one.signature.logged]]
        return json.dumps(found).encode()

    def render(self, answer: Answer) -> bytes:
        return b",".join([one.render(own) for one, own in self.each(answer)])

    def remark(self, row: Any) -> bytes:
        return remark(self.gaps(row), self.outside(row))

    def choose(self, row: Any, answer: Answer, names: Sequence[str]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for one, own in self.each(answer):
            made |= one.choose(row, own, [name for name in names if self._of[name] is one])
        return {name: made[name] for name in names}

    def differs(self, answer: Answer, other: Any, others: Answer) -> bool:
        """Whether another version says something else of a row, of a target that both have; True where they have none."""
        theirs = {one.signature.output: (one, own) for one, own in other.each(others)}
        both = [
            (one, own, *theirs[n]) for one, own in self.each(answer) if (n := one.signature.output) in theirs
        ]
        return not both or any(one.differs(own, there, said) for one, own, there, said in both)

    def predict_rows(
        self, rows: Sequence[Mapping[str, Any]], seen: Gaps | None = None
    ) -> list[dict[str, Any]]:
        import numpy as np

        seen = seen or Gaps(self.name, self.strict)
        taken = [self.convert(row) for row in rows]
        lacking = [self.gaps(row) for row in taken]
        odd = {n: np.array([n in names for names in lacking]) for n in dict.fromkeys(chain(*lacking))}
        refused = seen.see(len(taken), odd)
        for one in chain.from_iterable(map(self.outside, taken)):
            seen.see_far(one.input, 1, self._how[one.input])
        answers = [self._outputs_of(self.score_row(row)) for row in taken]
        if refused is None:
            return answers
        return [dict.fromkeys(a) if gone else a for a, gone in zip(answers, refused.tolist(), strict=True)]

    def _outputs_of(self, answer: Answer) -> dict[str, Any]:
        return {name: value for one, own in self.each(answer) for name, value in one.outputs_of(own).items()}

    def explain(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Why this answer: an explanation for each target, by the name of its output."""
        row = self.taken(values)
        return {one.signature.output: one.why(row, values) for one in self.parts}

    def warm(self) -> None:
        for one in self.parts:
            one.warm()
