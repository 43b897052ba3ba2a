"""Makes the files of a bundle from a model that another tool has fitted, and from rows that it is measured on. Runs in a worker.

An exported version of tilth keeps what answers, byte for byte. Of others the file becomes the member: inputs go to it as they
are, nothing is calibrated, and values have no intervals, since which rows it learned from is not known.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tilth.core.errors import MissingExtraError, UnsupportedError
from tilth.core.names import did_you_mean
from tilth.core.schema import DataType
from tilth.ml.bundles.manifest import bundle_digest, digests
from tilth.ml.importing.given import Given
from tilth.ml.importing.measuring import measured
from tilth.ml.judging import answers
from tilth.ml.learning.dealing import Files, dealt
from tilth.ml.learning.made import Getter, Member, Report
from tilth.ml.learning.reference import profile, usual
from tilth.ml.learning.rows import Rows, inputs, task_of
from tilth.ml.learning.usual_row import usual_row
from tilth.ml.learning.write import mlmodel, signature_of, text
from tilth.ml.model import ensemble
from tilth.ml.model.columns import Column
from tilth.ml.model.curve import Curve, threshold
from tilth.ml.model.predictor import Predictor
from tilth.ml.model.preparation import Preparation
from tilth.ml.model.signature import Signature
from tilth.ports.arrow import data_type
from tilth.ports.learning import learning_of

if TYPE_CHECKING:
    from tilth.ml.model.spec import TrainingSpec
    from tilth.ports.adopting import Foreign
    from tilth.ports.learning import Fitted

OF_ROWS = frozenset(
    ("metrics.json", answers.FILE, answers.OLD)
)  # of an exported bundle: what was measured elsewhere
NUMBERS = (DataType.INTEGER, DataType.FLOAT, DataType.DECIMAL)


def adopted(
    spec: TrainingSpec, rows: Files, given: Given, out: str, learners: Getter, scorers: Getter, report: Report
) -> dict[str, object]:
    """Write the bundle's files into `out`; facts as `training.train` gives them. UnsupportedError or TamperError with the reason."""
    started = time.monotonic()
    report("reading rows", 0.1)
    data = dealt(spec, rows)
    report("reading the model", 0.5)
    if given.flavor == "tilth":
        files, engine = _ours(spec, data, given, scorers)
    else:
        files, engine = _theirs(spec, data, given, learners, scorers), given.flavor
    report("measuring it on the rows", 0.8)
    model = Predictor.load(files, scorers, 0, "", spec.threads)
    preparation = Preparation.from_plain(json.loads(files["prepare.json"]))
    data = replace(data, preparation=preparation, x=preparation.matrix(data.table))
    metrics, told = measured(spec, data, model, given, engine)
    files["metrics.json"] = text(metrics)
    os.makedirs(out, exist_ok=True)
    for name, content in files.items():
        with open(os.path.join(out, name), "wb") as file:
            file.write(content)
    listed = digests(files)
    return {
        "metrics": metrics, "engine": engine, "learning": learning_of(learners(engine)), "files": sorted(listed),
        "artifact": bundle_digest(listed), "rows": 0, "rows_without_label": data.dropped, "tuned_until": None,
        "dropped_columns": {}, "told": told, "notes": {}, "seconds": {"total": round(time.monotonic() - started, 3)},
    }  # fmt: skip


# --- a version of tilth ------------------------------------------------------------------------------------


def _ours(spec: TrainingSpec, data: Rows, given: Given, scorers: Getter) -> tuple[dict[str, bytes], str]:
    """All that answers, as it was sealed, and the engine that made it."""
    files = {name: content for name, content in given.files.items() if name not in OF_ROWS}
    model = Predictor.load(files, scorers, 0, "", 1)
    made = model.signature
    wanted, found = (spec.target, spec.output, data.target.kind), (made.target, made.output, made.kind)
    if wanted != found or (made.classes and made.classes != data.target.classes):
        raise UnsupportedError(
            f"The folder's model predicts `{made.target}` as `{made.output}` ({made.kind} of {_listed(made.classes)}), "
            f"and `{spec.model}` predicts `{spec.target}` as `{spec.output}` ({data.target.kind} of {_listed(data.target.classes)}).",
            hint="Import it for a model that is declared with its target.",
        )
    schema = data.table.schema
    for one in made.inputs:
        _allowed(spec, data, one.name)
        have = data_type(schema.field(one.name).type)
        if have is not one.type:
            raise UnsupportedError(
                f"The folder's model takes `{one.name}` as {one.type.value}; in the dataset it is {have.value}.",
                hint="CAST it in the dataset's query.",
            )
    engine = json.loads(given.files.get("metrics.json", b"{}")).get("engine", "")
    return files, str(engine)


def _listed(classes: tuple[Any, ...]) -> str:
    return ", ".join(map(str, classes[:5])) + (" ..." if len(classes) > 5 else "") if classes else "values"


