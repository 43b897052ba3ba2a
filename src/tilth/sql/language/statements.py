"""What can be declared: one frozen value for each statement. No behaviour; the parser makes them, the printer writes them.

What is done and asked stands in `acts`.

Queries stay text (verbatim, with their place), since DuckDB or the source reads them, not we. `position`
never takes part in comparison: two statements are equal when they say the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import ClassVar, Protocol, TypeAlias

from tilth.core.errors import Position


class Kind(str):
    """A kind of resource, by its word, as the state keeps it; equal words are one value, so that `is` compares them.

    Which kinds there are is said by the table of `tilth.kinds`; the constants are those whose statements stand here.

    >>> Kind("model") is Kind.MODEL
    True
    """

    __slots__ = ()
    SOURCE: ClassVar[Kind]
    DATASET: ClassVar[Kind]
    MODEL: ClassVar[Kind]
    ENDPOINT: ClassVar[Kind]
    CHANNEL: ClassVar[Kind]
    VIEW: ClassVar[Kind]
    JOB: ClassVar[Kind]
    TRIGGER: ClassVar[Kind]

    def __new__(cls, word: str) -> Kind:  # noqa: PYI034 - one value a word, not one a call
        return _KINDS.setdefault(word, super().__new__(cls, word))

    @property
    def value(self) -> str:
        """The word as a plain string."""
        return str(self)

    @property
    def keyword(self) -> str:
        """The word as it is written after CREATE and DROP."""
        return self.upper()


_KINDS: dict[str, Kind] = {}
Kind.SOURCE, Kind.DATASET, Kind.MODEL, Kind.ENDPOINT, Kind.CHANNEL = map(
    Kind, ("source", "dataset", "model", "endpoint", "channel")
)
Kind.VIEW, Kind.JOB, Kind.TRIGGER = map(Kind, ("view", "job", "trigger"))


class OnFail(StrEnum):
    STOP = "stop"
    QUARANTINE = "quarantine"
    WARN = "warn"


class CheckKind(StrEnum):
    """How a check is computed: per row, over the set, against another table, the clock, or the dataset's own history."""

    ROW = "row"
    SET = "set"
    REFERENCES = "references"
    FRESH = "fresh"
    USUAL = "usual"


class PromoteRule(StrEnum):
    BETTER = "better"
    NOT_WORSE_BY = "not_worse_by"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Secret:
    """A reference to a secret (`env:NAME`, `file:PATH`), never the secret."""

    reference: str


Scalar: TypeAlias = "None | bool | int | float | str | Secret"
Value: TypeAlias = "Scalar | tuple[Value, ...] | Options"


@dataclass(frozen=True, slots=True)
class Options:
    """`k = v` pairs in the order written; keys are lower case and may be dotted."""

    items: tuple[tuple[str, Value], ...] = ()

    def get(self, key: str, default: Value = None) -> Value:
        return next((v for k, v in self.items if k == key), default)

    def __contains__(self, key: str) -> bool:
        return any(k == key for k, _ in self.items)

    def __bool__(self) -> bool:
        return bool(self.items)


@dataclass(frozen=True, slots=True)
class Query:
    """A DuckDB query, verbatim. `position` is where its first character stands."""

    sql: str
    position: Position | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class NativeQuery:
    """A query in a source's own language, handed over verbatim."""

    source: str
    sql: str
    position: Position | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class DatasetRef:
    name: str
    position: Position | None = field(default=None, compare=False)


# --- resources ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RenamedFrom:
    """What a resource was called before: it takes along what is remembered under that name."""

    name: str
    position: Position | None = field(default=None, compare=False)


class Declaration(Protocol):
    """What every CREATE statement says, whatever its kind. The statement of a kind may also stand in its module of `tilth.kinds`."""

    @property
    def kind(self) -> Kind: ...

    @property
    def name(self) -> str: ...

    @property
    def or_replace(self) -> bool: ...

    @property
    def if_not_exists(self) -> bool: ...

    @property
    def position(self) -> Position | None: ...

    @property
    def renamed_from(self) -> RenamedFrom | None: ...


