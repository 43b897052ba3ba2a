"""Columns with quotes, backslashes, ends of lines and emojis in their names, from the file to every answer."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tilth
from tilth.core.errors import InputError
from tilth.core.names import quoted

ODD = ('width 5" pipe', "a\\b", "line\nbreak", "😀")
ROWS = 600


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("odd")
    (folder / "data").mkdir()
    rng = np.random.default_rng(1)
    x = {name: rng.normal(size=ROWS) for name in ODD}
    y = sum(x.values()) + rng.normal(0, 0.2, ROWS)
    pq.write_table(pa.table({"id": np.arange(ROWS), **x, "y": y}), folder / "data" / "t.parquet")
    (folder / "p.sql").write_text(
        "CREATE SOURCE f ENGINE files WITH (path = 'data');\n"
        "CREATE DATASET d KEY (id) AS SELECT * FROM f.t;\n"
        "CREATE MODEL m PREDICT y FROM d USING (engine = 'lightgbm');\n"
    )
    found = tilth.open(str(folder))
    found.sql("APPLY")
    return found


def test_many_rows_and_one_say_the_same(project: Any) -> None:
    (row,) = project.sql("SELECT * FROM d WHERE id = 5").rows()
    (many,) = project.sql("SELECT m.y, m.y_lower, m.y_upper FROM d JOIN m WHERE d.id = 5").rows()
    given = " AND ".join(f"{quoted(name)} = {row[name]!r}" for name in ODD)
    assert project.sql(f"SELECT y, y_lower, y_upper FROM m WHERE {given}").rows() == [many]
    said = project.model("m").predict({name: row[name] for name in ODD})
    assert {k: said[k] for k in many} == many
    why = project.model("m").explain({name: row[name] for name in ODD})
    assert {c["input"] for c in why["contributions"]} == set(ODD)
    assert json.loads(json.dumps(why)) == why


def test_what_is_missing_is_named_as_it_is_called(project: Any) -> None:
    with pytest.raises(InputError) as error:
        project.model("m").predict({ODD[0]: 1.0})
    for name in ODD[1:]:
        assert f"`{name}`" in error.value.message
