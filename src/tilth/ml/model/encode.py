"""One row of JSON to the numbers a model reads, without Arrow: a msgspec struct made from the signature, then packing.

What is a value of an input is the same at every door. A whole number is one within 64 bits, however it is written (3, 3.0,
3e0); a date counts as its midnight; NaN, an infinity, NaT and NULL are gaps. An input that never was a gap in training must
be given, and may be a gap. What the fast decoder does not take is looked at once more in Python (`_Lenient`).

The result is equal, bit for bit, to the same row in `ml.model.preparation.Preparation.matrix`. No code is generated:
the struct is defined by msgspec, values are fetched by `operator.attrgetter`. Errors name the input and the next step.
"""

from __future__ import annotations

import operator
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Any, NoReturn

import msgspec

from tilth.core.errors import InputError
from tilth.core.names import did_you_mean, nearest
from tilth.core.schema import DataType
from tilth.ml.model import nested
from tilth.ml.model.columns import Column, span_of
from tilth.ml.model.outside import EPOCH, Outside, Reach, moment
from tilth.ml.model.preparation import Preparation
from tilth.ml.model.signature import Input, Joint, Signature
from tilth.ml.model.values import Misfit, fitted, naive

NAN, INFINITE = float("nan"), float("inf")
WHOLE = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
LEARNED = {
    DataType.BOOLEAN: bool,
    DataType.INTEGER: WHOLE,
    DataType.FLOAT: float,
    DataType.DECIMAL: float,
    DataType.STRING: str,
    DataType.JSON: str | list | dict,
    DataType.DATE: date,
    DataType.TIMESTAMP: datetime,
}
WORDS = {
    "float": "a number",
    "str": "a text",
    "str | object | array": "a list, an object, or either as JSON text",
    "bool": "true or false",
    "int": "a whole number within 64 bits",
    "datetime": "a date and time in ISO 8601 (2013-07-04T18:30:00Z)",
    "date": "a date in ISO 8601 (2013-07-04)",
}
_GIVEN = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number with a fraction",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}
"""What msgspec calls a value, in words of JSON."""
_NUMBERS = frozenset({"int", "float"})
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")  # of byte order, which begin a text in UTF-8 or UTF-16
_ENCODE = msgspec.json.Encoder().encode
_EXPECTED = re.compile(r"Expected `([^`]*)`(?:, got `([^`]*)`| [<>]=)")
_REFUSED = re.compile(r'["\\\x00-\x1f]')
_PLACE = re.compile(r" - at `\$\.?(.*)`\Z")

Parts = tuple[Callable[[datetime, Any], float], ...]