@dataclass(frozen=True, slots=True)
class CreateSource:
    kind: ClassVar[Kind] = Kind.SOURCE
    name: str
    engine: str
    options: Options = Options()
    or_replace: bool = False
    if_not_exists: bool = False
    position: Position | None = field(default=None, compare=False)
    renamed_from: RenamedFrom | None = None
    told: tuple[str, ...] = field(default=(), compare=False)  # what to know of the way that it was written
    open: tuple[str, ...] = field(
        default=(), compare=False
    )  # options whose values a prompt puts into secret files


@dataclass(frozen=True, slots=True)
class Refresh:
    """When a dataset is collected again; all empty means on demand."""

    every: timedelta | None = None
    on_change: bool = False
    incremental: bool = False
    lookback: timedelta | None = None
    heal: timedelta | None = (
        None  # so far back days are compared with their source, and read again where they differ
    )


@dataclass(frozen=True, slots=True)
class Ready:
    """READY WHEN: a query that gives one truth; not before it is true is the dataset read, and after `within` it is late."""

    query: Query
    within: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Usual:
    """What of a dataset is to be as it usually is, and how many false alarms there may be in a span of time."""

    aspects: tuple[str, ...]  # volume | freshness | nulls | distribution
    alarms: float
    per: timedelta
    written: str  # of both: 1 per quarter
    holidays: str | None = None  # of a country, as 'DE' or 'DE-BY'

    @property
    def names(self) -> tuple[str, ...]:
        """What the results of its checks are called."""
        return tuple(f"USUAL {aspect}" for aspect in self.aspects)


@dataclass(frozen=True, slots=True)
class Expectation:
    """One assumption about the data. `expression` is DuckDB text for ROW and SET checks."""

    kind: CheckKind
    on_fail: OnFail
    expression: str = ""
    table: tuple[str, str] | None = None  # REFERENCES source.table
    columns: tuple[str, ...] = ()  # REFERENCES ... (columns)
    within: timedelta | None = None  # FRESH WITHIN
    usual: Usual | None = None
    position: Position | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Tag:
    column: str
    label: str


@dataclass(frozen=True, slots=True)
class CreateDataset:
    kind: ClassVar[Kind] = Kind.DATASET
    name: str
    query: Query
    key: tuple[str, ...] = ()
    event_time: str | None = None
    refresh: Refresh = Refresh()
    expect: tuple[Expectation, ...] = ()
    tags: tuple[Tag, ...] = ()
    or_replace: bool = False
    if_not_exists: bool = False
    position: Position | None = field(default=None, compare=False)
    renamed_from: RenamedFrom | None = None
    known_at: str | None = None
    ready: Ready | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A column to predict; `positive` is the class that is to be found, of two."""

    column: str
    alias: str | None = None
    positive: Scalar = None
    position: Position | None = field(default=None, compare=False)

    @property
    def output(self) -> str:
        return self.alias or self.column


@dataclass(frozen=True, slots=True)
class Features:
    """Which columns are known at prediction time. `include` empty means all (`*`)."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    position: Position | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Condition:
    """`signal op value`; ages are timedeltas, shares ('20%') are floats (0.2)."""

    signal: str  # drift | prediction_drift | age | new_rows | quality
    op: str  # > >= < <=
    value: float | timedelta


@dataclass(frozen=True, slots=True)
class Promote:
    rule: PromoteRule = PromoteRule.BETTER
    margin: float = 0.0

    @property
    def text(self) -> str:
        """As it is written after PROMOTE IF.

        >>> Promote(PromoteRule.NOT_WORSE_BY, 0.005).text
        'not_worse_by(0.005)'
        """
        margin = f"({self.margin!r})" if self.rule is PromoteRule.NOT_WORSE_BY else ""
        return f"{self.rule.value}{margin}"


@dataclass(frozen=True, slots=True)
class AcceptLeak:
    """Columns that tell the target suspiciously well and may stay, and why somebody says so."""

    columns: tuple[str, ...]
    because: str