# --- of another tool ---------------------------------------------------------------------------------------


def _theirs(
    spec: TrainingSpec, data: Rows, given: Given, learners: Getter, scorers: Getter
) -> dict[str, bytes]:
    adopt = getattr(learners(given.flavor), "adopt", None)
    if adopt is None:
        raise MissingExtraError(
            f"The engine `{given.flavor}` that is installed here reads no files of its library.",
            hint="Train it here.",
        )
    ((_, payload),) = given.files.items()
    found: Foreign = adopt(payload, given.about)
    _fits(spec, data, found)
    preparation = _prepared(spec, data, found, _names(found, given))
    data = replace(data, preparation=preparation, x=preparation.matrix(data.table))
    task = task_of(spec, data)
    fitted: Fitted = found.member(task, data.x)
    scorer = scorers(fitted.scorer).load(fitted.payload, task, spec.threads)
    limit = threshold(spec.cost_false_negative, spec.cost_false_positive) if task.kind == "binary" else 0.5
    curve, signature = Curve(threshold=limit), signature_of(spec, data)
    return _written(spec, data, signature, Member(given.flavor, given.flavor, fitted, scorer, 1.0), curve)


def _written(
    spec: TrainingSpec, data: Rows, signature: Signature, member: Member, curve: Curve
) -> dict[str, bytes]:
    name = f"member.{member.fitted.suffix}"
    scores = member.scorer.score(data.x)
    known = profile(data, scores, spec.output)
    weeks = usual(data, known, member.scorer.score, spec.output, spec.event_time)
    listed = ensemble.plain([(name, member.fitted.scorer, 1.0, False)])
    kept = {**curve.plain(), "members": listed, "spread": None, **usual_row(data, member.scorer)}
    return {
        "signature.json": text(signature.plain()),
        "prepare.json": text(data.preparation.plain()),
        "calibration.json": text(kept),
        name: member.fitted.payload,
        "profile.json": text({**known.plain(), "usual": weeks}),
        "MLmodel": mlmodel(signature, [(name, member)]).encode(),
    }


def _fits(spec: TrainingSpec, data: Rows, found: Foreign) -> None:
    """Return when the file's model is of the declared task; its classes are known to it by number only."""
    kind, classes = data.target.kind, data.target.classes
    if kind != found.kind or (kind == "multiclass" and len(classes) != found.classes):
        several = f" of {found.classes} classes" if found.kind == "multiclass" else ""
        raise UnsupportedError(
            f"The folder's model is a {found.kind} one{several}, and `{spec.target}` is a {kind} target"
            + (f" of {len(classes)} classes." if classes else "."),
            hint="Import it for a model that is declared with its target; OBJECTIVE (metric = ...) says how whole numbers are taken.",
        )
    if classes and (
        any(isinstance(c, str) for c in classes) or [float(c) for c in classes] != [*range(len(classes))]
    ):
        raise UnsupportedError(
            f"The folder's model knows its classes as 0 to {len(classes) - 1}, and `{spec.target}` has {_listed(classes)}: which "
            "is which is not said.",
            hint="Have the dataset's query give the numbers that the model was fitted on.",
        )


def _names(found: Foreign, given: Given) -> tuple[str, ...]:
    """What its inputs are called: by the signature of the folder, else by the file."""
    names = given.inputs if len(given.inputs) == found.width else found.columns
    if len(names) != found.width or len(set(names)) != len(names):
        raise UnsupportedError(
            f"The folder does not name the {found.width} inputs of its model.",
            hint="Save it with a signature: mlflow.models.infer_signature(frame, answers).",
        )
    return names


def _allowed(spec: TrainingSpec, data: Rows, name: str) -> None:
    known = inputs(spec, data.table.schema.names)
    if name not in known:
        raise UnsupportedError(
            f"The folder's model takes the input `{name}`, which is none of `{spec.model}`.",
            hint=did_you_mean(name, known, "inputs") + " FEATURES says which columns a model may know.",
        )


def _prepared(spec: TrainingSpec, data: Rows, found: Foreign, names: tuple[str, ...]) -> Preparation:
    """Its inputs as they are: numbers, truth values as 1 and 0, and texts as the codes that the file has for them."""
    columns = []
    for place, name in enumerate(names):
        _allowed(spec, data, name)
        type_, levels = data_type(data.table.schema.field(name).type), found.levels.get(place, ())
        kind = "category" if levels else "boolean" if type_ is DataType.BOOLEAN else "number"
        if (kind == "category") is not (type_ is DataType.STRING) or (
            kind == "number" and type_ not in NUMBERS
        ):
            raise UnsupportedError(
                f"The folder's model takes `{name}` as a {'text' if levels else 'number'}; in the dataset it is {type_.value}.",
                hint="CAST it in the dataset's query to what the model was fitted on.",
            )
        columns.append(Column(name, type_, kind, levels))
    return Preparation(tuple(columns), (), spec.event_time)
