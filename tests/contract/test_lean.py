"""A command has no pandas until somebody asks for it, and then pyarrow knows it as it always does."""

import subprocess
import sys

import pytest

TABLE = """
import sys
import pyarrow as pa
made = pa.array([1, None]), pa.scalar("a")
import numpy as np
import pandas as pd
df = pd.DataFrame({
    "number": [1, 2, None], "text": ["x", None, "z"], "at": pd.to_datetime(["2020-01-01", None, "2020-01-03"]),
    "kind": pd.Categorical(["u", "v", "u"]),
})
found = [str(pa.array(df[name]).type) for name in df] + [pa.array(df[name]).null_count for name in df]
found += [pa.table(df).schema.names, pa.table({"a": [1]}).to_pandas().a.tolist(), pd.__loader__.__class__.__name__]
print(found)
"""
LEAN = "from tilth.ml.model.lean import pandas_when_asked\npandas_when_asked()\n"
STARTS = {"as it comes": "", "before pyarrow": LEAN, "after pyarrow": f"import pyarrow\n{LEAN}"}


def said(start: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", STARTS[start] + TABLE], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


@pytest.mark.parametrize("start", [s for s in STARTS if s != "as it comes"])
def test_pandas_comes_when_it_is_asked_for(start: str) -> None:
    assert said(start) == said("as it comes")
    code = STARTS[start] + "import pyarrow as pa, sys\npa.array([1])\nassert 'pandas' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
