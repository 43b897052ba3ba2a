"""The Python door: results that are read again, parameters, local frames, and a model as a function."""

import copy
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import shop_project
import tilth
from tilth.core.errors import (
    InputError,
    MissingExtraError,
    ResourceLimitError,
    UnknownNameError,
    UnsupportedError,
)
from tilth.runtime.asking import result

FIRST = "SELECT id, carrier, distance, late FROM deliveries ORDER BY id LIMIT 3"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tilth.Project]:
    folder = shop_project.make(tmp_path_factory.mktemp("p") / "shop")
    with shop_project.opened(folder) as opened:
        opened.apply()
        yield opened


@pytest.fixture(scope="module")
def late(project: tilth.Project) -> tilth.Model:
    return project.model("late")


# --- results -----------------------------------------------------------------------------------------------

READ: dict[str, Any] = {
    "arrow": lambda r: r.arrow().to_pylist(),
    "rows": lambda r: r.rows(),
    "a loop": list,
    "a stream": lambda r: pa.table(r).to_pylist(),
    "pandas": lambda r: r.df().to_dict("records"),
    "pandas of it": lambda r: pd.DataFrame(r).to_dict("records"),
}


@pytest.mark.parametrize("second", READ)
@pytest.mark.parametrize("first", READ)
def test_a_result_is_read_again_in_any_form(project: tilth.Project, first: str, second: str) -> None:
    answer = project.sql(FIRST)
    assert READ[first](answer) == READ[second](answer)
    assert len(answer) == 3


def test_a_result_says_what_it_is_and_shows_its_first_rows_only(project: tilth.Project) -> None:
    answer = project.sql("SELECT i AS n, '<b>' AS t FROM range(100) r(i)")
    assert "rows not read yet; n int64, t string" in repr(answer)
    page = answer._repr_html_()
    assert page.count("<tr>") == 1 + result.SHOWN
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "the first 20 rows" in page
    assert (len(answer), bool(project.sql("SELECT 1 AS a WHERE false"))) == (100, True)
    assert "100 rows" in repr(answer)
    assert "<Result: " in repr(project.sql("PLAN"))


def test_beyond_the_bound_rows_are_read_once(project: tilth.Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result, "MOST_KEPT", 600_000)
    answer = project.sql("SELECT i FROM range(200000) r(i)")
    assert answer.arrow().num_rows == len(answer) == 200_000
    with pytest.raises(ResourceLimitError, match="read already") as caught:
        answer.rows()
    assert ".arrow()" in str(caught.value.hint)


def test_two_loops_over_one_result_do_not_take_rows_from_one_another(project: tilth.Project) -> None:
    answer = project.sql("SELECT i FROM range(200000) r(i)")
    one = iter(answer)
    begun = [next(one)["i"] for _ in range(70_000)]
    assert answer.arrow().num_rows == 200_000
    assert [*begun, *(r["i"] for r in one)] == list(range(200_000))


def test_an_error_of_the_rows_is_one_the_second_time_too(project: tilth.Project) -> None:
    answer = project.sql(
        "SELECT CASE WHEN i > 7500000 THEN CAST('x' || i AS INT) ELSE 1 END AS x FROM range(8000000) r(i)"
    )
    for _ in range(2):
        with pytest.raises(tilth.TilthError):
            answer.arrow()


def test_whole_numbers_and_booleans_with_gaps_keep_their_type_in_pandas(project: tilth.Project) -> None:
    frame = project.sql("SELECT * FROM (VALUES (9007199254740993, true), (NULL, NULL)) v(n, b)").df()
    assert (frame["n"][0], str(frame["n"].dtype), str(frame["b"].dtype)) == (2**53 + 1, "Int64", "boolean")


@pytest.mark.parametrize(("form", "library"), [("df", "pandas"), ("pl", "polars")])
def test_a_library_that_is_not_there_is_named_with_its_pip_line(
    project: tilth.Project, monkeypatch: pytest.MonkeyPatch, form: str, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError) as caught:
        getattr(project.sql(FIRST), form)()
    assert caught.value.hint == f"Run `pip install {library}`."


# --- parameters and frames ---------------------------------------------------------------------------------


def test_parameters_are_values_and_never_sql(project: tilth.Project) -> None:
    told = project.sql(
        "SELECT count(*) AS n FROM deliveries WHERE carrier = ? AND distance > ?", ["slow", 30]
    )
    named = project.sql(
        "SELECT count(*) AS n FROM deliveries WHERE carrier = $c AND distance > $d", {"c": "slow", "d": 30}
    )
    assert told.rows() == named.rows() != [{"n": 0}]
    evil = "x' OR '1'='1"
    assert project.sql("SELECT count(*) AS n FROM deliveries WHERE carrier = ?", [evil]).rows() == [{"n": 0}]
    row = project.sql("SELECT carrier FROM late WHERE carrier = $c AND distance = $d AND ordered_at = $t",
                      {"c": "slow", "d": np.float64(50.5), "t": pd.Timestamp("2024-04-01 18:00")}).rows()  # fmt: skip
    assert row == [{"carrier": "slow"}]


