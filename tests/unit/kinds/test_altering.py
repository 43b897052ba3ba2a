"""ALTER: the declaration that comes of one, and which options there are."""

from typing import Any, cast

import pytest

from tilth.core.errors import TilthError
from tilth.kinds import KINDS, parse_one, show
from tilth.kinds.altering import OPTIONS, altered
from tilth.sql.language.acts import Alter

SOURCE = "CREATE SOURCE s ENGINE sqlite WITH (path = 'a.db', writable = true)"
SERVER = "CREATE SOURCE s ENGINE postgres WITH (url = 'postgresql://me@db:5432/ops', schema = 'public')"
DATASET = "CREATE DATASET s KEY (id) EVENT TIME at REFRESH EVERY '1 day' INCREMENTAL LOOKBACK '1 hour' EXPECT (a > 0) AS SELECT * FROM o.t"
MODEL = "CREATE MODEL s PREDICT y FROM d OBJECTIVE (metric = 'log_loss') USING (engine = 'auto', seed = 8) PROMOTE IF manual"
ENDPOINT = "CREATE ENDPOINT s FOR MODEL m REPLICAS 2 ROLLOUT (shadow = '20 requests', canary = '10% for 50 requests') OUTCOMES FROM d (id, y) WATCH (log = '50%')"
CHANNEL = (
    "CREATE CHANNEL s WITH (url = 'https://a.b/c', key = SECRET 'env:K') NOTIFY ON (failed, late) FOR MODEL m"
)
JOB = "CREATE JOB s START '2026-01-01 00:00' EVERY '1 hour' IF (SELECT 1) AS (SELECT 1; REFRESH DATASET d)"
TRIGGER = "CREATE TRIGGER s ON o.t COLUMNS (a) KEY (id) EVERY '1 minute' AS (REFRESH DATASET d)"
VIEW = "CREATE VIEW s AS SELECT 1 AS a"
CHANGED = [
    (SOURCE, "SOURCE s SET (path = 'b.db')", SOURCE.replace("a.db", "b.db")),
    (SOURCE, "SOURCE s SET (writable = NULL, format = {delimiter: ';'})", "CREATE SOURCE s ENGINE sqlite WITH (path = 'a.db', format = {delimiter: ';'})"),
    (SOURCE, "SOURCE s SET (engine = 'DuckDB')", SOURCE.replace("sqlite", "duckdb")),
    (SERVER, 'DATABASE s PARAMETERS = {"host": "db2"}', SERVER.replace("@db:", "@db2:")),
    (SERVER, 'DATABASE s PARAMETERS = {"user": "you", "port": 5433, "schema": "own"}', SERVER.replace("me@db:5432", "you@db:5433").replace("public", "own")),
    (DATASET, "DATASET s SET (every = '2 hours')", DATASET.replace("1 day", "2 hours")),
    (DATASET, "DATASET s SET (every = NULL, on_change = true)", DATASET.replace("EVERY '1 day'", "ON CHANGE")),
    (DATASET, "DATASET s SET (known_at = 'loaded')", DATASET.replace("TIME at", "TIME at KNOWN AT loaded")),
    (DATASET, "DATASET s SET (key = ['id', 'at'], event_time = 'seen')", DATASET.replace("(id)", "(id, at)").replace("TIME at", "TIME seen")),
    (DATASET, "DATASET s SET (lookback = '2 days')", DATASET.replace("'1 hour'", "'2 days'")),
    (DATASET, "DATASET s SET (heal = '30 days')", DATASET.replace("'1 hour'", "'1 hour' HEAL '30 days'")),
    (DATASET, "DATASET s SET (incremental = false, lookback = NULL)", DATASET.replace(" INCREMENTAL LOOKBACK '1 hour'", "")),
    (MODEL, "MODEL s SET (seed = 9)", MODEL.replace("8", "9")),
    (MODEL, "MODEL s SET (lightgbm.num_leaves = 31)", MODEL.replace("seed = 8", "seed = 8, lightgbm.num_leaves = 31")),
    (MODEL, "MODEL s SET (metric = NULL, minimum = 0.7)", MODEL.replace("metric = 'log_loss'", "minimum = 0.7")),
    (MODEL, "MODEL s SET (metric = NULL, seed = NULL, engine = NULL)", "CREATE MODEL s PREDICT y FROM d PROMOTE IF manual"),
    (ENDPOINT, "ENDPOINT s SET (replicas = 3, regions = ['eu'])", ENDPOINT.replace("REPLICAS 2", "REGIONS ('eu') REPLICAS 3")),
    (ENDPOINT, "ENDPOINT s SET (canary = '20% for 5 requests', max_p99 = '20 ms')", ENDPOINT.replace("10% for 50 requests'", "20% for 5 requests', max_p99 = '20 ms'")),
    (ENDPOINT, "ENDPOINT s SET (shadow = NULL, canary = NULL)", ENDPOINT.replace("ROLLOUT (shadow = '20 requests', canary = '10% for 50 requests') ", "")),
    (ENDPOINT, "ENDPOINT s SET (log = '100%', every = '1 hour')", ENDPOINT.replace("log = '50%'", "every = '1 hour'")),
    (CHANNEL, "CHANNEL s SET (events = ['refused', 'failed'])", CHANNEL.replace("failed, late", "failed, refused")),
    (CHANNEL, "CHANNEL s SET (url = 'https://a.b/d', key = NULL, model = NULL)", "CREATE CHANNEL s WITH (url = 'https://a.b/d') NOTIFY ON (failed, late)"),
    (JOB, "JOB s SET (every = '2 hours', end = '2027-01-01 00:00')", JOB.replace("'1 hour'", "'2 hours'").replace("EVERY", "END '2027-01-01 00:00' EVERY")),
    (JOB, "JOB s SET (missed = 'skip', start = NULL)", JOB.replace("START '2026-01-01 00:00' ", "").replace("AS (", "MISSED SKIP AS (")),
    (TRIGGER, "TRIGGER s SET (every = NULL, columns = ['a', 'b'])", TRIGGER.replace("EVERY '1 minute' ", "").replace("(a)", "(a, b)")),
    (TRIGGER, "TRIGGER s SET (key = 'code', columns = NULL)", TRIGGER.replace("(id)", "(code)").replace("COLUMNS (a) ", "")),
    (VIEW, "VIEW s AS SELECT 2 AS b", "CREATE VIEW s AS SELECT 2 AS b"),
]  # fmt: skip


