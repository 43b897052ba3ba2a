"""MindsDB's statements, of 2020 to 2025, as values of tilth's own; what differs is told beside them, or is one sentence."""

import contextlib
from urllib.parse import unquote, urlsplit

import pytest
from cases import pairs
from hypothesis import given, settings
from hypothesis import strategies as st

from tilth.core.errors import TilthError
from tilth.core.schema import DataType, Field, Schema
from tilth.kinds import parse, parse_one, show
from tilth.sql.language import acts as a
from tilth.sql.language import statements as s
from tilth.sql.language.mindsdb import learning
from tilth.sql.language.tokens import Cursor, without_secrets
from tilth.sql.language.trees import tree
from tilth.sql.queries.rewrite import JoinPrediction, ModelShape, RowPrediction, predictions
from tilth.sql.queries.timetravel import time_travel
from tilth.sql.queries.views import of_source

CASES = pairs("mindsdb.txt")


def said(text: str) -> str:
    """The statement as tilth writes it and what is told of it, or the error in its two lines."""
    try:
        found = parse_one(text)
    except TilthError as error:
        return f"{error.message}\n  {error.hint}"
    told = (found.text,) if isinstance(found, a.Noted) else getattr(found, "told", ())
    return "\n".join([show(found), *(f"-- {t}" for t in told)])


@pytest.mark.parametrize(("text", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_statement_of_mindsdb_is_one_of_tilth_or_a_sentence(text: str, expected: str) -> None:
    assert said(text) == expected


@pytest.mark.parametrize("text", [c[1] for c in CASES], ids=[c[0] for c in CASES])
def test_what_stands_for_it_reads_back_as_the_same(text: str) -> None:
    try:
        found = parse_one(text)
    except TilthError:
        return
    assert parse_one(show(found)) == found


@settings(max_examples=600, deadline=None)
@given(st.sampled_from([c[1] for c in CASES]), st.data())
def test_a_spoilt_statement_of_mindsdb_is_an_error_of_ours(text: str, data: st.DataObject) -> None:
    tokens = [text[t.start : t.end + 1] for t in Cursor(text).tokens]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(0, len(tokens) - 1)))
        match data.draw(st.sampled_from(["drop", "twice", "swap", "cut", "other"])):
            case "drop":
                tokens[at : at + 1] = []
            case "twice":
                tokens[at:at] = tokens[at : at + 1]
            case "swap":
                tokens[at : at + 2] = tokens[at : at + 2][::-1]
            case "cut":
                tokens = tokens[: at + 1]
            case _:
                tokens[at : at + 1] = [data.draw(st.sampled_from(["mindsdb", ".", "3", "''", '"', "(", ")", "{", "}}", "=", ";", "NULL", "-", "FROM", "\u00e9"]))]  # fmt: skip
    for glue in (" ", ""):
        with contextlib.suppress(TilthError):
            parse(glue.join(tokens))


@given(
    st.text(
        st.characters(exclude_categories=("Cs",), exclude_characters="\0\r\n'\\"), min_size=1, max_size=12
    )
)
def test_a_password_stands_in_no_error(secret: str) -> None:
    text = f"CREATE DATABASE d ENGINE = 'postgres', PARAMETERS = {{'password': '{secret}####'}} FOO BAR"
    with pytest.raises(TilthError) as caught:
        parse(text)
    assert f"{secret}####" not in str(caught.value)


SECRETS = {
    "{'password': 'geheim'}": "{'password': '******'}",
    '{"password" : "geheim", "port": "1"}': '{"password" : "******", "port": "1"}',
    "WITH (api_key = 'k1', path = 'x')": "WITH (api_key = '**', path = 'x')",
    "url = 'postgresql://a:geheim@h/d'": "url = 'postgresql://a:******@h/d'",
    "password = SECRET 'env:P'": "password = SECRET 'env:P'",
    "CREATE TOKEN 'ci' FOR reader": "CREATE TOKEN 'ci' FOR reader",
    "SELECT 'a' AS tokens, x = 'b'": "SELECT 'a' AS tokens, x = 'b'",
    "{'password': 'never closed": "{'password': '************",
}


@pytest.mark.parametrize("row", SECRETS)
def test_a_line_is_shown_without_its_passwords_and_as_long(row: str) -> None:
    assert without_secrets(row) == SECRETS[row]
    assert len(SECRETS[row]) == len(row)


@given(
    st.fixed_dictionaries(
        {
            k: st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=9)
            for k in ("user", "database")
        }
    ),
    st.integers(1, 65535),
)
def test_the_url_of_a_database_holds_what_its_parameters_say(names: dict[str, str], port: int) -> None:
    quoted = {k: v.replace("'", "''") for k, v in names.items()}
    found = parse_one(
        f"CREATE DATABASE d ENGINE = 'postgres', PARAMETERS = {{'host': 'h', 'port': '{port}', 'user': '{quoted['user']}', 'database': '{quoted['database']}'}}"
    )
    assert isinstance(found, s.CreateSource)
    url = urlsplit(str(found.options.get("url")))
    assert (url.hostname, url.port) == ("h", port)
    assert (unquote(url.username or ""), unquote(url.path[1:])) == (names["user"], names["database"])


