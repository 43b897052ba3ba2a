"""What can be done and asked: one frozen value for each statement that is no declaration. No behaviour, as in `statements`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from typing import TypeAlias

from tilth.core.errors import Position
from tilth.core.principals import Role
from tilth.sql.language.mending import ForgetFrom, HoldQuarantine, ReleaseQuarantine
from tilth.sql.language.statements import Declaration, Drop, Kind, NativeQuery, Options, Query

_NONE = Options()


class DrillKind(StrEnum):
    DRIFT = "drift"
    ROLLBACK = "rollback"
    BAD_DATA = "bad_data"
    NODE_LOSS = "node_loss"


@dataclass(frozen=True, slots=True)
class PlanStatement:
    environment: str | None = None


@dataclass(frozen=True, slots=True)
class ApplyStatement:
    environment: str | None = None


@dataclass(frozen=True, slots=True)
class PromoteEnvironment:
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class PromoteModel:
    """`PROMOTE MODEL late VERSION 7 BECAUSE '...'`: a person takes a version that its gate did not."""

    name: str
    version: int
    because: str | None = None


@dataclass(frozen=True, slots=True)
class RollbackEnvironment:
    environment: str
    generation: int | None = None


@dataclass(frozen=True, slots=True)
class RefreshDataset:
    """`REFRESH DATASET d FROM '2026-01-01' TO '2026-01-31'`: with days (the last one too) these are read again, whatever was read before."""

    name: str
    first: date | None = None
    last: date | None = None


@dataclass(frozen=True, slots=True)
class RetrainModel:
    """`RETRAIN MODEL late FROM ops (SELECT ...) USING (active = TRUE)`: with `source` it learns from those rows from now on.

    `active` true: what comes of it serves whatever its gate says; false: it waits for a person. `told` is what to know of the
    way that it was written.
    """

    name: str
    using: Options = _NONE
    source: Query | NativeQuery | None = None
    active: bool | None = None
    told: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Evaluate:
    """`EVALUATE accuracy FROM (SELECT y AS actual, m.y AS prediction ...)`: a metric of two columns of a query."""

    metric: str
    query: Query
    position: Position | None = field(default=None, compare=False)
    told: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Noted:
    """A statement of MindsDB's for which there is nothing to do here: as it is written, and what is told."""

    written: str
    text: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class ExplainPredict:
    """`EXPLAIN PREDICT late (origin = 'JFK', ...)`."""

    model: str
    inputs: Options = _NONE


@dataclass(frozen=True, slots=True)
class ExplainQuery:
    """`EXPLAIN SELECT ...`: what goes where, and nothing of it is run."""

    query: Query


@dataclass(frozen=True, slots=True)
class ExplainDataset:
    """`EXPLAIN DATASET departures FOR MODEL late`: what each column is worth to the model."""

    dataset: str
    model: str


@dataclass(frozen=True, slots=True)
class LookAt:
    """`LOOK AT MODEL late` or `LOOK AT ENDPOINT late_api`: drift and quality now."""

    kind: Kind
    name: str


@dataclass(frozen=True, slots=True)
class Alter:
    """`ALTER MODEL late SET (time_limit = '2 minutes')`: what is declared, with these options in place of its own; NULL takes one away.

    Of a view it is the query. `theirs`: the options are what MindsDB calls PARAMETERS.
    """

    kind: Kind
    name: str
    options: Options = _NONE
    query: Query | None = None
    if_exists: bool = False
    theirs: bool = False
    position: Position | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class CreateToken:
    """`CREATE TOKEN 'ci' FOR reader EXPIRES '90 days'`: lets somebody in over HTTP. No resource: it is made when it is said."""

    name: str
    role: Role
    expires: timedelta | None = None
    position: Position | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class DropToken:
    name: str
    if_exists: bool = False
    position: Position | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Describe:
    """`DESCRIBE [kind] name`: all that is known of one resource; of a model also one version, and one part (`features`)."""

    kind: Kind | None
    name: str
    version: int | None = None
    part: str | None = None


@dataclass(frozen=True, slots=True)
class Show:
    """`SHOW models LIKE 'la%'`: the names there are; `what` is a word of SHOWN. `source`: of tables, those of one source."""

    what: str
    like: str | None = None
    source: str | None = None


SHOWN = (
    "sources",
    "datasets",
    "models",
    "endpoints",
    "channels",
    "views",
    "jobs",
    "triggers",
    "tables",
    "environments",
)


@dataclass(frozen=True, slots=True)
class Summarize:
    """`SUMMARIZE departures`: a row a column, with its range, gaps and quartiles."""

    name: str


class Logged(StrEnum):
    """Which of the predictions that a statement writes are logged, for drift and quality to see."""

    SAMPLE = "sample"
    ALL = "all"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class CreateTable:
    """`CREATE TABLE ops.scores KEY (id) AS SELECT ...`: the rows of a query as a new table of a source.

    `key` are columns that tell rows apart; `log` is what WITH (log = ...) says.
    """

    source: str
    table: str
    query: Query
    key: tuple[str, ...] = ()
    log: Logged = Logged.SAMPLE
    or_replace: bool = False
    if_not_exists: bool = False
    position: Position | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class InsertInto:
    """`INSERT INTO ops.scores KEY (id) SELECT ...`: the rows of a query into a table of a source, by the names of columns.

    With `key` a row that is there already is changed and not added; `columns` name the query's columns in their order.
    """

    source: str
    table: str
    query: Query
    columns: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    log: Logged = Logged.SAMPLE
    position: Position | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Drill:
    model: str
    drill: DrillKind


@dataclass(frozen=True, slots=True)
class RunJob:
    """`RUN JOB j`: now, whenever it would be due."""

    name: str


@dataclass(frozen=True, slots=True)
class CancelRun:
    """`CANCEL RUN '12'`: stop a run of a job or trigger; the number is that of `tilth.runs`."""

    run: int
    position: Position | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class CancelStatement:
    """`CANCEL STATEMENT 'id'`: end a statement of another session; ids are those of `tilth.statements`."""

    statement: str
    position: Position | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class SetSetting:
    """`SET statement_timeout = '30 s'`: of this session, until it ends."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class ResetSetting:
    """`RESET statement_timeout`, or RESET ALL (None): as the session began."""

    name: str | None = None


@dataclass(frozen=True, slots=True)
class UseEnvironment:
    """`USE dev`: the environment of the session's next statements."""

    environment: str


@dataclass(frozen=True, slots=True)
class ShowSetting:
    """`SHOW statement_timeout`, or SHOW ALL (name `all`)."""

    name: str


Action: TypeAlias = (
    PlanStatement
    | ApplyStatement
    | PromoteEnvironment
    | PromoteModel
    | RollbackEnvironment
    | RefreshDataset
    | RetrainModel
    | ForgetFrom
    | ReleaseQuarantine
    | HoldQuarantine
    | Evaluate
    | Noted
    | ExplainDataset
    | ExplainPredict
    | ExplainQuery
    | LookAt
    | Alter
    | CreateToken
    | DropToken
    | Describe
    | Show
    | Summarize
    | CreateTable
    | InsertInto
    | Drill
    | RunJob
    | CancelRun
    | CancelStatement
    | SetSetting
    | ResetSetting
    | UseEnvironment
    | ShowSetting
)


# --- asking ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Select:
    """A query over datasets, models, sources and the `tilth` schema; verbatim."""

    sql: str
    position: Position | None = field(default=None, compare=False)


Statement: TypeAlias = Declaration | Drop | Action | Select