def alter(text: str) -> Alter:
    found = parse_one(f"ALTER {text}")
    assert isinstance(found, Alter)
    return found


@pytest.mark.parametrize(("declared", "text", "expected"), CHANGED)
def test_a_declaration_with_options_changed_is_what_create_would_say(
    declared: str, text: str, expected: str
) -> None:
    found = altered(cast("Any", parse_one(declared)), alter(text))
    assert show(found) == show(parse_one(expected))
    assert parse_one(show(found)) == found


@pytest.mark.parametrize("declared", [DATASET, MODEL, ENDPOINT, CHANNEL, JOB, TRIGGER])
def test_every_option_of_a_kind_is_changed_by_some_case_or_is_one_of_a_list(declared: str) -> None:
    kind = type(parse_one(declared))
    asked = {
        key
        for one, text, _ in CHANGED
        if one == declared
        for key, _ in alter(text).options.items
        if "." not in key
    }
    assert asked <= set(OPTIONS[kind])
    if declared in (DATASET, CHANNEL, JOB, TRIGGER):
        assert asked == set(OPTIONS[kind])


def test_every_kind_can_be_altered_or_says_which_it_is() -> None:
    classes = {row.statement for row in KINDS}
    assert {c.__name__ for c in classes - set(OPTIONS)} == {"CreateSource"}


WRONG = [
    (MODEL, "MODEL s SET (sed = 9)", "`sed` is not an option of a model."),
    (DATASET, "DATASET s SET (every = 5)", "Expected a duration such as '1 hour' as a 'string' here, found `5`."),
    (DATASET, "DATASET s SET (incremental = 'yes')", "This is TRUE or FALSE."),
    (DATASET, "DATASET s SET (key = 3)", "This is a name, or a list of names."),
    (ENDPOINT, "ENDPOINT s SET (replicas = 0)", "Replicas must be a whole number of at least 1."),
    (ENDPOINT, "ENDPOINT s SET (shadow = 'many')", "'many' is not a number of requests."),
    (CHANNEL, "CHANNEL s SET (events = ['lost'])", "`lost` is not an event."),
    (JOB, "JOB s SET (missed = 'twice')", "'twice' is not what becomes of missed runs."),
    (JOB, "JOB s SET (every = 'often')", "'often' is not a duration."),
    (SOURCE, "SOURCE s SET (engine = 3)", "An engine's name is a string."),
]  # fmt: skip


@pytest.mark.parametrize(("declared", "text", "message"), WRONG)
def test_what_create_would_not_take_is_refused_where_the_statement_stands(
    declared: str, text: str, message: str
) -> None:
    statement = alter(text)
    with pytest.raises(TilthError) as error:
        altered(cast("Any", parse_one(declared)), statement)
    assert error.value.message == message
    assert error.value.where == statement.position


def test_a_misspelt_option_gets_the_nearest() -> None:
    with pytest.raises(TilthError) as error:
        altered(cast("Any", parse_one(MODEL)), alter("MODEL s SET (time_limt = '5 s')"))
    assert "Did you mean `time_limit`?" in (error.value.hint or "")
