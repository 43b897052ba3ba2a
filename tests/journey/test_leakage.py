"""Rows that hold what came after them: proven, tried, told, and models that learned from them held."""

import json
import random
from pathlib import Path

import pytest

import tilth
from tilth.app.project import Project

DECLARED = """
CREATE SOURCE f ENGINE files WITH (path = 'data');
CREATE DATASET plain KEY (id) EVENT TIME t AS SELECT id, t, x, y FROM f.events;
CREATE DATASET peeking KEY (id) EVENT TIME t AS
SELECT id, t, x, y, lead(x) OVER (ORDER BY t, id) AS next_x, sum(x) OVER (ORDER BY t ROWS UNBOUNDED PRECEDING) AS so_far FROM f.events;
CREATE DATASET kinds KEY (id) EVENT TIME t AS SELECT e.id, e.t, k.label FROM f.events e JOIN f.kinds k ON k.kind = e.kind;
CREATE DATASET before KEY (id) EVENT TIME t AS
SELECT e.id, e.t, (SELECT max(o.x) FROM f.events o WHERE o.t < e.t) AS most FROM f.events e;
CREATE MODEL guess PREDICT y FROM peeking FEATURES (x, next_x) USING (engine = 'linear');
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "data").mkdir()
    draw = random.Random(1)
    rows = ["id,t,x,y,kind"]
    for n in range(300):
        x = draw.gauss(0, 1)
        rows.append(
            f"{n},2024-01-{1 + n // 12:02} {n % 12:02}:00:00,{x:.4f},{x + draw.gauss(0, 1):.4f},{n % 3}"
        )
    (tmp_path / "data/events.csv").write_text("\n".join(rows))
    (tmp_path / "data/kinds.csv").write_text("kind,label\n0,a\n1,b\n2,c\n")
    (tmp_path / "all.sql").write_text(DECLARED)
    found = tilth.open(tmp_path)
    found.apply()
    return found


def test_what_is_known_of_each_dataset_is_a_table(project: Project) -> None:
    rows = project.sql("SELECT dataset, verdict, why, columns FROM tilth.leakage ORDER BY dataset").rows()
    assert {r["dataset"]: r["verdict"] for r in rows} == {
        "before": "tested",
        "kinds": "unproven",
        "peeking": "leaks",
        "plain": "proven",
    }
    by = {r["dataset"]: r for r in rows}
    assert json.loads(by["peeking"]["columns"]) == {"next_x": 1}
    assert "f.kinds has no one time by which it could be cut" in by["kinds"]["why"]
    told = project.sql("SELECT text FROM tilth.notices WHERE kind = 'leakage'").rows()
    assert [t["text"] for t in told] == [
        "Rows hold what came after them: when later rows are taken away, next_x changes in 1 row"
    ]


def test_a_model_that_learned_from_it_is_held_until_somebody_says_why(project: Project) -> None:
    [held] = project.sql("SELECT outcome, reason FROM tilth.gates WHERE model = 'guess'").rows()
    assert held["outcome"] == "inconclusive"
    assert "the model learned from next_x" in held["reason"]
    text = Path(project.root, "all.sql")
    text.write_text(
        text.read_text().replace(
            "FEATURES (x, next_x)",
            "FEATURES (x, next_x) ACCEPT LEAK (next_x) BECAUSE 'it is planned a day ahead'",
        )
    )
    project.apply()
    assert project.model("guess").version


def test_it_is_judged_once_for_what_is_declared(project: Project) -> None:
    before = project.sql("SELECT recipe, recorded_at FROM tilth.leakage ORDER BY recipe").rows()
    project.sql("REFRESH DATASET peeking")
    assert project.sql("SELECT recipe, recorded_at FROM tilth.leakage ORDER BY recipe").rows() == before


MADE_OF = """
CREATE DATASET passed_on KEY (id) EVENT TIME t AS SELECT id, t, y, next_x * 2 AS soon, so_far FROM peeking;
CREATE DATASET all_of_it KEY (id) EVENT TIME t AS SELECT * FROM peeking;
CREATE DATASET joined KEY (id) EVENT TIME t AS
SELECT p.id, p.t, p.x, p.y, q.next_x AS seen FROM plain p LEFT JOIN peeking AS OF p.t q ON q.id = p.id;
CREATE DATASET without KEY (id) EVENT TIME t AS SELECT id, t, so_far FROM peeking;
CREATE DATASET inner_one KEY (id) EVENT TIME t AS
SELECT p.id, p.t, w.z FROM plain p JOIN (SELECT id, max(next_x) AS z FROM peeking GROUP BY id) w ON w.id = p.id;
CREATE DATASET of_kinds KEY (id) EVENT TIME t AS SELECT id, t, label FROM kinds;
CREATE DATASET of_before KEY (id) EVENT TIME t AS SELECT id, t, most FROM before;
CREATE MODEL next_guess PREDICT y FROM joined FEATURES (x, seen) USING (engine = 'linear');
"""


def test_what_a_dataset_is_made_of_leaks_in_it_too(project: Project) -> None:
    Path(project.root, "more.sql").write_text(MADE_OF)
    project.apply()
    rows = project.sql("SELECT dataset, verdict, why, columns FROM tilth.leakage").rows()
    by = {r["dataset"]: (r["verdict"], sorted(json.loads(r["columns"]))) for r in rows}
    assert {
        n: by[n] for n in MADE_OF.split() if n in by and n not in ("plain", "peeking", "kinds", "before")
    } == {
        "passed_on": ("leaks", ["soon"]),
        "all_of_it": ("leaks", ["next_x"]),
        "joined": ("leaks", ["seen"]),
        "without": ("tested", []) if by["peeking"][0] == "tested" else ("proven", []),
        "inner_one": ("unproven", []),
        "of_kinds": ("unproven", []),
        "of_before": ("tested", []),
    }
    why = {r["dataset"]: r["why"] for r in rows}
    assert (
        "soon made of next_x of dataset peeking, which leaks: when later rows are taken away"
        in why["passed_on"]
    )
    assert "dataset kinds is unproven: " in why["of_kinds"]
    [held] = project.sql("SELECT outcome, reason FROM tilth.gates WHERE model = 'next_guess'").rows()
    assert held["outcome"] == "inconclusive"
    assert "the model learned from seen" in held["reason"]


def test_a_plan_says_what_is_known_of_the_rows_that_a_model_learns_from(project: Project) -> None:
    text = Path(project.root, "all.sql")
    more = """CREATE MODEL sure PREDICT y FROM plain FEATURES (x) USING (engine = 'linear');
    CREATE MODEL of_before PREDICT most FROM before USING (engine = 'linear');"""
    text.write_text(text.read_text().replace("FEATURES (x, next_x)", "FEATURES (x)") + more)
    notes = [(n.name, n.text) for n in project.plan().notes]
    said = {name: text for name, text in notes if "leakage" in text}
    assert set(said) == {"guess", "of_before"}
    assert said["guess"].startswith(
        "it learns from `peeking`, whose leakage is leaks: when later rows are taken away, next_x"
    )
    assert said["of_before"].startswith("it learns from `before`, whose leakage is tested: ")


LABELLED = """
CREATE SOURCE f ENGINE files WITH (path = 'data');
CREATE DATASET rows KEY (id) AS SELECT * FROM f.rows;
CREATE MODEL kind PREDICT y FROM rows FEATURES (x, code) {accept} USING (engine = 'linear');
"""


def test_wrong_labels_are_listed_and_an_accepted_leak_is_in_the_evidence(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    draw = random.Random(4)
    wrong = {7, 99, 250, 401}
    lines = ["id,x,code,y"]
    for n in range(600):
        x = draw.choice((-3, 3)) + draw.gauss(0, 0.4)
        yes = (x > 0) != (n in wrong)
        lines.append(f"{n},{x:.3f},{draw.random() + 5 * (x > 0):.3f},{'yes' if yes else 'no'}")
    (tmp_path / "data/rows.csv").write_text("\n".join(lines))
    (tmp_path / "all.sql").write_text(LABELLED.format(accept=""))
    project = tilth.open(tmp_path)
    project.apply()
    held = project.sql("SELECT reason, outcome FROM tilth.gates").rows()
    assert held[0]["outcome"] == "inconclusive"
    assert "ACCEPT LEAK (" in held[0]["reason"]
    (tmp_path / "all.sql").write_text(
        LABELLED.format(accept="ACCEPT LEAK (x, code) BECAUSE 'both are measured before'")
    )
    project.apply()
    gate = project.sql("SELECT reason, outcome FROM tilth.gates ORDER BY id DESC LIMIT 1").rows()[0]
    assert gate["outcome"] == "pass"
    assert "Accepted as no leak, because 'both are measured before': " in gate["reason"]
    found = project.sql(
        "SELECT row_key, given, likely, confidence, asked_rows FROM tilth.suspicious_labels"
    ).rows()
    assert {json.loads(r["row_key"])["id"] for r in found} & wrong
    assert all(r["given"] != r["likely"] and 0 < r["confidence"] <= 1 for r in found)
    assert found[0]["asked_rows"] == 600
