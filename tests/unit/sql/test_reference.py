"""The reference of the language says what the parser does: its examples parse, and together they are a project."""

import re
from pathlib import Path

import pytest

from tilth.core.engines import Engine, Option, Span
from tilth.core.errors import UnsupportedError
from tilth.kinds import KINDS, compile, declares, parse, show  # noqa: A004
from tilth.resources.facts import Facts
from tilth.sql.language import actions, parser
from tilth.sql.language import acts as a
from tilth.sql.language import statements as s

TEXT = (Path(__file__).parents[3] / "docs" / "language.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```sql\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
STATEMENTS = [x for e in EXAMPLES for x in parse(e, "language.md")]


def test_every_statement_has_an_example() -> None:
    said = {*(k.statement for k in KINDS), *a.Action.__args__, s.Drop, a.Select}  # type: ignore[attr-defined]
    assert {type(x) for x in STATEMENTS} == said
    assert all(parse(show(x)) == (x,) for x in STATEMENTS)


def test_every_verb_and_kind_has_a_heading() -> None:
    headings = " ".join(re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE))
    for word in {*parser.VERBS, *(k.keyword for k in KINDS.order)} - {"WITH", "FROM", "VALUES", "CREATE"}:
        assert word in headings, word


def test_the_declarations_are_a_project() -> None:
    declared = [x for x in STATEMENTS if declares(x)]
    engines = (
        Engine("linear", options=(Option("ridge", least=0, span=Span(0.1, 100)),)),
        Engine("sklearn", options=None, prefixes=("estimator",), estimator=True),
        Engine("lightgbm", options=None),
    )
    graph = compile(
        declared,
        Facts(
            engines,
            {},
            ("dbt", "delta", "duckdb", "files", "http", "iceberg", "mysql", "postgres", "s3", "sqlite"),
        ),
    )
    assert [r.name for r in graph.upstream("late_api")] == ["ops", "wx", "departures", "late"]


@pytest.mark.parametrize("word", sorted(actions.LATER))
def test_what_comes_later_is_named(word: str) -> None:
    assert f"`{word}`" in TEXT.replace("`CREATE ", "`").replace("`DROP ", "`")
    with pytest.raises(UnsupportedError):
        parse(f"{'DROP' if word == 'TABLE' else 'CREATE'} {word} x.y")