def _as_reader(table: pa.Table) -> pa.RecordBatchReader:
    return table.to_reader()


@pytest.mark.parametrize(
    "form", [lambda t: t, _as_reader, lambda t: t.to_pandas(), lambda t: t.to_batches()[0]]
)
def test_a_local_frame_is_joined_with_a_model_and_keeps_its_order(
    project: tilth.Project, late: tilth.Model, form: Any
) -> None:
    table = project.sql(
        "SELECT id, ordered_at, carrier, distance FROM deliveries ORDER BY distance, id"
    ).arrow()
    found = project.sql("SELECT f.id, m.late_probability AS p FROM $f f JOIN late m", f=form(table)).arrow()
    assert found["id"].to_pylist() == table["id"].to_pylist()
    assert found["p"].to_pylist() == late.predict(table, ["late_probability"])["late_probability"].to_pylist()


def test_frames_stand_wherever_tables_do(project: tilth.Project) -> None:
    frame = pd.DataFrame({"carrier": ["slow", "fast"], "price": [1, 2]}, index=[7, 9])
    sql = "SELECT d.carrier, sum(p.price) AS s FROM deliveries d JOIN $Prices p USING (carrier) WHERE d.id < $n GROUP BY 1 ORDER BY 1"
    assert len(project.sql(sql, {"n": 100}, Prices=frame)) == 2
    assert project.sql("SELECT * FROM $f", f=frame).arrow().column_names == ["carrier", "price"]
    twice = project.sql("SELECT (SELECT count(*) FROM $f) + count(*) AS n FROM $f", f=frame)
    assert twice.rows() == [{"n": 4}]


