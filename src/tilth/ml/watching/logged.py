"""What a version in use was asked and said: records of the prediction log as columns, of the types that its bundle names.

Whatever was logged, a record that does not fit is left out and counted. What the columns tell is in `monitoring`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from tilth.core.errors import TamperError, TilthError
from tilth.core.schema import DataType
from tilth.core.time import parse_instant
from tilth.ml.data.profile import Profile
from tilth.ml.judging.split import as_micros
from tilth.ml.learning.reference import score_column
from tilth.ml.model.joint import parts_of
from tilth.ml.model.outside import Reach
from tilth.ml.model.preparation import Preparation
from tilth.ml.model.signature import Signature

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Watched:
    """What a version's bundle says about how it was made. `keys` are the columns that outcomes are joined by.

    `threshold` is the probability above which it says the positive class, `reach` what is far out of what it was trained on.
    """

    signature: Signature
    profile: Profile
    metric: str
    weights: Mapping[str, float] | None = None
    usual: Mapping[str, float] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    threshold: float = 0.5
    reach: Reach | None = None
    logged: tuple[int, int] = (
        0,
        0,
    )  # of several targets: where its numbers begin among those of an answer, and how many those are

    @classmethod
    def of_each(cls, files: Mapping[str, bytes], keys: tuple[str, ...] = ()) -> tuple[Watched, ...]:
        """One for each target of the bundle whose files these are."""
        found = [cls.of(part, keys) for part in parts_of(files)]
        if len(found) == 1:
            return tuple(found)
        ends = list(accumulate((one.signature.logged for one in found), initial=0))
        return tuple(replace(one, logged=(start, ends[-1])) for one, start in zip(found, ends, strict=False))

    @classmethod
    def of(cls, files: Mapping[str, bytes], keys: tuple[str, ...] = ()) -> Watched:
        """From the files of a verified bundle, or of one target of it."""
        try:
            signature = Signature.from_plain(json.loads(files["signature.json"]))
            kept, metrics = json.loads(files["profile.json"]), json.loads(files["metrics.json"])
            profile, usual = Profile.from_plain(kept), kept.get("usual", {})
            threshold = float(json.loads(files["calibration.json"])["threshold"])
            weights = metrics.get("importance")
            reach = Reach(Preparation.from_plain(json.loads(files["prepare.json"])).columns)
            metric = str(metrics["metric"])
            return cls(signature, profile, metric, weights, usual, keys, threshold, reach)
        except (KeyError, TypeError, ValueError) as error:
            raise TamperError(
                f"The bundle's files do not fit together: {type(error).__name__} {error}.",
                hint="Train the model again, or roll back to another version.",
            ) from error

    @property
    def score(self) -> str:
        """The profile's name for the score."""
        return score_column(self.signature.output)

    @property
    def columns(self) -> tuple[str, ...]:
        """The inputs that have a profile."""
        return tuple(c.column for c in self.profile.columns if c.column != self.score)

    @cached_property
    def types(self) -> dict[str, DataType]:
        """Types of the columns that are looked at: the profile's, the keys and the event time, as far as they are logged."""
        known = {i.name: i.type for i in (*self.signature.inputs, *self.signature.carried)}
        event = () if self.signature.event_time is None else (self.signature.event_time,)
        wanted = dict.fromkeys((*self.columns, *self.keys, *event))
        return {name: known[name] for name in wanted if name in known}

    @cached_property
    def decoder(self) -> Any:
        """The msgspec decoder of a record's inputs, of which only these columns are wanted."""
        import msgspec

        kinds = {
            DataType.STRING: str,
            DataType.BOOLEAN: bool,
            DataType.INTEGER: int | float,
            DataType.FLOAT: int | float,
            DataType.DECIMAL: int | float,
        }
        fields: list[Any] = []
        for place, kind in enumerate(self.types.values()):
            known: Any = kinds.get(kind, Any)
            fields.append((f"f{place}", known if known is Any else known | None, None))
        names = {f"f{place}": name for place, name in enumerate(self.types)}
        return msgspec.json.Decoder(msgspec.defstruct("Inputs", fields, rename=names, gc=False))


@dataclass(frozen=True, slots=True)
class Answers:
    """Decoded records of one version, oldest first. `scores` holds numbers, or a list for each row of several classes.

    `when` is the event time in microseconds, null where none was given; `left_out` are the instants of records that
    are not what this version takes or says.
    """

    at: pa.ChunkedArray
    inputs: pa.Table
    scores: pa.ChunkedArray
    when: pa.ChunkedArray
    left_out: pa.ChunkedArray

    def __len__(self) -> int:
        return len(self.at)

    def and_(self, later: Answers) -> Answers:
        """With later ones after them."""
        import pyarrow as pa

        def both(mine: pa.ChunkedArray, others: pa.ChunkedArray) -> pa.ChunkedArray:
            if mine.type != others.type:  # whole numbers, and some that are not
                mine, others = mine.cast(pa.float64(), safe=False), others.cast(pa.float64(), safe=False)
            return pa.chunked_array([*mine.chunks, *others.chunks], mine.type)

        names = self.inputs.column_names
        return Answers(
            both(self.at, later.at),
            pa.table({n: both(self.inputs.column(n), later.inputs.column(n)) for n in names}),
            both(self.scores, later.scores),
            both(self.when, later.when),
            both(self.left_out, later.left_out),
        )

    def since(self, instant: str) -> Answers:
        """Those that are not older than the instant."""
        import pyarrow.compute as pc

        left = self.left_out.filter(pc.greater_equal(self.left_out, instant))
        return replace(self.where(pc.greater_equal(self.at, instant)), left_out=left)

    def where(self, kept: pa.ChunkedArray | pa.Array) -> Answers:
        """Some of them."""
        import pyarrow.compute as pc

        if pc.all(kept, min_count=0).as_py():
            return self
        at, inputs, scores, when = (t.filter(kept) for t in (self.at, self.inputs, self.scores, self.when))
        return Answers(at, inputs, scores, when, self.left_out)


