"""A dataset's file is flipped, cut or gone: no answer comes from it, and REFRESH mends it or says what would be lost."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import damage as d
from tilth.app import backups
from tilth.core.errors import DamagedError

QUESTION = "SELECT count(*) AS n, sum(v) AS s FROM d"
ANSWER = [{"n": d.ROWS, "s": sum(range(d.ROWS))}]


@pytest.mark.parametrize("refresh", ["", d.INCREMENTAL], ids=["whole", "incremental"])
@pytest.mark.parametrize("harm", d.HARM.values(), ids=d.HARM)
def test_a_damaged_file_gives_no_answer_and_a_refresh_mends_it(tmp_path: Path, harm, refresh: str) -> None:
    project = d.applied(tmp_path / "p", refresh)
    assert project.sql(QUESTION).rows() == ANSWER
    harm(d.part(project))
    for again in (project, d.opened(tmp_path / "p")):
        with pytest.raises(DamagedError, match="dataset `d`") as caught:
            again.sql(QUESTION).rows()
        assert 'tilth sql "REFRESH DATASET d"' in str(caught.value.hint)
    before = project.generations()[0].number
    project.sql("REFRESH DATASET d")
    assert project.sql(QUESTION).rows() == ANSWER
    assert project.generations()[0].number == before
    assert [r["verb"] for r in project.sql("SELECT verb FROM tilth.audit").rows()][-2:].count("mend") <= 1
    assert d.opened(tmp_path / "p").sql(QUESTION).rows() == ANSWER


def test_rows_that_the_source_no_longer_holds_are_not_given_up_in_silence(tmp_path: Path) -> None:
    project = d.applied(tmp_path / "p", d.INCREMENTAL)
    with closing(sqlite3.connect(tmp_path / "p" / "ops.db")) as db, db:
        db.execute("DELETE FROM rows WHERE id < 100")
    d.flip(d.part(project))
    with pytest.raises(DamagedError, match="140 of its 240 rows") as caught:
        project.sql("REFRESH DATASET d")
    assert "240 rows from 2024-01-01" in str(caught.value)
    assert "tilth restore" in str(caught.value.hint)
    path = tmp_path / "p" / "all.sql"
    path.write_text(path.read_text().replace("EXPECT (", "EXPECT (COUNT(*) >= 1, "))
    project.apply()
    assert project.sql("SELECT count(*) AS n FROM d").rows() == [{"n": 140}]


def test_a_new_row_beside_a_damaged_file_is_collected_with_the_rest(tmp_path: Path) -> None:
    project = d.applied(tmp_path / "p", d.INCREMENTAL)
    with closing(sqlite3.connect(tmp_path / "p" / "ops.db")) as db, db:
        db.execute("INSERT INTO rows VALUES (999, '2024-04-30', 7, 'new')")
    d.cut(d.part(project))
    project.sql("REFRESH DATASET d")
    assert project.sql(QUESTION).rows() == [{"n": d.ROWS + 1, "s": ANSWER[0]["s"] + 7}]


def test_a_question_to_a_model_alone_hashes_no_data(applied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shop_project
    from tilth.adapters.files import blobs as file_blobs
    from tilth.adapters.files import own

    looked: list[str] = []
    for module, name in ((own, "digest_of"), (file_blobs, "_look")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda path, real=real: (looked.append(path), real(path))[1])
    row = "carrier = 'slow' AND distance = 41.5 AND ordered_at = TIMESTAMP '2024-04-01 20:00:00'"
    assert shop_project.opened(applied).sql(f"SELECT late FROM late WHERE {row}").rows()
    assert looked == []


@pytest.mark.parametrize("harm", d.HARM.values(), ids=d.HARM)
def test_no_model_learns_from_a_damaged_file(applied: Path, harm) -> None:
    import shop_project

    project = shop_project.opened(applied)
    versions = project.sql("SELECT count(*) AS n FROM tilth.versions").rows()
    harm(d.part(project, "deliveries"))
    with pytest.raises(DamagedError, match="dataset `deliveries`"):
        project.sql("RETRAIN MODEL duration USING (seed = 8)")
    assert project.sql("SELECT count(*) AS n FROM tilth.versions").rows() == versions


def test_a_prediction_that_rotted_is_in_no_answer_and_no_backup(tmp_path: Path) -> None:
    project = d.applied(tmp_path / "p")
    log = project.work().log
    line = (
        b'{"at":"2024-05-01T00:00:00.000000Z","id":"p1","endpoint":"e","model":"m","version":1,"digest":"d",'
        b'"environment":"prod","role":"champion","inputs":{},"outputs":{"y":1},"score":0.5}'
    )
    log.append(line)
    log.append(line)
    log.flush()
    project.verify()
    assert project.sql("SELECT count(*) AS n FROM tilth.predictions").rows() == [{"n": 2}]
    (segment,) = (Path(s) for s in log.segments())
    segment.write_bytes(segment.read_bytes().replace(b'"y":1', b'"y":2', 1))
    for act in (
        lambda: project.sql("SELECT count(*) AS n FROM tilth.predictions").rows(),
        project.verify,
        lambda: backups.backup(project, str(tmp_path / "x.tilth")),
    ):
        with pytest.raises(DamagedError, match="1 line is not what was written") as caught:
            act()
        assert "tilth restore FILE" in str(caught.value.hint)
    project.verify(quick=True)
    assert project.sql("SELECT count(*) AS n FROM d").rows() == [{"n": d.ROWS}]
