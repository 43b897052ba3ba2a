"""Why an answer came out: what each input added to it, the strongest first.

With the base, and `others` of the inputs that are not listed, contributions add up to what is served (`total`): the value,
or the calibrated probability of the positive class, of several classes that of the answer. How an engine's own numbers
come to that is in `contributions`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tilth.core.names import literal
from tilth.ml.model.contributions import Contributions, Told
from tilth.ml.model.curve import Curve
from tilth.ml.model.preparation import Preparation
from tilth.ml.model.signature import Signature
from tilth.ports.learning import Scorer

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]

TOP = 10
NONE: dict[str, Any] = {
    "contributions": [],
    "note": "The estimator of this version does not tell what each input added, and the version does not keep the usual row that "
    "it could be compared with: train it again.",
}
TRIED = (
    "The estimator does not tell what each input added. It was asked with inputs set from the usual row's value to this row's, "
    "one after the other: the mean over {orders} orders."
)


class Explainer:
    """Explains answers of one version."""

    def __init__(
        self,
        signature: Signature,
        preparation: Preparation,
        members: Sequence[tuple[Scorer, float]],
        curve: Curve,
        version: int,
        digest: str,
        typical: Array | None = None,
    ) -> None:
        """`members` are scorers with their weights, whose weighted mean `curve` calibrates; `typical` is a usual row."""
        self._signature = signature
        self._contributions = Contributions(signature.kind, preparation.owners(), members, curve, typical)
        self._stamp = {"model": signature.model, "version": version, "digest": digest}

    def explain(
        self,
        x: Array,
        scores: Sequence[tuple[float, ...]],
        answers: Sequence[dict[str, Any]],
        given: Sequence[dict[str, Any]],
    ) -> list[dict[str, Any]]:
        """For each row of the matrix: its answer, the contributions of its inputs, and whose answer it is.

        A model that cannot tell contributions, or had to try them out, says so in a `note`. `scores` are calibrated,
        `answers` are outputs by name, `given` are the inputs as they came.
        """
        told = self._contributions.of(x, scores)
        out = []
        for found, score, answer, row in zip(told, scores, answers, given, strict=True):
            named = {self._short(name): _plain(value) for name, value in answer.items()}
            named |= NONE if found is None else self._named(found, score, row)
            out.append(named | _theirs(named) | self._stamp)
        return out

    def _short(self, name: str) -> str:
        """`late_confidence` as `confidence`, the answer itself as `value`."""
        return name.removeprefix(self._signature.output).removeprefix("_") or "value"

    def _named(self, found: Told, score: tuple[float, ...], row: dict[str, Any]) -> dict[str, Any]:
        several = self._signature.kind == "multiclass"
        total = max(score) if several else score[0]
        each = zip(self._contributions.inputs, found.parts.tolist(), strict=True)
        strongest = sorted(each, key=lambda item: (-abs(item[1]), item[0]))
        named = [
            {"input": n, "given": _plain(row.get(n)), "contribution": p} for n, p in strongest[:TOP] if p
        ]
        said = {
            "contributions": named,
            "others": math.fsum(p for _, p in strongest[TOP:]),
            "base": found.base,
            "total": total,
            "of": self._of(score.index(total) if several else -1),
        }
        return said | ({"note": TRIED.format(orders=found.orders)} if found.orders else {})

    def _of(self, place: int) -> str:
        """What the total is: the output, or how likely a class is."""
        signature = self._signature
        if signature.kind == "regression":
            return f"value of {signature.output}"
        name = signature.classes[place]
        return f"probability of {literal(name) if isinstance(name, str) else str(name).lower()}"


def usual_row(kept: Any, preparation: Preparation) -> Array | None:
    """The usual row as `calibration.json` keeps it: a number or null for each matrix column. ValueError for another length."""
    import numpy as np

    if kept is None:
        return None
    found = np.array([np.nan if v is None else float(v) for v in kept])
    if len(found) != len(preparation.features):
        raise ValueError(
            f"the usual row has {len(found)} numbers, the matrix {len(preparation.features)} columns"
        )
    return found


THEIRS = ("predicted_value", "confidence_lower_bound", "confidence_upper_bound", "anomaly", "truth")
"""What MindsDB calls parts of an explanation; nothing here says what is odd, or true."""


def _theirs(named: Mapping[str, Any]) -> dict[str, Any]:
    found = (named.get("value"), named.get("lower"), named.get("upper"), None, None)
    return dict(zip(THEIRS, found, strict=True))


def _plain(value: Any) -> Any:
    """The value as JSON has it."""
    return value if isinstance(value, str | int | float | bool | dict | None) else str(value)
