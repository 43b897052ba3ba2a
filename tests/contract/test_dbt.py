"""What a dbt project makes as tables: relations of a manifest over another source, and its tests as items of EXPECT."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

import tilth
from tilth.adapters.sources.dbt import manifest
from tilth.core.errors import ProjectError, SourceError, TilthError, UnknownNameError
from tilth.interfaces.cli.commands import run
from tilth.kinds import parse

DECLARED = """
CREATE SOURCE dw ENGINE duckdb WITH (path = 'dw.duckdb');
CREATE SOURCE shop ENGINE dbt WITH (manifest = 'target/manifest.json', connection = dw);
"""
V12 = "https://schemas.getdbt.com/dbt/manifest/v12.json"


def node(kind: str, name: str, **more: Any) -> tuple[str, dict[str, Any]]:
    unique = f"{kind}.shop.{name}"
    base = {"resource_type": kind, "unique_id": unique, "name": name, "schema": "marts", "alias": name}
    return unique, {**base, "config": {"enabled": True, "materialized": "table"}, "columns": {}, **more}


def check(
    name: str, column: str | None, of: str, kind: str | None = None, config: Any = None, **kwargs: Any
) -> Any:
    meta = {"test_metadata": {"name": kind, "kwargs": kwargs}} if kind else {}
    return node(
        "test", name, column_name=column, attached_node=of, config=config or {"severity": "ERROR"}, **meta
    )


ORDERS = "model.shop.orders"
NODES = dict(
    [
        node("model", "orders", description="One row an order.", columns={"id": {"name": "id", "description": "its number"}}),
        node("model", "customers", alias="dim_customers"),
        node("model", "steps", config={"enabled": True, "materialized": "ephemeral"}),
        node("model", "off", config={"enabled": False}),
        node("seed", "countries", schema="seeds"),
        node("model", "prices", alias="prices_v1", version=1, latest_version=2),
        node("analysis", "why"),
        check("a", "id", ORDERS, "unique"),
        check("b", "id", ORDERS, "not_null", config={"severity": "warn"}),
        check("c", "status", ORDERS, "accepted_values", values=["new", "it's paid"]),
        check("d", "grade", ORDERS, "accepted_values", values=[1, 2], quote=False),
        check("e", "customer_id", ORDERS, "relationships", to="ref('customers')", field="customer_id"),
        check("f", "country", ORDERS, "relationships", to="ref('countries')", field="code"),
        check("g", None, ORDERS),
        check("h", "id", ORDERS, "not_null", config={"severity": "error", "where": "id > 3"}),
        check("i", "id", ORDERS, "sequential_values"),
    ]
)  # fmt: skip
SOURCES = {
    "source.shop.raw.events": {
        "resource_type": "source", "unique_id": "source.shop.raw.events", "source_name": "raw", "name": "events",
        "schema": "raw", "identifier": "events_2024", "columns": {}, "loaded_at_field": "at",
        "freshness": {"warn_after": {"count": 12, "period": "hour"}, "error_after": {"count": 2, "period": "day"}},
    }
}  # fmt: skip


def written(folder: Path, declared: str = DECLARED, **more: Any) -> Path:
    (folder / "target").mkdir(parents=True)
    made = {
        "metadata": {"dbt_schema_version": V12, "adapter_type": "duckdb"},
        "nodes": NODES,
        "sources": SOURCES,
        **more,
    }
    (folder / "target" / "manifest.json").write_text(json.dumps(made))
    (folder / "all.sql").write_text(declared)
    with duckdb.connect(folder / "dw.duckdb") as db:
        for statement in (
            "CREATE SCHEMA marts", "CREATE SCHEMA seeds", "CREATE SCHEMA raw",
            "CREATE TABLE marts.orders AS SELECT range AS id, 'new' AS status, 1 AS grade, range % 7 AS customer_id FROM range(50)",
            "CREATE TABLE marts.dim_customers AS SELECT range AS customer_id FROM range(7)",
            "CREATE TABLE marts.prices_v1 AS SELECT 1 AS id", "CREATE TABLE seeds.countries AS SELECT 'NO' AS code",
            "CREATE TABLE raw.events_2024 AS SELECT TIMESTAMP '2024-01-01' AS at",
        ):  # fmt: skip
            db.execute(statement)
    return folder


def test_models_seeds_and_sources_are_tables_where_they_lie(tmp_path: Path) -> None:
    project = tilth.open(str(written(tmp_path / "p")))
    project.apply()
    names = [r["name"] for r in project.sql("SHOW TABLES FROM shop").rows()]
    assert names == ["countries", "customers", "orders", "prices_v1", "raw__events"]
    joined = "SELECT count(*) AS n FROM shop.orders o JOIN shop.customers c ON c.customer_id = o.customer_id"
    assert project.sql(joined).rows() == [{"n": 50}]
    assert project.sql("SELECT code FROM shop.countries").rows() == [{"code": "NO"}]
    assert project.sql("SELECT * FROM shop.raw__events e WHERE e.at > '2023-01-01'").rows()
    for name, why in (("steps", "it is ephemeral"), ("off", "it is not enabled")):
        with pytest.raises(UnknownNameError, match=why):
            project.sql(f"SELECT * FROM shop.{name}")


def test_tests_are_offered_as_checks_that_run(tmp_path: Path) -> None:
    project = tilth.open(str(written(tmp_path / "p")))
    project.apply()
    result = project.sql("DESCRIBE shop")
    tables = {t["name"]: t for t in result.facts["tables"]}
    items = [o["item"] for o in tables["orders"]["offered"] if o["item"]]
    assert items == [
        "COUNT(DISTINCT id) = COUNT(id) ON FAIL STOP",
        "id IS NOT NULL ON FAIL WARN",
        "(status IS NULL OR status IN ('new', 'it''s paid')) ON FAIL STOP",
        "(grade IS NULL OR grade IN (1, 2)) ON FAIL STOP",
        "REFERENCES shop.customers (customer_id) ON FAIL STOP",
    ]
    whys = [o["why"] for o in tables["orders"]["offered"] if not o["item"]]
    assert ["REFERENCES wants" in whys[0], *whys[1:]] == [
        True, "it is a query of its own", "it has a `where`", "it has no like here",
    ]  # fmt: skip
    fresh = [(o["item"], o["was"]) for o in tables["raw__events"]["offered"]]
    assert fresh[0] == (
        "FRESH WITHIN '2 days' ON FAIL STOP",
        "freshness, error_after. The dataset needs EVENT TIME at.",
    )
    assert fresh[1][0] == "FRESH WITHIN '12 hours' ON FAIL WARN"
    assert (tables["orders"]["comment"], tables["orders"]["columns"][0]["comment"]) == (
        "One row an order.",
        "its number",
    )
    shown = "\n".join(str(r) for r in result.rows())
    assert "checks to take over" in shown
    assert "its number" in shown
    dataset = f"CREATE DATASET d KEY (id) EXPECT ({', '.join(items)}) AS SELECT * FROM shop.orders;"
    (tmp_path / "p" / "d.sql").write_text(dataset)
    assert {d.status for d in tilth.open(str(tmp_path / "p")).apply().did} == {"done"}


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (
            {"dbt_schema_version": V12.replace("v12", "v20")},
            "of version 20, and was read as one of version 12 is",
        ),
        ({}, "of no version that is said"),
    ],
)
def test_a_manifest_of_another_version_is_read_and_told(tmp_path: Path, metadata: Any, said: str) -> None:
    more = {**NODES, "x.y": {"resource_type": "semantic_thing", "name": "x"}}
    folder = written(tmp_path / "p", metadata=metadata, nodes=more)
    found = manifest.read(str(folder / "target" / "manifest.json"), str(folder))
    assert said in found.told[0]
    assert "semantic_thing are not known" in found.told[1]
    assert set(found.relations) == {"countries", "customers", "orders", "prices_v1", "raw__events"}


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "is not JSON"), ("[1]", "no manifest of dbt's"), ('{"nodes": 3}', "no manifest"), ("[" * 99_999, "is not JSON"), (None, "no such file|cannot be read|No such file")],
)  # fmt: skip
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    folder = written(tmp_path / "p")
    path = folder / "target" / "manifest.json"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(TilthError, match=said):
        tilth.open(str(folder)).apply()


def test_nodes_of_other_shapes_are_passed_over() -> None:
    odd: dict[str, Any] = {
        "a": None,
        "b": [],
        "c": {"resource_type": "model"},
        "d": {"resource_type": "model", "name": 3, "unique_id": "m.d"},
    }
    found = manifest._manifest({"nodes": {**odd, **NODES}, "sources": {"s": None}, "metadata": None})
    assert len(found.relations) == 4
    assert any("it has no name" in left for left in found.left)


@pytest.mark.parametrize(
    ("declared", "error", "said"),
    [
        ("CREATE SOURCE s ENGINE dbt WITH (manifest = 'm.json', connection = nowhere);", UnknownNameError, "source `nowhere`, and there is none such"),
        ("CREATE SOURCE s ENGINE dbt WITH (manifest = 'm.json');", ProjectError, "needs a manifest and a connection"),
        ("CREATE SOURCE s ENGINE dbt WITH (manifest = 'm.json', connection = s);", UnknownNameError, "none such"),
        (DECLARED + "CREATE SOURCE t ENGINE dbt WITH (manifest = 'target/manifest.json', connection = dw, path = 'x');", UnknownNameError, "no option `path`"),
        (DECLARED.replace("target/manifest.json", "../../../etc/hostname"), TilthError, "hostname"),
    ],
)  # fmt: skip
def test_what_is_declared_wrong_is_said(
    tmp_path: Path, declared: str, error: type[TilthError], said: str
) -> None:
    with pytest.raises(error, match=said):
        tilth.open(str(written(tmp_path / "p", declared))).apply()


def test_a_relation_that_is_not_built_is_an_error_of_its_name(tmp_path: Path) -> None:
    folder = written(tmp_path / "p")
    with duckdb.connect(folder / "dw.duckdb") as db:
        db.execute("DROP TABLE marts.orders")
    project = tilth.open(str(folder))
    project.apply()
    with pytest.raises((SourceError, UnknownNameError), match="orders"):
        project.sql("SELECT * FROM shop.orders")


def test_a_connection_is_named_without_quotes_and_shown_with_them() -> None:
    from tilth.kinds import show

    (found,) = parse("CREATE SOURCE s ENGINE dbt WITH (manifest = 'm', connection = dw);")
    assert "connection = 'dw'" in show(found)
    assert parse(show(found))[0].options == found.options


def test_a_model_is_written_as_an_exposure(tmp_path: Path) -> None:
    folder = written(tmp_path / "p")
    with duckdb.connect(folder / "dw.duckdb") as db:
        db.execute("ALTER TABLE marts.orders ADD good BOOLEAN")
        db.execute("UPDATE marts.orders SET good = (id * 7) % 5 > 2")
        db.execute(
            "INSERT INTO marts.orders SELECT range + 50, 'new', 1, range % 7, (range * 7) % 5 > 2 FROM range(300)"
        )
    (folder / "m.sql").write_text(
        "CREATE DATASET d KEY (id) AS SELECT o.id, o.customer_id, o.good, e.at FROM shop.orders o LEFT JOIN shop.raw__events e ON true;"
        "CREATE MODEL late PREDICT good FROM d USING (engine = 'linear') PROMOTE IF manual;"
    )
    project = tilth.open(str(folder))
    project.apply()
    (version,) = project.sql("SELECT version FROM tilth.versions").rows()
    project.sql(f"PROMOTE MODEL late VERSION {version['version']} BECAUSE 'a test'")
    out = tmp_path / "late.yml"
    line = [
        "export",
        "late",
        "--format",
        "dbt",
        "--owner",
        "ml@shop.example",
        "--output",
        str(out),
        "--project",
        str(folder),
    ]
    assert run(line) == 0
    found = yaml.safe_load(out.read_text())
    assert found["exposures"] == [
        {
            "name": "late", "type": "ml", "label": "late", "description": "Model late of tilth, version 1.",
            "owner": {"email": "ml@shop.example"}, "depends_on": ["ref('orders')", "source('raw', 'events')"],
        }
    ]  # fmt: skip
    assert run(line) != 0
    assert run(["export", "late", "--format", "onnx", "--owner", "x", "--project", str(folder)]) == 2
