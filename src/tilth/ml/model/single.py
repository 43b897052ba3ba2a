"""One row's way through a model: from a JSON text to the answer as JSON, with as little work as possible.

What an answer means is in `outputs`; `predictor` has the many rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tilth.ml.model.curve import Curve
from tilth.ml.model.gaps import notice, refusal
from tilth.ml.model.outputs import Answer
from tilth.ml.model.signature import Signature

if TYPE_CHECKING:
    from tilth.ml.model.encode import Encoder
    from tilth.ml.model.outside import Outside
    from tilth.ports.learning import Scorer


def hot(
    encoder: Encoder,
    answer_of: Callable[[bytearray], Answer],
    render: Callable[[Answer], bytes],
    signature: Signature,
) -> Callable[[bytes], tuple[bytes, Any, Answer]]:
    """`score_json` with all that it needs at hand."""
    decode, packed, strict = encoder.decoder.decode, encoder.packed, signature.strict

    def score_json(body: bytes) -> tuple[bytes, Any, Answer]:
        try:
            row = decode(body)
        except ValueError:  # msgspec's errors, and of texts that are not UTF-8
            row = encoder.decode(body)
        except RecursionError:
            row = encoder.decode(body)
        numbers, odd = packed(row)
        if not odd:
            answer = answer_of(numbers)
            return render(answer), row, answer
        names = encoder.gaps(row)
        if strict and names:
            raise refusal(signature.model, names)
        answer = answer_of(numbers)
        return render(answer) + remark(names, encoder.outside(row)), row, answer

    return score_json


def remark(names: Sequence[str], far: Sequence[Outside]) -> bytes:
    """What follows the outputs of a row that lacks these inputs and has these far out; nothing, where none."""
    return (
        b',"notices":' + json.dumps(notice(names, (one.words for one in far))).encode()
        if names or far
        else b""
    )


def answering(scorer: Scorer, curve: Curve, spread: Scorer | None) -> Callable[[bytearray], Answer]:
    """A function of one packed row: its calibrated score, and half its interval's width where rows differ in that."""
    score, one = scorer.score_row, curve.one
    if spread is None or curve.conformal is None:
        return lambda packed: one(score(packed))
    wide, half = spread.score_row, curve.conformal.one
    return lambda packed: (*one(score(packed)), half(wide(packed)[0]))