def test_passwords_are_marked_for_a_prompt_to_keep() -> None:
    opened = parse_one(
        "CREATE DATABASE d ENGINE = 'postgres', PARAMETERS = {'host': 'h', 'database': 'd', 'password': 'x'}"
    )
    named = parse_one(
        "CREATE DATABASE d ENGINE = 'postgres', PARAMETERS = {'host': 'h', 'database': 'd', 'password': SECRET 'env:P'}"
    )
    assert isinstance(opened, s.CreateSource)
    assert isinstance(named, s.CreateSource)
    assert (opened.open, named.open) == (("password",), ())


@pytest.mark.parametrize("engine", sorted(learning.ENGINES | learning.TELLERS | learning.ODD))
def test_an_engine_of_mindsdb_is_one_of_ours_or_a_sentence(engine: str) -> None:
    text = f"CREATE MODEL m FROM db (SELECT 1) PREDICT y USING engine = '{engine}'"
    if engine not in learning.ENGINES:
        with pytest.raises(TilthError, match=engine):
            parse_one(text)
        return
    found = parse_one(text)
    assert isinstance(found, s.CreateModel)
    assert found.using.get("engine") == "auto"
    assert engine in found.told[0]


PLACES = {
    "SELECT y FROM m.3": (("m", 3),),
    "SELECT y FROM m.3 AS x": (("m", 3),),
    "SELECT y FROM d JOIN m.12 x JOIN n FOR VERSION 2": (("m", 12), ("n", 2)),
    "SELECT 1.5, a.b FROM m": (),
    "SELECT 't.3' FROM m": (),
}


@pytest.mark.parametrize("text", PLACES)
def test_a_number_behind_a_models_name_is_its_version(text: str) -> None:
    plain, pins = time_travel(text)
    assert tuple((p.name, p.version) for p in pins) == PLACES[text]
    assert len(plain) <= len(text)


@pytest.mark.parametrize("text", ["SELECT m.3 FROM m", "SELECT y FROM (SELECT 1) AS s.3"])
def test_a_number_behind_another_name_is_refused(text: str) -> None:
    with pytest.raises(TilthError):
        time_travel(text)


QUALIFIED = {
    "SELECT * FROM t": "SELECT * FROM db.t",
    "SELECT t.a FROM t, u AS x": "SELECT t.a FROM db.t, db.u AS x",
    "WITH c AS (SELECT * FROM t) SELECT * FROM c": "WITH c AS (SELECT * FROM db.t) SELECT * FROM c",
    "SELECT * FROM s.t": "SELECT * FROM s.t",
    'SELECT * FROM "T t"': 'SELECT * FROM db."T t"',
    "SELECT 1": "SELECT 1",
}


@pytest.mark.parametrize("text", QUALIFIED)
def test_a_query_within_a_source_is_one_from_outside(text: str) -> None:
    assert of_source(text, "db") == QUALIFIED[text]


SHAPE = ModelShape(("a", "b"), ("y", "y_confidence", "y_lower", "y_upper", "y_explain"))
CLASSES = ModelShape(("a", "b"), ("y", "y_confidence", "y_probability"))
ROW = "FROM m WHERE a = 1 AND b = 2"
THEIRS = {
    f"SELECT y_min, Y_max {ROW}": (SHAPE, ["y_min", "Y_max"], {"y_lower", "y_upper"}),
    f"SELECT m.y_min + 1 AS low {ROW}": (SHAPE, ["low"], {"y_lower"}),
    f"SELECT y, y_anomaly, y_original {ROW}": (SHAPE, ["y", "y_anomaly", "y_original"], {"y"}),
    f"SELECT y_min {ROW}": (CLASSES, ["y_min"], set()),
    f"SELECT * {ROW}": (SHAPE, [*SHAPE.outputs, *SHAPE.inputs], set(SHAPE.outputs)),
}


@pytest.mark.parametrize("text", THEIRS)
def test_outputs_have_the_names_that_mindsdb_has_for_them(text: str) -> None:
    shape, columns, wanted = THEIRS[text]
    split = predictions(text, {"m": shape})
    assert isinstance(split, RowPrediction)
    assert [e.alias_or_name for e in tree(split.outer).expressions] == columns
    assert set(split.wanted) == wanted


def test_the_original_is_the_column_of_the_rows() -> None:
    schema = {
        "d": Schema((Field("a", DataType.FLOAT), Field("b", DataType.FLOAT), Field("y", DataType.FLOAT)))
    }
    split = predictions("SELECT m.y_original, m.y_max, d.y FROM d JOIN m", {"m": SHAPE}, schema)
    assert isinstance(split, JoinPrediction)
    original, most, own = tree(split.outer).expressions
    assert (original.alias, original.this.name) == ("y_original", own.this.name)
    assert most.alias == "y_max"
    assert [o for o, _ in split.models[0].outputs] == ["y_upper"]


def test_a_column_that_is_called_so_stays_what_it_is() -> None:
    shape = ModelShape(("a", "y_min"), SHAPE.outputs)
    split = predictions("SELECT y_min, y FROM m WHERE a = 1 AND y_min = 3", {"m": shape})
    assert isinstance(split, RowPrediction)
    assert set(split.wanted) == {"y"}
