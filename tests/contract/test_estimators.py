"""The folder of own estimators: what its hash covers, and which names are refused before anything runs."""

import os
from pathlib import Path

import pytest

from tilth.core.errors import ProjectError, TilthError, UnknownNameError
from tilth.kinds import compile as compiled
from tilth.kinds import parse
from tilth.resources.facts import Facts
from tilth.resources.graph import Graph
from tilth.runtime.project.estimators import hashes, require

FILES = {
    "mine.py": "from . import near\nfrom pkg import deep\nmake = deep.make\nclass Own: ...\nlevel: int = 3\n",
    "near.py": "def make(): ...\n",
    "pkg/__init__.py": "",
    "pkg/deep.py": "import json\ndef make(): return json.load(open('table.json'))\n",
    "pkg/table.json": "{}",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "estimators", FILES)


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return folder


def graph(estimator: str, facts: Facts | None = None) -> Graph:
    text = (
        "CREATE SOURCE s ENGINE files WITH (path = 'x'); CREATE DATASET d AS SELECT * FROM s.t;"
        f"CREATE MODEL m PREDICT y FROM d USING (engine = 'sklearn', estimator = '{estimator}');"
        "CREATE MODEL plain PREDICT y FROM d USING (engine = 'lightgbm');"
    )
    return compiled(parse(text, "p.sql"), facts or Facts())


def recipes(folder: Path, estimator: str = "mine:make") -> tuple[str, str]:
    found = graph(estimator, Facts(code=hashes(str(folder))))
    return found.get("m").recipe, found.get("plain").recipe


def test_every_module_has_the_hash_of_the_whole_folder(folder: Path) -> None:
    found = hashes(str(folder))
    assert set(found) == {"mine", "near", "pkg", "pkg.deep"}
    assert len(set(found.values())) == 1


CHANGES = {
    "the module": ("mine.py", "make = 3\n"),
    "a relative import": ("near.py", "def make(): return 1\n"),
    "a file of a sub-package": ("pkg/deep.py", "def make(): return 1\n"),
    "data beside the code": ("pkg/table.json", "[]"),
    "a new file": ("pkg/other.py", ""),
    "a hidden file": (".settings", "x"),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("estimator", ["mine:make", "mine:Own", "mine:level", "pkg.deep:make"])
def test_a_changed_file_makes_a_new_recipe_of_the_models_that_use_own_code(
    folder: Path, name: str, estimator: str
) -> None:
    before = recipes(folder, estimator)
    path, text = CHANGES[name]
    (folder / path).write_text(text, "utf-8")
    after = recipes(folder, estimator)
    assert after[0] != before[0]
    assert after[1] == before[1]


def test_a_renamed_and_a_removed_file_make_new_recipes(folder: Path) -> None:
    seen = {recipes(folder)[0]}
    (folder / "near.py").rename(folder / "far.py")
    seen.add(recipes(folder)[0])
    (folder / "far.py").unlink()
    seen.add(recipes(folder)[0])
    assert len(seen) == 3


def test_running_the_code_makes_no_new_recipe(folder: Path) -> None:
    before = recipes(folder)
    write(folder, {"__pycache__/mine.cpython-311.pyc": "x", "pkg/__pycache__/deep.cpython-311.pyc": "x"})
    os.utime(folder / "mine.py", (1, 1))
    assert recipes(folder) == before


def test_recipes_without_own_code_are_what_they_were(tmp_path: Path) -> None:
    """The folder is there or not: an installed estimator, and a model without one, say nothing of it."""
    fixed = tuple(r.recipe for r in graph("sklearn.ensemble:RandomForestClassifier"))
    for files in ({}, FILES):
        facts = Facts(code=hashes(str(write(tmp_path / f"e{len(files)}", files))))
        assert tuple(r.recipe for r in graph("sklearn.ensemble:RandomForestClassifier", facts)) == fixed


KNOWN = [
    "mine:make",
    "mine:Own",
    "mine:level",
    "mine:deep",
    "pkg.deep:make",
    "star:anything",
    "lazy:anything",
    "late:make",
    "sklearn.linear_model:Ridge",
    "sklearn.ensemble._forest:RandomForestClassifier",
]


@pytest.mark.parametrize("estimator", KNOWN)
def test_an_estimator_that_is_there_is_taken(folder: Path, estimator: str) -> None:
    write(
        folder,
        {
            "star.py": "from pkg import *\n",
            "lazy.py": "def __getattr__(name): ...\n",
            "late.py": "try:\n    from pkg.deep import make\nexcept ImportError:\n    make = None\n",
        },
    )
    require(graph(estimator), str(folder))
    with pytest.raises(UnknownNameError, match=f"no module `no_{estimator.partition(':')[0]}`"):
        require(graph(f"no_{estimator}"), str(folder))


UNKNOWN = {
    "mien:make": (UnknownNameError, r"no module `mien`(.*\n)*.*Did you mean `mine`"),
    "mine:mkae": (UnknownNameError, r"mine.py has no `mkae`(.*\n)*.*`make`"),
    "pkg.dep:make": (UnknownNameError, r"no module `pkg.dep`(.*\n)*.*`pkg.deep`"),
    "nowhere:make": (UnknownNameError, "no module `nowhere`"),
    "sklearn.nowhere:make": (UnknownNameError, "no module `sklearn.nowhere`"),
    "broken:make": (ProjectError, r"estimators/broken.py is not Python(.*\n)*  estimators/broken.py:2"),
    "nul:make": (ProjectError, "is not Python"),
}


@pytest.mark.parametrize("estimator", UNKNOWN)
def test_an_estimator_that_is_not_there_is_refused_with_the_nearest_name(
    folder: Path, estimator: str
) -> None:
    write(folder, {"broken.py": "def make():\n  return (\n", "nul.py": "x = '\0'\n"})
    kind, words = UNKNOWN[estimator]
    with pytest.raises(kind, match=words) as caught:
        require(graph(estimator), str(folder))
    assert caught.value.hint
    assert caught.value.where is not None


def test_only_the_asked_models_are_looked_at(folder: Path) -> None:
    require(graph("nowhere:make"), str(folder), ["plain"])
    with pytest.raises(UnknownNameError):
        require(graph("nowhere:make"), str(folder), ["m"])


def test_links_are_followed_once_and_other_files_are_refused(folder: Path, tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", {"x.py": "1"})
    (folder / "linked").symlink_to(outside)
    (folder / "round").symlink_to(folder)
    (folder / "gone").symlink_to(folder / "nothing")
    before = recipes(folder)[0]
    (outside / "x.py").write_text("2")
    assert recipes(folder)[0] != before
    os.mkfifo(folder / "pipe")
    with pytest.raises(ProjectError, match="no regular file"):
        hashes(str(folder))


def test_a_folder_that_is_no_folder_of_code_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tilth.runtime.project.estimators.MOST_FILES", 4)
    with pytest.raises(TilthError, match="more than 4 files"):
        hashes(str(folder))
    monkeypatch.setattr("tilth.runtime.project.estimators.MOST_FILES", 100)
    monkeypatch.setattr("tilth.runtime.project.estimators.MOST_BYTES", 10)
    with pytest.raises(TilthError, match="more than 0 MB"):
        hashes(str(folder))
