"""Writes the files of a bundle: text, JSON and the member's own format, none of them executable.

Bytes depend on what was learned only: keys are sorted, numbers are as they are, and no time, path or duration is said.
Neighbours: `training` decides what goes in, `ml.bundles` seals it, `ml.model.predictor` reads it.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tilth.core.errors import TrainingError
from tilth.ml.bundles.manifest import digests
from tilth.ml.judging import answers
from tilth.ml.learning.usual_row import usual_row
from tilth.ml.model import ensemble
from tilth.ml.model.signature import Input, Joint, Signature
from tilth.ports.arrow import data_type
from tilth.ports.learning import tried, version_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tilth.core.engines import Engine
    from tilth.ml.learning.made import Made, Member
    from tilth.ml.learning.rows import Rows
    from tilth.ml.model.spec import TrainingSpec

    Array = npt.NDArray[np.float64]

MLFLOW_TYPE = {
    "boolean": "boolean",
    "integer": "long",
    "float": "double",
    "decimal": "double",
    "date": "datetime",
    "timestamp": "datetime",
}


def write(
    out: str, spec: TrainingSpec, data: Rows, made: Made, metrics: dict[str, Any], ids: npt.NDArray[np.uint64]
) -> dict[str, str]:
    """Write all files of the bundle; the sha256 of each by name. `ids` are those of the judged rows."""
    from tilth.ml.learning.reference import profile, usual

    signature = signature_of(spec, data)
    known = profile(data, made.judged.scores, spec.output)
    weeks = usual(data, known, made.scores, spec.output, spec.event_time)
    named = _named(made)
    kept, spread = _spread(made)
    listed = ensemble.plain([(name, m.fitted.scorer, m.weight, bool(m.fitted.texts)) for name, m in named])
    files: dict[str, bytes] = {
        "signature.json": text(signature.plain()),
        "prepare.json": text(data.preparation.plain()),
        "calibration.json": text(
            {
                **made.curve.plain(),
                "members": listed,
                "spread": kept,
                **usual_row(data, *[m.scorer for m in made.members]),
            }
        ),
        **{name: m.fitted.payload for name, m in named},
        **spread,
        "metrics.json": text(metrics),
        "profile.json": text({**known.plain(), "usual": weeks}),
        "MLmodel": mlmodel(signature, named).encode(),
        answers.FILE: answers.packed(ids, made.judged.scores),
    }
    for name, content in files.items():
        with open(os.path.join(out, name), "wb") as file:
            file.write(content)
    return digests(files)


def _named(made: Made) -> list[tuple[str, Member]]:
    """The members with the names of their files: one alone is `member`."""
    if len(made.members) == 1:
        return [(f"member.{made.members[0].fitted.suffix}", made.members[0])]
    return [(f"{m.name.replace('.', '_')}.{m.fitted.suffix}", m) for m in made.members]


def _spread(made: Made) -> tuple[dict[str, str] | None, dict[str, bytes]]:
    """The file of the model that says how wide a row's interval is, and how `calibration.json` names it."""
    found = made.interval.spread if made.interval is not None else None
    if found is None:
        return None, {}
    name = f"spread.{found.fitted.suffix}"
    return {"member": name, "scorer": found.fitted.scorer}, {name: found.fitted.payload}


def text(value: object) -> bytes:
    """JSON that people can read and that is the same bytes for the same value. TrainingError for numbers that are none."""
    try:
        made = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False, default=str)
    except ValueError as error:
        place = next(_unending(value, ""), "")
        raise TrainingError(
            f"What was learned cannot be kept: {place.lstrip('.') or 'a number'} is not a finite number.",
            hint="Look for values of extreme size in the dataset's columns, and filter or scale them in its query.",
        ) from error
    return made.encode() + b"\n"


def _unending(value: object, at: str) -> Iterator[str]:
    """Where in a JSON-able value there are numbers that are not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        yield at
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _unending(inner, f"{at}.{key}")
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _unending(inner, at)


def signature_of(spec: TrainingSpec, data: Rows) -> Signature:
    """Inputs in the order of preparation; one that had a gap in any training row may be missing."""
    tuned = data.table
    used = {c.name for c in data.preparation.columns}
    inputs = tuple(
        Input(c.name, c.type, required=not _gaps(tuned.column(c.name))) for c in data.preparation.columns
    )
    extra = [*spec.key, *([spec.event_time] if spec.event_time else [])]
    carried = tuple(
        Input(name, data_type(data.table.column(name).type), required=False)
        for name in dict.fromkeys(extra)
        if name not in used
    )
    return Signature(
        model=spec.model,
        target=spec.target,
        output=spec.output,
        kind=data.target.kind,
        target_type=data.target.type,
        inputs=inputs,
        carried=carried,
        classes=data.target.classes,
        key=spec.key,
        event_time=spec.event_time,
        strict=spec.strict,
    )


def _gaps(values: Any) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    if values.null_count:
        return True
    return bool(pa.types.is_floating(values.type) and not pc.all(pc.is_finite(values)).as_py())


def engine_versions(engine: Engine) -> dict[str, str]:
    """The versions that decide what comes out: of tilth, of the engine's package, of numpy."""
    return {package: version_of(package) for package in sorted({"tilth", "numpy", engine.package})}


def mlmodel(signature: Signature, named: Sequence[tuple[str, Member]]) -> str:
    """MLflow's description of a model folder, as YAML; flavors say which file is what."""
    engines = tuple(dict.fromkeys(m.engine for _, m in named))
    versions = {k: v for e in engines for k, v in engine_versions(tried(e)[0]).items()}
    rows = ["flavors:", "  tilth:"]
    if len(named) == 1:
        rows += [f"    data: {named[0][0]}", f"    scorer: {named[0][1].fitted.scorer}"]
    else:
        rows += ["    data: calibration.json", f"    members: {len(named)}"]
    rows += [f"    tilth_version: {versions['tilth']}"]
    member, scorer = named[0][0], named[0][1].fitted.scorer if len(named) == 1 else ""
    if scorer == "lightgbm":
        rows += ["  lightgbm:", f"    data: {member}", f"    lgb_version: {version_of('lightgbm')}"]
        rows += ["    model_class: lightgbm.basic.Booster"]
    if scorer == "skops":
        rows += ["  sklearn:", f"    pickled_model: {member}", "    serialization_format: skops"]
        rows += [f"    sklearn_version: {versions['scikit-learn']}"]
    return "\n".join([*rows, *_columns(signature)]) + "\n"


def mlmodel_of_several(signature: Joint) -> bytes:
    """The same of a model of several targets."""
    rows = ["flavors:", "  tilth:", "    data: signature.json", f"    targets: {len(signature.parts)}"]
    rows += [f"    tilth_version: {version_of('tilth')}"]
    return ("\n".join([*rows, *_columns(signature)]) + "\n").encode()


def _columns(signature: Signature | Joint) -> list[str]:
    inputs = [
        {"name": i.name, "type": MLFLOW_TYPE.get(i.type.value, "string"), "required": i.required}
        for i in signature.inputs
    ]
    outs = [
        {"name": o.name, "type": MLFLOW_TYPE.get(o.type.value, "string"), "required": True}
        for o in signature.outputs
    ]
    return ["signature:", f"  inputs: {_yaml(inputs)}", f"  outputs: {_yaml(outs)}", "  params: null"]


def _yaml(value: object) -> str:
    """A JSON text as a single-quoted YAML scalar, as MLflow writes signatures."""
    return "'" + json.dumps(value, ensure_ascii=False).replace("'", "''") + "'"
