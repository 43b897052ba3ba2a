"""A value of an input is the same at every door: one table of odd values, asked in nine ways, with no difference.

Each value either counts as another (3.0 as 3, a date as its midnight), or is a gap, or is refused, and that at each door
that can say it at all: JSON has no NaN, SQL no text for a number.
"""

import json
import math
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

import every_type
import http_server
import tilth
from fixtures.types.inputs import BASE, GAP, REFUSED
from fixtures.types.inputs import ROWS as CASES
from tilth.core.errors import InputError, TilthError
from tilth.interfaces.cli.commands import tilth as command
from tilth.ml.model.gaps import GapWarning, OutsideWarning


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, http_server.Up]]:
    folder = every_type.applied(tmp_path_factory.mktemp("doors") / "p")
    project = tilth.open(str(folder))
    with http_server.up(folder) as server:
        yield project, server
    project.close()


# --- the doors ---------------------------------------------------------------------------------------------

Answer = tuple[float | None, bool] | str  # P(yes) and whether a gap was told; or REFUSED
CANNOT = "cannot say it"


def _http_value(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def _has_json(value: Any) -> bool:
    return not (isinstance(value, float) and not math.isfinite(value))


def by_http(project: Any, server: Any, model: str, row: dict[str, Any], *, many: bool = False) -> Answer:
    if not all(map(_has_json, row.values())):
        return CANNOT
    body = {k: _http_value(v) for k, v in row.items()}
    found = server.predict([body] if many else body, path=f"/predict/{_endpoint(model)}")
    if found.status != 200:
        assert found.status == 422, found.body[:300]
        return REFUSED
    answer = found.json["rows"][0] if many else found.json
    return REFUSED if "error" in answer else (answer["y_probability"], "notices" in answer)


def by_array(project: Any, server: Any, model: str, row: dict[str, Any]) -> Answer:
    return by_http(project, server, model, row, many=True)


def by_v2(project: Any, server: Any, model: str, row: dict[str, Any]) -> Answer:
    if not all(map(_has_json, row.values())):
        return CANNOT
    kinds = {"n": "INT64", "x": "FP64", "b": "BOOL"}
    tensors = [
        {"name": k, "shape": [1], "datatype": kinds.get(k, "BYTES"), "data": [_http_value(v)]}
        for k, v in row.items()
    ]
    found = server.ask("POST", f"/v2/models/{_endpoint(model)}/infer", {"inputs": tensors})
    if found.status != 200:
        assert found.status == 422, found.body[:300]
        return REFUSED
    data = {o["name"]: o["data"][0] for o in found.json["outputs"]}
    return (data["y_probability"], bool(found.json["parameters"].get("notices")))


def _endpoint(model: str) -> str:
    return "api" if model == "m" else "strict_api"


def _warned(call: Callable[[], Any]) -> tuple[Any, bool]:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", GapWarning)
        warnings.simplefilter("always", OutsideWarning)
        return call(), any(issubclass(w.category, GapWarning | OutsideWarning) for w in told)


def by_dict(project: Any, server: Any, model: str, row: dict[str, Any]) -> Answer:
    found, told = _warned(lambda: project.model(model).predict(row))
    return (found["y_probability"], told)


def by_list(project: Any, server: Any, model: str, row: dict[str, Any]) -> Answer:
    found, told = _warned(lambda: project.model(model).predict([row]))
    return REFUSED if found[0]["y_probability"] is None else (found[0]["y_probability"], told)


def by_table(project: Any, server: Any, model: str, row: dict[str, Any]) -> Answer:
    if any(isinstance(v, int) and not -(2**63) <= v < 2**64 for v in row.values()):
        return CANNOT
    types = {
        "n": pa.int64(),
        "x": pa.float64(),
        "t": pa.string(),
        "b": pa.bool_(),
        "d": pa.date32(),
        "s": pa.timestamp("us"),
    }
    large = {k: pa.uint64() for k, v in row.items() if type(v) is int and v >= 2**63}
    columns = {k: pa.array([v], types[k] if v is None else large.get(k)) for k, v in row.items()}
    found, told = _warned(lambda: project.model(model).predict(pa.table(columns)))
    value = found["y_probability"][0].as_py()
    return REFUSED if value is None else (value, told)


def _sql(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime):
        return f"TIMESTAMP{'TZ' if value.tzinfo else ''} '{value.isoformat(sep=' ')}'"
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def by_select(project: Any, server: Any, model: str, row: dict[str, Any]) -> Answer:
    if not all(map(_has_json, row.values())):
        return CANNOT
    where = " AND ".join(f"{k} = {_sql(v)}" if v is not None else f"{k} IS NULL" for k, v in row.items())
    found = project.sql(f"SELECT y_probability FROM {model} WHERE {where}")
    return (found.rows()[0]["y_probability"], bool(found.told))


def by_join(project: Any, server: Any, model: str, row: dict[str, Any]) -> Answer:
    types = {"n": "BIGINT", "x": "DOUBLE", "t": "VARCHAR", "b": "BOOLEAN", "d": "DATE", "s": "TIMESTAMP"}
    listed = ", ".join(
        f"{_float(v) if isinstance(v, float) else _sql(v)}{f'::{types[k]}' if v is None else ''} AS {k}"
        for k, v in row.items()
    )
    found = project.sql(f"SELECT m.y_probability AS p FROM (SELECT {listed}) d JOIN {model} m")
    value = found.rows()[0]["p"]
    return REFUSED if value is None else (value, bool(found.told))


def _float(value: float) -> str:
    return f"'{value!r}'::DOUBLE"


def by_command(project: Any, server: Any, model: str, row: dict[str, Any]) -> Answer:
    if any(isinstance(v, str) and (len(v) > 1_000 or not v) for v in row.values()):
        return CANNOT  # what is empty is missing there
    if (
        isinstance(row["x"], str)
        or isinstance(row["n"], str)
        or not all(isinstance(row[k], k_type) or row[k] is None for k, k_type in (("t", str), ("b", bool)))
    ):
        return CANNOT  # every value is a text there, and read by its input's type
    line = ["predict", model, "--project", project.root, "--json"]
    line += [f"{k}={'' if v is None else _http_value(v)}" for k, v in row.items()]
    found = CliRunner().invoke(command, line)
    if found.exit_code:
        assert getattr(found.exception, "code", None) == "E-INPUT", found.output
        return REFUSED
    return (json.loads(found.stdout)["y_probability"], "training" in found.stderr)


DOORS: dict[str, Callable[..., Answer]] = {
    "HTTP, a row": by_http, "HTTP, an array": by_array, "HTTP, v2": by_v2, "Python, a mapping": by_dict, "Python, a list": by_list,
    "Python, a table": by_table, "SQL, a row": by_select, "SQL, a join": by_join, "tilth predict": by_command,
}  # fmt: skip


def answer(door: Callable[..., Answer], asked: tuple[Any, Any], model: str, row: dict[str, Any]) -> Answer:
    try:
        return door(*asked, model, row)
    except InputError:
        return REFUSED


@pytest.mark.parametrize(("name", "given", "right"), CASES, ids=[f"{n}={str(g)[:30]}" for n, g, _ in CASES])
def test_a_value_is_the_same_at_every_door(asked: tuple[Any, Any], name: str, given: Any, right: Any) -> None:
    said = {door: answer(ask, asked, "m", {**BASE, name: given}) for door, ask in DOORS.items()}
    heard = {door: found for door, found in said.items() if found != CANNOT}
    assert len(heard) >= 3
    if right == REFUSED:
        assert set(heard.values()) == {REFUSED}, heard
        return
    if right == GAP:
        assert len(set(heard.values())) == 1, heard
        (p, told) = next(iter(heard.values()))
        assert told
        assert p is not None
        return
    (value, far), _ = _warned(lambda: by_dict(*asked, "m", {**BASE, name: right}))
    by_hand: Any = heard.pop("tilth predict", (value, True))  # which also tells what is not far out
    assert by_hand[0] == value
    assert by_hand[1] or not far
    assert set(heard.values()) == {(value, far)}, heard


@pytest.mark.parametrize("name", sorted(BASE))
def test_a_strict_model_refuses_a_gap_at_every_door(asked: tuple[Any, Any], name: str) -> None:
    said = {door: answer(ask, asked, "strict_m", {**BASE, name: None}) for door, ask in DOORS.items()}
    assert said.pop("HTTP, v2") == (None, True)  # a tensor has a null where a row was refused, and says so
    assert set(said.values()) == {REFUSED}, said


def test_a_strict_model_answers_the_other_rows(asked: tuple[Any, http_server.Up]) -> None:
    project, server = asked
    bad, good = {**BASE, "x": None}, BASE
    alone = project.model("strict_m").predict(good)["y_probability"]
    body = [{k: _http_value(v) for k, v in r.items()} for r in (good, bad, good)]
    found = server.predict(body, path="/predict/strict_api").json["rows"]
    assert [r.get("y_probability") for r in found] == [alone, None, alone]
    assert "`x` is missing" in found[1]["error"]["message"]
    listed, told = _warned(lambda: project.model("strict_m").predict([good, bad, good]))
    assert told
    assert [r["y_probability"] for r in listed] == [alone, None, alone]
    asked_by_sql = project.sql(
        "SELECT m.y_probability AS p FROM (SELECT * REPLACE (CASE WHEN id = 5 THEN NULL ELSE x END AS x) FROM d WHERE id < 10) d"
        " JOIN strict_m m ORDER BY d.id"
    )
    values = [r["p"] for r in asked_by_sql.rows()]
    assert [v is None for v in values] == [i == 5 for i in range(10)]
    assert asked_by_sql.told == [
        "strict_m: `x` is missing in 1 of 10 rows, never was in training, and was refused"
    ]


@pytest.mark.parametrize("door", [d for d in DOORS if d != "tilth predict"])
def test_an_input_that_is_not_given_is_refused_at_every_door(asked: tuple[Any, Any], door: str) -> None:
    assert answer(DOORS[door], asked, "m", {k: v for k, v in BASE.items() if k != "x"}) == REFUSED


def test_the_row_that_does_not_fit_is_named(asked: tuple[Any, Any]) -> None:
    project, _ = asked
    table = (
        every_type.rows()
        .drop_columns(["y"])
        .set_column(1, "n", pa.array([float(i) + (i == 6) / 2 for i in range(every_type.ROWS)]))
    )
    with pytest.raises(TilthError, match="`n` takes whole numbers within 64 bits, and row 7 has another"):
        project.model("m").predict(table)
    with pytest.raises(TilthError, match="`n` takes whole numbers"):
        project.sql("SELECT m.y FROM (SELECT * REPLACE (n + 0.5 AS n) FROM d) d JOIN m").rows()


@pytest.mark.parametrize("query", ["FROM m WHERE {}", "FROM (SELECT {} ) d JOIN m"])
def test_a_time_with_an_offset_that_sql_would_drop_is_refused(asked: tuple[Any, Any], query: str) -> None:
    parts = [f"{k} = {_sql(v)}" for k, v in BASE.items() if k != "s"] if "WHERE" in query else []
    listed = " AND ".join([*parts, "s = TIMESTAMP '2024-01-01 10:00:00+02:00'"])
    if not parts:
        listed = ", ".join(
            [
                *(f"{_sql(v)} AS {k}" for k, v in BASE.items() if k != "s"),
                "TIMESTAMP '2024-01-01 10:00:00+02:00' AS s",
            ]
        )
    with pytest.raises(InputError, match="has an offset") as caught:
        asked[0].sql(f"SELECT y {query.format(listed)}".replace("SELECT y", "SELECT m.y")).rows()
    assert "TIMESTAMPTZ" in (caught.value.hint or "")


def test_a_zone_is_read_where_the_type_has_one(asked: tuple[Any, Any]) -> None:
    project, _ = asked
    utc = project.model("m").predict({**BASE, "s": datetime(2024, 1, 1, 8)})["y_probability"]
    zoned = pa.table({k: [v] for k, v in {**BASE, "s": datetime(2024, 1, 1, 8, tzinfo=UTC)}.items()})
    assert zoned.schema.field("s").type == pa.timestamp("us", "UTC")
    assert project.model("m").predict(zoned)["y_probability"].to_pylist() == [utc]


def test_a_refused_row_among_tensors_is_null_and_not_logged_whatever_is_asked_for(asked: Any) -> None:
    _, server = asked
    rows = [BASE, {**BASE, "t": None}]
    kinds = {"n": "INT64", "x": "FP64", "b": "BOOL"}
    tensors = [
        {
            "name": k,
            "shape": [2],
            "datatype": kinds.get(k, "BYTES"),
            "data": [_http_value(r[k]) for r in rows],
        }
        for k in BASE
    ]
    for binary in (False, True):
        before = len(server.records())
        body = {"inputs": tensors, "parameters": {"binary_data_output": binary}}
        found = server.ask("POST", "/v2/models/strict_api/infer", body)
        head = int(found.headers.get("inference-header-content-length", len(found.body)))
        said = json.loads(found.body[:head])
        y, confidence, probability = said["outputs"]
        assert (found.status, y["data"][1], len(server.records()) - before) == (200, None, 1)
        assert ("data" in probability) is not binary
        assert len(found.body) - head == (32 if binary else 0)  # two columns of two numbers
        assert confidence["shape"] == [2]
        assert "`t` is missing" in said["parameters"]["notices"][0]
