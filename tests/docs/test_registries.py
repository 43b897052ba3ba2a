"""Whatever can be named is documented and tested: kinds, statements, engines, doors and extension points are asked one by one."""

import re
from pathlib import Path

import pytest

from tilth.adapters.learners import apart
from tilth.interfaces.console.places import PLACES
from tilth.interfaces.http.paths import PATHS
from tilth.kinds import KINDS
from tilth.plan.rights import STATEMENTS
from tilth.ports import registry
from tilth.ports.learning import engines
from tilth.runtime.asking import acting, session

ROOT = Path(__file__).parents[2]
PAGES = {p.stem: p.read_text("utf-8") for p in (ROOT / "docs").glob("*.md")}
PAGES["readme"] = (ROOT / "README.md").read_text("utf-8")
HEADINGS = {n: re.findall(r"^#+ (.*)$", text, re.MULTILINE) for n, text in PAGES.items()}
TESTS = {str(p.relative_to(ROOT)): p.read_text("utf-8") for p in (ROOT / "tests").rglob("*.py")}
FIXTURES = (ROOT / "tests" / "fixtures" / "language" / "canonical.txt").read_text("utf-8")

WORDS = {
    "Alter": "ALTER",
    "ApplyStatement": "APPLY",
    "CreateTable": "CREATE TABLE",
    "InsertInto": "INSERT INTO",
    "CreateToken": "CREATE TOKEN",
    "CancelRun": "CANCEL RUN",
    "CancelStatement": "CANCEL STATEMENT",
    "ResetSetting": "RESET",
    "SetSetting": "SET",
    "ShowSetting": "SHOW",
    "UseEnvironment": "USE",
    "Drill": "DRILL",
    "RunJob": "RUN JOB",
    "Drop": "DROP",
    "DropToken": "DROP TOKEN",
    "ExplainDataset": "EXPLAIN DATASET",
    "ExplainPredict": "EXPLAIN PREDICT",
    "Evaluate": "EVALUATE",
    "Noted": "USE mindsdb",
    "ExplainQuery": "EXPLAIN SELECT",
    "Describe": "DESCRIBE",
    "LookAt": "LOOK AT",
    "PlanStatement": "PLAN",
    "PromoteEnvironment": "PROMOTE ENVIRONMENT",
    "PromoteModel": "PROMOTE MODEL",
    "RefreshDataset": "REFRESH DATASET",
    "RetrainModel": "RETRAIN",
    "ForgetFrom": "FORGET",
    "ReleaseQuarantine": "RELEASE QUARANTINE",
    "HoldQuarantine": "HOLD QUARANTINE",
    "RollbackEnvironment": "ROLLBACK ENVIRONMENT",
    "Select": "SELECT",
    "Show": "SHOW",
    "Summarize": "SUMMARIZE",
} | {row.statement.__name__: f"CREATE {row.kind.keyword}" for row in KINDS}
ASKED = [*STATEMENTS, *(row.statement for row in KINDS)]


def naming(words: str, *, but: str = "test_registries") -> list[str]:
    """The test files that say these words."""
    return [name for name, text in TESTS.items() if words in text and but not in name]


@pytest.mark.parametrize("statement", ASKED, ids=lambda s: s.__name__)
def test_a_statement_has_a_heading_a_fixture_a_function_and_tests(statement: type) -> None:
    words = WORDS[statement.__name__]
    assert words in HEADINGS["language"]
    assert re.search(rf"^{words}\b", FIXTURES, re.MULTILINE)
    assert naming(words)
    declares = any(row.statement is statement for row in KINDS)
    tables = (session.ASKS, session.OWN, acting.ACTS)
    assert sum(statement in table for table in tables) + declares == 1


@pytest.mark.parametrize("engine", engines(), ids=lambda e: e.name)
def test_an_engine_states_its_facts_is_listed_and_has_tests(engine: object) -> None:
    name, package, fault = (getattr(engine, a) for a in ("name", "package", "fault"))
    assert package
    assert not fault or name in apart.ENGINES  # whose environment need not be there
    assert f"`{name}`" in PAGES["language"] or f"'{name}'" in PAGES["language"]
    assert re.search(rf"\| `tilth\.learners` \|.*\b{name}\b", PAGES["reference"])
    assert naming(f"engine = '{name}'") or naming(f'"{name}"')


@pytest.mark.parametrize("name", registry.names("tilth.sources"))
def test_an_engine_of_sources_is_documented_and_passes_the_suite(name: str) -> None:
    assert f"ENGINE {name}" in PAGES["language"]
    assert "tests/contract/test_sources.py" in naming(name)


@pytest.mark.parametrize("group", registry.GROUPS)
def test_an_extension_point_is_documented_with_what_ships(group: str) -> None:
    built_in = ", ".join(registry.names(group))
    assert f"| `{group}` | {registry.GROUPS[group]} | {built_in} |" in PAGES["reference"]
    assert registry.names(group)


@pytest.mark.parametrize("place", PLACES)
def test_a_page_of_the_console_is_looked_at_by_a_journey(place: str) -> None:
    (journey,) = [text for name, text in TESTS.items() if "test_console_pages" in name]
    assert f'"{place}"' in journey


@pytest.mark.parametrize("path", PATHS)
def test_a_path_of_http_is_documented_and_tested(path: str) -> None:
    stem = path.partition("<")[0]
    assert any(stem in text for text in PAGES.values())
    assert [t for t in naming(f'"{stem}') or naming(stem) if "http" in t or "serving" in t]
