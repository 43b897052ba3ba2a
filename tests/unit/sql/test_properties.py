"""Whatever can be said is read back as it was said, however it is laid out; whatever is typed, the answer is an error of ours."""

import dataclasses
import string
from datetime import UTC, timedelta

from cases import pairs
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.core.errors import TilthError
from tilth.core.principals import Role
from tilth.kinds import KINDS, parse, parse_one, show
from tilth.kinds.channel import EVENTS
from tilth.kinds.model.grammar import SIGNALS
from tilth.sql.language import acts as a
from tilth.sql.language import mending, usual
from tilth.sql.language import scheduled as d
from tilth.sql.language import statements as s
from tilth.sql.language.mindsdb import learning
from tilth.sql.language.mindsdb.lists import PARTS
from tilth.sql.language.normal import normal
from tilth.sql.language.tokens import RESERVED, Cursor

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
BARE = st.text(string.ascii_lowercase + "_", min_size=1, max_size=8)
WORD = st.sampled_from(sorted(w.lower() for w in RESERVED))
NAME = BARE | WORD | TEXT.filter(bool) | st.sampled_from(["Late", "model", 'a"b', "a`b", "a.b"])
NAMES = st.lists(NAME, min_size=1, max_size=3).map(tuple)
FEW = st.lists(NAME, max_size=3).map(tuple)
FLAG = st.booleans()
TOKEN = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._@-]{0,63}\Z").filter(lambda n: n != "project")
SPAN = st.integers(1, 10**13).map(lambda us: timedelta(microseconds=us)) | st.integers(1, 999).map(
    lambda h: timedelta(hours=h)
)
SHARE = st.floats(0, 1, exclude_min=True) | st.integers(1, 99).map(lambda n: n / 100)
SECRET = BARE.map(lambda n: s.Secret(f"env:{n}"))
SCALAR = st.none() | FLAG | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT | SECRET
KEY = st.lists(
    BARE | TEXT.map(lambda t: t.replace(".", "").lower().lower()).filter(lambda t: t and t == t.lower()),
    min_size=1,
    max_size=2,
).map(".".join)


def options(
    keys: st.SearchStrategy[str], values: st.SearchStrategy[s.Value], most: int = 3
) -> st.SearchStrategy[s.Options]:
    items = st.lists(st.tuples(keys, values), max_size=most, unique_by=lambda i: i[0])
    return items.map(lambda i: s.Options(tuple(i)))


