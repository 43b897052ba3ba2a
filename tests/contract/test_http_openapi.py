"""`/openapi.json` on a real server: it tells each role what it may call, and what is served now. `tests/clients` asks what it says."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import every_type
import http_server
import shop_project
from http_server import NARROW, ROW, Up, up, wait
from tilth.core.principals import Role
from tilth.interfaces.http.paths import PATHS
from tilth.plan.rights import RIGHTS

REQUIRED = "CREATE ENDPOINT keyed_api FOR MODEL m OUTCOMES FROM d (id, y) REQUIRE KEY;\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with up(http_server.applied(tmp_path_factory.mktemp("openapi") / "shop", NARROW)) as found:
        yield found


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The schemas of a server with an input of every type."""
    folder = tmp_path_factory.mktemp("typed") / "p"
    with up(every_type.applied(folder, every_type.DECLARED + REQUIRED)) as found:
        yield found.ask("GET", "/openapi.json").json["components"]["schemas"]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (v for k, v in value.items() if k == "$ref")
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from references(one)


@pytest.mark.parametrize("role", Role)
def test_each_role_sees_the_paths_that_it_may_call(server: Up, role: Role) -> None:
    project = shop_project.opened(server.folder)
    given = str(project.sql(f"CREATE TOKEN '{role}' FOR {role}").facts["token"])
    project.close()
    headers = {"Authorization": f"Bearer {given}"}
    wait(lambda: server.ask("GET", "/openapi.json", headers=headers, token=False).status == 200)
    found = server.ask("GET", "/openapi.json", headers=headers, token=False).json
    mine = {p: k for p, k in PATHS.items() if not k.rights or not RIGHTS[role].isdisjoint(k.rights)}
    named = {
        p.replace("<endpoint>", "late_api").replace("<version>", "{version}"): k for p, k in mine.items()
    }
    assert {p: set(o) for p, o in found["paths"].items()} == {p: {k.method.lower()} for p, k in named.items()}
    for path, known in named.items():
        (operation,) = found["paths"][path].values()
        assert ("security" in operation) is bool(known.rights)
        assert set(operation["responses"]) == {"200", *map(str, known.ends)}
    for place in references(found):
        inner = found
        for part in place.removeprefix("#/").split("/"):
            inner = inner[part]
    names = [next(iter(o.values()))["operationId"] for o in found["paths"].values()]
    assert len(set(names)) == len(names)


def test_it_needs_a_token_and_takes_no_other_method(server: Up) -> None:
    assert server.ask("GET", "/openapi.json", token=False).status == 401
    found = server.ask("POST", "/openapi.json", {})
    assert (found.status, found.headers["allow"]) == (405, "GET, HEAD")


def test_it_changes_with_what_is_served(server: Up, tmp_path: Path) -> None:
    shutil.copytree(server.folder, tmp_path / "shop", ignore=shutil.ignore_patterns("*.lock"))
    project = shop_project.opened(tmp_path / "shop")
    with up(tmp_path / "shop") as mine:

        def row() -> Any:
            return mine.ask("GET", "/openapi.json").json["components"]["schemas"]["Row.late_api"]

        assert "distance" not in row()["properties"]
        assert mine.predict(row()["examples"][0]).status == 200
        (tmp_path / "shop" / "shop.sql").write_text(shop_project.DECLARED)
        project.apply()
        wait(lambda: "distance" in row()["properties"])
        assert "in training 1 to 60" in row()["properties"]["distance"]["description"]
        assert {"distance", "carrier", "ordered_at"} == set(row()["required"])
        assert mine.predict(row()["examples"][0]).status == mine.predict(ROW).status == 200
    project.close()


def test_what_training_saw_is_left_out_when_it_cannot_be_read_and_the_log_says_so(
    server: Up, tmp_path: Path
) -> None:
    shutil.copytree(server.folder, tmp_path / "shop", ignore=shutil.ignore_patterns("*.lock"))
    with up(tmp_path / "shop") as mine:
        assert mine.predict(ROW).status == 422
        shutil.rmtree(tmp_path / "shop" / ".tilth" / "bundles")
        found = mine.ask("GET", "/openapi.json")
        assert found.status == 200
        row = found.json["components"]["schemas"]["Row.late_api"]
        assert "examples" not in row
        assert set(row["required"]) == {"carrier", "ordered_at"}
        assert "goes without what training saw" in mine.log.read_text()


# --- an input of every type -----------------------------------------------------------------------------------

INPUTS: dict[str, dict[str, Any]] = {
    "n": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "x": {"type": "number"},
    "t": {"type": "string"},
    "b": {"type": "boolean"},
    "d": {"type": "string", "format": "date"},
    "s": {"type": "string", "format": "date-time"},
    "id": {"type": "integer"},
}
ROWS = [  # the schema, what must be given, what may not be null
    ("Row.api", "nxtbds", ""),
    ("Row.strict_api", "nxtbds", "nxtbds"),
    ("Listed.strict_api", "nxtbds", ""),  # there such a row is an error of its own
    ("Row.keyed_api", ["id", *"nxtbds"], ["id"]),
]


@pytest.mark.parametrize(("name", "must", "full"), ROWS, ids=[r[0] for r in ROWS])
def test_a_row_says_what_must_be_given_and_what_may_be_null(
    typed: dict[str, Any], name: str, must: list[str], full: list[str]
) -> None:
    row = typed[name]
    assert set(row["required"]) == set(must)
    assert row["additionalProperties"] is False
    for column, known in INPUTS.items():
        said = row["properties"][column]
        kind = known["type"] if column in set(full) else [known["type"], "null"]
        assert said == {**said, **known, "type": kind}
        assert "enum" not in said  # no value is refused for being a new one


def test_outputs_have_their_classes_and_a_strict_models_rows_their_error(typed: dict[str, Any]) -> None:
    part = typed["Part.api"]["properties"]
    assert part["y"] == {"enum": [False, True], "description": "the predicted class"}
    assert part["y_probability"]["description"] == "how likely `true` is"
    assert set(part) == {"y", "y_confidence", "y_probability", "y_probabilities", "y_explain", "notices"}
    assert typed["Answers.api"]["properties"]["rows"]["items"] == {"$ref": "#/components/schemas/Part.api"}
    strict = typed["Answers.strict_api"]["properties"]["rows"]["items"]["anyOf"]
    assert {"$ref": "#/components/schemas/Failure"} in strict
    assert typed["Rows.api"]["maxItems"] == 20_000
