"""One row's way through a model: from a JSON text to the answer as JSON, with as little work as possible.

What an answer means (which class, which interval) is here too, so that one row and many agree; `predictor` has the many.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tilth.ml.model.curve import Curve
from tilth.ml.model.gaps import notice, refusal
from tilth.ml.model.signature import Signature

if TYPE_CHECKING:
    from tilth.ml.model.encode import Encoder
    from tilth.ports.learning import Scorer

Answer = tuple[float, ...]


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
        numbers, gaps = packed(row)
        names = encoder.gaps(row) if gaps else ()
        if strict and names:
            raise refusal(signature.model, names)
        answer = answer_of(numbers)
        return (render(answer) + remark(names) if names else render(answer)), row, answer

    return score_json


def remark(names: Sequence[str]) -> bytes:
    return b',"notices":' + json.dumps(notice(names)).encode() if names else b""


def answering(scorer: Scorer, curve: Curve, spread: Scorer | None) -> Callable[[bytearray], Answer]:
    """A function of one packed row: its calibrated score, and half its interval's width where rows differ in that."""
    score, one = scorer.score_row, curve.one
    if spread is None or curve.conformal is None:
        return lambda packed: one(score(packed))
    wide, half = spread.score_row, curve.conformal.one
    return lambda packed: (*one(score(packed)), half(wide(packed)[0]))


def ends(value: float, half: float, floor: float | None) -> tuple[float, float]:
    """`Conformal.ends` of one row, to the last bit."""
    low = value - half
    return (low if floor is None else min(max(low, floor), value)), value + half


def decide(answer: Answer, threshold: float) -> tuple[int, float]:
    """The class and the probability of it."""
    if len(answer) == 1:
        return (1, answer[0]) if answer[0] > threshold else (0, 1.0 - answer[0])
    best = max(answer)
    return answer.index(best), best


def label(value: Any) -> str:
    """A class as a JSON key: true, 3, text."""
    return value if isinstance(value, str) else json.dumps(value)


def renderer(signature: Signature, curve: Curve, positive: bool) -> Callable[[Answer], bytes]:
    """A function that writes an answer as JSON with as little work as possible; `positive`: with its `_probability`."""
    y = json.dumps(signature.output)[1:-1]
    if signature.kind == "regression":
        c = curve.conformal
        if c is None:
            return lambda a: (
                f'"{y}":{a[0]!r},"{y}_confidence":null,"{y}_lower":null,"{y}_upper":null'.encode()
            )
        radius, share, floor = c.radius, repr(c.coverage), curve.floor

        def value(a: Answer) -> bytes:
            low, high = ends(a[0], a[1] if len(a) > 1 else radius, floor)
            return (
                f'"{y}":{a[0]!r},"{y}_confidence":{share},"{y}_lower":{low!r},"{y}_upper":{high!r}'.encode()
            )

        return value
    heads = [f'"{y}":{json.dumps(c)},"{y}_confidence":' for c in signature.classes]
    limit = curve.threshold
    if len(heads) == 2:
        no, yes = heads
        if not positive:
            return lambda a: (f"{yes}{a[0]!r}" if a[0] > limit else f"{no}{1.0 - a[0]!r}").encode()
        also = f',"{y}_probability":'
        return lambda a: (
            f"{yes}{a[0]!r}{also}{a[0]!r}" if a[0] > limit else f"{no}{1.0 - a[0]!r}{also}{a[0]!r}"
        ).encode()

    def classes(a: Answer) -> bytes:
        code, confidence = decide(a, limit)
        return f"{heads[code]}{confidence!r}".encode()

    return classes
