"""Contracts of ODCS 3.1: each rule as an item of EXPECT, what is not known is an error, and a declaration comes back as it was."""

from typing import Any

import pytest
import yaml

from tilth.app.contracts.reading import read
from tilth.app.contracts.rules import item
from tilth.app.contracts.writing import contract, written
from tilth.core.errors import InputError, ProjectError
from tilth.core.schema import DataType, Field, Schema
from tilth.kinds import parse_one, show
from tilth.sql.language.statements import CreateDataset

RULES: list[tuple[dict[str, Any], str]] = [
    ({"metric": "nullValues", "mustBe": 0}, "c IS NOT NULL ON FAIL STOP"),
    ({"metric": "nullValues", "mustBeLessThan": 5, "unit": "percent", "severity": "warning"},
     "100.0 * (COUNT(*) FILTER (WHERE c IS NULL)) / COUNT(*) < 5 ON FAIL WARN"),
    ({"metric": "missingValues", "mustBe": 0, "arguments": {"missingValues": [None, "", "N/A"]}}, "c IS NOT NULL AND c NOT IN ('', 'N/A') ON FAIL STOP"),
    ({"metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": ["a", "it's", 3]}}, "c IS NULL OR c IN ('a', 'it''s', 3) ON FAIL STOP"),
    ({"metric": "invalidValues", "mustBeLessOrEqualTo": 9, "arguments": {"pattern": "^x"}},
     "COUNT(*) FILTER (WHERE c IS NOT NULL AND NOT regexp_matches(c, '^x')) <= 9 ON FAIL STOP"),
    ({"metric": "duplicateValues", "mustBe": 0}, "COUNT(c) - COUNT(DISTINCT c) = 0 ON FAIL STOP"),
    ({"metric": "duplicateValues", "mustBeLessThan": 2, "arguments": {"properties": ["a", "b"]}}, "COUNT((a, b)) - COUNT(DISTINCT (a, b)) < 2 ON FAIL STOP"),
    ({"metric": "rowCount", "mustBeBetween": [10, 20]}, "COUNT(*) BETWEEN 10 AND 20 ON FAIL STOP"),
    ({"rule": "rowCount", "mustNotBe": 0}, "COUNT(*) <> 0 ON FAIL STOP"),
    ({"type": "sql", "query": "SELECT COUNT(*) FROM ${object} WHERE ${property} IS NULL", "mustBeLessThan": 3}, "COUNT(*) FILTER (WHERE c IS NULL) < 3 ON FAIL STOP"),
    ({"type": "sql", "query": "SELECT AVG(c) FROM {table};", "mustBeGreaterThan": 1.5}, "AVG(c) > 1.5 ON FAIL STOP"),
    ({"type": "custom", "engine": "tilth", "implementation": "USUAL (volume) FALSE ALARMS '1 per year'"}, "USUAL (volume) FALSE ALARMS '1 per year' ON FAIL STOP"),
    ({"metric": "rowCount", "mustBe": 1, "customProperties": [{"property": "tilth.onFail", "value": "warn"}]}, "COUNT(*) = 1 ON FAIL WARN"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "expected"), RULES, ids=lambda v: str(v)[:50])
def test_a_rule_is_an_item(rule: dict[str, Any], expected: str) -> None:
    made = item(rule, "t.c", "c")
    assert made == expected
    parse_one(f"CREATE DATASET d EXPECT ({made}) AS SELECT 1 AS c")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"metric": "medianValues", "mustBe": 0}, "the metric 'medianValues' is not known"),
        ({"metric": "rowCount"}, "has 0 comparisons"),
        ({"metric": "rowCount", "mustBe": 1, "mustNotBe": 2}, "has 2 comparisons"),
        ({"metric": "rowCount", "mustBeBetween": [1]}, "no pair of numbers"),
        ({"metric": "rowCount", "mustBe": [1]}, "mustBe is"),
        ({"metric": "rowCount", "mustBe": 1, "unit": "litres"}, "the unit 'litres'"),
        ({"metric": "invalidValues", "mustBe": 0}, "does not say what is valid"),
        ({"metric": "invalidValues", "mustBe": 0, "arguments": {"validRange": [1, 2]}}, "does not know 'validRange'"),
        ({"type": "custom", "engine": "soda", "implementation": "x"}, "the engine 'soda'"),
        ({"type": "magic", "mustBe": 0}, "type 'magic'"),
        ({"metric": "rowCount", "mustBe": 1, "threshold": 5}, "`threshold` is no part"),
        ({"type": "sql", "query": "SELECT a, b FROM ${object}", "mustBe": 1}, "not one aggregate"),
        ({"type": "sql", "query": "SELECT COUNT(*) FROM a JOIN b USING (c)", "mustBe": 1}, "not one aggregate"),
        ({"type": "sql", "query": "", "mustBe": 1}, "not one aggregate"),
        ({"metric": "rowCount", "mustBe": 1, "customProperties": [{"property": "tilth.onFail", "value": "panic"}]}, "tilth.onFail"),
        ("rowCount > 0", "no rule"),
    ],
    ids=lambda v: str(v)[:40],
)  # fmt: skip
def test_a_rule_that_is_not_known_is_an_error_with_its_place(rule: Any, said: str) -> None:
    with pytest.raises(ProjectError) as caught:
        item(rule, "orders.c.quality[2]", "c")
    assert said in caught.value.message
    assert "orders.c.quality[2]" in caught.value.message
    assert caught.value.hint


