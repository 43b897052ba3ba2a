"""What the objects look like that HTTP takes and gives: their fields, one row each, as JSON Schema and in words.

`/openapi.json` has them as its components, `docs/http.md` as its tables. What depends on an endpoint (its row, its answer) is made
in `openapi`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

Schema = dict[str, Any]
_LINK = re.compile(r"\[([^]]+)\]\([^)]+\)")


def _or_null(kind: str, **more: Any) -> Schema:
    return {"type": [kind, "null"], **more}


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def array(of: Schema) -> Schema:
    return {"type": "array", "items": of}


TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
OBJECT: Schema = {"type": "object"}
MOMENT: Schema = {"type": "string", "format": "date-time"}
WORDS = _or_null("string")


class Field(NamedTuple):
    """One field of an object. `always`: it is there whatever happens."""

    name: str
    schema: Schema
    says: str
    always: bool = True


OBJECTS: Mapping[str, tuple[Field, ...]] = {
    "Error": (
        Field("code", TEXT, "stable, such as `E-INPUT`; [the reference](reference.md#errors) lists them"),
        Field("message", TEXT, "what happened"),
        Field("retry", FLAG, "whether the same request can do better later"),
        Field("hint", TEXT, "what to do next", always=False),
        Field("where", TEXT, "a place in a statement", always=False),
        Field("detail", array(TEXT), "more lines", always=False),
    ),
    "Failure": (Field("error", ref("Error"), "why there is no answer"),),
    "Problem": (
        Field("type", TEXT, "`urn:tilth:` and the code"),
        Field("title", TEXT, "what happened"),
        Field("status", WHOLE, "the status of the answer"),
        Field("sqlstate", TEXT, "the same as PostgreSQL's clients are told"),
        Field("code", TEXT, "stable, such as `E-INPUT`; [the reference](reference.md#errors) lists them"),
        Field("message", TEXT, "what happened"),
        Field("retry", FLAG, "whether the same request can do better later"),
        Field("detail", {"type": ["string", "array"], "items": TEXT}, "what to do next", always=False),
        Field("hint", TEXT, "what to do next", always=False),
        Field("where", TEXT, "a place in the statement", always=False),
    ),
    "Statements": (
        Field("sql", TEXT, "one or more statements; the last one's answer is sent"),
        Field("parameters", {"type": ["object", "array", "null"]}, "values for `$x` or `?`", always=False),
        Field("environment", WORDS, "where; by default the one that is served", always=False),
        Field("timeout", {"type": ["number", "null"], "minimum": 0.001, "maximum": 86_400}, "seconds that a SELECT may work", always=False),
    ),
    "Table": (
        Field("columns", array(ref("Column")), "in the order of the rows' values"),
        Field("rows", array(array({})), "a list a row: numbers, texts, booleans, null; moments in ISO 8601, decimals as text"),
        Field("row_count", WHOLE, "how many there are; it stands at the end, so that a part is none"),
        Field("notices", array(TEXT), "what to know of them"),
        Field("text", TEXT, "what a statement that acts says", always=False),
        Field("facts", OBJECT, "the same as data", always=False),
        Field("refused", FLAG, "whether a gate refused the candidate", always=False),
    ),
    "Column": (
        Field("name", TEXT, "of the column"),
        Field("type", TEXT, "of Arrow"),
    ),
    "ProtocolFailure": (
        Field("error", TEXT, "message and hint in one text, as the protocol has it"),
        Field("detail", ref("Error"), "the same as an error of every other path"),
    ),
    "Health": (
        Field("status", {"enum": ["starting", "ok", "degraded"]}, "`degraded`: something deployed is not served, what was served goes on"),
        Field("environment", TEXT, "what is served"),
        Field("generation", WHOLE, "0: none yet"),
        Field("endpoints", {"type": "object", "additionalProperties": ref("Served")}, "by name"),
        Field("reasons", array(TEXT), "why it is `degraded` or `starting`"),
    ),
    "Served": (
        Field("stage", TEXT, "of its rollout: `shadow`, `canary`, `full`, `rolled_back`"),
        Field("versions", array(WHOLE), "that may answer"),
    ),
    "Promises": (
        Field("environment", TEXT, ""),
        Field("holds", FLAG, "whether all do"),
        Field("promises", array(ref("Promise")), ""),
    ),
    "Promise": (
        Field("kind", TEXT, "`dataset`, `model`, `endpoint`, `table` or `content`"),
        Field("name", TEXT, "of which one"),
        Field("promise", TEXT, "`refreshed`, `fresh`, `good`, `steady`, `served`, `written` or `whole`: [what each means](operations.md#watched-from-outside)"),
        Field("holds", FLAG, ""),
        Field("reason", TEXT, "why not; empty when it holds"),
    ),
    "Status": (
        Field("environment", TEXT, ""),
        Field("generation", WHOLE, "0: nothing was applied"),
        Field("reason", WORDS, "why there is that generation"),
        Field("at", MOMENT, "since when", always=False),
        Field("now", MOMENT, "the server's clock"),
        Field("health", ref("Health"), ""),
        Field("datasets", array(OBJECT), "rows, newest event time, last refresh, checks, quarantine, notices"),
        Field("models", array(OBJECT), "version, engine, metric, last gate, drift and quality at the last look, notices"),
        Field("endpoints", array(OBJECT), "model, version, stage, requests by status, `rows_without_key`"),
        Field("servers", array(OBJECT), "processes that serve it"),
        Field("failures", array(OBJECT), "what failed the last time it was tried"),
        Field("held", array(OBJECT), "what was made and is held back, with why"),
        Field("jobs", array(OBJECT), "jobs and triggers: when they run next, were last done, and what they did or why they failed"),
        Field("undelivered", array(OBJECT), "messages that a channel never took"),
        Field("damage", array(OBJECT), "content that is missing or changed"),
        Field("generations", array(OBJECT), "the last ones"),
        Field("versions", array(OBJECT), "the last ones, with their gates"),
        Field("limits", OBJECT, "what RETRAIN WHEN says, by model"),
        Field("looks", OBJECT, "drift and quality over time, by model"),
        Field("columns", OBJECT, "drift by column at the last look, by model"),
    ),
    "Document": (
        Field("openapi", TEXT, "`3.1.0`"),
        Field("info", OBJECT, ""),
        Field("paths", OBJECT, ""),
        Field("components", OBJECT, ""),
    ),
    "Server": (
        Field("name", TEXT, "`tilth`"),
        Field("version", TEXT, ""),
        Field("extensions", array(TEXT), "`binary_tensor_data`"),
    ),
    "Live": (Field("live", FLAG, ""),),
    "Ready": (Field("ready", FLAG, ""),),
    "ModelReady": (Field("name", TEXT, ""), Field("ready", FLAG, "")),
    "Model": (
        Field("name", TEXT, "of the endpoint"),
        Field("versions", array(TEXT), "that may answer"),
        Field("platform", TEXT, "`tilth`"),
        Field("inputs", array(ref("TensorType")), "in the order of the model; its key and event time come last, and may be left out"),
        Field("outputs", array(ref("TensorType")), "the answer first"),
    ),
    "TensorType": (
        Field("name", TEXT, ""),
        Field("datatype", TEXT, "`BOOL`, `INT64`, `FP64` or `BYTES`"),
        Field("shape", array(WHOLE), "`[-1]`: one element a row"),
    ),
    "Explanation": (
        Field("value", {}, "the answer; its other outputs stand beside it without the target's name (`confidence`, `probability`, ...)"),
        Field("predicted_value", {}, "the answer again, as MindsDB calls it; `confidence_lower_bound`, `confidence_upper_bound`, `anomaly` and `truth` (both null) are beside it"),
        Field("contributions", array(ref("Contribution")), "the ten that count most, the strongest first; empty with a `note` where the model cannot tell"),
        Field("others", NUMBER, "what all inputs that are not listed added", always=False),
        Field("base", NUMBER, "the answer before any input: with `contributions` and `others` it makes `total`", always=False),
        Field("total", NUMBER, "what is explained, as it is served: the value, or a calibrated probability", always=False),
        Field("of", TEXT, "what `total` is: the output, or the class whose probability it is (of two the positive one, of several the answer)", always=False),
        Field("note", TEXT, "why there are no contributions, or how they were tried out", always=False),
        Field("model", TEXT, "that answered"),
        Field("version", WHOLE, "of it"),
        Field("digest", TEXT, "of its bundle"),
    ),
    "Contribution": (
        Field("input", TEXT, ""),
        Field("given", {}, "its value in the request"),
        Field("contribution", NUMBER, "what it added to the total"),
    ),
    "Infer": (
        Field("inputs", array(ref("Tensor")), "each input once, all with the same number of rows"),
        Field("id", TEXT, "comes back with the answer", always=False),
        Field("outputs", array(ref("Wanted")), "by default the usual ones", always=False),
        Field("parameters", OBJECT, "`binary_data_output`: outputs as bytes; others are not looked at", always=False),
    ),
    "Tensor": (
        Field("name", TEXT, "of the input"),
        Field("shape", {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 2}, "`[n]` or `[n, 1]`"),
        Field("datatype", TEXT, "of the numbers as they are sent; BYTES for texts, dates and times"),
        Field("data", array({}), "one element a row, `null` where it is missing; left out where the bytes follow the JSON", always=False),
        Field("parameters", OBJECT, "`binary_data_size`: how many bytes follow the JSON", always=False),
    ),
    "Wanted": (
        Field("name", TEXT, "of the output"),
        Field("parameters", OBJECT, "`binary_data`: as bytes, whatever the request says", always=False),
    ),
    "Inferred": (
        Field("model_name", TEXT, "of the endpoint"),
        Field("model_version", TEXT, "that answered"),
        Field("id", TEXT, "the request's, or the answer's own"),
        Field("parameters", OBJECT, "`digest` of the bundle; `notices`: what was to be told of a row"),
        Field("outputs", array(ref("Tensor")), "in the order asked"),
    ),
}  # fmt: skip


def component(name: str) -> Schema:
    """The object as JSON Schema."""
    fields = OBJECTS[name]
    return {
        "type": "object",
        "required": [f.name for f in fields if f.always],
        "properties": {f.name: _said(f) for f in fields},
    }


def _said(field: Field) -> Schema:
    """With what it says, without the links between pages of the documentation."""
    says = _LINK.sub(r"\1", field.says)
    return {**field.schema, **({"description": says} if says else {})}


def reached(name: str) -> tuple[str, ...]:
    """The object and those that its fields are made of, each once."""
    found = [name]
    for one in found:
        for field in OBJECTS[one]:
            inner: Any = field.schema.get("items") or field.schema.get("additionalProperties") or field.schema
            other = inner.get("$ref", "").rpartition("/")[2] if isinstance(inner, dict) else ""
            if other and other not in found:
                found.append(other)
    return tuple(found)
