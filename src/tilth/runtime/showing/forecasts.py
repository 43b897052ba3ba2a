"""What is known of a version that forecasts, as plain facts: its series, members, errors by step, and how to ask it.

`describing` has the facts of models that predict row by row; what DESCRIBE prints of both is in `described`.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from tilth.core.names import literal, quoted
from tilth.core.schema import DataType
from tilth.ml.forecasting import predicting
from tilth.ml.forecasting.signature import ENGINE, Signature
from tilth.runtime.loading import verified
from tilth.runtime.record.versions import Version
from tilth.runtime.workspace import Workspace

MEANINGS = {
    "": "the forecast",
    "_confidence": "the share of true values that the interval holds",
    "_lower": "where the interval begins",
    "_upper": "where the interval ends",
    "_explain": "the forecast with its interval and the version, as JSON (made when it is asked for)",
}
SHOWN = ("member", "weight", "against_naive", "why")


def is_one(row: Version) -> bool:
    """Whether the version forecasts."""
    return row.engine == ENGINE


def known(work: Workspace, row: Version) -> Signature:
    """Its signature, read from the verified bundle; nothing of it is loaded."""
    return predicting.signature_of(verified(work, row).files)


def groups(work: Workspace, row: Version, most: int = 1) -> list[dict[str, Any]]:
    """The first groups that it knows, by their columns."""
    own = predicting.load(verified(work, row).files, row.version, row.digest, 1)
    return list(own.forecaster.groups.slice(0, most).to_pylist()) if own.signature.groups else []


def facts(work: Workspace, name: str, row: Version) -> dict[str, Any]:
    """What DESCRIBE says of its inputs, outputs, members and errors."""
    signature, said = known(work, row), row.facts
    about: Mapping[str, Any] = said["forecast"]
    first = groups(work, row)
    return {
        "target": ", ".join(signature.targets), "task": ENGINE, "classes": [], "metric": said.get("metric"),
        "value": said.get("value"), "metrics": said.get("metrics"), "baselines": said.get("baselines"), "search": None,
        "coverage": said.get("coverage"), "bias": said.get("bias"), "forecast": about,
        "inputs": inputs(signature), "outputs": outputs(signature),
        "example": calls(name, signature, first[0] if first else {}),
    }  # fmt: skip


def inputs(signature: Signature) -> list[dict[str, Any]]:
    """The columns of a history."""
    parts = {signature.time: "the time", **dict.fromkeys(signature.groups, "tells the series apart")}
    parts |= dict.fromkeys(signature.targets, "what came; a gap is filled by rule")
    parts |= dict.fromkeys(signature.known, "known ahead: its future values are asked for")
    parts |= dict.fromkeys(signature.static, "says something of a series")
    return [
        {
            "name": i.name, "type": i.type.value, "required": i.required, "gap": parts[i.name], "range": None,
            "categories": None, "more_categories": False, "importance": None, "example": None,
        }
        for i in signature.inputs
    ]  # fmt: skip


def outputs(signature: Signature) -> list[dict[str, str]]:
    """What each row of a forecast has."""
    meanings = {f"{n}{end}": words for n in signature.names for end, words in MEANINGS.items()}
    meanings |= {signature.time: "when", **dict.fromkeys(signature.groups, "of which series")}
    return [{"name": o.name, "type": o.type.value, "meaning": meanings[o.name]} for o in signature.outputs]


def body(signature: Signature, group: Mapping[str, Any]) -> dict[str, Any]:
    """A request."""
    return {**{k: _plain(v) for k, v in group.items()}, "horizon": signature.horizon}


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def calls(name: str, signature: Signature, group: Mapping[str, Any]) -> dict[str, str]:
    """How Python, SQL and the command line ask it."""
    given = " AND ".join(f"m.{quoted(k)} = {_sql(v, signature.types[k])}" for k, v in group.items())
    where = f" WHERE {given}" if given else ""
    listed = "".join(f" {shlex.quote(f'{k}={_plain(v)}')}" for k, v in group.items())
    plain = body(signature, group)
    horizon = plain.pop("horizon")
    asked = f"{plain!r}, horizon={horizon}" if plain else f"horizon={horizon}"
    return {
        "python": f'import tilth; tilth.open(".").model({name!r}).forecast({asked})',
        "sql": f"SELECT m.* FROM {quoted(name)} m{where};",
        "shell": f"tilth predict {name}{listed} --horizon {horizon}",
    }


def _sql(value: Any, kind: DataType) -> str:
    if isinstance(value, int | float) or value is None:
        return json.dumps(value)
    word = {DataType.DATE: "DATE ", DataType.TIMESTAMP: "TIMESTAMP "}.get(kind, "")
    return f"{word}{literal(str(value))}"


def curl(url: str, endpoint: str, asked: Mapping[str, Any]) -> str:
    """A request as curl sends it."""
    return (
        f'curl -s -H "Authorization: Bearer $(cat .tilth/token)" {url}/predict/{endpoint} '
        f"-d {shlex.quote(json.dumps(asked))}"
    )


# --- words -------------------------------------------------------------------------------------------------


def sentences(found: Mapping[str, Any]) -> list[str]:
    """What people read first of a forecast's facts."""
    about = found["forecast"]
    by = f" for each {', '.join(about['groups'])}" if about["groups"] else ""
    series = f"{about['series']:,} series" if about["series"] != 1 else "one series"
    out = [f"Forecasts {found['target']}, {about['horizon']} steps ahead{by}: {series}."]
    for one in about["targets"]:
        seasons = one["seasons"]
        of = f" of {one['target']}" if len(about["targets"]) > 1 else ""
        season = f"seasons of {' and '.join(map(str, seasons))} steps" if seasons else "no season"
        naive = one["naive_mase"]
        than = "" if naive is None else f", a seasonal naive's {naive:.3g}"
        mase = "not measured" if one["mase"] is None else f"{one['mase']:.3g}"
        sure = (
            ""
            if one["coverage"] is None
            else f"; its {about['confidence']:.0%} intervals hold {one['coverage']:.1%}"
        )
        windows = len(one["windows"])
        out.append(
            f"Steps{of} of {one['step']}, {season}. At {windows} inner window{'s' * (windows != 1)} its MASE is {mase}{than}{sure}."
        )
    return out


def members(one: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The members of a target: name, weight, error against a seasonal naive's, and why one has no weight."""
    rows = sorted(one["members"], key=lambda m: -(m["weight"] or 0.0))
    return [tuple(m.get(k) for k in SHOWN) for m in rows]


def by_step(one: Mapping[str, Any], most: int = 24) -> list[tuple[Any, ...]]:
    """Errors by step ahead; of many steps some."""
    steps: Sequence[Mapping[str, Any]] = one["steps"]
    stride = max(1, -(-len(steps) // most))
    return [tuple(s[k] for k in ("step", "mase", "bias", "coverage")) for s in steps[::stride]]
