"""Which folder is a project, and which of its files are read."""

import os
from pathlib import Path

import pytest

import tilth
from tilth.core.errors import TilthError
from tilth.interfaces.cli.commands import run
from tilth.runtime.project import loader

SOURCE = "CREATE SOURCE ops ENGINE sqlite WITH (path = 'ops.db');"


@pytest.mark.parametrize(
    ("name", "text", "is_one"),
    [
        ("tilth.toml", "", True),
        ("all.sql", SOURCE, True),
        ("deep/er/all.sql", SOURCE, True),
        ("all.sql", "CREAT", True),  # an error in it is said when it is read
        ("all.sql", "-- only words\n /* and\n more */ ;\n", False),
        ("all.sql", "", False),
        ("all.txt", SOURCE, False),
        ("tests/all.sql", SOURCE, False),
        (".hidden/all.sql", SOURCE, False),
        (".tilth/state.db", "x", True),
        (".tilth/keys/signing_key.pub", "x", True),
    ],
)
def test_a_project_has_settings_or_declarations_or_a_state(
    tmp_path: Path, name: str, text: str, is_one: bool
) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
    if is_one:
        loader.find_project(str(tmp_path))
        return
    with pytest.raises(TilthError, match="is not a project") as caught:
        loader.find_project(str(tmp_path))
    assert "tilth init" in str(caught.value.hint)


@pytest.mark.parametrize("mark", ["tilth.toml", ".tilth/state.db"])
def test_a_project_inside_is_none_of_the_folder_around_it(tmp_path: Path, mark: str) -> None:
    inner = tmp_path / "a" / "shop"
    (inner / mark).parent.mkdir(parents=True)
    (inner / mark).write_text("")
    (inner / "all.sql").write_text(SOURCE)
    assert len(loader.declarations(str(inner))) == 1
    with pytest.raises(TilthError, match="is not a project"):
        tilth.open(str(tmp_path))
    (tmp_path / "more.sql").write_text(SOURCE)
    assert len(loader.declarations(str(tmp_path))) == 1


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("INSERT INTO db.scores KEY (id) SELECT 1 AS id", "INSERT INTO"),
        ("CREATE TABLE db.scores AS SELECT 1 AS id", "CREATE TABLE"),
        ("SELECT 1", "SELECT"),
        ("PLAN", "PLAN"),
        ("REFRESH DATASET d", "REFRESH DATASET"),
        ("RETRAIN d", "RETRAIN MODEL"),
    ],
)
@pytest.mark.parametrize("name", ["score.sql", "jobs/score.sql"])
def test_a_statement_that_acts_has_its_place_elsewhere(
    tmp_path: Path, name: str, text: str, begins: str
) -> None:
    (tmp_path / "all.sql").write_text(SOURCE)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    with pytest.raises(TilthError, match=f"^{name} holds {begins}; the ") as caught:
        loader.declarations(str(tmp_path))
    assert "tilth sql -f ../FILE" in str(caught.value.hint)


def test_no_name_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "all.sql").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TilthError, match="No folder is named"):
        tilth.open("")
    assert run(["status", "--project", ""]) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["all.sql"]


@pytest.mark.parametrize(
    ("name", "code"), [("nosuch", "E-STORAGE"), ("file", "E-STORAGE"), ("empty", "E-PROJECT")]
)
def test_a_folder_that_is_none_is_refused_and_nothing_is_made(tmp_path: Path, name: str, code: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text(SOURCE)
    before = sorted(p.name for p in tmp_path.rglob("*"))
    with pytest.raises(TilthError) as caught:
        tilth.open(str(tmp_path / name))
    assert caught.value.code == code
    assert sorted(p.name for p in tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: p.symlink_to("/dev/zero"), "leads out of"),
        (lambda p: p.symlink_to("/etc/passwd"), "leads out of"),
        (lambda p: p.symlink_to("x.sql"), "leads back to itself"),
        (lambda p: p.symlink_to("gone"), "cannot be read"),
        (os.mkfifo, "is a FIFO"),
        (lambda p: p.write_bytes(b"-- caf\xe9"), "is not UTF-8"),
        (lambda p: p.write_bytes(b" " * ((16 << 20) + 1)), "longer than 16 MB"),
    ],
    ids=["device", "passwd", "loop", "dangling", "fifo", "latin-1", "long"],
)
def test_a_declaration_that_is_no_file_of_the_project_is_refused_by_name(
    tmp_path: Path, make, says: str
) -> None:
    (tmp_path / "all.sql").write_text(SOURCE)
    make(tmp_path / "x.sql")
    with pytest.raises(TilthError) as caught:
        loader.declarations(str(tmp_path))
    assert "x.sql" in caught.value.message
    assert says in caught.value.message
    assert "root:" not in str(caught.value)


def test_a_link_inside_the_project_is_read(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "ops.txt").write_text(SOURCE)
    (tmp_path / "ops.sql").symlink_to(tmp_path / "shared" / "ops.txt")
    assert [d.name for d in loader.declarations(str(tmp_path))] == ["ops"]
