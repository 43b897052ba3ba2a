from datetime import timedelta

import pytest
from cases import pairs

from tilth.core.errors import LanguageError, TilthError
from tilth.kinds import KINDS, parse, parse_one, show
from tilth.sql.language import acts as a
from tilth.sql.language import statements as s

CANONICAL = pairs("canonical.txt")
ERRORS = pairs("errors.txt")


@pytest.mark.parametrize(("given", "expected"), [c[1:] for c in CANONICAL], ids=[c[0] for c in CANONICAL])
def test_a_statement_has_one_canonical_form(given: str, expected: str) -> None:
    statement = parse_one(given)
    assert show(statement) == expected
    assert parse_one(expected) == statement


@pytest.mark.parametrize(("given", "expected"), [c[1:] for c in ERRORS], ids=[c[0] for c in ERRORS])
def test_an_error_says_where_and_what_next(given: str, expected: str) -> None:
    with pytest.raises(TilthError) as caught:
        parse_one(given, "models.sql")
    assert str(caught.value) == expected


def test_the_fixtures_hold_every_statement() -> None:
    seen = {type(parse_one(given)) for _, given, _ in CANONICAL}
    assert seen == {*(k.statement for k in KINDS), *a.Action.__args__, s.Drop, a.Select}  # type: ignore[attr-defined]


def test_statements_of_a_file_know_their_places() -> None:
    text = "-- sources\nCREATE SOURCE ops ENGINE sqlite;\n\n  CREATE DATASET d\n AS SELECT *\n FROM ops.t;;\nSELECT 1"
    source, dataset, select = parse(text, "a.sql")
    assert isinstance(source, s.CreateSource)
    assert isinstance(dataset, s.CreateDataset)
    assert isinstance(select, a.Select)
    assert str(source.position) == "a.sql:2:1"
    assert str(dataset.position) == "a.sql:4:3"
    assert str(dataset.query.position) == "a.sql:5:5"
    assert dataset.query.sql == "SELECT *\n FROM ops.t"
    assert str(select.position) == "a.sql:7:1"
    assert select.position is not None
    assert select.position.text == "SELECT 1"


def test_a_text_of_comments_has_no_statements() -> None:
    assert parse(" -- nothing\n /* here */ ;; ") == ()


def test_checks_are_of_rows_or_of_the_set() -> None:
    given = next(c[1] for c in CANONICAL if c[0].startswith("a function is a row check"))
    dataset = parse_one(given)
    assert isinstance(dataset, s.CreateDataset)
    assert [e.kind.value for e in dataset.expect] == ["row", "row", "row", "set", "set", "row"]
    assert [e.on_fail.value for e in dataset.expect] == ["stop", "warn", "stop", "stop", "stop", "stop"]


def test_shares_durations_and_counts_become_values() -> None:
    model = parse_one(next(c[1] for c in CANONICAL if c[0] == "a whole model"))
    assert isinstance(model, s.CreateModel)
    assert model.retrain == (
        s.Condition("drift", ">", 0.2),
        s.Condition("age", ">", timedelta(days=7)),
        s.Condition("new_rows", ">", 0.2),
        s.Condition("quality", "<", 0.68),
    )
    endpoint = parse_one(next(c[1] for c in CANONICAL if c[0] == "a whole endpoint"))
    assert isinstance(endpoint, s.CreateEndpoint)
    assert endpoint.rollout == s.Rollout(200, 0.1, 500, 0.005, timedelta(milliseconds=20))
    assert endpoint.outcomes == s.Outcomes("departures", ("flight_id",), "arr_late")


def test_a_secret_in_the_open_is_in_no_error() -> None:
    with pytest.raises(LanguageError) as caught:
        parse_one("CREATE SOURCE ops ENGINE postgres WITH (password = SECRET 'hunter2')")
    assert "hunter2" not in str(caught.value) + repr(caught.value.fields())


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ("drift > -1", "above 0 and at most 100"),
        ("drift > 0", "above 0 and at most 100"),
        ("prediction_drift > 101", "above 0 and at most 100"),
        ("drift > 0.2 OR drift > 0.3", "`drift` is given twice"),
        ("drift > 0.2 OR age > '1 day' OR drift >= 0.3", "`drift` is given twice"),
        ("age > '1 day' OR age > '2 days'", "`age` is given twice"),
        ("quality < 0.6 OR quality <= 0.5", "`quality` is given twice"),
        ("age > '1 day 1 day'", "twice"),
        ("new_rows > 0", "share of the rows"),
    ],
)
def test_a_reason_to_retrain_that_cannot_be_meant_is_refused(conditions: str, words: str) -> None:
    with pytest.raises(LanguageError, match=words):
        parse(f"CREATE MODEL m PREDICT y FROM d RETRAIN WHEN {conditions}")


@pytest.mark.parametrize(
    "text",
    ["ROLLBACK ENVIRONMENT prod TO GENERATION " + "9" * 20, "ROLLBACK ENVIRONMENT prod TO GENERATION -1"],
)
def test_a_number_that_nothing_has_is_refused(text: str) -> None:
    with pytest.raises(LanguageError):
        parse(text)