VALUE = st.recursive(SCALAR, lambda v: st.lists(v, max_size=3).map(tuple) | options(TEXT, v), max_leaves=5)
OPTIONS = options(KEY, VALUE)
THEIRS = {"engine", "active", *learning.KNOWN, *learning.SECONDS, *learning.LEFT_OUT}
USING = OPTIONS.filter(
    lambda o: not any(k.partition(".")[0] in THEIRS for k, _ in o.items)
)  # others are read as ours
QUERY = st.sampled_from(
    [
        "SELECT 1",
        "WITH x AS (SELECT ';' -- ;\n) FROM x",
        "FROM a.b",
        'SELECT ")" /* ( */ FROM t',
        "(SELECT 1) UNION SELECT $$;$$",
    ]
).map(s.Query)
ON_FAIL = st.sampled_from(list(s.OnFail))
USUAL = st.builds(
    lambda aspects, count, span, place: s.Usual(
        tuple(a for a in usual.ASPECTS if a in aspects),
        count,
        usual.SPANS[span],
        f"{count:g} per {span}",
        place,
    ),
    st.sets(st.sampled_from(usual.ASPECTS), min_size=1),
    st.sampled_from([0.25, 1.0, 3.0]),
    st.sampled_from(["month", "quarter", "year"]),
    st.none() | st.sampled_from(["DE", "US-NY"]),
)
CHECK = st.one_of(
    st.builds(
        s.Expectation,
        st.just(s.CheckKind.ROW),
        ON_FAIL,
        st.sampled_from(["a > 1", "length(a) IN (1, 2)", "a = ', ON FAIL'"]),
    ),
    st.builds(
        s.Expectation,
        st.just(s.CheckKind.SET),
        ON_FAIL,
        st.sampled_from(["count(*) > 1", "avg(a) BETWEEN 1 AND 2"]),
    ),
    st.builds(
        s.Expectation,
        st.just(s.CheckKind.REFERENCES),
        ON_FAIL,
        table=st.tuples(NAME, NAME),
        columns=NAMES,
    ),
    st.builds(s.Expectation, st.just(s.CheckKind.FRESH), ON_FAIL, within=SPAN),
    st.builds(s.Expectation, st.just(s.CheckKind.USUAL), ON_FAIL, usual=USUAL),
)
REFRESH = st.builds(s.Refresh, st.none() | SPAN, FLAG, FLAG, SPAN | st.none()).map(
    lambda r: r if r.incremental else s.Refresh(r.every, r.on_change)
)
SOURCE = st.builds(
    s.CreateSource, NAME, NAME.map(lambda n: n.lower()).filter(lambda n: n == n.lower()), OPTIONS, FLAG, FLAG
)
DATASET = st.builds(
    s.CreateDataset,
    NAME,
    QUERY,
    FEW,
    st.none() | NAME,
    REFRESH,
    st.lists(CHECK, max_size=3).map(tuple),
    st.lists(st.builds(s.Tag, NAME, TEXT), max_size=2).map(tuple),
    FLAG,
    FLAG,
)
CLASS = st.none() | TEXT | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9)
TARGET = st.builds(s.Target, NAME, st.none() | NAME, CLASS).map(
    lambda t: s.Target(t.column, None, t.positive) if t.alias == t.column else t
)
CONDITION = st.one_of(
    st.builds(
        s.Condition,
        st.sampled_from([x for x in SIGNALS if x not in ("age", "quality")]),
        st.sampled_from([">", ">="]),
        SHARE.filter(lambda x: 0 < x <= 100),
    ),
    st.builds(s.Condition, st.just("quality"), st.sampled_from([">", ">=", "<", "<="]), st.floats(-10, 10)),
    st.builds(s.Condition, st.just("age"), st.sampled_from([">", ">="]), SPAN),
)
FEATURES = st.builds(s.Features, FEW) | st.builds(s.Features, st.just(()), FEW)
PROMOTE = st.sampled_from([s.Promote(), s.Promote(s.PromoteRule.MANUAL)]) | st.builds(
    s.Promote, st.just(s.PromoteRule.NOT_WORSE_BY), st.floats(0, 1)
)
MODEL = st.builds(
    s.CreateModel,
    NAME,
    st.lists(TARGET, min_size=1, max_size=2).map(tuple),
    st.builds(s.DatasetRef, NAME)
    | QUERY
    | st.builds(s.NativeQuery, NAME, st.just("SELECT TOP 5 [a] FROM t")),
    FEATURES,
    OPTIONS,
    USING,
    st.lists(CONDITION, max_size=3, unique_by=lambda o: (o.signal, o.op[0])).map(tuple),
    PROMOTE,
    FEW,
    FEW,
    st.none() | st.integers(1, 99),
    st.none() | st.integers(1, 99),
    st.none() | st.builds(s.AcceptLeak, NAMES, TEXT.filter(str.strip)),
    FLAG,
    FLAG,
)
CANARY = st.tuples(SHARE, st.integers(1, 10**6)) | st.just((0.0, 0))
ROLLOUT = st.builds(
    lambda shadow, canary, errors, *more: s.Rollout(shadow, *canary, errors, *more),
    st.integers(0, 10**6),
    CANARY,
    st.floats(0, 1),
    st.none() | SPAN,
    st.none() | st.floats(0, 1),
    st.none() | SPAN,
)
ENDPOINT = st.builds(
    s.CreateEndpoint,
    NAME,
    NAME,
    st.lists(TEXT, max_size=2).map(tuple),
    st.integers(1, 9),
    ROLLOUT,
    st.none() | st.builds(s.Outcomes, NAME, NAMES, NAME, FLAG),
    st.builds(s.Watch, SPAN, SPAN, st.floats(0, 1)),
    FLAG,
    FLAG,
)
CHANNEL = st.builds(
    s.CreateChannel,
    NAME,
    st.builds(lambda u, k: s.Options((("url", u), ("key", k))), TEXT, st.builds(s.Secret, st.just("env:K"))),
    st.lists(st.sampled_from(EVENTS), min_size=1, unique=True).map(
        lambda es: tuple(e for e in EVENTS if e in es)
    ),
    st.none() | NAME,
    FLAG,
    FLAG,
)
VIEW = st.builds(s.CreateView, NAME, QUERY, FLAG, FLAG)
NAMES = st.lists(NAME, max_size=3, unique_by=str.lower).map(tuple)
LOG = st.sampled_from(list(a.Logged))
ACTION = st.one_of(
    st.builds(s.Drop, st.sampled_from(KINDS.order), NAME, FLAG),
    st.builds(a.PlanStatement, st.none() | NAME),
    st.builds(a.ApplyStatement, st.none() | NAME),
    st.builds(a.PromoteEnvironment, NAME, NAME),
    st.builds(a.PromoteModel, NAME, st.integers(1, 10**9), st.none() | TEXT.map(str.strip).filter(bool)),
    st.builds(
        a.Describe,
        st.none() | st.sampled_from([s.Kind.SOURCE, s.Kind.DATASET, s.Kind.MODEL, s.Kind.ENDPOINT]),
        NAME,
    ),
    st.builds(
        a.Describe,
        st.none() | st.just(s.Kind.MODEL),
        NAME,
        st.integers(0, 999),
        st.none() | st.sampled_from(PARTS),
    ),
    st.builds(a.Show, st.sampled_from(a.SHOWN), st.none() | TEXT),
    st.builds(a.Show, st.just("tables"), st.none() | TEXT, NAME.filter(lambda n: n != "mindsdb")),
    st.builds(a.Evaluate, BARE, QUERY),
    st.just(a.Noted("USE mindsdb", "")),
    st.builds(a.Summarize, NAME),
    st.builds(a.LookAt, st.sampled_from([s.Kind.MODEL, s.Kind.ENDPOINT]), NAME),
    st.builds(a.CreateTable, NAME, NAME, QUERY, NAMES, LOG, FLAG, st.just(False)),
    st.builds(a.InsertInto, NAME, NAME, QUERY, NAMES, NAMES, LOG),
    st.builds(a.CreateToken, TOKEN, st.sampled_from(list(Role)), st.none() | SPAN),
    st.builds(a.DropToken, TOKEN, FLAG),
    st.builds(a.RollbackEnvironment, NAME, st.none() | st.integers(0, 10**9)),
    st.builds(a.RefreshDataset, NAME),
    st.builds(a.RetrainModel, NAME, USING),
    st.builds(
        a.RetrainModel,
        NAME,
        USING,
        st.none() | QUERY | st.builds(s.NativeQuery, NAME, st.just("SELECT 1")),
        st.none() | FLAG,
    ),
    st.builds(a.ExplainPredict, NAME, OPTIONS),
    st.builds(a.RunJob, NAME),
    st.builds(a.CancelRun, st.integers(0, 10**9)),
    st.builds(a.ExplainQuery, QUERY),
    st.builds(a.CancelStatement, st.from_regex(r"[0-9a-f]{4,12}", fullmatch=True)),
    st.builds(a.SetSetting, st.sampled_from(["statement_timeout", "tilth.environment", "order"]), TEXT),
    st.builds(a.ResetSetting, st.none() | st.sampled_from(["statement_timeout", "tilth.environment"])),
    st.builds(a.UseEnvironment, NAME),
    st.builds(a.ShowSetting, st.sampled_from(["all", "statement_timeout", "tilth.environment"])),
    st.builds(mending.ForgetFrom, NAME, st.sampled_from(["a = 1", "b IS NULL"])),
    st.builds(
        mending.ReleaseQuarantine,
        NAME,
        st.just("a = 1"),
        st.just("why"),
        st.sampled_from([(), (("a", "b + 1"),)]),
    ),
    st.builds(mending.HoldQuarantine, NAME, st.sampled_from(["a = 1", "b IS NULL"]), st.just("why")),
    st.builds(a.Drill, NAME, st.sampled_from(list(a.DrillKind))),
    QUERY.map(lambda q: a.Select(q.sql)),
)
DONE = st.lists(
    st.one_of(
        st.builds(a.CreateTable, NAME, NAME, QUERY, NAMES, LOG, FLAG, st.just(False)),
        st.builds(a.InsertInto, NAME, NAME, QUERY, NAMES, NAMES, LOG),
        st.builds(a.RefreshDataset, NAME),
        st.builds(a.RetrainModel, NAME, USING),
        QUERY.map(lambda q: a.Select(q.sql)),
    ),
    min_size=1,
    max_size=3,
).map(tuple)
AT = st.none() | st.datetimes(timezones=st.just(UTC))
JOB = st.builds(
    d.CreateJob,
    NAME,
    DONE,
    AT,
    AT,
    st.none() | SPAN,
    st.none() | QUERY,
    st.sampled_from(list(d.Missed)),
    FLAG,
    FLAG,
)
TRIGGER = st.builds(d.CreateTrigger, NAME, NAME, NAME, DONE, NAMES, NAMES, SPAN, FLAG, FLAG)
RENAMED = st.none() | st.builds(s.RenamedFrom, NAME)
DECLARED = st.builds(
    lambda x, was: dataclasses.replace(x, renamed_from=was),
    SOURCE | DATASET | MODEL | ENDPOINT | CHANNEL | VIEW | JOB | TRIGGER,
    RENAMED,
)
STATEMENT = DECLARED | ACTION
GIVEN = [given_ for _, given_, _ in pairs("canonical.txt")]