def decode(watched: Watched, records: pa.Table) -> Answers:
    """The records (`ports.predictions.COLUMNS`, all of the watched version) as columns.

    Whatever was logged, a record that does not fit is left out and counted, and stands in no other's way.
    """
    import pyarrow as pa

    signature = watched.signature
    rows = _rows(watched.decoder, records.column("inputs").to_pylist())
    several = signature.kind == "multiclass"
    scores = _own(watched, records) if watched.logged[1] else records.column("scores" if several else "score")
    width = len(signature.classes) if several else 0
    kept = [
        row is not None and _is_instant(at) and _is_score(score, width)
        for row, at, score in zip(rows, records.column("at").to_pylist(), scores.to_pylist(), strict=True)
    ]
    columns: dict[str, list[Any]] = {}
    for place, (name, kind) in enumerate(watched.types.items()):
        read = _whole if kind is DataType.INTEGER and name in watched.keys else _READ.get(kind, _text)
        columns[name] = _cells([getattr(r, f"f{place}", None) for r in rows], read, kept)
    event = columns.get(signature.event_time or "", [None] * len(kept))
    when = _cells(event, as_micros, kept)
    mask = pa.array(kept, pa.bool_())
    table = pa.table({n: _column(_where(columns[n], kept), kind) for n, kind in watched.types.items()})
    return Answers(
        records.column("at").filter(mask),
        table,
        scores.filter(mask),
        pa.chunked_array([pa.array(_where(when, kept), pa.int64())]),
        records.column("at").filter(pa.array([not k for k in kept], pa.bool_())),
    )


def _own(watched: Watched, records: pa.Table) -> pa.ChunkedArray:
    """The scores of one of several targets, whose numbers are logged one after the other; null where there are others."""
    import pyarrow as pa

    (start, of), signature = watched.logged, watched.signature
    rows = [
        s[start : start + signature.logged] if s is not None and len(s) == of else None
        for s in records.column("scores").to_pylist()
    ]
    if signature.kind == "multiclass":
        return pa.chunked_array([pa.array(rows, pa.list_(pa.float64()))])
    return pa.chunked_array([pa.array([None if r is None else r[0] for r in rows], pa.float64())])


def _where(values: list[Any], kept: list[bool]) -> list[Any]:
    return [v for v, k in zip(values, kept, strict=True) if k]


def _rows(decoder: Any, texts: Sequence[str]) -> list[Any]:
    """Decoded inputs; None for those that are not what this version takes."""
    import msgspec

    try:
        found: list[Any] = decoder.decode_lines("\n".join(texts)) if texts else []
    except (msgspec.MsgspecError, ValueError, RecursionError):
        found = []
    return found if len(found) == len(texts) else [_row(decoder, text) for text in texts]


def _row(decoder: Any, text: str) -> Any:
    import msgspec

    try:
        return decoder.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _is_instant(text: str) -> bool:
    """Whether it is an instant as the server writes them, which sort as text."""
    try:
        return len(text) == len("2024-01-01T00:00:00.000000Z") and bool(parse_instant(text))
    except TilthError:
        return False


def _is_score(score: Any, width: int) -> bool:
    if width:
        return score is not None and len(score) == width and all(_is_score(s, 0) for s in score)
    return score is not None and math.isfinite(score)


def _cells(values: list[Any], read: Callable[[Any], Any], kept: list[bool]) -> list[Any]:
    """The values as they are looked at. One that is none of its kind is a gap, and its row is not kept."""
    out = []
    for place, value in enumerate(values):
        try:
            out.append(None if value is None else read(value))
        except (ValueError, OverflowError, TypeError, RecursionError, TilthError):
            out.append(None)
            kept[place] = False
    return out


def _float(value: Any) -> float:
    found = float(value)
    if not math.isfinite(found):
        raise ValueError(value)
    return found


def _number(value: Any) -> int | float:
    """A number where whole ones are usual; ValueError for one that no whole number of 64 bits is near."""
    if not -(2**63) <= value < 2**63:
        raise ValueError(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _whole(value: Any) -> int:
    found = _number(value)
    if not isinstance(found, int):
        raise ValueError(value)  # noqa: TRY004 - the value is what is wrong
    return found


def _text(value: Any) -> str:
    found = value if isinstance(value, str) else json.dumps(value)
    found.encode()
    return found


_READ: Mapping[DataType, Callable[[Any], Any]] = {
    DataType.FLOAT: _float,
    DataType.DECIMAL: _float,
    DataType.INTEGER: _number,
    DataType.BOOLEAN: bool,
}


def _column(values: list[Any], kind: DataType) -> pa.Array:
    import pyarrow as pa

    if kind in {DataType.FLOAT, DataType.DECIMAL}:
        return pa.array(values, pa.float64())
    if kind is DataType.INTEGER:
        if all(v is None or isinstance(v, int) for v in values):
            return pa.array(values, pa.int64())
        return pa.array([None if v is None else float(v) for v in values], pa.float64())
    return pa.array(values, pa.bool_() if kind is DataType.BOOLEAN else pa.string())
