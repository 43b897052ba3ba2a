"""What MLflow calls when it loads a folder that `tilth export --format mlflow` has written (`loader_module` in its MLmodel).

The bundle's files must be those that its statement lists; nothing in them is run. Answers are those of tilth at every other
door, as a DataFrame with one column an output. MLflow itself is not imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilth.core.errors import InputError
from tilth.core.schema import DataType
from tilth.ml.bundles.signing import whole
from tilth.ports import registry

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from tilth.ml.model.answerer import Answerer


class Version:
    """One version as MLflow asks it."""

    def __init__(self, predictor: Answerer) -> None:
        self.predictor = predictor

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> pd.DataFrame:  # noqa: ARG002  # MLflow gives it
        """The outputs for the rows of a DataFrame, of a mapping of columns, or of a list of mappings; InputError for others."""
        table = _table(model_input)
        for one in self.predictor.inputs:
            if one.type is DataType.BOOLEAN and one.name in table.column_names:
                table = _truth(table, one.name)
        return self.predictor.predict(table).to_pandas()


def _load_pyfunc(path: str, model_config: Mapping[str, Any] | None = None) -> Version:  # noqa: ARG001  # MLflow gives it
    """The version whose bundle lies in this folder; TamperError when it is not whole."""
    from tilth.ml.model import joint

    found = whole(Path(path))
    subject = found.statement.subject

    def scorers(name: str) -> Any:
        return registry.load("tilth.scorers", name)

    return Version(joint.load(found.files, scorers, subject.version, found.digest))


def _table(given: Any) -> pa.Table:
    import pandas as pd
    import pyarrow as pa

    if isinstance(given, pd.DataFrame):
        return pa.Table.from_pandas(given, preserve_index=False).replace_schema_metadata(None)
    if isinstance(given, Mapping):
        return pa.table(
            {
                name: pa.array(v) if isinstance(v, Sequence) and not isinstance(v, str) else v
                for name, v in given.items()
            }
        )
    if isinstance(given, list) and all(isinstance(row, Mapping) for row in given):
        return pa.Table.from_pylist(given)
    raise InputError(
        f"The model takes rows with named columns; {type(given).__name__} was given.",
        hint="Give a DataFrame whose columns have the names of the model's inputs.",
    )


def _truth(table: pa.Table, name: str) -> pa.Table:
    """1, 0 and NaN as truth values, as a DataFrame with gaps has them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = table.column(name)
    if not pa.types.is_floating(values.type):
        return table
    known = pc.if_else(pc.is_nan(values), None, values)
    if not pc.all(pc.is_in(known.drop_null(), pa.array([0.0, 1.0], values.type))).as_py():
        raise InputError(
            f"The input `{name}` is true or false; another number was given.", hint="Give 1, 0 or NaN."
        )
    return table.set_column(table.column_names.index(name), name, pc.equal(known, 1.0))
