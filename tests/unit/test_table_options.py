"""What a source is told of its tables: read, or refused with the nearest name."""

from typing import Any

import pytest

from tilth.adapters.sources import table_options
from tilth.adapters.sources.table_options import TableOptions
from tilth.core.errors import ProjectError, UnknownNameError

TYPES = ("VARCHAR", "BIGINT", "DOUBLE", "DECIMAL(p, s)")
KNOWN = ("types", "times", "misfits")


def read(options: dict[str, Any]) -> table_options.Tables:
    return table_options.read(options, KNOWN, TYPES)


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        ("VARCHAR", "VARCHAR"),
        ("text", "VARCHAR"),
        ("Integer", "BIGINT"),
        ("real", "DOUBLE"),
        ("decimal(38, 0)", "DECIMAL(38,0)"),
        ("NUMERIC(9,2)", "DECIMAL(9,2)"),
        ("DECIMAL(9)", "DECIMAL(9,0)"),
    ],
)
def test_types_are_found_by_their_common_names(given: str, becomes: str) -> None:
    told = read({"tables": {"t": {"types": {"a": given}}}}).of("t")
    assert told.type_of("a") == becomes
    assert told.type_of("A") == becomes
    assert told.type_of("b") is None


def test_an_exactly_written_column_comes_first() -> None:
    told = TableOptions({"amount": "BIGINT", "Amount": "VARCHAR"})
    assert (told.type_of("Amount"), told.type_of("amount")) == ("VARCHAR", "BIGINT")


def test_misfits_are_those_of_the_table_or_else_of_the_source() -> None:
    told = read({"misfits": "null", "tables": {"t": {"misfits": "quarantine"}, "u": {}}})
    assert [told.of(t).misfits for t in ("t", "T", "u", "v")] == ["quarantine", "quarantine", "null", "null"]


@pytest.mark.parametrize(
    ("options", "says", "hints"),
    [
        ({"tables": {"t": {"typs": {}}}}, "no `typs`", "types"),
        ({"tables": {"t": {"types": {"a": "VARCHR"}}}}, "`VARCHR` of column `a`", "VARCHAR"),
        ({"tables": {"t": {"types": {"a": "DECIMAL(39,0)"}}}}, "`DECIMAL(39,0)`", "DECIMAL(p, s)"),
        ({"tables": {"t": {"types": {"a": "DECIMAL(5,6)"}}}}, "`DECIMAL(5,6)`", "DECIMAL(p, s)"),
        ({"tables": {"t": {"times": {"a": "millis"}}}}, "`millis`", "milliseconds"),
        ({"misfits": "nul"}, "`nul`", "null"),
        ({"tables": {"t": {"misfits": "drop"}}}, "`drop`", "quarantine"),
    ],
)
def test_unknown_words_get_the_nearest(options: dict[str, Any], says: str, hints: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        read(options)
    assert says in caught.value.message
    assert hints in (caught.value.hint or "")


@pytest.mark.parametrize(
    "options", [{"tables": "t"}, {"tables": {"t": 1}}, {"tables": {"t": {"types": ["a"]}}}]
)
def test_what_is_no_list_of_names_is_told_how_to_be_written(options: dict[str, Any]) -> None:
    with pytest.raises(ProjectError, match="list of names") as caught:
        read(options)
    assert "Write " in (caught.value.hint or "")


def test_tables_and_columns_must_be_there() -> None:
    told = read({"tables": {"orders": {"types": {"ammount": "VARCHAR"}}}})
    told.check(["Orders", "x"])
    with pytest.raises(UnknownNameError, match="orders") as caught:
        told.check(["order", "x"])
    assert "`order`" in (caught.value.hint or "")
    with pytest.raises(UnknownNameError, match="ammount") as caught:
        told.of("orders").check(["amount"])
    assert "`amount`" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("table", "column", "written"),
    [
        ("t", "id", "tables = {t: {types: {id: 'VARCHAR'}}}"),
        ("T", 'a"b', 'tables = {"T": {types: {"a""b": \'VARCHAR\'}}}'),
    ],
)
def test_an_option_is_written_to_be_pasted(table: str, column: str, written: str) -> None:
    from tilth.kinds import parse_one

    assert table_options.option(table, "types", column, "VARCHAR") == written
    made = parse_one(f"CREATE SOURCE s ENGINE sqlite WITH (path = 'x', {written})")
    inner = made.options.get("tables").items[0]  # type: ignore[union-attr]
    assert (inner[0], inner[1].items[0][1].items) == (table, ((column, "VARCHAR"),))  # type: ignore[union-attr]
