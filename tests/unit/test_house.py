"""The house rules that a machine can check: floors, light imports, module and function sizes."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src" / "tilth"
MODULES = sorted(SRC.rglob("*.py"))
HEAVY = {
    "pyarrow",
    "duckdb",
    "lightgbm",
    "sklearn",
    "numpy",
    "scipy",
    "pandas",
    "sqlglot",
    "uvicorn",
    "skops",
    "jinja2",
    "ray",
}


def test_the_floors_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=SRC.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]


def test_importing_tilth_loads_no_heavy_library() -> None:
    code = "import sys, tilth; print(*{m.partition('.')[0] for m in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not HEAVY & set(loaded)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SRC)))
def test_a_module_opens_with_words_and_stays_under_500_lines(path: Path) -> None:
    text = path.read_text("utf-8")
    assert ast.get_docstring(ast.parse(text)), "a module opens with a paragraph"
    assert text.count("\n") < 500


def test_functions_stay_small_enough_to_see() -> None:
    sizes = sorted(
        ((node.end_lineno or 0) - node.lineno + 1, f"{path.relative_to(SRC)}:{node.name}")
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert sizes[len(sizes) * 99 // 100][0] < 45
    assert sizes[-1][0] <= 60, sizes[-1]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SRC)))
def test_heavy_libraries_are_imported_at_the_point_of_use(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    names = [a.name for n in tree.body if isinstance(n, ast.Import) for a in n.names]
    names += [n.module or "" for n in tree.body if isinstance(n, ast.ImportFrom)]
    assert not HEAVY & {n.partition(".")[0] for n in names}


def test_no_two_test_files_share_a_name() -> None:
    names = [p.name for p in (SRC.parents[1] / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
