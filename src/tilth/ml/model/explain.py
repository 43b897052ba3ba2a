"""Why an answer came out: what each input added to the model's raw score, the strongest first.

Contributions are the scorer's own (SHAP values of trees by LightGBM, terms of a linear model), added up over the matrix
columns of an input. For several classes they are those of the answer's class. With the base, and `others` of the inputs
that are not listed, they add up to the raw score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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
    "note": "The estimator of this version does not tell what each input added; engine = 'lightgbm' and 'linear' do.",
}


class Explainer:
    """Explains answers of one version."""

    def __init__(
        self, signature: Signature, preparation: Preparation, scorer: Scorer, version: int, digest: str
    ) -> None:
        self._signature = signature
        self._owners = preparation.owners()
        self._scorer = scorer
        self._stamp = {"model": signature.model, "version": version, "digest": digest}

    def explain(
        self,
        x: Array,
        scores: Sequence[tuple[float, ...]],
        answers: Sequence[dict[str, Any]],
        given: Sequence[dict[str, Any]],
    ) -> list[dict[str, Any]]:
        """For each row of the matrix: its answer, the contributions of its inputs, and whose answer it is.

        A model that cannot tell contributions says so in a `note`. `scores` are calibrated, `answers` are outputs by name, `given` are the inputs as they came.
        """
        parts = self._scorer.contributions(x)
        out = []
        for index, (score, answer, row) in enumerate(zip(scores, answers, given, strict=True)):
            named = {self._short(name): _plain(value) for name, value in answer.items()}
            named |= NONE if parts is None else self._contributions(parts[index], score, row)
            out.append(named | self._stamp)
        return out

    def _short(self, name: str) -> str:
        """`late_confidence` as `confidence`, the answer itself as `value`."""
        return name.removeprefix(self._signature.output).removeprefix("_") or "value"

    def _contributions(self, parts: Array, score: tuple[float, ...], row: dict[str, Any]) -> dict[str, Any]:
        width = len(self._owners) + 1
        block = 0 if len(parts) == width else score.index(max(score))
        own = parts[block * width : (block + 1) * width].tolist()
        total: dict[str, float] = {}
        for owner, part in zip(self._owners, own[:-1], strict=True):
            total[owner] = total.get(owner, 0.0) + part
        strongest = sorted(total.items(), key=lambda item: (-abs(item[1]), item[0]))[:TOP]
        named = [{"input": n, "given": _plain(row.get(n)), "contribution": p} for n, p in strongest if p]
        others = sum(total.values()) - sum(one["contribution"] for one in named)
        return {"contributions": named, "others": others if len(total) > TOP else 0.0, "base": own[-1]}


def _plain(value: Any) -> Any:
    """The value as JSON has it."""
    return value if isinstance(value, str | int | float | bool | dict | None) else str(value)
