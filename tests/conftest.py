"""For all tests: properties are judged by what they find, never by how fast this machine was."""

import atexit
import os

import pytest
from hypothesis import HealthCheck, settings

from tilth.sql.language.trees import tree

# Before numpy is loaded: three test processes whose linear algebra spins on every core take four times as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
settings.register_profile("tilth", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tilth")
tree("1")  # the first query raises Python's limit of calls, which hypothesis would take for a test's doing


@atexit.register
def _quiet() -> None:
    """What DuckDB's binding says of objects that errors held to the interpreter's very end is no part of the report."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


LONGEST = ("test_demo.py", "journey/", "faults/", "upgrade/", "bench/", "contract/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files whose tests take long come first, so that no process is left alone with one at the end."""
    items.sort(
        key=lambda item: next((i for i, part in enumerate(LONGEST) if part in item.nodeid), len(LONGEST))
    )
