"""Projects that stories happen in."""

from pathlib import Path

import pytest

import shop_project


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The folder of the project of `shop_project`, not yet applied."""
    return shop_project.make(tmp_path / "shop")
