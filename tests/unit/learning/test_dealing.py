"""Which rows are asked, in which part each is, and what is refused before a model is fitted."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tilth.core.schema import DataType
from tilth.ml.data import identity
from tilth.ml.judging import split
from tilth.ml.learning import dealing
from tilth.ml.learning.dealing import ASKED, MOST_ANSWERS, MOST_ASKED, Files, dealt
from tilth.ml.learning.target import Target
from tilth.ml.model.spec import TrainingSpec

NUMBER = Target("y", DataType.FLOAT, "regression")


def classes(count: int) -> Target:
    return Target("y", DataType.INTEGER, "binary" if count == 2 else "multiclass", tuple(range(count)))


@dataclass(frozen=True)
class Dealt:
    """So many rows, how many of the last of them are a window, and how many are asked."""

    rows: int
    asked: int
    window: int = 0
    target: Target = NUMBER
    values: dict[int, int] = field(default_factory=dict)  # of some rows, in place of their place

    def parts(self) -> Any:
        values = np.arange(self.rows)
        for place, value in self.values.items():
            values[place] = value
        y = np.arange(self.rows) % max(1, len(self.target.classes)) + 0.0
        cut = split.Split(split.BY_TWIN, self.rows, self.rows - self.window)
        return dealing._parts(values, y, self.target, cut, not self.window)


MANY = split.MANY_ROWS
CASES = {
    "of few all": Dealt(100, 100),
    "of few all but the window": Dealt(100, 90, 10),
    "of as many as are few": Dealt(MANY, MANY),
    "of many a fifth": Dealt(MANY + 5, int(ASKED * (MANY + 5))),
    "of many before the window": Dealt(MANY + 1000, MANY, 1000),
    "of very many no more than": Dealt(300_000, MOST_ASKED),
    "of many classes no more answers than": Dealt(5000, MOST_ANSWERS // 1000, target=classes(1000)),
    "but of those that are alike all or none": Dealt(
        MANY + 5, int(ASKED * (MANY + 5)) - 2, values=dict.fromkeys(range(16_000, 16_006), 16_000)
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_last_rows_before_the_window_are_asked_in_five_parts(case: Dealt) -> None:
    part = case.parts()
    asked = np.flatnonzero(part >= 0)
    assert len(asked) == case.asked
    assert asked[-1] == case.rows - case.window - 1
    assert (np.diff(asked) == 1).all()
    counts = np.bincount(part[asked])
    assert len(counts) == split.FOLDS
    assert counts.max() - counts.min() <= max(3, len(case.target.classes))


@pytest.mark.parametrize(("window", "alike"), [(0, True), (50, False)], ids=["by id", "by time"])
def test_parts_hold_classes_alike_where_rows_are_dealt_by_id(window: int, alike: bool) -> None:
    rows = 1000 + window
    y = (np.arange(rows) < 100) + 0.0  # all in the first tenth
    cut = split.Split(split.BY_TWIN, rows, 1000)
    part = dealing._parts(np.arange(rows), y, classes(2), cut, not window)
    ones = np.bincount(part[: rows - window][y[:1000] == 1], minlength=5).tolist()
    assert ones == ([20] * 5 if alike else [100, 0, 0, 0, 0])
    assert (part[1000:] == -1).all()


# --- from files --------------------------------------------------------------------------------------------

ROWS = 60
TABLE = pa.table({
    "id": pa.array(range(ROWS)),
    "x": pa.array(np.linspace(0, 1, ROWS)),
    "y": pa.array([None if n % 20 == 7 else n % 3 + 0.5 for n in range(ROWS)]),
})  # fmt: skip


def stored(folder: Path, rows: pa.Table, each: int) -> Files:
    paths = []
    for start in range(0, rows.num_rows, each):
        paths.append(str(folder / f"{start}.parquet"))
        pq.write_table(rows.slice(start, each), paths[-1])
    return Files(paths)


def test_rows_are_known_ordered_by_their_ids_and_remember_their_place(tmp_path: Path) -> None:
    whole = TABLE.set_column(2, "y", pa.array([n % 3 + 0.5 for n in range(ROWS)]))
    files = stored(tmp_path, whole, 25)
    data = dealt(TrainingSpec("m", ("y",), key=("id",)), files)
    ids = identity.row_ids(whole, ("id",))
    assert data.places.tolist() == np.argsort(ids, kind="stable").tolist()
    assert data.y.tolist() == [int(p) % 3 + 0.5 for p in data.places]
    assert (data.split.by, data.split.window, data.dropped) == (split.BY_FOLDS, ROWS, 0)
    assert data.judging.tolist() == data.asked.tolist() == list(range(ROWS))
    exact = identity.row_ids(whole, sorted(whole.column_names))
    assert np.array_equal(files.ids_at(data.places, sorted(whole.column_names)), exact[data.places])
    assert np.array_equal(files.ids_at(np.array([59, 0, 26]), sorted(whole.column_names)), exact[[59, 0, 26]])


def test_the_order_of_files_and_rows_does_not_matter(tmp_path: Path) -> None:
    whole = TABLE.set_column(2, "y", pa.array([n % 3 + 0.5 for n in range(ROWS)]))
    spec, found = TrainingSpec("m", ("y",), key=("id",)), []
    for number, table in enumerate((whole, whole.take(np.random.default_rng(1).permutation(ROWS)))):
        folder = tmp_path / str(number)
        folder.mkdir()
        found.append(dealt(spec, stored(folder, table, 17)))
    assert np.array_equal(found[0].x, found[1].x)
    assert np.array_equal(found[0].part, found[1].part)
