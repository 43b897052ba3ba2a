"""Where an error of a statement is: in what was given, whatever was put in, and whichever reads it."""

import pytest

from tilth.core.errors import InputError, LanguageError, Position, TilthError
from tilth.interfaces.cli import said
from tilth.sql.language.parameters import bind

FILE = "-- first\nSELECT 1;\n  SELECT a,\n  $long + x, $y FROM t; REFRESH DATASET d;\n"
VALUES = {"long": 7, "y": "it's a long text"}
PLACES = [
    (1, Position(1, 8, 1, None, "SELECT a,"), "f.sql:3:10", "  SELECT a,"),
    (1, Position(2, 7, 1, None, "  7 + x, 'it''s a long text' FROM t"), "f.sql:4:11", "  $long + x, $y FROM t; REFRESH DATASET d;"),
    (1, Position(2, 10, 20, None, "  7 + x, 'it''s a long text' FROM t"), "f.sql:4:14", "  $long + x, $y FROM t; REFRESH DATASET d;"),
    (1, Position(2, 3, 1, None, "  7 + x, 'it''s a long text' FROM t"), "f.sql:4:3", "  $long + x, $y FROM t; REFRESH DATASET d;"),
    (1, Position(4, 7, 1, "f.sql", "of the text with values"), "f.sql:4:11", "  $long + x, $y FROM t; REFRESH DATASET d;"),
    (1, Position(1, 8, 1, None, "of a deployed text"), "<deployed>:1:8", "of a deployed text"),
    (1, Position(9, 8, 1, None, "beyond"), "<deployed>:9:8", "beyond"),
    (2, None, "f.sql:4:25", "  $long + x, $y FROM t; REFRESH DATASET d;"),
    (2, Position(1, 8, 1, "other.sql", "elsewhere"), "other.sql:1:8", "elsewhere"),
]  # fmt: skip


@pytest.mark.parametrize(("number", "where", "place", "line"), PLACES)
def test_an_error_names_the_place_in_what_was_given(
    number: int, where: Position | None, place: str, line: str
) -> None:
    one = said.statements(FILE, VALUES, "f.sql")[number]
    with pytest.raises(TilthError) as raised, one.placed():
        raise TilthError("no", where=where)
    assert (str(raised.value.where), raised.value.where and raised.value.where.text) == (place, line)


def test_a_query_within_a_statement_is_placed_as_one_alone() -> None:
    one = said.statements("SELECT 1;\nCREATE DATASET d AS\n  SELECT x FROM s.t;", {}, "f.sql")[1]
    with pytest.raises(TilthError) as raised, one.placed():
        raise TilthError("no", where=Position(1, 8, 1, None, "SELECT x FROM s.t"))
    assert (str(raised.value.where), raised.value.where and raised.value.where.text) == (
        "f.sql:3:10",
        "  SELECT x FROM s.t;",
    )


def test_a_statement_of_the_command_line_has_no_place_but_its_own() -> None:
    one = said.statements("SELECT x", {})[0]
    with pytest.raises(TilthError) as raised, one.placed():
        raise TilthError("no")
    assert raised.value.where is None
    with pytest.raises(TilthError) as raised, one.placed():
        raise TilthError("no", where=Position(1, 8, 1, None, "SELECT x"))
    assert str(raised.value.where) == "<statement>:1:8"
    with pytest.raises(TilthError) as raised, one.placed():
        raise TilthError("no", where=Position(1, 8))
    assert (str(raised.value.where), raised.value.where and raised.value.where.text) == (
        "<statement>:1:8",
        None,
    )


DEPLOYED = [
    ("REFRESH DATASET d", Position(1, 8, 1, None, "CREATE DATASET d")),
    ("REFRESH DATASET d", Position(8, 5, 1, None, "    tenure BETWEEN 0 AND 108")),
    ("REFRESH DATASET d;\nSELECT 1", Position(2, 3, 1, None, "  KEY (id)")),
    ("SELECT x", Position(3, 1, 1, None, "FROM s.t")),
    ("CREATE DATASET d AS SELECT x FROM s.t", Position(2, 1, 1, None, "AS SELECT y FROM s.t")),
]


@pytest.mark.parametrize(("text", "where"), DEPLOYED)
@pytest.mark.parametrize("values", [{}, {"unused": 1}])
def test_a_place_in_a_deployed_declaration_is_none_in_what_was_given(
    text: str, where: Position, values: dict[str, said.Value]
) -> None:
    text = text + ("" if not values else "; SELECT $unused")
    one = said.statements(text, values)[0]
    with pytest.raises(TilthError) as raised, one.placed():
        raise TilthError("no", where=where)
    assert (str(raised.value.where), raised.value.where and raised.value.where.text) == (
        f"<deployed>:{where.line}:{where.column}",
        where.text,
    )


READ = [
    ("SELECT 1;\n  SELEC 2", {}, LanguageError, "f.sql:2:3"),
    ("SELECT $x; SELEC 2", {"x": "long text"}, LanguageError, "f.sql:1:12"),
    ("SELECT 1;\nSELECT $x", {}, InputError, "f.sql:2:8"),
    ("-- nothing", {}, LanguageError, "f.sql:1:1"),
    ("", {}, LanguageError, "f.sql:1:1"),
]


@pytest.mark.parametrize(("text", "values", "error", "place"), READ)
def test_what_cannot_be_read_is_placed_too(
    text: str, values: dict[str, said.Value], error: type[TilthError], place: str
) -> None:
    with pytest.raises(error) as raised:
        said.statements(text, values, "f.sql")
    assert str(raised.value.where) == place


@pytest.mark.parametrize("value", ["", "a", "a much longer text"])
def test_every_place_outside_of_values_goes_back_to_where_it_was(value: str) -> None:
    parts = ["SELECT ", "$x", ",\n b, ", "$y", "\n, ", "$x", " FROM t"]
    text, written = "".join(parts), f"'{value}'"
    bound, new, old = bind(text, {"x": value, "y": value}), 0, 0
    for part in parts:
        names = part.startswith("$")
        for at in range(1 if names else len(part)):
            where = Position(
                bound.text.count("\n", 0, new + at) + 1, new + at - bound.text.rfind("\n", 0, new + at)
            )
            back = bound.origin(where)
            assert (back.line, back.column) == (
                text.count("\n", 0, old + at) + 1, old + at - text.rfind("\n", 0, old + at)
            )  # fmt: skip
        new, old = new + len(written if names else part), old + len(part)
    assert bound.text == text.replace("$x", written).replace("$y", written)
