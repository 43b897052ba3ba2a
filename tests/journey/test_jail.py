"""What own code in a worker makes is tried before it is signed, and what was signed is not tried again."""

import base64
import json
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import shop_project as c
from tilth.app.project import Project
from tilth.core.errors import TilthError
from tilth.ml.bundles.signing import seal
from tilth.runtime import members
from tilth.runtime.loading import verified
from tilth.runtime.record import versions

OWN = """
CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');
CREATE DATASET deliveries KEY (id) EVENT TIME ordered_at AS SELECT * FROM ops.deliveries;
CREATE MODEL late PREDICT late FROM deliveries FEATURES (* EXCEPT (minutes))
  USING (engine = 'sklearn', estimator = 'mine:make');
"""
HEAD = """
import os
from sklearn.linear_model import LogisticRegression
from tilth.adapters.learners import sklearn_learner
from tilth.adapters.scorers import skops_scorer
def write(payload):
    real = skops_scorer.SkopsScorer.load.__func__
    def payload_of(pipeline):
        kept["real"] = old(pipeline)
        return payload(kept["real"])
    kept, old = {}, sklearn_learner._payload
    sklearn_learner._payload = payload_of
    skops_scorer.SkopsScorer.load = classmethod(lambda cls, data, task, threads=None: real(cls, kept["real"], task, threads))
    return LogisticRegression()
"""
LIES = {
    "a call": (
        """
import json, io, zipfile
def make():
    s = lambda v: {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": json.dumps(v)}
    d = {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "content": {},
         "key_types": {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": []}}
    node = {"__class__": "runstring", "__module__": "numpy.testing", "__loader__": "ConstructorFromReduceNode",
            "protocol": 2, "content": {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode",
                                       "content": [s("open(%r, 'w')"), d]}}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr("schema.json", json.dumps(node))
    return write(lambda real: out.getvalue())
""",
        r"numpy\.testing\.runstring",
    ),
    "half a file": ("def make(): return write(lambda real: real[:len(real) // 2])\n", "skops file"),
}  # fmt: skip


def lying(folder: Path, code: str) -> Project:
    c.make(folder, OWN)
    (folder / "estimators").mkdir()
    (folder / "estimators" / "mine.py").write_text(HEAD + code)
    return c.opened(folder)


@pytest.mark.parametrize("name", LIES)
def test_a_member_that_own_code_made_up_is_never_loaded_where_the_key_is_nor_signed(
    tmp_path: Path, name: str
) -> None:
    code, words = LIES[name]
    project = lying(tmp_path / "shop", code.replace("%r", repr(str(tmp_path / "ran"))))
    with pytest.raises(TilthError, match=words) as caught:
        project.apply()
    assert caught.value.code in ("E-TAMPER", "E-TRAIN")
    assert not (tmp_path / "ran").exists()
    assert project.state().read("versions") == ()
    assert left_making(project) == []


def left_making(project: Project) -> list[str]:
    return [p.name for p in (Path(project.home) / "bundles").iterdir() if p.name.startswith("making-")]


def test_an_unknown_estimator_is_refused_by_plan_and_apply_before_anything_is_made(tmp_path: Path) -> None:
    project = lying(tmp_path / "shop", "def mkae(): ...\n")
    for act in (project.plan, project.apply, lambda: project.sql("PLAN;")):
        with pytest.raises(TilthError, match=r"mine.py has no `make`(.*\n)*.*`mkae`"):
            act()
    assert not project.applied or project.state().read("snapshots") == ()


# --- what was tried is not tried again ---------------------------------------------------------------------


class Counted:
    """The project's jobs, counted by task."""

    def __init__(self, jobs: Any) -> None:
        self.jobs = jobs
        self.tasks: list[str] = []

    def run(self, job: Any, progress: Any, beside: Any) -> Any:
        self.tasks.append(job.task)
        return self.jobs.run(job, progress, beside)


