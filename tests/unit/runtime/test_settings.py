"""What `tilth.toml` may say, and how each mistake is told: file, key, next step."""

import dataclasses
import os
from datetime import timedelta
from pathlib import Path

import pytest

from tilth.core.errors import TilthError
from tilth.runtime.project.settings import KEYS, OF_ENVIRONMENTS, Keep, Limits, Settings, settings


def given(folder: Path, text: str | bytes) -> Settings:
    (folder / "tilth.toml").write_bytes(text.encode() if isinstance(text, str) else text)
    return settings(str(folder))


def test_without_a_file_every_setting_has_its_default(tmp_path: Path) -> None:
    found = settings(str(tmp_path))
    assert found == Settings(
        tmp_path.name,
        "sqlite",
        "file",
        "local",
        "prod",
        "prod",
        Keep(timedelta(90), timedelta(90), timedelta(90), timedelta(400), timedelta(90)),
        Limits(timedelta(seconds=60), 2 << 30),
    )


def test_the_table_of_keys_and_the_values_that_carry_them_agree() -> None:
    named = {k.name for k in KEYS}
    tables = {"keep": Keep, "limits": Limits}
    of_environments = {k.name.rpartition(".")[2] for k in OF_ENVIRONMENTS}
    assert of_environments == {"writable"}
    top = {f.name for f in dataclasses.fields(Settings)} - set(tables) - of_environments
    inner = {f"{table}.{f.name}" for table, kind in tables.items() for f in dataclasses.fields(kind)}
    assert named == top | inner


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ('name = "Läden"', "name", "Läden"),
        ('environment = "pr-12"', "environment", "pr-12"),
        ('serving = "live"', "serving", "live"),
        ('\ufeffname = "from an editor"', "name", "from an editor"),
        ("[keep]\nquarantine = '1 day 12 hours'", "keep.quarantine", timedelta(1.5)),
        ('keep.looks = "3 w"', "keep.looks", timedelta(21)),
        ("[limits]\nstatement_memory = '512 MB'", "limits.statement_memory", 512 << 20),
        (
            "[environments.dev]\nwritable = true\n[environments.qa]\nwritable = false",
            "writable",
            frozenset({"dev"}),
        ),
        ("environments = {}", "writable", frozenset()),
        ("[limits]\nqueries = 8", "limits.queries", 8),
        ("[limits]\nstatement_disk = '1 GB'", "limits.statement_disk", 1 << 30),
        ("[limits]\nstatement_timeout = '5 min'", "limits.statement_timeout", timedelta(minutes=5)),
    ],
)
def test_a_setting_is_read(tmp_path: Path, text: str, path: str, value: object) -> None:
    found: object = given(tmp_path, text)
    for name in path.split("."):
        found = getattr(found, name)
    assert found == value


WRONG = [
    ('environment = ["x"]', "`environment`: a list cannot be the name"),
    ('environment = "../x"', "`environment`: '../x' cannot be the name"),
    ('environment = ""', "`environment`: '' cannot be the name"),
    ("environment = 3", "`environment`: 3 cannot be the name"),
    ('serving = "Prod"', "`serving`: 'Prod' cannot be the name"),
    ("name = 1979-05-27", "`name`"),
    ('name = " "', "`name`: ' ' is not a line of text"),
    ('name = "a\\u001b[31m"', "`name`"),
    ("name = true", "`name`: True is not a line of text"),
    ("name = {a = 1}", "`name`: a table is not a line"),
    ('naem = "x"', "Did you mean `name`?"),
    ("[keep]\nquarantin = '1 day'", "Did you mean `keep.quarantine`?"),
    ("[kep]\nlooks = '1 day'", "`kep`"),
    ("[keep]\nlooks = 90", "`keep.looks`: 90 is not a duration"),
    ("[keep]\nlooks = '90 dayz'", "`keep.looks`: 'dayz' is not a unit"),
    ("[keep]\nlooks = '999999999999 days'", "`keep.looks`"),
    ("keep = 3", "`keep` is a table, not 3"),
    ("[[keep]]\nlooks = '1 day'", "`keep` is a table, not a list"),
    ("[limits]\nqueries = 0", "`limits.queries`: 0 is no count"),
    ("[limits]\nqueries = true", "`limits.queries`: True is no count"),
    ("[limits]\nqueries = '4'", "`limits.queries`: '4' is no count"),
    ("[limits]\nstatement_memory = '2 bananas'", "`limits.statement_memory`: '2 bananas' is not a size"),
    ("[limits]\nstatement_memory = 2.5", "`limits.statement_memory`: 2.5 is not a size"),
    ("environments = 3", "`environments` holds a table for each environment"),
    ("[environments]\ndev = true", "`environments` holds a table for each environment"),
    ("[environments.Dev]\nwritable = true", "'Dev' cannot be the name"),
    ("[environments.dev]\nwritable = 1", "`environments.dev.writable`: 1 is neither true nor false"),
    ("[environments.dev]\nwriteable = true", "Did you mean `writable`?"),
    ("name = ", "is not TOML"),
    ("name = 'a'\nname = 'b'", "is not TOML"),
    ("a = " + "[" * 5000, "nested too deeply"),
    ("a = " + "9" * 5000, "is not TOML"),
    ("name = 'caf\xe9'".encode("latin-1"), "tilth.toml is not UTF-8 text (byte 12"),
    (b"\x00", "is not TOML"),
    (b"#" * ((16 << 20) + 1), "longer than 16 MB"),
]


@pytest.mark.parametrize(("text", "says"), WRONG, ids=lambda v: str(v)[:40])
def test_a_mistake_names_the_file_and_the_key(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(TilthError) as caught:
        given(tmp_path, text)
    assert "tilth.toml" in caught.value.message
    assert says in str(caught.value)
    assert caught.value.hint


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (folder, "is a folder"),
        (os.mkfifo, "is a FIFO"),
        (lambda p: p.symlink_to("/dev/zero"), "leads out of"),
        (lambda p: p.symlink_to("/etc/passwd"), "leads out of"),
        (lambda p: p.symlink_to("tilth.toml"), "leads back to itself"),
        (lambda p: p.symlink_to("nowhere"), "cannot be read"),
    ],
    ids=["folder", "fifo", "device", "link", "loop", "dangling"],
)
def test_what_is_no_file_of_the_project_is_refused_by_name(tmp_path: Path, make, says: str) -> None:
    make(tmp_path / "tilth.toml")
    with pytest.raises(TilthError) as caught:
        settings(str(tmp_path))
    assert "tilth.toml" in caught.value.message
    assert says in caught.value.message
    assert "root:" not in str(caught.value)


def test_a_link_to_a_file_inside_the_project_is_fine(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "own.toml").write_text('name = "inside"')
    (tmp_path / "tilth.toml").symlink_to(tmp_path / "conf" / "own.toml")
    assert settings(str(tmp_path)).name == "inside"
