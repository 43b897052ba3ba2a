"""The statements that act: DROP, PLAN, APPLY, PROMOTE, ROLLBACK, REFRESH, RETRAIN, EXPLAIN PREDICT, LOOK AT and DRILL;
and those that list and describe: DESCRIBE, SHOW, SUMMARIZE. Each function begins after the verb.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, timedelta
from typing import NoReturn

from tilth.core.errors import Position, UnsupportedError
from tilth.core.principals import Role
from tilth.sql.language import clauses, prefix, values
from tilth.sql.language.acts import (
    ApplyStatement,
    CreateToken,
    Describe,
    Drill,
    DrillKind,
    DropToken,
    ExplainDataset,
    ExplainPredict,
    ExplainQuery,
    LookAt,
    PlanStatement,
    PromoteEnvironment,
    PromoteModel,
    RefreshDataset,
    RetrainModel,
    RollbackEnvironment,
    RunJob,
    Summarize,
)
from tilth.sql.language.mindsdb import learning
from tilth.sql.language.statements import Drop, Kind, Options
from tilth.sql.language.tokens import Cursor

_DRILLS = {d.name: d for d in DrillKind}
LATER = {
    "STREAM": "streams",
    "COMPUTE": "compute clusters",
    "POLICY": "policies",
    "ROLE": "roles",
    "TABLE": "tables in sources",
}


TOKEN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
HOME_TOKEN = "project"  # noqa: S105  # the name under which whoever holds the file's token stands in the audit
LONGEST = timedelta(days=3650)
BESIDE = ("TOKEN",)  # what CREATE and DROP also take: no resources


def kind_fails(c: Cursor, verb: str, kinds: Iterable[str]) -> NoReturn:
    """Raise what fits: a kind that comes later, a misspelt one, or none at all."""
    word, kinds = c.key, tuple(kinds)
    if word in LATER:
        raise UnsupportedError(
            f"{verb} {word}: {LATER[word]} are not in this version.",
            hint=f"This version has {verb} {' | '.join(kinds)}.",
            where=c.position(),
        )
    if c.at_word:
        raise c.unknown(f"`{c.word}` is not something to {verb}.", word, kinds, "kinds")
    c.fail(f"Expected a kind after {verb}{c.instead()}.", f"Write {verb} {' | '.join(kinds)}.")


def drop(c: Cursor, where: Position, kinds: Iterable[str]) -> Drop | DropToken:
    """`kind [IF EXISTS] name`, or `TOKEN [IF EXISTS] 'name'`."""
    if c.take("TOKEN"):
        return drop_token(c, where)
    if c.key not in kinds:
        kind_fails(c, "DROP", (*kinds, *BESIDE))
    kind = Kind(c.text_token().lower())
    exists = c.take("IF", "EXISTS")
    return Drop(kind, prefix.resource(c, f"the {kind}'s name"), exists, where)


def create_token(c: Cursor, where: Position, *, or_replace: bool) -> CreateToken:
    """`'name' FOR owner | reader | predictor [EXPIRES '90 days']`."""
    if or_replace:
        c.fail(
            "A token cannot be replaced.", "DROP TOKEN 'name'; then CREATE TOKEN makes a new one.", at=c.i - 1
        )
    name = _token_name(c)
    c.expect("FOR", hint=f"Write CREATE TOKEN '{name}' FOR reader.")
    role = clauses.choice(c, {r.name: r for r in Role}, "role", "CREATE TOKEN")
    if c.at_end:
        return CreateToken(name, role, None, where)
    c.expect("EXPIRES", hint=f"Write CREATE TOKEN '{name}' FOR {role} EXPIRES '90 days', or nothing.")
    at = c.i
    expires = values.duration(c)
    if expires > LONGEST:
        c.fail("A token lives for at most 3,650 days.", "Leave EXPIRES out for one that does not end.", at=at)
    return CreateToken(name, role, expires, where)


def drop_token(c: Cursor, where: Position) -> DropToken:
    """`[IF EXISTS] 'name'`."""
    exists = c.take("IF", "EXISTS")
    return DropToken(_token_name(c), exists, where)


def _token_name(c: Cursor) -> str:
    at = c.i
    name = c.string("a token's name")
    if not TOKEN_NAME.fullmatch(name):
        c.fail(
            f"{name[:80]!r} is no name of a token.",
            "Write 1 to 64 letters, digits, `.`, `_`, `-` and `@`; the first is a letter or a digit.",
            at=at,
        )
    if name == HOME_TOKEN:
        c.fail(
            f"`{name}` is the token in the project's `.tilth/token`.",
            "Choose another name; deleting that file and starting `tilth up` again makes a new one.",
            at=at,
        )
    return name


def _for_environment(c: Cursor) -> str | None:
    if c.at_end:
        return None
    c.expect("FOR", "ENVIRONMENT", hint="Write FOR ENVIRONMENT <name>, or nothing.")
    return c.name("an environment's name", fold=True)


def plan(c: Cursor) -> PlanStatement:
    """`[FOR ENVIRONMENT e]`."""
    return PlanStatement(_for_environment(c))


def apply(c: Cursor) -> ApplyStatement:
    """`[FOR ENVIRONMENT e]`."""
    return ApplyStatement(_for_environment(c))


def promote(c: Cursor) -> PromoteEnvironment | PromoteModel:
    """`ENVIRONMENT a TO b`, or `MODEL m VERSION n [BECAUSE '...']`."""
    if c.take("MODEL"):
        return _promote_model(c)
    c.expect("ENVIRONMENT", hint="Write PROMOTE ENVIRONMENT dev TO prod, or PROMOTE MODEL late VERSION 7.")
    source = c.name("an environment's name", fold=True)
    c.expect("TO", hint=f"Write PROMOTE ENVIRONMENT {source} TO prod.")
    return PromoteEnvironment(source, c.name("an environment's name", fold=True))


def _promote_model(c: Cursor) -> PromoteModel:
    name = c.name("a model's name", fold=True)
    c.expect("VERSION", hint=f"Write PROMOTE MODEL {name} VERSION 7.")
    version = values.whole(c, "the version", 1)
    if c.at_end:
        return PromoteModel(name, version)
    c.expect("BECAUSE", hint=f"Write PROMOTE MODEL {name} VERSION {version} BECAUSE 'the reason'.")
    at = c.i
    because = c.string("a reason").strip()
    if not because:
        c.fail("The reason is empty.", "Say in a few words why.", at=at)
    return PromoteModel(name, version, because)


def look(c: Cursor) -> LookAt:
    """`AT MODEL m | ENDPOINT e`."""
    c.expect("AT", hint="Write LOOK AT MODEL late, or LOOK AT ENDPOINT late_api.")
    kind = clauses.choice(c, {"MODEL": Kind.MODEL, "ENDPOINT": Kind.ENDPOINT}, "kind", "LOOK AT")
    return LookAt(kind, c.name(f"the {kind}'s name", fold=True))


def rollback(c: Cursor) -> RollbackEnvironment:
    """`ENVIRONMENT e [TO GENERATION n]`."""
    c.expect("ENVIRONMENT", hint="Write ROLLBACK ENVIRONMENT prod.")
    name = c.name("an environment's name", fold=True)
    if c.at_end:
        return RollbackEnvironment(name)
    c.expect("TO", "GENERATION", hint=f"Write ROLLBACK ENVIRONMENT {name} TO GENERATION 3.")
    return RollbackEnvironment(name, values.whole(c, "the generation", 0))


def refresh(c: Cursor) -> RefreshDataset:
    """`DATASET d [FROM 'day' TO 'day']`."""
    c.expect("DATASET", hint="Write REFRESH DATASET <name>.")
    name = c.name("a dataset's name", fold=True)
    if not c.take("FROM"):
        return RefreshDataset(name)
    first = _day(c, "FROM")
    c.expect(
        "TO", hint=f"Write REFRESH DATASET {name} FROM '{first}' TO '{first}': the last day is read, too."
    )
    at = c.i
    last = _day(c, "TO")
    if last < first:
        c.fail(f"{last} lies before {first}.", "Write the first day after FROM and the last after TO.", at=at)
    return RefreshDataset(name, first, last)


def _day(c: Cursor, word: str) -> date:
    at = c.i
    text = c.string(f"a day after {word}, such as '2026-01-31'")
    try:
        return date.fromisoformat(text)
    except ValueError:
        c.fail(f"{text[:40]!r} is no day.", "Write it as '2026-01-31'.", at=at)


def _model_name(c: Cursor) -> str:
    """`[MODEL] name`; a model that is itself called model is written MODEL model."""
    if c.at("MODEL") and c.i + 1 < len(c.keys) and c.following not in (";", "(", "USING", ".", "FROM"):
        c.i += 1
    return prefix.resource(c, "a model's name")


def retrain(c: Cursor) -> RetrainModel:
    """`[MODEL] m [FROM db (query)] [USING k = v, ...]`."""
    name = _model_name(c)
    source = clauses.rows_from(c) if c.take("FROM") else None
    active, using = clauses.active(c, values.using(c) if c.take("USING") else Options())
    found = learning.meant(using, (), c.position(c.i - 1))
    return RetrainModel(name, found.using, source, active, found.told)


def explain(c: Cursor, where: Position) -> ExplainDataset | ExplainPredict | ExplainQuery:
    """`PREDICT m (k = v, ...)`, `DATASET d FOR MODEL m`, or a query."""
    if c.key == "ANALYZE":
        raise UnsupportedError(
            "EXPLAIN ANALYZE is not in this version: EXPLAIN runs nothing.", hint="Write EXPLAIN SELECT ...", where=where
        )  # fmt: skip
    if c.key in clauses.QUERY_WORDS:
        return ExplainQuery(clauses.rest(c, c.i))
    if c.take("DATASET"):
        dataset = c.name("a dataset's name", fold=True)
        c.expect("FOR", hint="Write EXPLAIN DATASET departures FOR MODEL late.")
        c.expect("MODEL", hint="Write EXPLAIN DATASET departures FOR MODEL late.")
        return ExplainDataset(dataset, c.name("a model's name", fold=True))
    c.expect(
        "PREDICT",
        hint="Write EXPLAIN SELECT ..., EXPLAIN PREDICT late (origin = 'JFK'), or EXPLAIN DATASET departures FOR MODEL late.",
    )
    name = c.name("a model's name", fold=True)
    return ExplainPredict(name, values.option_list(c))


_DESCRIBED = {
    k.keyword: k
    for k in (
        Kind.SOURCE,
        Kind.DATASET,
        Kind.MODEL,
        Kind.ENDPOINT,
        Kind.CHANNEL,
        Kind.VIEW,
        Kind.JOB,
        Kind.TRIGGER,
    )
}


def describe(c: Cursor) -> Describe:
    """`[kind] n`; a resource that is itself called model is written DESCRIBE model."""
    kind = None
    if c.key in _DESCRIBED and not c.at_quoted and c.i + 1 < len(c.keys) and c.following != ";":
        kind = _DESCRIBED[c.text_token().upper()]
    if c.at_end or c.key in clauses.QUERY_WORDS:
        c.fail(
            f"Expected a name here{c.instead()}.",
            "Write DESCRIBE late, or DESCRIBE MODEL late. SHOW MODELS lists the names.",
        )
    return Describe(kind, c.name(f"the {kind or 'resource'}'s name", fold=True, reserved=kind is not None))


def summarize(c: Cursor) -> Summarize:
    """`d`."""
    if c.key in clauses.QUERY_WORDS:
        c.fail(
            "SUMMARIZE takes the name of a dataset.",
            "Write SUMMARIZE departures; a query summarizes with aggregates of its own.",
        )
    return Summarize(c.name("a dataset's name", fold=True))


def run(c: Cursor) -> RunJob:
    """`JOB j`."""
    c.expect("JOB", hint="Write RUN JOB <name>. SHOW JOBS lists the names.")
    return RunJob(c.name("a job's name", fold=True))


def drill(c: Cursor) -> Drill:
    """`MODEL m (drift | rollback | bad_data | node_loss)`."""
    c.expect("MODEL", hint="Write DRILL MODEL late (drift).")
    name = c.name("a model's name", fold=True)
    c.expect("(", hint=f"Write DRILL MODEL {name} (drift).")
    kind = clauses.choice(c, _DRILLS, "drill", "DRILL MODEL")
    c.expect(")")
    return Drill(name, kind)