def counted(project: Project, monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Jobs of the project from now on; what it has loaded is forgotten."""
    found = Counted(project.work().jobs)
    monkeypatch.setattr(project, "_work", replace(project.work(), jobs=found))
    monkeypatch.setattr(project, "_loaded", {})
    return found


def resealed(project: Project, facts: dict[str, object]) -> None:
    """The bundle of `duration` as another tilth signed it: the same files, another statement."""
    work = project.work()
    (row,) = [v for v in versions.all_of(work.state) if v.model == "duration"]
    found = verified(work, row)
    folder = Path(work.bundles.scratch())
    for name, content in found.files.items():
        (folder / name).write_bytes(content)
    sealed = seal(folder, found.statement.subject, work.keys, facts)
    work.bundles.put(sealed.digest, str(folder))
    with closing(sqlite3.connect(os.path.join(project.home, "state.db"))) as db, db:
        db.execute("UPDATE versions SET digest = ? WHERE digest = ?", (sealed.digest, row.digest))


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = c.make(tmp_path_factory.mktemp("jail") / "shop", c.DECLARED)
    project = c.opened(folder)
    project.apply()
    project.close()
    return folder


ROW = {"carrier": "fast", "distance": 3.0, "ordered_at": "2024-04-01T12:00:00"}


def test_a_fresh_bundle_says_that_it_was_tried_and_starts_no_process_when_it_is_loaded(
    applied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = c.opened(applied)
    for model in ("late", "duration"):
        (row,) = [r for r in project.state().read("versions") if r["model"] == model]
        envelope = json.loads(
            (Path(project.work().bundles.path(str(row["digest"]))) / "bundle.sigstore.json").read_text()
        )
        said = json.loads(base64.b64decode(envelope["dsseEnvelope"]["payload"]))["predicate"]["facts"]
        assert said["checked"] == {"by": "tilth", "checker": members.CHECKER, "rows": 64}
    jobs = counted(project, monkeypatch)
    assert project.model("duration").predict(ROW)["minutes"] > 0
    assert project.sql(
        "SELECT minutes FROM duration WHERE carrier = 'fast' AND distance = 3.0 AND ordered_at = TIMESTAMP '2024-04-01 12:00:00'"
    ).rows()
    assert jobs.tasks == []
    memory = {
        r["action"]: r["memory"] for r in project.state().read("recent_runs", environment="prod", limit=50)
    }
    assert {a for a, m in memory.items() if m is not None} == {"TrainModel"}
    assert 50e6 < memory["TrainModel"] < 1e9
    project.close()


@pytest.mark.parametrize(
    ("facts", "tries"),
    [
        ({}, 1),
        ({"checked": {"by": "tilth", "checker": members.CHECKER - 1}}, 1),
        ({"checked": "yes"}, 1),
        ({"checked": {"by": "tilth", "checker": True}}, 1),
        ({"checked": {"by": "tilth", "checker": members.CHECKER}, "again": 1}, 0),
        ({"checked": {"by": "tilth", "checker": members.CHECKER + 1}}, 0),
    ],
    ids=["before there was a check", "an older check", "a word", "true", "this check", "a newer check"],
)
def test_a_bundle_that_was_not_tried_by_this_check_is_tried_once_and_that_is_remembered(
    applied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facts: dict[str, object], tries: int
) -> None:
    project = c.opened(Path(shutil.copytree(applied, tmp_path / "shop")))
    resealed(project, facts)
    for _ in range(2):
        jobs = counted(project, monkeypatch)
        assert project.model("duration").predict(ROW)["minutes"] > 0
        assert jobs.tasks == ["check"] * tries
        tries = 0
    project.state().verify_audit()
    project.close()


def test_a_bundle_that_fails_when_it_is_tried_is_not_loaded(
    applied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = c.opened(Path(shutil.copytree(applied, tmp_path / "shop")))
    resealed(project, {})

    def refuse(*_: object) -> None:
        raise AssertionError("loaded before it was tried")

    monkeypatch.setattr("tilth.ml.model.predictor.Predictor.load", refuse)
    monkeypatch.setattr(members, "SECONDS", 0.01)
    with pytest.raises(TilthError, match="cannot be tried") as caught:
        project.model("duration")
    assert caught.value.code == "E-TAMPER"
    project.close()