class Encoder:
    """Decodes and packs rows of one signature. Immutable; threads may share it."""

    def __init__(self, signature: Signature | Joint, preparation: Preparation) -> None:
        self._signature = signature
        self._types = {i.name: i.type for i in (*signature.inputs, *signature.carried)}
        fields = [_field(index, i, carried=False) for index, i in enumerate(signature.inputs)]
        start = len(fields)
        fields += [_field(start + index, i, carried=True) for index, i in enumerate(signature.carried)]
        names = {f"f{index}": i.name for index, i in enumerate((*signature.inputs, *signature.carried))}
        self._attribute = {name: field for field, name in names.items()}
        self._stand_ins = _stand_ins(self._attribute)
        plain = {field: self._stand_ins.get(name, name) for field, name in names.items()}
        self.row_type: type[msgspec.Struct] = msgspec.defstruct(
            "Row", fields, rename=plain, forbid_unknown_fields=True, kw_only=True, frozen=True, gc=False
        )
        self._nested = [self._attribute[i.name] for i in signature.inputs if i.type is DataType.JSON]
        self.decoder: Any = msgspec.json.Decoder(self.row_type)
        if self._stand_ins:
            self.decoder = _Renaming(self.row_type, self._stand_ins)
        if self._nested:
            self.decoder = _Unnesting(self.decoder, self._nested)
        self.packed: Callable[[Any], tuple[bytearray, bool]] = _Packer(preparation, self._attribute).packed
        """The row's numbers, packed as native float64s in the order of the matrix, and whether any value is missing or far out."""
        limits = Reach(preparation.columns).limits
        self._limits = [(operator.attrgetter(self._attribute[n]), one.far, one) for n, one in limits.items()]
        self._needed = [(i.name, self._attribute[i.name]) for i in signature.inputs if i.required]

    def pack(self, row: Any) -> bytearray:
        """The numbers of `packed` alone."""
        return self.packed(row)[0]

    def gaps(self, row: Any) -> tuple[str, ...]:
        """The inputs that are missing in the row and never were in training."""
        return tuple(name for name, field in self._needed if getattr(row, field) is None)

    def outside(self, row: Any) -> tuple[Outside, ...]:
        """The inputs that are far out of what training had."""
        found = [(limit, v) for get, far, limit in self._limits if (v := get(row)) is not None and far(v)]
        return tuple(limit.said(value) for limit, value in found)

    def decode(self, body: bytes) -> Any:
        """One JSON object as a row; InputError names what is wrong."""
        try:
            return self.decoder.decode(body)
        except msgspec.ValidationError as error:
            given = self._any(body)
            if not isinstance(given, Mapping):
                self._refuse(error, given)
            return self._converted(self._fitting(given), given)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._no_json(body, error) from error

    def _fitting(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The values as their inputs' types have them; those that do not fit stay, to be refused."""
        out = {}
        for name, value in given.items():
            try:
                out[name] = fitted(value, self._types.get(name, DataType.OTHER))
            except Misfit:
                out[name] = value
        return out

    def _any(self, body: bytes) -> Any:
        """Whatever the body says; InputError when it is no JSON at all."""
        try:
            return msgspec.json.decode(body)
        except msgspec.ValidationError:
            return None  # JSON, with a number that no machine has
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise self._no_json(body, error) from error

    def _no_json(self, body: bytes, error: Exception) -> InputError:
        return InputError(f"The row is not JSON: {error}.", hint=self._json_hint(body))

    def convert(self, values: Mapping[str, Any]) -> Any:
        """A mapping of Python values as a row; the same errors."""
        return self._converted(self._fitting(values), values)

    def _converted(self, fits: Mapping[str, Any], given: Mapping[str, Any]) -> Any:
        try:
            return msgspec.convert(_renamed(fits, self._stand_ins), self.row_type)
        except msgspec.ValidationError as error:
            self._refuse(error, given)
        except UnicodeEncodeError as error:  # half a character in a name
            listed = did_you_mean("", self._signature.names, f"inputs of {self._signature.model}")
            raise InputError("A name in the row is not valid Unicode.", hint=listed) from error

    def fields(self, names: Sequence[str]) -> tuple[str | None, ...]:
        """The attributes of a row that hold these columns, however they are cased; None for one that is not taken."""
        known = {name.lower(): field for name, field in self._attribute.items()}
        return tuple(known.get(name.lower()) for name in names)

    def values(self, row: Any) -> dict[str, Any]:
        """The row as a mapping by input name."""
        return {name: getattr(row, field) for name, field in self._attribute.items()}

    def given(self, row: Any) -> dict[str, Any]:
        """The same without what is missing and may be."""
        return {name: value for name, value in self.values(row).items() if value is not None}

    def record(self, row: Any) -> bytes:
        """The row as one JSON object by input name."""
        return _ENCODE(self.values(row)) if self._stand_ins else _ENCODE(row)

    def _refuse(self, error: msgspec.ValidationError, given: Any) -> NoReturn:
        listed = did_you_mean("", self._signature.names, f"inputs of {self._signature.model}")
        if isinstance(given, Mapping):
            self._refuse_unknown(given, listed)
            missing = [i.name for i in self._signature.inputs if i.required and i.name not in given]
            if missing:
                unknown = (
                    "" if self._signature.strict else "Give each a value, or null where it is not known. "
                )
                raise InputError(
                    f"Missing: {', '.join(f'`{m}`' for m in missing)}.", hint=unknown + listed
                ) from error
        place, expected = _PLACE.search(str(error)), _EXPECTED.match(str(error))
        name = place[1] if place is not None else ""
        name = next((n for n, stand_in in self._stand_ins.items() if stand_in == name), name)
        was = f"; {_GIVEN.get(expected[2], expected[2])} was given" if expected and expected[2] else ""
        if not name:
            raise InputError(f"A row must be a JSON object{was}.", hint=listed) from error
        if expected is None:
            raise InputError(f"The input `{name}` cannot be read: {_first(error)}.", hint=listed) from error
        wanted = expected[1].replace(" | null", "")
        raise InputError(
            f"The input `{name}` must be {WORDS.get(wanted, wanted)}{was}.",
            hint=_instead(wanted, expected[2] or "") or listed,
        ) from error

    def _refuse_unknown(self, given: Mapping[str, Any], listed: str) -> None:
        unknown = [str(name) for name in given if name not in self._attribute]
        if unknown:
            near = nearest(unknown[0], self._attribute)
            guess = f"Did you mean `{near}`? " if near else ""
            words = ", ".join(f"`{u}`" for u in unknown[:10])
            raise InputError(
                f"The model `{self._signature.model}` has no input {words}.", hint=guess + listed
            )

    def _json_hint(self, body: bytes) -> str:
        if b"NaN" in body or b"Infinity" in body:
            return (
                "NaN and Infinity are not JSON: leave the input out, or send null, where it may be missing."
            )
        if body.startswith(_MARKS):
            return "Send it in UTF-8, without a byte order mark."
        return "Send an object such as {" + self._example() + "}."

    def _example(self) -> str:
        return ", ".join(f'"{name}": ...' for name in self._signature.names[:3])


# --- names that a msgspec struct cannot have ---------------------------------------------------------------


class _Renaming:
    """Decodes as `msgspec.json.Decoder` does, for inputs with a quote, a backslash or a control character in their names."""

    def __init__(self, row_type: type[msgspec.Struct], stand_ins: Mapping[str, str]) -> None:
        self._row_type, self._stand_ins = row_type, stand_ins

    def decode(self, body: bytes) -> Any:
        return msgspec.convert(_renamed(msgspec.json.decode(body), self._stand_ins), self._row_type)


class _Unnesting:
    """Decodes as another decoder does, with lists and objects as their texts."""

    def __init__(self, decoder: Any, fields: Sequence[str]) -> None:
        self._decoder, self._fields = decoder, fields

    def decode(self, body: bytes) -> Any:
        return _unnested(self._decoder.decode(body), self._fields)


def _unnested(row: Any, fields: Sequence[str]) -> Any:
    given = {f: v for f in fields if isinstance(v := getattr(row, f), list | dict)}
    return (
        msgspec.structs.replace(row, **{f: fitted(v, DataType.JSON) for f, v in given.items()})
        if given
        else row
    )


def _stand_ins(names: Mapping[str, Any]) -> dict[str, str]:
    """For each name that msgspec refuses, one that it takes and no input has."""
    out: dict[str, str] = {}
    for name in names:
        if _REFUSED.search(name):
            found = _REFUSED.sub("\ufffd", name)
            while found in names or found in out.values():
                found += "\ufffd"
            out[name] = found
    return out


def _renamed(values: Any, stand_ins: Mapping[str, str]) -> Any:
    """The row under the names of the struct. A stand-in that is given itself stays unknown."""
    if not stand_ins or not isinstance(values, Mapping):
        return values
    known = set(stand_ins.values())
    return {stand_ins.get(n, f"{n}\ufffd" if n in known else n): v for n, v in values.items()}


def _instead(wanted: str, given: str) -> str:
    """How a value is written that was given as another type; empty where there is more to say than that."""
    if given in {"array", "object"}:
        return "Give one value."
    if wanted == "str":
        return "Give it as a text, in quotes."
    if wanted == "int" and given == "float":
        return "Give it without a fraction; the model learned from whole numbers."
    if wanted in _NUMBERS and given:
        return "Give it as a number, without quotes."
    return "Give it as true or false, without quotes." if wanted == "bool" else ""


def _first(error: Exception) -> str:
    return _PLACE.sub("", str(error))


def _field(index: int, what: Input, *, carried: bool) -> tuple[str, Any] | tuple[str, Any, Any]:
    """The struct's field: any may be null; what need not be given defaults to it."""
    known: Any = LEARNED.get(what.type, Any)
    taken = known if known is Any else known | None
    return (f"f{index}", taken, None) if carried or not what.required else (f"f{index}", taken)


class _Codes(dict[Any, float]):
    """The codes of a category's levels; a level that training did not see is a gap."""

    def __missing__(self, _level: Any) -> float:
        return NAN


class _Packer:
    """Fetches numbers, then categories, then instants, texts and lists, and puts them in the order of the matrix."""

    def __init__(self, preparation: Preparation, attribute: Mapping[str, str]) -> None:
        by_kind: dict[str, list[Column]] = {
            "number": [],
            "category": [],
            "instant": [],
            "text": [],
            "list": [],
        }
        for column in preparation.columns:
            by_kind["number" if column.kind == "boolean" else column.kind].append(column)
        self._numbers = _getter([attribute[c.name] for c in by_kind["number"]])
        self._texts = _getter([attribute[c.name] for c in by_kind["category"]])
        self._codes = [
            _Codes((level, float(code)) for code, level in enumerate(c.levels)) for c in by_kind["category"]
        ]
        self._instants = [
            (
                operator.attrgetter(attribute[c.name]),
                _parts(c, preparation, attribute),
                list(c.filled),
                *_moments(c),
            )
            for c in by_kind["instant"]
        ]
        self._described: list[_Described | _Listed] = [
            *(_Described(c, attribute[c.name]) for c in by_kind["text"]),
            *(_Listed(c, attribute[c.name]) for c in by_kind["list"]),
        ]
        fetched = [f for group in by_kind.values() for c in group for f in (*c.features, *c.tails)]
        place = {feature: at for at, feature in enumerate(fetched)}
        order = [place[f] for f in preparation.features]
        self._order = None if order == sorted(order) else operator.itemgetter(*order)
        self._fills = [fill for c in preparation.columns for fill in c.filled]
        self._fills += [fill for c in preparation.columns for fill in c.filled_tails]
        """What stands for a gap, in the order of the matrix."""
        bounds = [
            c.ends[:2] if c.kind == "number" and c.ends else (-INFINITE, INFINITE)
            for c in preparation.columns
            for _ in c.features
        ]
        bounds += [(-INFINITE, INFINITE)] * (len(order) - len(bounds))
        self._lows, self._highs = [low for low, _ in bounds], [high for _, high in bounds]
        self._struct = struct.Struct(f"{len(order)}d")

    def packed(self, row: Any) -> tuple[bytearray, bool]:
        """The row's numbers, and whether any value is missing or may be far out: then it is worth a look."""
        cells, texts = [*self._numbers(row)], self._texts(row)
        without = None in cells
        codes = list(map(operator.getitem, self._codes, texts))
        odd = without or NAN in codes
        cells += codes
        if self._instants:
            times, strange = self._times(row)
            cells += times
            odd = odd or strange
        for described in self._described:
            features, strange = described.of(row)
            cells += features
            odd = odd or strange
        ordered = cells if self._order is None else self._order(cells)
        if without:
            ordered = [fill if c is None else c for c, fill in zip(ordered, self._fills, strict=True)]
        odd = odd or any(map(operator.lt, ordered, self._lows)) or any(map(operator.gt, ordered, self._highs))
        buffer = bytearray(self._struct.size)
        self._struct.pack_into(buffer, 0, *ordered)
        return buffer, odd

    def _times(self, row: Any) -> tuple[list[float], bool]:
        """The parts of all instants, and whether one is missing or far out."""
        out: list[float] = []
        odd = False
        for get, parts, fills, low, high in self._instants:
            value = _naive(get(row))
            odd = odd or value is None or not low <= value <= high
            out += fills if value is None else [part(value, row) for part in parts]
        return out, odd


class _Described:
    """A text's features: the code of a level first, where it has levels."""

    def __init__(self, column: Column, attribute: str) -> None:
        assert column.text is not None, "a text column has a space"
        self._space, self._get = column.text, operator.attrgetter(attribute)
        self._fills = [*column.filled, *column.filled_tails]
        self._codes = _Codes((level, float(code)) for code, level in enumerate(column.levels))
        self._coded = column.coded

    def of(self, row: Any) -> tuple[list[float], bool]:
        """The features, and whether the text is missing or has no known term."""
        text = self._get(row)
        if text is None:
            return self._fills, True
        found = self._space.seen(text)
        features: list[float] = found.tolist()
        return [self._codes[text], *features] if self._coded else features, found is self._space.nothing


class _Listed:
    """The features of a list of numbers."""

    def __init__(self, column: Column, attribute: str) -> None:
        self._parts, self._fills = column.parts, list(column.filled)
        self._get = operator.attrgetter(attribute)

    def of(self, row: Any) -> tuple[list[float], bool]:
        """The features, and whether the list is missing or unlike those of training."""
        text = self._get(row)
        if text is None:
            return self._fills, True
        found = nested.read(text)
        return nested.features(found, self._parts), not nested.fits(found, self._parts)


def _moments(column: Column) -> tuple[datetime, datetime]:
    """Between which an instant is not far out."""
    low, high = column.ends[:2] or (-INFINITE, INFINITE)
    return moment(low), moment(high)


def _getter(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """The named attributes as a tuple, also for one name and none."""
    if not names:
        return lambda _row: ()
    get = operator.attrgetter(*names)
    return get if len(names) > 1 else lambda row: (get(row),)


def _naive(value: Any) -> datetime | None:
    """A date or an instant as a naive one in UTC; InputError where UTC has no year for it."""
    if value is None:
        return None
    try:
        return naive(value)
    except Misfit as error:
        raise InputError(
            "A date and time lies outside the years 1 to 9999 in UTC.", hint="Send another, or null."
        ) from error


def _parts(column: Column, preparation: Preparation, attribute: Mapping[str, str]) -> Parts:
    """Functions of a moment and its row, one a part."""
    out: list[Callable[[datetime, Any], float]] = []
    fills = column.fills or (NAN,) * len(column.parts)
    for part, fill in zip(column.parts, fills, strict=True):
        span = span_of(part)
        out.append(PARTS[part] if span is None else _since(*span, fill, preparation, attribute))
    return tuple(out)


def _since(
    other: str, unit: float, fill: float, preparation: Preparation, attribute: Mapping[str, str]
) -> Callable[[datetime, Any], float]:
    """What has passed since another instant of the row; where that is missing, what stands for a gap."""
    name = other or preparation.event_time
    if name is None or name not in attribute or name not in {c.name for c in preparation.columns}:
        return lambda _at, _row: NAN
    get, without = operator.attrgetter(attribute[name]), fill if other else NAN

    def since(at: datetime, row: Any) -> float:
        known = _naive(get(row))
        return without if known is None else (float(_micros(at)) - float(_micros(known))) / unit

    return since


def _micros(value: datetime) -> int:
    span = value - EPOCH
    return (span.days * 86_400 + span.seconds) * 1_000_000 + span.microseconds


PARTS: dict[str, Callable[[datetime, Any], float]] = {
    "day": lambda at, _row: float(at.day),
    "dow": lambda at, _row: float(at.weekday()),
    "hour": lambda at, _row: at.hour + at.minute / 60,
    "month": lambda at, _row: float(at.month),
    "doy": lambda at, _row: float(at.timetuple().tm_yday),
    "epoch": lambda at, _row: float((at - EPOCH).days),
}
