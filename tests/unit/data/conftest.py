"""The bench of these tests."""

from pathlib import Path

import pytest
from data_bench import Bench, make_bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return make_bench(tmp_path)