def test_a_rule_in_words_is_none() -> None:
    assert item({"type": "text", "description": "verified"}, "t", None) is None


WHOLE = """
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 2.0.0
status: active
team: {name: sales}
slaProperties:
- {property: latency, value: 36, unit: h, element: orders.placed_at}
schema:
- name: orders
  physicalName: tbl_orders
  properties:
  - {name: id, logicalType: integer, primaryKey: true, primaryKeyPosition: 1, required: true}
  - {name: placed_at, logicalType: timestamp, required: true}
  - {name: email, logicalType: string, unique: true, tags: [pii], logicalTypeOptions: {pattern: '@', maxLength: 200}}
  - {name: amount, logicalType: number, logicalTypeOptions: {minimum: 0, exclusiveMaximum: 1000}}
  - name: country
    relationships: [{to: countries.country}]
    quality: [{metric: invalidValues, arguments: {validValues: [DE, FR]}, mustBe: 0, severity: warning}]
  quality:
  - {metric: rowCount, mustBeGreaterThan: 100}
  - {type: text, description: people look at it}
"""
MADE = """CREATE DATASET orders
  KEY (id)
  EVENT TIME placed_at
  EXPECT (
    placed_at IS NOT NULL ON FAIL STOP,
    COUNT(DISTINCT email) = COUNT(email) ON FAIL STOP,
    email IS NULL OR regexp_matches(email, '@') ON FAIL STOP,
    email IS NULL OR length(email) <= 200 ON FAIL STOP,
    amount IS NULL OR amount >= 0 ON FAIL STOP,
    amount IS NULL OR amount < 1000 ON FAIL STOP,
    REFERENCES ops.countries (country) ON FAIL STOP,
    country IS NULL OR country IN ('DE', 'FR') ON FAIL WARN,
    COUNT(*) > 100 ON FAIL STOP,
    FRESH WITHIN '1 day 12 hours' ON FAIL STOP
  )
  TAG (email = 'pii')
AS SELECT id, placed_at, email, amount, country FROM ops.tbl_orders;"""


def test_a_whole_contract_is_a_declaration() -> None:
    found = read(WHOLE, "ops")
    assert found.datasets == {"orders": MADE}
    assert found.in_words == ("orders: people look at it",)


def changed(**more: Any) -> str:
    return yaml.safe_dump({**yaml.safe_load(WHOLE), **more})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (changed(apiVersion="v2.2.2"), "of version 'v2.2.2'"),
        (changed(apiVersion="v4.0.0"), "of version 'v4.0.0'"),
        (changed(kind="Recipe"), "no data contract"),
        ("a: [", "no YAML in line"),
        ("- 1", "no data contract"),
        ("", "no data contract"),
        ("&a [*a]", "no data contract"),
        (changed(schema=[]), "there is no object"),
        (changed(schema=[{"properties": []}]), "has no name"),
        (changed(schema=[{"name": "a"}, {"name": "A"}]), "is there twice"),
        (changed(schema=[{"name": "a", "properties": [{"name": "x"}, {"name": "X"}]}]), "one name"),
        (changed(schema=[{"name": "a", "properties": [{"name": "x", "logicalTypeOptions": {"luck": 1}}]}]), "'luck'"),
        (changed(schema=[{"name": "a", "relationships": [{"from": "a.x", "to": "b.x"}]}]), "relationships"),
        (changed(slaProperties=[{"property": "latency", "value": "soon"}]), "how fresh"),
    ],
    ids=lambda v: str(v)[:30],
)  # fmt: skip
def test_what_is_no_contract_of_3_1_is_an_error(text: str, said: str) -> None:
    with pytest.raises((InputError, ProjectError)) as caught:
        read(text, "ops")
    assert said in str(caught.value)


def test_without_a_source_the_rows_are_nowhere() -> None:
    with pytest.raises(ProjectError, match="where the rows of `orders` are"):
        read(WHOLE)


@pytest.mark.parametrize(
    "text",
    [
        MADE,
        "CREATE DATASET d AS SELECT 1 AS x;",
        """CREATE DATASET d KEY (b, "select") EVENT TIME at KNOWN AT placed_at REFRESH EVERY '1 hour' INCREMENTAL LOOKBACK '2 hours' EXPECT (
             x BETWEEN -1.5 AND 2 ON FAIL QUARANTINE, x > 0 AND y IN ('it''s', ';') ON FAIL WARN, AVG(x) BETWEEN 1 AND 2 ON FAIL WARN, COUNT(*) >= 10,
             SUM(x) / COUNT(*) <> 3 ON FAIL WARN, median(x) < 0.5 ON FAIL WARN, x <> '${object}' ON FAIL WARN, FRESH WITHIN '2 days' ON FAIL WARN,
             USUAL (volume, nulls) HOLIDAYS 'DE' FALSE ALARMS '2 per year' ON FAIL WARN) TAG (x = 'pii')
           AS SELECT * FROM s.t -- a comment
           WHERE a <> ';';""",
    ],
)  # fmt: skip
def test_a_declaration_comes_back_as_it_was(text: str) -> None:
    declared = parse_one(text)
    assert isinstance(declared, CreateDataset)
    schema = Schema(
        tuple(Field(n, DataType.STRING) for n in ("b", "select", "id", "at", "placed_at", "email", "x", "y"))
    )
    (back,) = read(written(declared, schema)).datasets.values()
    assert back == show(declared)
    assert {r["type"] for o in contract(declared, schema)["schema"] for r in o.get("quality", ())} <= {
        "sql",
        "custom",
    }
