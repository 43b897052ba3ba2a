"""`disk` under [limits]: what makes something is refused when all is held, whichever way it is asked; the rest goes on."""

from pathlib import Path

import pytest

import returns
from tilth.app.project import Project
from tilth.core.errors import ResourceLimitError


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """An applied project that may hold less than it does."""
    folder = returns.make(tmp_path_factory.mktemp("full") / "shop")
    made, _ = returns.opened(folder)
    assert not made.apply().refusals
    made.close()
    (Path(folder) / "tilth.toml").write_text('[limits]\ndisk = "100 KB"\n')
    project, _ = returns.opened(folder)
    return project


MAKES = (
    "APPLY",
    "REFRESH DATASET orders",
    "RETRAIN MODEL returns USING (seed = 3)",
    "CREATE DATASET more AS SELECT * FROM ops.orders",
)


@pytest.mark.parametrize("text", MAKES)
def test_what_makes_something_is_refused(full: Project, text: str) -> None:
    before = full.state().version_counter()
    with pytest.raises(ResourceLimitError, match="nothing is collected or trained"):
        full.sql(text)
    assert full.state().version_counter() == before


def test_apply_in_python_is_refused_too(full: Project) -> None:
    with pytest.raises(ResourceLimitError, match="nothing is collected or trained"):
        full.apply()


@pytest.mark.parametrize(
    "text", ["SELECT count(*) FROM orders", "PLAN", "DROP ENDPOINT returns_api", "ROLLBACK ENVIRONMENT prod"]
)
def test_asking_and_moving_go_on(full: Project, text: str) -> None:
    full.sql(text)