@settings(max_examples=400, deadline=None)
@given(STATEMENT)
def test_what_is_printed_reads_back_as_the_same(statement: a.Statement) -> None:
    assert parse_one(show(statement)) == statement


@settings(max_examples=50, deadline=None)
@given(st.lists(STATEMENT, max_size=4))
def test_a_file_of_statements_reads_back_as_the_same(statements: list[a.Statement]) -> None:
    assert parse("\n".join(show(x) for x in statements)) == tuple(statements)


GAP = st.sampled_from([" ", "\n", "\t", "  ", " /* a ; ' */ ", " -- b ; (\n"])


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(GIVEN), st.data())
def test_layout_and_comments_change_nothing(text: str, data: st.DataObject) -> None:
    tokens = Cursor(text).tokens
    parts = [text[t.start : t.end + 1] for t in tokens]
    gaps = data.draw(st.lists(GAP, min_size=len(parts), max_size=len(parts)))
    laid_out = "".join(g + p for g, p in zip(gaps, parts, strict=True))
    assert [t.text for t in Cursor(laid_out).tokens] == [t.text for t in tokens]
    before, after = parse_one(text), parse_one(laid_out)
    assert normal(show(before)) == normal(show(after))
    queries = (
        a.Select
        | a.Alter
        | a.Evaluate
        | a.RetrainModel
        | a.CreateTable
        | a.InsertInto
        | mending.ForgetFrom
        | mending.ReleaseQuarantine
        | mending.HoldQuarantine
        | s.CreateDataset
        | s.CreateModel
        | s.CreateView
    )
    if not isinstance(before, queries | a.ExplainQuery | d.CreateJob | d.CreateTrigger):
        assert before == after


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(GIVEN), st.data())
def test_a_broken_statement_is_an_error_of_ours_with_its_place(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    cut = data.draw(st.integers(at, min(len(text), at + 10)))
    broken = text[:at] + data.draw(st.sampled_from(["", "(", ")", "'", ";", " WORD ", "=", ","])) + text[cut:]
    error: TilthError | None = None
    try:
        parse(broken, "x.sql")
    except TilthError as problem:
        error = problem
    assert error is None or (error.where is not None and error.where.line <= broken.count("\n") + 1)


def test_keywords_and_functions_have_one_case_and_names_their_own() -> None:
    assert normal("select COUNT( * ),a.B  From t -- x") == "SELECT count ( * ) , a . B FROM t"
    assert normal("SELECT 'a''b', \"c\", `d`") == "SELECT 'a''b' , \"c\" , \"d\""
    assert normal("SELECT 1") != normal("SELECT 2")
    assert normal("SELECT 'A'") != normal("SELECT 'a'")
    assert normal("SELECT a") != normal("SELECT A")
