"""Numbers that a database sends as text, made exact: as DECIMAL, as whole numbers, or as a DOUBLE where no digit is lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Protocol

from tilth.core.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

_SAFE_LENGTH = 15  # a number of so many characters survives as a DOUBLE


class Where(Protocol):
    """Where an array stands: it makes the error for one of its rows, and counts what became NULL."""

    gone: Counter[str]

    def refused(self, at: int, what: str) -> DataError: ...


@dataclass(frozen=True, slots=True)
class Numbers:
    """Texts of numbers as DECIMAL of so many digits and such a scale, or (None) as whole numbers of 64 bits."""

    sized: tuple[int, int] | None

    def __call__(self, texts: pa.Array, place: Where) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        kind = pa.int64() if self.sized is None else pa.decimal128(*self.sized)
        if pc.any(nan := pc.equal(texts, "NaN"), min_count=1).as_py():
            place.gone["NaN"] += pc.sum(nan).as_py()
            texts = pc.if_else(nan, None, texts)
        try:
            return texts.cast(kind)
        except pa.ArrowInvalid:
            return pa.array([self._one(v, i, place) for i, v in enumerate(texts.to_pylist())], kind)

    def _one(self, text: str | None, at: int, place: Where) -> int | Decimal | None:
        if text is None:
            return None
        try:
            number = Decimal(text)
        except InvalidOperation:
            raise place.refused(at, "a text that is no number") from None
        if not number.is_finite():
            raise place.refused(at, "an infinity, which a whole number or a DECIMAL has not,")
        return self._whole(number, at, place) if self.sized is None else self._scaled(number, at, place)

    def _whole(self, number: Decimal, at: int, place: Where) -> int:
        if number.adjusted() > 18 or not -(2**63) <= number < 2**63:
            raise place.refused(at, "a number beyond 64 bits")
        if number != int(number):
            raise place.refused(at, "a fraction where whole numbers are declared")
        return int(number)

    def _scaled(self, number: Decimal, at: int, place: Where) -> Decimal:
        assert self.sized is not None
        digits, scale = self.sized
        sign, figures, exponent = number.as_tuple()
        assert isinstance(exponent, int)
        bare = "".join(map(str, figures)).rstrip("0") or "0"
        exponent = exponent + len(figures) - len(bare) if number else 0
        if -exponent > scale or len(bare) + exponent > digits - scale:
            raise place.refused(at, f"a number that DECIMAL({digits},{scale}) cannot keep")
        return Decimal((sign, tuple(map(int, bare)), exponent))


def surviving(texts: pa.Array, place: Where) -> pa.Array:
    """Doubles, when each stands for exactly the number that came."""
    import pyarrow as pa
    import pyarrow.compute as pc

    made = texts.cast(pa.float64())
    long = pc.greater(pc.binary_length(texts), _SAFE_LENGTH)
    if not pc.any(long, min_count=1).as_py():
        return made
    for at in pc.indices_nonzero(long).to_pylist():
        text, number = texts[at].as_py(), made[at].as_py()
        same = text.strip("-") == "Infinity" or (
            abs(number) < float("inf") and Decimal(text) == Decimal(repr(number))
        )
        if not same:
            raise place.refused(at, "a number of more digits than a DOUBLE keeps")
    return made


def rounded(texts: pa.Array, place: Where) -> pa.Array:
    """Doubles, the nearest there are: it was asked for."""
    import pyarrow as pa

    try:
        return texts.cast(pa.float64())
    except pa.ArrowInvalid:
        for at, text in enumerate(texts.to_pylist()):
            try:
                float(text or 0)
            except ValueError:
                raise place.refused(at, "a text that is no number") from None
        raise