WRONG: dict[str, tuple[str, dict[str, Any], type[tilth.TilthError], str]] = {
    "no frame": ("SELECT * FROM $f", {"f": 3}, InputError, "`f` is a int, which is no frame"),
    "not given": ("SELECT * FROM $f", {}, InputError, "`$f` has no value"),
    "not named": ("SELECT 1", {"f": pa.table({"a": [1]})}, InputError, "`f` is given"),
    "two of one name": ("SELECT * FROM $f", {"f": pa.table([[1], [2]], names=["a", "A"])}, InputError, "two columns"),
    "mixed types": ("SELECT * FROM $f", {"f": pd.DataFrame({"a": [1, "x"]})}, InputError, "cannot be read as a table"),
    "no column": ("SELECT f.b FROM $f f", {"f": pa.table({"a": [1]})}, UnknownNameError, "no column `b`"),
    "a variable": ("SELECT * FROM frame", {}, UnknownNameError, "no dataset or model `frame`"),
    "an environment as the second": ("SELECT 1", {"parameters": "dev"}, InputError, "environment"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_one_clear_error(project: tilth.Project, case: str) -> None:
    text, given, kind, words = WRONG[case]
    frame = pd.DataFrame({"a": [1]})  # in reach of magic
    with pytest.raises(kind) as caught:
        project.sql(text, **given).rows()
    assert words in f"{caught.value} {caught.value.hint}"
    assert len(frame) == 1


def test_a_reader_is_read_by_one_part_of_a_query(project: tilth.Project) -> None:
    sql = "SELECT m.late, (SELECT count(*) FROM $f) AS n FROM $f f JOIN late m"
    table = project.sql("SELECT ordered_at, carrier, distance FROM deliveries LIMIT 2").arrow()
    assert [r["n"] for r in project.sql(sql, f=table).rows()] == [2, 2]
    with pytest.raises(UnsupportedError, match="can be read once"):
        project.sql(sql, f=table.to_reader()).rows()


# --- a model -----------------------------------------------------------------------------------------------

ROW = {"ordered_at": "2024-04-01T18:00:00", "carrier": "slow", "distance": 50.0}


def test_probabilities_have_a_column_for_each_class(project: tilth.Project, late: tilth.Model) -> None:
    table = project.sql("SELECT * FROM deliveries LIMIT 100").arrow()
    shares = late.predict_proba(table)
    assert (shares.shape, late.classes) == ((100, 2), (False, True))
    assert shares[:, 1].tolist() == late.predict(table, ["late_probability"])["late_probability"].to_pylist()
    assert np.allclose(shares.sum(axis=1), 1)
    (one,) = late.predict_proba(ROW)
    assert one[1] == late.predict(ROW)["late_probability"]
    assert late.predict_proba([ROW, ROW]).shape == (2, 2)
    assert late.predict_proba(table.slice(0, 0)).shape == (0, 2)
    with pytest.raises(UnsupportedError, match="no probabilities"):
        project.model("duration").predict_proba(table)


def test_a_model_says_what_it_takes_and_how_good_it_is(late: tilth.Model) -> None:
    assert late.signature["inputs"] == {"ordered_at": "timestamp", "carrier": "string", "distance": "float"}
    assert late.signature["outputs"]["late"] == "boolean"
    assert late.metrics["metric"] == "roc_auc"
    assert late.metrics["value"] > 0.8
    assert next(iter(late.importance)) == "distance"
    assert "late version 1: ordered_at timestamp" in repr(late)


def test_explanations_of_rows_and_tables_agree(project: tilth.Project, late: tilth.Model) -> None:
    table = project.sql("SELECT ordered_at, carrier, distance FROM deliveries LIMIT 5").arrow()
    many = late.explain(table)
    assert [m["value"] for m in many] == [late.explain(row)["value"] for row in table.to_pylist()]
    assert [e["value"] for e in late.explain([ROW, ROW])] == [late.explain(ROW)["value"]] * 2


def test_extra_keys_are_passed_over_in_a_dict_as_in_a_table(late: tilth.Model) -> None:
    more = {**ROW, "price": 3, "note": "x"}
    assert late.predict(more) == {**more, **late.predict(ROW)}
    assert late.predict([more])[0] == late.predict(more)
    with pytest.warns(tilth.ExtraWarning, match="did you mean `carrier`"), pytest.raises(InputError):
        late.predict({**{k: v for k, v in ROW.items() if k != "carrier"}, "carier": "slow"})


TRUTH = {"ordered_at": pd.Timestamp(ROW["ordered_at"]), "late": True}
GIVEN = {
    "a dict": ({**ROW, "late": True}, "`late` is given"),
    "a list": ([{**ROW, "late": True, "late_confidence": 2}, ROW], "`late`, `late_confidence` are given"),
    "a frame": (pd.DataFrame([{**ROW, **TRUTH}]), "`late` is given"),
    "a table": (pa.Table.from_pylist([{**ROW, **TRUTH}]), "`late` is given"),
}


@pytest.mark.parametrize(("given", "said"), GIVEN.values(), ids=GIVEN)
def test_an_answer_takes_the_place_of_what_is_given_under_its_name(
    late: tilth.Model, given: Any, said: str
) -> None:
    with pytest.warns(tilth.ExtraWarning, match=said):
        found = late.predict(given)
    if isinstance(found, pa.Table):
        assert found.column_names.count("late") == 1
        found = found.to_pylist()
    first = found if isinstance(found, dict) else found[0]
    assert {k: first[k] for k in ("late", "late_confidence")} == {
        k: late.predict(ROW)[k] for k in ("late", "late_confidence")
    }


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_a_row_of_a_pandas_frame_is_one(late: tilth.Model, zone: str | None) -> None:
    frame = pd.DataFrame(
        [{**ROW, "ordered_at": pd.Timestamp("2024-04-01T18:00:00", tz="UTC").tz_convert(zone)}]
    )
    (row,) = frame.to_dict("records")
    assert late.predict(row)["late_probability"] == late.predict(ROW)["late_probability"]
    assert late.predict(frame)["late_probability"].to_pylist() == [late.predict(ROW)["late_probability"]]
    with pytest.raises(InputError, match="ordered_at"):
        late.predict({**ROW, "ordered_at": pd.Timestamp("2024-04-01T18:00:00.000000001")})


def test_arrays_need_names(late: tilth.Model) -> None:
    array = np.array([[pd.Timestamp("2024-04-01 18:00"), "slow", 50.0]], dtype=object)
    named = late.predict(array, names=["ordered_at", "carrier", "distance"])
    assert named["late_probability"].to_pylist() == [late.predict(ROW)["late_probability"]]
    dtype = [("ordered_at", "M8[us]"), ("carrier", "U4"), ("distance", "f8")]
    structured = np.array([("2024-04-01T18:00:00", "slow", 50.0)], dtype=dtype)
    assert late.predict(structured)["late_probability"].to_pylist() == named["late_probability"].to_pylist()
    for wrong in (array, array[0]):
        with pytest.raises(InputError, match="needs a name for each"):
            late.predict(wrong)
    with pytest.raises(InputError, match="2 are given"):
        late.predict(array, names=["a", "b"])


@pytest.mark.parametrize("rows", [7, "text", [1, 2], None])
def test_what_is_no_row_is_said(late: tilth.Model, rows: Any) -> None:
    for ask in (late.predict, late.predict_proba, late.explain):
        with pytest.raises(InputError, match=r"expected|A row is a dict"):
            ask(rows)


def test_nothing_is_pickled_and_the_reason_is_said(project: tilth.Project, late: tilth.Model) -> None:
    for one in (project, late, project.sql("SELECT 1 AS a")):
        for way in (pickle.dumps, copy.deepcopy):
            with pytest.raises(UnsupportedError, match="is not pickled") as caught:
                way(one)
            assert caught.value.hint


def test_the_package_exports_its_classes_and_loads_nothing(project: tilth.Project) -> None:
    assert isinstance(project, tilth.Project)
    assert set(tilth.__all__) <= set(dir(tilth))
    assert all(getattr(tilth, name).__doc__ for name in tilth.__all__)
    with pytest.raises(AttributeError):
        tilth.connect  # noqa: B018
    assert repr(project).startswith("<Project /")


def test_a_project_is_closed_by_with(tmp_path: Path) -> None:
    folder = shop_project.make(tmp_path / "shop")
    with tilth.open(str(folder)) as project:
        project.work()
    assert project._state is None
