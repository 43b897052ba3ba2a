"""`GET /openapi.json`: this server as an OpenAPI 3.1 document, made of the table of paths and of the versions that are served now.

Pure: what is served comes in, a document goes out. It holds what whoever asks may call. A row's schema says what the server takes:
which inputs must be given, which may be null, their types. What training saw (ranges, levels) is in descriptions, for no value is
refused because training saw none like it; an output of classes has them as its enum, for there are no others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed
from typing import Any

from tilth.core.schema import DataType
from tilth.interfaces.http.paths import PATHS, Path
from tilth.interfaces.http.predictions import MOST_ROWS
from tilth.interfaces.http.shapes import OBJECTS, Schema, array, component, reached, ref
from tilth.interfaces.statuses import STATUSES
from tilth.ml.forecasting.requests import RequestedForecast
from tilth.ml.model.answerer import answer_of, input_names
from tilth.ml.model.outputs import label
from tilth.plan.rights import Right
from tilth.runtime.serving.answering import Route
from tilth.runtime.serving.looking_up import Completing
from tilth.runtime.showing.describing import MEANINGS
from tilth.runtime.showing.learned import Learned

VERSION = "3.1.0"
WIDEST = 1.7976931348623157e308
JSON, BINARY, PROBLEM = "application/json", "application/octet-stream", "application/problem+json"
TYPES: Mapping[DataType, Schema] = {
    DataType.BOOLEAN: {"type": "boolean"},
    DataType.INTEGER: {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    DataType.FLOAT: {"type": "number", "minimum": -WIDEST, "maximum": WIDEST},
    DataType.DECIMAL: {"type": "number", "minimum": -WIDEST, "maximum": WIDEST},
    DataType.STRING: {"type": "string"},
    DataType.JSON: {"type": ["array", "object", "string"]},
    DataType.DATE: {"type": "string", "format": "date"},
    DataType.TIMESTAMP: {"type": "string", "format": "date-time"},
}
"""What an input of each type takes; one of any other type takes anything, and is not learned from."""
_GIVEN: Mapping[DataType, Schema] = {
    DataType.BOOLEAN: {"type": "boolean"},
    DataType.INTEGER: {"type": "integer"},
    DataType.FLOAT: {"type": ["number", "null"]},
    DataType.STRING: {"type": "string"},
    DataType.DATE: {"type": "string", "format": "date"},
    DataType.TIMESTAMP: {"type": "string"},
    DataType.SHARES: {"type": "object", "additionalProperties": {"type": "number"}},
    DataType.JSON: ref("Explanation"),
}
_ZONES = "ISO 8601; without an offset it is UTC"
_HEADERS: Mapping[str, Schema] = {
    "X-Request-Id": {"description": "the request's own, or a new one", "schema": {"type": "string"}}
}
_MORE: Mapping[int, Mapping[str, Schema]] = {
    401: {"WWW-Authenticate": {"description": "how to send a token", "schema": {"type": "string"}}},
    405: {"Allow": {"description": "the methods that there are", "schema": {"type": "string"}}},
}
_ROWS_HEADERS: Mapping[str, Schema] = {
    **_HEADERS,
    "Idempotent-Replayed": {
        "description": "the answer was given before, to the same key", "schema": {"const": "true"}
    },
    "Tilth-Notice": {
        "description": "how many rows no outcome can be joined with", "schema": {"type": "string"}
    },
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Served:
    """An endpoint as it answers now: its route, and what training saw, if that could be read."""

    route: Route
    learned: Learned | None


def document(
    environment: str, generation: int, served: Sequence[Served], rights: frozenset[Right]
) -> dict[str, Any]:
    """The whole document, for who has these rights."""
    paths: dict[str, Any] = {}
    used: set[str] = {"Failure", *(("Explanation",) if Right.PREDICT in rights and served else ())}
    schemas: dict[str, Schema] = {}
    for path, known in PATHS.items():
        if known.rights and rights.isdisjoint(known.rights):
            continue
        if "<endpoint>" not in path:
            paths[path] = {known.method.lower(): _operation(path, known, _plain(path))}
            used |= {known.answer, known.takes or "", _failure(path)}
            continue
        used |= {known.answer, known.takes or "", _failure(path)} if _spoken(path) else set()
        for one in served:
            whole = path.replace("<endpoint>", one.route.endpoint).replace("<version>", "{version}")
            paths[whole] = {known.method.lower(): _of_endpoint(path, known, one)}
    for one in served if Right.PREDICT in rights else ():
        schemas |= _own_schemas(one)
    objects = sorted({inner for name in used if name in OBJECTS for inner in reached(name)})
    return {
        "openapi": VERSION,
        "info": {
            "title": f"tilth: {environment}",
            "version": installed("tilth"),
            "description": f"Generation {generation} of `{environment}`. It changes when what is served does.",
        },
        "paths": paths,
        "components": {
            "schemas": {**{name: component(name) for name in objects}, **schemas},
            "responses": {
                f"{failure}.{n}": _response(n, failure)
                for failure in ("Failure", "Problem", "ProtocolFailure") if failure in used
                for n in STATUSES if n >= 400
            },
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }  # fmt: skip


def _plain(path: str) -> str:
    """A name for what is asked there."""
    return path.strip("/").replace("/", "_").replace(".", "_") or "console"


def _failure(path: str) -> str:
    """The object that says why there is no answer."""
    if path == "/sql":
        return "Problem"
    return "ProtocolFailure" if _spoken(path) else "Failure"


def _spoken(path: str) -> bool:
    """Whether the path is one of the Open Inference Protocol."""
    return path.startswith("/v2")


# --- operations --------------------------------------------------------------------------------------------


def _operation(path: str, known: Path, name: str) -> dict[str, Any]:
    """What is asked at a path that belongs to no endpoint."""
    answer = ref(known.answer) if known.answer in OBJECTS else None
    kind = known.answer if answer is None else JSON
    given: Schema = {"schema": answer} if answer is not None else {"schema": {"type": "string"}}
    out: dict[str, Any] = {
        "operationId": name,
        "summary": known.gives.replace("`", ""),
        "parameters": [_request_id()],
        "responses": {
            "200": {"description": STATUSES[200][0], "headers": _HEADERS, "content": {kind: given}},
            **_failures(known, _failure(path), answer),
        },
    }
    if known.rights:
        out["security"] = [{"token": []}]
    if known.takes is not None and known.takes in OBJECTS and "<" not in path:
        text: Schema = {"schema": {"type": "string"}}
        out["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": ref(known.takes)}, "application/sql": text},
        }
        out["responses"]["200"]["content"] |= {
            "text/csv": text,
            "application/vnd.apache.arrow.stream": text,
            "application/vnd.apache.parquet": text,
        }
    return out


def _failures(known: Path, failure: str, answer: Schema | None) -> dict[str, Any]:
    out: dict[str, Any] = {str(n): {"$ref": f"#/components/responses/{failure}.{n}"} for n in known.ends}
    if known.answer in {"Health", "Ready"}:  # which say so themselves
        said = {"anyOf": [answer, ref(failure)]}
        out["503"] = {**_response(503, failure), "content": {JSON: {"schema": said}}}
    return out


def _response(status: int, failure: str) -> dict[str, Any]:
    """One way to end without an answer."""
    headers = {**_HEADERS, **_MORE.get(status, {})}
    kind = PROBLEM if failure == "Problem" else JSON
    return {
        "description": STATUSES[status][0], "headers": headers, "content": {kind: {"schema": ref(failure)}}
    }  # fmt: skip


def _of_endpoint(path: str, known: Path, one: Served) -> dict[str, Any]:
    """What is asked of one endpoint."""
    name = one.route.endpoint
    stem = path.partition("<endpoint>")[2].replace("/versions/<version>", "_version").replace("/", "_")
    made = _operation(path, known, f"{name}{stem or '_model'}" if _spoken(path) else f"predict_{name}")
    made["tags"] = [name]
    if "<version>" in path:
        versions = [str(side.version) for side in one.route.sides()]
        made["parameters"].append(
            {
                "name": "version",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "enum": versions},
            }
        )
    if known.takes is None:
        return made
    made["parameters"] += _on_predictions()
    made["responses"]["200"]["headers"] = _ROWS_HEADERS
    asked, given = ref(known.takes), ref(known.answer)
    if not _spoken(path):
        made["parameters"].append(_outputs(one))
        asked = {"anyOf": [ref(f"Row.{name}"), ref(f"Rows.{name}"), *_envelope(one, name)]}
        # many first: what reads it tries one after the other, and those of one row are all optional
        given = {"anyOf": [ref(f"Answers.{name}"), ref(f"Answer.{name}")]}
    bytes_too: dict[str, Any] = {}
    if _spoken(path):
        bytes_too = {BINARY: {"schema": {"type": "string", "format": "binary"}}}
        made["parameters"].append(_head())
    made["requestBody"] = {"required": True, "content": {JSON: {"schema": asked}, **bytes_too}}
    made["responses"]["200"]["content"] = {JSON: {"schema": given}, **bytes_too}
    return made


def _head() -> Schema:
    said = "how many bytes of the body are JSON, where the bytes of tensors follow"
    schema = {"type": "string", "pattern": "^[0-9]{1,12}$"}
    return {"name": "Inference-Header-Content-Length", "in": "header", "description": said, "schema": schema}


def _request_id() -> Schema:
    said = "comes back with the answer, and stands in the log; an ill-formed one is replaced"
    return {"name": "X-Request-Id", "in": "header", "description": said, "schema": {"type": "string"}}


def _on_predictions() -> list[Schema]:
    said = "the same key gives the same answer for a day, and one row in the prediction log: a new UUID for each new request"
    schema = {"type": "string", "pattern": "^[!-~]{1,255}$"}
    return [{"name": "Idempotency-Key", "in": "header", "description": said, "schema": schema}]


def _outputs(one: Served) -> Schema:
    return {
        "name": "outputs", "in": "query", "style": "form", "explode": False,
        "description": "outputs by name, with commas; by default the usual ones",
        "schema": array({"enum": [o.name for o in one.route.leading.model.outputs]}),
    }  # fmt: skip


def _envelope(one: Served, name: str) -> list[Schema]:
    """`{"rows": [...]}`; none of a model that has an input of that name."""
    if "rows" in input_names(one.route.leading.model):
        return []
    outputs = array({"enum": [o.name for o in one.route.leading.model.outputs]})
    return [
        {
            "type": "object",
            "required": ["rows"],
            "properties": {"rows": ref(f"Rows.{name}"), "outputs": {"anyOf": [outputs, {"type": "null"}]}},
            "additionalProperties": False,
        }
    ]


# --- what an endpoint takes and gives ----------------------------------------------------------------------


def _own_schemas(one: Served) -> dict[str, Schema]:
    name = one.route.endpoint
    strict, answer = one.route.leading.model.strict, _answer(one)
    stamp = {"version": {"type": "integer"}, "digest": {"type": "string"}, "id": {"type": "string"}}
    stamped = {**answer, "properties": {**answer["properties"], **stamp}, "required": list(stamp)}
    part = ref(f"Part.{name}")
    rows = array({"anyOf": [part, ref("Failure")]} if strict else part)
    listed = {f"Listed.{name}": _row(one, alone=False)} if strict else {}
    return {
        f"Row.{name}": _row(one, alone=True),
        **listed,
        f"Rows.{name}": {**array(ref(next(iter(listed), f"Row.{name}"))), "maxItems": MOST_ROWS},
        f"Part.{name}": answer,
        f"Answer.{name}": stamped,
        f"Answers.{name}": {
            "type": "object", "required": ["rows", *stamp], "properties": {"rows": rows, **stamp},
            "additionalProperties": False,
        },
    }  # fmt: skip


def _row(one: Served, *, alone: bool) -> Schema:
    """What a row must be; the server refuses every other, and a name that is given twice.

    A strict model refuses a gap: a request, of a row that is `alone`; else that row, whose answer is the error.
    """
    side = one.route.leading
    model, keys = side.model, {k.lower() for k in side.keys}
    must = keys if one.route.require_key else set()
    properties, required = {}, []
    looked = () if side.completing is None else side.completing.store.columns
    for known in (*model.inputs, *model.carried):
        learned = known in model.inputs
        needed = (learned and known.required and known.name not in looked) or known.name.lower() in must
        sure = known.name.lower() in must or (model.strict and alone and learned and known.required)
        properties[known.name] = _input(one, known.name, known.type, null=not sure, learned=learned)
        required += [known.name] if needed else []
    if side.completing is not None:
        properties |= _looked_up(side.completing, properties)
    schema: Schema = {
        "type": "object", "properties": properties, "required": required, "additionalProperties": False
    }  # fmt: skip
    if one.learned is not None:
        row = one.learned.row
        if side.completing is not None:
            row = {**side.completing.sample, **{k: v for k, v in row.items() if k not in looked}}
        schema["examples"] = [row]
    return schema


def _looked_up(by: Completing, properties: Mapping[str, Schema]) -> dict[str, Schema]:
    """What may be left out, and the key that is given instead."""
    store, out = by.store, {}
    key = ", ".join(k.name for k in store.key)
    for name in store.columns:
        said = f"may be left out where {key} is given: it is looked up in {store.dataset}"
        more = properties[name].get("description")
        out[name] = {**properties[name], "description": f"{said}; {more}" if more else said}
    for asked in by.asked:
        schema = dict(TYPES.get(asked.type, {}))
        if "type" in schema:
            schema["type"] = [schema["type"], "null"]
        said = f"looks up {', '.join(store.columns)} in {store.dataset}, where they are left out"
        out[asked.name] = {**schema, "description": said}
    return out


def _input(one: Served, name: str, kind: DataType, *, null: bool, learned: bool) -> Schema:
    schema = dict(TYPES.get(kind, {}))
    if null and "type" in schema:
        known = schema["type"]
        schema["type"] = [*(known if isinstance(known, list) else [known]), "null"]
    said = [] if learned else ["not learned from; taken along for the log, and joined with the outcome"]
    if kind is DataType.TIMESTAMP:
        said.append(_ZONES)
    if one.learned is not None and (seen := one.learned.seen(name)):
        said.append(seen)
    if said:
        schema["description"] = "; ".join(said)
    return schema


def _answer(one: Served) -> Schema:
    """The outputs, of which a request may choose."""
    model = one.route.leading.model
    properties: dict[str, Schema] = {}
    for output in model.outputs:
        schema = dict(_GIVEN.get(output.type, {}))
        if isinstance(model, RequestedForecast):
            schema = array(_step(model))
        if classes := model.classes_of.get(output.name):
            schema = {"enum": list(classes)}
        properties[output.name] = {**schema, "description": _meaning(one, output.name)}
    properties["notices"] = {
        **array({"type": "string"}),
        "description": "inputs that were answered as a gap, or are far out of training",
    }
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _step(model: RequestedForecast) -> Schema:
    """One row of a forecast."""
    own = {o.name: o.type for o in model.signature.outputs}
    properties = {name: {**TYPES.get(kind, {})} for name, kind in own.items()}
    for schema in properties.values():
        if isinstance(schema.get("type"), str):
            schema["type"] = [schema["type"], "null"]
    return {"type": "object", "properties": properties, "required": list(own), "additionalProperties": False}


def _meaning(one: Served, output: str) -> str:
    """What an output says; the classes by name, of two the one that a probability is of."""
    model = one.route.leading.model
    if isinstance(model, RequestedForecast):
        return "a row for each step: the time, the group, and each target with the ends of its interval"
    answer = answer_of(model, output)
    classes = model.classes_of[answer]
    kind = "binary" if classes else "regression"
    said = MEANINGS[kind][output.removeprefix(answer)]
    said = said.replace("{positive}", f"`{label(classes[-1])}`" if classes else "")
    return f"{said}: {', '.join(map(label, classes))}" if output.endswith("_probabilities") else said
