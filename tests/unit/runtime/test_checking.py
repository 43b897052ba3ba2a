"""`tilth check` as a table: files, and all that is said of them. No source is asked, and nothing is made."""

import os
from pathlib import Path

import pytest

from tilth.core.errors import ProjectError, StorageError
from tilth.runtime.project.checking import check

OPS = "CREATE SOURCE ops ENGINE files WITH (path = 'data');\n"
D = "CREATE DATASET d AS SELECT * FROM ops.t;\n"
CASES: dict[str, tuple[dict[str, str], list[str]]] = {
    "all is well": ({"a.sql": OPS, "b/c.sql": D}, []),
    "nothing is declared": ({"tilth.toml": "", "a.sql": "-- nothing\n"}, []),
    "settings": ({"tilth.toml": "naem = 1", "a.sql": "CREATE X"}, [" E-PROJECT", "a.sql:1:8 E-SYNTAX"]),
    "a problem in each statement": (
        {"a.sql": f"CREAT SOURCE x;\n{OPS}CREATE DATASET d KEYS (a) AS SELECT 1;\nPLAN;\nCREATE TOKEN 'a' FOR reader;"},
        ["a.sql:1:1 E-SYNTAX", "a.sql:3:18 E-SYNTAX", "a.sql:4:1 E-SYNTAX", "a.sql:5:1 E-SYNTAX"],
    ),
    "a problem in each file": (
        {"a.sql": "CREATE DATASET d AS SELECT 'x", "b.sql": "/* never", "c.sql": "CREATE MODEL m;"},
        ["a.sql:1:28 E-SYNTAX", "b.sql:1:1 E-SYNTAX", "c.sql:1:1 E-SYNTAX"],
    ),
    "names": (
        {"a.sql": f"{OPS}CREATE DATASET d AS SELECT * FROM opps.t;\nCREATE MODEL m PREDICT y FROM dd;\nCREATE ENDPOINT e FOR MODEL n;"},
        ["a.sql:2:35 E-NAME", "a.sql:3:31 E-NAME", "a.sql:4:1 E-NAME"],
    ),
    "rules and names of one declaration": (
        {"a.sql": f"{OPS}{D}CREATE MODEL m PREDICT y FROM dd USING (engine = 'no');"},
        ["a.sql:3:1 E-NAME", "a.sql:3:31 E-NAME"],
    ),
    "what is wrong below is said once": (
        {"a.sql": f"{OPS}{D}CREATE MODEL m PREDICT y FROM d USING (engine = 'no');\nCREATE ENDPOINT e FOR MODEL m;"},
        ["a.sql:3:1 E-NAME"],
    ),
    "what cannot be read may declare a name": (
        {"a.sql": "CREATE DATASET d KEYS (a) AS SELECT 1;\nCREATE MODEL m PREDICT y FROM d;\nCREATE MODEL n PREDICT y FROM other;"},
        ["a.sql:1:18 E-SYNTAX", "a.sql:3:31 E-NAME"],
    ),
    "declared twice, and thrice": (
        {"a.sql": OPS, "b.sql": f"{OPS}CREATE DATASET ops AS SELECT * FROM ops.t;"},
        ["b.sql:1:1 E-PROJECT", "b.sql:2:1 E-PROJECT"],
    ),
    "a circle": (
        {"a.sql": f"{OPS}CREATE DATASET d AS SELECT * FROM e;\nCREATE DATASET e AS SELECT * FROM d;\nCREATE MODEL m PREDICT y FROM no;"},
        ["a.sql:2:1 E-CYCLE", "a.sql:4:31 E-NAME"],
    ),
    "what only the engine refuses": (
        {"a.sql": f"{OPS}CREATE DATASET d AS SELECT a,, b\nFROM ops.t;\nCREATE DATASET e AS\n  SELECT b FROM ops.t WHERE a IN (1,, 2);\n"
                  "CREATE MODEL m PREDICT y FROM (SELECT y,, z FROM d);"},
        ["a.sql:2:30 E-SYNTAX", "a.sql:5:37 E-SYNTAX", "a.sql:6:41 E-SYNTAX"],
    ),
    "what the engine is not given": (
        {"a.sql": f"{OPS}CREATE DATASET w KEY (id) EVENT TIME t AS SELECT id, t FROM ops.w;\nCREATE DATASET d AS SELECT e.id\n"
                  "FROM ops.e e JOIN w AS OF e.t v ON v.id = e.id;\nCREATE DATASET e AS SELECT e.id\n"
                  "FROM ops.e e JOIN w AS OF e.t v ON v.id IN (1,, 2);"},
        ["a.sql:6:47 E-SYNTAX"],
    ),
    "own estimators": (
        {"a.sql": f"{OPS}{D}CREATE MODEL m PREDICT y FROM d USING (engine = 'sklearn', estimator = 'own:make');\n"
                  "CREATE MODEL n PREDICT y FROM d USING (engine = 'sklearn', estimator = 'mine:make');",
         "estimators/mine.py": "def made(): ..."},
        ["a.sql:3:1 E-NAME", "a.sql:4:1 E-NAME"],
    ),
    "not text": ({"a.sql": "\udcff", "b.sql": "X"}, [" E-STORAGE", "b.sql:1:1 E-SYNTAX"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_all_that_is_wrong_is_said(case: str, tmp_path: Path) -> None:
    files, wrong = CASES[case]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    before = sorted(os.listdir(tmp_path))
    found = check(str(tmp_path))
    assert [f"{e.where or ''} {e.code}" for e in found.problems] == wrong
    assert all(e.hint for e in found.problems)
    assert found.files == sum(n.endswith(".sql") for n in files)
    assert sorted(os.listdir(tmp_path)) == before


def test_what_is_no_project_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="not a project"):
        check(str(tmp_path))
    with pytest.raises(StorageError, match="no folder"):
        check(str(tmp_path / "nowhere"))
