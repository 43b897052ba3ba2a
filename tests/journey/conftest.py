"""Projects that stories happen in."""

import shutil
from pathlib import Path

import pytest

import shop_project


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The folder of the project of `shop_project`, not yet applied."""
    return shop_project.make(tmp_path / "shop")


@pytest.fixture(scope="session")
def applied_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same project, applied: not to be changed, since all `applied` are copies of it."""
    folder = shop_project.make(tmp_path_factory.mktemp("applied") / "shop")
    project = shop_project.opened(folder)
    assert not project.apply().refusals
    project.close()
    return folder


@pytest.fixture
def applied(applied_once: Path, tmp_path: Path) -> Path:
    """A project of `shop_project` that was applied; a story's own."""
    folder = tmp_path / "shop"
    shutil.copytree(applied_once, folder)
    return folder