@dataclass(frozen=True, slots=True)
class CreateModel:
    kind: ClassVar[Kind] = Kind.MODEL
    name: str
    targets: tuple[Target, ...]
    source: DatasetRef | Query | NativeQuery
    features: Features = Features()
    objective: Options = Options()
    using: Options = Options()
    retrain: tuple[Condition, ...] = ()  # joined by OR
    promote: Promote = Promote()
    order_by: tuple[str, ...] = ()
    group_by: tuple[str, ...] = ()
    window: int | None = None
    horizon: int | None = None
    accept: AcceptLeak | None = None
    or_replace: bool = False
    if_not_exists: bool = False
    position: Position | None = field(default=None, compare=False)
    renamed_from: RenamedFrom | None = None
    group_key: tuple[str, ...] = ()  # rows alike in these stay together when rows are parted
    told: tuple[str, ...] = field(default=(), compare=False)  # what to know of the way that it was written


@dataclass(frozen=True, slots=True)
class Rollout:
    """Stages by request counts; zero requests means the stage is left out."""

    shadow_requests: int = 0
    canary_share: float = 0.0
    canary_requests: int = 0
    max_error_rate: float = 0.001
    max_p99: timedelta | None = None
    max_disagreement: float | None = None
    deadline: timedelta | None = None  # since the revision began, for all stages together


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Where the truth arrives: the dataset, the columns that join, the column that holds it.

    With `require_key` a request that lacks a column that joins is refused.
    """

    dataset: str
    key: tuple[str, ...]
    column: str
    require_key: bool = False

    def of(self, targets: Sequence[Target]) -> Mapping[str, Outcomes]:
        """Where the truth of each target arrives, by its column in lower case.

        Of one target it is the last column, whatever that is called. Of several it is the one that is called as the target;
        those that are called as none of them join.
        """
        if len(targets) == 1:
            return {targets[0].column.lower(): self}
        columns, known = (*self.key, self.column), {t.column.lower() for t in targets}
        key = tuple(c for c in columns if c.lower() not in known)
        return {c.lower(): replace(self, key=key, column=c) for c in columns if c.lower() in known}


@dataclass(frozen=True, slots=True)
class LookUp:
    """What completes a request: the newest row of a dataset that has the request's key.

    A key that is not there is refused, or with `gaps` answered without what would have been looked up.
    """

    dataset: str
    key: tuple[str, ...]
    gaps: bool = False


@dataclass(frozen=True, slots=True)
class Watch:
    """How an endpoint's answers are looked at: how often, over how much of the past, and what share of them is logged."""

    every: timedelta = timedelta(days=1)
    window: timedelta = timedelta(days=7)
    log: float = 1.0


@dataclass(frozen=True, slots=True)
class CreateEndpoint:
    kind: ClassVar[Kind] = Kind.ENDPOINT
    name: str
    model: str
    regions: tuple[str, ...] = ()
    replicas: int = 1
    rollout: Rollout = Rollout()
    outcomes: Outcomes | None = None
    watch: Watch = Watch()
    or_replace: bool = False
    if_not_exists: bool = False
    position: Position | None = field(default=None, compare=False)
    renamed_from: RenamedFrom | None = None
    look_up: LookUp | None = None


@dataclass(frozen=True, slots=True)
class CreateChannel:
    """Where people are told what happens: a webhook, what it is told of, and of which model (of all: None)."""

    kind: ClassVar[Kind] = Kind.CHANNEL
    name: str
    options: Options
    events: tuple[str, ...]
    model: str | None = None
    or_replace: bool = False
    if_not_exists: bool = False
    position: Position | None = field(default=None, compare=False)
    renamed_from: RenamedFrom | None = None


@dataclass(frozen=True, slots=True)
class CreateView:
    """A query with a name, answered whenever it is asked."""

    kind: ClassVar[Kind] = Kind.VIEW
    name: str
    query: Query
    or_replace: bool = False
    if_not_exists: bool = False
    position: Position | None = field(default=None, compare=False)
    renamed_from: RenamedFrom | None = None


@dataclass(frozen=True, slots=True)
class Drop:
    kind: Kind
    name: str
    if_exists: bool = False
    position: Position | None = field(default=None, compare=False)
