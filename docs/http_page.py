"""Writes docs/http.md: the prose is here, the tables are those that the server answers by (`interfaces/http/paths` and `shapes`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

HEAD = """# HTTP

`tilth up` answers on one address, by default http://127.0.0.1:8439: predictions, the Open Inference Protocol, health, figures and [a console](#the-console). This page is
made by `make docs` from the tables that the server answers by, and its examples run in the suite. The server itself gives the same as an OpenAPI 3.1
document, of the endpoints that it serves now: [`GET /openapi.json`](#the-document).

The examples ask an endpoint of a project of deliveries:

```sql
CREATE ENDPOINT late_api FOR MODEL late
  OUTCOMES FROM deliveries (id, late);
```

```console
$ curl -s -H "Authorization: Bearer $(cat .tilth/token)" http://127.0.0.1:8439/predict/late_api -d '{"id": 7, "ordered_at": "2024-04-30T20:00:00Z", "carrier": "slow", "distance": 50.5}'
{"late":true,"late_confidence":0.9641,"late_probability":0.9641,"version":1,"digest":"bd3d39098b4d3ffc","id":"8b248545edf791b4-1"}
```

`tilth describe late_api` prints such a request with usual values for an endpoint of yours.

## Who may ask

A request sends a token: `Authorization: Bearer <token>`. The one in `.tilth/token` is the owner's and has every right; others are made by
[CREATE TOKEN](language.md#create-token) for a role, and hold until they expire or are dropped, within a second.
"""

WHO = """
No token, a wrong or an expired one is 401; a token without the right 403. The server answers to the names of this machine, of its certificate, or behind a proxy to
any ([operations](operations.md#reached-from-other-machines)); a request that a web page of another origin had a browser send is 403, and there are no CORS headers.

## Paths
"""

PATHS_END = """
HEAD is answered where GET is, but for `/events`. `<endpoint>` is the name of CREATE ENDPOINT, `<version>` the number of a version that is served. Every path can also end
in one of {every}; 405 is another method, with `Allow`.
"""

CONSOLE = """
## The console

Pages for people, drawn from what `tilth.*` holds. `tilth up` prints the address that signs in: its token stands behind the `#`, which browsers do not send, and is
exchanged once for a session. Or paste a token into the form of `/sign-in`. A session ends with its token, after 12 hours, an hour after it was last used (an open page uses
it), and when the server begins anew; the page then says so and comes back after signing in. A session's cookie is no use to other sites (`SameSite=Strict`, `HttpOnly`, over TLS `Secure`).
A page is also given for `Authorization: Bearer <token>`.
"""

CONSOLE_END = """
What is done from a page is one statement, asked once on a page that says what it will do, performed as `POST /sql` would, by the rights of the token, and audited with its name. A form holds a key
of its session and the generation that was looked at: when the environment has moved on since, nothing is done, and what happened is told (409). A statement that takes long goes on, and its outcome stands on the next page.
Scripts on a page send statements to `POST /sql` with the session and its key as `X-Tilth-Key`.

Pages change as things do (`/events`), and are read without scripts too. They are drawn by a process of its own that starts with the first visit, rests after 5 minutes
without one, has no key to sign with, and runs behind the one that predicts. Nothing is loaded from elsewhere, no script stands in a page (`Content-Security-Policy`).
"""

PREDICT = """
## Predictions

`POST /predict/<endpoint>` takes a row, or many:

| body | answer |
|---|---|
| an object: one row | the outputs, with `version`, `digest` and `id` |
| an array of objects | `{"rows": [...], "version": ..., "digest": ..., "id": ...}`, in the order asked |
| `{"rows": [...], "outputs": [...]}` | the same, with the outputs that are named |

All rows of a request are answered by one version. Where the endpoint has [LOOK UP](language.md#look-up-what-a-request-need-not-know), inputs that are left out are looked up by a key that the row gives. A model that has an input called `rows` takes many rows as an array only.

```console
$ curl -s -H "Authorization: Bearer $(cat .tilth/token)" http://127.0.0.1:8439/predict/late_api?outputs=late,late_probabilities -d '[{"ordered_at": "2024-04-30T20:00:00Z", "carrier": "slow", "distance": 50.5}, {"ordered_at": "2024-04-30T20:00:00Z", "carrier": null, "distance": 3}]'
{"rows":[{"late":true,"late_probabilities":{"false":0.03,"true":0.97}},{"late":false,"late_probabilities":{"false":0.99,"true":0.01},"notices":["`carrier` is missing, which it never was in training: answered as a gap"]}],"version":1,"digest":"bd3d39098b4d3ffc","id":"8b248545edf791b4-2"}
```

The same in Python, with nothing but its library:

```python
import json, pathlib, urllib.request

token = pathlib.Path(".tilth/token").read_text()
rows = [{"id": 7, "ordered_at": "2024-04-30T20:00:00Z", "carrier": "slow", "distance": 50.5}]
request = urllib.request.Request(
    "http://127.0.0.1:8439/predict/late_api",
    json.dumps({"rows": rows, "outputs": ["late", "late_explain"]}).encode(),
    {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
)
with urllib.request.urlopen(request) as answer:
    print([row["late"] for row in json.load(answer)["rows"]])
```

```text
[True]
```

**Inputs** bind by name. Each is of the model's type ([what counts as what](types.md#inputs-of-a-model)); one that the model does not have is an error, and so is one that is left out and never was missing in training.
`null` there is a gap: it is answered, and told in `notices`. A level that the model has not learned (never seen, or too seldom) counts as a gap too, and a number beyond what training saw
as itself; `notices` tell it where they are far out of training: what was learned is in the descriptions of [the document](#the-document). A model with `OBJECTIVE (strict = true)` refuses such a row: the request, when it is the only row, else that row alone, whose
answer is `{"error": {...}}`. The key and the event time may be sent along; they go to the log, and join the row with its outcome. A key that is missing is told by the header
`Tilth-Notice`, and refused by an endpoint with `REQUIRE KEY`.

**Outputs** are those of the model; by default the usual ones, which are all but what is marked here. `?outputs=a,b` or `outputs` in the body chooses, by name; of both the body's.
"""

ROWS_END = """
Beside the outputs: `version` (an integer: of the model, that answered), `digest` (of its bundle), `id` (of the answer: its rows stand under it in `tilth.predictions`), and
where there is something to be told of a row `notices` (an array of texts).

**For tables** use SQL or Python: `SELECT ... FROM d JOIN model` and `project.model(name).predict(table)` read and give Arrow. HTTP speaks JSON, and bytes in the Open Inference Protocol; it takes no
Arrow, no CSV and no compressed body.

## Headers
"""

LIMITS = """
## Limits

A request over a limit is refused as a whole; nothing is predicted.
"""

ERRORS = """
## Errors

Every path but those of `/v2` gives `{"error": {...}}`; the fields are below, the codes in [the reference](reference.md#errors). Nothing is predicted and nothing is logged by a request that is refused.

```console
$ curl -s -H "Authorization: Bearer $(cat .tilth/token)" http://127.0.0.1:8439/predict/late_api -d '{"ordered_at": "2024-04-30T20:00:00Z", "carier": "slow", "distance": 50.5}'
{"error":{"code":"E-INPUT","message":"The model `late` has no input `carier`.","retry":false,"hint":"Did you mean `carrier`? Inputs of late: carrier, distance, ordered_at."}}
```

A refusal that comes before a request is one (400, 408, 414, 421, 431, 503 of a connection) has no hint, and closes the connection.
"""

PROTOCOL = """
## SQL

`POST /sql` performs statements of [the language](language.md) and sends what the last one answers, as rows come: JSON, or by `Accept` CSV (`text/csv`), Parquet (`application/vnd.apache.parquet`) or an Arrow stream
(`application/vnd.apache.arrow.stream`). The body is an object, or the text alone as `application/sql`.

```console
$ curl -s -H "Authorization: Bearer $(cat .tilth/token)" http://127.0.0.1:8439/sql -d '{"sql": "SELECT count(*) AS rows FROM deliveries WHERE carrier = $who", "parameters": {"who": "slow"}}'
{"columns":[{"name":"rows","type":"int64"}],"rows":[[2058]],"row_count":1,"notices":[]}
```

The path lets in whoever may read or predict; each statement then asks for [its own right](reference.md#rights). An error before the first row is an answer with its status, as
`application/problem+json` (RFC 9457). One after it breaks the connection off, before `row_count` and before the last chunk, so that a part of the rows never looks like all of them.
In JSON NaN and infinity are null, which `notices` tell; dates before the year 1 or after 9999, infinite ones and nanoseconds are texts, bytes are base64, and maps whose keys are no texts or
numbers are arrays of pairs. A type that Parquet has not (INTERVAL, UNION) is refused with its column.
When the client goes away the statement ends. PostgreSQL's clients ask the same by [a door of their own](postgres.md).

## The Open Inference Protocol

Version 2, over REST, below `/v2`: an endpoint is a model, an input a tensor of shape `[n]` or `[n, 1]`, one element a row.

```console
$ curl -s -H "Authorization: Bearer $(cat .tilth/token)" http://127.0.0.1:8439/v2/models/late_api/infer -d '{"inputs": [{"name": "ordered_at", "shape": [1], "datatype": "BYTES", "data": ["2024-04-30T20:00:00Z"]}, {"name": "carrier", "shape": [1], "datatype": "BYTES", "data": ["slow"]}, {"name": "distance", "shape": [1], "datatype": "FP64", "data": [50.5]}], "outputs": [{"name": "late"}]}'
{"model_name":"late_api","model_version":"1","id":"8b248545edf791b4-5","parameters":{"digest":"bd3d39098b4d3ffc"},"outputs":[{"name":"late","shape":[1],"datatype":"BOOL","data":[true]}]}
```

Any client of the protocol does; the suite asks with tritonclient and with KServe's:

```python
import numpy, pathlib, tritonclient.http

client = tritonclient.http.InferenceServerClient("127.0.0.1:8439")
rows = {
    "ordered_at": ("BYTES", numpy.array([b"2024-04-30T20:00:00Z"], object)),
    "carrier": ("BYTES", numpy.array([b"slow"], object)),
    "distance": ("FP64", numpy.array([50.5])),
}
inputs = [
    tritonclient.http.InferInput(name, list(values.shape), kind) for name, (kind, values) in rows.items()
]
for tensor, (_, values) in zip(inputs, rows.values()):
    tensor.set_data_from_numpy(values)
token = pathlib.Path(".tilth/token").read_text()
print(client.infer("late_api", inputs, headers={"Authorization": f"Bearer {token}"}).as_numpy("late"))
```

```text
[ True]
```

"""

PROTOCOL_END = """
- **Datatypes** say how an element is sent; any number may be sent for a number, as long as it is one of the input's type: {accepted}.
- **What is missing** is `null` in `data`, whatever the datatype, or NaN in bytes of FP16, FP32 and FP64; an input that may be missing may be left out.
- **Bytes** (the extension `binary_tensor_data`) follow the JSON, little-endian, in the order of the inputs; each says `binary_data_size` in its `parameters`, and the header `Inference-Header-Content-Length` says how long the JSON is.
  A text has its length in four bytes before it. Outputs come as bytes where `binary_data` of an output, or `binary_data_output` of the request, is true; a missing number is NaN there, and an output that has another missing value (a row that a strict model refused) comes as JSON all the same.
- **Errors** are `{{"error": "text", "detail": {{...}}}}`, with the error of every other path as `detail`.
- gRPC is not spoken, nor are the protocol's repository, statistics and configuration.

## The document

`GET /openapi.json` is an OpenAPI 3.1 document of what whoever asks may call: a predictor sees the paths that predict, a reader those that read. It is made of the same table of paths as this page, and of
the versions that are served at that moment: another version, another endpoint or a rollout changes it.

```console
$ curl -s -H "Authorization: Bearer $(cat .tilth/token)" http://127.0.0.1:8439/openapi.json | python3 -c 'import json, sys; print(*json.load(sys.stdin)["components"]["schemas"]["Row.late_api"]["required"])'
ordered_at carrier distance
```

`Row.<endpoint>` is one row, `Rows.<endpoint>` many, `Answer.<endpoint>` and `Answers.<endpoint>` what they give. A row's schema has which inputs must be given, their types, and whether null is taken;
what training saw of an input (a range, the frequent levels) is in its description, for a value is not refused because it is new. That inputs of tensors belong together is no JSON Schema: `infer` has the general one.
`date-time` there may go without an offset, which is UTC. An output says what it means: of two classes, which one its probability is of. Generators of clients and of tests read it: the suite asks with schemathesis, and openapi-python-client
makes of it a client for rows, one and many.

## Objects

A field that is not always there is marked with a question mark.
"""

TYPES = {
    "boolean": "true or false",
    "integer": "a whole number within 64 bits",
    "number": "a number",
    "string": "a text",
    "object": "an object",
    "array": "an array",
    "null": "null",
}


def page() -> str:
    """The whole page."""
    from tilth.interfaces.http import paths, shapes, tensors
    from tilth.interfaces.statuses import STATUSES

    def code(names: Iterable[object]) -> str:
        return ", ".join(f"`{n}`" for n in names)

    return "".join(
        [
            HEAD, _table(("role", "right", "paths"), _roles()), WHO,
            _table(("path", "right", "takes", "gives", "and can end in"), _paths()),
            PATHS_END.format(every=_statuses(set(paths.EVERY))), CONSOLE,
            _table(("path", "right", "shows"), _pages()), CONSOLE_END, PREDICT,
            _table(("output", "of", "type", "what"), _outputs()), ROWS_END,
            _table(("header", "of", "what"), HEADERS), LIMITS, _table(("limit", "of", "and else"), _limits()), ERRORS,
            _table(("status", "what", "do"), [(str(n), what, do) for n, (what, do) in STATUSES.items() if n != 200]),
            PROTOCOL, _table(("type of a column", "datatype"), _datatypes()),
            PROTOCOL_END.format(accepted=code(tensors.ACCEPTED)),
            *(f"\n### {name}\n\n{_table(('field', 'type', 'what'), _fields(name))}" for name in shapes.OBJECTS),
        ]
    )  # fmt: skip


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n" + "\n".join(lines) + "\n"


def _roles() -> list[tuple[str, ...]]:
    from tilth.interfaces.http.paths import PATHS
    from tilth.plan.rights import RIGHTS, Right

    out = []
    for role, rights in RIGHTS.items():
        named = [r.value for r in (Right.READ, Right.PREDICT) if r in rights]
        groups = dict.fromkeys(
            _group(p) for p, k in PATHS.items() if k.rights and not rights.isdisjoint(k.rights)
        )
        out.append((role.value, " and ".join(named), ", ".join(f"`{g}`" for g in groups)))
    groups = dict.fromkeys(_group(p) for p, k in PATHS.items() if not k.rights)
    return [*out, ("nobody", "none", ", ".join(f"`{g}`" for g in groups))]


def _group(path: str) -> str:
    return "/v2/..." if path.startswith("/v2") else path.replace("<endpoint>", "...")


def _statuses(found: set[int]) -> str:
    return ", ".join(map(str, sorted(found)))


def _paths() -> list[tuple[str, ...]]:
    from tilth.interfaces.http.paths import EVERY, PATHS
    from tilth.interfaces.http.shapes import OBJECTS

    def kind(name: str | None) -> str:
        if name in {"Rows", "Answer"}:
            return "[rows](#predictions)" if name == "Rows" else "[outputs](#predictions)"
        return f"[{name}](#{name.lower()})" if name in OBJECTS else f"`{name}`" if name else ""

    return [
        (
            f"`{known.method} {path}`", known.asked or "none", kind(known.takes), f"{known.gives}: {kind(known.answer)}",
            _statuses(set(known.ends) - {*EVERY, 405}),
        )
        for path, known in PATHS.items()
    ]  # fmt: skip


def _pages() -> list[tuple[str, ...]]:
    from tilth.interfaces.http.paths import PAGES

    return [(f"`{known.method} {path}`", known.asked or "none", known.gives) for path, known in PAGES.items()]


def _outputs() -> list[tuple[str, ...]]:
    from tilth.core.schema import DataType
    from tilth.ml.model.outputs import OUTPUTS
    from tilth.runtime.showing.describing import MEANINGS

    words = {
        DataType.FLOAT: "number",
        DataType.SHARES: "object of numbers by class",
        DataType.JSON: "[Explanation](#explanation)",
    }
    rows: dict[tuple[str, str], list[str]] = {}
    for task, specs in OUTPUTS.items():
        for spec in specs:
            meaning = MEANINGS[task][spec.suffix].replace("{positive}", "the positive one of two classes")
            kind = "the target's" if spec.type is None else words[spec.type]
            if task == "regression" and spec.suffix not in {"", "_explain"}:
                kind += " or null"
            rows.setdefault((f"`<target>{spec.suffix}`", f"{kind} | {meaning}"), []).append(task)
    return [(name, ", ".join(of), *said.split(" | ")) for (name, said), of in rows.items()]


def _fields(name: str) -> list[tuple[str, ...]]:
    from tilth.interfaces.http.shapes import OBJECTS

    return [
        (f"`{f.name}`{'' if f.always else ' ?'}", _kind(f.schema), f.says) for f in OBJECTS[name]
    ]  # fmt: skip


def _kind(schema: dict[str, object]) -> str:
    """A schema in words."""
    if "enum" in schema:
        return ", ".join(f"`{v}`" for v in schema["enum"])  # type: ignore[attr-defined]
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if schema.get("format") == "date-time":
        return "a moment in ISO 8601"
    if not schema:
        return "any value"
    found = schema.get("type", "object")
    kinds = [found] if isinstance(found, str) else list(found)  # type: ignore[call-overload]
    words = " or ".join(TYPES[k] for k in kinds)
    inner = schema.get("items") or schema.get("additionalProperties")
    return f"{words} of: {_kind(inner)}" if isinstance(inner, dict) and inner else words


def _datatypes() -> list[tuple[str, ...]]:
    from tilth.core.schema import DataType
    from tilth.interfaces.http.tensors import datatype

    notes = {
        DataType.DATE: ", in ISO 8601", DataType.TIMESTAMP: ", in ISO 8601", DataType.SHARES: ", an object in JSON",
        DataType.JSON: ", an object in JSON",
    }  # fmt: skip
    shown = [
        DataType.BOOLEAN, DataType.INTEGER, DataType.FLOAT, DataType.DECIMAL, DataType.STRING, DataType.DATE,
        DataType.TIMESTAMP, DataType.SHARES, DataType.JSON,
    ]  # fmt: skip
    return [(kind.value, f"`{datatype(kind)}`{notes.get(kind, '')}") for kind in shown]


HEADERS = (
    ("`Authorization`", "a request", "`Bearer <token>`"),
    ("`Content-Type`", "a request", "`application/json`, any `...+json`, or what clients send unasked (none, `text/plain`, `application/x-www-form-urlencoded`); `application/octet-stream` too where the bytes of tensors follow. Any other is 415"),
    ("`Content-Encoding`", "a request", "none: a compressed body is 415"),
    ("`Idempotency-Key`", "a prediction", "1 to 255 characters of ASCII without spaces. Sent again with it, the same request has the same answer for a day: [how](operations.md#a-request-sent-again)"),
    ("`X-Request-Id`", "a request", "1 to 128 letters, digits and `._:+/=@-`: stands in the log and comes back; any other is replaced"),
    ("`Inference-Header-Content-Length`", "a request and an answer of `infer`", "how many bytes of the body are JSON, where bytes of tensors follow"),
    ("`X-Request-Id`", "every answer", "the request's, or a new one"),
    ("`Idempotent-Replayed`", "a prediction", "`true`: this answer was given before"),
    ("`Tilth-Notice`", "a prediction", "how many of its rows lack the key, so that no outcome can be joined"),
    ("`WWW-Authenticate`", "401", "`Bearer`"),
    ("`Allow`", "405", "the methods that there are"),
)  # fmt: skip


def _limits() -> list[tuple[str, ...]]:
    from tilth.interfaces.http import bodies, connection, crowd, once, predictions, server

    def count(n: float) -> str:
        return f"{n:,.0f}"

    return [
        (f"{bodies.LIMIT >> 20} MB", "a body", "413"),
        (f"{count(predictions.MOST_ROWS)} rows", "a request", "422"),
        (f"{count(predictions.MOST_EXPLAINED)} rows", "a request for `<target>_explain`", "422"),
        (f"{count(bodies.SLOWEST)} s", "for a body to arrive", "408"),
        (f"{count(crowd.HEADERS)} s", "for the headers to arrive", "408"),
        (f"{connection.LINE >> 10} KB", "what the request line asks for", "414"),
        (f"{connection.FIELDS} headers, {connection.HEAD >> 10} KB in all", "a request", "431"),
        (f"{count(crowd.MOST)} connections", "at once, fewer where the process may open fewer files", "the one that was silent longest is closed; 503 when all are busy"),
        (f"{server.IDLE} s", "a connection without a request", "it is closed"),
        (f"{count(once.KEPT / 3600)} h, {once.MOST_BYTES >> 20} MB, {count(once.MOST)} answers", "what an Idempotency-Key is kept for", "the oldest is forgotten"),
        (f"{server.GRACE} s", "requests under way when the server is stopped", "they are cut off"),
    ]  # fmt: skip
