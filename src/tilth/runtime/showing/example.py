"""A request to copy for an endpoint or a model: one row with usual values, as a shell, Python and SQL write it. Pure.

The values come from the profile that a version keeps of what it learned from: the median, or the most frequent value.
Moments have no profile and are the newest event time.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tilth.core.names import literal
from tilth.core.schema import DataType
from tilth.ml.data.profile import Categorical, Numeric, Profile
from tilth.ml.model.signature import Input
from tilth.sql.language.writing import name

_PLAIN: Mapping[DataType, Any] = {
    DataType.BOOLEAN: True,
    DataType.INTEGER: 1,
    DataType.FLOAT: 1.0,
    DataType.DECIMAL: 1.0,
    DataType.STRING: "text",
    DataType.JSON: "[]",
    DataType.TIME: "12:00:00",
}
_WORDS: Mapping[DataType, str] = {
    DataType.DATE: "DATE ",
    DataType.TIMESTAMP: "TIMESTAMP ",
    DataType.TIME: "TIME ",
}


def row(inputs: Iterable[Input], profile: Profile, newest: str | None) -> dict[str, Any]:
    """A usual value for each input that must be given."""
    return {i.name: usual(i, profile, newest) for i in inputs if i.required}


def usual(one: Input, profile: Profile, newest: str | None) -> Any:
    """The median, or the most frequent value; of moments the newest event time."""
    known = profile.find(one.name)
    if isinstance(known, Numeric):
        middle = known.edges[len(known.edges) // 2] if known.edges else known.mean
        if middle is not None:
            return round(middle) if one.type is DataType.INTEGER else middle
    if isinstance(known, Categorical) and known.values:
        return _read(known.values[0], one.type)
    moment = (newest or "2026-01-01T12:00:00")[:19].replace(" ", "T")
    if one.type is DataType.TIMESTAMP:
        return moment
    return moment[:10] if one.type is DataType.DATE else _PLAIN.get(one.type, "text")


def _read(text: str, kind: DataType) -> Any:
    if kind in (DataType.INTEGER, DataType.BOOLEAN, DataType.FLOAT, DataType.DECIMAL):
        return json.loads(text)
    return text


def requests(
    url: str,
    endpoint: str,
    model: str,
    body: Mapping[str, Any],
    types: Mapping[str, DataType],
    asked: Sequence[str],
) -> dict[str, str]:
    """The row as `curl`, `python` and `sql` ask it; `asked` are the outputs of the SQL one, and keys are left out there."""
    return {
        "curl": f'curl -s -H "Authorization: Bearer $(cat .tilth/token)" {url}/predict/{endpoint} '
        f"-d {shlex.quote(json.dumps(body))}",
        **calls(model, body, types, asked),
    }


def calls(
    model: str, body: Mapping[str, Any], types: Mapping[str, DataType], asked: Sequence[str]
) -> dict[str, str]:
    """The row as `python` and `sql` ask a model."""
    given = [f"{name(k)} = {_sql(v, types[k])}" for k, v in body.items() if k in types]
    names = ", ".join(map(name, asked))
    return {
        "python": f'import tilth; tilth.open(".").model({model!r}).predict({dict(body)!r})',
        "sql": f"SELECT {names} FROM {name(model)} WHERE {' AND '.join(given) or 'true'};",
    }


def _sql(value: Any, kind: DataType) -> str:
    return f"{_WORDS.get(kind, '')}{literal(value)}" if isinstance(value, str) else json.dumps(value)
